/* Shape contracts of the families (docs/format.md), checked at bind. Kernels rely on them for memory safety:
 * given that every view lies inside its buffer, a step that passes here cannot make a kernel leave it.
 * The convolution-like families are in contracts_nn.c. */
#include "contracts.h"

static pp_status check_pointwise(const pp_step *s, pp_error *e) {
  if (s->n_results < 1 || s->program.count == 0) return pp_fail(e, PP_ERR_CONTRACT, 0, s->n_results, 1);
  const pp_view *first = &s->results[0];
  for (int i = 1; i < s->n_results; i++) PP_NEED(pp_same_shape(s, pp_result_no(s, i), &s->results[i], first, e));
  for (int i = 0; i < s->n_program_args; i++)
    PP_NEED(pp_same_shape(s, pp_program_no(s, i), &s->program_args[i], first, e));
  return pp_check_program(s, first->rank, s->n_program_args, s->n_results, e);
}

static pp_status check_reduce(const pp_step *s, pp_error *e) {
  const pp_view *x = &s->args[0], *y = &s->results[0];
  int64_t kind = s->attrs[0], axes = s->attrs[1], reduced = 1;
  if (kind < PP_REDUCE_SUM || kind > PP_REDUCE_ARGMIN) return pp_fail(e, PP_ERR_CONTRACT, 0, kind, PP_REDUCE_ARGMIN);
  if (axes < 0 || axes >= (int64_t)1 << x->rank) return pp_fail(e, PP_ERR_CONTRACT, 0, axes, (int64_t)1 << x->rank);
  PP_NEED(pp_same_rank(pp_result_no(s, 0), y, x->rank, e));
  int count = 0;
  for (int d = 0; d < x->rank; d++) {
    bool over = axes >> d & 1;
    count += over;
    if (over && x->shape[d] == 0) reduced = 0;
    PP_NEED(pp_size_is(pp_result_no(s, 0), y->shape[d], over ? 1 : x->shape[d], e));
  }
  bool arg = kind == PP_REDUCE_ARGMAX || kind == PP_REDUCE_ARGMIN;
  if (arg && count != 1) return pp_fail(e, PP_ERR_CONTRACT, 0, count, 1);
  if ((arg || kind == PP_REDUCE_MAX || kind == PP_REDUCE_MIN) && reduced == 0 && pp_elements(y) != 0)
    return pp_fail(e, PP_ERR_CONTRACT, 0, 0, 1);
  if (arg ? y->dtype != PP_DTYPE_I64 : y->dtype != x->dtype)
    return pp_fail(e, PP_ERR_CONTRACT, pp_result_no(s, 0), y->dtype, arg ? PP_DTYPE_I64 : x->dtype);
  return PP_OK;
}

static pp_status check_norm(const pp_step *s, pp_error *e) {
  const pp_view *x = &s->args[0];
  int64_t kind = s->attrs[0], axes = s->attrs[1];
  if (kind != PP_NORM_LAYER && kind != PP_NORM_RMS) return pp_fail(e, PP_ERR_CONTRACT, 0, kind, PP_NORM_RMS);
  if (axes < 1 || axes > x->rank) return pp_fail(e, PP_ERR_CONTRACT, 0, axes, x->rank);
  PP_NEED(pp_same_shape(s, pp_result_no(s, 0), &s->results[0], x, e));
  for (int i = 1; i <= 2; i++) {
    const pp_view *p = &s->args[i];
    if (!pp_present(p)) continue;
    PP_NEED(pp_same_rank((uint32_t)i, p, (int)axes, e));
    for (int d = 0; d < axes; d++) PP_NEED(pp_size_is((uint32_t)i, p->shape[d], x->shape[x->rank - axes + d], e));
  }
  return PP_OK;
}

static pp_status check_softmax(const pp_step *s, pp_error *e) {
  PP_NEED(pp_axis_ok(s->attrs[0], s->args[0].rank, e));
  if (s->attrs[1] != 0 && s->attrs[1] != 1) return pp_fail(e, PP_ERR_CONTRACT, 0, s->attrs[1], 1);
  return pp_same_shape(s, pp_result_no(s, 0), &s->results[0], &s->args[0], e);
}

