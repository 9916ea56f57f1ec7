/* Pooling of planes, its gradient, and addition of rows at indices, of one instruction set, f32. See eager.h and
 * eager_pool.h. */
#include "eager_pool.h"
#include "isa.h"
#include "simd.h"

PP_INLINE vf combine(vf a, vf b, bool max) { return max ? vf_max(a, b) : a + b; }

/* What the planes of one run share: tables by output column, and lines. */
typedef struct pool {
  const pp_step *s;            /* the forward step */
  int64_t stride, wide, out, run;
  bool max;
  int64_t *offset;             /* of a tap in a sorted line */
  pp_window *column;           /* of an output column */
  float *divisor;              /* its part of the divisor */
  float *line, *sorted;        /* a combined line of the image, and the same by place modulo the stride, with borders */
  int32_t *at, *sorted_at, *best; /* positions in the plane */
} pool;

static pool pool_start(const pp_step *s, void *scratch) {
  const int64_t *a = s->attrs;
  pool p = {.s = s, .stride = a[4], .wide = s->args[0].shape[3], .out = s->results[0].shape[3], .max = a[0] == PP_POOL_MAX};
  p.run = pp_pool_run(s, p.out);
  p.offset = scratch;
  p.column = (pp_window *)(void *)(p.offset + a[2]);
  p.divisor = (float *)(void *)(p.column + p.out);
  p.line = p.divisor + p.out + 16;
  p.sorted = p.line + p.wide + 16;
  p.at = (int32_t *)(void *)(p.sorted + p.run * p.stride);
  p.sorted_at = p.at + p.wide + 16;
  p.best = p.sorted_at + p.run * p.stride;
  for (int64_t j = 0; j < a[2]; j++) p.offset[j] = j * a[10] % p.stride * p.run + j * a[10] / p.stride;
  pp_window one = {0, 1, 1, 1};
  for (int64_t k = 0; k < p.out; k++) {
    p.column[k] = pp_pool_window(s, 1, k);
    p.divisor[k] = p.max || a[12] ? 1.0f : pp_pool_divisor(s, &one, &p.column[k]);
  }
  for (int64_t i = 0; i < p.run * p.stride; i++) p.sorted[i] = p.max ? -__builtin_inff() : 0.0f, p.sorted_at[i] = INT32_MAX;
  return p;
}

/* What all columns of an output line are divided by. */
static float row_divisor(const pool *p, const pp_window *h) {
  pp_window one = {0, 1, 1, 1};
  return p->s->attrs[12] ? (float)p->s->attrs[12] : pp_pool_divisor(p->s, h, &one);
}

/* Elements of 4 bytes of a line, sorted by their place modulo the stride, behind the border. */
static void sort(const pool *p, const void *line, void *sorted) {
  const float *from = line;
  int64_t pad = p->s->attrs[6];
  for (int64_t r = 0; r < p->stride; r++) {
    int64_t first = r < pad ? PP_CEIL_DIV(pad - r, p->stride) : 0, start = first * p->stride + r - pad;
    int64_t n = PP_MIN(start < p->wide ? (p->wide - 1 - start) / p->stride + 1 : 0, p->run - first);
    float *to = (float *)sorted + r * p->run + first;
    if (p->stride == 1) memcpy(to, from + start, (size_t)PP_MAX(n, 0) * sizeof *to);
    else if (p->stride == 2)
      for (int64_t i = 0; i < n; i++) to[i] = from[start + 2 * i];
    else
      for (int64_t i = 0; i < n; i++) to[i] = from[start + i * p->stride];
  }
}

/* line[0, wide) = the combination of the lines of a window. */
static void down(const pool *p, const float *plane, int64_t stride, const pp_window *h) {
  const float *from = plane + h->first * stride;
  int64_t i = 0;
  for (; i + PP_W <= p->wide; i += PP_W) {
    vf acc = vf_load(from + i);
    for (int64_t k = 1; k < h->count; k++) acc = combine(acc, vf_load(from + k * h->step * stride + i), p->max);
    vf_store(p->line + i, acc);
  }
  if (i == p->wide) return;
  int64_t left = p->wide - i;
  vf acc = vf_loadn(from + i, left);
  for (int64_t k = 1; k < h->count; k++) acc = combine(acc, vf_loadn(from + k * h->step * stride + i, left), p->max);
  vf_store(p->line + i, acc); /* there is room behind a line */
}

