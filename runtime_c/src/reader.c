/* FlatBuffers: tables with vtables, vectors, strings. See reader.h. */
#include "internal.h"

/* Parts of an honest file are rarely shared, so this is generous; it only has to be a constant. */
#define WORK_PER_BYTE 256

pp_reader pp_reader_make(const uint8_t *base, uint64_t size) {
  return (pp_reader){base, size, size * WORK_PER_BYTE + (1u << 20), 0, 0};
}

static void fault(pp_reader *r, uint32_t rule, uint64_t where) {
  if (r->fault) return;
  r->fault = rule;
  r->where = where;
}

bool pp_reader_spend(pp_reader *r, uint64_t units) {
  if (units > r->work) {
    fault(r, PP_RULE_FB_WORK, 0);
    return false;
  }
  r->work -= units;
  return true;
}

static bool inside(const pp_reader *r, uint64_t at, uint64_t size) { return at <= r->size && size <= r->size - at; }

static pp_table table_at(pp_reader *r, uint64_t at) {
  pp_table none = {0, 0, 0, 0}, t = {(uint32_t)at, 0, 0, 0};
  if (r->fault) return none;
  int64_t vtable = 0;
  if (at % 4 == 0 && inside(r, at, 4)) {
    int32_t back;
    memcpy(&back, r->base + at, 4);
    vtable = (int64_t)at - back;
  }
  if (vtable > 0 && vtable % 2 == 0 && inside(r, (uint64_t)vtable, 4)) {
    t.vtable = (uint32_t)vtable;
    t.vtable_size = pp_u16(r->base + vtable);
    t.size = pp_u16(r->base + vtable + 2);
    if (t.vtable_size >= 4 && t.vtable_size % 2 == 0 && t.size >= 4 && inside(r, t.vtable, t.vtable_size) &&
        inside(r, at, t.size) && pp_reader_spend(r, (uint64_t)t.size + t.vtable_size))
      return t;
  }
  fault(r, PP_RULE_FB_TABLE, at);
  return none;
}

pp_table pp_reader_root(pp_reader *r) {
  if (!inside(r, 0, 8)) fault(r, PP_RULE_FB_TABLE, 0);
  return r->fault ? (pp_table){0, 0, 0, 0} : table_at(r, pp_u32(r->base));
}

/* Byte of a field inside the section, 0 when absent. */
static uint64_t field(pp_reader *r, pp_table t, uint32_t slot, uint32_t size) {
  if (r->fault || 6 + 2 * slot > t.vtable_size) return 0;
  uint16_t offset = pp_u16(r->base + t.vtable + 4 + 2 * slot);
  if (offset == 0) return 0;
  if (offset < 4 || offset + size > t.size || (t.at + offset) % size) {
    fault(r, PP_RULE_FB_FIELD, t.at);
    return 0;
  }
  return (uint64_t)t.at + offset;
}

pp_table pp_reader_item(pp_reader *r, pp_list list, uint32_t i) {
  if (r->fault || i >= list.count) return (pp_table){0, 0, 0, 0};
  uint64_t at = (uint64_t)(list.at - r->base) + (uint64_t)i * 4;
  return table_at(r, at + pp_u32(r->base + at));
}

uint64_t pp_reader_number(pp_reader *r, pp_table t, uint32_t slot, uint32_t size, uint64_t otherwise) {
  uint64_t at = field(r, t, slot, size), v = 0;
  if (at == 0) return otherwise;
  memcpy(&v, r->base + at, size);
  return v;
}

/* The vector an offset field refers to: position of its first element, and its count. */
static uint64_t vector(pp_reader *r, uint64_t from, uint32_t item, uint32_t alignment, uint32_t rule, uint32_t *count) {
  uint64_t at = from + pp_u32(r->base + from);
  *count = 0;
  if (at % 4 == 0 && inside(r, at, 4) && (at + 4) % alignment == 0) {
    uint32_t n = pp_u32(r->base + at);
    if (inside(r, at + 4, (uint64_t)n * item)) {
      if (!pp_reader_spend(r, (uint64_t)n * item + 4)) return 0;
      *count = n;
      return at + 4;
    }
  }
  fault(r, rule, at);
  return 0;
}

pp_list pp_reader_list(pp_reader *r, pp_table t, uint32_t slot, uint32_t item, uint32_t alignment) {
  pp_list list = {NULL, 0};
  uint64_t from = field(r, t, slot, 4);
  if (from == 0) return list;
  uint64_t at = vector(r, from, item, alignment, PP_RULE_FB_VECTOR, &list.count);
  if (at) list.at = r->base + at;
  return list;
}

const char *pp_reader_string(pp_reader *r, pp_table t, uint32_t slot, bool required) {
  uint64_t from = field(r, t, slot, 4);
  if (from == 0) {
    if (required) fault(r, PP_RULE_FB_REQUIRED, t.at);
    return NULL;
  }
  uint32_t n;
  uint64_t at = vector(r, from, 1, 1, PP_RULE_FB_STRING, &n);
  if (at == 0) return NULL;
  if (inside(r, at + n, 1) && r->base[at + n] == 0) return (const char *)(r->base + at);
  fault(r, PP_RULE_FB_STRING, at);
  return NULL;
}
