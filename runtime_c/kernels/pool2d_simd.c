/* Pooling, on the vectors every CPU of the architecture has. */
#define PP_ISA_SUFFIX simd
#include "pool2d_impl.h"
