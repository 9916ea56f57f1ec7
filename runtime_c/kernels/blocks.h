/* How products are cut into tasks, and how an epilogue follows a range of rows. Rows are numbered in the row-major
 * order of some dimensions of the result; columns are one other dimension. */
#ifndef PP_KERNELS_BLOCKS_H
#define PP_KERNELS_BLOCKS_H

#include "tile.h"

/* One task is up to `high` rows by `wide` panels; k is added in pieces of `deep`. */
typedef struct pp_blocks {
  int64_t high, wide, deep, down, across;
} pp_blocks;

/* From the sizes alone, so that a program runs the same everywhere: a block of b (wide x deep panels) stays in a
 * second-level cache of 512 KB while rows pass by, unless it takes `least` panels to pay for making the rows, and there
 * are enough tasks to share out when they are worth it. `outer` repeats everything; `products` are all there are. */
PP_INLINE pp_blocks pp_blocks_plan(int64_t rows, int64_t panels, int64_t deep, int64_t outer, int64_t least,
                                   double products) {
  const int64_t step = 24; /* rows: a multiple of every instruction set's strip */
  int64_t goal = products > 32768.0 * PP_TASK_GOAL ? PP_TASK_GOAL : (int64_t)(products / 32768.0) + 1;
  pp_blocks b;
  b.deep = PP_MAX(deep, 1);
  b.wide = PP_MIN(PP_MIN(PP_MAX(4096 / b.deep, least), 32), panels);
  b.wide = PP_CEIL_DIV(panels, PP_CEIL_DIV(panels, b.wide));
  b.high = PP_MIN(PP_MAX(1024 / b.wide / step, 1) * step, 192);
  while (b.high > step && outer * PP_CEIL_DIV(rows, b.high) * PP_CEIL_DIV(panels, b.wide) < goal)
    b.high = PP_CEIL_DIV(b.high / 2, step) * step;
  while (b.wide > PP_MAX(least, 4) && outer * PP_CEIL_DIV(rows, b.high) * PP_CEIL_DIV(panels, b.wide) < goal)
    b.wide = PP_MAX(PP_CEIL_DIV(b.wide, 8) * 4, 4);
  b.down = PP_CEIL_DIV(rows, b.high);
  b.high = PP_CEIL_DIV(rows, b.down);
  b.across = PP_CEIL_DIV(panels, b.wide);
  return b;
}

/* The largest box of consecutive rows from `row` on, below `end`: the coordinates and sizes of dims[] in start and
 * size. Returns its number of rows. */
PP_INLINE int64_t pp_rows_box(const int64_t *shape, const uint8_t *dims, int n, int64_t row, int64_t end, int64_t *start,
                              int64_t *size) {
  int64_t index = row, whole = 1, rows = 1;
  bool open = true; /* all dimensions inside are taken whole */
  for (int i = n - 1; i >= 0; i--) {
    int64_t extent = shape[dims[i]], at = index % extent;
    start[dims[i]] = at;
    size[dims[i]] = 1;
    index /= extent;
    if (!open) continue;
    size[dims[i]] = PP_MIN(extent - at, (end - row) / whole);
    rows = whole * size[dims[i]];
    open = size[dims[i]] == extent;
    whole *= extent;
  }
  return rows;
}

/* A distance in elements. Strides of dimensions of size 1 and dilations of a single tap may be anything: a product that
 * wraps is then never used. */
PP_INLINE int64_t pp_distance(int64_t steps, int64_t stride) { return (int64_t)((uint64_t)steps * (uint64_t)stride); }

/* The last step of a result: what a strip does by itself where c and the residual are contiguous. */
PP_INLINE float pp_finish(float v, const float *residual, float low, float high) {
  if (residual) v += *residual;
  if (v < low) v = low;
  if (v > high) v = high;
  return v;
}

/* bias[0, whole panels): the columns' values, zeros beyond them or without a bias. */
PP_INLINE void pp_bias_fill(float *to, const pp_view *bias, int64_t first, int64_t columns, int64_t panels) {
  const float *from = pp_present(bias) ? (const float *)bias->data : NULL;
  for (int64_t j = 0; j < panels * PP_PANEL; j++)
    to[j] = from && j < columns ? from[(first + j) * bias->stride[0]] : 0.0f;
}

#endif
