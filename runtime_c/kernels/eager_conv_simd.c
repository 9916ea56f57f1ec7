/* Convolution kernels of the eager engine, on the vectors every x86-64 CPU has (Arm has eager_conv_neon.c). */
#define PP_ISA_SUFFIX simd
#include "eager_conv_impl.h"
