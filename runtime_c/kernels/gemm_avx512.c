/* Matrix products, compiled for AVX512. */
#define PP_ISA_SUFFIX avx512
#include "gemm_impl.h"