pp_status PP_NAME(pp_pool2d_run_dense_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)error;
  const pp_view *x = &s->args[0], *y = &s->results[0];
  pool p = pool_start(s, scratch);
  for (int64_t t = first; t < last; t++) {
    int64_t n = t / y->shape[1], c = t % y->shape[1];
    const float *plane = (const float *)x->data + n * x->stride[0] + c * x->stride[1];
    float *to = (float *)y->data + n * y->stride[0] + c * y->stride[1];
    for (int64_t oh = 0; oh < y->shape[2]; oh++, to += y->stride[2]) {
      pp_window h = pp_pool_window(s, 0, oh);
      if (h.count) down(&p, plane, x->stride[2], &h);
      else
        for (int64_t i = 0; i < p.wide; i++) p.line[i] = p.max ? -__builtin_inff() : 0.0f;
      sort(&p, p.line, p.sorted);
      vf divisor = vf_set(p.max ? 1.0f : row_divisor(&p, &h));
      for (int64_t k = 0; k < p.out; k += PP_W) {
        vf acc = vf_load(p.sorted + k);
        for (int64_t j = 1; j < s->attrs[2]; j++) acc = combine(acc, vf_load(p.sorted + p.offset[j] + k), p.max);
        if (!p.max) acc = acc / (divisor * vf_load(p.divisor + k));
        if (k + PP_W <= p.out) vf_store(to + k, acc);
        else vf_storen(to + k, acc, p.out - k);
      }
    }
  }
  return PP_OK;
}

/* v is better than top: larger, NaN, or as large and further to the front of the plane. */
PP_INLINE vi better(vf v, vi at, vf top, vi best) {
  return vf_lt(top, v) | vf_isnan(v) | (vf_eq(v, top) & vi_lt(at, best));
}

/* A window's gradient goes to the first of its maxima, or to a NaN: down the columns first, then along lines. */
static void max_plane(const pool *p, const float *g, const float *x, float *gx) {
  const pp_step *s = p->s;
  int64_t wide = p->wide;
  for (int64_t oh = 0; oh < s->results[0].shape[2]; oh++, g += p->out) {
    pp_window h = pp_pool_window(s, 0, oh);
    if (!h.count) continue;
    for (int64_t i = 0; i < wide; i += PP_W) {
      int64_t lanes = PP_MIN(wide - i, PP_W), from = h.first * wide + i;
      vi lane = vi_add(vi_load(pp_lane_numbers), vi_set((int32_t)from)), best = lane;
      vf top = lanes == PP_W ? vf_load(x + from) : vf_loadn(x + from, lanes);
      for (int64_t k = 1; k < h.count; k++) {
        const float *next = x + from + k * h.step * wide;
        vf v = lanes == PP_W ? vf_load(next) : vf_loadn(next, lanes);
        vi more = vf_lt(top, v) | vf_isnan(v);
        top = vf_select(more, v, top);
        best = vi_select(more, vi_add(lane, vi_set((int32_t)(k * h.step * wide))), best);
      }
      vf_store(p->line + i, top);
      vi_store(p->at + i, best);
    }
    sort(p, p->line, p->sorted);
    sort(p, p->at, p->sorted_at);
    for (int64_t k = 0; k < p->out; k += PP_W) {
      vf top = vf_load(p->sorted + k);
      vi best = vi_load(p->sorted_at + k);
      for (int64_t j = 1; j < s->attrs[2]; j++) {
        vf v = vf_load(p->sorted + p->offset[j] + k);
        vi at = vi_load(p->sorted_at + p->offset[j] + k), more = better(v, at, top, best);
        top = vf_select(more, v, top);
        best = vi_select(more, at, best);
      }
      vi_store(p->best + k, best);
    }
    for (int64_t k = 0; k < p->out; k++)
      if (p->best[k] != INT32_MAX) gx[p->best[k]] += g[k];
  }
}

static void avg_plane(const pool *p, const float *g, float *gx) {
  const pp_step *s = p->s;
  int64_t wide = p->wide;
  for (int64_t oh = 0; oh < s->results[0].shape[2]; oh++, g += p->out) {
    pp_window h = pp_pool_window(s, 0, oh);
    float divisor = row_divisor(p, &h);
    memset(p->line, 0, (size_t)wide * sizeof *p->line);
    for (int64_t k = 0; k < p->out; k++) {
      const pp_window *w = &p->column[k];
      float share = g[k] / (divisor * p->divisor[k]);
      for (int64_t j = 0; j < w->count; j++) p->line[w->first + j * w->step] += share;
    }
    for (int64_t i = 0; i < h.count; i++) {
      float *to = gx + (h.first + i * h.step) * wide;
      int64_t k = 0;
      for (; k + PP_W <= wide; k += PP_W) vf_store(to + k, vf_load(to + k) + vf_load(p->line + k));
      if (k < wide) vf_storen(to + k, vf_loadn(to + k, wide - k) + vf_load(p->line + k), wide - k);
    }
  }
}

pp_status PP_NAME(pp_pool_grad_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)error;
  const int64_t *out = s->args[0].shape, *in = s->results[0].shape;
  pp_step forward = *s;
  forward.args = s->results, forward.results = s->args;
  pool p = pool_start(&forward, scratch);
  for (int64_t t = first; t < last; t++) {
    const float *g = (const float *)s->args[0].data + t * out[2] * out[3];
    float *gx = (float *)s->results[0].data + t * in[2] * in[3];
    memset(gx, 0, (size_t)(in[2] * in[3]) * sizeof *gx);
    if (p.max) max_plane(&p, g, (const float *)s->args[1].data + t * in[2] * in[3], gx);
    else avg_plane(&p, g, gx);
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
