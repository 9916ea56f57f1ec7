/* Bind tier: input sizes to symbols, expressions, views, kernels and the memory plan. */
#include "internal.h"

#define SLAB_HEADER 64u /* of a thread's scratch: its error */

static uint64_t align64(uint64_t x) { return (x + 63) & ~(uint64_t)63; }

static pp_value port_value(pp_reader *r, const pp_method *m, pp_list ports, uint32_t i) {
  const char *name;
  return pp_value_at(m, pp_port_read(r, ports, i, &name));
}

/* Symbols from the inputs' dimensions, each checked where it is defined so that the error can name the input. */
static pp_status solve_symbols(pp_bound *b, pp_reader *r, const pp_tensor *inputs, pp_error *error) {
  const pp_method *m = &b->m;
  for (uint32_t i = 0; i < m->symbols.count; i++) b->symbols[i] = -1;
  for (uint32_t i = 0; i < m->inputs.count; i++) {
    pp_value v = port_value(r, m, m->inputs, i);
    const pp_tensor *in = &inputs[i];
    error->operand = i;
    if (in->dtype != v.dtype) return pp_refuse(error, PP_RULE_INPUT_DTYPE, in->dtype, v.dtype);
    if (in->rank != v.rank) return pp_refuse(error, PP_RULE_INPUT_RANK, in->rank, v.rank);
    for (uint32_t d = 0; d < v.rank; d++) {
      pp_expr e = pp_expr_at(m, pp_pool_at(m, v.dims + d));
      int64_t size = in->shape[d];
      error->value = d;
      if (size < 0) return pp_refuse(error, PP_RULE_ARGUMENT, size, 0);
      if (e.op == PP_EXPR_CONST && e.value != size) return pp_refuse(error, PP_RULE_INPUT_SIZE, size, e.value);
      if (e.op != PP_EXPR_SYMBOL || b->symbols[e.a] >= 0) continue;
      pp_symbol s;
      pp_symbol_read(r, m, e.a, &s);
      if (size < s.min || size > s.max) return pp_refuse(error, PP_RULE_SYMBOL_RANGE, size, s.max);
      if (size % s.multiple_of) return pp_refuse(error, PP_RULE_SYMBOL_MULTIPLE, size, s.multiple_of);
      b->symbols[e.a] = size;
    }
  }
  error->operand = error->value = PP_NONE;
  return PP_OK;
}

static pp_status check_inputs(pp_bound *b, pp_reader *r, const pp_tensor *inputs, pp_error *error) {
  const pp_method *m = &b->m;
  for (uint32_t i = 0; i < m->inputs.count; i++) {
    pp_value v = port_value(r, m, m->inputs, i);
    error->operand = i;
    for (uint32_t d = 0; d < v.rank; d++) {
      int64_t want = b->exprs[pp_pool_at(m, v.dims + d)];
      error->value = d;
      if (inputs[i].shape[d] != want) return pp_refuse(error, PP_RULE_INPUT_DISAGREES, inputs[i].shape[d], want);
    }
  }
  error->operand = error->value = PP_NONE;
  for (uint32_t i = 0; i < m->guards.count; i++) {
    pp_table t = pp_reader_item(r, m->guards, i);
    int64_t x = b->exprs[pp_reader_number(r, t, PP_SLOT_GUARD_A, 4, 0)];
    int64_t y = b->exprs[pp_reader_number(r, t, PP_SLOT_GUARD_B, 4, 0)];
    bool holds;
    switch (pp_reader_number(r, t, PP_SLOT_GUARD_RELATION, 1, 0)) {
      case PP_RELATION_EQ: holds = x == y; break;
      case PP_RELATION_NE: holds = x != y; break;
      case PP_RELATION_LT: holds = x < y; break;
      default: holds = x <= y;
    }
    error->operand = i;
    if (!holds) return pp_refuse(error, PP_RULE_GUARD_FAILED, x, y);
  }
  error->operand = PP_NONE;
  return PP_OK;
}

