/* Reductions, compiled for AVX512. */
#define PP_ISA_SUFFIX avx512
#include "reduce_impl.h"
