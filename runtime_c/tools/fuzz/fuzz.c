/* Runs mutants of .pap files through the whole runtime; built with sanitizers, which report what goes wrong.
 *
 *     fuzz run FIRST LAST SEED STATS FILE...     mutants FIRST..LAST-1, counting in the file STATS
 *     fuzz write NUMBER SEED OUT FILE...         only write mutant NUMBER
 *
 * Every block of memory handed to the runtime has exactly the size it asked for, so that the address sanitizer sees an
 * access one byte outside. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include <signal.h>

#include "../../src/internal.h"
#include "mutate.h"

#define MEMORY_LIMIT ((uint64_t)64 << 20)
#define WORK_LIMIT ((uint64_t)1 << 21)
#define SECONDS 10 /* of one mutant */
#define BINDS 3    /* sets of sizes tried for each method */

/* Shared with run.py through a file, so that it survives a crash: all uint64. */
typedef struct stats {
  uint64_t current, mutants, opened, bound, run, too_large, refused_open, refused_create, refused_bind, refused_run;
} stats;

typedef struct trial {
  rng r;
  stats *s;
  bool bound, run, large, refused_run, refused_create;
} trial;

static stats *shared;

static void on_alarm(int number) {
  (void)number;
  static const char text[] = "FUZZ: hang: a mutant took too long\n";
  if (write(2, text, sizeof text - 1) < 0) _exit(4);
  abort(); /* so that a debugger or the log shows where */
}

