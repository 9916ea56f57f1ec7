/* Normalization of channels and its gradient, compiled for AVX-512. */
#define PP_ISA_SUFFIX avx512
#include "eager_channels_impl.h"
