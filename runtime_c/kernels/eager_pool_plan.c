/* Plans of the eager engine's pooling and row addition, from shapes alone. */
#include "eager_pool.h"

/* An absurd window is left to the reference, which counts taps instead of storing them. */
static bool moderate(const int64_t *a) { return a[2] <= 4096 && a[4] <= 4096 && a[10] <= 4096 && a[6] <= 65536; }

bool pp_pool2d_accepts_dense(const pp_step *s) {
  const pp_view *x = &s->args[0], *y = &s->results[0];
  return pp_dense_f32(x) && pp_dense_f32(y) && pp_unit(x, 3) && pp_unit(y, 3) && pp_elements(x) > 0 && moderate(s->attrs);
}

/* A task is a plane. */
void pp_pool2d_prepare_dense(pp_step *s) {
  const pp_view *y = &s->results[0];
  s->tasks = pp_elements(y) ? y->shape[0] * y->shape[1] : 0;
  s->scratch = pp_pool_scratch(s, s->args[0].shape[3], y->shape[3]);
}

bool pp_pool_grad_accepts(const pp_step *s) {
  const pp_view *y = &s->results[0];
  return pp_eager_accepts(s) && moderate(s->attrs) && y->shape[2] * y->shape[3] < INT32_MAX;
}

void pp_pool_grad_prepare(pp_step *s) {
  const pp_view *y = &s->results[0];
  s->tasks = pp_elements(y) ? y->shape[0] * y->shape[1] : 0;
  s->scratch = pp_pool_scratch(s, y->shape[3], s->args[0].shape[3]);
}

bool pp_scatter_add_accepts(const pp_step *s) {
  return pp_plain(&s->args[0]) && s->args[1].dtype == PP_DTYPE_I64 && pp_unit(&s->args[1], 0) && pp_plain(&s->results[0]);
}

/* A task is a range of columns, so that every sum is made in the order of the index; plan[0] is its width. */
void pp_scatter_add_prepare(pp_step *s) {
  int64_t n = s->args[0].shape[0], d = s->args[0].shape[1];
  s->plan[0] = PP_MAX(PP_CEIL_DIV(PP_CEIL_DIV(d, 8), PP_EAGER_COLUMNS) * PP_EAGER_COLUMNS, PP_EAGER_COLUMNS);
  s->tasks = n ? PP_CEIL_DIV(d, s->plan[0]) : 0;
  s->scratch = 0;
}
