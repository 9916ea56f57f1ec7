/* Gradients of softmax and of layer and RMS normalization, of one instruction set, f32. See eager.h. */
#include "eager_plan.h"
#include "isa.h"
#include "simd_math.h"
#include "spread.h"

/* What one row gets: (g - sum g y) y, or for log-softmax g - exp(y) sum g. */
static void softmax_row(const float *g, const float *y, float *to, int64_t n, bool log) {
  vf sum = vf_zero();
  int64_t whole = n / PP_W * PP_W, left = n - whole;
  for (int64_t i = 0; i < whole; i += PP_W)
    sum = log ? sum + vf_load(g + i) : vf_fma(vf_load(g + i), vf_load(y + i), sum);
  vf g_end = vf_loadn(g + whole, left), y_end = vf_loadn(y + whole, left);
  vf total = vf_set(vf_sum(log ? sum + g_end : vf_fma(g_end, y_end, sum)));
  for (int64_t i = 0; i < whole; i += PP_W) {
    vf a = vf_load(g + i), b = vf_load(y + i);
    vf_store(to + i, log ? a - vf_exp(b) * total : (a - total) * b);
  }
  vf_storen(to + whole, log ? g_end - vf_exp(y_end) * total : (g_end - total) * y_end, left);
}

/* The same for a vector of rows, whose elements are `step` apart. */
PP_INLINE void softmax_lanes(const float *g, const float *y, float *to, int64_t n, int64_t step, int64_t lanes, bool log) {
  vf total = vf_zero();
  for (int64_t i = 0; i < n; i++) {
    vf a = vf_loadn(g + i * step, lanes);
    total = log ? total + a : vf_fma(a, vf_loadn(y + i * step, lanes), total);
  }
  for (int64_t i = 0; i < n; i++) {
    vf a = vf_loadn(g + i * step, lanes), b = vf_loadn(y + i * step, lanes);
    vf_storen(to + i * step, log ? a - vf_exp(b) * total : (a - total) * b, lanes);
  }
}

pp_status PP_NAME(pp_softmax_grad_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const float *g = s->args[0].data, *y = s->args[1].data;
  float *to = s->results[0].data;
  const int64_t *shape = s->args[0].shape, n = shape[1], inner = shape[2];
  bool log = s->attrs[0] != 0;
  for (int64_t t = first; t < last; t++) {
    if (inner == 1) {
      for (int64_t row = t * s->plan[0]; row < PP_MIN((t + 1) * s->plan[0], shape[0]); row++)
        softmax_row(g + row * n, y + row * n, to + row * n, n, log);
      continue;
    }
    int64_t groups = PP_CEIL_DIV(inner, PP_GROUP), column = t % groups * PP_GROUP, end = PP_MIN(column + PP_GROUP, inner);
    for (int64_t at = t / groups * n * inner; column < end; column += PP_W)
      softmax_lanes(g + at + column, y + at + column, to + at + column, n, inner, PP_MIN(end - column, PP_W), log);
  }
  return PP_OK;
}

/* One row of NORM_GRAD: with z = (x - mean) r and h = g w, (h - mean(h) - z mean(h z)) r; without mean(h) for RMS. */
static void norm_row(const pp_step *s, const float *g, const float *x, float *to, float *stats, int64_t n) {
  const float *w = pp_present(&s->args[2]) ? s->args[2].data : NULL;
  bool layer = s->attrs[0] == PP_NORM_LAYER;
  float mean = 0.0f, sum, square, count = (float)n;
  if (layer) {
    spread(x, n, 0.0f, &sum, &square);
    mean = sum / count;
  }
  spread(x, n, mean, &sum, &square);
  float rest = layer ? sum / count : 0.0f, variance = square / count - rest * rest;
  float scale = 1.0f / vf_lane0(vf_sqrt(vf_set((variance < 0.0f ? 0.0f : variance) + (float)s->floats[0])));
  mean += rest;
  stats[0] = mean, stats[1] = scale;
  vf m = vf_set(mean), r = vf_set(scale), plain = vf_zero(), against = vf_zero();
  for (int64_t i = 0; i < n; i += PP_W) { /* lanes past the end of g are zero */
    int64_t lanes = PP_MIN(n - i, PP_W);
    vf h = vf_loadn(g + i, lanes), z = (vf_loadn(x + i, lanes) - m) * r;
    if (w) h = h * vf_loadn(w + i, lanes);
    plain = plain + h;
    against = vf_fma(h, z, against);
  }
  vf shift = layer ? vf_set(vf_sum(plain) / count) : vf_zero(), slope = vf_set(vf_sum(against) / count);
  for (int64_t i = 0; i < n; i += PP_W) {
    int64_t lanes = PP_MIN(n - i, PP_W);
    vf h = vf_loadn(g + i, lanes), z = (vf_loadn(x + i, lanes) - m) * r;
    if (w) h = h * vf_loadn(w + i, lanes);
    vf_storen(to + i, ((h - shift) - z * slope) * r, lanes);
  }
}

