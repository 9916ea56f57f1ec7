/* Layer and RMS normalization of one instruction set, f32, rows that follow each other in memory. See lanes.h.
 * The mean is corrected by the mean of what it leaves, so that a large offset costs no digits. */
#include "isa.h"
#include "lanes.h"
#include "simd.h"
#include "spread.h"

/* Sum of the row, by four independent vectors. */
static float sum_of(const float *x, int64_t n) {
  vf a = vf_zero(), b = a, c = a, d = a;
  int64_t i = 0;
  for (; i + 4 * PP_W <= n; i += 4 * PP_W) {
    a = a + vf_load(x + i);
    b = b + vf_load(x + i + PP_W);
    c = c + vf_load(x + i + 2 * PP_W);
    d = d + vf_load(x + i + 3 * PP_W);
  }
  for (; i + PP_W <= n; i += PP_W) a = a + vf_load(x + i);
  return vf_sum((a + vf_loadn(x + i, n - i)) + b + (c + d));
}

PP_INLINE vf scaled(vf x, vf mean, vf rest, vf scale, const float *w, const float *b, int64_t lanes) {
  vf v = ((x - mean) - rest) * scale;
  if (w) v = v * vf_loadn(w, lanes);
  return b ? v + vf_loadn(b, lanes) : v;
}

static void normalize(const pp_step *s, const float *x, float *y, int64_t n) {
  const float *w = pp_present(&s->args[1]) ? s->args[1].data : NULL, *b = pp_present(&s->args[2]) ? s->args[2].data : NULL;
  float mean = 0.0f, rest = 0.0f, sum, square, count = (float)n;
  bool layer = s->attrs[0] == PP_NORM_LAYER;
  if (layer) mean = sum_of(x, n) / count;
  spread(x, n, mean, &sum, &square);
  if (layer) rest = sum / count;
  float variance = square / count - rest * rest;
  if (variance < 0.0f) variance = 0.0f;
  vf scale = vf_set(1.0f) / vf_sqrt(vf_set(variance + (float)s->floats[0])), m = vf_set(mean), r = vf_set(rest);
  int64_t i = 0;
  for (; i + PP_W <= n; i += PP_W) {
    vf v = ((vf_load(x + i) - m) - r) * scale;
    if (w) v = v * vf_load(w + i);
    if (b) v = v + vf_load(b + i);
    vf_store(y + i, v);
  }
  if (i == n) return;
  int64_t lanes = n - i;
  vf_storen(y + i, scaled(vf_loadn(x + i, lanes), m, r, scale, w ? w + i : NULL, b ? b + i : NULL, lanes), lanes);
}

pp_status PP_NAME(pp_norm_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const pp_view *x = &s->args[0], *y = &s->results[0];
  pp_norm_plan p;
  pp_norm_lanes(s, &p);
  for (int64_t row = first * p.per; row < PP_MIN(last * p.per, p.rows); row++) {
    int64_t index[PP_MAX_RANK] = {0};
    pp_unravel(row, p.outer, x->shape, index);
    normalize(s, (const float *)x->data + pp_offset_of(x, index), (float *)y->data + pp_offset_of(y, index), p.n);
  }
  return PP_OK;
}
