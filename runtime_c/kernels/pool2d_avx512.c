/* Pooling, compiled for AVX512. */
#define PP_ISA_SUFFIX avx512
#include "pool2d_impl.h"
