/* Shared pieces of the contract checks. Operand numbers follow the instruction: args, results, program args. */
#ifndef PP_KERNELS_CONTRACTS_H
#define PP_KERNELS_CONTRACTS_H

#include "common.h"

#define PP_NEED(check)                    \
  do {                                    \
    pp_status need_ = (check);            \
    if (need_ != PP_OK) return need_;     \
  } while (0)

PP_INLINE uint32_t pp_result_no(const pp_step *s, int i) { return (uint32_t)(s->n_args + i); }
PP_INLINE uint32_t pp_program_no(const pp_step *s, int i) { return (uint32_t)(s->n_args + s->n_results + i); }

PP_INLINE pp_status pp_size_is(uint32_t operand, int64_t found, int64_t wanted, pp_error *e) {
  return found == wanted ? PP_OK : pp_fail(e, PP_ERR_CONTRACT, operand, found, wanted);
}

PP_INLINE pp_status pp_same_rank(uint32_t operand, const pp_view *v, int rank, pp_error *e) {
  return pp_size_is(operand, v->rank, rank, e);
}

PP_INLINE pp_status pp_axis_ok(int64_t axis, int rank, pp_error *e) {
  return axis >= 0 && axis < rank ? PP_OK : pp_fail(e, PP_ERR_CONTRACT, 0, axis, rank);
}

PP_INLINE pp_status pp_same_shape(const pp_step *s, uint32_t operand, const pp_view *v, const pp_view *like,
                                  pp_error *e) {
  (void)s;
  PP_NEED(pp_same_rank(operand, v, like->rank, e));
  for (int d = 0; d < v->rank; d++) PP_NEED(pp_size_is(operand, v->shape[d], like->shape[d], e));
  return PP_OK;
}

/* The parts of a pointwise program that depend on the step: operand and axis numbers. */
pp_status pp_check_program(const pp_step *s, int rank, int loads, int stores, pp_error *e);
pp_status pp_check_gemm(const pp_step *s, pp_error *e);
pp_status pp_check_conv2d(const pp_step *s, pp_error *e);
pp_status pp_check_pool2d(const pp_step *s, pp_error *e);
/* Of eager.h: { required args, args, results, attrs, floats }, NULL for another family; and the contracts. */
const uint8_t *pp_eager_arity(uint8_t family);
pp_status pp_check_eager(const pp_step *s, pp_error *e);

#endif
