/* Reductions of any dtype, axes and strides, one result at a time. */
#include "reduce.h"

bool pp_reduce_accepts_reference(const pp_step *s) {
  const pp_view *x = &s->args[0];
  switch (s->attrs[0]) {
    case PP_REDUCE_ANY: case PP_REDUCE_ALL: return x->dtype == PP_DTYPE_BOOL;
    case PP_REDUCE_MEAN: return x->dtype == PP_DTYPE_F32 || (PP_WITH_WIDE && x->dtype == PP_DTYPE_F64);
    default:
      return x->dtype == PP_DTYPE_F32 || x->dtype == PP_DTYPE_I32 ||
             (PP_WITH_WIDE && (x->dtype == PP_DTYPE_F64 || x->dtype == PP_DTYPE_I64));
  }
}

void pp_reduce_prepare_reference(pp_step *s) {
  s->tasks = pp_elements(&s->results[0]);
  s->scratch = 0;
}

/* Walks the elements of one result: `at` is an element offset, `run` elements follow it at `step`. */
typedef struct walker {
  int64_t index[PP_MAX_RANK], at, run, step, left;
} walker;

static void walk_start(walker *k, const pp_reduce_walk *w, int64_t base) {
  memset(k->index, 0, sizeof k->index);
  k->at = base;
  k->run = w->over_size[w->over - 1];
  k->step = w->over_x[w->over - 1];
  k->left = w->count ? w->count / k->run : 0;
}

static void walk_next(walker *k, const pp_reduce_walk *w, int64_t base) {
  pp_advance(w->over - 1, w->over_size, k->index);
  k->at = base;
  for (int d = 0; d + 1 < w->over; d++) k->at += k->index[d] * w->over_x[d];
  k->left--;
}

/* Floats are summed in short runs first, so that the error grows with the number of runs only. */
#define FLOAT_SUM(NAME, TYPE)                                                             \
  static TYPE NAME(const TYPE *x, const pp_reduce_walk *w, int64_t base) {                \
    walker k;                                                                             \
    TYPE total = 0, part = 0;                                                             \
    int64_t n = 0;                                                                        \
    for (walk_start(&k, w, base); k.left > 0; walk_next(&k, w, base))                     \
      for (int64_t i = 0; i < k.run; i++) {                                               \
        part += x[k.at + i * k.step];                                                     \
        if ((++n & 255) == 0) { total += part; part = 0; }                                \
      }                                                                                   \
    return total + part;                                                                  \
  }
#define INT_SUM(NAME, TYPE, UTYPE)                                                        \
  static TYPE NAME(const TYPE *x, const pp_reduce_walk *w, int64_t base) {                \
    walker k;                                                                             \
    UTYPE total = 0;                                                                      \
    for (walk_start(&k, w, base); k.left > 0; walk_next(&k, w, base))                     \
      for (int64_t i = 0; i < k.run; i++) total += (UTYPE)x[k.at + i * k.step];           \
    return (TYPE)total;                                                                   \
  }
#define REST(SUFFIX, TYPE, UTYPE)                                                         \
  static TYPE prod_##SUFFIX(const TYPE *x, const pp_reduce_walk *w, int64_t base) {       \
    walker k;                                                                             \
    UTYPE total = 1;                                                                      \
    for (walk_start(&k, w, base); k.left > 0; walk_next(&k, w, base))                     \
      for (int64_t i = 0; i < k.run; i++) total *= (UTYPE)x[k.at + i * k.step];           \
    return (TYPE)total;                                                                   \
  }                                                                                       \
  /* Position and value of the first extreme element; NaN beats everything and stays. */  \
  static TYPE extreme_##SUFFIX(const TYPE *x, const pp_reduce_walk *w, int64_t base,      \
                               bool max, int64_t *where) {                                \
    walker k;                                                                             \
    TYPE best = x[base];                                                                  \
    int64_t n = 0;                                                                        \
    *where = 0;                                                                           \
    for (walk_start(&k, w, base); k.left > 0; walk_next(&k, w, base))                     \
      for (int64_t i = 0; i < k.run; i++, n++) {                                          \
        TYPE v = x[k.at + i * k.step];                                                    \
        if (best == best && (v != v || (max ? v > best : v < best))) { best = v; *where = n; } \
      }                                                                                   \
    return best;                                                                          \
  }                                                                                       \
  static void reduce_##SUFFIX(int64_t kind, const void *xs, void *ys, const pp_reduce_walk *w, int64_t from, int64_t to) { \
    const TYPE *x = xs;                                                                   \
    TYPE *y = ys;                                                                         \
    int64_t where, max = kind == PP_REDUCE_MAX || kind == PP_REDUCE_ARGMAX;               \
    switch (kind) {                                                                       \
      case PP_REDUCE_SUM: y[to] = sum_##SUFFIX(x, w, from); break;                        \
      case PP_REDUCE_MEAN: y[to] = (TYPE)(sum_##SUFFIX(x, w, from) / (TYPE)w->count); break; \
      case PP_REDUCE_PROD: y[to] = prod_##SUFFIX(x, w, from); break;                      \
      case PP_REDUCE_MAX: case PP_REDUCE_MIN: y[to] = extreme_##SUFFIX(x, w, from, max, &where); break; \
      default:                                                                            \
        extreme_##SUFFIX(x, w, from, max, &where);                                        \
        ((int64_t *)ys)[to] = where;                                                      \
    }                                                                                     \
  }
FLOAT_SUM(sum_f32, float)
INT_SUM(sum_i32, int32_t, uint32_t)
REST(f32, float, float)
REST(i32, int32_t, uint32_t)
#if PP_WITH_WIDE
FLOAT_SUM(sum_f64, double)
INT_SUM(sum_i64, int64_t, uint64_t)
REST(f64, double, double)
REST(i64, int64_t, uint64_t)
#endif

static uint8_t any_or_all(bool all, const uint8_t *x, const pp_reduce_walk *w, int64_t base) {
  walker k;
  for (walk_start(&k, w, base); k.left > 0; walk_next(&k, w, base))
    for (int64_t i = 0; i < k.run; i++)
      if ((x[k.at + i * k.step] != 0) != all) return !all;
  return all;
}

pp_status pp_reduce_run_reference(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const void *x = s->args[0].data;
  void *y = s->results[0].data;
  int64_t kind = s->attrs[0], from, to;
  pp_reduce_walk w;
  pp_reduce_plan(s, &w);
  for (int64_t t = first; t < last; t++) {
    pp_reduce_at(&w, t, &from, &to);
    switch (s->args[0].dtype) {
      case PP_DTYPE_BOOL: ((uint8_t *)y)[to] = any_or_all(kind == PP_REDUCE_ALL, x, &w, from); break;
      case PP_DTYPE_F32: reduce_f32(kind, x, y, &w, from, to); break;
      case PP_DTYPE_I32: reduce_i32(kind, x, y, &w, from, to); break;
#if PP_WITH_WIDE
      case PP_DTYPE_F64: reduce_f64(kind, x, y, &w, from, to); break;
      case PP_DTYPE_I64: reduce_i64(kind, x, y, &w, from, to); break;
#endif
      default: break;
    }
  }
  return PP_OK;
}
