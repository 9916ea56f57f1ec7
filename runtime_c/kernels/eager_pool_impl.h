/* Pooling of planes, its gradient, and addition of rows at indices, of one instruction set, f32. See eager.h and
 * eager_pool.h. */
#include "eager_pool.h"
#include "isa.h"
#include "simd.h"

PP_INLINE vf combine(vf a, vf b, bool max) { return max ? vf_max(a, b) : a + b; }

/* to[0, n) = the combination of `taps` lines of x, from line `h` on, step by step. */
static void down(const float *x, int64_t stride, const pp_window *h, int64_t n, bool max, float *to) {
  const float *line = x + h->first * stride;
  for (int64_t i = 0; i < n; i += PP_W) {
    int64_t lanes = PP_MIN(n - i, PP_W);
    vf acc = vf_loadn(line + i, lanes);
    for (int64_t k = 1; k < h->count; k++) acc = combine(acc, vf_loadn(line + k * h->step * stride + i, lanes), max);
    vf_storen(to + i, acc, lanes);
  }
}

pp_status PP_NAME(pp_pool2d_run_dense_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)error;
  const pp_view *x = &s->args[0], *y = &s->results[0];
  const int64_t *a = s->attrs, wide = x->shape[3], out = y->shape[3], stride = a[4];
  bool max = a[0] == PP_POOL_MAX;
  int64_t run = pp_pool_run(s, out);
  float *sums = scratch, *sorted = sums + wide + 16, outside = max ? -__builtin_inff() : 0.0f;
  /* Columns sorted by their place modulo the stride, so that neighbouring windows read neighbours; borders stay. */
  for (int64_t i = 0; i < run * stride; i++) sorted[i] = outside;
  for (int64_t t = first; t < last; t++) {
    int64_t n = t / y->shape[1], c = t % y->shape[1];
    const float *plane = (const float *)x->data + n * x->stride[0] + c * x->stride[1];
    float *to = (float *)y->data + n * y->stride[0] + c * y->stride[1];
    for (int64_t oh = 0; oh < y->shape[2]; oh++, to += y->stride[2]) {
      pp_window h = pp_pool_window(s, 0, oh);
      if (h.count) down(plane, x->stride[2], &h, wide, max, sums);
      else
        for (int64_t i = 0; i < wide; i++) sums[i] = outside;
      for (int64_t r = 0; r < stride; r++) {
        int64_t from = r < a[6] ? PP_CEIL_DIV(a[6] - r, stride) : 0, at = from * stride + r - a[6];
        float *row = sorted + r * run;
        if (stride == 1) {
          memcpy(row + a[6], sums, (size_t)PP_MIN(wide, run - a[6]) * sizeof *row);
          continue;
        }
        for (; at < wide && from < run; at += stride, from++) row[from] = sums[at];
      }
      for (int64_t k = 0; k < out; k += PP_W) {
        vf acc = vf_load(sorted + k);
        for (int64_t j = 1; j < a[2]; j++) {
          int64_t at = j * a[10];
          acc = combine(acc, vf_load(sorted + at % stride * run + at / stride + k), max);
        }
        vf_storen(to + k, acc, PP_MIN(out - k, PP_W));
      }
      if (max) continue;
      for (int64_t k = 0; k < out; k++) {
        pp_window w = pp_pool_window(s, 1, k);
        to[k] /= pp_pool_divisor(s, &h, &w);
      }
    }
  }
  return PP_OK;
}

/* A window's gradient goes to its first maximum, or to its last NaN. `s` is here the forward step. */
static void max_plane(const pp_step *s, const float *g, const float *x, float *gx) {
  const int64_t *out = s->results[0].shape, wide = s->args[0].shape[3];
  for (int64_t oh = 0; oh < out[2]; oh++) {
    pp_window h = pp_pool_window(s, 0, oh);
    for (int64_t ow = 0; ow < out[3]; ow++, g++) {
      pp_window w = pp_pool_window(s, 1, ow);
      int64_t best = h.first * wide + w.first;
      if (!h.count || !w.count) continue;
      float top = x[best];
      for (int64_t i = 0; i < h.count; i++) {
        int64_t at = (h.first + i * h.step) * wide + w.first;
        for (int64_t j = 0; j < w.count; j++, at += w.step) {
          float v = x[at];
          bool better = (v > top) | (v != v);
          best = better ? at : best;
          top = better ? v : top;
        }
      }
      gx[best] += *g;
    }
  }
}

static void avg_plane(const pp_step *s, const float *g, float *gx, float *line) {
  const int64_t *out = s->results[0].shape, wide = s->args[0].shape[3];
  for (int64_t oh = 0; oh < out[2]; oh++, g += out[3]) {
    pp_window h = pp_pool_window(s, 0, oh);
    memset(line, 0, (size_t)wide * sizeof *line);
    for (int64_t ow = 0; ow < out[3]; ow++) {
      pp_window w = pp_pool_window(s, 1, ow);
      float share = g[ow] / pp_pool_divisor(s, &h, &w);
      for (int64_t j = 0; j < w.count; j++) line[w.first + j * w.step] += share;
    }
    for (int64_t i = 0; i < h.count; i++) {
      float *to = gx + (h.first + i * h.step) * wide;
      for (int64_t k = 0; k < wide; k += PP_W) {
        int64_t lanes = PP_MIN(wide - k, PP_W);
        vf_storen(to + k, vf_loadn(to + k, lanes) + vf_loadn(line + k, lanes), lanes);
      }
    }
  }
}

pp_status PP_NAME(pp_pool_grad_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)error;
  const int64_t *out = s->args[0].shape, *in = s->results[0].shape;
  pp_step forward = *s;
  forward.args = s->results, forward.results = s->args;
  for (int64_t t = first; t < last; t++) {
    const float *g = (const float *)s->args[0].data + t * out[2] * out[3];
    float *gx = (float *)s->results[0].data + t * in[2] * in[3];
    memset(gx, 0, (size_t)(in[2] * in[3]) * sizeof *gx);
    if (s->attrs[0] == PP_POOL_MAX) max_plane(&forward, g, (const float *)s->args[1].data + t * in[2] * in[3], gx);
    else avg_plane(&forward, g, gx, scratch);
  }
  return PP_OK;
}

pp_status PP_NAME(pp_scatter_add_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch;
  const float *v = s->args[0].data;
  const int64_t *index = s->args[1].data, n = s->args[0].shape[0], d = s->args[0].shape[1], rows = s->results[0].shape[0];
  for (int64_t t = first; t < last; t++) {
    int64_t from = t * s->plan[0], end = PP_MIN(from + s->plan[0], d);
    for (int64_t i = 0; i < n; i++) {
      if (index[i] < 0 || index[i] >= rows) return pp_fail(error, PP_ERR_INDEX, 1, index[i], rows);
      float *to = (float *)s->results[0].data + index[i] * d;
      int64_t k = from;
      for (; k + PP_W <= end; k += PP_W) vf_store(to + k, vf_load(to + k) + vf_load(v + i * d + k));
      for (; k < end; k++) to[k] += v[i * d + k];
    }
  }
  return PP_OK;
}
