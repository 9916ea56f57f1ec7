/* Normalization, compiled for AVX512. */
#define PP_ISA_SUFFIX avx512
#include "norm_impl.h"
