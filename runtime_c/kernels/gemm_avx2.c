/* Matrix products, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "gemm_impl.h"
