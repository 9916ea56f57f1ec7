/* What the reduce kernels share: which dimensions are kept and which are walked. */
#ifndef PP_KERNELS_REDUCE_H
#define PP_KERNELS_REDUCE_H

#include "common.h"

typedef struct pp_reduce_walk {
  int kept, over;              /* numbers of dimensions */
  int64_t kept_size[PP_MAX_RANK], kept_x[PP_MAX_RANK], kept_y[PP_MAX_RANK];
  int64_t over_size[PP_MAX_RANK], over_x[PP_MAX_RANK];
  int64_t outputs, count;      /* results; elements that make one result */
} pp_reduce_walk;

PP_INLINE void pp_reduce_plan(const pp_step *s, pp_reduce_walk *w) {
  const pp_view *x = &s->args[0], *y = &s->results[0];
  *w = (pp_reduce_walk){.outputs = pp_elements(y), .count = 1};
  for (int d = 0; d < x->rank; d++) {
    if (s->attrs[1] >> d & 1) {
      /* Consecutive reduced dimensions that lie in one run are one. */
      int last = w->over - 1;
      if (w->count) w->count = x->shape[d] ? w->count * x->shape[d] : 0;
      if (last >= 0 && w->over_x[last] == x->stride[d] * x->shape[d]) {
        w->over_size[last] *= x->shape[d];
        w->over_x[last] = x->stride[d];
        continue;
      }
      w->over_size[w->over] = x->shape[d];
      w->over_x[w->over++] = x->stride[d];
    } else {
      w->kept_size[w->kept] = x->shape[d];
      w->kept_x[w->kept] = x->stride[d];
      w->kept_y[w->kept++] = y->stride[d];
    }
  }
  if (w->over == 0) w->over_size[w->over++] = 1;
}

PP_INLINE void pp_reduce_at(const pp_reduce_walk *w, int64_t output, int64_t *x, int64_t *y) {
  int64_t index[PP_MAX_RANK];
  pp_unravel(output, w->kept, w->kept_size, index);
  *x = *y = 0;
  for (int d = 0; d < w->kept; d++) {
    *x += index[d] * w->kept_x[d];
    *y += index[d] * w->kept_y[d];
  }
}

#endif
