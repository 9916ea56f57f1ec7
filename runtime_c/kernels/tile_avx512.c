/* Product tiles, compiled for AVX512. */
#define PP_ISA_SUFFIX avx512
#include "tile_impl.h"
