/* Gradients of softmax and norms, compiled for AVX-512. */
#define PP_ISA_SUFFIX avx512
#include "eager_rows_impl.h"
