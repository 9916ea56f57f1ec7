/* Convolutions, on the vectors every x86-64 CPU has (Arm has conv2d_neon.c). */
#define PP_ISA_SUFFIX simd
#include "conv2d_impl.h"
