/* Placeholder of the public face: statuses and the error record. */
#ifndef PAPPUS_H
#define PAPPUS_H
#include <stddef.h>
#include <stdint.h>
typedef enum pp_status {
  PP_OK = 0,
  PP_ERR_ARGUMENT,      /* the caller passed something impossible (null, too little memory ...) */
  PP_ERR_FORMAT,        /* not a .pap, or a broken one */
  PP_ERR_VERSION,       /* a version or feature bit this build does not know */
  PP_ERR_INPUT,         /* an input's name, dtype, rank or size is not what the program takes */
  PP_ERR_GUARD,         /* an assumption made at capture does not hold for these sizes */
  PP_ERR_CONTRACT,      /* an instruction's shape contract does not hold */
  PP_ERR_MEMORY,        /* the caller's memory is too small */
  PP_ERR_UNSUPPORTED,   /* no kernel in this build for an instruction */
  PP_ERR_INDEX,         /* an index value out of range, while running */
  PP_ERR_DIVISOR,       /* integer division by zero, while running */
  PP_ERR_POSITION,      /* a state position out of range, while running */
  PP_ERR_STATE,         /* state is dirty after a failed run */
  PP_ERR_CANCELLED
} pp_status;
typedef struct pp_error {
  pp_status status;
  uint32_t rule;        /* which check (rules.def), 0 if none */
  uint32_t method, instruction, operand, value;   /* UINT32_MAX where not applicable */
  int64_t a, b;         /* the two numbers of the rule: found, wanted */
} pp_error;
#endif
