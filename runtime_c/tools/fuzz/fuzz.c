/* Opens, binds and runs mutants of .pap files; built with address and undefined behaviour sanitizers, which end the
 * process at a finding. Everything a mutant gets is allocated at its exact size.
 *
 *   pappus-fuzz RUN PROGRESS SEED FIRST COUNT SECONDS FILE...   run mutants FIRST..FIRST+COUNT-1 (SECONDS 0: no limit)
 *   pappus-fuzz DUMP OUT SEED NUMBER FILE...                    write one mutant to OUT
 *
 * PROGRESS holds the number of the mutant at work, to find it after a crash. A mutant that takes longer than 20 s is
 * killed by SIGALRM, also a finding. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "mutate.h"
#include "../../src/internal.h"

#define MAX_BYTES ((uint64_t)64 << 20)
#define MAX_WORK 4e6 /* element operations of one run */
#define MAX_INSTANCE ((uint64_t)16 << 20)
#define HANG_SECONDS 20

typedef struct counts {
  unsigned long mutants, opened, bound, ran, limited, failed_run, rules[1000];
} counts;

typedef struct file { uint8_t *bytes; size_t size; } file;

static void *exact(uint64_t size, size_t alignment) {
  void *p = NULL;
  if (posix_memalign(&p, alignment, size ? (size_t)size : 1) != 0) exit(3);
  return p;
}

static void fill(fuzz_random *r, uint8_t *at, uint64_t bytes, uint32_t dtype, int64_t small) {
  int item = pp_dtype_size(dtype);
  for (uint64_t i = 0; i < bytes; i += (uint64_t)item) {
    uint64_t v = fuzz_below(r, (uint64_t)small);
    if (dtype == PP_DTYPE_BOOL) v &= 1;
    if (fuzz_below(r, 64) == 0 && dtype != PP_DTYPE_BOOL) v = fuzz_next(r);
    else if (dtype == PP_DTYPE_F32) {
      float x = (float)(int64_t)(v * 3) / 7 - 1;
      memcpy(&v, &x, 4);
    } else if (dtype == PP_DTYPE_F64) {
      double x = (double)v / 7 - 1;
      memcpy(&v, &x, 8);
    }
    memcpy(at + i, &v, (size_t)item);
  }
}

/* Input shapes for random symbols in their range, small ones rather; false if the method has impossible ones. */
static bool choose_sizes(fuzz_random *r, const pp_program *p, const pp_bound *b, pp_tensor *inputs) {
  pp_reader reader = pp_program_reader(p);
  pp_error error;
  for (uint32_t i = 0; i < b->m.symbols.count; i++) {
    pp_symbol s;
    pp_symbol_read(&reader, &b->m, i, &s);
    int64_t span = s.max - s.min < 12 ? s.max - s.min : fuzz_below(r, 8) ? 12 : 100;
    if (span > s.max - s.min) span = s.max - s.min;
    int64_t v = s.min + (int64_t)fuzz_below(r, (uint64_t)span + 1);
    if (fuzz_below(r, 16)) v -= v % s.multiple_of;
    b->symbols[i] = v;
  }
  pp_error_clear(&error);
  if (pp_expr_evaluate(&b->m, b->symbols, b->exprs, &error) != PP_OK) return true; /* let bind refuse it */
  for (uint32_t i = 0; i < b->m.inputs.count; i++) {
    const char *name;
    pp_value v = pp_value_at(&b->m, pp_port_read(&reader, b->m.inputs, i, &name));
    inputs[i].dtype = v.dtype;
    inputs[i].rank = v.rank;
    for (uint32_t d = 0; d < v.rank; d++) inputs[i].shape[d] = b->exprs[pp_pool_at(&b->m, v.dims + d)];
  }
  return true;
}

