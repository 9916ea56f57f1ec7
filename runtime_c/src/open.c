/* Opening a file: container, sections, constants, states; then every method through the other open_*.c. */
#include "internal.h"

#define HEADER_BYTES 48
#define SECTION_BYTES 32
#define MAX_SECTIONS 16
#define METADATA_LIMIT ((uint64_t)INT32_MAX)

static const uint8_t magic[8] = {0x89, 'P', 'A', 'P', '\r', '\n', 0x1a, '\n'};

size_t pp_program_memory(void) { return sizeof(pp_program); }

static pp_status open_header(const uint8_t *file, uint64_t size, uint32_t *sections, pp_error *error) {
  if (size < HEADER_BYTES) return pp_refuse(error, PP_RULE_FILE_SHORT, (int64_t)size, HEADER_BYTES);
  if (memcmp(file, magic, sizeof magic) != 0) return pp_refuse(error, PP_RULE_MAGIC, 0, 0);
  uint32_t major = pp_u16(file + 8), minor = pp_u16(file + 10);
  if (major != PP_VERSION_MAJOR || minor > PP_VERSION_MINOR)
    return pp_refuse(error, PP_RULE_VERSION, major * 1000 + minor, PP_VERSION_MAJOR * 1000 + PP_VERSION_MINOR);
  uint64_t features = pp_u64(file + 16);
  for (int bit = 0; bit < 64; bit++)
    if (features >> bit & 1) return pp_refuse(error, PP_RULE_FEATURES, bit, 0);
  if (pp_u64(file + 24) != size) return pp_refuse(error, PP_RULE_FILE_SIZE, (int64_t)size, (int64_t)pp_u64(file + 24));
  *sections = pp_u32(file + 32);
  if (*sections < 1 || *sections > MAX_SECTIONS)
    return pp_refuse(error, PP_RULE_SECTION_COUNT, *sections, MAX_SECTIONS);
  uint32_t header = pp_u32(file + 12), expected = HEADER_BYTES + SECTION_BYTES * *sections;
  if (header != expected || header > size) return pp_refuse(error, PP_RULE_HEADER_SIZE, header, expected);
  static const uint8_t zeros[4];
  uint32_t crc = pp_crc32(0, file, 36);
  crc = pp_crc32(crc, zeros, 4);
  crc = pp_crc32(crc, file + 40, header - 40);
  if (crc != pp_u32(file + 36)) return pp_refuse(error, PP_RULE_HEADER_CRC, 0, 0);
  if (pp_u64(file + 40) != 0) return pp_refuse(error, PP_RULE_RESERVED, 0, 0);
  return PP_OK;
}

static pp_status open_sections(const uint8_t *file, uint64_t size, uint32_t n, uint32_t flags, pp_program *p,
                               pp_error *error) {
  uint64_t end = HEADER_BYTES + (uint64_t)SECTION_BYTES * n;
  for (uint32_t i = 0; i < n; i++) {
    const uint8_t *record = file + HEADER_BYTES + (size_t)i * SECTION_BYTES;
    uint32_t kind = pp_u32(record);
    uint64_t offset = pp_u64(record + 8), bytes = pp_u64(record + 16), alignment = 16;
    if (kind == PP_SECTION_DATA) alignment = 4096;
    if (kind < PP_SECTION_METADATA || kind >= PP_SECTION_KINDS || p->sections[kind].at)
      return pp_refuse(error, PP_RULE_SECTION_KIND, i, kind);
    if (pp_u64(record + 24) != 0) return pp_refuse(error, PP_RULE_RESERVED, i, 0);
    if (offset < end || offset > size || bytes > size - offset) return pp_refuse(error, PP_RULE_SECTION_RANGE, i, 0);
    if (offset % alignment) return pp_refuse(error, PP_RULE_SECTION_ALIGNMENT, i, (int64_t)alignment);
    if ((kind == PP_SECTION_METADATA || kind == PP_SECTION_DEBUG) && bytes > METADATA_LIMIT)
      return pp_refuse(error, PP_RULE_METADATA_SIZE, (int64_t)bytes, (int64_t)METADATA_LIMIT);
    end = offset + bytes;
    if (kind == PP_SECTION_METADATA || flags & PP_OPEN_VERIFY_DATA)
      if (pp_crc32(0, file + offset, bytes) != pp_u32(record + 4)) return pp_refuse(error, PP_RULE_SECTION_CRC, i, 0);
    p->sections[kind] = (pp_section){file + offset, bytes};
  }
  if (!p->sections[PP_SECTION_METADATA].at) return pp_refuse(error, PP_RULE_NO_METADATA, 0, 0);
  return PP_OK;
}

