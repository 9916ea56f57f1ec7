/* Runs one kernel on one step described by flat arrays, for the tests. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../../runtime_c/kernels/kernel.h"

enum { VIEW = 5 + 2 * PP_MAX_RANK };

typedef struct description {
  int64_t family, n_args, n_results, n_program_args, n_attrs, n_floats, count, registers, loads;
  const int64_t *views, *attrs;   /* a view: dtype, pack, rank, buffer, address, shape[8], stride[8] */
  const double *floats;
  const uint8_t *code;
} description;

static void fill(pp_step *s, const description *d, pp_view *views) {
  int n = (int)(d->n_args + d->n_results + d->n_program_args);
  for (int i = 0; i < n; i++) {
    const int64_t *v = d->views + i * VIEW;
    views[i].dtype = (uint8_t)v[0], views[i].pack = (uint8_t)v[1], views[i].rank = (uint8_t)v[2];
    views[i].buffer = (uint32_t)v[3], views[i].data = (void *)(intptr_t)v[4];
    memcpy(views[i].shape, v + 5, sizeof views[i].shape);
    memcpy(views[i].stride, v + 5 + PP_MAX_RANK, sizeof views[i].stride);
  }
  memset(s, 0, sizeof *s);
  s->args = views, s->results = views + d->n_args, s->program_args = s->results + d->n_results;
  s->n_args = (uint8_t)d->n_args, s->n_results = (uint8_t)d->n_results;
  s->n_program_args = (uint8_t)d->n_program_args;
  s->attrs = d->attrs, s->n_attrs = (uint8_t)d->n_attrs;
  s->floats = d->floats, s->n_floats = (uint8_t)d->n_floats;
  s->family = (uint8_t)d->family;
  s->program = (pp_pointwise){d->code, (uint16_t)d->count, (uint8_t)d->registers, (uint8_t)d->loads};
}

int kt_count(void) { return (int)pp_kernel_count(); }
const char *kt_name(int i) { return pp_kernel_at((size_t)i)->name; }
int kt_family(int i) { return pp_kernel_at((size_t)i)->family; }
int kt_isa(int i) { return pp_kernel_at((size_t)i)->isa; }
uint32_t kt_cpu(void) { return pp_cpu_isa(); }
uint32_t kt_parse(const char *name) { return pp_isa_parse(name); }

int kt_contract(const description *d, int64_t *report) {
  pp_view views[64];
  pp_step s;
  pp_error e = {0};
  memset(views, 0, sizeof views);
  fill(&s, d, views);
  int status = pp_contract_check(&s, &e);
  report[0] = e.operand, report[1] = e.a, report[2] = e.b;
  return status;
}

int kt_accepts(int kernel, const description *d) {
  pp_view views[64];
  pp_step s;
  memset(views, 0, sizeof views);
  fill(&s, d, views);
  return pp_kernel_at((size_t)kernel)->accepts(&s);
}

/* Runs the tasks in `ways` pieces, last piece first, each with its own poisoned scratch of exactly the size asked. */
int kt_run(int kernel, const description *d, int ways, int64_t *report) {
  pp_view views[64];
  pp_step s;
  pp_error e = {0};
  memset(views, 0, sizeof views);
  fill(&s, d, views);
  s.kernel = pp_kernel_at((size_t)kernel);
  for (int i = 0; i < 64; i++) views[i].data = NULL; /* not known at prepare */
  s.kernel->prepare(&s);
  fill(&(pp_step){0}, d, views);
  report[3] = s.tasks, report[4] = (int64_t)s.scratch;
  int status = PP_OK;
  for (int w = ways - 1; w >= 0 && status == PP_OK; w--) {
    char *scratch = NULL;
    if (s.scratch && posix_memalign((void **)&scratch, 64, s.scratch)) return -1;
    if (scratch) memset(scratch, 0xff, s.scratch);
    int64_t first = s.tasks * w / ways, last = s.tasks * (w + 1) / ways;
    if (first < last) status = s.kernel->run(&s, first, last, scratch, &e);
    free(scratch);
  }
  report[0] = e.operand, report[1] = e.a, report[2] = e.b;
  return status;
}

/* Seconds of the fastest of `times` rounds of `each` runs on one thread, prepared once; negative if one failed. */
double kt_time(int kernel, const description *d, int times, int each) {
  pp_view views[64];
  pp_step s;
  pp_error e = {0};
  double best = 1e300;
  char *scratch = NULL;
  memset(views, 0, sizeof views);
  fill(&s, d, views);
  s.kernel = pp_kernel_at((size_t)kernel);
  s.kernel->prepare(&s);
  if (s.scratch && posix_memalign((void **)&scratch, 64, s.scratch)) return -1;
  for (int i = 0; i < times; i++) {
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int k = 0; k < each; k++)
      if (s.kernel->run(&s, 0, s.tasks, scratch, &e) != PP_OK) {
        free(scratch);
        return -1;
      }
    clock_gettime(CLOCK_MONOTONIC, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    if (seconds / each < best) best = seconds / each;
  }
  free(scratch);
  return best;
}

/* Memory that ends (or starts) exactly at an inaccessible page. */
void *kt_guarded(size_t size, int at_start) {
  const size_t page = 4096;
  size_t inner = (size + page - 1) / page * page;
  char *p = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  mprotect(p + page, inner, PROT_READ | PROT_WRITE);
  return at_start ? p + page : p + page + inner - size;
}

void kt_release(void *p, size_t size) {
  const size_t page = 4096;
  char *start = (char *)((uintptr_t)p / page * page);
  munmap(start - page, (size + page - 1) / page * page + 2 * page);
}
