/* Helpers of the kernels that work row by row: norm and softmax. */
#ifndef PP_KERNELS_ROWS_H
#define PP_KERNELS_ROWS_H

#include "common.h"

/* Offset of coordinates that start at dimension `outer` of the view. */
PP_INLINE int64_t pp_inner_offset(const pp_view *v, int outer, const int64_t *index) {
  int64_t at = 0;
  for (int d = outer; d < v->rank; d++) at += index[d - outer] * v->stride[d];
  return at;
}

/* Offset of the row number `row` in the row-major order of every dimension but `axis`. */
PP_INLINE void pp_row_without(const pp_view *v, int axis, int64_t row, int64_t *index) {
  for (int d = v->rank - 1; d >= 0; d--) {
    if (d == axis) {
      index[d] = 0;
      continue;
    }
    index[d] = row % v->shape[d];
    row /= v->shape[d];
  }
}

#endif
