/* Contracts of the eager engine's families (eager.h). */
#include "contracts.h"

static pp_status shape_is(const pp_step *s, uint32_t operand, int rank, const int64_t *shape, pp_error *e) {
  const pp_view *v = &s->args[operand];
  if (!pp_present(v)) return PP_OK;
  PP_NEED(pp_same_rank(operand, v, rank, e));
  for (int d = 0; d < rank; d++) PP_NEED(pp_size_is(operand, v->shape[d], shape[d], e));
  return PP_OK;
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

/* { required args, args, results, attrs, floats } */
static const uint8_t arity[][5] = {
  [PP_FAMILY_SOFTMAX_GRAD - PP_FAMILY_PACK] = {2, 2, 1, 1, 0},
  [PP_FAMILY_NORM_GRAD - PP_FAMILY_PACK] = {2, 3, 2, 1, 1},
  [PP_FAMILY_NORM_PARAM_GRAD - PP_FAMILY_PACK] = {3, 3, 2, 0, 0},
  [PP_FAMILY_CHANNEL_NORM - PP_FAMILY_PACK] = {1, 3, 3, 0, 1},
  [PP_FAMILY_CHANNEL_NORM_GRAD - PP_FAMILY_PACK] = {2, 7, 3, 0, 1},
};

const uint8_t *pp_eager_arity(uint8_t family) {
  return family >= PP_FAMILY_PACK && family < PP_FAMILY_EAGER_END ? arity[family - PP_FAMILY_PACK] : NULL;
}

pp_status pp_check_eager(const pp_step *s, pp_error *e) {
  switch (s->family) {
    case PP_FAMILY_SOFTMAX_GRAD: return check_softmax_grad(s, e);
    case PP_FAMILY_NORM_GRAD: return check_norm_grad(s, e);
    case PP_FAMILY_NORM_PARAM_GRAD: return check_norm_param_grad(s, e);
    case PP_FAMILY_CHANNEL_NORM: return check_channels(s, 1, 3, e);
    default: return check_channels(s, 2, 7, e);
  }
}
