/* Binding and running: sizes, arenas, outputs, state; and programs whose instructions overlap their own operands. */
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"
#include "programs.h"
#include "rig.h"

static void affine(const float *x, int64_t n, float *y) {
  for (int64_t i = 0; i < 4 * n; i++) y[i] = (x[i] + (float)(i % 4)) * (x[i] + (float)(i % 4));
}

/* Binds `n` rows, runs and compares. */
static void run_affine(rig *r, int64_t n) {
  float *x = rig_block((uint64_t)n * 16), *y = rig_block((uint64_t)n * 16), *want = rig_block((uint64_t)n * 16);
  for (int64_t i = 0; i < 4 * n; i++) x[i] = (float)(i * 7 % 11) - 5, y[i] = -1;
  pp_tensor in = rig_tensor(PP_DTYPE_F32, 2, n, 4), out;
  in.data = x;
  CHECK_EQUAL(rig_bind(r, 0, &in, 1), PP_OK);
  CHECK_EQUAL(pp_output_shape(r->instance, 0, 0, &out), PP_OK);
  CHECK(out.rank == 2 && out.shape[0] == n && out.shape[1] == 4 && out.dtype == PP_DTYPE_F32 && out.data == NULL);
  CHECK_EQUAL(pp_bind_output(r->instance, 0, 0, y), PP_OK);
  CHECK_EQUAL(pp_run(r->instance, 0, 0, &r->error), PP_OK);
  CHECK_EQUAL(r->error.status, PP_OK);
  affine(x, n, want);
  for (int64_t i = 0; i < 4 * n; i++) CHECK(y[i] == want[i]);
  free(x);
  free(y);
  free(want);
}

static void test_sizes_change(void) {
  rig r;
  size_t size;
  uint8_t *file = program_affine(&size);
  rig_start(&r, file, size, NULL);
  static const int64_t sizes[] = {3, 64, 1, 17, 3};
  uint64_t bytes[5];
  for (int i = 0; i < 5; i++) {
    run_affine(&r, sizes[i]);
    bytes[i] = r.arena_bytes;
  }
  CHECK_EQUAL(bytes[0], bytes[4]);
  CHECK(bytes[1] > bytes[3] && bytes[3] > bytes[0]);
  CHECK(bytes[1] >= 64 * 16); /* the intermediate result lies there */
  rig_free(&r);
}

static void test_wrong_sizes(void) {
  rig r;
  size_t size;
  uint8_t *file = program_affine(&size);
  rig_start(&r, file, size, NULL);
  run_affine(&r, 2);
  static const struct { uint32_t dtype, rank; int64_t a, b; uint32_t n, rule; } cases[] = {
    {PP_DTYPE_F32, 2, 2, 4, 0, 605}, {PP_DTYPE_F32, 2, 2, 4, 2, 605}, {PP_DTYPE_F64, 2, 2, 4, 1, 606},
    {0, 2, 2, 4, 1, 606},            {PP_DTYPE_F32, 1, 2, 4, 1, 607}, {PP_DTYPE_F32, 9, 2, 4, 1, 607},
    {PP_DTYPE_F32, 2, 2, 5, 1, 608}, {PP_DTYPE_F32, 2, 0, 4, 1, 609}, {PP_DTYPE_F32, 2, 65, 4, 1, 609},
    {PP_DTYPE_F32, 2, INT64_MAX, 4, 1, 609}, {PP_DTYPE_F32, 2, -1, 4, 1, 601},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pp_tensor in[2] = {rig_tensor(cases[i].dtype, cases[i].rank, cases[i].a, cases[i].b), {0}}, out;
    uint64_t bytes = 1;
    CHECK_EQUAL(pp_bind_sizes(r.instance, 0, in, cases[i].n, &bytes, &r.error), r.error.status);
    CHECK_EQUAL(r.error.rule, cases[i].rule);
    /* The method is unbound now. */
    CHECK_EQUAL(pp_output_shape(r.instance, 0, 0, &out), PP_ERR_ARGUMENT);
    CHECK_EQUAL(pp_bind_arena(r.instance, 0, r.arena, r.arena_bytes), PP_ERR_ARGUMENT);
    CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_ERR_ARGUMENT);
    CHECK_EQUAL(r.error.rule, 701);
  }
  run_affine(&r, 2);
  rig_free(&r);
}

