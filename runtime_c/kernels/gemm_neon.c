/* Matrix products, compiled for NEON. */
#define PP_ISA_SUFFIX neon
#define PP_PW_SUFFIX simd
#include "gemm_impl.h"
