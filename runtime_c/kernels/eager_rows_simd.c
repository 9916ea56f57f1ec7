/* Gradients of softmax and norms, on the vectors every CPU of the architecture has. */
#define PP_ISA_SUFFIX simd
#include "eager_rows_impl.h"