static pp_status bind_buffers(pp_instance *instance, pp_bound *b, pp_error *error) {
  const pp_program *p = instance->program;
  for (uint32_t i = 0; i < b->m.buffers.count; i++) {
    pp_buffer buffer = pp_buffer_at(&b->m, i);
    int64_t bytes = b->exprs[buffer.size];
    uint64_t limit = UINT64_MAX;
    error->value = i;
    if (bytes < 0 || (uint64_t)bytes > PP_BUFFER_MAX) return pp_refuse(error, PP_RULE_BUFFER_BYTES, bytes, 0);
    b->buffer_bytes[i] = (uint64_t)bytes;
    b->buffer_offset[i] = 0;
    b->buffer_base[i] = NULL;
    if (buffer.storage == PP_STORAGE_CONSTANT) {
      pp_constant c = pp_constant_at(p, buffer.index);
      limit = c.size;
      b->buffer_base[i] = (uint8_t *)(uintptr_t)(p->sections[PP_SECTION_DATA].at + c.offset); /* only ever read */
    } else if (buffer.storage == PP_STORAGE_STATE) {
      limit = instance->states[buffer.index].size;
      b->buffer_base[i] = instance->states[buffer.index].at;
    }
    if ((uint64_t)bytes > limit) return pp_refuse(error, PP_RULE_BUFFER_SMALL, bytes, (int64_t)limit);
  }
  error->value = PP_NONE;
  return PP_OK;
}

pp_status pp_view_of(const pp_bound *b, uint32_t value, pp_view *view, pp_error *error) {
  pp_value v = pp_value_at(&b->m, value);
  uint64_t item = (uint64_t)pp_dtype_size(v.dtype), elements = 1;
  memset(view, 0, sizeof *view);
  view->buffer = v.buffer, view->dtype = v.dtype, view->rank = v.rank, view->pack = v.pack;
  error->value = value;
  for (uint32_t d = 0; d < v.rank; d++) {
    int64_t size = view->shape[d] = b->exprs[pp_pool_at(&b->m, v.dims + d)];
    if (size < 0 || size > INT32_MAX) return pp_refuse(error, PP_RULE_SHAPE_RANGE, size, d);
    if (size == 0) elements = 0;
  }
  for (uint32_t d = 0; d < v.rank && elements; d++) {
    if ((uint64_t)view->shape[d] > PP_BYTES_MAX / 8 / elements)
      return pp_refuse(error, PP_RULE_SHAPE_RANGE, view->shape[d], d);
    elements *= (uint64_t)view->shape[d];
  }
  if (v.pack == PP_PACK_DENSE) {
    int64_t end = b->exprs[v.offset];
    if (end < 0) return pp_refuse(error, PP_RULE_STRIDE_RANGE, end, 0);
    view->offset = elements ? end : 0; /* an empty view touches nothing, wherever it claims to be */
    bool overflow = false;
    for (uint32_t d = 0; d < v.rank; d++) {
      int64_t stride = view->stride[d] = b->exprs[pp_pool_at(&b->m, v.dims + v.rank + d)], reach;
      if (stride < 0) return pp_refuse(error, PP_RULE_STRIDE_RANGE, stride, d);
      if (elements == 0) continue;
      overflow |= __builtin_mul_overflow(view->shape[d] - 1, stride, &reach);
      overflow |= __builtin_add_overflow(end, reach, &end);
    }
    uint64_t room = b->buffer_bytes[v.buffer] / item;
    if (elements && (overflow || (uint64_t)end >= room))
      return pp_refuse(error, PP_RULE_VALUE_OUTSIDE, overflow || end >= INT64_MAX / 8 ? INT64_MAX : (end + 1) * (int64_t)item,
                       (int64_t)b->buffer_bytes[v.buffer]);
  }
  error->value = PP_NONE;
  return PP_OK;
}

static pp_status check_ports(pp_bound *b, pp_reader *r, pp_list ports, pp_error *error) {
  for (uint32_t i = 0; i < ports.count; i++) {
    pp_view v;
    const char *name;
    PP_TRY(pp_view_of(b, pp_port_read(r, ports, i, &name), &v, error));
    uint64_t bytes = (uint64_t)pp_dtype_size(v.dtype);
    bool dense = v.offset == 0, empty = false;
    int64_t step = 1;
    for (int d = v.rank - 1; d >= 0; d--) {
      if (v.shape[d] > 1 && v.stride[d] != step) dense = false;
      if (v.shape[d] == 0) empty = true;
      if (!empty) step *= v.shape[d];
    }
    bytes = empty ? 0 : bytes * (uint64_t)step;
    if ((!dense && !empty) || bytes != b->buffer_bytes[v.buffer])
      return pp_refuse(error, PP_RULE_PORT_DENSE, (int64_t)b->buffer_bytes[v.buffer], (int64_t)bytes);
  }
  return PP_OK;
}

