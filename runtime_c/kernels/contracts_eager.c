/* Contracts of the eager engine's families (eager.h). */
#include "contracts.h"

static pp_status shape_is(const pp_step *s, uint32_t operand, int rank, const int64_t *shape, pp_error *e) {
  const pp_view *v = &s->args[operand];
  if (!pp_present(v)) return PP_OK;
  PP_NEED(pp_same_rank(operand, v, rank, e));
  for (int d = 0; d < rank; d++) PP_NEED(pp_size_is(operand, v->shape[d], shape[d], e));
  return PP_OK;
}

static pp_status check_pack(const pp_step *s, pp_error *e) {
  const pp_view *x = &s->args[0], *y = &s->results[0];
  if (s->attrs[0] < 1 || x->rank != 4 || x->shape[0] % s->attrs[0])
    return pp_fail(e, PP_ERR_CONTRACT, 0, x->shape[0], s->attrs[0]);
  return pp_same_shape(s, 1, y, x, e);
}

static pp_status check_softmax_grad(const pp_step *s, pp_error *e) {
  PP_NEED(pp_same_rank(0, &s->args[0], 3, e));
  PP_NEED(shape_is(s, 1, 3, s->args[0].shape, e));
  return shape_is(s, 2, 3, s->args[0].shape, e);
}

static pp_status check_norm_grad(const pp_step *s, pp_error *e) {
  const int64_t *shape = s->args[0].shape;
  if (s->attrs[0] != PP_NORM_LAYER && s->attrs[0] != PP_NORM_RMS)
    return pp_fail(e, PP_ERR_CONTRACT, 0, s->attrs[0], PP_NORM_RMS);
  PP_NEED(pp_same_rank(0, &s->args[0], 2, e));
  PP_NEED(shape_is(s, 1, 2, shape, e));
  PP_NEED(shape_is(s, 2, 1, shape + 1, e));
  PP_NEED(shape_is(s, 3, 2, shape, e));
  return shape_is(s, 4, 2, (int64_t[]){shape[0], 2}, e);
}

static pp_status check_norm_param_grad(const pp_step *s, pp_error *e) {
  const int64_t *shape = s->args[0].shape;
  PP_NEED(pp_same_rank(0, &s->args[0], 2, e));
  PP_NEED(shape_is(s, 1, 2, shape, e));
  PP_NEED(shape_is(s, 2, 2, (int64_t[]){shape[0], 2}, e));
  PP_NEED(shape_is(s, 3, 1, shape + 1, e));
  return shape_is(s, 4, 1, shape + 1, e);
}

/* Operands [1, whole) are like the first, the others have one element per channel, but for the result `big`. */
static pp_status check_channels(const pp_step *s, int whole, int big, pp_error *e) {
  const int64_t *shape = s->args[0].shape;
  PP_NEED(pp_same_rank(0, &s->args[0], 3, e));
  for (int i = 1; i < s->n_args + s->n_results; i++)
    PP_NEED(i < whole || i == big ? shape_is(s, (uint32_t)i, 3, shape, e) : shape_is(s, (uint32_t)i, 1, shape + 1, e));
  return PP_OK;
}

static pp_status check_weight_grad(const pp_step *s, pp_error *e) {
  const pp_view *x = &s->args[0], *g = &s->args[1], *w = &s->results[0];
  const int64_t *a = s->attrs;
  for (uint32_t i = 0; i < 3; i++) PP_NEED(pp_same_rank(i, &s->args[i], 4, e));
  for (int i = 0; i < 9; i++)
    if (a[i] < (i >= 2 && i <= 5 ? 0 : 1) || a[i] > INT32_MAX) return pp_fail(e, PP_ERR_CONTRACT, UINT32_MAX, a[i], INT32_MAX);
  if (x->shape[1] % a[8]) return pp_fail(e, PP_ERR_CONTRACT, 0, x->shape[1], a[8]);
  if (g->shape[1] % a[8]) return pp_fail(e, PP_ERR_CONTRACT, 1, g->shape[1], a[8]);
  PP_NEED(pp_size_is(1, g->shape[0], x->shape[0], e));
  PP_NEED(pp_size_is(2, w->shape[0], g->shape[1], e));
  PP_NEED(pp_size_is(2, w->shape[1], x->shape[1] / a[8], e));
  for (int d = 0; d < 2; d++) { /* the last window ends inside the padded input */
    int64_t room = x->shape[2 + d] + a[2 + d] + a[4 + d] - a[6 + d] * (w->shape[2 + d] - 1) - 1;
    if (g->shape[2 + d] > 0 && (room < 0 || g->shape[2 + d] > room / a[d] + 1))
      return pp_fail(e, PP_ERR_CONTRACT, 1, g->shape[2 + d], room);
  }
  return PP_OK;
}

