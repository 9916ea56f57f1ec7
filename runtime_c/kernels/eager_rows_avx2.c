/* Gradients of softmax and norms, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "eager_rows_impl.h"
