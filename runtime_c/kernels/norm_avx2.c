/* Normalization, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "norm_impl.h"
