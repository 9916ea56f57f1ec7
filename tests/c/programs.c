#include "programs.h"

#include <stdlib.h>
#include <string.h>

#define F32 PP_DTYPE_F32
#define LOAD(type, dst, operand) {0, PP_PW_LOAD, PP_PWTYPE_##type, dst, operand, 0, 0}
#define STORE(type, result, reg) {0, PP_PW_STORE, PP_PWTYPE_##type, result, reg, 0, 0}
#define OP(op, type, dst, a, b) {0, PP_PW_##op, PP_PWTYPE_##type, dst, a, b, 0}
#define CONSTANT(type, dst, bits) {bits, PP_PW_CONST, PP_PWTYPE_##type, dst, 0, 0, 0}
#define CODE(...) (uint32_t)(sizeof((pap_code[]){__VA_ARGS__}) / sizeof(pap_code)), (const pap_code[]){__VA_ARGS__}
#define LIST(...) (uint32_t)(sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)), (const uint32_t[]){__VA_ARGS__}
#define NUMBERS(...) (uint32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}

static void *zeroed(size_t size) {
  void *p = calloc(1, size);
  if (!p) abort();
  return p;
}

pap_method *pap_method_new(pap_program *p, const char *name) {
  pap_method *m = zeroed(sizeof *m);
  m->name = name;
  p->methods[p->n_methods++] = m;
  return m;
}

pap_program *pap_new(void) {
  pap_program *p = zeroed(sizeof *p);
  pap_method_new(p, "forward");
  return p;
}

void pap_free(pap_program *p) {
  for (uint32_t i = 0; i < p->n_methods; i++) free(p->methods[i]);
  free(p);
}

uint8_t *pap_finish(pap_program *p, size_t *size) {
  uint8_t *file = pap_write(p, size);
  pap_free(p);
  return file;
}

static uint32_t input(pap_method *m, const char *name, uint8_t dtype, uint32_t rank, const uint32_t *dims) {
  uint32_t value = pap_tensor(m, PP_STORAGE_INPUT, m->n_inputs, dtype, rank, dims);
  pap_input(m, name, value);
  return value;
}

static uint32_t output(pap_method *m, const char *name, uint8_t dtype, uint32_t rank, const uint32_t *dims) {
  uint32_t value = pap_tensor(m, PP_STORAGE_OUTPUT, m->n_outputs, dtype, rank, dims);
  pap_output(m, name, value);
  return value;
}

static uint32_t arena(pap_method *m, uint8_t dtype, uint32_t rank, const uint32_t *dims) {
  return pap_tensor(m, PP_STORAGE_ARENA, 0, dtype, rank, dims);
}

/* A float constant of known sizes. */
static uint32_t constant(pap_program *p, pap_method *m, const float *data, uint32_t rank, const int64_t *sizes) {
  int64_t n = 1;
  for (uint32_t d = 0; d < rank; d++) n *= sizes[d];
  uint32_t number = pap_constant_add(p, data, (uint64_t)n * sizeof *data);
  return pap_tensor_of(m, PP_STORAGE_CONSTANT, number, F32, rank, sizes);
}

uint8_t *program_affine(size_t *size) {
  static const float w[4] = {0, 1, 2, 3};
  pap_program *p = pap_new();
  pap_method *m = p->methods[0];
  uint32_t dims[2] = {pap_symbol_add(m, "n", 1, 64, 1), pap_const(m, 4)};
  uint32_t x = input(m, "x", F32, 2, dims), y = output(m, "y", F32, 2, dims), h = arena(m, F32, 2, dims);
  uint32_t row = constant(p, m, w, 1, (const int64_t[]){4});
  /* the row, repeated for every n: stride 0 */
  uint32_t rows = m->n_values++;
  m->values[rows] = m->values[row];
  m->values[rows].rank = 2;
  m->values[rows].dims = m->n_pool;
  const uint32_t numbers[4] = {dims[0], dims[1], pap_const(m, 0), pap_const(m, 1)};
  for (int i = 0; i < 4; i++) m->pool[m->n_pool++] = numbers[i];
  uint32_t add = pap_pointwise(m, 3, 2, CODE(LOAD(F32, 0, 0), LOAD(F32, 1, 1), OP(ADD, F32, 2, 0, 1), STORE(F32, 0, 2)));
  uint32_t square = pap_pointwise(m, 2, 1, CODE(LOAD(F32, 0, 0), OP(MUL, F32, 1, 0, 0), STORE(F32, 0, 1)));
  pap_compute(m, 1, add, LIST(h), LIST(x, rows));
  pap_compute(m, 1, square, LIST(y), LIST(h));
  return pap_finish(p, size);
}