/* Its forward step must be one. */
static pp_status check_pool_grad(const pp_step *s, pp_error *e) {
  pp_step forward = *s;
  forward.args = s->results, forward.results = s->args, forward.n_args = 1;
  PP_NEED(pp_check_pool2d(&forward, e));
  if (s->attrs[0] == PP_POOL_AVG) return PP_OK;
  if (!pp_present(&s->args[1])) return pp_fail(e, PP_ERR_CONTRACT, 1, 0, 1);
  return pp_same_shape(s, 1, &s->args[1], &s->results[0], e);
}

static pp_status check_scatter_add(const pp_step *s, pp_error *e) {
  const pp_view *v = &s->args[0], *index = &s->args[1], *y = &s->results[0];
  PP_NEED(pp_same_rank(0, v, 2, e));
  PP_NEED(pp_same_rank(1, index, 1, e));
  PP_NEED(pp_same_rank(2, y, 2, e));
  PP_NEED(pp_size_is(1, index->shape[0], v->shape[0], e));
  return pp_size_is(2, y->shape[1], v->shape[1], e);
}

/* { required args, args, results, attrs, floats } */
static const uint8_t arity[][5] = {
  [PP_FAMILY_PACK - PP_FAMILY_PACK] = {1, 1, 1, 1, 0},
  [PP_FAMILY_SOFTMAX_GRAD - PP_FAMILY_PACK] = {2, 2, 1, 1, 0},
  [PP_FAMILY_NORM_GRAD - PP_FAMILY_PACK] = {2, 3, 2, 1, 1},
  [PP_FAMILY_NORM_PARAM_GRAD - PP_FAMILY_PACK] = {3, 3, 2, 0, 0},
  [PP_FAMILY_CONV_WEIGHT_GRAD - PP_FAMILY_PACK] = {2, 2, 1, 9, 0},
  [PP_FAMILY_POOL_GRAD - PP_FAMILY_PACK] = {1, 2, 1, 13, 0},
  [PP_FAMILY_SCATTER_ADD - PP_FAMILY_PACK] = {2, 2, 1, 0, 0},
  [PP_FAMILY_CHANNEL_NORM - PP_FAMILY_PACK] = {1, 3, 3, 0, 1},
  [PP_FAMILY_CHANNEL_NORM_GRAD - PP_FAMILY_PACK] = {2, 7, 3, 0, 1},
};

const uint8_t *pp_eager_arity(uint8_t family) {
  return family >= PP_FAMILY_PACK && family < PP_FAMILY_EAGER_END ? arity[family - PP_FAMILY_PACK] : NULL;
}

pp_status pp_check_eager(const pp_step *s, pp_error *e) {
  switch (s->family) {
    case PP_FAMILY_PACK: return check_pack(s, e);
    case PP_FAMILY_SOFTMAX_GRAD: return check_softmax_grad(s, e);
    case PP_FAMILY_NORM_GRAD: return check_norm_grad(s, e);
    case PP_FAMILY_NORM_PARAM_GRAD: return check_norm_param_grad(s, e);
    case PP_FAMILY_CHANNEL_NORM: return check_channels(s, 1, 3, e);
    case PP_FAMILY_CONV_WEIGHT_GRAD: return check_weight_grad(s, e);
    case PP_FAMILY_POOL_GRAD: return check_pool_grad(s, e);
    case PP_FAMILY_SCATTER_ADD: return check_scatter_add(s, e);
    default: return check_channels(s, 2, 7, e);
  }
}
