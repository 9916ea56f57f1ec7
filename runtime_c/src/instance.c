/* Building an instance in the caller's memory, and its state. Sizing and building are one walk, so they agree. */
#include "internal.h"

/* Hands out pieces of a block; with base NULL it only counts. */
typedef struct bump {
  uint8_t *base;
  uint64_t used;
} bump;

static void *take(bump *b, uint64_t count, uint64_t size, uint64_t alignment) {
  if (b->used > PP_BYTES_MAX || count > PP_BYTES_MAX / size) { /* count * size stays below 2^62 or this sticks */
    b->used = UINT64_MAX;
    return NULL;
  }
  b->used = (b->used + alignment - 1) / alignment * alignment;
  uint64_t at = b->used;
  b->used += count * size;
  return b->base ? b->base + at : NULL;
}

static uint64_t operands_of(const pp_instruction *in) {
  return (uint64_t)in->n_args + in->n_results + in->n_program_args;
}

static void lay_out_method(bump *b, const pp_method *m, pp_bound *to) {
  uint64_t operands = 0, attrs = 0;
  for (uint32_t i = 0; i < m->instructions.count; i++) {
    pp_instruction in = pp_instruction_at(m, i);
    operands += operands_of(&in);
    attrs += in.n_attrs;
  }
  pp_bound found = {.m = *m};
  found.symbols = take(b, m->symbols.count, sizeof(int64_t), 8);
  found.exprs = take(b, m->exprs.count, sizeof(int64_t), 8);
  found.attrs = take(b, attrs, sizeof(int64_t), 8);
  found.inputs = take(b, m->inputs.count, sizeof *found.inputs, 8);
  found.steps = take(b, m->instructions.count, sizeof(pp_step), 8);
  found.views = take(b, operands, sizeof(pp_view), 8);
  found.buffer_bytes = take(b, m->buffers.count, sizeof(uint64_t), 8);
  found.buffer_offset = take(b, m->buffers.count, sizeof(uint64_t), 8);
  found.buffer_base = take(b, m->buffers.count, sizeof(uint8_t *), 8);
  found.first = take(b, m->buffers.count, sizeof(uint32_t), 8);
  found.last = take(b, m->buffers.count, sizeof(uint32_t), 8);
  found.placed = take(b, m->buffers.count, sizeof(uint32_t), 8);
  if (to) *to = found;
}

/* Everything of an instance; without memory (base NULL) only its size is found. */
static pp_instance *lay_out(bump *b, const pp_program *p) {
  pp_reader r = pp_program_reader(p);
  pp_instance *instance = take(b, 1, sizeof *instance, 64);
  pp_bound *methods = take(b, p->methods.count, sizeof(pp_bound), 8);
  pp_state_memory *states = take(b, p->states.count, sizeof(pp_state_memory), 8);
  for (uint32_t i = 0; i < p->methods.count; i++) {
    pp_method m;
    pp_method_read(&r, p, i, &m);
    lay_out_method(b, &m, methods ? &methods[i] : NULL);
  }
  for (uint32_t i = 0; i < p->states.count; i++) {
    pp_state_record s = pp_state_read(&r, p, i);
    uint8_t *at = take(b, s.size, 1, 64);
    if (!states) continue;
    states[i] = (pp_state_memory){at, s.size, NULL, PP_NONE};
    if (s.init != PP_NONE) states[i].init = p->sections[PP_SECTION_DATA].at + pp_constant_at(p, s.init).offset;
  }
  if (!instance) return NULL;
  *instance = (pp_instance){.program = p, .methods = methods, .n_methods = p->methods.count,
                            .states = states, .n_states = p->states.count};
  return instance;
}

pp_status pp_instance_memory(const pp_program *program, uint64_t *bytes, pp_error *error) {
  pp_error local;
  if (!error) error = &local;
  pp_error_clear(error);
  if (!program || !bytes) return pp_refuse(error, PP_RULE_ARGUMENT, 0, 0);
  bump b = {NULL, 0};
  lay_out(&b, program);
  if (b.used > SIZE_MAX / 2) return pp_refuse(error, PP_RULE_MEMORY_LIMIT, 0, 0);
  *bytes = b.used;
  return PP_OK;
}

