/* Softmax, on the vectors every CPU of the architecture has. */
#define PP_ISA_SUFFIX simd
#include "softmax_impl.h"
