/* Reductions, on the vectors every CPU of the architecture has. */
#define PP_ISA_SUFFIX simd
#include "reduce_impl.h"
