/* Pooling of planes and row addition, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "eager_pool_impl.h"