static bool affordable(const pp_bound *b, uint64_t arena) {
  double work = 0;
  uint64_t bytes = arena;
  for (uint32_t i = 0; i < b->m.instructions.count; i++) work += (double)pp_step_work(&b->steps[i]) + 100;
  for (uint32_t i = 0; i < b->m.buffers.count; i++) {
    uint8_t storage = pp_buffer_at(&b->m, i).storage;
    if (storage != PP_STORAGE_INPUT && storage != PP_STORAGE_OUTPUT) continue;
    if (b->buffer_bytes[i] > MAX_BYTES) return false;
    bytes += b->buffer_bytes[i];
    work += (double)b->buffer_bytes[i];
  }
  return bytes <= MAX_BYTES && work <= MAX_WORK;
}

/* Runs with everything in exact memory. Returns false when a limit stopped it. */
static bool run_method(fuzz_random *r, pp_instance *instance, uint32_t method, uint64_t arena_bytes, counts *c) {
  pp_bound *b = &instance->methods[method];
  if (!affordable(b, arena_bytes)) {
    c->limited++;
    return false;
  }
  uint32_t n_in = b->m.inputs.count, n_out = b->m.outputs.count;
  uint8_t **memory = calloc(n_in + n_out + 1, sizeof *memory);
  uint8_t *arena = exact(arena_bytes, 64);
  memset(arena, (int)fuzz_below(r, 256), (size_t)arena_bytes);
  pp_bind_arena(instance, method, arena, arena_bytes);
  pp_reader reader = pp_program_reader(instance->program);
  for (uint32_t i = 0; i < n_in + n_out; i++) {
    const char *name;
    bool input = i < n_in;
    pp_value v = pp_value_at(&b->m, pp_port_read(&reader, input ? b->m.inputs : b->m.outputs, input ? i : i - n_in, &name));
    uint64_t bytes = b->buffer_bytes[v.buffer];
    memory[i] = exact(bytes, 8);
    if (input) fill(r, memory[i], bytes, v.dtype, 9);
    if (input) pp_bind_input(instance, method, i, memory[i]);
    else pp_bind_output(instance, method, i - n_in, memory[i]);
  }
  if (fuzz_below(r, 4) == 0) b->useful_threads = instance->pool.threads; /* also for work that does not pay */
  pp_error error;
  for (int repeat = 0; repeat < 2; repeat++) {
    pp_status status = pp_run(instance, method, 0, &error);
    if (status == PP_OK) continue;
    char text[400];
    c->failed_run++;
    pp_error_message(instance->program, &error, text, sizeof text);
    pp_state_reset(instance, (int)fuzz_below(r, 2));
  }
  for (uint32_t i = 0; i < n_in + n_out; i++) free(memory[i]);
  free(memory);
  free(arena);
  return true;
}

static void refuse(counts *c, const pp_program *p, const pp_error *error) {
  char text[400];
  pp_error_message(p, error, text, sizeof text); /* its sentence is read from the hostile file, too */
  c->rules[error->rule < 1000 ? error->rule : 0]++;
}

static void try_one(fuzz_random *r, const uint8_t *bytes, size_t size, const pp_pool *pool, counts *c) {
  void *place = exact(pp_program_memory(), 64), *memory = NULL;
  const pp_program *p;
  pp_instance *instance;
  pp_error error;
  uint64_t needed = 0;
  bool bound = false, ran = false;
  c->mutants++;
  if (pp_program_open(bytes, size, 0, place, pp_program_memory(), &p, &error) != PP_OK) {
    refuse(c, NULL, &error);
    free(place);
    return;
  }
  c->opened++;
  if (pp_instance_memory(p, &needed, &error) != PP_OK || needed > MAX_INSTANCE) {
    c->limited++;
    free(place);
    return;
  }
  memory = exact(needed, 64);
  memset(memory, 0xa5, (size_t)needed);
  if (pp_instance_create(p, pool, memory, needed, &instance, &error) != PP_OK) {
    refuse(c, p, &error);
  } else {
    for (uint32_t i = 0; i < instance->n_methods; i++) {
      pp_tensor *inputs = calloc(instance->methods[i].m.inputs.count + 1u, sizeof *inputs);
      for (int k = 0; k < 2; k++) {
        uint64_t arena = 0;
        choose_sizes(r, p, &instance->methods[i], inputs);
        if (pp_bind_sizes(instance, i, inputs, instance->methods[i].m.inputs.count, &arena, &error) != PP_OK) {
          refuse(c, p, &error);
          continue;
        }
        bound = true;
        ran |= run_method(r, instance, i, arena, c);
      }
      free(inputs);
    }
  }
  c->bound += bound;
  c->ran += ran;
  free(memory);
  free(place);
}