static pp_status check_move(const pp_step *s, pp_error *e) {
  const pp_view *x = &s->args[0], *y = &s->results[0];
  if (pp_item_size(x->dtype) != pp_item_size(y->dtype))
    return pp_fail(e, PP_ERR_CONTRACT, pp_result_no(s, 0), y->dtype, x->dtype);
  return pp_same_shape(s, pp_result_no(s, 0), y, x, e);
}

static pp_status check_gather(const pp_step *s, pp_error *e) {
  const pp_view *x = &s->args[0], *index = &s->args[1], *y = &s->results[0];
  int64_t kind = s->attrs[0], axis = s->attrs[1];
  uint32_t out = pp_result_no(s, 0);
  PP_NEED(pp_axis_ok(axis, x->rank, e));
  if (x->dtype != y->dtype) return pp_fail(e, PP_ERR_CONTRACT, out, y->dtype, x->dtype);
  if (kind == PP_GATHER_ELEMENTS) {
    PP_NEED(pp_same_rank(1, index, x->rank, e));
    PP_NEED(pp_same_shape(s, out, y, index, e));
    for (int d = 0; d < x->rank; d++)
      if (d != axis && index->shape[d] > x->shape[d])
        return pp_fail(e, PP_ERR_CONTRACT, 1, index->shape[d], x->shape[d]);
    return PP_OK;
  }
  if (kind != PP_GATHER_SELECT) return pp_fail(e, PP_ERR_CONTRACT, 0, kind, PP_GATHER_ELEMENTS);
  PP_NEED(pp_same_rank(out, y, x->rank - 1 + index->rank, e));
  for (int d = 0; d < y->rank; d++) {
    int64_t want = d < axis                 ? x->shape[d]
                   : d < axis + index->rank ? index->shape[d - axis]
                                            : x->shape[d - index->rank + 1];
    PP_NEED(pp_size_is(out, y->shape[d], want, e));
  }
  return PP_OK;
}

static pp_status check_update(const pp_step *s, pp_error *e) {
  const pp_view *x = &s->args[0], *start = &s->args[1], *y = &s->results[0];
  uint32_t out = pp_result_no(s, 0);
  PP_NEED(pp_axis_ok(s->attrs[0], x->rank, e));
  PP_NEED(pp_same_rank(1, start, 0, e));
  if (start->dtype != PP_DTYPE_I64) return pp_fail(e, PP_ERR_CONTRACT, 1, start->dtype, PP_DTYPE_I64);
  if (x->dtype != y->dtype) return pp_fail(e, PP_ERR_CONTRACT, out, y->dtype, x->dtype);
  PP_NEED(pp_same_rank(out, y, x->rank, e));
  for (int d = 0; d < x->rank; d++)
    if (d != s->attrs[0]) PP_NEED(pp_size_is(out, y->shape[d], x->shape[d], e));
    else if (x->shape[d] > y->shape[d]) return pp_fail(e, PP_ERR_CONTRACT, 0, x->shape[d], y->shape[d]);
  return PP_OK;
}

/* Operand and attribute counts: { required args, args, results, attrs, floats }; pointwise is free. */
static const uint8_t arity[][5] = {
  [PP_FAMILY_POINTWISE] = {0, 0, 0, 0, 0}, [PP_FAMILY_REDUCE] = {1, 1, 1, 2, 0},
  [PP_FAMILY_GEMM] = {2, 4, 1, 0, 2},      [PP_FAMILY_CONV2D] = {2, 4, 1, 9, 2},
  [PP_FAMILY_POOL2D] = {1, 1, 1, 13, 0},   [PP_FAMILY_NORM] = {1, 3, 1, 2, 1},
  [PP_FAMILY_SOFTMAX] = {1, 1, 1, 2, 0},   [PP_FAMILY_MOVE] = {1, 1, 1, 0, 0},
  [PP_FAMILY_GATHER] = {2, 2, 1, 2, 0},    [PP_FAMILY_UPDATE] = {2, 2, 1, 1, 0},
};