uint8_t *program_methods(size_t *size) {
  pap_program *p = pap_new();
  p->methods[0]->name = "twice";
  pap_method_new(p, "square");
  for (uint32_t i = 0; i < 2; i++) {
    pap_method *m = p->methods[i];
    uint32_t dims[1] = {pap_symbol_add(m, "n", 0, 1000, 1)};
    uint32_t x = input(m, "x", F32, 1, dims), y = output(m, "y", F32, 1, dims), h = arena(m, F32, 1, dims);
    const pap_code code[] = {LOAD(F32, 0, 0), {0, i ? PP_PW_MUL : PP_PW_ADD, PP_PWTYPE_F32, 1, 0, 0, 0}, STORE(F32, 0, 1)};
    pap_compute(m, 1, pap_pointwise(m, 2, 1, 3, code), LIST(h), LIST(x));
    pap_instruct(m, PP_FAMILY_MOVE, 1, LIST(h), LIST(y), 0, NULL);
  }
  return pap_finish(p, size);
}

uint8_t *program_state(size_t *size) {
  static const float start[4] = {1, 2, 3, 4};
  pap_program *p = pap_new();
  pap_method *m = p->methods[0];
  uint32_t initial = pap_constant_add(p, start, sizeof start);
  p->states[0] = (pap_state){"cache", 128, PAP_NONE, F32, 2, {8, 4}};
  p->states[1] = (pap_state){"total", 16, initial, F32, 1, {4}};
  p->n_states = 2;
  uint32_t rows[2] = {pap_symbol_add(m, "n", 1, 8, 1), pap_const(m, 4)}, whole[2] = {pap_const(m, 8), pap_const(m, 4)};
  uint32_t x = input(m, "x", F32, 2, rows), position = input(m, "position", PP_DTYPE_I64, 0, NULL);
  uint32_t y = output(m, "y", F32, 2, whole), z = output(m, "z", F32, 1, whole + 1);
  uint32_t cache = pap_tensor(m, PP_STORAGE_STATE, 0, F32, 2, whole);
  uint32_t total = pap_tensor(m, PP_STORAGE_STATE, 1, F32, 1, whole + 1);
  uint32_t one = pap_pointwise(m, 2, 1, CODE(LOAD(F32, 0, 0), CONSTANT(F32, 1, 0x3f800000u), OP(ADD, F32, 0, 0, 1), STORE(F32, 0, 0)));
  pap_instruct(m, PP_FAMILY_UPDATE, 1, LIST(x, position), LIST(cache), NUMBERS(0));
  pap_compute(m, 0, one, LIST(total), LIST(total));
  pap_instruct(m, PP_FAMILY_MOVE, 1, LIST(cache), LIST(y), 0, NULL);
  pap_instruct(m, PP_FAMILY_MOVE, 0, LIST(total), LIST(z), 0, NULL);
  return pap_finish(p, size);
}

uint8_t *program_gather(size_t *size) {
  float table[30];
  for (int i = 0; i < 30; i++) table[i] = (float)i;
  pap_program *p = pap_new();
  pap_method *m = p->methods[0];
  uint32_t dims[2] = {pap_symbol_add(m, "n", 0, 100000, 1), pap_const(m, 3)};
  uint32_t index = input(m, "index", PP_DTYPE_I64, 1, dims), y = output(m, "y", F32, 2, dims);
  uint32_t rows = constant(p, m, table, 2, (const int64_t[]){10, 3});
  pap_instruct(m, PP_FAMILY_GATHER, 1, LIST(rows, index), LIST(y), NUMBERS(PP_GATHER_SELECT, 0));
  return pap_finish(p, size);
}

