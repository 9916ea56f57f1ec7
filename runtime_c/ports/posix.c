/* The port for POSIX systems: a thread pool, a clock, and the environment.
 *
 * A pool starts its threads once. A job is announced by one atomic word that holds a generation and the number of
 * threads that take part, so a thread that does not take part never looks at the job, and one that does keeps the
 * job's fields alive until it has finished. Waiting spins for a bounded time and then sleeps. */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#elif defined(__APPLE__)
#define _DARWIN_C_SOURCE /* _SC_NPROCESSORS_ONLN */
#else
#define _POSIX_C_SOURCE 200809L
#endif

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../kernels/kernel.h"

enum { MAX_THREADS = 256, SPINS = 4000, CACHE_LINE = 64, COUNT_BITS = 16 };

typedef struct posix_pool {
  pp_pool api; /* first: a pp_pool * is a posix_pool * */
  pthread_mutex_t mutex;
  pthread_cond_t work, done, barrier;
  pid_t owner;
  bool stop; /* guarded by `word`'s release */
  void (*body)(void *context, uint32_t t, uint32_t n);
  void *context;
  _Alignas(CACHE_LINE) _Atomic uint64_t word; /* generation << COUNT_BITS | threads that take part */
  _Alignas(CACHE_LINE) _Atomic uint32_t remaining;
  _Atomic uint32_t sleeping; /* threads that wait for `work` */
  _Atomic uint32_t waiting;  /* 1 while the caller sleeps on `done` */
  _Atomic uint32_t busy;
  _Atomic uint32_t at_barrier; /* threads that sleep in pool_wait */
  struct posix_worker { struct posix_pool *pool; uint32_t number; pthread_t thread; } workers[];
} posix_pool;

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static uint64_t wait_for_work(posix_pool *p, uint64_t seen) {
  uint64_t word;
  for (int i = 0; i < SPINS; i++) {
    word = atomic_load_explicit(&p->word, memory_order_acquire);
    if (word != seen) return word;
    relax();
  }
  pthread_mutex_lock(&p->mutex);
  atomic_fetch_add(&p->sleeping, 1); /* before looking at the word again: announce() looks the other way round */
  while ((word = atomic_load(&p->word)) == seen) pthread_cond_wait(&p->work, &p->mutex);
  atomic_fetch_sub(&p->sleeping, 1);
  pthread_mutex_unlock(&p->mutex);
  return word;
}

static void announce(posix_pool *p, uint32_t n) {
  uint64_t word = atomic_load_explicit(&p->word, memory_order_relaxed);
  atomic_store(&p->word, ((word >> COUNT_BITS) + 1) << COUNT_BITS | n);
  if (atomic_load(&p->sleeping) == 0) return;
  pthread_mutex_lock(&p->mutex);
  pthread_cond_broadcast(&p->work);
  pthread_mutex_unlock(&p->mutex);
}

static void *work(void *argument) {
  struct posix_worker *me = argument;
  posix_pool *p = me->pool;
  uint64_t seen = 0;
  for (;;) {
    seen = wait_for_work(p, seen);
    uint32_t n = (uint32_t)(seen & ((1u << COUNT_BITS) - 1));
    if (me->number >= n) continue;
    if (p->stop) return NULL;
    p->body(p->context, me->number, n);
    if (atomic_fetch_sub(&p->remaining, 1) == 1 && atomic_load(&p->waiting)) {
      pthread_mutex_lock(&p->mutex);
      pthread_cond_signal(&p->done);
      pthread_mutex_unlock(&p->mutex);
    }
  }
}

static void wait_for_done(posix_pool *p) {
  for (int i = 0; i < SPINS; i++) {
    if (atomic_load_explicit(&p->remaining, memory_order_acquire) == 0) return;
    relax();
  }
  pthread_mutex_lock(&p->mutex);
  atomic_store(&p->waiting, 1);
  while (atomic_load(&p->remaining) != 0) pthread_cond_wait(&p->done, &p->mutex);
  atomic_store(&p->waiting, 0);
  pthread_mutex_unlock(&p->mutex);
}

static void pool_run(void *self, void (*body)(void *, uint32_t, uint32_t), void *context, uint32_t n) {
  posix_pool *p = self;
  if (n > p->api.threads) n = p->api.threads;
  /* Alone when there is nobody to share with: one thread asked for, another caller holds the pool (no queueing, and no
   * deadlock when a body runs another program), or this process is a fork, which has none of the threads. */
  if (n <= 1 || getpid() != p->owner || atomic_exchange(&p->busy, 1)) {
    body(context, 0, 1);
    return;
  }
  p->body = body;
  p->context = context;
  atomic_store(&p->remaining, n - 1);
  announce(p, n);
  body(context, 0, n);
  wait_for_done(p);
  atomic_store(&p->busy, 0);
}

/* Barriers of the core. A sleeper counts itself before it looks at the word; a waker changes the word before it looks
 * at the count: one of them sees the other. */
static void pool_wait(void *self, uint32_t *word, uint32_t seen) {
  posix_pool *p = self;
  pthread_mutex_lock(&p->mutex);
  atomic_fetch_add(&p->at_barrier, 1);
  while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == seen) pthread_cond_wait(&p->barrier, &p->mutex);
  atomic_fetch_sub(&p->at_barrier, 1);
  pthread_mutex_unlock(&p->mutex);
}

static void pool_wake(void *self, uint32_t *word) {
  posix_pool *p = self;
  (void)word; /* a pool has one run at a time, so one barrier */
  if (atomic_load(&p->at_barrier) == 0) return;
  pthread_mutex_lock(&p->mutex);
  pthread_cond_broadcast(&p->barrier);
  pthread_mutex_unlock(&p->mutex);
}

static int64_t pool_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* CPUs this process may use: containers and taskset narrow them. */
static uint32_t cpu_count(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return (uint32_t)CPU_COUNT(&set);
#endif
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n < 1 ? 1 : (uint32_t)n;
}

pp_pool *pp_pool_create(uint32_t threads) {
  const char *limit = getenv("PAPPUS_ISA");
  uint32_t isa = limit && *limit ? pp_isa_parse(limit) : UINT32_MAX;
  if (isa == 0) return NULL;
  if (threads == 0) threads = cpu_count();
  if (threads > MAX_THREADS) threads = MAX_THREADS;
  size_t size = sizeof(posix_pool) + threads * sizeof(struct posix_worker);
  posix_pool *p = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
  if (!p) return NULL;
  *p = (posix_pool){.owner = getpid()};
  p->api = (pp_pool){.self = p, .run = pool_run, .now = pool_now, .isa = isa, .wait = pool_wait, .wake = pool_wake};
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->work, NULL);
  pthread_cond_init(&p->done, NULL);
  pthread_cond_init(&p->barrier, NULL);
  uint32_t n = 1; /* the caller */
  for (; n < threads; n++) {
    p->workers[n] = (struct posix_worker){.pool = p, .number = n};
    if (pthread_create(&p->workers[n].thread, NULL, work, &p->workers[n]) != 0) break; /* fewer threads also work */
  }
  p->api.threads = n;
  return &p->api;
}

void pp_pool_destroy(pp_pool *pool) {
  posix_pool *p = (posix_pool *)pool;
  if (!p) return;
  if (getpid() == p->owner) {
    p->stop = true;
    announce(p, p->api.threads);
    for (uint32_t i = 1; i < p->api.threads; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->barrier);
  }
  free(p);
}
