/* Depthwise convolutions, compiled for NEON. */
#define PP_ISA_SUFFIX neon
#define PP_PW_SUFFIX simd
#include "depthwise_impl.h"
