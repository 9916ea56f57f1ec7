/* Random sequences of calls on one instance, right and wrong ones, against a model of what is bound: a run works exactly
 * when the model says so, and then computes the right thing. */
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"
#include "programs.h"
#include "rig.h"

enum { MOST = 6, ARENA = 16384 };

typedef struct model {
  bool sized, arena, input, output;
  int64_t n;
} model;

static uint64_t state = 7;
static uint32_t below(uint32_t n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33) % n;
}

static rig r;
static model methods[2];
static uint64_t needed[2];
static float x[MOST], y[2][MOST];
static uint8_t *arena;

static void bind_sizes(uint32_t k) {
  pp_tensor in = rig_tensor(PP_DTYPE_F32, 1, below(MOST + 1), 0);
  uint32_t count = 1, wrong = below(8);
  uint64_t bytes = 77;
  if (wrong == 0) in.dtype = PP_DTYPE_I32;
  if (wrong == 1) in.rank = 2;
  if (wrong == 2) in.shape[0] = 1001;
  if (wrong == 3) count = 0;
  pp_status status = pp_bind_sizes(r.instance, k, &in, count, &bytes, &r.error);
  CHECK_EQUAL(r.error.status, status);
  if (wrong < 4) {
    CHECK_EQUAL(status, PP_ERR_INPUT);
    CHECK_EQUAL(r.error.method, k);
    CHECK_EQUAL(bytes, 77);
    methods[k] = (model){false, false, false, false, 0};
    return;
  }
  CHECK_EQUAL(status, PP_OK);
  CHECK(bytes <= ARENA);
  needed[k] = bytes;
  if (methods[k].sized && methods[k].n == in.shape[0]) return;
  methods[k] = (model){true, false, false, false, in.shape[0]};
}

static void bind_arena(uint32_t k) {
  uint32_t wrong = below(4);
  pp_status status = pp_bind_arena(r.instance, k, wrong == 0 ? NULL : arena + (wrong == 1), wrong == 2 ? needed[k] - 1 : ARENA);
  if (!methods[k].sized) CHECK_EQUAL(status, PP_ERR_ARGUMENT);
  else CHECK_EQUAL(status, wrong < 3 ? PP_ERR_MEMORY : PP_OK);
  if (status == PP_OK) methods[k].arena = true;
}

static void bind_port(uint32_t k, bool output) {
  uint32_t wrong = below(5), i = wrong == 0;
  float *data = output ? y[k] : x;
  if (wrong == 1) data = NULL;
  if (wrong == 2) data = (float *)(void *)((char *)data + 2);
  pp_status status = output ? pp_bind_output(r.instance, k, i, data) : pp_bind_input(r.instance, k, i, data);
  CHECK_EQUAL(status, !methods[k].sized || i || wrong == 2 ? PP_ERR_ARGUMENT : PP_OK);
  if (status == PP_OK) *(output ? &methods[k].output : &methods[k].input) = data != NULL;
}

static void run(uint32_t k) {
  const model *m = &methods[k];
  pp_tensor shape;
  CHECK_EQUAL(pp_output_shape(r.instance, k, 0, &shape), m->sized ? PP_OK : PP_ERR_ARGUMENT);
  if (m->sized) CHECK_EQUAL(shape.shape[0], m->n);
  for (int i = 0; i < MOST; i++) x[i] = (float)below(100), y[k][i] = -1;
  bool ready = m->sized && m->arena && (m->n == 0 || (m->input && m->output));
  pp_status status = pp_run(r.instance, k, below(3), &r.error);
  CHECK_EQUAL(status, ready ? PP_OK : PP_ERR_ARGUMENT);
  CHECK_EQUAL(r.error.rule, ready ? 0 : 701);
  for (int i = 0; i < MOST && ready; i++) CHECK(y[k][i] == (i < m->n ? (k ? x[i] * x[i] : x[i] + x[i]) : -1));
}

int main(void) {
  size_t size;
  uint8_t *file = program_methods(&size);
  rig_start(&r, file, size, NULL);
  arena = rig_block(ARENA + 64);
  int runs = 0;
  for (int step = 0; step < 20000; step++) {
    uint32_t k = below(2), what = below(12);
    if (what == 0) bind_sizes(k);
    else if (what <= 3) bind_arena(k);
    else if (what <= 5) bind_port(k, false);
    else if (what <= 7) bind_port(k, true);
    else if (what == 8) pp_cancel(r.instance); /* nothing runs */
    else if (what == 9) pp_state_reset(r.instance, (int)below(2));
    else run(k), runs += methods[k].arena;
    CHECK_EQUAL(pp_run(r.instance, 2, 0, &r.error), PP_ERR_ARGUMENT);
  }
  CHECK(runs > 500);
  free(arena);
  rig_free(&r);
  return tests_result();
}