static void test_what_is_missing(void) {
  rig r;
  size_t size;
  uint8_t *file = program_affine(&size);
  rig_start(&r, file, size, NULL);
  float x[8] = {0}, y[8];
  pp_tensor in = rig_tensor(PP_DTYPE_F32, 2, 2, 4);
  uint64_t bytes;
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_bind_sizes(r.instance, 0, &in, 1, &bytes, NULL), PP_OK);
  uint8_t *arena = rig_block(bytes + 64);
  CHECK_EQUAL(pp_bind_arena(r.instance, 0, NULL, bytes), PP_ERR_MEMORY);
  CHECK_EQUAL(pp_bind_arena(r.instance, 0, arena, bytes - 1), PP_ERR_MEMORY);
  CHECK_EQUAL(pp_bind_arena(r.instance, 0, arena + 4, bytes), PP_ERR_MEMORY);
  CHECK_EQUAL(pp_bind_input(r.instance, 0, 0, x), PP_OK);
  CHECK_EQUAL(pp_bind_output(r.instance, 0, 0, y), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_ERR_ARGUMENT); /* no arena */
  CHECK_EQUAL(pp_bind_arena(r.instance, 0, arena + 64, bytes), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_OK);
  CHECK_EQUAL(pp_bind_output(r.instance, 0, 0, NULL), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_bind_output(r.instance, 0, 0, (char *)y + 1), PP_ERR_ARGUMENT); /* misaligned */
  CHECK_EQUAL(pp_bind_output(r.instance, 0, 1, y), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_bind_input(r.instance, 0, 1, x), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_bind_input(r.instance, 1, 0, x), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_bind_input(NULL, 0, 0, x), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_bind_output(r.instance, 0, 0, y), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, NULL), PP_OK);
  /* The same sizes again: everything stays bound. Other sizes: nothing does. */
  CHECK_EQUAL(pp_bind_sizes(r.instance, 0, &in, 1, &bytes, NULL), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, NULL), PP_OK);
  in.shape[0] = 1;
  CHECK_EQUAL(pp_bind_sizes(r.instance, 0, &in, 1, &bytes, NULL), PP_OK);
  CHECK_EQUAL(pp_bind_arena(r.instance, 0, arena, bytes), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(r.error.rule, 701);
  CHECK_EQUAL(pp_run(r.instance, 1, 0, &r.error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_run(NULL, 0, 0, &r.error), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_bind_sizes(r.instance, 0, NULL, 1, &bytes, NULL), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_bind_sizes(r.instance, 0, &in, 1, NULL, NULL), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_bind_sizes(NULL, 0, &in, 1, &bytes, NULL), PP_ERR_ARGUMENT);
  pp_cancel(NULL);
  pp_observe(NULL, NULL, NULL);
  pp_state_reset(NULL, 0);
  free(arena);
  rig_free(&r);
}

/* Methods and instances that never run at the same time may use one arena. */
static void test_shared_arena(void) {
  rig r, second;
  size_t size;
  uint8_t *file = program_methods(&size);
  rig_start(&r, file, size, NULL);
  rig_share(&second, &r, NULL);
  enum { N = 100 };
  float x[N], y[3][N];
  for (int i = 0; i < N; i++) x[i] = (float)(i - 30);
  pp_tensor in = rig_tensor(PP_DTYPE_F32, 1, N, 0);
  uint64_t bytes[3];
  pp_instance *owner[3] = {r.instance, r.instance, second.instance};
  CHECK_EQUAL(pp_bind_sizes(owner[0], 0, &in, 1, &bytes[0], NULL), PP_OK);
  CHECK_EQUAL(pp_bind_sizes(owner[1], 1, &in, 1, &bytes[1], NULL), PP_OK);
  CHECK_EQUAL(pp_bind_sizes(owner[2], 1, &in, 1, &bytes[2], NULL), PP_OK);
  void *arena = rig_block(bytes[0] > bytes[1] ? bytes[0] : bytes[1]);
  for (int k = 0; k < 3; k++) {
    CHECK_EQUAL(pp_bind_arena(owner[k], k > 0, arena, bytes[k]), PP_OK);
    CHECK_EQUAL(pp_bind_input(owner[k], k > 0, 0, x), PP_OK);
    CHECK_EQUAL(pp_bind_output(owner[k], k > 0, 0, y[k]), PP_OK);
  }
  for (int turn = 0; turn < 3; turn++) {
    memset(arena, 0xab, (size_t)bytes[0]); /* it holds nothing between runs */
    for (int k = 0; k < 3; k++) CHECK_EQUAL(pp_run(owner[k], k > 0, 0, NULL), PP_OK);
    for (int i = 0; i < N; i++) CHECK(y[0][i] == 2 * x[i] && y[1][i] == x[i] * x[i] && y[2][i] == y[1][i]);
    x[0] += 1;
  }
  free(arena);
  rig_free(&second);
  rig_free(&r);
}

/* Sizes whose bytes a pointer of this machine cannot walk are refused when they are bound, before anybody could try to
 * allocate them; on 64-bit machines the same sizes are legal. */
static void test_more_than_the_machine_can_address(void) {
  pap_program *p = pap_new();
  pap_method *m = p->methods[0];
  uint32_t dims[1] = {pap_symbol_add(m, "n", 0, INT32_MAX, 1)};
  uint32_t x = pap_tensor(m, PP_STORAGE_INPUT, 0, PP_DTYPE_F32, 1, dims);
  uint32_t y = pap_tensor(m, PP_STORAGE_OUTPUT, 0, PP_DTYPE_F32, 1, dims);
  uint32_t h = pap_tensor(m, PP_STORAGE_ARENA, 0, PP_DTYPE_F32, 1, dims);
  pap_input(m, "x", x);
  pap_output(m, "y", y);
  pap_instruct(m, PP_FAMILY_MOVE, 1, 1, &x, 1, &h, 0, NULL);
  pap_instruct(m, PP_FAMILY_MOVE, 1, 1, &h, 1, &y, 0, NULL);
  rig r;
  size_t size;
  uint8_t *file = pap_finish(p, &size);
  rig_start(&r, file, size, NULL);
  static const struct { int64_t n; bool fits; } cases[] = {{100, true}, {1 << 28, true}, {1 << 29, false}, {INT32_MAX, false}};
  for (int i = 0; i < 4; i++) {
    pp_tensor in = rig_tensor(PP_DTYPE_F32, 1, cases[i].n, 0);
    uint64_t bytes = 0;
    pp_status status = pp_bind_sizes(r.instance, 0, &in, 1, &bytes, &r.error);
    if (cases[i].fits || sizeof(size_t) == 8) {
      CHECK_EQUAL(status, PP_OK);
      CHECK(bytes >= (uint64_t)cases[i].n * 4);
    } else {
      CHECK_EQUAL(status, PP_ERR_CONTRACT);
      CHECK_EQUAL(r.error.rule, 618);
    }
  }
  rig_free(&r);
}

static void test_empty_tensors(void) {
  rig r;
  size_t size;
  uint8_t *file = program_methods(&size);
  rig_start(&r, file, size, NULL);
  pp_tensor in = rig_tensor(PP_DTYPE_F32, 1, 0, 0);
  CHECK_EQUAL(rig_bind(&r, 0, &in, 1), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, NULL), PP_OK); /* no byte is touched: nothing needs to be bound */
  rig_free(&r);
}

