/* Running: every thread walks the same list and takes its fixed share of each instruction's tasks; threads meet at
 * the barriers between epochs. The barrier carries the verdict, so one failure or a cancel makes all leave. */
#include "internal.h"

#define SLAB_HEADER 64u
#define SPINS 2000 /* polls of a barrier before a thread asks the pool to put it to sleep */

typedef struct pp_run_context {
  pp_instance *instance;
  pp_bound *b;
  uint32_t method;
  uint32_t arrived, phase, failed; /* shared, only through __atomic */
  uint32_t stop;                   /* written by the last to arrive, read after the barrier */
  int64_t started;                 /* of the observed instruction */
} pp_run_context;

#if defined(__x86_64__) || defined(__i386__)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() ((void)0)
#endif

static uint32_t verdict(pp_run_context *run) {
  return __atomic_load_n(&run->failed, __ATOMIC_RELAXED) |
         __atomic_load_n(&run->instance->cancelled, __ATOMIC_RELAXED);
}

/* Wait for all threads; false when the run is over for everybody. */
static bool meet(pp_run_context *run, uint32_t n) {
  const pp_pool *pool = &run->instance->pool;
  if (n == 1) return !verdict(run);
  uint32_t seen = __atomic_load_n(&run->phase, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(&run->arrived, 1, __ATOMIC_ACQ_REL) == n) {
    __atomic_store_n(&run->arrived, 0, __ATOMIC_RELAXED);
    run->stop = verdict(run);
    __atomic_store_n(&run->phase, seen + 1, __ATOMIC_SEQ_CST);
    if (pool->wake) pool->wake(pool->self, &run->phase);
  } else {
    int spins = 0;
    while (__atomic_load_n(&run->phase, __ATOMIC_ACQUIRE) == seen) {
      if (spins++ < SPINS || !pool->wait) RELAX();
      else pool->wait(pool->self, &run->phase, seen);
    }
  }
  return !run->stop;
}

static uint8_t *slab(const pp_bound *b, uint32_t t) {
  return b->arena + b->plan_bytes + (size_t)t * (SLAB_HEADER + b->scratch_bytes);
}

static void run_share(pp_run_context *run, uint32_t i, uint32_t t, uint32_t n) {
  const pp_step *s = &run->b->steps[i];
  /* Short instructions of one epoch start at different threads, so that they run side by side. */
  uint32_t rank = (t + i) % n;
  int64_t share = s->tasks / n, rest = s->tasks % n;
  int64_t first = share * rank + (rank < rest ? rank : rest);
  int64_t last = first + share + (rank < rest);
  if (first == last) return;
  uint8_t *own = slab(run->b, t);
  pp_error *error = (pp_error *)(void *)own;
  pp_status status = s->kernel->run(s, first, last, own + SLAB_HEADER, error);
  if (status == PP_OK) return;
  error->status = status;
  error->method = run->method;
  error->instruction = i;
  error->value = rank; /* to find the first failure whatever the number of threads; cleared before it is reported */
  __atomic_store_n(&run->failed, 1, __ATOMIC_RELAXED);
}

static void walk(void *context, uint32_t t, uint32_t n) {
  pp_run_context *run = context;
  pp_instance *instance = run->instance;
  const pp_method *m = &run->b->m;
  bool observed = instance->observer != NULL;
  const pp_error *error = (const pp_error *)(const void *)slab(run->b, t);
  for (uint32_t i = 0; i < m->instructions.count; i++) {
    bool barrier = m->instructions.at[(size_t)i * PP_SIZE_INSTRUCTION + PP_OFF_INSTRUCTION_BARRIER];
    if ((observed || barrier) && !meet(run, n)) return;
    if (observed && t == 0) run->started = instance->pool.now ? instance->pool.now() : 0;
    if (error->status == PP_OK) run_share(run, i, t, n);
    if (!observed) continue;
    if (!meet(run, n)) return;
    if (t != 0) continue;
    int64_t now = instance->pool.now ? instance->pool.now() : 0;
    pp_observation seen = {run->method, i, run->b->steps[i].n_results, now - run->started, run->b->steps[i].kernel->name};
    instance->observer(instance->observer_user, &seen);
  }
}

/* Pointers of all views, once everything is bound. */
static bool resolve(pp_bound *b) {
  if (b->resolved) return true;
  if (!b->sized || !b->arena) return false;
  for (uint32_t i = 0; i < b->m.buffers.count; i++) {
    if (pp_buffer_at(&b->m, i).storage == PP_STORAGE_ARENA) b->buffer_base[i] = b->arena + b->buffer_offset[i];
    if (!b->buffer_base[i] && b->buffer_bytes[i]) return false;
  }
  for (uint32_t i = 0; i < b->m.instructions.count; i++) {
    const pp_step *s = &b->steps[i];
    uint32_t n = (uint32_t)s->n_args + s->n_results + s->n_program_args;
    for (uint32_t k = 0; k < n; k++) {
      pp_view *v = &s->args[k];
      if (v->dtype == PP_DTYPE_NONE) continue;
      uint8_t *base = b->buffer_base[v->buffer];
      v->data = v->offset ? base + (size_t)v->offset * (size_t)pp_dtype_size(v->dtype) : base;
    }
  }
  return b->resolved = true;
}

