/* Errors in numbers; their sentences are in message.c. */
#include "internal.h"

pp_status pp_rule_status(uint32_t rule) {
  static const struct { uint16_t rule; uint8_t status; } rules[] = {
#define PP_RULE(number, name, status, message) {number, PP_ERR_##status},
#include "rules.def"
#undef PP_RULE
  };
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (rules[i].rule == rule) return (pp_status)rules[i].status;
  return PP_ERR_ARGUMENT;
}

void pp_error_clear(pp_error *error) {
  *error = (pp_error){PP_OK, 0, PP_NONE, PP_NONE, PP_NONE, PP_NONE, 0, 0};
}

pp_status pp_refuse(pp_error *error, uint32_t rule, int64_t a, int64_t b) {
  error->status = pp_rule_status(rule);
  error->rule = rule;
  error->a = a;
  error->b = b;
  return error->status;
}
