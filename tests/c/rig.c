#if defined(__unix__)
#define _POSIX_C_SOURCE 200112L /* posix_memalign */
#endif

#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *rig_block(uint64_t size) {
  void *p = NULL;
#if defined(__unix__)
  if (posix_memalign(&p, 64, (size_t)size + (size == 0))) abort();
#else
  p = aligned_alloc(64, ((size_t)size + 64) / 64 * 64);
  if (!p) abort();
#endif
  return p;
}

pp_status rig_open(rig *r, uint8_t *file, size_t size) {
  memset(r, 0, sizeof *r);
  r->file = file;
  r->file_size = size;
  r->program_memory = rig_block(pp_program_memory());
  return pp_program_open(file, size, PP_OPEN_VERIFY_DATA, r->program_memory, pp_program_memory(), &r->program, &r->error);
}

pp_status rig_create(rig *r, const pp_pool *pool) {
  uint64_t bytes = 0;
  pp_status status = pp_instance_memory(r->program, &bytes, &r->error);
  if (status != PP_OK) return status;
  r->instance_memory = rig_block(bytes);
  return pp_instance_create(r->program, pool, r->instance_memory, bytes, &r->instance, &r->error);
}

pp_status rig_bind(rig *r, uint32_t method, const pp_tensor *inputs, uint32_t n) {
  pp_status status = pp_bind_sizes(r->instance, method, inputs, n, &r->arena_bytes, &r->error);
  if (status != PP_OK) return status;
  free(r->arena);
  r->arena = rig_block(r->arena_bytes);
  status = pp_bind_arena(r->instance, method, r->arena, r->arena_bytes);
  for (uint32_t i = 0; i < n && status == PP_OK; i++)
    if (inputs[i].data) status = pp_bind_input(r->instance, method, i, inputs[i].data);
  return status;
}

static void must(const rig *r, pp_status status) {
  char text[400];
  if (status == PP_OK) return;
  fprintf(stderr, "test set-up: %s\n", rig_message(r, text, sizeof text));
  abort();
}

void rig_start(rig *r, uint8_t *file, size_t size, const pp_pool *pool) {
  must(r, rig_open(r, file, size));
  must(r, rig_create(r, pool));
}

void rig_share(rig *r, const rig *other, const pp_pool *pool) {
  memset(r, 0, sizeof *r);
  r->program = other->program;
  must(r, rig_create(r, pool));
}

void rig_free(rig *r) {
  free(r->arena);
  free(r->instance_memory);
  free(r->program_memory);
  free(r->file);
  memset(r, 0, sizeof *r);
}

pp_tensor rig_tensor(uint32_t dtype, uint32_t rank, int64_t a, int64_t b) {
  return (pp_tensor){.dtype = dtype, .rank = rank, .shape = {a, b}};
}

const char *rig_message(const rig *r, char *buffer, size_t size) {
  pp_error_message(r->program, &r->error, buffer, size);
  return buffer;
}
