/* Reductions, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "reduce_impl.h"
