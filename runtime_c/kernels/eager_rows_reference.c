/* Gradients of softmax and norms, one element at a time: any target. */
#define PP_SIMD_SCALAR 1
#define PP_ISA_SUFFIX reference
#include "eager_rows_impl.h"
