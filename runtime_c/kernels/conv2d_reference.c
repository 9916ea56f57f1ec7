/* Convolutions of any strides, groups and packing, f32, one result at a time: bias, then (kh, kw, c) ascending,
 * residual, clamp. */
#include "common.h"
#include "pointwise.h"

bool pp_conv2d_accepts_reference(const pp_step *s) {
  return pp_dense_f32(&s->args[0]) && s->args[1].dtype == PP_DTYPE_F32 && pp_absent_or_f32(&s->args[2]) &&
         pp_absent_or_f32(&s->args[3]) && pp_dense_f32(&s->results[0]);
}

/* A task is one row of one output channel. */
void pp_conv2d_prepare_reference(pp_step *s) {
  const pp_view *y = &s->results[0];
  s->tasks = pp_elements(y) ? y->shape[0] * y->shape[1] * y->shape[2] : 0;
  s->scratch = pp_epilogue_scratch(s);
}

/* Where the weights of output channel o are: tap (kh, kw) and channel c at `at` + kh down + kw right + c step. */
typedef struct weights {
  int64_t at, down, right, step;
} weights;

static weights weights_of(const pp_view *w, int64_t groups, int64_t o) {
  int64_t taps = w->shape[2] * w->shape[3], right = w->shape[1] * 16;
  if (w->pack == PP_PACK_CONV_PANEL16) {
    int64_t per = w->shape[0] / groups, panels = PP_CEIL_DIV(per, 16), in = o % per;
    return (weights){(o / per * panels + in / 16) * taps * right + in % 16, w->shape[3] * right, right, 16};
  }
  if (w->pack == PP_PACK_DEPTHWISE16) return (weights){o / 16 * taps * 16 + o % 16, w->shape[3] * 16, 16, 16};
  return (weights){o * w->stride[0], w->stride[2], w->stride[3], w->stride[1]};
}

static float one_result(const pp_step *s, const int64_t *at) {
  const pp_view *x = &s->args[0], *w = &s->args[1], *bias = &s->args[2], *residual = &s->args[3];
  const int64_t *a = s->attrs;
  int64_t channels = w->shape[1], first = at[1] / (w->shape[0] / a[8]) * channels;
  const float *xs = (const float *)x->data + at[0] * x->stride[0] + first * x->stride[1], *ws = w->data;
  weights k = weights_of(w, a[8], at[1]);
  float acc = pp_present(bias) ? ((const float *)bias->data)[at[1] * bias->stride[0]] : 0.0f;
  for (int64_t kh = 0; kh < w->shape[2]; kh++) {
    int64_t ih = at[2] * a[0] - a[2] + kh * a[6];
    if (ih < 0 || ih >= x->shape[2]) continue;
    for (int64_t kw = 0; kw < w->shape[3]; kw++) {
      int64_t iw = at[3] * a[1] - a[3] + kw * a[7];
      if (iw < 0 || iw >= x->shape[3]) continue;
      const float *from = xs + ih * x->stride[2] + iw * x->stride[3], *weight = ws + k.at + kh * k.down + kw * k.right;
      for (int64_t c = 0; c < channels; c++) acc += from[c * x->stride[1]] * weight[c * k.step];
    }
  }
  if (pp_present(residual)) acc += ((const float *)residual->data)[pp_offset_of(residual, at)];
  if (acc < (float)s->floats[0]) acc = (float)s->floats[0];
  if (acc > (float)s->floats[1]) acc = (float)s->floats[1];
  return acc;
}

pp_status pp_conv2d_run_reference(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  const pp_view *y = &s->results[0];
  int64_t size[4] = {1, 1, 1, y->shape[3]};
  for (int64_t t = first; t < last; t++) {
    int64_t at[4] = {0};
    pp_unravel(t, 3, y->shape, at);
    for (at[3] = 0; at[3] < y->shape[3]; at[3]++) ((float *)y->data)[pp_offset_of(y, at)] = one_result(s, at);
    at[3] = 0;
    if (s->program.count) {
      pp_status status = pp_epilogue_reference(s, at, size, scratch, error);
      if (status != PP_OK) return status;
    }
  }
  return PP_OK;
}