/* -- state ------------------------------------------------------------------------------------------------------------- */

typedef struct state_rig {
  rig r;
  float x[8], y[32], z[4], *cache, *total;
  int64_t position;
} state_rig;

static void state_start(state_rig *s, const rig *shared) {
  size_t size;
  if (shared) {
    rig_share(&s->r, shared, NULL);
  } else {
    uint8_t *file = program_state(&size);
    rig_start(&s->r, file, size, NULL);
  }
  for (int i = 0; i < 8; i++) s->x[i] = (float)(i + 1);
  s->position = 3;
  pp_tensor in[2] = {rig_tensor(PP_DTYPE_F32, 2, 2, 4), rig_tensor(PP_DTYPE_I64, 0, 0, 0)};
  in[0].data = s->x;
  in[1].data = &s->position;
  CHECK_EQUAL(rig_bind(&s->r, 0, in, 2), PP_OK);
  CHECK_EQUAL(pp_bind_output(s->r.instance, 0, 0, s->y), PP_OK);
  CHECK_EQUAL(pp_bind_output(s->r.instance, 0, 1, s->z), PP_OK);
  uint64_t bytes;
  void *data;
  CHECK_EQUAL(pp_state_data(s->r.instance, 0, &data, &bytes), PP_OK);
  CHECK_EQUAL(bytes, 128);
  s->cache = data;
  CHECK_EQUAL(pp_state_data(s->r.instance, 1, &data, &bytes), PP_OK);
  CHECK_EQUAL(bytes, 16);
  s->total = data;
}

