/* Builds .pap files for tests, independently of the exporter. Fill a pap_method with the functions below, which return
 * the number of what they added, then pap_write. Nothing is checked: tests also build broken programs. */
#ifndef PP_TEST_PAP_WRITER_H
#define PP_TEST_PAP_WRITER_H

#include <stdint.h>
#include <stddef.h>

#include "../../runtime_c/schema/schema_gen.h"

#define PAP_NONE UINT32_MAX
enum { PAP_MAX = 4096 };

typedef struct pap_expr { int64_t value; uint32_t a, b; uint8_t op; } pap_expr;
typedef struct pap_buffer { uint32_t index, size; uint8_t storage; } pap_buffer;
typedef struct pap_value { uint32_t buffer, offset, dims; uint8_t rank, dtype, pack; } pap_value;
typedef struct pap_range { uint32_t first; uint16_t count; uint8_t registers, loads; } pap_range;
typedef struct pap_code { uint64_t imm; uint8_t op, type, dst, a, b, c; } pap_code;
typedef struct pap_instruction {
  uint32_t operands, attrs, floats, program;
  uint8_t n_args, n_results, n_program_args, n_attrs, n_floats, family, algorithm, barrier;
} pap_instruction;
typedef struct pap_port { const char *name; uint32_t value; } pap_port;
typedef struct pap_symbol { const char *name; int64_t min, max, multiple_of; } pap_symbol;
typedef struct pap_guard { uint32_t a, b; uint8_t relation; const char *text; } pap_guard;

#define PAP_LIST(type, name, n) type name[n]; uint32_t n_##name

typedef struct pap_method {
  const char *name;
  PAP_LIST(pap_symbol, symbols, 80);
  PAP_LIST(pap_expr, exprs, PAP_MAX);
  PAP_LIST(pap_guard, guards, 64);
  PAP_LIST(pap_buffer, buffers, PAP_MAX);
  PAP_LIST(pap_value, values, PAP_MAX);
  PAP_LIST(uint32_t, pool, 16 * PAP_MAX);
  PAP_LIST(double, floats, 64);
  PAP_LIST(pap_range, programs, 64);
  PAP_LIST(pap_code, pointwise, PAP_MAX);
  PAP_LIST(pap_instruction, instructions, PAP_MAX);
  PAP_LIST(pap_port, inputs, 64);
  PAP_LIST(pap_port, outputs, 64);
  PAP_LIST(uint32_t, plan_order, PAP_MAX);
} pap_method;

typedef struct pap_state { const char *name; uint64_t size; uint32_t init; uint8_t dtype; uint32_t rank; uint64_t shape[8]; }
  pap_state;
typedef struct pap_constant { uint64_t offset, size; } pap_constant;

typedef struct pap_program {
  pap_method *methods[4];
  uint32_t n_methods;
  PAP_LIST(pap_constant, constants, 64);
  PAP_LIST(pap_state, states, 16);
  uint8_t data[1 << 16];
  uint64_t data_size;
} pap_program;

uint32_t pap_const(pap_method *m, int64_t value);               /* reuses an equal node */
uint32_t pap_symbol_add(pap_method *m, const char *name, int64_t min, int64_t max, int64_t multiple_of); /* its node */
uint32_t pap_combine(pap_method *m, uint8_t op, uint32_t a, uint32_t b);
/* A dense value of fixed or symbolic sizes (expression numbers) on a new buffer of its own. */
uint32_t pap_tensor(pap_method *m, uint8_t storage, uint32_t index, uint8_t dtype, uint32_t rank, const uint32_t *dims);
/* The same for sizes known now. */
uint32_t pap_tensor_of(pap_method *m, uint8_t storage, uint32_t index, uint8_t dtype, uint32_t rank, const int64_t *sizes);
/* Another view of a value's buffer. */
uint32_t pap_view(pap_method *m, uint32_t like, int64_t offset, uint32_t rank, const int64_t *sizes, const int64_t *strides);
uint32_t pap_input(pap_method *m, const char *name, uint32_t value);
uint32_t pap_output(pap_method *m, const char *name, uint32_t value);
/* A program of `count` instructions. */
uint32_t pap_pointwise(pap_method *m, uint8_t registers, uint8_t loads, uint32_t count, const pap_code *code);
/* An instruction; lists end with their counts. attrs are plain numbers. */
pap_instruction *pap_instruct(pap_method *m, uint8_t family, uint8_t barrier, uint32_t n_args, const uint32_t *args,
                              uint32_t n_results, const uint32_t *results, uint32_t n_attrs, const int64_t *attrs);
/* A pointwise instruction. */
pap_instruction *pap_compute(pap_method *m, uint8_t barrier, uint32_t program, uint32_t n_results,
                             const uint32_t *results, uint32_t n_args, const uint32_t *args);
uint32_t pap_constant_add(pap_program *p, const void *bytes, uint64_t size);

/* The file, 4096-byte aligned, from malloc; *size its length. */
uint8_t *pap_write(const pap_program *p, size_t *size);
/* Makes the checksums of a changed file right again. */
void pap_checksum(uint8_t *file, size_t size);

#endif
