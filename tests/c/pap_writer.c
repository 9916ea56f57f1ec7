#include "pap_writer.h"

#include <stdlib.h>
#include <string.h>

/* -- filling a method -------------------------------------------------------------------------- */

uint32_t pap_const(pap_method *m, int64_t value) {
  for (uint32_t i = 0; i < m->n_exprs; i++)
    if (m->exprs[i].op == PP_EXPR_CONST && m->exprs[i].value == value) return i;
  m->exprs[m->n_exprs] = (pap_expr){.value = value, .op = PP_EXPR_CONST};
  return m->n_exprs++;
}

uint32_t pap_combine(pap_method *m, uint8_t op, uint32_t a, uint32_t b) {
  m->exprs[m->n_exprs] = (pap_expr){.a = a, .b = b, .op = op};
  return m->n_exprs++;
}

uint32_t pap_symbol_add(pap_method *m, const char *name, int64_t min, int64_t max, int64_t multiple_of) {
  m->symbols[m->n_symbols] = (pap_symbol){name, min, max, multiple_of};
  m->exprs[m->n_exprs] = (pap_expr){.a = m->n_symbols++, .op = PP_EXPR_SYMBOL};
  return m->n_exprs++;
}

static uint32_t run(pap_method *m, uint32_t n, const uint32_t *numbers) {
  uint32_t start = m->n_pool;
  for (uint32_t i = 0; i < n; i++) m->pool[m->n_pool++] = numbers[i];
  return start;
}

static int64_t item(uint8_t dtype) {
  static const uint8_t bytes[] = {1, 1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8};
  return bytes[dtype];
}

uint32_t pap_tensor(pap_method *m, uint8_t storage, uint32_t index, uint8_t dtype, uint32_t rank, const uint32_t *dims) {
  uint32_t all[16], step = pap_const(m, 1);
  for (uint32_t d = rank; d-- > 0;) {
    all[d] = dims[d];
    all[rank + d] = step;
    step = pap_combine(m, PP_EXPR_MUL, step, dims[d]);
  }
  uint32_t size = pap_combine(m, PP_EXPR_MUL, step, pap_const(m, item(dtype)));
  if (storage == PP_STORAGE_ARENA) m->plan_order[m->n_plan_order++] = m->n_buffers;
  m->buffers[m->n_buffers] = (pap_buffer){index, size, storage};
  m->values[m->n_values] = (pap_value){m->n_buffers++, pap_const(m, 0), run(m, 2 * rank, all), (uint8_t)rank, dtype, 0};
  return m->n_values++;
}

uint32_t pap_tensor_of(pap_method *m, uint8_t storage, uint32_t index, uint8_t dtype, uint32_t rank, const int64_t *sizes) {
  uint32_t dims[8];
  for (uint32_t d = 0; d < rank; d++) dims[d] = pap_const(m, sizes[d]);
  return pap_tensor(m, storage, index, dtype, rank, dims);
}

uint32_t pap_view(pap_method *m, uint32_t like, int64_t offset, uint32_t rank, const int64_t *sizes, const int64_t *strides) {
  uint32_t all[16];
  for (uint32_t d = 0; d < rank; d++) {
    all[d] = pap_const(m, sizes[d]);
    all[rank + d] = pap_const(m, strides[d]);
  }
  pap_value v = m->values[like];
  m->values[m->n_values] = (pap_value){v.buffer, pap_const(m, offset), run(m, 2 * rank, all), (uint8_t)rank, v.dtype, 0};
  return m->n_values++;
}

uint32_t pap_input(pap_method *m, const char *name, uint32_t value) {
  m->inputs[m->n_inputs] = (pap_port){name, value};
  return m->n_inputs++;
}

uint32_t pap_output(pap_method *m, const char *name, uint32_t value) {
  m->outputs[m->n_outputs] = (pap_port){name, value};
  return m->n_outputs++;
}

uint32_t pap_pointwise(pap_method *m, uint8_t registers, uint8_t loads, uint32_t count, const pap_code *code) {
  m->programs[m->n_programs] = (pap_range){m->n_pointwise, (uint16_t)count, registers, loads};
  for (uint32_t i = 0; i < count; i++) m->pointwise[m->n_pointwise++] = code[i];
  return m->n_programs++;
}

