/* Opening files: what a program says about itself, and everything that open and create refuse. The bad file of every
 * rule is in tests/runtime/test_rules.py; here is what C sees of it: statuses, alignment, NULLs, memory. */
#include <stdlib.h>

#include "check.h"
#include "programs.h"
#include "rig.h"

/* -- what a program says ------------------------------------------------------------------------------------------- */

static void test_information(void) {
  rig r;
  size_t size;
  uint8_t *file = program_affine(&size);
  rig_start(&r, file, size, NULL);
  pp_method_info info;
  CHECK_EQUAL(pp_method_count(r.program), 1);
  CHECK_EQUAL(pp_method_get(r.program, 0, &info), PP_OK);
  CHECK(strcmp(info.name, "forward") == 0);
  CHECK_EQUAL(info.inputs, 1);
  CHECK_EQUAL(info.outputs, 1);
  CHECK_EQUAL(info.symbols, 1);
  CHECK_EQUAL(info.instructions, 2);
  CHECK_EQUAL(info.epochs, 2);
  pp_port port;
  CHECK_EQUAL(pp_input_get(r.program, 0, 0, &port), PP_OK);
  CHECK(strcmp(port.name, "x") == 0);
  CHECK_EQUAL(port.dtype, PP_DTYPE_F32);
  CHECK_EQUAL(port.rank, 2);
  CHECK_EQUAL(port.size[0], -1);
  CHECK_EQUAL(port.symbol[0], 0);
  CHECK_EQUAL(port.size[1], 4);
  CHECK_EQUAL(port.symbol[1], PP_NONE);
  CHECK_EQUAL(pp_output_get(r.program, 0, 0, &port), PP_OK);
  CHECK(strcmp(port.name, "y") == 0);
  pp_symbol symbol;
  CHECK_EQUAL(pp_symbol_get(r.program, 0, 0, &symbol), PP_OK);
  CHECK(strcmp(symbol.name, "n") == 0 && symbol.min == 1 && symbol.max == 64 && symbol.multiple_of == 1);
  CHECK_EQUAL(pp_state_count(r.program), 0);
  rig_free(&r);

  file = program_state(&size);
  rig_start(&r, file, size, NULL);
  CHECK_EQUAL(pp_state_count(r.program), 2);
  CHECK_EQUAL(pp_state_get(r.program, 0, &port), PP_OK);
  CHECK(strcmp(port.name, "cache") == 0 && port.rank == 2 && port.size[0] == 8 && port.size[1] == 4);
  CHECK_EQUAL(port.symbol[0], PP_NONE);
  const char *op = NULL, *name = NULL, *source = NULL;
  pp_debug_get(r.program, 0, 0, &op, &name, &source); /* the file has no debug section */
  CHECK(op && name && source && *op == 0 && *name == 0 && *source == 0);
  pp_debug_get(r.program, 7, 9, NULL, &name, NULL);
  pp_debug_get(NULL, 0, 0, &op, NULL, NULL);
  CHECK(*op == 0);
  rig_free(&r);
}

static void test_numbers_out_of_range(void) {
  rig r;
  size_t size;
  uint8_t *file = program_affine(&size);
  rig_start(&r, file, size, NULL);
  pp_method_info info;
  pp_port port;
  pp_symbol symbol;
  static const uint32_t bad[] = {1, 2, 1000, PP_NONE};
  for (int i = 0; i < 4; i++) {
    CHECK_EQUAL(pp_method_get(r.program, bad[i], &info), PP_ERR_ARGUMENT);
    CHECK_EQUAL(pp_input_get(r.program, 0, bad[i], &port), PP_ERR_ARGUMENT);
    CHECK_EQUAL(pp_input_get(r.program, bad[i], 0, &port), PP_ERR_ARGUMENT);
    CHECK_EQUAL(pp_output_get(r.program, 0, bad[i], &port), PP_ERR_ARGUMENT);
    CHECK_EQUAL(pp_symbol_get(r.program, 0, bad[i], &symbol), PP_ERR_ARGUMENT);
    CHECK_EQUAL(pp_state_get(r.program, bad[i], &port), PP_ERR_ARGUMENT);
  }
  CHECK_EQUAL(pp_state_get(r.program, 0, &port), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_method_get(r.program, 0, NULL), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_input_get(r.program, 0, 0, NULL), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_symbol_get(r.program, 0, 0, NULL), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_method_get(NULL, 0, &info), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_input_get(NULL, 0, 0, &port), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_output_get(NULL, 0, 0, &port), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_state_get(NULL, 0, &port), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_method_count(NULL), 0);
  CHECK_EQUAL(pp_state_count(NULL), 0);
  rig_free(&r);
}