static pp_status state_run(state_rig *s) { return pp_run(s->r.instance, 0, 0, &s->r.error); }

static void test_state(void) {
  state_rig s;
  state_start(&s, NULL);
  for (int i = 0; i < 32; i++) CHECK(s.cache[i] == 0);
  for (int i = 0; i < 4; i++) CHECK(s.total[i] == (float)(i + 1)); /* its initial value */
  CHECK_EQUAL(state_run(&s), PP_OK);
  for (int i = 0; i < 32; i++) CHECK(s.y[i] == (i >= 12 && i < 20 ? s.x[i - 12] : 0));
  for (int i = 0; i < 4; i++) CHECK(s.z[i] == (float)(i + 2) && s.total[i] == s.z[i]);
  /* Written between runs, and kept from run to run. */
  s.total[0] = 100;
  s.position = 0;
  CHECK_EQUAL(state_run(&s), PP_OK);
  CHECK(s.z[0] == 101 && s.z[1] == 4);
  CHECK(s.y[0] == 1 && s.y[12] == 1 && s.y[8] == 0);
  pp_state_reset(s.r.instance, 1); /* only the mark */
  CHECK(s.total[0] == 101);
  pp_state_reset(s.r.instance, 0);
  CHECK(s.total[0] == 1 && s.cache[12] == 0);
  void *data;
  uint64_t bytes;
  CHECK_EQUAL(pp_state_data(s.r.instance, 2, &data, &bytes), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_state_data(s.r.instance, 0, NULL, &bytes), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_state_data(s.r.instance, 0, &data, NULL), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_state_data(NULL, 0, &data, &bytes), PP_ERR_ARGUMENT);
  rig_free(&s.r);
}

static void test_failed_runs_dirty_state(void) {
  static const int64_t bad[] = {7, -1, INT64_MIN, INT64_MAX};
  state_rig s;
  state_start(&s, NULL);
  for (int i = 0; i < 4; i++) {
    s.position = bad[i];
    CHECK_EQUAL(state_run(&s), PP_ERR_POSITION);
    CHECK_EQUAL(s.r.error.rule, 706);
    CHECK_EQUAL(s.r.error.a, bad[i]);
    CHECK_EQUAL(s.r.error.b, 6);
    CHECK_EQUAL(s.r.error.method, 0);
    CHECK_EQUAL(s.r.error.instruction, 0);
    s.position = 6;
    CHECK_EQUAL(state_run(&s), PP_ERR_STATE);
    CHECK_EQUAL(state_run(&s), PP_ERR_STATE); /* until somebody decides */
    if (i % 2) pp_state_reset(s.r.instance, 0);
    else pp_state_reset(s.r.instance, 1);
    CHECK_EQUAL(state_run(&s), PP_OK);
  }
  rig_free(&s.r);
}

static void test_instances_have_their_own_state(void) {
  state_rig a, b;
  state_start(&a, NULL);
  state_start(&b, &a.r);
  CHECK_EQUAL(state_run(&a), PP_OK);
  CHECK_EQUAL(state_run(&a), PP_OK);
  CHECK(a.z[0] == 3 && b.total[0] == 1 && b.cache[12] == 0);
  CHECK_EQUAL(state_run(&b), PP_OK);
  CHECK(b.z[0] == 2 && a.total[0] == 3);
  rig_free(&b.r);
  rig_free(&a.r);
}

/* -- checks while running ----------------------------------------------------------------------------------------------- */

static void test_index_values(void) {
  rig r;
  size_t size;
  uint8_t *file = program_gather(&size);
  rig_start(&r, file, size, NULL);
  int64_t index[4] = {0, -10, 9, 3};
  float y[12];
  pp_tensor in = rig_tensor(PP_DTYPE_I64, 1, 4, 0);
  in.data = index;
  CHECK_EQUAL(rig_bind(&r, 0, &in, 1), PP_OK);
  CHECK_EQUAL(pp_bind_output(r.instance, 0, 0, y), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_OK);
  CHECK(y[0] == 0 && y[3] == 0 && y[6] == 27 && y[11] == 11);
  static const int64_t bad[] = {10, -11, INT64_MAX, INT64_MIN, (int64_t)1 << 32};
  for (int i = 0; i < 5; i++) {
    index[2] = bad[i];
    CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_ERR_INDEX);
    CHECK_EQUAL(r.error.rule, 704);
    CHECK_EQUAL(r.error.operand, 1);
    CHECK_EQUAL(r.error.a, bad[i]);
    CHECK_EQUAL(r.error.b, 10);
  }
  index[2] = 1; /* no state: the next run is free */
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_OK);
  rig_free(&r);
}