static pp_status open_constants(const pp_program *p, pp_error *error) {
  uint64_t size = p->sections[PP_SECTION_DATA].size;
  for (uint32_t i = 0; i < p->constants.count; i++) {
    pp_constant c = pp_constant_at(p, i);
    if (c.section != 0) return pp_refuse(error, PP_RULE_CONSTANT_SECTION, i, c.section);
    if (c.offset % 64 || c.offset > size || c.size > size - c.offset)
      return pp_refuse(error, PP_RULE_CONSTANT_RANGE, i, 0);
  }
  return PP_OK;
}

static pp_status open_states(pp_reader *r, const pp_program *p, pp_error *error) {
  for (uint32_t i = 0; i < p->states.count; i++) {
    pp_state_record s = pp_state_read(r, p, i);
    if (r->fault) return PP_OK;
    if (pp_dtype_size(s.dtype) == 0 || s.shape.count > PP_MAX_RANK)
      return pp_refuse(error, PP_RULE_STATE_SHAPE, i, s.shape.count);
    uint64_t bytes = (uint64_t)pp_dtype_size(s.dtype);
    for (uint32_t d = 0; d < s.shape.count && bytes; d++) {
      uint64_t n = pp_u64(s.shape.at + (size_t)d * 8);
      if (n > INT32_MAX || (n && bytes > PP_BYTES_MAX / n)) return pp_refuse(error, PP_RULE_STATE_SIZE, i, -1);
      bytes *= n;
    }
    if (bytes != s.size) return pp_refuse(error, PP_RULE_STATE_SIZE, i, (int64_t)bytes);
    if (s.init == PP_NONE) continue;
    if (s.init >= p->constants.count || pp_constant_at(p, s.init).size != s.size)
      return pp_refuse(error, PP_RULE_STATE_INIT, i, s.init);
  }
  return PP_OK;
}

/* What a reader found wrong goes before what a check made of the emptiness that followed. */
static pp_status reader_status(const pp_reader *r, pp_status status, pp_error *error) {
  return r->fault ? pp_refuse(error, r->fault, (int64_t)r->where, 0) : status;
}

static pp_status open_methods(pp_reader *r, const pp_program *p, pp_error *error) {
  for (uint32_t i = 0; i < p->methods.count; i++) {
    pp_method m;
    pp_method_read(r, p, i, &m);
    error->method = i;
    PP_TRY(reader_status(r, PP_OK, error));
    PP_TRY(reader_status(r, pp_open_method(r, p, &m, error), error));
    PP_TRY(reader_status(r, pp_open_programs(r, &m, error), error));
    PP_TRY(reader_status(r, pp_open_instructions(r, &m, error), error));
    error->method = PP_NONE;
  }
  return PP_OK;
}

pp_status pp_program_open(const void *file, uint64_t size, uint32_t flags, void *memory, size_t memory_size,
                          const pp_program **program, pp_error *error) {
  pp_error local;
  if (!error) error = &local;
  pp_error_clear(error);
  if (!file || !memory || !program || flags & ~PP_OPEN_VERIFY_DATA) return pp_refuse(error, PP_RULE_ARGUMENT, 0, 0);
  *program = NULL;
  if ((uintptr_t)file % 16) return pp_refuse(error, PP_RULE_FILE_ALIGNMENT, 0, 16);
  if (memory_size < sizeof(pp_program))
    return pp_refuse(error, PP_RULE_MEMORY_SMALL, (int64_t)memory_size, sizeof(pp_program));
  if ((uintptr_t)memory % _Alignof(pp_program))
    return pp_refuse(error, PP_RULE_MEMORY_ALIGNMENT, 0, _Alignof(pp_program));
  pp_program *p = memory;
  memset(p, 0, sizeof *p);
  uint32_t n = 0;
  PP_TRY(open_header(file, size, &n, error));
  PP_TRY(open_sections(file, size, n, flags, p, error));
  pp_reader r = pp_program_reader(p);
  pp_table root = pp_reader_root(&r);
  p->constants = pp_reader_list(&r, root, PP_SLOT_PROGRAM_CONSTANTS, PP_SIZE_CONSTANT, 8);
  p->states = pp_reader_list(&r, root, PP_SLOT_PROGRAM_STATES, 4, 4);
  p->methods = pp_reader_list(&r, root, PP_SLOT_PROGRAM_METHODS, 4, 4);
  PP_TRY(reader_status(&r, PP_OK, error));
  PP_TRY(open_constants(p, error));
  PP_TRY(reader_status(&r, open_states(&r, p, error), error));
  PP_TRY(open_methods(&r, p, error));
  pp_error_clear(error);
  *program = p;
  return PP_OK;
}
