/* Size expressions: int64 with every overflow checked. */
#include "internal.h"

static int64_t floor_divide(int64_t a, int64_t b) { /* b >= 1 */
  int64_t q = a / b;
  return a % b < 0 ? q - 1 : q;
}

pp_status pp_expr_evaluate(const pp_method *m, const int64_t *symbols, int64_t *values, pp_error *error) {
  for (uint32_t i = 0; i < m->exprs.count; i++) {
    pp_expr e = pp_expr_at(m, i);
    int64_t a = 0, b = 0;
    bool overflow = false;
    if (e.op > PP_EXPR_SYMBOL) {
      a = values[e.a];
      b = values[e.b];
    }
    switch (e.op) {
      case PP_EXPR_CONST: values[i] = e.value; break;
      case PP_EXPR_SYMBOL: values[i] = symbols[e.a]; break;
      case PP_EXPR_ADD: overflow = __builtin_add_overflow(a, b, &values[i]); break;
      case PP_EXPR_SUB: overflow = __builtin_sub_overflow(a, b, &values[i]); break;
      case PP_EXPR_MUL: overflow = __builtin_mul_overflow(a, b, &values[i]); break;
      case PP_EXPR_FLOORDIV:
      case PP_EXPR_MOD:
        if (b < 1) return pp_refuse(error, PP_RULE_EXPR_DIVISOR, i, b);
        values[i] = e.op == PP_EXPR_FLOORDIV ? floor_divide(a, b) : a % b < 0 ? a % b + b : a % b;
        break;
      case PP_EXPR_MIN: values[i] = a < b ? a : b; break;
      default: values[i] = a > b ? a : b; break;
    }
    if (overflow) return pp_refuse(error, PP_RULE_EXPR_OVERFLOW, i, 0);
  }
  return PP_OK;
}