static void watch(int seconds) {
  struct itimerval timer = {{0, 0}, {seconds, 0}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

/* Exactly `size` bytes at a multiple of 64. */
static void *block(uint64_t size) {
  void *p = NULL;
  if (posix_memalign(&p, 64, (size_t)size)) exit(5);
  return p;
}

static void speak(const pp_program *p, const pp_error *error) {
  char text[200];
  size_t n = pp_error_message(p, error, text, sizeof text), whole = n < sizeof text ? n : sizeof text - 1;
  if (error->rule == 0 || strlen(text) != whole) {
    fprintf(stderr, "FUZZ: message: rule %u, status %d: %s\n", error->rule, (int)error->status, text);
    abort();
  }
}

/* -- hostile inputs ---------------------------------------------------------------------------------------------- */

static void fill(rng *r, uint8_t *data, uint64_t count, uint32_t dtype) {
  static const float odd[] = {0, -0.0f, 1, -1, 1e-45f, 3e38f, -3e38f, 1e10f, 2147483648.0f, 9.3e18f};
  int size = pp_dtype_size(dtype);
  bool real = dtype == PP_DTYPE_F32 || dtype == PP_DTYPE_F64;
  uint64_t mode = rng_below(r, 5);
  for (uint64_t i = 0; i < count; i++) {
    uint64_t v = rng_next(r);
    if (real && mode < 4) {
      double x = (double)(int64_t)v * 0x1p-62;
      if (mode == 3 && v % 4 == 0) x = (double)odd[v / 4 % (sizeof odd / sizeof *odd)];
      float f = (float)x;
      if (dtype == PP_DTYPE_F32) memcpy(&v, &f, 4);
      else memcpy(&v, &x, 8);
    } else if (!real && mode < 3) {
      v = mode ? v % 4 : 0; /* indices that are mostly legal */
    } else if (!real && mode == 3) {
      v = v % 9 - 4;
    } else if (v % 4 == 0) {
      v = near_number(r, v); /* otherwise any bits: NaNs, infinities, booleans of 255 */
    }
    memcpy(data + i * (uint64_t)size, &v, (size_t)size);
  }
}

/* -- one method ---------------------------------------------------------------------------------------------------- */

static void observe(void *user, const pp_observation *seen) {
  const pp_instance *instance = user;
  static volatile uint8_t sink;
  for (uint32_t i = 0; i < seen->results; i++) {
    pp_tensor t;
    int64_t strides[8], index[8] = {0};
    if (pp_observed_result(instance, seen->method, seen->instruction, i, &t, strides) != PP_OK) abort();
    uint64_t count = 1;
    for (uint32_t d = 0; d < t.rank; d++) count *= (uint64_t)t.shape[d];
    for (uint64_t k = 0; k < count && k < 4096; k++) { /* the first and the last ones */
      int64_t at = 0;
      for (uint32_t d = 0; d < t.rank; d++) at += (k % 2 ? t.shape[d] - 1 - index[d] : index[d]) * strides[d];
      sink ^= ((const uint8_t *)t.data)[at * pp_dtype_size(t.dtype)];
      for (uint32_t d = t.rank; k % 2 && d-- > 0;)
        if (++index[d] < t.shape[d]) break;
        else index[d] = 0;
    }
  }
  if (strlen(seen->kernel) == 0) abort();
}

/* Sizes for the symbols: small ones, the smallest, the largest; then the shapes that follow. False if none fit. */
static bool choose_sizes(trial *t, const pp_program *p, const pp_method *m, int attempt, pp_tensor *inputs) {
  pp_reader reader = pp_program_reader(p);
  int64_t *symbols = calloc(m->symbols.count + 1, 8), *values = calloc(m->exprs.count + 1, 8);
  for (uint32_t i = 0; i < m->symbols.count; i++) {
    pp_symbol s;
    pp_symbol_read(&reader, m, i, &s);
    int64_t least = s.min / s.multiple_of * s.multiple_of;
    if (least < s.min && least <= INT64_MAX - s.multiple_of) least += s.multiple_of;
    int64_t more = (int64_t)rng_below(&t->r, 6);
    symbols[i] = attempt == 1 || more > (INT64_MAX - least) / s.multiple_of ? least : least + more * s.multiple_of;
    if (attempt == 2 && s.max < 100) symbols[i] = s.max;
  }
  pp_error error;
  bool good = pp_expr_evaluate(m, symbols, values, &error) == PP_OK;
  double bytes = 0;
  for (uint32_t i = 0; i < m->inputs.count && good; i++) {
    const char *name;
    pp_value v = pp_value_at(m, pp_port_read(&reader, m->inputs, i, &name));
    inputs[i] = (pp_tensor){.dtype = v.dtype, .rank = v.rank};
    double size = pp_dtype_size(v.dtype);
    for (uint32_t d = 0; d < v.rank; d++) {
      inputs[i].shape[d] = values[pp_pool_at(m, v.dims + d)];
      size *= (double)inputs[i].shape[d];
    }
    bytes += size;
  }
  free(symbols);
  free(values);
  if (good && bytes > (double)(MEMORY_LIMIT / 16)) t->large = true, good = false;
  return good;
}

static uint64_t elements(const pp_tensor *t) {
  uint64_t n = 1;
  for (uint32_t d = 0; d < t->rank; d++) n *= (uint64_t)t->shape[d];
  return n;
}

static bool too_much(const pp_bound *b) {
  uint64_t work = 0;
  for (uint32_t i = 0; i < b->m.instructions.count; i++) {
    work += pp_step_work(&b->steps[i]);
    for (uint32_t k = 0; k < b->steps[i].n_results; k++) { /* of empty products as well */
      double n = 1;
      for (int d = 0; d < b->steps[i].results[k].rank; d++) n *= (double)b->steps[i].results[k].shape[d];
      if (n > (double)WORK_LIMIT) return true;
    }
    if (work > WORK_LIMIT) return true;
  }
  return false;
}

static void run_bound(trial *t, const pp_program *p, pp_instance *instance, uint32_t method, pp_tensor *inputs,
                      void *arena) {
  const pp_method *m = &instance->methods[method].m;
  uint32_t ins = m->inputs.count, outs = m->outputs.count;
  void **held = calloc(ins + outs + 1, sizeof *held);
  pp_error error;
  bool ready = true;
  for (uint32_t i = 0; i < ins; i++) {
    uint64_t n = elements(&inputs[i]);
    held[i] = malloc((size_t)(n * (uint64_t)pp_dtype_size(inputs[i].dtype)));
    fill(&t->r, held[i], n, inputs[i].dtype);
    ready &= pp_bind_input(instance, method, i, held[i]) == PP_OK;
  }
  for (uint32_t i = 0; i < outs && ready; i++) {
    pp_tensor out;
    ready &= pp_output_shape(instance, method, i, &out) == PP_OK;
    double size = pp_dtype_size(out.dtype);
    for (uint32_t d = 0; d < out.rank; d++) size *= (double)out.shape[d];
    if (size > (double)(MEMORY_LIMIT / 4)) t->large = true, ready = false;
    if (!ready) break;
    held[ins + i] = malloc((size_t)size);
    ready &= pp_bind_output(instance, method, i, held[ins + i]) == PP_OK;
  }
  if (ready && pp_bind_arena(instance, method, arena, instance->methods[method].arena_bytes) != PP_OK) abort();
  pp_observe(instance, rng_below(&t->r, 4) == 0 ? observe : NULL, instance);
  for (uint64_t times = ready ? 1 + rng_below(&t->r, 2) : 0; times; times--) {
    pp_status status = pp_run(instance, method, (uint32_t)rng_below(&t->r, 3), &error);
    if (status == PP_ERR_STATE) pp_state_reset(instance, (int)rng_below(&t->r, 2));
    else if (status == PP_OK || status == PP_ERR_INDEX || status == PP_ERR_DIVISOR || status == PP_ERR_POSITION) t->run = true;
    else t->refused_run = true;
    if (status != PP_OK) speak(p, &error);
  }
  for (uint32_t i = 0; i < ins + outs; i++) free(held[i]);
  free(held);
}

static void try_method(trial *t, const pp_program *p, pp_instance *instance, uint32_t method) {
  const pp_bound *b = &instance->methods[method];
  pp_tensor *inputs = calloc(b->m.inputs.count + 1, sizeof *inputs);
  for (int attempt = 0; attempt < BINDS; attempt++) {
    if (!choose_sizes(t, p, &b->m, attempt, inputs)) continue;
    uint64_t arena_bytes = 0;
    pp_error error;
    if (pp_bind_sizes(instance, method, inputs, b->m.inputs.count, &arena_bytes, &error) != PP_OK) {
      speak(p, &error);
      continue;
    }
    t->bound = true;
    if (arena_bytes > MEMORY_LIMIT || too_much(b)) {
      t->large = true;
      continue;
    }
    void *arena = block(arena_bytes);
    run_bound(t, p, instance, method, inputs, arena);
    free(arena);
  }
  free(inputs);
}

/* -- one mutant ---------------------------------------------------------------------------------------------------- */

static void ask_everything(const pp_program *p) {
  pp_port port;
  pp_symbol symbol;
  pp_method_info info;
  const char *names[3];
  for (uint32_t m = 0; m < pp_method_count(p); m++) {
    if (pp_method_get(p, m, &info) != PP_OK || strlen(info.name) > 1u << 20) abort();
    for (uint32_t i = 0; i <= info.inputs; i++)
      if (pp_input_get(p, m, i, &port) == PP_OK && strlen(port.name) > 1u << 20) abort();
    for (uint32_t i = 0; i <= info.outputs; i++)
      if (pp_output_get(p, m, i, &port) == PP_OK && strlen(port.name) > 1u << 20) abort();
    for (uint32_t i = 0; i <= info.symbols; i++)
      if (pp_symbol_get(p, m, i, &symbol) == PP_OK && strlen(symbol.name) > 1u << 20) abort();
    for (uint32_t i = 0; i <= info.instructions && i < 64; i++) {
      pp_debug_get(p, m, i, &names[0], &names[1], &names[2]);
      for (int k = 0; k < 3; k++)
        if (strlen(names[k]) > 1u << 20) abort();
    }
  }
  for (uint32_t i = 0; i <= pp_state_count(p); i++)
    if (pp_state_get(p, i, &port) == PP_OK && strlen(port.name) > 1u << 20) abort();
}

static void try_mutant(trial *t, const uint8_t *file, uint64_t size, pp_pool *threads) {
  stats *s = t->s;
  void *memory = block(pp_program_memory());
  const pp_program *p = NULL;
  pp_error error;
  uint32_t flags = rng_below(&t->r, 8) ? 0 : PP_OPEN_VERIFY_DATA;
  pp_status status = pp_program_open(file, size, flags, memory, pp_program_memory(), &p, &error);
  if (status != PP_OK) {
    s->refused_open++;
    speak(NULL, &error);
    free(memory);
    return;
  }
  s->opened++;
  ask_everything(p);
  /* Reference kernels, then wider ones; on the caller alone or with a second thread. */
  static const uint32_t masks[] = {1, 3, 7, 0};
  pp_pool pool = rng_below(&t->r, 4) ? (pp_pool){.threads = 1} : *threads;
  pool.isa = masks[rng_below(&t->r, 4)];
  uint64_t bytes = 0;
  pp_instance *instance = NULL;
  if (pp_instance_memory(p, &bytes, &error) != PP_OK) {
    s->refused_create++;
    speak(p, &error);
  } else if (bytes > MEMORY_LIMIT) {
    t->large = true;
  } else {
    void *own = block(bytes);
    if (pp_instance_create(p, &pool, own, bytes, &instance, &error) != PP_OK) {
      s->refused_create++;
      t->refused_create = true;
      speak(p, &error);
    } else {
      for (uint32_t m = 0; m < pp_method_count(p) && m < 8; m++) try_method(t, p, instance, m);
      if (!t->bound && !t->large) s->refused_bind++;
    }
    free(own);
  }
  s->bound += t->bound;
  s->run += t->run;
  s->too_large += t->large && !t->run;
  s->refused_run += t->refused_run && !t->run;
  free(memory);
}

typedef struct seed {
  uint8_t *file;
  uint64_t size;
} seed;

static seed read_seed(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f || fseek(f, 0, SEEK_END)) exit(2);
  seed s = {NULL, (uint64_t)ftell(f)};
  rewind(f);
  s.file = block(s.size);
  if (fread(s.file, 1, s.size, f) != s.size) exit(2);
  fclose(f);
  return s;
}

/* Mutant `number`: a new block, so that reading past its end is seen. */
static uint8_t *make_mutant(uint64_t number, uint64_t base, const seed *seeds, int n, rng *r, uint64_t *size) {
  *r = (rng){base * 0x2545f4914f6cdd1du + number};
  const seed *from = &seeds[rng_below(r, (uint64_t)n)];
  uint8_t *file = block(from->size);
  memcpy(file, from->file, from->size);
  mutate(r, file, from->size);
  *size = from->size;
  return file;
}

int main(int argc, char **argv) {
  bool writing = argc > 1 && strcmp(argv[1], "write") == 0;
  int first_seed = writing ? 5 : 6, n = argc - first_seed;
  if (n < 1) return fprintf(stderr, "usage: fuzz run FIRST LAST SEED STATS FILE... | write NUMBER SEED OUT FILE...\n"), 2;
  seed *seeds = calloc((size_t)n, sizeof *seeds);
  for (int i = 0; i < n; i++) seeds[i] = read_seed(argv[first_seed + i]);
  uint64_t size, first = strtoull(argv[2], NULL, 10);
  if (writing) {
    rng r;
    uint8_t *file = make_mutant(first, strtoull(argv[3], NULL, 10), seeds, n, &r, &size);
    FILE *f = fopen(argv[4], "wb");
    return !f || fwrite(file, 1, size, f) != size || fclose(f);
  }
  uint64_t last = strtoull(argv[3], NULL, 10), base = strtoull(argv[4], NULL, 10);
  int fd = open(argv[5], O_RDWR | O_CREAT, 0644);
  if (fd < 0 || ftruncate(fd, sizeof(stats))) return 2;
  shared = mmap(NULL, sizeof(stats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared == MAP_FAILED) return 2;
  pp_pool *threads = pp_pool_create(2);
  signal(SIGALRM, on_alarm);
  for (uint64_t i = first; i < last; i++) {
    shared->current = i;
    watch(SECONDS);
    trial t = {.s = shared};
    uint8_t *file = make_mutant(i, base, seeds, n, &t.r, &size);
    try_mutant(&t, file, size, threads);
    free(file);
    shared->mutants++;
  }
  watch(0);
  shared->current = last;
  pp_pool_destroy(threads);
  return 0;
}