pap_instruction *pap_instruct(pap_method *m, uint8_t family, uint8_t barrier, uint32_t n_args, const uint32_t *args,
                              uint32_t n_results, const uint32_t *results, uint32_t n_attrs, const int64_t *attrs) {
  uint32_t operands = run(m, n_args, args), numbers[16];
  run(m, n_results, results);
  for (uint32_t i = 0; i < n_attrs; i++) numbers[i] = pap_const(m, attrs[i]);
  m->instructions[m->n_instructions] = (pap_instruction){
    .operands = operands, .attrs = run(m, n_attrs, numbers), .program = PAP_NONE, .n_args = (uint8_t)n_args,
    .n_results = (uint8_t)n_results, .n_attrs = (uint8_t)n_attrs, .family = family, .barrier = barrier};
  return &m->instructions[m->n_instructions++];
}

pap_instruction *pap_compute(pap_method *m, uint8_t barrier, uint32_t program, uint32_t n_results,
                             const uint32_t *results, uint32_t n_args, const uint32_t *args) {
  uint32_t operands = run(m, n_results, results);
  run(m, n_args, args);
  m->instructions[m->n_instructions] = (pap_instruction){
    .operands = operands, .program = program, .n_results = (uint8_t)n_results, .n_program_args = (uint8_t)n_args,
    .family = PP_FAMILY_POINTWISE, .barrier = barrier};
  return &m->instructions[m->n_instructions++];
}

uint32_t pap_constant_add(pap_program *p, const void *bytes, uint64_t size) {
  memcpy(p->data + p->data_size, bytes, size);
  p->constants[p->n_constants] = (pap_constant){p->data_size, size};
  p->data_size += (size + 63) / 64 * 64;
  return p->n_constants++;
}

/* -- writing: tables first, what they point to behind them, every offset patched when its target is written -------- */

typedef struct out { uint8_t *bytes; size_t size, room; } out;

static void need(out *o, size_t more) {
  if (o->size + more <= o->room) return;
  o->room = (o->size + more) * 2 + 65536;
  o->bytes = realloc(o->bytes, o->room);
  if (!o->bytes) abort();
}

static void put(out *o, const void *bytes, size_t n) {
  need(o, n);
  if (n) memcpy(o->bytes + o->size, bytes, n);
  o->size += n;
}

static void align(out *o, size_t to) {
  static const uint8_t zeros[4096];
  put(o, zeros, (to - o->size % to) % to);
}

static void set(out *o, size_t at, const void *bytes, size_t n) { memcpy(o->bytes + at, bytes, n); }

/* Let the offset at `from` point to the end of what is written. */
static void link_here(out *o, size_t from) {
  uint32_t distance = (uint32_t)(o->size - from);
  set(o, from, &distance, 4);
}

/* A table of n fields, each in a slot of 8 bytes; returns where field 0 lies. All fields are present. */
static size_t table(out *o, uint32_t n) {
  align(o, 8);
  size_t vtable = o->size, header = (4 + 2 * (size_t)n + 4 + 7) / 8 * 8; /* the table's 4-byte head ends 8-aligned */
  static const uint8_t zeros[512];
  put(o, zeros, header + 8 * (size_t)n);
  uint16_t words[2] = {(uint16_t)(4 + 2 * n), (uint16_t)(4 + 8 * n)};
  set(o, vtable, words, 4);
  for (uint32_t i = 0; i < n; i++) {
    uint16_t offset = (uint16_t)(4 + 8 * i);
    set(o, vtable + 4 + 2 * i, &offset, 2);
  }
  size_t at = vtable + header - 4;
  int32_t back = (int32_t)(at - vtable);
  set(o, at, &back, 4);
  return at + 4;
}

static size_t slot(size_t fields, uint32_t i) { return fields + 8 * (size_t)i; }

static void vector(out *o, size_t from, const void *elements, uint32_t count, size_t size) {
  align(o, 8);
  put(o, "\0\0\0\0", 4); /* so that the elements are 8-aligned */
  link_here(o, from);
  put(o, &count, 4);
  put(o, elements, count * size);
}

