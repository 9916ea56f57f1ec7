/* Normalization of channels by the batch's own statistics, and its gradient, of one instruction set, f32. See eager.h.
 * A channel of [N, C, P] is N runs of P elements; where P is 1, lanes are channels. */
#include "eager_plan.h"
#include "isa.h"
#include "simd.h"

static const float *optional(const pp_view *v) { return pp_present(v) ? v->data : NULL; }
static float root(float x) { return vf_lane0(vf_sqrt(vf_set(x))); }

/* Sums over a channel of x - mean and of its square; with g of g and g (x - mean). */
static void sums(const float *x, const float *g, int64_t samples, int64_t next, int64_t run, float mean, float *a, float *b) {
  vf m = vf_set(mean);
  float first = 0.0f, second = 0.0f;
  for (int64_t n = 0; n < samples; n++, x += next, g = g ? g + next : NULL) {
    vf s0 = vf_zero(), s1 = s0, q0 = s0, q1 = s0;
    int64_t i = 0;
    for (; i + 2 * PP_W <= run; i += 2 * PP_W) {
      vf u = vf_load(x + i) - m, v = vf_load(x + i + PP_W) - m, c = g ? vf_load(g + i) : u;
      vf d = g ? vf_load(g + i + PP_W) : v;
      s0 = s0 + c, s1 = s1 + d;
      q0 = vf_fma(u, c, q0), q1 = vf_fma(v, d, q1);
    }
    for (; i < run; i += PP_W) {
      int64_t lanes = PP_MIN(run - i, PP_W);
      vf u = vf_select(vi_first(lanes), vf_loadn(x + i, lanes) - m, vf_zero()), c = g ? vf_loadn(g + i, lanes) : u;
      s0 = s0 + c;
      q0 = vf_fma(u, c, q0);
    }
    first += vf_sum(s0 + s1);
    second += vf_sum(q0 + q1);
  }
  *a = first, *b = second;
}

static void channel_forward(const pp_step *s, int64_t c) {
  const int64_t *shape = s->args[0].shape, run = shape[2], next = shape[1] * run;
  const float *x = (const float *)s->args[0].data + c * run, *w = optional(&s->args[1]), *b = optional(&s->args[2]);
  float *y = (float *)s->results[0].data + c * run, sum, square, count = (float)(shape[0] * run);
  sums(x, NULL, shape[0], next, run, 0.0f, &sum, &square);
  float mean = sum / count;
  sums(x, NULL, shape[0], next, run, mean, &sum, &square);
  float rest = sum / count, variance = square / count - rest * rest;
  if (variance < 0.0f) variance = 0.0f;
  ((float *)s->results[1].data)[c] = mean + rest;
  ((float *)s->results[2].data)[c] = variance;
  vf scale = vf_set((w ? w[c] : 1.0f) / root(variance + (float)s->floats[0])), shift = vf_set(b ? b[c] : 0.0f);
  vf m = vf_set(mean), r = vf_set(rest);
  for (int64_t n = 0; n < shape[0]; n++, x += next, y += next) {
    int64_t i = 0;
    for (; i + PP_W <= run; i += PP_W) vf_store(y + i, vf_fma((vf_load(x + i) - m) - r, scale, shift));
    if (i < run) vf_storen(y + i, vf_fma((vf_loadn(x + i, run - i) - m) - r, scale, shift), run - i);
  }
}

/* The same for a vector of channels with one element per sample. */
static void lanes_forward(const pp_step *s, int64_t c, int64_t lanes) {
  int64_t samples = s->args[0].shape[0], next = s->args[0].shape[1];
  const float *x = (const float *)s->args[0].data + c, *w = optional(&s->args[1]), *b = optional(&s->args[2]);
  float *y = (float *)s->results[0].data + c;
  vf count = vf_set((float)samples), sum = vf_zero(), square = sum;
  for (int64_t n = 0; n < samples; n++) sum = sum + vf_loadn(x + n * next, lanes);
  vf mean = sum / count;
  sum = vf_zero();
  for (int64_t n = 0; n < samples; n++) {
    vf d = vf_loadn(x + n * next, lanes) - mean;
    sum = sum + d;
    square = vf_fma(d, d, square);
  }
  vf rest = sum / count, variance = vf_max(square / count - rest * rest, vf_zero());
  vf_storen((float *)s->results[1].data + c, mean + rest, lanes);
  vf_storen((float *)s->results[2].data + c, variance, lanes);
  vf scale = vf_set(1.0f) / vf_sqrt(variance + vf_set((float)s->floats[0]));
  if (w) scale = scale * vf_loadn(w + c, lanes);
  vf shift = b ? vf_loadn(b + c, lanes) : vf_zero();
  for (int64_t n = 0; n < samples; n++)
    vf_storen(y + n * next, vf_fma((vf_loadn(x + n * next, lanes) - mean) - rest, scale, shift), lanes);
}