/* -- opening --------------------------------------------------------------------------------------------------------- */

static pp_status reopen(const void *file, uint64_t size, pp_error *error) {
  void *memory = rig_block(pp_program_memory());
  const pp_program *program = (const pp_program *)(const void *)file;
  pp_status status = pp_program_open(file, size, PP_OPEN_VERIFY_DATA, memory, pp_program_memory(), &program, error);
  CHECK((status == PP_OK) == (program != NULL));
  CHECK_EQUAL(error->status, status);
  CHECK((error->rule == 0) == (status == PP_OK));
  free(memory);
  return status;
}

static void test_arguments_of_open(void) {
  size_t size;
  uint8_t *file = program_affine(&size);
  void *memory = rig_block(pp_program_memory() + 64);
  const pp_program *program = NULL;
  pp_error error;
  size_t need = pp_program_memory();
  CHECK(need > 0 && need < 512);
  CHECK_EQUAL(pp_program_open(NULL, size, 0, memory, need, &program, &error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_program_open(file, size, 0, NULL, need, &program, &error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_program_open(file, size, 0, memory, need, NULL, &error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_program_open(file, size, 2, memory, need, &program, &error), PP_ERR_ARGUMENT); /* an unknown flag */
  CHECK_EQUAL(error.rule, 601);
  CHECK_EQUAL(pp_program_open(file, size, 0, memory, need - 1, &program, &error), PP_ERR_MEMORY);
  CHECK_EQUAL(error.rule, 602);
  CHECK_EQUAL(error.a, need - 1);
  CHECK_EQUAL(error.b, need);
  CHECK_EQUAL(pp_program_open(file, size, 0, (char *)memory + 1, need, &program, &error), PP_ERR_MEMORY);
  CHECK_EQUAL(error.rule, 603);
  CHECK(program == NULL);
  CHECK_EQUAL(pp_program_open(file, size, 0, memory, need, &program, NULL), PP_OK); /* errors may be unwanted */
  CHECK_EQUAL(pp_program_open(file, size, 0, memory, 0, &program, NULL), PP_ERR_MEMORY);
  uint8_t *shifted = rig_block(size + 64);
  for (size_t by = 1; by <= 16; by++) {
    memcpy(shifted + by, file, size);
    pp_status status = pp_program_open(shifted + by, size, 0, memory, need, &program, &error);
    CHECK_EQUAL(status, by % 16 ? PP_ERR_ARGUMENT : PP_OK);
  }
  free(shifted);
  free(memory);
  free(file);
}

static void test_damage(void) {
  size_t size;
  uint8_t *file = program_affine(&size);
  pp_error error;
  CHECK_EQUAL(reopen(file, size, &error), PP_OK);
  /* Every byte of header and metadata is under a checksum; so is the data section when asked. */
  for (size_t at = 0; at < size; at += at < 256 ? 1 : 13) {
    uint64_t data = 0;
    memcpy(&data, file + 88, 8);
    uint64_t metadata[2];
    memcpy(metadata, file + 56, 16);
    if (at >= metadata[0] + metadata[1] && at < data) continue; /* padding */
    file[at] ^= 0x10;
    pp_status status = reopen(file, size, &error);
    CHECK(status == PP_ERR_FORMAT || status == PP_ERR_VERSION);
    file[at] ^= 0x10;
  }
  for (size_t cut = 0; cut < size; cut += 61) {
    uint8_t *part = rig_block(cut);
    memcpy(part, file, cut);
    CHECK_EQUAL(reopen(part, cut, &error), PP_ERR_FORMAT);
    free(part);
  }
  CHECK_EQUAL(reopen(file, size + 1, &error), PP_ERR_FORMAT); /* says more than it has: refused before it is read */
  CHECK_EQUAL(reopen(file, UINT64_MAX, &error), PP_ERR_FORMAT);
  free(file);
}

static void test_versions(void) {
  static const struct { uint16_t major, minor; uint64_t features; pp_status status; uint32_t rule; } cases[] = {
    {PP_VERSION_MAJOR, PP_VERSION_MINOR, 0, PP_OK, 0},
    {PP_VERSION_MAJOR, PP_VERSION_MINOR + 1, 0, PP_ERR_VERSION, 104},
    {PP_VERSION_MAJOR + 1, 0, 0, PP_ERR_VERSION, 104},
    {PP_VERSION_MAJOR, PP_VERSION_MINOR, 1, PP_ERR_VERSION, 105},
    {PP_VERSION_MAJOR, PP_VERSION_MINOR, (uint64_t)1 << 63, PP_ERR_VERSION, 105},
  };
  size_t size;
  uint8_t *file = program_affine(&size);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pp_error error;
    memcpy(file + 8, &cases[i].major, 2);
    memcpy(file + 10, &cases[i].minor, 2);
    memcpy(file + 16, &cases[i].features, 8);
    pap_checksum(file, size);
    CHECK_EQUAL(reopen(file, size, &error), cases[i].status);
    CHECK_EQUAL(error.rule, cases[i].rule);
    if (cases[i].rule == 105) CHECK_EQUAL(error.a, cases[i].features == 1 ? 0 : 63);
  }
  free(file);
}

/* Broken structure under right checksums: only the reader and the open tier can tell. */
static void test_every_word_of_the_metadata(void) {
  static const uint32_t values[] = {0, 1, 0x7fffffff, 0x80000000u, 0xffffffffu, 0x00010000};
  size_t size;
  uint8_t *file = program_state(&size);
  uint64_t metadata[2];
  memcpy(metadata, file + 56, 16);
  uint32_t refused = 0;
  for (uint64_t at = metadata[0]; at + 4 <= metadata[0] + metadata[1]; at += 4) {
    uint32_t old;
    memcpy(&old, file + at, 4);
    for (int k = 0; k < 6; k++) {
      rig r;
      uint8_t *copy = rig_block(size);
      memcpy(copy, file, size);
      memcpy(copy + at, &values[k], 4);
      pap_checksum(copy, size);
      pp_status status = rig_open(&r, copy, size);
      refused += status != PP_OK;
      CHECK(status == PP_OK || (r.error.rule >= 201 && r.error.rule < 600));
      if (status == PP_OK) rig_create(&r, NULL);
      rig_free(&r);
    }
  }
  CHECK(refused > metadata[1] / 4); /* at least one of the six values hurts, on average */
  free(file);
}

/* -- instances --------------------------------------------------------------------------------------------------------- */

static void test_arguments_of_create(void) {
  rig r;
  size_t size;
  uint8_t *file = program_state(&size);
  CHECK_EQUAL(rig_open(&r, file, size), PP_OK);
  uint64_t bytes = 0;
  pp_error error;
  pp_instance *instance = NULL;
  CHECK_EQUAL(pp_instance_memory(NULL, &bytes, &error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_instance_memory(r.program, NULL, &error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_instance_memory(r.program, &bytes, NULL), PP_OK);
  CHECK(bytes > 128 + 16);
  uint8_t *memory = rig_block(bytes + 64);
  CHECK_EQUAL(pp_instance_create(NULL, NULL, memory, bytes, &instance, &error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_instance_create(r.program, NULL, NULL, bytes, &instance, &error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_instance_create(r.program, NULL, memory, bytes, NULL, &error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_instance_create(r.program, NULL, memory, bytes - 1, &instance, &error), PP_ERR_MEMORY);
  CHECK_EQUAL(error.b, bytes);
  CHECK_EQUAL(pp_instance_create(r.program, NULL, memory + 32, bytes, &instance, &error), PP_ERR_MEMORY);
  CHECK_EQUAL(error.rule, 603);
  CHECK(instance == NULL);
  pp_pool pool = {.threads = 0};
  CHECK_EQUAL(pp_instance_create(r.program, &pool, memory, bytes, &instance, &error), PP_ERR_ARGUMENT);
  pool.threads = 2; /* without a way to run them */
  CHECK_EQUAL(pp_instance_create(r.program, &pool, memory, bytes, &instance, &error), PP_ERR_ARGUMENT);
  pool.threads = 1;
  CHECK_EQUAL(pp_instance_create(r.program, &pool, memory, bytes, &instance, &error), PP_OK);
  CHECK(instance != NULL);
  free(memory);
  rig_free(&r);
}

/* A program without anything to do is a program. */
static void test_empty_method(void) {
  rig r;
  size_t size;
  uint8_t *file = pap_finish(pap_new(), &size);
  rig_start(&r, file, size, NULL);
  CHECK_EQUAL(rig_bind(&r, 0, NULL, 0), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_OK);
  rig_free(&r);
}

int main(void) {
  test_information();
  test_numbers_out_of_range();
  test_arguments_of_open();
  test_damage();
  test_versions();
  test_every_word_of_the_metadata();
  test_arguments_of_create();
  test_empty_method();
  return tests_result();
}
