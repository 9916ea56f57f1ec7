/* The pointwise interpreter, compiled for AVX512. */
#define PP_ISA_SUFFIX avx512
#include "pointwise_impl.h"
