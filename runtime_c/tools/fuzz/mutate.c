#include "mutate.h"

#include <stdlib.h>

#include "../../src/internal.h"

uint64_t rng_next(rng *r) { /* splitmix64 */
  uint64_t z = r->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t rng_below(rng *r, uint64_t n) { return n ? rng_next(r) % n : 0; }

uint64_t near_number(rng *r, uint64_t v) {
  static const uint64_t edges[] = {
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 4095, 65535, 65536, 1u << 20,
    INT32_MAX, (uint64_t)INT32_MAX + 1, UINT32_MAX, (uint64_t)UINT32_MAX + 1, (uint64_t)1 << 40, (uint64_t)1 << 61,
    (uint64_t)1 << 62, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 15};
  switch (rng_below(r, 8)) {
    case 0: case 1: return v + 1;
    case 2: return v - 1;
    case 3: return v + 2 + rng_below(r, 14);
    case 4: return v * 2;
    case 5: return v / 2;
    case 6: return edges[rng_below(r, 20)];
    default: return edges[rng_below(r, sizeof edges / sizeof *edges)];
  }
}

/* -- writing into a file; all places were found by the verifying reader, in a valid file --------------------------- */

static uint8_t *bytes(const uint8_t *p) { return (uint8_t *)(uintptr_t)p; }
static void set(uint8_t *p, uint64_t v, size_t size) { memcpy(p, &v, size); }
static uint64_t get(const uint8_t *p, size_t size) {
  uint64_t v = 0;
  memcpy(&v, p, size);
  return v;
}
static void nudge(rng *r, uint8_t *p, size_t size) { set(p, near_number(r, get(p, size)), size); }

/* Record i of a list, random; NULL when the list is empty. */
static uint8_t *record(rng *r, pp_list list, size_t size) {
  return list.count ? bytes(list.at) + rng_below(r, list.count) * size : NULL;
}

/* A scalar of a table, NULL when the file leaves it at its default, or when an earlier change broke the table. */
static uint8_t *scalar(pp_reader *reader, pp_table t, uint32_t slot) {
  if (6 + 2 * slot > t.vtable_size) return NULL;
  uint16_t offset = pp_u16(reader->base + t.vtable + 4 + 2 * slot);
  return offset && offset + 8u <= t.size ? bytes(reader->base) + t.at + offset : NULL;
}

static void nudge_slot(rng *r, pp_reader *reader, pp_list tables, uint32_t slot, size_t size) {
  if (!tables.count) return;
  uint8_t *p = scalar(reader, pp_reader_item(reader, tables, (uint32_t)rng_below(r, tables.count)), slot);
  if (p) nudge(r, p, size);
}

static void swap_records(rng *r, pp_list list, size_t size) {
  uint8_t a[64], *x = record(r, list, size), *y = record(r, list, size);
  if (!x || size > sizeof a) return;
  memcpy(a, x, size);
  memmove(x, y, size);
  memcpy(y, a, size);
}

static void mutate_expr(rng *r, const pp_method *m) {
  uint8_t *e = record(r, m->exprs, PP_SIZE_EXPR);
  if (!e) return;
  uint64_t before = (uint64_t)(e - m->exprs.at) / PP_SIZE_EXPR;
  switch (rng_below(r, 6)) {
    case 0: set(e + PP_OFF_EXPR_OP, rng_below(r, PP_EXPR__COUNT + 1), 1); break;
    case 1: set(e + PP_OFF_EXPR_A, rng_below(r, before), 4); break;
    case 2: set(e + PP_OFF_EXPR_B, rng_below(r, before), 4); break;
    default: nudge(r, e + PP_OFF_EXPR_VALUE, 8);
  }
}

static void mutate_buffer(rng *r, const pp_method *m) {
  uint8_t *b = record(r, m->buffers, PP_SIZE_BUFFER);
  if (!b) return;
  switch (rng_below(r, 4)) {
    case 0: set(b + PP_OFF_BUFFER_STORAGE, rng_below(r, PP_STORAGE__COUNT + 1), 1); break;
    case 1: nudge(r, b + PP_OFF_BUFFER_INDEX, 4); break;
    default: set(b + PP_OFF_BUFFER_SIZE, rng_below(r, m->exprs.count), 4);
  }
}

static void mutate_value(rng *r, const pp_method *m) {
  uint8_t *v = record(r, m->values, PP_SIZE_VALUE);
  if (!v) return;
  switch (rng_below(r, 8)) {
    case 0: set(v + PP_OFF_VALUE_BUFFER, rng_below(r, m->buffers.count), 4); break;
    case 1: set(v + PP_OFF_VALUE_OFFSET, rng_below(r, m->exprs.count), 4); break;
    case 2: set(v + PP_OFF_VALUE_DIMS, rng_below(r, m->pool.count), 4); break;
    case 3: nudge(r, v + PP_OFF_VALUE_RANK, 1); break;
    case 4: set(v + PP_OFF_VALUE_DTYPE, rng_below(r, PP_DTYPE__COUNT + 1), 1); break;
    case 5: set(v + PP_OFF_VALUE_PACK, rng_below(r, PP_PACK__COUNT + 1), 1); break;
    default: { /* the shape of another value: legal more often than a random one */
      const uint8_t *other = record(r, m->values, PP_SIZE_VALUE);
      memcpy(v + PP_OFF_VALUE_DIMS, other + PP_OFF_VALUE_DIMS, 4);
      if (rng_below(r, 2)) memcpy(v + PP_OFF_VALUE_RANK, other + PP_OFF_VALUE_RANK, 1);
    }
  }
}

static void mutate_pool(rng *r, const pp_method *m) {
  uint8_t *p = record(r, m->pool, 4);
  if (!p) return;
  switch (rng_below(r, 6)) {
    case 0: set(p, rng_below(r, m->values.count), 4); break;
    case 1: set(p, rng_below(r, m->exprs.count), 4); break;
    case 2: memcpy(p, record(r, m->pool, 4), 4); break;
    case 3: set(p, PP_NONE, 4); break;
    case 4: swap_records(r, m->pool, 4); break;
    default: nudge(r, p, 4);
  }
}

static void mutate_instruction(rng *r, const pp_method *m) {
  static const struct { uint8_t offset, size; } fields[] = {
    {PP_OFF_INSTRUCTION_OPERANDS, 4}, {PP_OFF_INSTRUCTION_ATTRS, 4}, {PP_OFF_INSTRUCTION_FLOATS, 4},
    {PP_OFF_INSTRUCTION_PROGRAM, 4}, {PP_OFF_INSTRUCTION_N_ARGS, 1}, {PP_OFF_INSTRUCTION_N_RESULTS, 1},
    {PP_OFF_INSTRUCTION_N_PROGRAM_ARGS, 1}, {PP_OFF_INSTRUCTION_N_ATTRS, 1}, {PP_OFF_INSTRUCTION_N_FLOATS, 1},
    {PP_OFF_INSTRUCTION_FAMILY, 1}, {PP_OFF_INSTRUCTION_ALGORITHM, 1}, {PP_OFF_INSTRUCTION_BARRIER, 1}};
  uint8_t *in = record(r, m->instructions, PP_SIZE_INSTRUCTION);
  if (!in) return;
  uint64_t k = rng_below(r, sizeof fields / sizeof *fields + 4);
  switch (k) {
    case 9: set(in + PP_OFF_INSTRUCTION_FAMILY, rng_below(r, PP_FAMILY__COUNT + 1), 1); return;
    case 3: set(in + PP_OFF_INSTRUCTION_PROGRAM, rng_below(r, m->programs.count + 1), 4); return;
    case 11: in[PP_OFF_INSTRUCTION_BARRIER] ^= 1; return;
    case 12: set(in + PP_OFF_INSTRUCTION_ALGORITHM, rng_next(r), 1); return;
    case 13: swap_records(r, m->instructions, PP_SIZE_INSTRUCTION); return;
    case 14: memcpy(in, record(r, m->instructions, PP_SIZE_INSTRUCTION), PP_SIZE_INSTRUCTION); return;
    case 15: /* an operand of this very instruction */
      k = get(in + PP_OFF_INSTRUCTION_OPERANDS, 4) + rng_below(r, 4);
      if (k < m->pool.count) set(bytes(m->pool.at) + 4 * k, rng_below(r, m->values.count), 4);
      return;
    default: nudge(r, in + fields[k].offset, fields[k].size);
  }
}

static void mutate_pointwise(rng *r, const pp_method *m) {
  uint8_t *i = record(r, m->pointwise, PP_SIZE_PW_INSTRUCTION), *range = record(r, m->programs, PP_SIZE_PW_RANGE);
  if (!i || !range) return;
  switch (rng_below(r, 10)) {
    case 0: case 1: case 2: set(i + PP_OFF_PW_INSTRUCTION_OP, PP_PW_ADD + rng_below(r, PP_PW__COUNT + 1 - PP_PW_ADD), 1); break;
    case 3: set(i + PP_OFF_PW_INSTRUCTION_TYPE, rng_below(r, PP_PWTYPE__COUNT + 1), 1); break;
    case 4: set(i + PP_OFF_PW_INSTRUCTION_DST + rng_below(r, 4), rng_below(r, 6), 1); break;
    case 5: nudge(r, i + PP_OFF_PW_INSTRUCTION_DST + rng_below(r, 4), 1); break;
    case 6: nudge(r, i + PP_OFF_PW_INSTRUCTION_IMM, 8); break;
    case 7: nudge(r, range + PP_OFF_PW_RANGE_FIRST, 4); break;
    case 8: nudge(r, range + PP_OFF_PW_RANGE_COUNT, 2); break;
    default: nudge(r, range + (rng_below(r, 2) ? PP_OFF_PW_RANGE_REGISTERS : PP_OFF_PW_RANGE_LOADS), 1);
  }
}

static void mutate_float(rng *r, const pp_method *m) {
  static const double values[] = {0, -0.0, 1, -1, 1e-30, 1e30, 1e308, -1e308, 4e-320};
  uint8_t *f = record(r, m->floats, 8);
  if (!f) return;
  double v = values[rng_below(r, sizeof values / sizeof *values)];
  if (rng_below(r, 3) == 0) set(f, rng_below(r, 2) ? 0x7ff0000000000000u : 0x7ff8000000000000u, 8); /* inf, NaN */
  else memcpy(f, &v, 8);
}

static void mutate_tables(rng *r, pp_reader *reader, const pp_program *p, const pp_method *m) {
  uint32_t slot = (uint32_t)rng_below(r, 3);
  switch (rng_below(r, 6)) {
    case 0: nudge_slot(r, reader, rng_below(r, 2) ? m->inputs : m->outputs, PP_SLOT_PORT_VALUE, 4); break;
    case 1: case 2: nudge_slot(r, reader, m->symbols, PP_SLOT_SYMBOL_MIN + slot, 8); break;
    case 3: nudge_slot(r, reader, m->guards, PP_SLOT_GUARD_A + slot, slot == 2 ? 1 : 4); break;
    case 4: {
      if (!p->states.count) return;
      uint32_t state = (uint32_t)rng_below(r, p->states.count);
      pp_state_record s = pp_state_read(reader, p, state);
      static const struct { uint8_t slot, size; } fields[] = {
        {PP_SLOT_STATE_SIZE, 8}, {PP_SLOT_STATE_INIT, 4}, {PP_SLOT_STATE_DTYPE, 1}};
      uint8_t *at = scalar(reader, pp_reader_item(reader, p->states, state), fields[slot].slot);
      if (s.shape.count && rng_below(r, 2)) at = NULL, nudge(r, record(r, s.shape, 8), 8);
      if (at) nudge(r, at, fields[slot].size);
      break;
    }
    default: {
      uint8_t *c = record(r, p->constants, PP_SIZE_CONSTANT);
      if (!c) return;
      uint64_t offset = get(c, 8);
      switch (rng_below(r, 3)) {
        case 0: set(c, offset + (rng_below(r, 2) ? 64 : (uint64_t)-64), 8); break;
        case 1: nudge(r, c + PP_OFF_CONSTANT_SIZE, 8); break;
        default: nudge(r, c, 8);
      }
    }
  }
}

static void mutate_raw(rng *r, pp_section section) {
  if (!section.size) return;
  uint64_t at = rng_below(r, section.size);
  uint8_t *p = bytes(section.at) + at;
  size_t size = section.size - at >= 8 ? 8 : section.size - at >= 4 ? 4 : 1;
  switch (rng_below(r, 3)) {
    case 0: *p ^= (uint8_t)(1u << rng_below(r, 8)); break;
    case 1: *p = (uint8_t)rng_next(r); break;
    default: nudge(r, p, size);
  }
}

static void mutate_header(rng *r, uint8_t *file) {
  static const struct { uint8_t offset, size; } fields[] = {
    {8, 2}, {10, 2}, {12, 4}, {16, 8}, {24, 8}, {32, 4}, {40, 8}, {48, 4}, {56, 8}, {64, 8}, {72, 8}, {80, 4}, {88, 8},
    {96, 8}, {104, 8}};
  size_t k = rng_below(r, sizeof fields / sizeof *fields);
  nudge(r, file + fields[k].offset, fields[k].size);
}

static void fix_checksums(uint8_t *file, uint64_t size, const pp_program *p) {
  static const uint8_t zeros[4];
  pp_section metadata = p->sections[PP_SECTION_METADATA];
  set(file + 52, pp_crc32(0, metadata.at, metadata.size), 4); /* the metadata is the first section */
  uint64_t header = get(file + 12, 4);
  if (header < 48 || header > size) return;
  uint32_t crc = pp_crc32(pp_crc32(0, file, 36), zeros, 4);
  set(file + 36, pp_crc32(crc, file + 40, header - 40), 4);
}

void mutate(rng *r, uint8_t *file, uint64_t size) {
  pp_program memory;
  const pp_program *p;
  if (pp_program_open(file, size, 0, &memory, sizeof memory, &p, NULL) != PP_OK) abort(); /* seeds are valid */
  for (uint64_t left = 1 + rng_below(r, 3); left; left--) {
    pp_reader reader = pp_program_reader(p);
    pp_method m;
    pp_method_read(&reader, p, (uint32_t)rng_below(r, p->methods.count), &m);
    if (reader.fault) break; /* an earlier change broke the structure */
    switch (rng_below(r, 20)) {
      case 0: case 1: case 2: mutate_expr(r, &m); break;
      case 3: mutate_buffer(r, &m); break;
      case 4: case 5: mutate_value(r, &m); break;
      case 6: case 7: mutate_pool(r, &m); break;
      case 8: case 9: case 10: mutate_instruction(r, &m); break;
      case 11: case 12: case 13: mutate_pointwise(r, &m); break;
      case 14: mutate_float(r, &m); break;
      case 15: swap_records(r, m.plan_order, 4); break;
      case 16: case 17: mutate_tables(r, &reader, p, &m); break;
      case 18: mutate_raw(r, p->sections[1 + rng_below(r, 3)]); break;
      default:
        if (rng_below(r, 8) == 0) mutate_header(r, file);
        else if (rng_below(r, 3) == 0) mutate_raw(r, p->sections[PP_SECTION_METADATA]);
        else mutate_raw(r, p->sections[PP_SECTION_DATA]);
    }
  }
  fix_checksums(file, size, p);
}