/* What does not depend on sizes and needs memory to check: symbols all defined, the plan a permutation, and one buffer
 * at most for each state, or instructions could meet in its memory without find_lifetimes seeing it. */
static pp_status check_method(const pp_instance *instance, const pp_bound *b, pp_reader *r, pp_error *error) {
  const pp_method *m = &b->m;
  for (uint32_t i = 0; i < m->symbols.count; i++) b->symbols[i] = 0;
  for (uint32_t i = 0; i < m->inputs.count; i++) {
    const char *name;
    pp_value v = pp_value_at(m, pp_port_read(r, m->inputs, i, &name));
    for (uint32_t d = 0; d < v.rank; d++) {
      pp_expr e = pp_expr_at(m, pp_pool_at(m, v.dims + d));
      if (e.op == PP_EXPR_SYMBOL) b->symbols[e.a] = 1;
    }
  }
  for (uint32_t i = 0; i < m->symbols.count; i++)
    if (!b->symbols[i]) return pp_refuse(error, PP_RULE_SYMBOL_UNDEFINED, i, 0);
  for (uint32_t i = 0; i < m->buffers.count; i++) b->placed[i] = 0;
  for (uint32_t i = 0; i < m->plan_order.count; i++) {
    uint32_t buffer = pp_u32(m->plan_order.at + (size_t)i * 4);
    if (b->placed[buffer]++) return pp_refuse(error, PP_RULE_PLAN_ORDER, buffer, 0);
  }
  for (uint32_t i = 0; i < instance->n_states; i++) instance->states[i].buffer = PP_NONE;
  for (uint32_t i = 0; i < m->buffers.count; i++) {
    pp_buffer buffer = pp_buffer_at(m, i);
    if (buffer.storage != PP_STORAGE_STATE) continue;
    if (instance->states[buffer.index].buffer != PP_NONE) return pp_refuse(error, PP_RULE_BUFFER_STATE, i, buffer.index);
    instance->states[buffer.index].buffer = i;
  }
  return PP_OK;
}

/* In which epoch each buffer was last read and written, and by which instruction: (epoch + 1) << 32 | instruction. */
static bool same_epoch_other(uint64_t seen, uint32_t epoch, uint32_t instruction) {
  return seen >> 32 == (uint64_t)epoch + 1 && (uint32_t)seen != instruction;
}

/* Lifetimes of arena buffers; and no instruction may read what another one of its epoch writes: threads do not wait
 * for each other inside an epoch. The plan's arrays hold the marks until the method is bound. */
static pp_status find_lifetimes(pp_bound *b, pp_error *error) {
  const pp_method *m = &b->m;
  uint64_t *read = b->buffer_bytes, *written = b->buffer_offset;
  uint32_t epoch = PP_NONE;
  for (uint32_t i = 0; i < m->buffers.count; i++) {
    read[i] = written[i] = 0;
    b->first[i] = b->last[i] = PP_NONE;
    b->buffer_base[i] = NULL;
  }
  for (uint32_t i = 0; i < m->instructions.count; i++) {
    pp_instruction in = pp_instruction_at(m, i);
    uint32_t n = (uint32_t)operands_of(&in);
    epoch += in.barrier; /* the first one has a barrier: 0 */
    error->instruction = i;
    for (int pass = 0; pass < 2; pass++)
      for (uint32_t k = 0; k < n; k++) {
        uint32_t value = pp_pool_at(m, in.operands + k);
        if (value == PP_NONE) continue;
        uint32_t buffer = pp_value_at(m, value).buffer;
        bool result = k >= in.n_args && k < (uint32_t)in.n_args + in.n_results;
        if (pass == 0) {
          uint64_t seen = result ? read[buffer] : written[buffer];
          if (same_epoch_other(seen, epoch, i)) return pp_refuse(error, PP_RULE_EPOCH, buffer, (uint32_t)seen);
        } else {
          uint64_t mark = (uint64_t)(epoch + 1) << 32 | i;
          *(result ? &written[buffer] : &read[buffer]) = mark;
          if (b->first[buffer] == PP_NONE) b->first[buffer] = epoch;
          b->last[buffer] = epoch;
          if (result && pp_buffer_at(m, buffer).storage == PP_STORAGE_STATE) b->writes_state = true;
        }
      }
  }
  error->instruction = PP_NONE;
  b->epochs = epoch + 1;
  return PP_OK;
}