static file read_file(const char *path) {
  FILE *f = fopen(path, "rb");
  file found = {NULL, 0};
  if (!f || fseek(f, 0, SEEK_END) != 0) exit(3);
  found.size = (size_t)ftell(f);
  rewind(f);
  found.bytes = exact(found.size, 64);
  if (fread(found.bytes, 1, found.size, f) != found.size) exit(3);
  fclose(f);
  return found;
}

/* Mutant `number`: its file in fresh exact memory. Every eighth is a seed with other data and sizes only. */
static file make(uint64_t seed, uint64_t number, const file *seeds, int n_seeds, fuzz_random *r) {
  r->state = seed * 0x2545f4914f6cdd1du ^ number << 20;
  fuzz_next(r);
  const file *from = &seeds[number % (uint64_t)n_seeds];
  file made = {exact(from->size, 16), from->size};
  memcpy(made.bytes, from->bytes, from->size);
  if (fuzz_below(r, 8)) fuzz_mutate(r, made.bytes, made.size);
  return made;
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  bool dump = strcmp(argv[1], "DUMP") == 0;
  int at = dump ? 5 : 7, n_seeds = argc - at;
  if (n_seeds < 1) return 2;
  file *seeds = calloc((size_t)n_seeds, sizeof *seeds);
  for (int i = 0; i < n_seeds; i++) seeds[i] = read_file(argv[at + i]);
  uint64_t seed = strtoull(argv[3], NULL, 10), first = strtoull(argv[4], NULL, 10);
  fuzz_random r;
  if (dump) {
    file made = make(seed, first, seeds, n_seeds, &r);
    FILE *f = fopen(argv[2], "wb");
    return f && fwrite(made.bytes, 1, made.size, f) == made.size && fclose(f) == 0 ? 0 : 3;
  }
  uint64_t count = strtoull(argv[5], NULL, 10);
  double seconds = strtod(argv[6], NULL);
  int progress = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (progress < 0 || ftruncate(progress, 8) != 0) return 3;
  volatile uint64_t *current = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, progress, 0);
  pp_pool *pool = pp_pool_create(2);
  counts c = {0};
  time_t start = time(NULL);
  for (uint64_t i = first; i < first + count; i++) {
    if (seconds > 0 && difftime(time(NULL), start) >= seconds) break;
    *current = i;
    alarm(HANG_SECONDS);
    file made = make(seed, i, seeds, n_seeds, &r);
    try_one(&r, made.bytes, made.size, pool, &c);
    free(made.bytes);
  }
  pp_pool_destroy(pool);
  printf("{\"mutants\": %lu, \"opened\": %lu, \"bound\": %lu, \"ran\": %lu, \"limited\": %lu, \"failed\": %lu, \"rules\": {", c.mutants,
         c.opened, c.bound, c.ran, c.limited, c.failed_run);
  const char *comma = "";
  for (int i = 0; i < 1000; i++)
    if (c.rules[i]) printf("%s\"%d\": %lu", comma, i, c.rules[i]), comma = ", ";
  printf("}}\n");
  for (int i = 0; i < n_seeds; i++) free(seeds[i].bytes);
  free(seeds);
  return 0;
}
