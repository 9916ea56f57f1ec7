/* The observer: once per instruction, in order, on the caller's thread, with results that can be read. */
#include <stdlib.h>

#include "check.h"
#include "programs.h"
#include "rig.h"

enum { N = 37 };

typedef struct record {
  rig r;
  float x[4 * N], y[4 * N];
  pp_observation seen[16];
  int count, cancel_at;
  float first[16]; /* of each result */
  int64_t clock;
} record;

static void observe(void *user, const pp_observation *seen) {
  record *k = user;
  pp_tensor t;
  int64_t strides[8];
  CHECK(k->count < 16);
  CHECK_EQUAL(pp_observed_result(k->r.instance, seen->method, seen->instruction, 0, &t, strides), PP_OK);
  CHECK(t.rank == 2 && t.shape[0] == N && t.shape[1] == 4 && strides[0] == 4 && strides[1] == 1);
  CHECK_EQUAL(pp_observed_result(k->r.instance, seen->method, seen->instruction, 1, &t, strides), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_observed_result(k->r.instance, seen->method, seen->instruction, 0, NULL, strides), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_observed_result(k->r.instance, 1, seen->instruction, 0, &t, strides), PP_ERR_ARGUMENT);
  k->first[k->count] = ((const float *)t.data)[5];
  k->seen[k->count++] = *seen;
  if (k->cancel_at == k->count) pp_cancel(k->r.instance);
}

static int64_t ticks; /* a clock that goes on by 10 whenever it is read */
static int64_t now(void) { return ticks += 10; }

static void start(record *k, const pp_pool *pool) {
  size_t size;
  memset(k, 0, sizeof *k);
  uint8_t *file = program_affine(&size);
  rig_start(&k->r, file, size, pool);
  for (int i = 0; i < 4 * N; i++) k->x[i] = (float)i;
  pp_tensor in = rig_tensor(PP_DTYPE_F32, 2, N, 4);
  in.data = k->x;
  CHECK_EQUAL(rig_bind(&k->r, 0, &in, 1), PP_OK);
  CHECK_EQUAL(pp_bind_output(k->r.instance, 0, 0, k->y), PP_OK);
  pp_observe(k->r.instance, observe, k);
}

static void test_every_instruction(void) {
  record k;
  const pp_pool pool = {.threads = 1, .now = now};
  start(&k, &pool);
  for (int turn = 1; turn <= 2; turn++) {
    CHECK_EQUAL(pp_run(k.r.instance, 0, 0, &k.r.error), PP_OK);
    CHECK_EQUAL(k.count, 2 * turn);
  }
  for (int i = 0; i < 4; i++) {
    CHECK_EQUAL(k.seen[i].method, 0);
    CHECK_EQUAL(k.seen[i].instruction, i % 2);
    CHECK_EQUAL(k.seen[i].results, 1);
    CHECK_EQUAL(k.seen[i].nanoseconds, 10);
    CHECK(strstr(k.seen[i].kernel, "pointwise") != NULL);
    CHECK(k.first[i] == (i % 2 ? 36.0f : 6.0f)); /* x[5] + 1, and its square */
  }
  pp_observe(k.r.instance, NULL, NULL);
  CHECK_EQUAL(pp_run(k.r.instance, 0, 0, &k.r.error), PP_OK);
  CHECK_EQUAL(k.count, 4);
  rig_free(&k.r);
}

static void test_without_a_clock(void) {
  record k;
  start(&k, NULL);
  CHECK_EQUAL(pp_run(k.r.instance, 0, 0, &k.r.error), PP_OK);
  CHECK(k.count == 2 && k.seen[0].nanoseconds == 0);
  rig_free(&k.r);
}

static void test_cancel_from_inside(void) {
  record k;
  start(&k, NULL);
  k.cancel_at = 1;
  CHECK_EQUAL(pp_run(k.r.instance, 0, 0, &k.r.error), PP_ERR_CANCELLED);
  CHECK_EQUAL(k.r.error.rule, 703);
  CHECK_EQUAL(k.count, 1);
  k.cancel_at = 0;
  CHECK_EQUAL(pp_run(k.r.instance, 0, 0, &k.r.error), PP_OK); /* a cancel is for one run */
  CHECK_EQUAL(k.count, 3);
  rig_free(&k.r);
}

static void test_results_before_binding(void) {
  rig r;
  size_t size;
  uint8_t *file = program_affine(&size);
  rig_start(&r, file, size, NULL);
  pp_tensor t;
  int64_t strides[8];
  CHECK_EQUAL(pp_observed_result(r.instance, 0, 0, 0, &t, strides), PP_ERR_ARGUMENT);
  CHECK_EQUAL(pp_observed_result(NULL, 0, 0, 0, &t, strides), PP_ERR_ARGUMENT);
  rig_free(&r);
}

int main(void) {
  test_every_instruction();
  test_without_a_clock();
  test_cancel_from_inside();
  test_results_before_binding();
  return tests_result();
}