/* Sizes in range, and element counts that fit int64 whatever the strides are. */
static pp_status check_sizes(uint32_t operand, const pp_view *v, pp_error *e) {
  const int64_t limit = (int64_t)1 << 62;
  if (v->rank > PP_MAX_RANK) return pp_fail(e, PP_ERR_CONTRACT, operand, v->rank, PP_MAX_RANK);
  int64_t n = 1;
  for (int d = 0; d < v->rank; d++) {
    if (v->shape[d] < 0 || v->shape[d] > INT32_MAX)
      return pp_fail(e, PP_ERR_CONTRACT, operand, v->shape[d], INT32_MAX);
    if (v->shape[d] == 0) n = 0;
  }
  for (int d = 0; d < v->rank && n != 0; d++) {
    if (v->shape[d] > limit / n) return pp_fail(e, PP_ERR_CONTRACT, operand, v->shape[d], limit / n);
    n *= v->shape[d];
  }
  return PP_OK;
}

/* A store through stride 0 would make results depend on the order of tasks. */
static pp_status check_result(uint32_t operand, const pp_view *v, pp_error *e) {
  if (v->pack != PP_PACK_DENSE) return pp_fail(e, PP_ERR_CONTRACT, operand, v->pack, PP_PACK_DENSE);
  for (int d = 0; d < v->rank; d++)
    if (v->shape[d] > 1 && v->stride[d] == 0) return pp_fail(e, PP_ERR_CONTRACT, operand, 0, 1);
  return PP_OK;
}

pp_status pp_contract_check(const pp_step *s, pp_error *e) {
  const uint8_t *n = s->family >= PP_FAMILY_POINTWISE && s->family <= PP_FAMILY_UPDATE ? arity[s->family] : NULL;
#if PP_WITH_EAGER
  if (!n) n = pp_eager_arity(s->family);
#endif
  if (!n) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, s->family, PP_FAMILY_UPDATE);
  if (s->family != PP_FAMILY_POINTWISE) {
    if (s->n_args != n[1]) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, s->n_args, n[1]);
    if (s->n_results != n[2]) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, s->n_results, n[2]);
    if (s->n_attrs != n[3]) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, s->n_attrs, n[3]);
    if (s->n_floats != n[4]) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, s->n_floats, n[4]);
  }
  for (int i = 0; i < s->n_args; i++) {
    if (!pp_present(&s->args[i])) {
      if (i < n[0]) return pp_fail(e, PP_ERR_CONTRACT, (uint32_t)i, 0, 1);
      continue;
    }
    bool weight = i == 1 && (s->family == PP_FAMILY_GEMM || s->family == PP_FAMILY_CONV2D);
    if (!weight && s->args[i].pack != PP_PACK_DENSE)
      return pp_fail(e, PP_ERR_CONTRACT, (uint32_t)i, s->args[i].pack, PP_PACK_DENSE);
    PP_NEED(check_sizes((uint32_t)i, &s->args[i], e));
  }
  for (int i = 0; i < s->n_results; i++) {
    PP_NEED(check_sizes(pp_result_no(s, i), &s->results[i], e));
#if PP_WITH_EAGER
    if (s->family == PP_FAMILY_PACK) continue; /* the one that makes packed constants */
#endif
    PP_NEED(check_result(pp_result_no(s, i), &s->results[i], e));
  }
  for (int i = 0; i < s->n_program_args; i++) {
    const pp_view *v = &s->program_args[i];
    if (v->pack != PP_PACK_DENSE) return pp_fail(e, PP_ERR_CONTRACT, pp_program_no(s, i), v->pack, PP_PACK_DENSE);
    PP_NEED(check_sizes(pp_program_no(s, i), v, e));
  }
  switch (s->family) {
    case PP_FAMILY_POINTWISE: return check_pointwise(s, e);
    case PP_FAMILY_REDUCE: return check_reduce(s, e);
    case PP_FAMILY_GEMM: return pp_check_gemm(s, e);
    case PP_FAMILY_CONV2D: return pp_check_conv2d(s, e);
    case PP_FAMILY_POOL2D: return pp_check_pool2d(s, e);
    case PP_FAMILY_NORM: return check_norm(s, e);
    case PP_FAMILY_SOFTMAX: return check_softmax(s, e);
    case PP_FAMILY_MOVE: return check_move(s, e);
    case PP_FAMILY_GATHER: return check_gather(s, e);
    case PP_FAMILY_UPDATE: return check_update(s, e);
#if PP_WITH_EAGER
    default: return pp_check_eager(s, e);
#else
    default: return PP_OK;
#endif
  }
}
