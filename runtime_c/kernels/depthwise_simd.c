/* Depthwise convolutions, on the vectors every x86-64 CPU has (Arm has depthwise_neon.c). */
#define PP_ISA_SUFFIX simd
#include "depthwise_impl.h"
