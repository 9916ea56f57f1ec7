/* A verifying reader of FlatBuffers. Every access checks what it touches, so nothing read from a file is trusted;
 * the first fault is kept in the reader and everything read after it is empty. `work` bounds the total size of what
 * is visited: parts of a hostile file may overlap, and checking must stay linear in the file. */
#ifndef PP_READER_H
#define PP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct pp_reader {
  const uint8_t *base;
  uint64_t size;
  uint64_t work;   /* units left; one per byte visited */
  uint32_t fault;  /* rule number, 0 = none */
  uint64_t where;  /* byte of the fault */
} pp_reader;

typedef struct pp_table {
  uint32_t at, vtable;
  uint16_t vtable_size, size;
} pp_table;

/* A verified vector: `count` elements at `at`. */
typedef struct pp_list {
  const uint8_t *at;
  uint32_t count;
} pp_list;

static inline uint16_t pp_u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t pp_u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t pp_u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }

pp_reader pp_reader_make(const uint8_t *base, uint64_t size);
/* Take `units` from the work; false, and a fault, when none is left. */
bool pp_reader_spend(pp_reader *r, uint64_t units);
pp_table pp_reader_root(pp_reader *r);
/* Table number i of a vector of tables. */
pp_table pp_reader_item(pp_reader *r, pp_list list, uint32_t i);
uint64_t pp_reader_number(pp_reader *r, pp_table t, uint32_t slot, uint32_t size, uint64_t otherwise);
/* A vector of `item` bytes per element, its elements aligned to `alignment`; empty when absent. */
pp_list pp_reader_list(pp_reader *r, pp_table t, uint32_t slot, uint32_t item, uint32_t alignment);
/* A NUL-terminated string; NULL when absent, and a fault if it is required. */
const char *pp_reader_string(pp_reader *r, pp_table t, uint32_t slot, bool required);

#endif
