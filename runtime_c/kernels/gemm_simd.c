/* Matrix products, on the vectors every x86-64 CPU has (Arm has gemm_neon.c). */
#define PP_ISA_SUFFIX simd
#include "gemm_impl.h"
