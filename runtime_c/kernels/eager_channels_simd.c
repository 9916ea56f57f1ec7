/* Normalization of channels and its gradient, on the vectors every CPU of the architecture has. */
#define PP_ISA_SUFFIX simd
#include "eager_channels_impl.h"
