/* Pooling, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "pool2d_impl.h"
