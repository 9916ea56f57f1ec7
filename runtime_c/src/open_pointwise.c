/* Open tier of pointwise programs: operators, types, registers, operands; everything but the operands' dtypes. */
#include "internal.h"

#define MAX_REGISTERS 32
#define UNWRITTEN 0xff

enum { F32 = 1 << PP_PWTYPE_F32, I32 = 1 << PP_PWTYPE_I32, MASK = 1 << PP_PWTYPE_MASK, F64 = 1 << PP_PWTYPE_F64,
       I64 = 1 << PP_PWTYPE_I64, FLOATS = F32 | F64, INTS = I32 | I64, NUMBERS = FLOATS | INTS, ALL = NUMBERS | MASK };

/* Which types an operator exists for. */
static const uint8_t types[PP_PW__COUNT] = {
  [PP_PW_LOAD] = ALL, [PP_PW_STORE] = ALL, [PP_PW_CONST] = ALL, [PP_PW_INDEX] = INTS, [PP_PW_CAST] = ALL,
  [PP_PW_SELECT] = ALL, [PP_PW_ADD] = NUMBERS, [PP_PW_SUB] = NUMBERS, [PP_PW_MUL] = NUMBERS, [PP_PW_DIV] = NUMBERS,
  [PP_PW_REM] = NUMBERS, [PP_PW_POW] = NUMBERS, [PP_PW_MIN] = NUMBERS, [PP_PW_MAX] = NUMBERS, [PP_PW_ATAN2] = FLOATS,
  [PP_PW_AND] = INTS | MASK, [PP_PW_OR] = INTS | MASK, [PP_PW_XOR] = INTS | MASK, [PP_PW_SHL] = INTS,
  [PP_PW_SHR] = INTS, [PP_PW_EQ] = ALL, [PP_PW_NE] = ALL, [PP_PW_LT] = NUMBERS, [PP_PW_LE] = NUMBERS,
  [PP_PW_NEG] = NUMBERS, [PP_PW_ABS] = NUMBERS, [PP_PW_SIGN] = NUMBERS, [PP_PW_NOT] = INTS | MASK,
  [PP_PW_RECIPROCAL] = FLOATS, [PP_PW_SQRT] = FLOATS, [PP_PW_RSQRT] = FLOATS, [PP_PW_EXP] = FLOATS,
  [PP_PW_EXPM1] = FLOATS, [PP_PW_LOG] = FLOATS, [PP_PW_LOG1P] = FLOATS, [PP_PW_SIN] = FLOATS, [PP_PW_COS] = FLOATS,
  [PP_PW_TANH] = FLOATS, [PP_PW_SIGMOID] = FLOATS, [PP_PW_ERF] = FLOATS, [PP_PW_FLOOR] = FLOATS,
  [PP_PW_CEIL] = FLOATS, [PP_PW_ROUND] = FLOATS, [PP_PW_TRUNC] = FLOATS, [PP_PW_ISNAN] = FLOATS,
};

typedef struct checker {
  uint8_t held[MAX_REGISTERS]; /* type in each register */
  uint32_t stored[8];          /* bit set of results */
  pp_range range;
  pp_error *error;
} checker;

static pp_status reads(checker *c, uint32_t line, uint8_t reg, uint8_t type) {
  if (reg >= c->range.registers) return pp_refuse(c->error, PP_RULE_PW_REGISTER, line, reg);
  if (c->held[reg] == UNWRITTEN) return pp_refuse(c->error, PP_RULE_PW_UNWRITTEN, line, reg);
  if (c->held[reg] != type) return pp_refuse(c->error, PP_RULE_PW_REGISTER_TYPE, line, reg);
  return PP_OK;
}

static pp_status open_line(checker *k, uint32_t line, const uint8_t *code) {
  uint8_t op = code[PP_OFF_PW_INSTRUCTION_OP], type = code[PP_OFF_PW_INSTRUCTION_TYPE];
  uint8_t dst = code[PP_OFF_PW_INSTRUCTION_DST], a = code[PP_OFF_PW_INSTRUCTION_A];
  uint8_t b = code[PP_OFF_PW_INSTRUCTION_B], c = code[PP_OFF_PW_INSTRUCTION_C], result = type;
  if (op >= PP_PW__COUNT) return pp_refuse(k->error, PP_RULE_PW_OPERATOR, line, op);
  if (type >= PP_PWTYPE__COUNT || !(types[op] >> type & 1)) return pp_refuse(k->error, PP_RULE_PW_TYPE, line, type);
  switch (op) {
    case PP_PW_STORE:
      PP_TRY(reads(k, line, a, type));
      if (k->stored[dst / 32] >> (dst % 32) & 1) return pp_refuse(k->error, PP_RULE_PW_STORE_TWICE, line, dst);
      k->stored[dst / 32] |= (uint32_t)1 << (dst % 32);
      return PP_OK;
    case PP_PW_LOAD:
      if (a >= k->range.loads) return pp_refuse(k->error, PP_RULE_PW_LOAD, line, a);
      break;
    case PP_PW_CONST: case PP_PW_INDEX: break;
    case PP_PW_CAST:
      if (c >= PP_PWTYPE__COUNT) return pp_refuse(k->error, PP_RULE_PW_TYPE, line, c);
      PP_TRY(reads(k, line, a, c));
      break;
    case PP_PW_SELECT:
      PP_TRY(reads(k, line, a, PP_PWTYPE_MASK));
      PP_TRY(reads(k, line, b, type));
      PP_TRY(reads(k, line, c, type));
      break;
    default:
      PP_TRY(reads(k, line, a, type));
      if (op >= PP_PW_ADD && op <= PP_PW_LE) PP_TRY(reads(k, line, b, type));
      if ((op >= PP_PW_EQ && op <= PP_PW_LE) || op == PP_PW_ISNAN) result = PP_PWTYPE_MASK;
  }
  if (dst >= k->range.registers) return pp_refuse(k->error, PP_RULE_PW_REGISTER, line, dst);
  k->held[dst] = result;
  return PP_OK;
}

pp_status pp_open_programs(pp_reader *r, const pp_method *m, pp_error *error) {
  (void)r;
  uint64_t end = 0;
  for (uint32_t i = 0; i < m->programs.count; i++) {
    checker k = {.range = pp_range_at(m, i), .error = error};
    memset(k.held, UNWRITTEN, sizeof k.held);
    /* In order and apart, so that checking all of them reads every line once. */
    if (k.range.count == 0 || k.range.first < end || (uint64_t)k.range.first + k.range.count > m->pointwise.count)
      return pp_refuse(error, PP_RULE_PW_RANGE, i, k.range.first);
    if (k.range.registers > MAX_REGISTERS) return pp_refuse(error, PP_RULE_PW_REGISTERS, i, k.range.registers);
    end = (uint64_t)k.range.first + k.range.count;
    for (uint32_t line = k.range.first; line < end; line++)
      PP_TRY(open_line(&k, line, m->pointwise.at + (size_t)line * PP_SIZE_PW_INSTRUCTION));
  }
  return PP_OK;
}
