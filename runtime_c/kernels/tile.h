/* The inner product of gemm and of convolutions: a strip of a few rows times panels of 16 columns.
 *
 * Every element starts at its bias and adds its products in the order of k, one fma each; then the residual, then the
 * clamp. So its bits depend on nothing but its operands: not on the tile that computed it, nor on neighbours or tasks.
 */
#ifndef PP_KERNELS_TILE_H
#define PP_KERNELS_TILE_H

#include "common.h"

#define PP_PANEL 16
#define PP_STRIP_ROWS 8  /* at most, of any instruction set */

typedef struct pp_strip {
  const float *const *a;        /* [taps][rows]: where the k values of a row and tap start */
  int64_t taps, k, a_step;
  const int64_t *offsets;       /* [k]: or, with one tap, where each value of k lies from a[row] */
  const float *b;               /* of the first panel; the taps follow each other */
  int64_t b_step, b_panel;      /* from k to k + 1, and from panel to panel */
  const float *bias;            /* [panels][16]: what the elements of a column start at, if start is NULL */
  const float *const *start;    /* [rows]: what they start at, whole panels: sums of an earlier part of k */
  float *const *c;              /* [rows]: column 0 */
  const float *const *residual; /* [rows], or NULL */
  int64_t columns;              /* results per row */
  int rows;
  float low, high;
} pp_strip;

#define PP_STRIP_DECLARE(isa)                                         \
  void pp_strip_run_##isa(const pp_strip *strip);                     \
  int pp_strip_rows_##isa(int64_t panels, int64_t rows, bool offsets);
PP_STRIP_DECLARE(simd)
PP_STRIP_DECLARE(avx2)
PP_STRIP_DECLARE(avx512)
PP_STRIP_DECLARE(neon)

#endif
