/* Convolution kernels of the eager engine, one element at a time: any target. */
#define PP_SIMD_SCALAR 1
#define PP_ISA_SUFFIX reference
#include "eager_conv_impl.h"
