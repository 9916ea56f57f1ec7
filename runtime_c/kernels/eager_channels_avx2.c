/* Normalization of channels and its gradient, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "eager_channels_impl.h"
