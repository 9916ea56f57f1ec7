/* Convolutions, compiled for AVX512. */
#define PP_ISA_SUFFIX avx512
#include "conv2d_impl.h"
