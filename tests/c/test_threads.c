/* Threads: the same bits for any number of them, the caller's own pool, cancelling from another thread, failures that
 * make all threads leave, several runs that want one pool, instances of one program in parallel. */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"
#include "programs.h"
#include "rig.h"

enum { ROWS = 1500 };

typedef struct network {
  rig r;
  float *x, *p, mean[10];
} network;

static void fill(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = (float)((int)(i * 7919 % 2001) - 1000) / 500;
}

static void network_bind(network *n) {
  n->x = rig_block(ROWS * 64 * sizeof(float));
  n->p = rig_block(ROWS * 10 * sizeof(float));
  fill(n->x, ROWS * 64);
  pp_tensor in = rig_tensor(PP_DTYPE_F32, 2, ROWS, 64);
  in.data = n->x;
  CHECK_EQUAL(rig_bind(&n->r, 0, &in, 1), PP_OK);
  CHECK_EQUAL(pp_bind_output(n->r.instance, 0, 0, n->p), PP_OK);
  CHECK_EQUAL(pp_bind_output(n->r.instance, 0, 1, n->mean), PP_OK);
}

static void network_start(network *n, const pp_pool *pool) {
  size_t size;
  uint8_t *file = program_network(&size);
  rig_start(&n->r, file, size, pool);
  network_bind(n);
}

static void network_free(network *n) {
  free(n->x);
  free(n->p);
  rig_free(&n->r);
}

static void clear(network *n) {
  memset(n->p, 0xff, ROWS * 10 * sizeof(float));
  memset(n->mean, 0xff, sizeof n->mean);
}

static bool same(const network *a, const network *b) {
  return memcmp(a->p, b->p, ROWS * 10 * sizeof(float)) == 0 && memcmp(a->mean, b->mean, sizeof a->mean) == 0;
}

static void test_any_number_of_threads(void) {
  network alone;
  network_start(&alone, NULL);
  CHECK_EQUAL(pp_run(alone.r.instance, 0, 0, &alone.r.error), PP_OK);
  float sum = 0;
  for (int i = 0; i < 10; i++) sum += alone.mean[i];
  CHECK(sum > 0.999f && sum < 1.001f); /* a mean of softmaxes */
  for (uint32_t threads = 1; threads <= 4; threads++) {
    pp_pool *pool = pp_pool_create(threads);
    CHECK(pool != NULL && pool->threads == threads);
    network n;
    network_start(&n, pool);
    for (uint32_t asked = 0; asked <= threads + 1; asked++) { /* 0: all; more than there are: all */
      clear(&n);
      CHECK_EQUAL(pp_run(n.r.instance, 0, asked, &n.r.error), PP_OK);
      CHECK(same(&n, &alone));
    }
    network_free(&n);
    pp_pool_destroy(pool);
  }
  network_free(&alone);
}

/* -- a pool of the caller ------------------------------------------------------------------------------------------- */

typedef struct own_pool {
  pp_pool api;
  uint32_t most, runs, asked; /* gives at most `most` threads, whatever is asked */
  pthread_t caller;
} own_pool;

typedef struct part {
  void (*body)(void *, uint32_t, uint32_t);
  void *context;
  uint32_t t, n;
} part;

static void *run_part(void *argument) {
  const part *p = argument;
  p->body(p->context, p->t, p->n);
  return NULL;
}

static void own_run(void *self, void (*body)(void *, uint32_t, uint32_t), void *context, uint32_t n) {
  own_pool *pool = self;
  pthread_t threads[8];
  part parts[8];
  pool->runs++;
  pool->asked = n;
  pool->caller = pthread_self();
  if (n > pool->most) n = pool->most;
  for (uint32_t t = n; t-- > 0;) {
    parts[t] = (part){body, context, t, n};
    if (t) pthread_create(&threads[t], NULL, run_part, &parts[t]);
    else run_part(&parts[0]);
  }
  for (uint32_t t = 1; t < n; t++) pthread_join(threads[t], NULL);
}

static void test_own_pool(void) {
  network alone;
  network_start(&alone, NULL);
  CHECK_EQUAL(pp_run(alone.r.instance, 0, 0, NULL), PP_OK);
  for (uint32_t most = 1; most <= 4; most++) { /* without wait and wake: threads spin */
    own_pool pool = {.most = most};
    pool.api = (pp_pool){.self = &pool, .threads = 4, .run = own_run};
    network n;
    network_start(&n, &pool.api);
    clear(&n);
    CHECK_EQUAL(pp_run(n.r.instance, 0, 0, NULL), PP_OK);
    CHECK(same(&n, &alone));
    CHECK_EQUAL(pool.runs, 1);
    CHECK_EQUAL(pool.asked, 4);
    CHECK_EQUAL(pp_run(n.r.instance, 0, 1, NULL), PP_OK);
    CHECK_EQUAL(pool.runs, 1); /* one thread needs no pool */
    network_free(&n);
  }
  /* Which kernels may run is the pool's business too. */
  own_pool reference = {.most = 1};
  reference.api = (pp_pool){.self = &reference, .threads = 1, .isa = 1};
  network n;
  network_start(&n, &reference.api);
  CHECK_EQUAL(pp_run(n.r.instance, 0, 0, NULL), PP_OK);
  for (int i = 0; i < 10; i++) CHECK(n.mean[i] - alone.mean[i] < 1e-5f && alone.mean[i] - n.mean[i] < 1e-5f);
  network_free(&n);
  network_free(&alone);
}

