/* Convolution kernels of the eager engine, compiled for AVX-512. */
#define PP_ISA_SUFFIX avx512
#include "eager_conv_impl.h"
