/* Pooling of any strides, f32. */
#include "pool2d.h"

bool pp_pool2d_accepts_reference(const pp_step *s) {
  return pp_dense_f32(&s->args[0]) && pp_dense_f32(&s->results[0]);
}

/* A task is one row of one channel. */
void pp_pool2d_prepare_reference(pp_step *s) {
  const pp_view *y = &s->results[0];
  s->tasks = pp_elements(y) ? y->shape[0] * y->shape[1] * y->shape[2] : 0;
  s->scratch = 0;
}

pp_status pp_pool2d_run_reference(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const pp_view *x = &s->args[0], *y = &s->results[0];
  bool max = s->attrs[0] == PP_POOL_MAX;
  for (int64_t t = first; t < last; t++) {
    int64_t at[4] = {0};
    pp_unravel(t, 3, y->shape, at);
    pp_window h = pp_pool_window(s, 0, at[2]);
    for (at[3] = 0; at[3] < y->shape[3]; at[3]++) {
      pp_window w = pp_pool_window(s, 1, at[3]);
      const float *p = (const float *)x->data + at[0] * x->stride[0] + at[1] * x->stride[1];
      float r = max ? -__builtin_inff() : 0.0f;
      for (int64_t i = 0; i < h.count; i++)
        for (int64_t j = 0; j < w.count; j++) {
          float v = p[(h.first + i * h.step) * x->stride[2] + (w.first + j * w.step) * x->stride[3]];
          if (!max) r += v;
          else if (r == r && !(v <= r)) r = v;
        }
      if (!max) r /= pp_pool_divisor(s, &h, &w);
      ((float *)y->data)[pp_offset_of(y, at)] = r;
    }
  }
  return PP_OK;
}
