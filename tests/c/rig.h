/* From a file's bytes to a bound method, for tests: every block has exactly the size the runtime asked for, so that a
 * sanitizer sees an access outside it. */
#ifndef PP_TEST_RIG_H
#define PP_TEST_RIG_H

#include <stdint.h>

#include "pappus.h"

typedef struct rig {
  uint8_t *file;
  size_t file_size;
  void *program_memory, *instance_memory, *arena;
  const pp_program *program;
  pp_instance *instance;
  uint64_t arena_bytes;
  pp_error error; /* of the last call that failed */
} rig;

/* `size` bytes at a multiple of 64 from malloc; never NULL. Release with free. */
void *rig_block(uint64_t size);

/* Takes over `file` (from pap_write). The three steps return the status of the call that failed. */
pp_status rig_open(rig *r, uint8_t *file, size_t size);
pp_status rig_create(rig *r, const pp_pool *pool);
pp_status rig_bind(rig *r, uint32_t method, const pp_tensor *inputs, uint32_t n);
/* Open and create; aborts with the message when that fails. */
void rig_start(rig *r, uint8_t *file, size_t size, const pp_pool *pool);
/* A second instance of another rig's program: it shares the program, and only that. */
void rig_share(rig *r, const rig *other, const pp_pool *pool);
void rig_free(rig *r);

/* A tensor description without data. */
pp_tensor rig_tensor(uint32_t dtype, uint32_t rank, int64_t a, int64_t b);

/* The message of an error, in a buffer of the caller. */
const char *rig_message(const rig *r, char *buffer, size_t size);

#endif