/* -- cancelling -------------------------------------------------------------------------------------------------------- */

enum { STEPS = 200, LENGTH = 1 << 14, RUNNING = 1, LEFT = 2 };

typedef struct chain {
  rig r;
  float *x, *y;
  pp_status status;
  uint32_t phase; /* atomic */
} chain;

static void chain_start(chain *c, const pp_pool *pool) {
  size_t size;
  memset(c, 0, sizeof *c);
  uint8_t *file = program_chain(STEPS, &size);
  rig_start(&c->r, file, size, pool);
  c->x = rig_block(LENGTH * sizeof(float));
  c->y = rig_block(LENGTH * sizeof(float));
  fill(c->x, LENGTH);
  pp_tensor in = rig_tensor(PP_DTYPE_F32, 1, LENGTH, 0);
  in.data = c->x;
  CHECK_EQUAL(rig_bind(&c->r, 0, &in, 1), PP_OK);
  CHECK_EQUAL(pp_bind_output(c->r.instance, 0, 0, c->y), PP_OK);
}

static void chain_free(chain *c) {
  free(c->x);
  free(c->y);
  rig_free(&c->r);
}

static void *run_until_cancelled(void *argument) {
  chain *c = argument;
  do {
    __atomic_store_n(&c->phase, RUNNING, __ATOMIC_RELEASE);
    c->status = pp_run(c->r.instance, 0, 0, &c->r.error);
  } while (c->status == PP_OK);
  __atomic_store_n(&c->phase, LEFT, __ATOMIC_RELEASE);
  return NULL;
}

static void test_cancel_from_another_thread(void) {
  for (uint32_t threads = 1; threads <= 3; threads++) {
    pp_pool *pool = pp_pool_create(threads);
    chain c;
    pthread_t runner;
    chain_start(&c, pool);
    CHECK_EQUAL(pthread_create(&runner, NULL, run_until_cancelled, &c), 0);
    while (__atomic_load_n(&c.phase, __ATOMIC_ACQUIRE) != RUNNING) sched_yield();
    /* A cancel that falls between two runs is for none of them: ask until the thread has left. */
    while (__atomic_load_n(&c.phase, __ATOMIC_ACQUIRE) != LEFT) {
      pp_cancel(c.r.instance);
      sched_yield();
    }
    pthread_join(runner, NULL);
    CHECK_EQUAL(c.status, PP_ERR_CANCELLED);
    CHECK_EQUAL(c.r.error.rule, 703);
    pp_cancel(c.r.instance); /* nothing runs: nothing happens */
    CHECK_EQUAL(pp_run(c.r.instance, 0, 0, NULL), PP_OK);
    chain_free(&c);
    pp_pool_destroy(pool);
  }
}

/* -- failures ------------------------------------------------------------------------------------------------------------ */

enum { PICKS = 60000 };

/* rows = table[index], then three more epochs that must not run when the first one fails. */
static uint8_t *failing_program(size_t *size) {
  static const float table[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  pap_program *p = pap_new();
  pap_method *m = p->methods[0];
  const int64_t ten[1] = {10}, attrs[2] = {PP_GATHER_SELECT, 0};
  uint32_t dims[1] = {pap_const(m, PICKS)}, at[2];
  at[0] = pap_tensor_of(m, PP_STORAGE_CONSTANT, pap_constant_add(p, table, sizeof table), PP_DTYPE_F32, 1, ten);
  at[1] = pap_tensor(m, PP_STORAGE_INPUT, 0, PP_DTYPE_I64, 1, dims);
  pap_input(m, "index", at[1]);
  uint32_t last = pap_tensor(m, PP_STORAGE_ARENA, 0, PP_DTYPE_F32, 1, dims);
  pap_instruct(m, PP_FAMILY_GATHER, 1, 2, at, 1, &last, 2, attrs);
  for (int i = 0; i < 3; i++) {
    uint32_t next = pap_tensor(m, i == 2 ? PP_STORAGE_OUTPUT : PP_STORAGE_ARENA, 0, PP_DTYPE_F32, 1, dims);
    pap_instruct(m, PP_FAMILY_MOVE, 1, 1, &last, 1, &next, 0, NULL);
    last = next;
  }
  pap_output(m, "y", last);
  return pap_finish(p, size);
}

static void test_a_failure_makes_all_leave(void) {
  static int64_t index[PICKS];
  static float y[PICKS];
  for (uint32_t threads = 1; threads <= 4; threads++) {
    pp_pool *pool = pp_pool_create(threads);
    rig r;
    size_t size;
    uint8_t *file = failing_program(&size);
    rig_start(&r, file, size, pool);
    for (int i = 0; i < PICKS; i++) index[i] = i % 10, y[i] = -1;
    pp_tensor in = rig_tensor(PP_DTYPE_I64, 1, PICKS, 0);
    in.data = index;
    CHECK_EQUAL(rig_bind(&r, 0, &in, 1), PP_OK);
    CHECK_EQUAL(pp_bind_output(r.instance, 0, 0, y), PP_OK);
    /* Many threads fail; what is reported is what one thread alone would have met first. */
    for (int i = 17; i < PICKS; i += 1000) index[i] = 100 + i;
    for (int turn = 0; turn < 20; turn++) {
      CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_ERR_INDEX);
      CHECK_EQUAL(r.error.rule, 704);
      CHECK_EQUAL(r.error.instruction, 0);
      CHECK_EQUAL(r.error.a, 117);
      CHECK_EQUAL(r.error.value, PP_NONE);
      CHECK(y[0] == -1 && y[PICKS - 1] == -1);
    }
    for (int i = 0; i < PICKS; i++) index[i] = i % 10;
    CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_OK);
    bool right = true;
    for (int i = 0; i < PICKS; i++) right &= y[i] == (float)(i % 10);
    CHECK(right);
    rig_free(&r);
    pp_pool_destroy(pool);
  }
}