/* gx = g scale + (x - mean) slope + shift, where slope and shift carry what the statistics pass on. */
static void channel_backward(const pp_step *s, int64_t c) {
  const int64_t *shape = s->args[0].shape, run = shape[2], next = shape[1] * run;
  const float *g = (const float *)s->args[0].data + c * run, *x = (const float *)s->args[1].data + c * run;
  const float *w = optional(&s->args[2]);
  float mean = ((const float *)s->args[3].data)[c], var = ((const float *)s->args[4].data)[c];
  float gmean = ((const float *)s->args[5].data)[c], gvar = ((const float *)s->args[6].data)[c];
  float *gx = (float *)s->results[0].data + c * run, total, against, count = (float)(shape[0] * run);
  sums(x, g, shape[0], next, run, mean, &total, &against);
  float r = 1.0f / root(var + (float)s->floats[0]), scale = w ? r * w[c] : r;
  ((float *)s->results[1].data)[c] = against * r;
  ((float *)s->results[2].data)[c] = total;
  vf slope = vf_set((2.0f * gvar - scale * r * r * against) / count), shift = vf_set((gmean - scale * total) / count);
  vf m = vf_set(mean), k = vf_set(scale);
  for (int64_t n = 0; n < shape[0]; n++, g += next, x += next, gx += next) {
    int64_t i = 0;
    for (; i + PP_W <= run; i += PP_W)
      vf_store(gx + i, vf_fma(vf_load(g + i), k, vf_fma(vf_load(x + i) - m, slope, shift)));
    if (i == run) continue;
    int64_t left = run - i;
    vf_storen(gx + i, vf_fma(vf_loadn(g + i, left), k, vf_fma(vf_loadn(x + i, left) - m, slope, shift)), left);
  }
}

static void lanes_backward(const pp_step *s, int64_t c, int64_t lanes) {
  int64_t samples = s->args[0].shape[0], next = s->args[0].shape[1];
  const float *g = (const float *)s->args[0].data + c, *x = (const float *)s->args[1].data + c;
  const float *w = optional(&s->args[2]);
  float *gx = (float *)s->results[0].data + c;
  vf at[4], total = vf_zero(), against = total, count = vf_set((float)samples);
  for (int i = 0; i < 4; i++) at[i] = vf_loadn((const float *)s->args[3 + i].data + c, lanes);
  for (int64_t n = 0; n < samples; n++) {
    vf v = vf_loadn(g + n * next, lanes);
    total = total + v;
    against = vf_fma(v, vf_loadn(x + n * next, lanes) - at[0], against);
  }
  vf r = vf_set(1.0f) / vf_sqrt(at[1] + vf_set((float)s->floats[0])), scale = w ? r * vf_loadn(w + c, lanes) : r;
  vf_storen((float *)s->results[1].data + c, against * r, lanes);
  vf_storen((float *)s->results[2].data + c, total, lanes);
  vf slope = (at[3] + at[3] - scale * r * r * against) / count, shift = (at[2] - scale * total) / count;
  for (int64_t n = 0; n < samples; n++) {
    vf v = vf_loadn(g + n * next, lanes), d = vf_loadn(x + n * next, lanes) - at[0];
    vf_storen(gx + n * next, vf_fma(v, scale, vf_fma(d, slope, shift)), lanes);
  }
}

pp_status PP_NAME(pp_channel_norm_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const int64_t *shape = s->args[0].shape;
  for (int64_t t = first; t < last; t++) {
    if (shape[2] > 1) channel_forward(s, t);
    else
      for (int64_t c = t * PP_GROUP; c < PP_MIN((t + 1) * PP_GROUP, shape[1]); c += PP_W)
        lanes_forward(s, c, PP_MIN(shape[1] - c, PP_W));
  }
  return PP_OK;
}

pp_status PP_NAME(pp_channel_norm_grad_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch,
                                             pp_error *error) {
  (void)scratch, (void)error;
  const int64_t *shape = s->args[0].shape;
  for (int64_t t = first; t < last; t++) {
    if (shape[2] > 1) channel_backward(s, t);
    else
      for (int64_t c = t * PP_GROUP; c < PP_MIN((t + 1) * PP_GROUP, shape[1]); c += PP_W)
        lanes_backward(s, c, PP_MIN(shape[1] - c, PP_W));
  }
  return PP_OK;
}
