/* Convolutions, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "conv2d_impl.h"
