/* Pooling of planes and row addition, one element at a time: any target. */
#define PP_SIMD_SCALAR 1
#define PP_ISA_SUFFIX reference
#include "eager_pool_impl.h"