pp_status PP_NAME(pp_norm_grad_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  int64_t rows = s->args[0].shape[0], n = s->args[0].shape[1];
  for (int64_t row = first * s->plan[0]; row < PP_MIN(last * s->plan[0], rows); row++) {
    int64_t at = row * n;
    norm_row(s, (const float *)s->args[0].data + at, (const float *)s->args[1].data + at,
             (float *)s->results[0].data + at, (float *)s->results[1].data + 2 * row, n);
  }
  return PP_OK;
}

/* Sums down columns, `lanes` of each of four vectors; 128 rows at a time, so that long sums keep their digits. */
PP_INLINE void param_columns(const float *g, const float *x, const float *stats, int64_t rows, int64_t n, int64_t width,
                             float *gw, float *gb) {
  vf weight[4], bias[4];
  for (int v = 0; v < 4; v++) weight[v] = bias[v] = vf_zero();
  for (int64_t from = 0; from < rows; from += 128) {
    vf w[4], b[4];
    for (int v = 0; v < 4; v++) w[v] = b[v] = vf_zero();
    for (int64_t row = from; row < PP_MIN(from + 128, rows); row++) {
      vf mean = vf_set(stats[2 * row]), r = vf_set(stats[2 * row + 1]);
      for (int v = 0; v < 4; v++) {
        int64_t lanes = PP_MAX(PP_MIN(width - v * PP_W, PP_W), 0), at = row * n + v * PP_W;
        vf a = lanes == PP_W ? vf_load(g + at) : vf_loadn(g + at, lanes);
        vf z = lanes == PP_W ? vf_load(x + at) : vf_loadn(x + at, lanes);
        b[v] = b[v] + a;
        w[v] = vf_fma(a, (z - mean) * r, w[v]);
      }
    }
    for (int v = 0; v < 4; v++) weight[v] = weight[v] + w[v], bias[v] = bias[v] + b[v];
  }
  for (int v = 0; v < 4; v++) {
    int64_t lanes = PP_MAX(PP_MIN(width - v * PP_W, PP_W), 0);
    vf_storen(gw + v * PP_W, weight[v], lanes);
    vf_storen(gb + v * PP_W, bias[v], lanes);
  }
}

pp_status PP_NAME(pp_norm_param_grad_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch,
                                           pp_error *error) {
  (void)scratch, (void)error;
  int64_t rows = s->args[0].shape[0], n = s->args[0].shape[1];
  const float *g = s->args[0].data, *x = s->args[1].data, *stats = s->args[2].data;
  float *gw = s->results[0].data, *gb = s->results[1].data;
  for (int64_t t = first; t < last; t++) {
    int64_t column = t * PP_EAGER_COLUMNS, end = PP_MIN(column + PP_EAGER_COLUMNS, n);
    for (; column + 4 * PP_W <= end; column += 4 * PP_W)
      param_columns(g + column, x + column, stats, rows, n, 4 * PP_W, gw + column, gb + column);
    for (; column < end; column += 4 * PP_W)
      param_columns(g + column, x + column, stats, rows, n, end - column, gw + column, gb + column);
  }
  return PP_OK;
}