static void test_divisors(void) {
  rig r;
  size_t size;
  uint8_t *file = program_divide(&size);
  rig_start(&r, file, size, NULL);
  int64_t a[4] = {7, -7, INT64_MIN, 5}, b[4] = {2, 2, -1, 5}, q[4];
  pp_tensor in[2] = {rig_tensor(PP_DTYPE_I64, 1, 4, 0), rig_tensor(PP_DTYPE_I64, 1, 4, 0)};
  in[0].data = a;
  in[1].data = b;
  CHECK_EQUAL(rig_bind(&r, 0, in, 2), PP_OK);
  CHECK_EQUAL(pp_bind_output(r.instance, 0, 0, q), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_OK);
  CHECK(q[0] == 3 && q[1] == -4 && q[2] == INT64_MIN && q[3] == 1);
  b[3] = 0;
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_ERR_DIVISOR);
  CHECK_EQUAL(r.error.rule, 705);
  rig_free(&r);
}

/* -- results that overlap their operands: arbitrary values, but no access outside ------------------------------------------ */

static void overlapping(uint8_t family, int64_t shift) {
  pap_program *p = pap_new();
  pap_method *m = p->methods[0];
  const int64_t flat[1] = {64}, part[2] = {5, 6}, strides[2] = {6, 1}, three[1] = {5};
  uint32_t x = pap_tensor_of(m, PP_STORAGE_INPUT, 0, PP_DTYPE_F32, 1, flat);
  uint32_t i = pap_tensor_of(m, PP_STORAGE_INPUT, 1, PP_DTYPE_I64, 1, three);
  uint32_t y = pap_tensor_of(m, PP_STORAGE_OUTPUT, 0, PP_DTYPE_F32, 1, flat);
  uint32_t h = pap_tensor_of(m, PP_STORAGE_ARENA, 0, PP_DTYPE_F32, 1, flat);
  pap_input(m, "x", x);
  pap_input(m, "i", i);
  pap_output(m, "y", y);
  uint32_t from = pap_view(m, h, 0, 2, part, strides), to = pap_view(m, h, shift, 2, part, strides);
  pap_instruct(m, PP_FAMILY_MOVE, 1, 1, &x, 1, &h, 0, NULL);
  const uint32_t args[2] = {from, i};
  const int64_t attrs[2] = {PP_GATHER_SELECT, 0};
  if (family == PP_FAMILY_GATHER) pap_instruct(m, family, 1, 2, args, 1, &to, 2, attrs);
  else pap_instruct(m, family, 1, 1, args, 1, &to, 0, NULL);
  pap_instruct(m, PP_FAMILY_MOVE, 1, 1, &h, 1, &y, 0, NULL);
  rig r;
  size_t size;
  uint8_t *file = pap_finish(p, &size);
  rig_start(&r, file, size, NULL);
  float xs[64], ys[64];
  int64_t index[5] = {4, 0, 1, 3, 2};
  for (int k = 0; k < 64; k++) xs[k] = (float)k;
  pp_tensor in[2] = {rig_tensor(PP_DTYPE_F32, 1, 64, 0), rig_tensor(PP_DTYPE_I64, 1, 5, 0)};
  in[0].data = xs;
  in[1].data = index;
  CHECK_EQUAL(rig_bind(&r, 0, in, 2), PP_OK);
  CHECK_EQUAL(pp_bind_output(r.instance, 0, 0, ys), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_OK);
  for (int64_t k = 30 + shift; k < 64; k++) CHECK(ys[k] == (float)k); /* what no view names stays */
  rig_free(&r);
}

int main(void) {
  test_sizes_change();
  test_wrong_sizes();
  test_what_is_missing();
  test_shared_arena();
  test_empty_tensors();
  test_more_than_the_machine_can_address();
  test_state();
  test_failed_runs_dirty_state();
  test_instances_have_their_own_state();
  test_index_values();
  test_divisors();
  for (int64_t shift = 0; shift < 8; shift++) {
    overlapping(PP_FAMILY_MOVE, shift);
    overlapping(PP_FAMILY_GATHER, shift);
  }
  return tests_result();
}
