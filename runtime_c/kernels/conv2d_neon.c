/* Convolutions, compiled for NEON. */
#define PP_ISA_SUFFIX neon
#define PP_PW_SUFFIX simd
#include "conv2d_impl.h"
