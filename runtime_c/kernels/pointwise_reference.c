/* The pointwise interpreter, one element at a time: any target, any dtype. */
#define PP_SIMD_SCALAR 1
#define PP_ISA_SUFFIX reference
#include "pointwise_impl.h"
