/* Depthwise convolutions, compiled for AVX512. */
#define PP_ISA_SUFFIX avx512
#include "depthwise_impl.h"