static void string(out *o, size_t from, const char *text) {
  uint32_t length = (uint32_t)strlen(text);
  align(o, 4);
  link_here(o, from);
  put(o, &length, 4);
  put(o, text, length + 1);
}

/* A vector of n tables; returns where offset 0 lies. */
static size_t tables(out *o, size_t from, uint32_t n) {
  uint32_t *zeros = calloc(n + 1, 4);
  vector(o, from, zeros, n, 4);
  free(zeros);
  return o->size - 4 * (size_t)n;
}

static size_t item_table(out *o, size_t from, uint32_t fields) {
  size_t at = table(o, fields);
  uint32_t distance = (uint32_t)(at - 4 - from);
  set(o, from, &distance, 4);
  return at;
}

#define FIELD(record, off, value, n) memcpy((record) + (off), &(value), n)

static void write_structs(out *o, size_t fields, const pap_method *m) {
  enum { ROOM = PAP_MAX * PP_SIZE_INSTRUCTION }; /* the largest record */
  uint8_t *bytes = calloc(1, ROOM);
  if (!bytes) abort();
#define EACH(list, size) memset(bytes, 0, ROOM); for (uint32_t i = 0; i < m->n_##list; i++)
  EACH(exprs, PP_SIZE_EXPR) {
    uint8_t *r = bytes + PP_SIZE_EXPR * i;
    FIELD(r, PP_OFF_EXPR_VALUE, m->exprs[i].value, 8);
    FIELD(r, PP_OFF_EXPR_A, m->exprs[i].a, 4);
    FIELD(r, PP_OFF_EXPR_B, m->exprs[i].b, 4);
    r[PP_OFF_EXPR_OP] = m->exprs[i].op;
  }
  vector(o, slot(fields, PP_SLOT_METHOD_EXPRS), bytes, m->n_exprs, PP_SIZE_EXPR);
  EACH(buffers, PP_SIZE_BUFFER) {
    uint8_t *r = bytes + PP_SIZE_BUFFER * i;
    FIELD(r, PP_OFF_BUFFER_INDEX, m->buffers[i].index, 4);
    FIELD(r, PP_OFF_BUFFER_SIZE, m->buffers[i].size, 4);
    r[PP_OFF_BUFFER_STORAGE] = m->buffers[i].storage;
  }
  vector(o, slot(fields, PP_SLOT_METHOD_BUFFERS), bytes, m->n_buffers, PP_SIZE_BUFFER);
  EACH(values, PP_SIZE_VALUE) {
    uint8_t *r = bytes + PP_SIZE_VALUE * i;
    FIELD(r, PP_OFF_VALUE_BUFFER, m->values[i].buffer, 4);
    FIELD(r, PP_OFF_VALUE_OFFSET, m->values[i].offset, 4);
    FIELD(r, PP_OFF_VALUE_DIMS, m->values[i].dims, 4);
    r[PP_OFF_VALUE_RANK] = m->values[i].rank;
    r[PP_OFF_VALUE_DTYPE] = m->values[i].dtype;
    r[PP_OFF_VALUE_PACK] = m->values[i].pack;
  }
  vector(o, slot(fields, PP_SLOT_METHOD_VALUES), bytes, m->n_values, PP_SIZE_VALUE);
  EACH(programs, PP_SIZE_PW_RANGE) {
    uint8_t *r = bytes + PP_SIZE_PW_RANGE * i;
    FIELD(r, PP_OFF_PW_RANGE_FIRST, m->programs[i].first, 4);
    FIELD(r, PP_OFF_PW_RANGE_COUNT, m->programs[i].count, 2);
    r[PP_OFF_PW_RANGE_REGISTERS] = m->programs[i].registers;
    r[PP_OFF_PW_RANGE_LOADS] = m->programs[i].loads;
  }
  vector(o, slot(fields, PP_SLOT_METHOD_PROGRAMS), bytes, m->n_programs, PP_SIZE_PW_RANGE);
  EACH(pointwise, PP_SIZE_PW_INSTRUCTION) {
    uint8_t *r = bytes + PP_SIZE_PW_INSTRUCTION * i;
    FIELD(r, PP_OFF_PW_INSTRUCTION_IMM, m->pointwise[i].imm, 8);
    memcpy(r + PP_OFF_PW_INSTRUCTION_OP, &m->pointwise[i].op, 6);
  }
  vector(o, slot(fields, PP_SLOT_METHOD_POINTWISE), bytes, m->n_pointwise, PP_SIZE_PW_INSTRUCTION);
  EACH(instructions, PP_SIZE_INSTRUCTION) {
    const pap_instruction *in = &m->instructions[i];
    uint8_t *r = bytes + PP_SIZE_INSTRUCTION * i;
    FIELD(r, PP_OFF_INSTRUCTION_OPERANDS, in->operands, 4);
    FIELD(r, PP_OFF_INSTRUCTION_ATTRS, in->attrs, 4);
    FIELD(r, PP_OFF_INSTRUCTION_FLOATS, in->floats, 4);
    FIELD(r, PP_OFF_INSTRUCTION_PROGRAM, in->program, 4);
    memcpy(r + PP_OFF_INSTRUCTION_N_ARGS, &in->n_args, 8);
  }
  vector(o, slot(fields, PP_SLOT_METHOD_INSTRUCTIONS), bytes, m->n_instructions, PP_SIZE_INSTRUCTION);
  free(bytes);
}

