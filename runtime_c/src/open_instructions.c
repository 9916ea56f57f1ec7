/* Open tier of instructions: counts per family, operands, attributes, and programs against their operands' dtypes. */
#include "internal.h"

typedef struct family_rule {
  uint8_t required, args, results, attrs, floats;
  bool epilogue;
} family_rule;

static const family_rule families[PP_FAMILY__COUNT] = {
  [PP_FAMILY_POINTWISE] = {0, 0, 0, 0, 0, false}, /* any number of results, and a program */
  [PP_FAMILY_REDUCE] = {1, 1, 1, 2, 0, false},
  [PP_FAMILY_GEMM] = {2, 4, 1, 0, 2, true},
  [PP_FAMILY_CONV2D] = {2, 4, 1, 9, 2, true},
  [PP_FAMILY_POOL2D] = {1, 1, 1, 13, 0, false},
  [PP_FAMILY_NORM] = {1, 3, 1, 2, 1, false},
  [PP_FAMILY_SOFTMAX] = {1, 1, 1, 2, 0, false},
  [PP_FAMILY_MOVE] = {1, 1, 1, 0, 0, false},
  [PP_FAMILY_GATHER] = {2, 2, 1, 2, 0, false},
  [PP_FAMILY_UPDATE] = {2, 2, 1, 1, 0, false},
};

static pp_value operand(const pp_method *m, const pp_instruction *in, uint32_t i) {
  return pp_value_at(m, pp_pool_at(m, in->operands + i));
}

static pp_status open_operands(const pp_method *m, const pp_instruction *in, pp_error *error) {
  const family_rule *rule = &families[in->family];
  uint32_t n = (uint32_t)in->n_args + in->n_results + in->n_program_args;
  if (in->operands > m->pool.count || n > m->pool.count - in->operands)
    return pp_refuse(error, PP_RULE_OPERAND_LIST, in->operands, n);
  bool pointwise = in->family == PP_FAMILY_POINTWISE;
  if (in->n_args != rule->args) return pp_refuse(error, PP_RULE_OPERAND_COUNT, in->n_args, rule->args);
  if (pointwise ? in->n_results < 1 : in->n_results != rule->results)
    return pp_refuse(error, PP_RULE_OPERAND_COUNT, in->n_results, pointwise ? 1 : rule->results);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t value = pp_pool_at(m, in->operands + i);
    bool weight = i == 1 && (in->family == PP_FAMILY_GEMM || in->family == PP_FAMILY_CONV2D);
    error->operand = i;
    if (value == PP_NONE) {
      if (i < rule->required || i >= in->n_args) return pp_refuse(error, PP_RULE_OPERAND_ABSENT, i, 0);
      continue;
    }
    if (value >= m->values.count) return pp_refuse(error, PP_RULE_OPERAND, value, m->values.count);
    error->value = value;
    pp_value v = pp_value_at(m, value);
    if (v.pack != PP_PACK_DENSE && !weight) return pp_refuse(error, PP_RULE_OPERAND_PACKED, v.pack, 0);
    if (i >= in->n_args && i < (uint32_t)in->n_args + in->n_results) {
      uint8_t storage = pp_buffer_at(m, v.buffer).storage;
      if (storage == PP_STORAGE_CONSTANT || storage == PP_STORAGE_INPUT)
        return pp_refuse(error, PP_RULE_RESULT_STORAGE, storage, 0);
    }
    error->value = PP_NONE;
  }
  error->operand = PP_NONE;
  /* Values that are checked while running must not change between the check and the use. */
  if (in->family == PP_FAMILY_GATHER || in->family == PP_FAMILY_UPDATE) {
    uint32_t buffer = operand(m, in, 1).buffer;
    if (buffer == operand(m, in, 2).buffer) return pp_refuse(error, PP_RULE_CHECKED_OPERAND, buffer, 0);
  }
  return PP_OK;
}

static pp_status open_attributes(const pp_method *m, const pp_instruction *in, pp_error *error) {
  const family_rule *rule = &families[in->family];
  if (in->n_attrs != rule->attrs || in->attrs > m->pool.count || in->n_attrs > m->pool.count - in->attrs)
    return pp_refuse(error, PP_RULE_ATTRIBUTES, in->n_attrs, rule->attrs);
  for (uint32_t i = 0; i < in->n_attrs; i++)
    if (pp_pool_at(m, in->attrs + i) >= m->exprs.count)
      return pp_refuse(error, PP_RULE_ATTRIBUTES, in->n_attrs, rule->attrs);
  if (in->n_floats != rule->floats || in->floats > m->floats.count || in->n_floats > m->floats.count - in->floats)
    return pp_refuse(error, PP_RULE_FLOATS, in->n_floats, rule->floats);
  return PP_OK;
}

