/* Decoding: records of fixed size, and the tables of a method. */
#include "internal.h"

pp_expr pp_expr_at(const pp_method *m, uint32_t i) {
  const uint8_t *p = m->exprs.at + (size_t)i * PP_SIZE_EXPR;
  return (pp_expr){(int64_t)pp_u64(p + PP_OFF_EXPR_VALUE), pp_u32(p + PP_OFF_EXPR_A), pp_u32(p + PP_OFF_EXPR_B),
                   p[PP_OFF_EXPR_OP]};
}

pp_buffer pp_buffer_at(const pp_method *m, uint32_t i) {
  const uint8_t *p = m->buffers.at + (size_t)i * PP_SIZE_BUFFER;
  return (pp_buffer){pp_u32(p + PP_OFF_BUFFER_INDEX), pp_u32(p + PP_OFF_BUFFER_SIZE), p[PP_OFF_BUFFER_STORAGE]};
}

pp_value pp_value_at(const pp_method *m, uint32_t i) {
  const uint8_t *p = m->values.at + (size_t)i * PP_SIZE_VALUE;
  return (pp_value){pp_u32(p + PP_OFF_VALUE_BUFFER), pp_u32(p + PP_OFF_VALUE_OFFSET), pp_u32(p + PP_OFF_VALUE_DIMS),
                    p[PP_OFF_VALUE_RANK], p[PP_OFF_VALUE_DTYPE], p[PP_OFF_VALUE_PACK]};
}

pp_range pp_range_at(const pp_method *m, uint32_t i) {
  const uint8_t *p = m->programs.at + (size_t)i * PP_SIZE_PW_RANGE;
  return (pp_range){pp_u32(p + PP_OFF_PW_RANGE_FIRST), pp_u16(p + PP_OFF_PW_RANGE_COUNT),
                    p[PP_OFF_PW_RANGE_REGISTERS], p[PP_OFF_PW_RANGE_LOADS]};
}

pp_instruction pp_instruction_at(const pp_method *m, uint32_t i) {
  const uint8_t *p = m->instructions.at + (size_t)i * PP_SIZE_INSTRUCTION;
  return (pp_instruction){
    .operands = pp_u32(p + PP_OFF_INSTRUCTION_OPERANDS), .attrs = pp_u32(p + PP_OFF_INSTRUCTION_ATTRS),
    .floats = pp_u32(p + PP_OFF_INSTRUCTION_FLOATS), .program = pp_u32(p + PP_OFF_INSTRUCTION_PROGRAM),
    .n_args = p[PP_OFF_INSTRUCTION_N_ARGS], .n_results = p[PP_OFF_INSTRUCTION_N_RESULTS],
    .n_program_args = p[PP_OFF_INSTRUCTION_N_PROGRAM_ARGS], .n_attrs = p[PP_OFF_INSTRUCTION_N_ATTRS],
    .n_floats = p[PP_OFF_INSTRUCTION_N_FLOATS], .family = p[PP_OFF_INSTRUCTION_FAMILY],
    .algorithm = p[PP_OFF_INSTRUCTION_ALGORITHM], .barrier = p[PP_OFF_INSTRUCTION_BARRIER],
  };
}

pp_constant pp_constant_at(const pp_program *p, uint32_t i) {
  const uint8_t *c = p->constants.at + (size_t)i * PP_SIZE_CONSTANT;
  return (pp_constant){pp_u64(c + PP_OFF_CONSTANT_OFFSET), pp_u64(c + PP_OFF_CONSTANT_SIZE),
                       pp_u32(c + PP_OFF_CONSTANT_SECTION)};
}

pp_reader pp_program_reader(const pp_program *p) {
  return pp_reader_make(p->sections[PP_SECTION_METADATA].at, p->sections[PP_SECTION_METADATA].size);
}

