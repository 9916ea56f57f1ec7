/* Open tier of a method: expressions, symbols, guards, buffers, values, ports, plan order, regions. */
#include "internal.h"

/* Planning takes time in the square of their number: about a second for as many as this. */
#define MAX_ARENA_BUFFERS 32768u

static pp_status open_exprs(const pp_method *m, pp_error *error) {
  for (uint32_t i = 0; i < m->exprs.count; i++) {
    pp_expr e = pp_expr_at(m, i);
    if (e.op >= PP_EXPR__COUNT) return pp_refuse(error, PP_RULE_EXPR_OPERATOR, i, e.op);
    if (e.op == PP_EXPR_CONST) continue;
    if (e.op == PP_EXPR_SYMBOL) {
      if (e.a >= m->symbols.count) return pp_refuse(error, PP_RULE_EXPR_SYMBOL, i, e.a);
    } else if (e.a >= i || e.b >= i) {
      return pp_refuse(error, PP_RULE_EXPR_ORDER, i, e.a >= i ? e.a : e.b);
    }
  }
  return PP_OK;
}

static pp_status open_symbols(pp_reader *r, const pp_method *m, pp_error *error) {
  for (uint32_t i = 0; i < m->symbols.count && !r->fault; i++) {
    pp_symbol s;
    pp_symbol_read(r, m, i, &s);
    if (s.min < 0 || s.min > s.max || s.multiple_of < 1) return pp_refuse(error, PP_RULE_SYMBOL_LIMITS, i, s.min);
  }
  for (uint32_t i = 0; i < m->guards.count && !r->fault; i++) {
    pp_table t = pp_reader_item(r, m->guards, i);
    uint64_t a = pp_reader_number(r, t, PP_SLOT_GUARD_A, 4, 0), b = pp_reader_number(r, t, PP_SLOT_GUARD_B, 4, 0);
    uint64_t relation = pp_reader_number(r, t, PP_SLOT_GUARD_RELATION, 1, 0);
    pp_reader_string(r, t, PP_SLOT_GUARD_TEXT, false);
    if (a >= m->exprs.count || b >= m->exprs.count || relation >= PP_RELATION__COUNT)
      return pp_refuse(error, PP_RULE_GUARD, i, 0);
  }
  return PP_OK;
}

static pp_status open_buffers(pp_reader *r, const pp_program *p, const pp_method *m, pp_error *error) {
  uint32_t arena = 0;
  for (uint32_t i = 0; i < m->buffers.count && !r->fault; i++) {
    pp_buffer b = pp_buffer_at(m, i);
    uint32_t limit = 0;
    switch (b.storage) {
      case PP_STORAGE_CONSTANT: limit = p->constants.count; break;
      case PP_STORAGE_ARENA: limit = PP_NONE; arena++; break;
      case PP_STORAGE_STATE: limit = p->states.count; break;
      case PP_STORAGE_INPUT: limit = m->inputs.count; break;
      case PP_STORAGE_OUTPUT: limit = m->outputs.count; break;
      default: return pp_refuse(error, PP_RULE_BUFFER_STORAGE, i, b.storage);
    }
    if (b.index >= limit && b.storage != PP_STORAGE_ARENA) return pp_refuse(error, PP_RULE_BUFFER_INDEX, i, b.index);
    if (b.size >= m->exprs.count) return pp_refuse(error, PP_RULE_BUFFER_SIZE, i, b.size);
    if (b.storage == PP_STORAGE_INPUT || b.storage == PP_STORAGE_OUTPUT) {
      /* The caller's memory is as large as the port's own value: no second buffer may claim it. */
      const char *name;
      uint32_t value = pp_port_read(r, b.storage == PP_STORAGE_INPUT ? m->inputs : m->outputs, b.index, &name);
      if (r->fault) return PP_OK;
      if (value < m->values.count && pp_value_at(m, value).buffer != i)
        return pp_refuse(error, PP_RULE_BUFFER_PORT, i, b.index);
    }
  }
  if (m->plan_order.count != arena) return pp_refuse(error, PP_RULE_PLAN_LENGTH, m->plan_order.count, arena);
  if (arena > MAX_ARENA_BUFFERS) return pp_refuse(error, PP_RULE_PLAN_SIZE, arena, MAX_ARENA_BUFFERS);
  for (uint32_t i = 0; i < arena; i++) {
    uint32_t b = pp_u32(m->plan_order.at + (size_t)i * 4);
    if (b >= m->buffers.count || pp_buffer_at(m, b).storage != PP_STORAGE_ARENA)
      return pp_refuse(error, PP_RULE_PLAN_ORDER, b, 0); /* repetitions: at instance creation */
  }
  return PP_OK;
}

static bool packed_well(const pp_method *m, const pp_value *v) {
  static const uint8_t ranks[PP_PACK__COUNT] = {
    [PP_PACK_GEMM_PANEL16] = 2, [PP_PACK_CONV_PANEL16] = 4, [PP_PACK_DEPTHWISE16] = 4};
  pp_expr offset = pp_expr_at(m, v->offset);
  return v->rank == ranks[v->pack] && v->dtype == PP_DTYPE_F32 && offset.op == PP_EXPR_CONST && offset.value == 0 &&
         pp_buffer_at(m, v->buffer).storage == PP_STORAGE_CONSTANT;
}

