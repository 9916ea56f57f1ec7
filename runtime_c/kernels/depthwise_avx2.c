/* Depthwise convolutions, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "depthwise_impl.h"