/* The class of registers that holds a dtype, -1 for dtypes programs cannot touch. */
static int register_class(uint8_t dtype) {
  switch (dtype) {
    case PP_DTYPE_BOOL: return PP_PWTYPE_MASK;
    case PP_DTYPE_F32: case PP_DTYPE_F16: case PP_DTYPE_BF16: return PP_PWTYPE_F32;
    case PP_DTYPE_F64: return PP_PWTYPE_F64;
    case PP_DTYPE_I32: case PP_DTYPE_I16: case PP_DTYPE_U16: case PP_DTYPE_I8: case PP_DTYPE_U8: return PP_PWTYPE_I32;
    case PP_DTYPE_I64: case PP_DTYPE_U32: return PP_PWTYPE_I64;
    default: return -1;
  }
}

/* Programs are shared by instructions, so what depends on the operands is checked for each instruction. */
static pp_status open_program(pp_reader *r, const pp_method *m, const pp_instruction *in, pp_error *error) {
  bool epilogue = families[in->family].epilogue;
  if (in->program == PP_NONE) {
    if (in->family == PP_FAMILY_POINTWISE || in->n_program_args) return pp_refuse(error, PP_RULE_PROGRAM, -1, 0);
    return PP_OK;
  }
  if (in->program >= m->programs.count || (!epilogue && in->family != PP_FAMILY_POINTWISE))
    return pp_refuse(error, PP_RULE_PROGRAM, in->program, 0);
  pp_range range = pp_range_at(m, in->program);
  uint32_t operands = in->n_program_args + (epilogue ? 1u : 0u), stores = 0;
  uint8_t rank = operand(m, in, in->n_args).rank;
  if (range.loads > operands) return pp_refuse(error, PP_RULE_PROGRAM_LOADS, range.loads, operands);
  if (!pp_reader_spend(r, (uint64_t)range.count * PP_SIZE_PW_INSTRUCTION)) return PP_OK;
  for (uint32_t line = 0; line < range.count; line++) {
    const uint8_t *code = m->pointwise.at + ((size_t)range.first + line) * PP_SIZE_PW_INSTRUCTION;
    uint8_t type = code[PP_OFF_PW_INSTRUCTION_TYPE], dst = code[PP_OFF_PW_INSTRUCTION_DST];
    uint8_t a = code[PP_OFF_PW_INSTRUCTION_A];
    if (code[PP_OFF_PW_INSTRUCTION_OP] == PP_PW_LOAD) {
      uint32_t at = epilogue ? (a ? a - 1u : 0) : a; /* an epilogue's operand 0 is the result itself */
      at += epilogue && a == 0 ? in->n_args : (uint32_t)in->n_args + in->n_results;
      if (register_class(operand(m, in, at).dtype) != type) return pp_refuse(error, PP_RULE_LOAD_DTYPE, line, a);
    } else if (code[PP_OFF_PW_INSTRUCTION_OP] == PP_PW_STORE) {
      if (dst >= in->n_results) return pp_refuse(error, PP_RULE_STORE_COUNT, dst + 1, in->n_results);
      if (register_class(operand(m, in, (uint32_t)in->n_args + dst).dtype) != type)
        return pp_refuse(error, PP_RULE_STORE_DTYPE, line, dst);
      stores++;
    } else if (code[PP_OFF_PW_INSTRUCTION_OP] == PP_PW_INDEX && a >= rank) {
      return pp_refuse(error, PP_RULE_INDEX_AXIS, a, rank);
    }
  }
  /* No result is stored twice (open_pointwise.c), so the count says that none is missing. */
  if (stores != in->n_results) return pp_refuse(error, PP_RULE_STORE_COUNT, stores, in->n_results);
  return PP_OK;
}

pp_status pp_open_instructions(pp_reader *r, const pp_method *m, pp_error *error) {
  for (uint32_t i = 0; i < m->instructions.count && !r->fault; i++) {
    pp_instruction in = pp_instruction_at(m, i);
    error->instruction = i;
    if (in.family <= PP_FAMILY_NONE || in.family >= PP_FAMILY__COUNT)
      return pp_refuse(error, PP_RULE_FAMILY, in.family, PP_FAMILY__COUNT - 1);
    if (in.barrier > 1 || (i == 0 && !in.barrier)) return pp_refuse(error, PP_RULE_BARRIER, in.barrier, 0);
    PP_TRY(open_operands(m, &in, error));
    PP_TRY(open_attributes(m, &in, error));
    PP_TRY(open_program(r, m, &in, error));
  }
  error->instruction = PP_NONE;
  return PP_OK;
}
