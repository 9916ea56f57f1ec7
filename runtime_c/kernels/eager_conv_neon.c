/* Convolution kernels of the eager engine, compiled for NEON. */
#define PP_ISA_SUFFIX neon
#define PP_PW_SUFFIX simd
#include "eager_conv_impl.h"