static pp_status bind_step(pp_instance *instance, pp_bound *b, uint32_t i, pp_error *error) {
  pp_instruction in = pp_instruction_at(&b->m, i);
  pp_step *s = &b->steps[i];
  int64_t *attrs = b->attrs + (s->attrs - b->attrs);
  uint32_t n = (uint32_t)in.n_args + in.n_results + in.n_program_args;
  for (uint32_t k = 0; k < in.n_attrs; k++) attrs[k] = b->exprs[pp_pool_at(&b->m, in.attrs + k)];
  for (uint32_t k = 0; k < n; k++) {
    uint32_t value = pp_pool_at(&b->m, in.operands + k);
    if (value == PP_NONE) memset(&s->args[k], 0, sizeof(pp_view));
    else PP_TRY(pp_view_of(b, value, &s->args[k], error));
  }
  pp_status status = pp_contract_check(s, error);
  if (status != PP_OK) {
    error->rule = PP_RULE_CONTRACT;
    return status;
  }
  if (in.n_args > 1 && s->args[1].pack != PP_PACK_DENSE) {
    uint64_t needed = pp_packed_bytes(&s->args[1], in.family == PP_FAMILY_CONV2D ? attrs[8] : 1);
    uint64_t have = b->buffer_bytes[s->args[1].buffer];
    if (needed > have) return pp_refuse(error, PP_RULE_PACKED_BYTES, (int64_t)have, needed > PP_BYTES_MAX ? -1 : (int64_t)needed);
  }
  s->kernel = pp_kernel_select(s, instance->isa);
  if (!s->kernel) return pp_refuse(error, PP_RULE_KERNEL, s->family, 0);
  s->tasks = 0;
  s->scratch = 0;
  s->kernel->prepare(s);
  return PP_OK;
}

static pp_status bind_steps(pp_instance *instance, pp_bound *b, pp_error *error) {
  uint64_t scratch = 0, work = 0, per_epoch = 1u << 14;
  for (uint32_t i = 0; i < b->m.instructions.count; i++) {
    error->instruction = i;
    PP_TRY(bind_step(instance, b, i, error));
    if (b->steps[i].scratch > scratch) scratch = b->steps[i].scratch;
    work += pp_step_work(&b->steps[i]) / 8;
  }
  error->instruction = PP_NONE;
  b->scratch_bytes = align64(scratch);
  /* A thread must have enough to do between two barriers to pay for meeting at them. */
  uint64_t pays = b->epochs ? work / b->epochs / (per_epoch / 8) + 1 : 1;
  b->useful_threads = pays < instance->pool.threads ? (uint32_t)pays : instance->pool.threads;
  uint64_t plan = pp_plan_arena(b->buffer_bytes, b->first, b->last, (const uint32_t *)(const void *)b->m.plan_order.at,
                                b->m.plan_order.count, b->buffer_offset, b->placed);
  if (plan == UINT64_MAX) return pp_refuse(error, PP_RULE_ARENA_LIMIT, 0, 0);
  b->plan_bytes = align64(plan);
  uint64_t slab = b->scratch_bytes + SLAB_HEADER, total;
  if (__builtin_mul_overflow(slab, instance->pool.threads, &total) || total > PP_BYTES_MAX ||
      b->plan_bytes + total > SIZE_MAX / 2)
    return pp_refuse(error, PP_RULE_ARENA_LIMIT, 0, 0);
  b->arena_bytes = b->plan_bytes + total;
  return PP_OK;
}

static bool same_sizes(const pp_bound *b, const pp_tensor *inputs) {
  for (uint32_t i = 0; i < b->m.inputs.count; i++) {
    const pp_bound_input *old = &b->inputs[i];
    if (old->dtype != inputs[i].dtype || old->rank != inputs[i].rank) return false;
    for (uint32_t d = 0; d < old->rank; d++)
      if (old->shape[d] != inputs[i].shape[d]) return false;
  }
  return true;
}