/* The failure that one thread alone would have met: lowest instruction, then lowest share of its tasks. */
static pp_status collect(const pp_run_context *run, uint32_t threads, pp_error *error) {
  const pp_error *first = NULL;
  for (uint32_t t = 0; t < threads; t++) {
    const pp_error *e = (const pp_error *)(const void *)slab(run->b, t);
    if (e->status == PP_OK) continue;
    if (!first || e->instruction < first->instruction ||
        (e->instruction == first->instruction && e->value < first->value))
      first = e;
  }
  if (!first) return pp_refuse(error, PP_RULE_CANCELLED, 0, 0);
  *error = *first;
  error->value = PP_NONE;
  error->rule = first->status == PP_ERR_INDEX     ? PP_RULE_INDEX
                : first->status == PP_ERR_DIVISOR ? PP_RULE_DIVISOR
                                                  : PP_RULE_POSITION;
  return error->status;
}

pp_status pp_run(pp_instance *instance, uint32_t method, uint32_t threads, pp_error *error) {
  pp_error local;
  if (!error) error = &local;
  pp_error_clear(error);
  if (!instance || method >= instance->n_methods) return pp_refuse(error, PP_RULE_ARGUMENT, 0, 0);
  pp_bound *b = &instance->methods[method];
  error->method = method;
  if (!resolve(b)) return pp_refuse(error, PP_RULE_NOT_BOUND, 0, 0);
  if (instance->dirty) return pp_refuse(error, PP_RULE_STATE_DIRTY, 0, 0);
  pp_run_context run = {.instance = instance, .b = b, .method = method};
  if (threads == 0 || threads > b->useful_threads) threads = b->useful_threads;
  for (uint32_t t = 0; t < threads; t++) pp_error_clear((pp_error *)(void *)slab(b, t));
  __atomic_store_n(&instance->cancelled, 0, __ATOMIC_RELAXED);
  if (b->writes_state) instance->dirty = 1;
  if (threads == 1) walk(&run, 0, 1);
  else instance->pool.run(instance->pool.self, walk, &run, threads);
  if (verdict(&run)) return collect(&run, threads, error);
  instance->dirty = 0;
  error->method = PP_NONE;
  return PP_OK;
}

void pp_cancel(pp_instance *instance) {
  if (instance) __atomic_store_n(&instance->cancelled, 1, __ATOMIC_RELAXED);
}

void pp_observe(pp_instance *instance, pp_observer observer, void *user) {
  if (!instance) return;
  instance->observer = observer;
  instance->observer_user = user;
}

pp_status pp_observed_result(const pp_instance *instance, uint32_t method, uint32_t instruction, uint32_t i,
                             pp_tensor *tensor, int64_t *strides) {
  if (!instance || !tensor || !strides || method >= instance->n_methods) return PP_ERR_ARGUMENT;
  const pp_bound *b = &instance->methods[method];
  if (!b->resolved || instruction >= b->m.instructions.count || i >= b->steps[instruction].n_results)
    return PP_ERR_ARGUMENT;
  const pp_view *v = &b->steps[instruction].results[i];
  *tensor = (pp_tensor){.data = v->data, .dtype = v->dtype, .rank = v->rank};
  memcpy(tensor->shape, v->shape, sizeof v->shape);
  memcpy(strides, v->stride, sizeof v->stride);
  return PP_OK;
}

uint64_t pp_step_work(const pp_step *s) {
  const uint64_t limit = (uint64_t)1 << 40;
  double work = 1; /* an estimate: doubles saturate instead of wrapping */
  const pp_view *shape = &s->results[0], *w = &s->args[1];
  if (s->family == PP_FAMILY_REDUCE || s->family == PP_FAMILY_NORM || s->family == PP_FAMILY_SOFTMAX ||
      s->family == PP_FAMILY_UPDATE)
    shape = &s->args[0];
  for (int d = 0; d < shape->rank; d++) work *= (double)shape->shape[d];
  if (s->family == PP_FAMILY_GEMM) work *= (double)s->args[0].shape[s->args[0].rank - 1];
  if (s->family == PP_FAMILY_CONV2D) work *= (double)w->shape[1] * (double)w->shape[2] * (double)w->shape[3];
  if (s->family == PP_FAMILY_POOL2D) work *= (double)s->attrs[1] * (double)s->attrs[2];
  if (s->family == PP_FAMILY_POINTWISE) work *= s->program.count;
  return work < (double)limit ? (uint64_t)work : limit;
}
