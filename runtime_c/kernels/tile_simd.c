/* Product tiles, on the vectors every x86-64 CPU has (Arm has tile_neon.c). */
#define PP_ISA_SUFFIX simd
#include "tile_impl.h"
