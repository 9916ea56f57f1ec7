/* Pooling of planes and row addition, on the vectors every CPU of the architecture has. */
#define PP_ISA_SUFFIX simd
#include "eager_pool_impl.h"
