/* Softmax, compiled for AVX512. */
#define PP_ISA_SUFFIX avx512
#include "softmax_impl.h"