void pp_method_read(pp_reader *r, const pp_program *p, uint32_t i, pp_method *m) {
  pp_table t = pp_reader_item(r, p->methods, i);
  /* Element size and alignment of a method's vectors, in slot order. */
  static const uint8_t layout[][2] = {
    {4, 4}, {PP_SIZE_EXPR, 8}, {4, 4}, {PP_SIZE_BUFFER, 4}, {PP_SIZE_VALUE, 4}, {4, 4}, {8, 8}, {PP_SIZE_PW_RANGE, 4},
    {PP_SIZE_PW_INSTRUCTION, 8}, {PP_SIZE_INSTRUCTION, 4}, {4, 4}, {4, 4}, {4, 4}, {4, 4},
  };
  pp_list *lists[] = {
    &m->symbols, &m->exprs, &m->guards, &m->buffers, &m->values, &m->pool, &m->floats, &m->programs, &m->pointwise,
    &m->instructions, &m->inputs, &m->outputs, &m->plan_order, &m->regions,
  };
  m->name = pp_reader_string(r, t, PP_SLOT_METHOD_NAME, true);
  for (uint32_t k = 0; k < sizeof lists / sizeof *lists; k++)
    *lists[k] = pp_reader_list(r, t, PP_SLOT_METHOD_SYMBOLS + k, layout[k][0], layout[k][1]);
}

uint32_t pp_port_read(pp_reader *r, pp_list ports, uint32_t i, const char **name) {
  pp_table t = pp_reader_item(r, ports, i);
  *name = pp_reader_string(r, t, PP_SLOT_PORT_NAME, true);
  return (uint32_t)pp_reader_number(r, t, PP_SLOT_PORT_VALUE, 4, 0);
}

void pp_symbol_read(pp_reader *r, const pp_method *m, uint32_t i, pp_symbol *s) {
  pp_table t = pp_reader_item(r, m->symbols, i);
  s->name = pp_reader_string(r, t, PP_SLOT_SYMBOL_NAME, true);
  s->min = (int64_t)pp_reader_number(r, t, PP_SLOT_SYMBOL_MIN, 8, 0);
  s->max = (int64_t)pp_reader_number(r, t, PP_SLOT_SYMBOL_MAX, 8, 0);
  s->multiple_of = (int64_t)pp_reader_number(r, t, PP_SLOT_SYMBOL_MULTIPLE_OF, 8, 1);
}

pp_state_record pp_state_read(pp_reader *r, const pp_program *p, uint32_t i) {
  pp_table t = pp_reader_item(r, p->states, i);
  pp_state_record s;
  s.name = pp_reader_string(r, t, PP_SLOT_STATE_NAME, true);
  s.size = pp_reader_number(r, t, PP_SLOT_STATE_SIZE, 8, 0);
  s.init = (uint32_t)pp_reader_number(r, t, PP_SLOT_STATE_INIT, 4, PP_NONE);
  s.dtype = (uint8_t)pp_reader_number(r, t, PP_SLOT_STATE_DTYPE, 1, 0);
  s.shape = pp_reader_list(r, t, PP_SLOT_STATE_SHAPE, 8, 8);
  return s;
}

int pp_dtype_size(uint32_t dtype) {
  static const uint8_t sizes[PP_DTYPE__COUNT] = {
    [PP_DTYPE_BOOL] = 1, [PP_DTYPE_U8] = 1,   [PP_DTYPE_I8] = 1,   [PP_DTYPE_U16] = 2, [PP_DTYPE_I16] = 2,
    [PP_DTYPE_U32] = 4,  [PP_DTYPE_I32] = 4,  [PP_DTYPE_U64] = 8,  [PP_DTYPE_I64] = 8, [PP_DTYPE_F16] = 2,
    [PP_DTYPE_BF16] = 2, [PP_DTYPE_F32] = 4,  [PP_DTYPE_F64] = 8,
  };
  return dtype < PP_DTYPE__COUNT ? sizes[dtype] : 0;
}