/* The caller aligns a port's memory for the port's own dtype; no value may need more. */
static bool aligned_in_port(pp_reader *r, const pp_method *m, const pp_value *v) {
  pp_buffer b = pp_buffer_at(m, v->buffer);
  if (b.storage != PP_STORAGE_INPUT && b.storage != PP_STORAGE_OUTPUT) return true;
  const char *name;
  uint32_t port = pp_port_read(r, b.storage == PP_STORAGE_INPUT ? m->inputs : m->outputs, b.index, &name);
  return r->fault || port >= m->values.count || /* refused with the ports */
         pp_dtype_size(v->dtype) <= pp_dtype_size(pp_value_at(m, port).dtype);
}

static pp_status open_values(pp_reader *r, const pp_method *m, pp_error *error) {
  for (uint32_t i = 0; i < m->values.count; i++) {
    pp_value v = pp_value_at(m, i);
    if (v.buffer >= m->buffers.count) return pp_refuse(error, PP_RULE_VALUE_BUFFER, i, v.buffer);
    if (pp_dtype_size(v.dtype) == 0) return pp_refuse(error, PP_RULE_VALUE_DTYPE, i, v.dtype);
    if (v.rank > PP_MAX_RANK) return pp_refuse(error, PP_RULE_VALUE_RANK, i, v.rank);
    if (v.pack >= PP_PACK__COUNT) return pp_refuse(error, PP_RULE_VALUE_PACK, i, v.pack);
    uint32_t n = v.pack == PP_PACK_DENSE ? 2u * v.rank : v.rank;
    if (v.offset >= m->exprs.count || v.dims > m->pool.count || n > m->pool.count - v.dims)
      return pp_refuse(error, PP_RULE_VALUE_DIMS, i, v.dims);
    for (uint32_t d = 0; d < n; d++)
      if (pp_pool_at(m, v.dims + d) >= m->exprs.count) return pp_refuse(error, PP_RULE_VALUE_DIMS, i, d);
    if (v.pack != PP_PACK_DENSE && !packed_well(m, &v)) return pp_refuse(error, PP_RULE_VALUE_PACKED, i, v.pack);
    if (!aligned_in_port(r, m, &v)) return pp_refuse(error, PP_RULE_VALUE_ITEM, i, v.dtype);
    if (!pp_reader_spend(r, n * 4)) return PP_OK;
  }
  return PP_OK;
}

static pp_status open_ports(pp_reader *r, const pp_method *m, pp_list ports, uint8_t storage, pp_error *error) {
  for (uint32_t i = 0; i < ports.count; i++) {
    const char *name;
    uint32_t value = pp_port_read(r, ports, i, &name);
    if (r->fault) return PP_OK;
    if (value >= m->values.count || pp_value_at(m, value).pack != PP_PACK_DENSE)
      return pp_refuse(error, PP_RULE_PORT_VALUE, i, value);
    pp_buffer b = pp_buffer_at(m, pp_value_at(m, value).buffer);
    if (b.storage != storage || b.index != i) return pp_refuse(error, PP_RULE_PORT_BUFFER, i, b.index);
  }
  return PP_OK;
}

static bool region_ports(pp_reader *r, pp_table t, uint32_t slot, uint32_t limit) {
  pp_list list = pp_reader_list(r, t, slot, 4, 4);
  for (uint32_t i = 0; i < list.count; i++)
    if (pp_u32(list.at + (size_t)i * 4) >= limit) return false;
  return true;
}

static pp_status open_regions(pp_reader *r, const pp_program *p, const pp_method *m, pp_error *error) {
  uint64_t end = 0;
  for (uint32_t i = 0; i < m->regions.count && !r->fault; i++) {
    pp_table t = pp_reader_item(r, m->regions, i);
    pp_reader_string(r, t, PP_SLOT_REGION_DELEGATE, true);
    uint64_t first = pp_reader_number(r, t, PP_SLOT_REGION_FIRST, 4, 0);
    uint64_t count = pp_reader_number(r, t, PP_SLOT_REGION_COUNT, 4, 0);
    uint64_t blob = pp_reader_number(r, t, PP_SLOT_REGION_BLOB, 4, PP_NONE);
    bool good = region_ports(r, t, PP_SLOT_REGION_INPUTS, m->values.count) &&
                region_ports(r, t, PP_SLOT_REGION_OUTPUTS, m->values.count);
    if (r->fault) return PP_OK;
    if (!good || first < end || first + count > m->instructions.count || (blob != PP_NONE && blob >= p->constants.count))
      return pp_refuse(error, PP_RULE_REGION, i, 0);
    end = first + count;
  }
  return PP_OK;
}

pp_status pp_open_method(pp_reader *r, const pp_program *p, const pp_method *m, pp_error *error) {
  PP_TRY(open_exprs(m, error));
  PP_TRY(open_symbols(r, m, error));
  if (r->fault) return PP_OK;
  PP_TRY(open_buffers(r, p, m, error));
  if (r->fault) return PP_OK;
  PP_TRY(open_values(r, m, error));
  if (r->fault) return PP_OK;
  PP_TRY(open_ports(r, m, m->inputs, PP_STORAGE_INPUT, error));
  PP_TRY(open_ports(r, m, m->outputs, PP_STORAGE_OUTPUT, error));
  return open_regions(r, p, m, error);
}
