/* The pointwise interpreter, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "pointwise_impl.h"
