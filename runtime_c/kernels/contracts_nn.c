/* Contracts of gemm, conv2d and pool2d, of epilogue programs, and the sizes of packed constants. */
#include "contracts.h"

pp_status pp_check_program(const pp_step *s, int rank, int loads, int stores, pp_error *e) {
  for (int i = 0; i < s->program.count; i++) {
    const uint8_t *code = s->program.code + 16 * i;
    if (code[8] == PP_PW_LOAD && code[11] >= loads) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, code[11], loads);
    if (code[8] == PP_PW_STORE && code[10] >= stores) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, code[10], stores);
    if (code[8] == PP_PW_INDEX && code[11] >= rank) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, code[11], rank);
  }
  return PP_OK;
}

static pp_status check_epilogue(const pp_step *s, pp_error *e) {
  const pp_view *y = &s->results[0];
  for (int i = 0; i < s->n_program_args; i++)
    PP_NEED(pp_same_shape(s, pp_program_no(s, i), &s->program_args[i], y, e));
  return pp_check_program(s, y->rank, s->n_program_args + 1, 1, e);
}

pp_status pp_check_gemm(const pp_step *s, pp_error *e) {
  const pp_view *a = &s->args[0], *b = &s->args[1], *bias = &s->args[2], *residual = &s->args[3], *c = &s->results[0];
  if (a->rank < 2) return pp_fail(e, PP_ERR_CONTRACT, 0, a->rank, 2);
  int m = a->rank - 2, k = a->rank - 1;
  PP_NEED(pp_same_rank(pp_result_no(s, 0), c, a->rank, e));
  for (int d = 0; d <= m; d++) PP_NEED(pp_size_is(pp_result_no(s, 0), c->shape[d], a->shape[d], e));
  if (b->pack != PP_PACK_DENSE && b->pack != PP_PACK_GEMM_PANEL16)
    return pp_fail(e, PP_ERR_CONTRACT, 1, b->pack, PP_PACK_GEMM_PANEL16);
  if (b->rank != 2) {
    PP_NEED(pp_same_rank(1, b, b->pack == PP_PACK_DENSE ? a->rank : 2, e));
    for (int d = 0; d < m; d++) PP_NEED(pp_size_is(1, b->shape[d], a->shape[d], e));
  }
  PP_NEED(pp_size_is(1, b->shape[b->rank - 2], a->shape[k], e));
  PP_NEED(pp_size_is(1, b->shape[b->rank - 1], c->shape[k], e));
  if (pp_present(bias)) {
    PP_NEED(pp_same_rank(2, bias, 1, e));
    PP_NEED(pp_size_is(2, bias->shape[0], c->shape[k], e));
  }
  if (pp_present(residual)) PP_NEED(pp_same_shape(s, 3, residual, c, e));
  return check_epilogue(s, e);
}

/* Attributes come from expressions and may be anything; this range keeps window arithmetic inside int64. */
static pp_status in_range(int64_t value, int64_t low, pp_error *e) {
  if (value >= low && value <= INT32_MAX) return PP_OK;
  return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, value, value < low ? low : INT32_MAX);
}

