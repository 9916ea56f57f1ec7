/* Product tiles, compiled for AVX2. */
#define PP_ISA_SUFFIX avx2
#include "tile_impl.h"
