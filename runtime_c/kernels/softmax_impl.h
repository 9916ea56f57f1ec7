/* Softmax and log-softmax of one instruction set, f32. The maximum is subtracted first. See lanes.h. */
#include "isa.h"
#include "lanes.h"
#include "simd_math.h"

/* One row whose elements follow each other. Lanes past the end count as the lowest value, and as nothing. */
static void along(const float *x, float *y, int64_t n, bool log) {
  int64_t whole = n / PP_W * PP_W, left = n - whole;
  vi valid = vi_first(left);
  vf last = vf_select(valid, vf_loadn(x + whole, left), vf_set(-PP_INF)), top = last, sum = vf_zero();
  for (int64_t i = 0; i < whole; i += PP_W) top = vf_max(top, vf_load(x + i));
  vf high = vf_set(vf_highest(top));
  if (log) {
    for (int64_t i = 0; i < whole; i += PP_W) sum = sum + vf_exp(vf_load(x + i) - high);
    sum = sum + vf_select(valid, vf_exp(last - high), vf_zero());
    vf lost = vf_log(vf_set(vf_sum(sum)));
    for (int64_t i = 0; i < whole; i += PP_W) vf_store(y + i, (vf_load(x + i) - high) - lost);
    vf_storen(y + whole, (last - high) - lost, left);
    return;
  }
  for (int64_t i = 0; i < whole; i += PP_W) {
    vf e = vf_exp(vf_load(x + i) - high);
    vf_store(y + i, e);
    sum = sum + e;
  }
  vf end = vf_select(valid, vf_exp(last - high), vf_zero());
  vf total = vf_set(vf_sum(sum + end));
  for (int64_t i = 0; i < whole; i += PP_W) vf_store(y + i, vf_load(y + i) / total);
  vf_storen(y + whole, end / total, left);
}

/* A vector of rows: their elements are sx and sy apart. */
PP_INLINE void across(const float *x, float *y, int64_t n, int64_t sx, int64_t sy, int64_t lanes, bool log) {
  vf top = vf_loadn(x, lanes), sum = vf_zero();
  for (int64_t i = 1; i < n; i++) top = vf_max(top, vf_loadn(x + i * sx, lanes));
  if (log) {
    for (int64_t i = 0; i < n; i++) sum = sum + vf_exp(vf_loadn(x + i * sx, lanes) - top);
    vf lost = vf_log(sum);
    for (int64_t i = 0; i < n; i++) vf_storen(y + i * sy, (vf_loadn(x + i * sx, lanes) - top) - lost, lanes);
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    vf e = vf_exp(vf_loadn(x + i * sx, lanes) - top);
    vf_storen(y + i * sy, e, lanes);
    sum = sum + e;
  }
  for (int64_t i = 0; i < n; i++) vf_storen(y + i * sy, vf_loadn(y + i * sy, lanes) / sum, lanes);
}

pp_status PP_NAME(pp_softmax_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const pp_view *x = &s->args[0], *y = &s->results[0];
  bool log = s->attrs[1] != 0;
  int64_t index[PP_MAX_RANK];
  pp_softmax_plan p;
  pp_softmax_lanes(s, &p);
  if (p.lane < 0) {
    for (int64_t row = first * p.per; row < PP_MIN(last * p.per, p.rows); row++) {
      pp_row_without(x, p.axis, row, index);
      along((const float *)x->data + pp_offset_of(x, index), (float *)y->data + pp_offset_of(y, index), p.n, log);
    }
    return PP_OK;
  }
  pp_view shape = *x; /* with the lanes' dimension reduced to its start */
  shape.shape[p.lane] = 1;
  for (int64_t t = first; t < last; t++) {
    int64_t column = t % p.groups * PP_GROUP, end = PP_MIN(column + PP_GROUP, p.columns);
    pp_row_without(&shape, p.axis, t / p.groups, index);
    const float *from = (const float *)x->data + pp_offset_of(x, index);
    float *to = (float *)y->data + pp_offset_of(y, index);
    int64_t sx = x->stride[p.axis], sy = y->stride[p.axis];
    for (; column + PP_W <= end; column += PP_W) across(from + column, to + column, p.n, sx, sy, PP_W, log);
    if (column < end) across(from + column, to + column, p.n, sx, sy, end - column, log);
  }
  return PP_OK;
}