uint8_t *program_divide(size_t *size) {
  pap_program *p = pap_new();
  pap_method *m = p->methods[0];
  uint32_t dims[1] = {pap_symbol_add(m, "n", 1, 1000000, 1)};
  uint32_t a = input(m, "a", PP_DTYPE_I64, 1, dims), b = input(m, "b", PP_DTYPE_I64, 1, dims);
  uint32_t q = output(m, "q", PP_DTYPE_I64, 1, dims);
  uint32_t code = pap_pointwise(m, 3, 2, CODE(LOAD(I64, 0, 0), LOAD(I64, 1, 1), OP(DIV, I64, 2, 0, 1), STORE(I64, 0, 2)));
  pap_compute(m, 1, code, LIST(q), LIST(a, b));
  return pap_finish(p, size);
}

/* Repeatable weights in (-1, 1). */
static float weight(uint32_t i) { return (float)((int32_t)(i * 2654435761u) >> 8) / (float)(1 << 23); }

static uint32_t product(pap_method *m, uint32_t a, uint32_t b, uint32_t bias, uint32_t result, uint32_t program) {
  pap_instruction *in = pap_instruct(m, PP_FAMILY_GEMM, 1, LIST(a, b, bias, PAP_NONE), LIST(result), 0, NULL);
  in->program = program;
  in->floats = m->n_floats;
  in->n_floats = 2;
  m->floats[m->n_floats++] = -__builtin_inf();
  m->floats[m->n_floats++] = __builtin_inf();
  return result;
}

uint8_t *program_network(size_t *size) {
  enum { K = 64, H = 48, N = 10 };
  static float w[K * H], v[H * N], b[H];
  for (uint32_t i = 0; i < K * H; i++) w[i] = weight(i) / 8;
  for (uint32_t i = 0; i < H * N; i++) v[i] = weight(i + 7) / 4;
  for (uint32_t i = 0; i < H; i++) b[i] = weight(i + 99);
  pap_program *p = pap_new();
  pap_method *m = p->methods[0];
  uint32_t n = pap_symbol_add(m, "n", 1, 100000, 1);
  const uint32_t k_dims[2] = {n, pap_const(m, K)}, h_dims[2] = {n, pap_const(m, H)}, n_dims[2] = {n, pap_const(m, N)};
  const uint32_t mean_dims[2] = {pap_const(m, 1), pap_const(m, N)};
  uint32_t x = input(m, "x", F32, 2, k_dims), y = output(m, "p", F32, 2, n_dims), mean = output(m, "mean", F32, 2, mean_dims);
  uint32_t h = arena(m, F32, 2, h_dims), logits = arena(m, F32, 2, n_dims), soft = arena(m, F32, 2, n_dims);
  uint32_t wv = constant(p, m, w, 2, (const int64_t[]){K, H}), vv = constant(p, m, v, 2, (const int64_t[]){H, N});
  uint32_t bv = constant(p, m, b, 1, (const int64_t[]){H});
  uint32_t tanh = pap_pointwise(m, 2, 1, CODE(LOAD(F32, 0, 0), OP(TANH, F32, 1, 0, 0), STORE(F32, 0, 1)));
  product(m, x, wv, bv, h, tanh);
  product(m, h, vv, PAP_NONE, logits, PAP_NONE);
  pap_instruct(m, PP_FAMILY_SOFTMAX, 1, LIST(logits), LIST(soft), NUMBERS(1, 0));
  pap_instruct(m, PP_FAMILY_MOVE, 1, LIST(soft), LIST(y), 0, NULL);
  pap_instruct(m, PP_FAMILY_REDUCE, 0, LIST(soft), LIST(mean), NUMBERS(PP_REDUCE_MEAN, 1));
  return pap_finish(p, size);
}

uint8_t *program_chain(uint32_t steps, size_t *size) {
  pap_program *p = pap_new();
  pap_method *m = p->methods[0];
  uint32_t dims[1] = {pap_symbol_add(m, "n", 1, 1 << 24, 1)};
  uint32_t x = input(m, "x", F32, 1, dims), y = output(m, "y", F32, 1, dims);
  uint32_t code = pap_pointwise(m, 2, 1, CODE(LOAD(F32, 0, 0), OP(SIN, F32, 1, 0, 0), STORE(F32, 0, 1)));
  for (uint32_t i = 0; i < steps; i++) {
    uint32_t next = i + 1 == steps ? y : arena(m, F32, 1, dims);
    pap_compute(m, 1, code, LIST(next), LIST(x));
    x = next;
  }
  return pap_finish(p, size);
}
