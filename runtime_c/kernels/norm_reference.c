/* Layer and RMS normalization of any strides, f32: mean, then the mean square of what is left, in two passes. */
#include "rows.h"

bool pp_norm_accepts_reference(const pp_step *s) {
  return pp_dense_f32(&s->args[0]) && pp_absent_or_f32(&s->args[1]) && pp_absent_or_f32(&s->args[2]) &&
         pp_dense_f32(&s->results[0]);
}

/* A task is one normalized row: the trailing dimensions. */
void pp_norm_prepare_reference(pp_step *s) {
  const pp_view *x = &s->args[0];
  int64_t rows = 1;
  for (int d = 0; d < x->rank - s->attrs[1]; d++) rows *= x->shape[d];
  s->tasks = pp_elements(x) ? rows : 0;
  s->scratch = 0;
}

pp_status pp_norm_run_reference(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const pp_view *x = &s->args[0], *weight = &s->args[1], *bias = &s->args[2], *y = &s->results[0];
  int outer = x->rank - (int)s->attrs[1], inner = (int)s->attrs[1];
  int64_t n = 1;
  for (int d = outer; d < x->rank; d++) n *= x->shape[d];
  for (int64_t t = first; t < last; t++) {
    int64_t index[PP_MAX_RANK] = {0};
    pp_unravel(t, outer, x->shape, index);
    const float *xs = (const float *)x->data + pp_offset_of(x, index);
    float *ys = (float *)y->data + pp_offset_of(y, index), mean = 0.0f, square = 0.0f;
    int64_t *in = index + outer;
    memset(in, 0, (size_t)inner * sizeof *in);
    if (s->attrs[0] == PP_NORM_LAYER) {
      for (int64_t i = 0; i < n; i++, pp_advance(inner, x->shape + outer, in)) mean += xs[pp_inner_offset(x, outer, in)];
      mean /= (float)n;
    }
    for (int64_t i = 0; i < n; i++, pp_advance(inner, x->shape + outer, in)) {
      float d = xs[pp_inner_offset(x, outer, in)] - mean;
      square += d * d;
    }
    float scale = 1.0f / __builtin_sqrtf(square / (float)n + (float)s->floats[0]);
    for (int64_t i = 0; i < n; i++, pp_advance(inner, x->shape + outer, in)) {
      float v = (xs[pp_inner_offset(x, outer, in)] - mean) * scale;
      if (pp_present(weight)) v *= ((const float *)weight->data)[pp_inner_offset(weight, 0, in)];
      if (pp_present(bias)) v += ((const float *)bias->data)[pp_inner_offset(bias, 0, in)];
      ys[pp_inner_offset(y, outer, in)] = v;
    }
  }
  return PP_OK;
}
