/* Mutations: a record of one of a method's lists gets a plausible other value in one field (the same field of another
 * record, a neighbour, a number of the right range, a boundary), numbers in tables likewise; now and then a byte of
 * the metadata flips, or bytes of constants change. See mutate.h. */
#include "mutate.h"

#include "../../src/internal.h"

uint64_t fuzz_next(fuzz_random *r) { /* splitmix64 */
  uint64_t z = r->state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

uint64_t fuzz_below(fuzz_random *r, uint64_t n) { return n ? fuzz_next(r) % n : 0; }

typedef struct seed {
  const pp_program *program;
  uint8_t *file, *metadata;
  uint64_t size, metadata_size, data_size;
  uint8_t *data;
} seed;

static uint64_t load(const uint8_t *p, uint32_t size) {
  uint64_t v = 0;
  memcpy(&v, p, size);
  return v;
}

static uint64_t boundary(fuzz_random *r) {
  static const uint64_t values[] = {0,    1,     2,      3,       4,          5,          7,          8,         9,
                                    15,   16,    17,     31,      32,         33,         63,         64,        65,
                                    127,  128,   255,    256,     65535,      65536,      INT32_MAX,  UINT32_MAX,
                                    (uint64_t)1 << 31, (uint64_t)1 << 32, (uint64_t)1 << 61, (uint64_t)1 << 62,
                                    INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX, UINT64_MAX - 1};
  return values[fuzz_below(r, sizeof values / sizeof *values)];
}

/* A new value for a field. `range`: plausible values are below it (0: unknown); `other`: the field in another record. */
static void change(fuzz_random *r, uint8_t *at, uint32_t size, uint64_t range, const uint8_t *other) {
  uint64_t v = load(at, size);
  switch (fuzz_below(r, 8)) {
    case 0: case 1: case 2: v = load(other, size); break;
    case 3: v += fuzz_below(r, 2) ? 1 : UINT64_MAX; break;
    case 4: case 5: case 6: v = range ? fuzz_below(r, range) : fuzz_below(r, 12); break;
    default: v = boundary(r);
  }
  memcpy(at, &v, size);
}

typedef struct list_kind {
  uint32_t item;
  uint8_t fields[14][2]; /* offset, size; ends with size 0 */
} list_kind;

#define F(TYPE, FIELD, SIZE) {PP_OFF_##TYPE##_##FIELD, SIZE}
enum { EXPRS, BUFFERS, VALUES, POOL, PROGRAMS, POINTWISE, INSTRUCTIONS, PLAN_ORDER, FLOATS, LISTS };
static const list_kind kinds[LISTS] = {
  [EXPRS] = {PP_SIZE_EXPR, {F(EXPR, VALUE, 8), F(EXPR, VALUE, 8), F(EXPR, A, 4), F(EXPR, B, 4), F(EXPR, OP, 1)}},
  [BUFFERS] = {PP_SIZE_BUFFER, {F(BUFFER, INDEX, 4), F(BUFFER, SIZE, 4), F(BUFFER, STORAGE, 1)}},
  [VALUES] = {PP_SIZE_VALUE, {F(VALUE, BUFFER, 4), F(VALUE, OFFSET, 4), F(VALUE, DIMS, 4), F(VALUE, RANK, 1),
                              F(VALUE, DTYPE, 1), F(VALUE, PACK, 1)}},
  [POOL] = {4, {{0, 4}}},
  [PROGRAMS] = {PP_SIZE_PW_RANGE, {F(PW_RANGE, FIRST, 4), F(PW_RANGE, COUNT, 2), F(PW_RANGE, REGISTERS, 1),
                                   F(PW_RANGE, LOADS, 1)}},
  [POINTWISE] = {PP_SIZE_PW_INSTRUCTION,
                 {F(PW_INSTRUCTION, IMM, 8), F(PW_INSTRUCTION, OP, 1), F(PW_INSTRUCTION, OP, 1),
                  F(PW_INSTRUCTION, TYPE, 1), F(PW_INSTRUCTION, DST, 1), F(PW_INSTRUCTION, A, 1),
                  F(PW_INSTRUCTION, B, 1), F(PW_INSTRUCTION, C, 1)}},
  [INSTRUCTIONS] = {PP_SIZE_INSTRUCTION,
                    {F(INSTRUCTION, OPERANDS, 4), F(INSTRUCTION, ATTRS, 4), F(INSTRUCTION, FLOATS, 4),
                     F(INSTRUCTION, PROGRAM, 4), F(INSTRUCTION, N_ARGS, 1), F(INSTRUCTION, N_RESULTS, 1),
                     F(INSTRUCTION, N_PROGRAM_ARGS, 1), F(INSTRUCTION, N_ATTRS, 1), F(INSTRUCTION, N_FLOATS, 1),
                     F(INSTRUCTION, FAMILY, 1), F(INSTRUCTION, BARRIER, 1)}},
  [PLAN_ORDER] = {4, {{0, 4}}},
  [FLOATS] = {8, {{0, 8}}},
};

static void change_list(fuzz_random *r, const pp_method *m, uint32_t kind) {
  const pp_list *lists[LISTS] = {&m->exprs,     &m->buffers,      &m->values,     &m->pool,  &m->programs,
                                 &m->pointwise, &m->instructions, &m->plan_order, &m->floats};
  const uint32_t counts[] = {m->exprs.count, m->values.count, m->buffers.count, m->pool.count, m->programs.count};
  const list_kind *k = &kinds[kind];
  uint32_t n = lists[kind]->count, fields = 0;
  if (n == 0) return;
  while (fields < 14 && k->fields[fields][1]) fields++;
  uint8_t *list = (uint8_t *)(uintptr_t)lists[kind]->at;
  uint8_t *record = list + fuzz_below(r, n) * k->item, *other = list + fuzz_below(r, n) * k->item;
  if (fuzz_below(r, 16) == 0) { /* a whole record: a swap keeps permutations */
    uint8_t kept[64];
    memcpy(kept, record, k->item);
    memmove(record, other, k->item);
    if (fuzz_below(r, 2)) memcpy(other, kept, k->item);
    return;
  }
  const uint8_t *field = k->fields[fuzz_below(r, fields)];
  uint64_t range = field[1] == 1 ? 12 : counts[fuzz_below(r, sizeof counts / sizeof *counts)];
  if (kind == EXPRS && field[1] == 8) range = 40;
  if (kind == POINTWISE && field[0] == PP_OFF_PW_INSTRUCTION_OP) range = PP_PW__COUNT;
  change(r, record + field[0], field[1], range, other + field[0]);
}

/* Numbers stored in tables: the reader gives their values, the vtable their places. */
static void change_table(fuzz_random *r, const seed *s, pp_table t, const uint8_t *sizes, uint32_t slots) {
  uint32_t slot = (uint32_t)fuzz_below(r, slots);
  if (sizes[slot] == 0 || 6 + 2 * slot > t.vtable_size) return;
  uint16_t offset = pp_u16(s->metadata + t.vtable + 4 + 2 * slot);
  if (offset) change(r, s->metadata + t.at + offset, sizes[slot], 12, s->metadata + t.at + offset);
}

static void change_tables(fuzz_random *r, const seed *s, const pp_method *m) {
  static const uint8_t symbol[] = {0, 8, 8, 8}, guard[] = {4, 4, 1}, port[] = {0, 4}, state[] = {0, 8, 4, 1};
  pp_reader reader = pp_program_reader(s->program);
  const struct { pp_list list; const uint8_t *sizes; uint32_t slots; } tables[] = {
    {m->symbols, symbol, 4}, {m->guards, guard, 3}, {m->inputs, port, 2}, {m->outputs, port, 2},
    {s->program->states, state, 4},
  };
  uint64_t k = fuzz_below(r, sizeof tables / sizeof *tables);
  if (tables[k].list.count == 0) return;
  pp_table t = pp_reader_item(&reader, tables[k].list, (uint32_t)fuzz_below(r, tables[k].list.count));
  change_table(r, s, t, tables[k].sizes, tables[k].slots);
}

static void change_constants(fuzz_random *r, const seed *s) {
  uint32_t n = s->program->constants.count;
  if (n == 0) return;
  uint8_t *list = (uint8_t *)(uintptr_t)s->program->constants.at;
  static const uint8_t fields[][2] = {F(CONSTANT, OFFSET, 8), F(CONSTANT, SIZE, 8), F(CONSTANT, SECTION, 4)};
  const uint8_t *field = fields[fuzz_below(r, 3)];
  change(r, list + fuzz_below(r, n) * PP_SIZE_CONSTANT + field[0], field[1], 256, list + fuzz_below(r, n) * PP_SIZE_CONSTANT + field[0]);
}

static void checksums(uint8_t *file, size_t size, const seed *s) {
  uint32_t sections = pp_u32(file + 32), header = 48 + 32 * sections, zero = 0;
  for (uint32_t i = 0; i < sections && header <= size; i++) {
    uint8_t *record = file + 48 + 32 * i;
    if (pp_u32(record) != PP_SECTION_METADATA) continue;
    uint32_t crc = pp_crc32(0, s->metadata, s->metadata_size);
    memcpy(record + 4, &crc, 4);
  }
  memcpy(file + 36, &zero, 4);
  uint32_t crc = pp_crc32(0, file, header <= size ? header : 48);
  memcpy(file + 36, &crc, 4);
}

void fuzz_mutate(fuzz_random *r, uint8_t *file, size_t size) {
  /* The seed is valid, so the reader finds the places; it is opened anew because they lie in this copy. */
  _Alignas(64) uint8_t memory[sizeof(struct pp_program)];
  const pp_program *p;
  if (pp_program_open(file, size, 0, memory, sizeof memory, &p, NULL) != PP_OK || p->methods.count == 0) return;
  const pp_section *metadata = &p->sections[PP_SECTION_METADATA], *data = &p->sections[PP_SECTION_DATA];
  seed s = {p, file, file + (metadata->at - file), size, metadata->size, data->size,
            data->size ? file + (data->at - file) : NULL};
  pp_reader reader = pp_program_reader(p);
  uint64_t count = 1 + fuzz_below(r, 3) * fuzz_below(r, 2);
  for (uint64_t i = 0; i < count; i++) {
    pp_method m;
    pp_method_read(&reader, p, (uint32_t)fuzz_below(r, p->methods.count), &m);
    switch (fuzz_below(r, 32)) {
      case 0: s.metadata[fuzz_below(r, s.metadata_size)] ^= (uint8_t)(1u << fuzz_below(r, 8)); break;
      case 1: if (s.data_size) s.data[fuzz_below(r, s.data_size)] = (uint8_t)fuzz_next(r); break;
      case 2: file[fuzz_below(r, 48 + 32 * pp_u32(file + 32))] ^= (uint8_t)(1u << fuzz_below(r, 8)); i = count; break;
      case 3: change_constants(r, &s); break;
      case 4: case 5: case 6: change_tables(r, &s, &m); break;
      case 7: case 8: case 9: case 10: case 11: case 12: change_list(r, &m, EXPRS); break;
      case 13: case 14: change_list(r, &m, BUFFERS); break;
      case 15: case 16: case 17: change_list(r, &m, VALUES); break;
      case 18: case 19: case 20: case 21: change_list(r, &m, POOL); break;
      case 22: change_list(r, &m, PROGRAMS); break;
      case 23: case 24: case 25: case 26: case 27: change_list(r, &m, POINTWISE); break;
      case 28: case 29: change_list(r, &m, INSTRUCTIONS); break;
      case 30: change_list(r, &m, PLAN_ORDER); break;
      default: change_list(r, &m, FLOATS); break;
    }
  }
  checksums(file, size, &s);
}
