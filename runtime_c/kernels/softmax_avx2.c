/* Softmax, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "softmax_impl.h"