/* -- several runs at once --------------------------------------------------------------------------------------------------- */

enum { TURNS = 15 };

typedef struct worker {
  network n;
  const network *right;
  bool good;
} worker;

static void *run_often(void *argument) {
  worker *w = argument;
  w->good = true;
  for (int i = 0; i < TURNS; i++) {
    clear(&w->n);
    w->good &= pp_run(w->n.r.instance, 0, 0, &w->n.r.error) == PP_OK && same(&w->n, w->right);
  }
  return NULL;
}

/* Instances of one program, in three threads: each with its own pool, or all with the same. */
static void test_instances_in_parallel(void) {
  network right;
  network_start(&right, NULL);
  CHECK_EQUAL(pp_run(right.r.instance, 0, 0, NULL), PP_OK);
  for (int one_pool = 0; one_pool < 2; one_pool++) {
    static worker w[3];
    pp_pool *pools[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
      pools[i] = one_pool && i ? pools[0] : pp_pool_create(2);
      memset(&w[i], 0, sizeof w[i]);
      rig_share(&w[i].n.r, &right.r, pools[i]);
      network_bind(&w[i].n);
      w[i].right = &right;
    }
    for (int i = 0; i < 3; i++) CHECK_EQUAL(pthread_create(&threads[i], NULL, run_often, &w[i]), 0);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 3; i++) {
      CHECK(w[i].good);
      network_free(&w[i].n);
      if (i == 0 || !one_pool) pp_pool_destroy(pools[i]);
    }
  }
  network_free(&right);
}

/* An observer that runs another instance on the same pool: no deadlock, the inner run is alone. */
static void run_inner(void *user, const pp_observation *seen) {
  (void)seen;
  network *inner = user;
  CHECK_EQUAL(pp_run(inner->r.instance, 0, 0, NULL), PP_OK);
}

static void test_a_run_inside_a_run(void) {
  pp_pool *pool = pp_pool_create(2);
  network outer, inner;
  network_start(&outer, pool);
  network_start(&inner, pool);
  pp_observe(outer.r.instance, run_inner, &inner);
  CHECK_EQUAL(pp_run(outer.r.instance, 0, 0, NULL), PP_OK);
  CHECK(same(&outer, &inner));
  network_free(&outer);
  network_free(&inner);
  pp_pool_destroy(pool);
}

static void test_pools(void) {
  pp_pool *pool = pp_pool_create(0);
  CHECK(pool && pool->threads >= 1 && pool->run && pool->now && pool->wait && pool->wake);
  int64_t before = pool->now(), after = pool->now();
  CHECK(after >= before && before > 0);
  pp_pool_destroy(pool);
  pp_pool_destroy(NULL);
  for (int i = 0; i < 50; i++) pp_pool_destroy(pp_pool_create(3)); /* threads that never had work */
  setenv("PAPPUS_ISA", "abacus", 1);
  CHECK(pp_pool_create(1) == NULL);
  setenv("PAPPUS_ISA", "reference", 1);
  pool = pp_pool_create(1);
  CHECK(pool && pool->isa == 1);
  pp_pool_destroy(pool);
  unsetenv("PAPPUS_ISA");
}

int main(void) {
  test_any_number_of_threads();
  test_own_pool();
  test_cancel_from_another_thread();
  test_a_failure_makes_all_leave();
  test_instances_in_parallel();
  test_a_run_inside_a_run();
  test_pools();
  return tests_result();
}