pp_status pp_check_conv2d(const pp_step *s, pp_error *e) {
  const pp_view *x = &s->args[0], *w = &s->args[1], *bias = &s->args[2], *residual = &s->args[3], *y = &s->results[0];
  const int64_t *at = s->attrs;
  uint32_t out = pp_result_no(s, 0);
  PP_NEED(pp_same_rank(0, x, 4, e));
  PP_NEED(pp_same_rank(1, w, 4, e));
  PP_NEED(pp_same_rank(out, y, 4, e));
  for (int i = 0; i < 9; i++) PP_NEED(in_range(at[i], i >= 2 && i <= 5 ? 0 : 1, e));
  int64_t groups = at[8], outputs = w->shape[0];
  if (x->shape[1] % groups) return pp_fail(e, PP_ERR_CONTRACT, 0, x->shape[1], groups);
  if (outputs % groups) return pp_fail(e, PP_ERR_CONTRACT, 1, outputs, groups);
  PP_NEED(pp_size_is(1, w->shape[1], x->shape[1] / groups, e));
  PP_NEED(pp_size_is(out, y->shape[0], x->shape[0], e));
  PP_NEED(pp_size_is(out, y->shape[1], outputs, e));
  for (int d = 0; d < 2; d++) {
    int64_t kernel = w->shape[2 + d], stride = at[d], dilation = at[6 + d];
    if (kernel < 1) return pp_fail(e, PP_ERR_CONTRACT, 1, kernel, 1);
    int64_t room = x->shape[2 + d] + at[2 + d] + at[4 + d] - dilation * (kernel - 1) - 1;
    if (room < 0) return pp_fail(e, PP_ERR_CONTRACT, 0, room, 0);
    PP_NEED(pp_size_is(out, y->shape[2 + d], room / stride + 1, e));
  }
  if (w->pack == PP_PACK_DEPTHWISE16) {
    if (groups != x->shape[1] || groups != outputs) return pp_fail(e, PP_ERR_CONTRACT, 1, groups, x->shape[1]);
  } else if (w->pack != PP_PACK_DENSE && w->pack != PP_PACK_CONV_PANEL16) {
    return pp_fail(e, PP_ERR_CONTRACT, 1, w->pack, PP_PACK_CONV_PANEL16);
  }
  if (pp_present(bias)) {
    PP_NEED(pp_same_rank(2, bias, 1, e));
    PP_NEED(pp_size_is(2, bias->shape[0], outputs, e));
  }
  if (pp_present(residual)) PP_NEED(pp_same_shape(s, 3, residual, y, e));
  return check_epilogue(s, e);
}

pp_status pp_check_pool2d(const pp_step *s, pp_error *e) {
  const pp_view *x = &s->args[0], *y = &s->results[0];
  const int64_t *at = s->attrs;
  uint32_t out = pp_result_no(s, 0);
  if (at[0] != PP_POOL_MAX && at[0] != PP_POOL_AVG) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, at[0], PP_POOL_AVG);
  PP_NEED(pp_same_rank(0, x, 4, e));
  PP_NEED(pp_same_rank(out, y, 4, e));
  for (int i = 1; i <= 10; i++) PP_NEED(in_range(at[i], i >= 5 && i <= 8 ? 0 : 1, e));
  if (at[11] != 0 && at[11] != 1) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, at[11], 1);
  PP_NEED(in_range(at[12], 0, e));
  PP_NEED(pp_size_is(out, y->shape[0], x->shape[0], e));
  PP_NEED(pp_size_is(out, y->shape[1], x->shape[1], e));
  for (int d = 0; d < 2; d++) {
    int64_t kernel = at[1 + d], stride = at[3 + d], before = at[5 + d], dilation = at[9 + d];
    int64_t size = x->shape[2 + d], windows = y->shape[2 + d];
    if (windows == 0) continue;
    /* The first window reaches element 0 and the last one starts before the end. */
    if ((kernel - 1) * dilation < before) return pp_fail(e, PP_ERR_CONTRACT, 0, before, (kernel - 1) * dilation);
    if ((windows - 1) * stride - before >= size)
      return pp_fail(e, PP_ERR_CONTRACT, out, windows, (size + before + stride - 1) / stride);
  }
  return PP_OK;
}

static uint64_t times(uint64_t a, uint64_t b) {
  return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

uint64_t pp_packed_bytes(const pp_view *v, int64_t groups) {
  uint64_t s[4] = {0};
  for (int d = 0; d < v->rank && d < 4; d++) s[d] = (uint64_t)v->shape[d];
  switch (v->pack) {
    case PP_PACK_GEMM_PANEL16: return times(times(PP_CEIL_DIV(s[1], 16), s[0]), 64);
    case PP_PACK_DEPTHWISE16: return times(times(PP_CEIL_DIV(s[0], 16), times(s[2], s[3])), 64);
    case PP_PACK_CONV_PANEL16: {
      if (groups < 1) return UINT64_MAX;
      uint64_t g = (uint64_t)groups, panels = times(g, PP_CEIL_DIV(s[0] / g, 16));
      return times(panels, times(times(s[1], times(s[2], s[3])), 64));
    }
    default: return 0;
  }
}
