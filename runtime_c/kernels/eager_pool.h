/* Plans of the eager engine's pooling and row addition. */
#ifndef PP_KERNELS_EAGER_POOL_H
#define PP_KERNELS_EAGER_POOL_H

#include "eager_plan.h"
#include "pool2d.h"

/* Elements of a padded line of one place modulo the stride, and some that vectors reach past the end. */
PP_INLINE int64_t pp_pool_run(const pp_step *s, int64_t out) {
  return out + (s->attrs[2] - 1) * s->attrs[10] / s->attrs[4] + 16;
}

/* Of a forward step from `wide` to `out` columns: offsets of taps, windows, and lines of floats and positions. */
PP_INLINE size_t pp_pool_scratch(const pp_step *s, int64_t wide, int64_t out) {
  int64_t lines = 3 * out + 2 * wide + 2 * pp_pool_run(s, out) * s->attrs[4] + 96;
  return (size_t)s->attrs[2] * sizeof(int64_t) + (size_t)out * sizeof(pp_window) + (size_t)lines * sizeof(float);
}

bool pp_pool2d_accepts_dense(const pp_step *step);
void pp_pool2d_prepare_dense(pp_step *step);
bool pp_pool_grad_accepts(const pp_step *step);
void pp_pool_grad_prepare(pp_step *step);
bool pp_scatter_add_accepts(const pp_step *step);
void pp_scatter_add_prepare(pp_step *step);

#endif