static void write_ports(out *o, size_t from, const pap_port *ports, uint32_t n) {
  size_t items = tables(o, from, n);
  for (uint32_t i = 0; i < n; i++) {
    size_t fields = item_table(o, items + 4 * i, PP_SLOT_PORT__COUNT);
    set(o, slot(fields, PP_SLOT_PORT_VALUE), &ports[i].value, 4);
    string(o, slot(fields, PP_SLOT_PORT_NAME), ports[i].name);
  }
}

static void write_method(out *o, size_t from, const pap_method *m) {
  size_t fields = item_table(o, from, PP_SLOT_METHOD__COUNT);
  string(o, slot(fields, PP_SLOT_METHOD_NAME), m->name);
  size_t items = tables(o, slot(fields, PP_SLOT_METHOD_SYMBOLS), m->n_symbols);
  for (uint32_t i = 0; i < m->n_symbols; i++) {
    size_t at = item_table(o, items + 4 * i, PP_SLOT_SYMBOL__COUNT);
    set(o, slot(at, PP_SLOT_SYMBOL_MIN), &m->symbols[i].min, 8);
    set(o, slot(at, PP_SLOT_SYMBOL_MAX), &m->symbols[i].max, 8);
    set(o, slot(at, PP_SLOT_SYMBOL_MULTIPLE_OF), &m->symbols[i].multiple_of, 8);
    string(o, slot(at, PP_SLOT_SYMBOL_NAME), m->symbols[i].name);
  }
  items = tables(o, slot(fields, PP_SLOT_METHOD_GUARDS), m->n_guards);
  for (uint32_t i = 0; i < m->n_guards; i++) {
    size_t at = item_table(o, items + 4 * i, PP_SLOT_GUARD__COUNT);
    set(o, slot(at, PP_SLOT_GUARD_A), &m->guards[i].a, 4);
    set(o, slot(at, PP_SLOT_GUARD_B), &m->guards[i].b, 4);
    set(o, slot(at, PP_SLOT_GUARD_RELATION), &m->guards[i].relation, 1);
    string(o, slot(at, PP_SLOT_GUARD_TEXT), m->guards[i].text);
  }
  write_structs(o, fields, m);
  vector(o, slot(fields, PP_SLOT_METHOD_POOL), m->pool, m->n_pool, 4);
  vector(o, slot(fields, PP_SLOT_METHOD_FLOATS), m->floats, m->n_floats, 8);
  vector(o, slot(fields, PP_SLOT_METHOD_PLAN_ORDER), m->plan_order, m->n_plan_order, 4);
  vector(o, slot(fields, PP_SLOT_METHOD_REGIONS), NULL, 0, 4);
  write_ports(o, slot(fields, PP_SLOT_METHOD_INPUTS), m->inputs, m->n_inputs);
  write_ports(o, slot(fields, PP_SLOT_METHOD_OUTPUTS), m->outputs, m->n_outputs);
}

