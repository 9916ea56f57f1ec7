/* What a program says about itself: methods, ports, symbols, states, and the names of the debug section. */
#include "internal.h"

uint32_t pp_method_count(const pp_program *program) { return program ? program->methods.count : 0; }

uint32_t pp_state_count(const pp_program *program) { return program ? program->states.count : 0; }

pp_status pp_method_get(const pp_program *program, uint32_t method, pp_method_info *info) {
  if (!program || !info || method >= program->methods.count) return PP_ERR_ARGUMENT;
  pp_reader r = pp_program_reader(program);
  pp_method m;
  pp_method_read(&r, program, method, &m);
  *info = (pp_method_info){m.name, m.inputs.count, m.outputs.count, m.symbols.count, m.instructions.count, 0};
  for (uint32_t i = 0; i < m.instructions.count; i++) info->epochs += pp_instruction_at(&m, i).barrier;
  return PP_OK;
}

static pp_status port_get(const pp_program *program, uint32_t method, bool output, uint32_t i, pp_port *port) {
  if (!program || !port || method >= program->methods.count) return PP_ERR_ARGUMENT;
  pp_reader r = pp_program_reader(program);
  pp_method m;
  pp_method_read(&r, program, method, &m);
  pp_list ports = output ? m.outputs : m.inputs;
  if (i >= ports.count) return PP_ERR_ARGUMENT;
  memset(port, 0, sizeof *port);
  pp_value v = pp_value_at(&m, pp_port_read(&r, ports, i, &port->name));
  port->dtype = v.dtype;
  port->rank = v.rank;
  for (uint32_t d = 0; d < PP_MAX_RANK; d++) {
    port->symbol[d] = PP_NONE;
    if (d >= v.rank) continue;
    pp_expr e = pp_expr_at(&m, pp_pool_at(&m, v.dims + d));
    port->size[d] = e.op == PP_EXPR_CONST ? e.value : -1;
    if (e.op == PP_EXPR_SYMBOL) port->symbol[d] = e.a;
  }
  return PP_OK;
}

pp_status pp_input_get(const pp_program *program, uint32_t method, uint32_t i, pp_port *port) {
  return port_get(program, method, false, i, port);
}

pp_status pp_output_get(const pp_program *program, uint32_t method, uint32_t i, pp_port *port) {
  return port_get(program, method, true, i, port);
}

pp_status pp_symbol_get(const pp_program *program, uint32_t method, uint32_t i, pp_symbol *symbol) {
  if (!program || !symbol || method >= program->methods.count) return PP_ERR_ARGUMENT;
  pp_reader r = pp_program_reader(program);
  pp_method m;
  pp_method_read(&r, program, method, &m);
  if (i >= m.symbols.count) return PP_ERR_ARGUMENT;
  pp_symbol_read(&r, &m, i, symbol);
  return PP_OK;
}

pp_status pp_state_get(const pp_program *program, uint32_t state, pp_port *port) {
  if (!program || !port || state >= program->states.count) return PP_ERR_ARGUMENT;
  pp_reader r = pp_program_reader(program);
  pp_state_record s = pp_state_read(&r, program, state);
  memset(port, 0, sizeof *port);
  port->name = s.name;
  port->dtype = s.dtype;
  port->rank = s.shape.count;
  for (uint32_t d = 0; d < PP_MAX_RANK; d++) {
    port->symbol[d] = PP_NONE;
    if (d < s.shape.count) port->size[d] = (int64_t)pp_u64(s.shape.at + (size_t)d * 8);
  }
  return PP_OK;
}

/* The debug section is not checked at open, for it is never needed to run; the reader makes damage read as absence. */
void pp_debug_get(const pp_program *program, uint32_t method, uint32_t instruction, const char **op, const char **name,
                  const char **source) {
  const char **targets[] = {op, name, source};
  const char *found[3] = {NULL, NULL, NULL};
  if (program && program->sections[PP_SECTION_DEBUG].size) {
    pp_reader r = pp_reader_make(program->sections[PP_SECTION_DEBUG].at, program->sections[PP_SECTION_DEBUG].size);
    pp_list methods = pp_reader_list(&r, pp_reader_root(&r), PP_SLOT_DEBUG_METHODS, 4, 4);
    pp_table t = pp_reader_item(&r, methods, method);
    pp_list instructions = pp_reader_list(&r, t, PP_SLOT_METHOD_DEBUG_INSTRUCTIONS, 4, 4);
    t = pp_reader_item(&r, instructions, instruction);
    found[0] = pp_reader_string(&r, t, PP_SLOT_INSTRUCTION_DEBUG_OP, false);
    found[1] = pp_reader_string(&r, t, PP_SLOT_INSTRUCTION_DEBUG_NAME, false);
    found[2] = pp_reader_string(&r, t, PP_SLOT_INSTRUCTION_DEBUG_SOURCE, false);
  }
  for (int i = 0; i < 3; i++)
    if (targets[i]) *targets[i] = found[i] ? found[i] : "";
}
