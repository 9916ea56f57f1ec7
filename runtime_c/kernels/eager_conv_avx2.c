/* Convolution kernels of the eager engine, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "eager_conv_impl.h"