static void write_metadata(out *o, const pap_program *p) {
  put(o, "\0\0\0\0\0\0\0\0", 8);
  size_t fields = item_table(o, 0, PP_SLOT_PROGRAM__COUNT);
  string(o, slot(fields, PP_SLOT_PROGRAM_PRODUCER), "test");
  uint8_t records[64 * PP_SIZE_CONSTANT] = {0};
  for (uint32_t i = 0; i < p->n_constants; i++) {
    FIELD(records + PP_SIZE_CONSTANT * i, PP_OFF_CONSTANT_OFFSET, p->constants[i].offset, 8);
    FIELD(records + PP_SIZE_CONSTANT * i, PP_OFF_CONSTANT_SIZE, p->constants[i].size, 8);
  }
  vector(o, slot(fields, PP_SLOT_PROGRAM_CONSTANTS), records, p->n_constants, PP_SIZE_CONSTANT);
  size_t items = tables(o, slot(fields, PP_SLOT_PROGRAM_STATES), p->n_states);
  for (uint32_t i = 0; i < p->n_states; i++) {
    size_t at = item_table(o, items + 4 * i, PP_SLOT_STATE__COUNT);
    set(o, slot(at, PP_SLOT_STATE_SIZE), &p->states[i].size, 8);
    set(o, slot(at, PP_SLOT_STATE_INIT), &p->states[i].init, 4);
    set(o, slot(at, PP_SLOT_STATE_DTYPE), &p->states[i].dtype, 1);
    string(o, slot(at, PP_SLOT_STATE_NAME), p->states[i].name);
    vector(o, slot(at, PP_SLOT_STATE_SHAPE), p->states[i].shape, p->states[i].rank, 8);
  }
  items = tables(o, slot(fields, PP_SLOT_PROGRAM_METHODS), p->n_methods);
  for (uint32_t i = 0; i < p->n_methods; i++) write_method(o, items + 4 * i, p->methods[i]);
}

static uint32_t crc32(uint32_t crc, const uint8_t *p, size_t n) {
  crc = ~crc;
  while (n-- > 0) {
    crc ^= *p++;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

void pap_checksum(uint8_t *file, size_t size) {
  uint32_t sections, header, crc;
  memcpy(&sections, file + 32, 4);
  memcpy(&header, file + 12, 4);
  if (sections > 16 || header > size || header < 48 + 32 * sections) return;
  for (uint32_t i = 0; i < sections; i++) {
    uint8_t *entry = file + 48 + 32 * i;
    uint64_t offset, bytes;
    memcpy(&offset, entry + 8, 8);
    memcpy(&bytes, entry + 16, 8);
    if (offset > size || bytes > size - offset) continue;
    crc = crc32(0, file + offset, bytes);
    memcpy(entry + 4, &crc, 4);
  }
  memset(file + 36, 0, 4);
  crc = crc32(0, file, header);
  memcpy(file + 36, &crc, 4);
}

uint8_t *pap_write(const pap_program *p, size_t *size) {
  out o = {0};
  write_metadata(&o, p);
  uint32_t sections = p->data_size ? 2 : 1, header = 48 + 32 * sections;
  size_t start = (header + 15) / 16 * 16, data = (start + o.size + 4095) / 4096 * 4096;
  *size = p->data_size ? data + p->data_size : start + o.size;
  uint8_t *file = aligned_alloc(4096, (*size + 4095) / 4096 * 4096);
  if (!file) abort();
  memset(file, 0, *size);
  memcpy(file, "\x89PAP\r\n\x1a\n", 8);
  uint16_t minor = 1;
  memcpy(file + 10, &minor, 2);
  memcpy(file + 12, &header, 4);
  uint64_t total = *size, entry[3] = {start, o.size, 0};
  memcpy(file + 24, &total, 8);
  memcpy(file + 32, &sections, 4);
  uint32_t kind = 1;
  memcpy(file + 48, &kind, 4);
  memcpy(file + 56, entry, 24);
  memcpy(file + start, o.bytes, o.size);
  if (p->data_size) {
    uint64_t second[3] = {data, p->data_size, 0};
    kind = 2;
    memcpy(file + 80, &kind, 4);
    memcpy(file + 88, second, 24);
    memcpy(file + data, p->data, p->data_size);
  }
  pap_checksum(file, *size);
  free(o.bytes);
  return file;
}
