/* One instruction of the kernel table on the caller's arrays. */
#include "direct.h"

#include "../src/internal.h"
#include "../kernels/common.h"

enum { MAX_OPERANDS = 16, MAX_ATTRS = 16, MAX_FLOATS = 4, MAX_CODE = 64, OPERAND = 3 + 2 * PP_MAX_RANK, HEADER = 64 };

struct pp_direct {
  pp_step step;
  pp_view views[MAX_OPERANDS];
  int64_t attrs[MAX_ATTRS];
  double floats[MAX_FLOATS];
  uint8_t code[16 * MAX_CODE];
};

size_t pp_direct_memory(void) { return sizeof(pp_direct); }

/* Elements that the operands have, times what is done to each: to decide how many threads pay. */
static uint64_t work(const pp_step *s) {
  if (s->family < PP_FAMILY_PACK) return pp_step_work(s);
  int64_t n = 0;
  for (int i = 0; i < s->n_args + s->n_results; i++) n += pp_present(&s->args[i]) ? pp_elements(&s->args[i]) : 0;
  if (s->family == PP_FAMILY_CONV_WEIGHT_GRAD) n = pp_elements(&s->args[1]) * s->results[0].shape[1];
  return (uint64_t)n * 8;
}

pp_status pp_direct_prepare(void *memory, const pp_pool *pool, uint32_t family, const int64_t *operands, uint32_t n_args,
                            uint32_t n_results, uint32_t n_program_args, const int64_t *attrs, uint32_t n_attrs,
                            const double *floats, uint32_t n_floats, const uint8_t *code, uint32_t n_code,
                            uint32_t registers, uint64_t *scratch, uint32_t *threads, pp_error *error) {
  pp_direct *d = memory;
  uint32_t n = n_args + n_results + n_program_args;
  pp_error_clear(error);
  if (n > MAX_OPERANDS || n_attrs > MAX_ATTRS || n_floats > MAX_FLOATS || n_code > MAX_CODE || family > UINT8_MAX)
    return pp_refuse(error, PP_RULE_ARGUMENT, 0, 0);
  memset(d, 0, sizeof *d);
  bool negative = false;
  for (uint32_t i = 0; i < n; i++) {
    const int64_t *from = operands + i * OPERAND;
    pp_view *v = &d->views[i];
    v->dtype = (uint8_t)from[0], v->pack = (uint8_t)from[1], v->rank = (uint8_t)from[2], v->buffer = i;
    memcpy(v->shape, from + 3, sizeof v->shape);
    memcpy(v->stride, from + 3 + PP_MAX_RANK, sizeof v->stride);
    for (int k = 0; k < v->rank && k < PP_MAX_RANK; k++) negative |= v->shape[k] > 1 && v->stride[k] < 0;
  }
  if (n_attrs) memcpy(d->attrs, attrs, n_attrs * sizeof *attrs);
  if (n_floats) memcpy(d->floats, floats, n_floats * sizeof *floats);
  if (n_code) memcpy(d->code, code, (size_t)n_code * 16);
  pp_step *s = &d->step;
  s->args = d->views, s->results = s->args + n_args, s->program_args = s->results + n_results;
  s->n_args = (uint8_t)n_args, s->n_results = (uint8_t)n_results, s->n_program_args = (uint8_t)n_program_args;
  s->attrs = d->attrs, s->n_attrs = (uint8_t)n_attrs, s->floats = d->floats, s->n_floats = (uint8_t)n_floats;
  s->family = (uint8_t)family;
  s->program = (pp_pointwise){d->code, (uint16_t)n_code, (uint8_t)registers, (uint8_t)n_program_args};
  PP_TRY(pp_contract_check(s, error));
  uint32_t isa = pp_cpu_isa() & (pool && pool->isa ? pool->isa : UINT32_MAX);
  /* Only these read what lies before element zero. */
  bool walks_back = family == PP_FAMILY_PACK || family == PP_FAMILY_CONV2D;
  s->kernel = negative && !walks_back ? NULL : pp_kernel_select(s, isa);
  if (!s->kernel) return PP_ERR_UNSUPPORTED;
  s->kernel->prepare(s);
  *scratch = HEADER + PP_ALIGN64(s->scratch);
  uint64_t pays = work(s) / 65536 + 1, tasks = s->tasks > 0 ? (uint64_t)s->tasks : 1;
  *threads = (uint32_t)(pays < tasks ? (pays < 256 ? pays : 256) : (tasks < 256 ? tasks : 256));
  return PP_OK;
}

const char *pp_direct_kernel(const pp_direct *d) { return d->step.kernel ? d->step.kernel->name : NULL; }

typedef struct pp_direct_share {
  const pp_step *step;
  uint8_t *scratch;
  uint64_t each;
} pp_direct_share;

static void run_share(void *context, uint32_t t, uint32_t n) {
  pp_direct_share *run = context;
  const pp_step *s = run->step;
  uint8_t *own = run->scratch + t * run->each;
  int64_t first = s->tasks / n * t + PP_MIN((int64_t)t, s->tasks % n), last = first + s->tasks / n + (t < s->tasks % n);
  pp_error *error = (pp_error *)(void *)own;
  if (first < last) error->status = s->kernel->run(s, first, last, own + HEADER, error);
}

pp_status pp_direct_run(const pp_direct *direct, void *const *data, pp_pool *pool, uint32_t threads, void *scratch,
                        pp_error *error) {
  const pp_step *from = &direct->step;
  pp_step step = *from;
  pp_view views[MAX_OPERANDS];
  uint32_t n = (uint32_t)from->n_args + from->n_results + from->n_program_args;
  if (from->tasks == 0) return PP_OK;
  memcpy(views, direct->views, n * sizeof *views);
  for (uint32_t i = 0; i < n; i++) views[i].data = data[i];
  step.args = views, step.results = views + from->n_args, step.program_args = step.results + from->n_results;
  pp_direct_share run = {&step, scratch, HEADER + PP_ALIGN64(from->scratch)};
  for (uint32_t t = 0; t < threads; t++) pp_error_clear((pp_error *)(void *)(run.scratch + t * run.each));
  if (threads <= 1 || !pool) run_share(&run, 0, threads = 1);
  else pool->run(pool->self, run_share, &run, threads);
  for (uint32_t t = 0; t < threads; t++) { /* shares are in the order of tasks: the first failure is the one found alone */
    const pp_error *e = (const pp_error *)(const void *)(run.scratch + t * run.each);
    if (e->status == PP_OK) continue;
    *error = *e;
    error->rule = e->status == PP_ERR_INDEX ? PP_RULE_INDEX : PP_RULE_DIVISOR;
    return error->status;
  }
  return PP_OK;
}