/* The parts of the steps that sizes do not change. */
static void fill_steps(pp_bound *b) {
  const pp_method *m = &b->m;
  pp_view *views = b->views;
  int64_t *attrs = b->attrs;
  for (uint32_t i = 0; i < m->instructions.count; i++) {
    pp_instruction in = pp_instruction_at(m, i);
    pp_step *s = &b->steps[i];
    memset(s, 0, sizeof *s);
    s->n_args = in.n_args, s->n_results = in.n_results, s->n_program_args = in.n_program_args;
    s->n_attrs = in.n_attrs, s->n_floats = in.n_floats, s->family = in.family, s->algorithm = in.algorithm;
    s->args = views, s->results = s->args + in.n_args, s->program_args = s->results + in.n_results;
    s->attrs = attrs;
    s->floats = (const double *)(const void *)m->floats.at;
    if (in.n_floats) s->floats += in.floats;
    views += operands_of(&in);
    attrs += in.n_attrs;
    if (in.program == PP_NONE) continue;
    pp_range range = pp_range_at(m, in.program);
    s->program = (pp_pointwise){m->pointwise.at + (size_t)range.first * PP_SIZE_PW_INSTRUCTION, range.count,
                                range.registers, range.loads};
  }
}

pp_status pp_instance_create(const pp_program *program, const pp_pool *pool, void *memory, uint64_t memory_size,
                             pp_instance **instance, pp_error *error) {
  pp_error local;
  if (!error) error = &local;
  pp_error_clear(error);
  if (!memory || !instance || (pool && (pool->threads < 1 || (pool->threads > 1 && !pool->run))))
    return pp_refuse(error, PP_RULE_ARGUMENT, 0, 0);
  *instance = NULL;
  uint64_t bytes = 0;
  PP_TRY(pp_instance_memory(program, &bytes, error));
  if (memory_size < bytes) return pp_refuse(error, PP_RULE_MEMORY_SMALL, (int64_t)memory_size, (int64_t)bytes);
  if ((uintptr_t)memory % 64) return pp_refuse(error, PP_RULE_MEMORY_ALIGNMENT, 0, 64);
  bump b = {memory, 0};
  pp_instance *made = lay_out(&b, program);
  made->pool = pool ? *pool : (pp_pool){.threads = 1};
  made->isa = pp_cpu_isa();
  if (made->pool.isa) made->isa &= made->pool.isa;
  pp_reader r = pp_program_reader(program);
  for (uint32_t i = 0; i < made->n_methods; i++) {
    error->method = i;
    PP_TRY(check_method(made, &made->methods[i], &r, error));
    PP_TRY(find_lifetimes(&made->methods[i], error));
    fill_steps(&made->methods[i]);
  }
  error->method = PP_NONE;
  pp_state_reset(made, 0);
  *instance = made;
  return PP_OK;
}

pp_status pp_state_data(pp_instance *instance, uint32_t state, void **data, uint64_t *bytes) {
  if (!instance || state >= instance->n_states || !data || !bytes) return PP_ERR_ARGUMENT;
  *data = instance->states[state].at;
  *bytes = instance->states[state].size;
  return PP_OK;
}

void pp_state_reset(pp_instance *instance, int keep) {
  if (!instance) return;
  instance->dirty = 0;
  for (uint32_t i = 0; i < instance->n_states && !keep; i++) {
    pp_state_memory *s = &instance->states[i];
    if (s->init) memcpy(s->at, s->init, (size_t)s->size);
    else memset(s->at, 0, (size_t)s->size);
  }
}
