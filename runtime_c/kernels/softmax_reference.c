/* Softmax and log-softmax of any strides, f32. The maximum is subtracted first. */
#define PP_SIMD_SCALAR 1
#include "rows.h"
#include "simd_math.h"

bool pp_softmax_accepts_reference(const pp_step *s) {
  return pp_dense_f32(&s->args[0]) && pp_dense_f32(&s->results[0]);
}

void pp_softmax_prepare_reference(pp_step *s) {
  const pp_view *x = &s->args[0];
  s->tasks = pp_elements(x) ? pp_elements(x) / x->shape[s->attrs[0]] : 0;
  s->scratch = 0;
}

pp_status pp_softmax_run_reference(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const pp_view *x = &s->args[0], *y = &s->results[0];
  int axis = (int)s->attrs[0];
  int64_t n = x->shape[axis], sx = x->stride[axis], sy = y->stride[axis];
  for (int64_t t = first; t < last; t++) {
    int64_t index[PP_MAX_RANK];
    pp_row_without(x, axis, t, index);
    const float *xs = (const float *)x->data + pp_offset_of(x, index);
    float *ys = (float *)y->data + pp_offset_of(y, index);
    float top = xs[0], sum = 0.0f;
    for (int64_t i = 1; i < n; i++) top = pp_max_nan(top, xs[i * sx]);
    for (int64_t i = 0; i < n; i++) sum += vf_exp(xs[i * sx] - top);
    if (s->attrs[1]) {
      float log_sum = vf_log(sum);
      for (int64_t i = 0; i < n; i++) ys[i * sy] = (xs[i * sx] - top) - log_sum;
    } else {
      for (int64_t i = 0; i < n; i++) ys[i * sy] = vf_exp(xs[i * sx] - top) / sum;
    }
  }
  return PP_OK;
}