pp_status pp_bind_sizes(pp_instance *instance, uint32_t method, const pp_tensor *inputs, uint32_t n_inputs,
                        uint64_t *arena_bytes, pp_error *error) {
  pp_error local;
  if (!error) error = &local;
  pp_error_clear(error);
  if (!instance || method >= instance->n_methods || (n_inputs && !inputs) || !arena_bytes)
    return pp_refuse(error, PP_RULE_ARGUMENT, 0, 0);
  pp_bound *b = &instance->methods[method];
  error->method = method;
  if (n_inputs != b->m.inputs.count) {
    b->sized = b->resolved = false;
    return pp_refuse(error, PP_RULE_INPUT_COUNT, n_inputs, b->m.inputs.count);
  }
  if (!b->sized || !same_sizes(b, inputs)) {
    pp_reader r = pp_program_reader(instance->program);
    b->sized = b->resolved = false;
    b->arena = NULL;
    PP_TRY(solve_symbols(b, &r, inputs, error));
    PP_TRY(pp_expr_evaluate(&b->m, b->symbols, b->exprs, error));
    PP_TRY(check_inputs(b, &r, inputs, error));
    PP_TRY(bind_buffers(instance, b, error));
    PP_TRY(check_ports(b, &r, b->m.inputs, error));
    PP_TRY(check_ports(b, &r, b->m.outputs, error));
    PP_TRY(bind_steps(instance, b, error));
    for (uint32_t i = 0; i < n_inputs; i++) {
      b->inputs[i].dtype = inputs[i].dtype;
      b->inputs[i].rank = inputs[i].rank;
      memcpy(b->inputs[i].shape, inputs[i].shape, sizeof inputs[i].shape);
    }
    b->sized = true;
  }
  *arena_bytes = b->arena_bytes;
  pp_error_clear(error);
  return PP_OK;
}

pp_status pp_bind_arena(pp_instance *instance, uint32_t method, void *arena, uint64_t bytes) {
  if (!instance || method >= instance->n_methods || !instance->methods[method].sized) return PP_ERR_ARGUMENT;
  pp_bound *b = &instance->methods[method];
  if (!arena || (uintptr_t)arena % 64 || bytes < b->arena_bytes) return PP_ERR_MEMORY;
  b->arena = arena;
  b->resolved = false;
  return PP_OK;
}

static pp_status bind_port(pp_instance *instance, uint32_t method, bool output, uint32_t i, const void *data) {
  if (!instance || method >= instance->n_methods || !instance->methods[method].sized) return PP_ERR_ARGUMENT;
  pp_bound *b = &instance->methods[method];
  pp_list ports = output ? b->m.outputs : b->m.inputs;
  if (i >= ports.count) return PP_ERR_ARGUMENT;
  pp_reader r = pp_program_reader(instance->program);
  pp_value v = port_value(&r, &b->m, ports, i);
  if ((uintptr_t)data % (uintptr_t)pp_dtype_size(v.dtype)) return PP_ERR_ARGUMENT;
  b->buffer_base[v.buffer] = (uint8_t *)(uintptr_t)data; /* inputs are never written: checked at open */
  b->resolved = false;
  return PP_OK;
}

pp_status pp_bind_input(pp_instance *instance, uint32_t method, uint32_t i, const void *data) {
  return bind_port(instance, method, false, i, data);
}

pp_status pp_bind_output(pp_instance *instance, uint32_t method, uint32_t i, void *data) {
  return bind_port(instance, method, true, i, data);
}

pp_status pp_output_shape(const pp_instance *instance, uint32_t method, uint32_t i, pp_tensor *shape) {
  if (!instance || !shape || method >= instance->n_methods || !instance->methods[method].sized) return PP_ERR_ARGUMENT;
  const pp_bound *b = &instance->methods[method];
  if (i >= b->m.outputs.count) return PP_ERR_ARGUMENT;
  pp_reader r = pp_program_reader(instance->program);
  pp_value v = port_value(&r, &b->m, b->m.outputs, i);
  memset(shape, 0, sizeof *shape);
  shape->dtype = v.dtype;
  shape->rank = v.rank;
  for (uint32_t d = 0; d < v.rank; d++) shape->shape[d] = b->exprs[pp_pool_at(&b->m, v.dims + d)];
  return PP_OK;
}
