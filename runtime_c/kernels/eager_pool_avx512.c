/* Pooling of planes and row addition, compiled for AVX-512. */
#define PP_ISA_SUFFIX avx512
#include "eager_pool_impl.h"
