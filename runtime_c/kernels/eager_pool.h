/* Plans of the eager engine's pooling and row addition. */
#ifndef PP_KERNELS_EAGER_POOL_H
#define PP_KERNELS_EAGER_POOL_H

#include "eager_plan.h"
#include "pool2d.h"

/* Elements of a padded line of one place modulo the stride, and some that vectors reach past the end. */
PP_INLINE int64_t pp_pool_run(const pp_step *s, int64_t out) {
  return out + (s->attrs[2] - 1) * s->attrs[10] / s->attrs[4] + 16;
}

bool pp_pool2d_accepts_dense(const pp_step *step);
void pp_pool2d_prepare_dense(pp_step *step);
void pp_pool_grad_prepare(pp_step *step);
bool pp_scatter_add_accepts(const pp_step *step);
void pp_scatter_add_prepare(pp_step *step);

#endif
