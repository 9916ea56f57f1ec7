/* Sums, means, maxima and minima of one instruction set, f32. See lanes.h. Sums are flushed to a total every 256
 * additions of a lane, so that the error grows with the number of flushes only. */
#include "isa.h"
#include "lanes.h"
#include "simd.h"

#define FLUSH 256

/* Steps to the next run of what is reduced; the last walked dimension is the caller's. */
PP_INLINE int64_t outside(const pp_reduce_walk *w, const int64_t *index) {
  int64_t at = 0;
  for (int d = 0; d + 1 < w->over; d++) at += index[d] * w->over_x[d];
  return at;
}

static float sum_along(const float *x, const pp_reduce_walk *w) {
  int64_t run = w->over_size[w->over - 1], index[PP_MAX_RANK] = {0}, adds = 0;
  vf total = vf_zero(), a = total, b = total, c = total, d = total;
  for (int64_t r = w->count / run; r > 0; r--, pp_advance(w->over - 1, w->over_size, index)) {
    const float *p = x + outside(w, index);
    int64_t i = 0;
    while (i < run) {
      int64_t end = PP_MIN(run - i, (FLUSH - adds) * 4 * PP_W) + i;
      for (; i + 4 * PP_W <= end; i += 4 * PP_W, adds++) {
        a = a + vf_load(p + i);
        b = b + vf_load(p + i + PP_W);
        c = c + vf_load(p + i + 2 * PP_W);
        d = d + vf_load(p + i + 3 * PP_W);
      }
      if (i < end) adds++;
      for (; i + PP_W <= end; i += PP_W) a = a + vf_load(p + i);
      if (i < end) b = b + vf_loadn(p + i, end - i), i = end;
      if (adds < FLUSH) continue;
      total = total + ((a + b) + (c + d));
      a = b = c = d = vf_zero();
      adds = 0;
    }
  }
  return vf_sum(total + ((a + b) + (c + d)));
}

PP_INLINE vf extreme(vf a, vf b, bool max) { return max ? vf_max(a, b) : vf_min(a, b); }

static float extreme_along(const float *x, const pp_reduce_walk *w, bool max) {
  int64_t run = w->over_size[w->over - 1], index[PP_MAX_RANK] = {0};
  vf rest = vf_set(max ? -__builtin_inff() : __builtin_inff()), a = rest, b = rest;
  for (int64_t r = w->count / run; r > 0; r--, pp_advance(w->over - 1, w->over_size, index)) {
    const float *p = x + outside(w, index);
    int64_t i = 0;
    for (; i + 2 * PP_W <= run; i += 2 * PP_W) {
      a = extreme(a, vf_load(p + i), max);
      b = extreme(b, vf_load(p + i + PP_W), max);
    }
    for (; i < run; i += PP_W) {
      int64_t n = PP_MIN(run - i, PP_W);
      a = extreme(a, vf_select(vi_first(n), vf_loadn(p + i, n), rest), max);
    }
  }
  a = extreme(a, b, max);
  return max ? vf_highest(a) : vf_lowest(a);
}

/* One vector of results; every element of a lane is `last` of the walk apart. */
PP_INLINE vf across(const float *x, const pp_reduce_walk *w, int64_t kind, int64_t lanes) {
  int64_t run = w->over_size[w->over - 1], step = w->over_x[w->over - 1], index[PP_MAX_RANK] = {0}, adds = 0;
  bool sums = kind == PP_REDUCE_SUM || kind == PP_REDUCE_MEAN, max = kind == PP_REDUCE_MAX;
  vf total = vf_zero(), part = sums ? total : vf_loadn(x, lanes);
  for (int64_t r = w->count / run; r > 0; r--, pp_advance(w->over - 1, w->over_size, index)) {
    const float *p = x + outside(w, index);
    if (!sums) {
      for (int64_t i = 0; i < run; i++) part = extreme(part, vf_loadn(p + i * step, lanes), max);
      continue;
    }
    for (int64_t i = 0; i < run; i++) {
      part = part + vf_loadn(p + i * step, lanes);
      if (++adds == FLUSH) {
        total = total + part;
        part = vf_zero();
        adds = 0;
      }
    }
  }
  if (kind == PP_REDUCE_MEAN) return (total + part) / vf_set((float)w->count);
  return sums ? total + part : part;
}

pp_status PP_NAME(pp_reduce_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const float *x = s->args[0].data;
  float *y = s->results[0].data;
  int64_t kind = s->attrs[0], from, to;
  pp_reduce_lanes p;
  pp_reduce_lanes_plan(s, &p);
  for (int64_t t = first; t < last; t++) {
    pp_reduce_at(&p.walk, t / p.groups, &from, &to);
    if (p.lane < 0) {
      switch (kind) {
        case PP_REDUCE_SUM: y[to] = sum_along(x + from, &p.walk); break;
        case PP_REDUCE_MEAN: y[to] = sum_along(x + from, &p.walk) / (float)p.walk.count; break;
        default: y[to] = extreme_along(x + from, &p.walk, kind == PP_REDUCE_MAX);
      }
      continue;
    }
    int64_t column = t % p.groups * PP_GROUP, end = PP_MIN(column + PP_GROUP, p.columns);
    for (; column < end; column += PP_W) {
      int64_t lanes = PP_MIN(end - column, PP_W);
      /* Two calls: a constant number of lanes loads whole vectors. */
      vf v = lanes == PP_W ? across(x + from + column, &p.walk, kind, PP_W)
                           : across(x + from + column, &p.walk, kind, lanes);
      vf_storen(y + to + column, v, lanes);
    }
  }
  return PP_OK;
}
