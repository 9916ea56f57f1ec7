/* How a pointwise program walks its operands: merged dimensions, blocks, loads and stores with conversion. */
#include "half.h"
#include "pointwise.h"

static bool uses_index(const pp_pointwise *p) {
  for (int i = 0; i < p->count; i++)
    if (p->code[16 * i + 8] == PP_PW_INDEX) return true;
  return false;
}

static bool mergeable(const pp_pw_job *job, int n_operands, int outer, int inner, int64_t inner_size) {
  for (int i = 0; i < n_operands + job->n_results; i++) {
    const pp_view *v = i < n_operands ? pp_pw_operand(job, i) : &job->results[i - n_operands];
    if (v->stride[outer] != v->stride[inner] * inner_size) return false;
  }
  return true;
}

void pp_pw_plan(pp_pw_job *job, const pp_pointwise *program, int n_operands, int rank, const int64_t *start,
                const int64_t *size) {
  bool merge = !uses_index(program);
  uint8_t order[PP_MAX_RANK];
  int n = 0;
  job->code = program->code;
  job->count = program->count;
  job->register_bytes = pp_pw_register_bytes(program);
  job->blocks = 0;
  for (int d = 0; d < rank; d++)
    if (size[d] == 0) return;
  /* Outermost first by the stride of result 0, so that a channels-last result is written in order. */
  const pp_view *lead = &job->results[0];
  for (int d = 0; d < rank; d++) {
    job->start[d] = start ? start[d] : 0;
    if (size[d] == 1) continue;
    int at = n++;
    while (at > 0 && lead->stride[order[at - 1]] < lead->stride[d]) {
      order[at] = order[at - 1];
      at--;
    }
    order[at] = (uint8_t)d;
  }
  job->rank = 0;
  for (int i = 0; i < n; i++) {
    int d = order[i];
    if (merge && job->rank && mergeable(job, n_operands, job->dim[job->rank - 1], d, size[d])) {
      job->size[job->rank - 1] *= size[d];
      job->dim[job->rank - 1] = (uint8_t)d;
    } else {
      job->size[job->rank] = size[d];
      job->dim[job->rank++] = (uint8_t)d;
    }
  }
  if (job->rank == 0) { /* one element; its stride is never used */
    job->size[0] = 1;
    job->dim[0] = 0;
    job->rank = 1;
  }
  int64_t inner = job->size[job->rank - 1];
  job->total_rows = 1;
  for (int d = 0; d + 1 < job->rank; d++) job->total_rows *= job->size[d];
  job->columns = PP_MIN(inner, PP_PW_BLOCK);
  job->pieces = PP_CEIL_DIV(inner, PP_PW_BLOCK);
  job->rows = job->pieces > 1 ? 1 : PP_PW_BLOCK / inner;
  job->blocks = job->pieces > 1 ? job->total_rows * job->pieces : PP_CEIL_DIV(job->total_rows, job->rows);
}

size_t pp_pw_register_bytes(const pp_pointwise *p) {
  for (int i = 0; i < p->count; i++) {
    const uint8_t *c = p->code + 16 * i;
    if (pp_pw_is_wide(c[9]) || (c[8] == PP_PW_CAST && pp_pw_is_wide(c[13]))) return PP_PW_BLOCK * 8;
  }
  return PP_PW_BLOCK * 4;
}

size_t pp_pw_scratch(const pp_pointwise *p) { 
  /* One register more than the program has: results that may not overwrite their operand go there. */
  return p->count ? (p->registers + 1u) * pp_pw_register_bytes(p) : 0;
 }

size_t pp_epilogue_scratch(const pp_step *step) { return pp_pw_scratch(&step->program); }

static void set_extent(const pp_pw_job *job, pp_pw_block *b, int64_t row) {
  b->columns = PP_MIN(job->columns, job->size[job->rank - 1] - b->column);
  b->rows = PP_MIN(job->rows, job->total_rows - row);
  b->n = b->rows * b->columns;
}

void pp_pw_locate(const pp_pw_job *job, int64_t number, pp_pw_block *b) {
  int64_t row = job->pieces > 1 ? number / job->pieces : number * job->rows;
  b->column = job->pieces > 1 ? number % job->pieces * job->columns : 0;
  pp_unravel(row, job->rank - 1, job->size, b->index);
  set_extent(job, b, row);
}

/* Strided copies with a conversion; a stride of 0 converts once. */
#define CONVERT(NAME, TO, FROM, EXPR)                                                          \
  static void NAME(TO *restrict d, const FROM *s, int64_t stride, int64_t n) {                 \
    if (stride == 0) {                                                                         \
      FROM x = *s;                                                                             \
      TO y = (EXPR);                                                                           \
      for (int64_t i = 0; i < n; i++) d[i] = y;                                                \
    } else if (stride == 1) {                                                                  \
      for (int64_t i = 0; i < n; i++) { FROM x = s[i]; d[i] = (EXPR); }                        \
    } else {                                                                                   \
      for (int64_t i = 0; i < n; i++) { FROM x = s[i * stride]; d[i] = (EXPR); }               \
    }                                                                                          \
  }
CONVERT(load_32, uint32_t, uint32_t, x)
CONVERT(load_f16, float, uint16_t, pp_from_f16(x))
CONVERT(load_bf16, float, uint16_t, pp_from_bf16(x))
CONVERT(load_i16, int32_t, int16_t, x)
CONVERT(load_u16, int32_t, uint16_t, x)
CONVERT(load_i8, int32_t, int8_t, x)
CONVERT(load_u8, int32_t, uint8_t, x)
CONVERT(load_bool, int32_t, uint8_t, -(int32_t)(x != 0))
CONVERT(load_64, uint64_t, uint64_t, x)
CONVERT(load_u32, int64_t, uint32_t, x)

static void load_row(void *d, const void *base, int64_t at, uint8_t dtype, uint8_t type, int64_t stride, int64_t n) {
  switch (dtype) {
    case PP_DTYPE_F32: case PP_DTYPE_I32:
      if (stride == 1) memcpy(d, (const uint32_t *)base + at, (size_t)n * 4);
      else load_32(d, (const uint32_t *)base + at, stride, n);
      break;
    case PP_DTYPE_F16: load_f16(d, (const uint16_t *)base + at, stride, n); break;
    case PP_DTYPE_BF16: load_bf16(d, (const uint16_t *)base + at, stride, n); break;
    case PP_DTYPE_I16: load_i16(d, (const int16_t *)base + at, stride, n); break;
    case PP_DTYPE_U16: load_u16(d, (const uint16_t *)base + at, stride, n); break;
    case PP_DTYPE_I8: load_i8(d, (const int8_t *)base + at, stride, n); break;
    case PP_DTYPE_U8: load_u8(d, (const uint8_t *)base + at, stride, n); break;
    case PP_DTYPE_BOOL: load_bool(d, (const uint8_t *)base + at, stride, n); break;
    case PP_DTYPE_U32:
      if (type == PP_PWTYPE_I64) load_u32(d, (const uint32_t *)base + at, stride, n);
      break;
    default: load_64(d, (const uint64_t *)base + at, stride, n); break;
  }
}

#define STORE(NAME, TO, FROM, EXPR)                                                            \
  static void NAME(TO *d, const FROM *s, int64_t stride, int64_t n) {                          \
    if (stride == 1)                                                                           \
      for (int64_t i = 0; i < n; i++) { FROM x = s[i]; d[i] = (TO)(EXPR); }                    \
    else                                                                                       \
      for (int64_t i = 0; i < n; i++) { FROM x = s[i]; d[i * stride] = (TO)(EXPR); }           \
  }
STORE(store_32, uint32_t, uint32_t, x)
STORE(store_f16, uint16_t, float, pp_to_f16(x))
STORE(store_bf16, uint16_t, float, pp_to_bf16(x))
STORE(store_16, uint16_t, int32_t, x)
STORE(store_8, uint8_t, int32_t, x)
STORE(store_bool, uint8_t, int32_t, x != 0)
STORE(store_64, uint64_t, uint64_t, x)
STORE(store_u32, uint32_t, uint64_t, x)

static void store_row(void *base, int64_t at, const void *s, uint8_t dtype, int64_t stride, int64_t n) {
  switch (dtype) {
    case PP_DTYPE_F32: case PP_DTYPE_I32:
      if (stride == 1) memcpy((uint32_t *)base + at, s, (size_t)n * 4);
      else store_32((uint32_t *)base + at, s, stride, n);
      break;
    case PP_DTYPE_F16: store_f16((uint16_t *)base + at, s, stride, n); break;
    case PP_DTYPE_BF16: store_bf16((uint16_t *)base + at, s, stride, n); break;
    case PP_DTYPE_I16: case PP_DTYPE_U16: store_16((uint16_t *)base + at, s, stride, n); break;
    case PP_DTYPE_I8: case PP_DTYPE_U8: store_8((uint8_t *)base + at, s, stride, n); break;
    case PP_DTYPE_BOOL: store_bool((uint8_t *)base + at, s, stride, n); break;
    case PP_DTYPE_U32: store_u32((uint32_t *)base + at, s, stride, n); break;
    default: store_64((uint64_t *)base + at, s, stride, n); break;
  }
}

static size_t item(uint8_t type) { return pp_pw_is_wide(type) ? 8 : 4; }

void pp_pw_load(const pp_pw_job *job, const pp_pw_block *b, const pp_view *v, uint8_t type, void *dst) {
  int64_t index[PP_MAX_RANK], stride = pp_pw_column_stride(job, v);
  memcpy(index, b->index, sizeof index);
  for (int64_t r = 0; r < b->rows; r++) {
    int64_t at = pp_pw_row(job, v, index) + (stride ? b->column * stride : 0);
    load_row((char *)dst + (size_t)(r * b->columns) * item(type), v->data, at, v->dtype, type, stride, b->columns);
    pp_advance(job->rank - 1, job->size, index);
  }
}

void pp_pw_store(const pp_pw_job *job, const pp_pw_block *b, const pp_view *v, uint8_t type, const void *src) {
  int64_t index[PP_MAX_RANK], stride = pp_pw_column_stride(job, v);
  memcpy(index, b->index, sizeof index);
  for (int64_t r = 0; r < b->rows; r++) {
    int64_t at = pp_pw_row(job, v, index) + (stride ? b->column * stride : 0);
    store_row(v->data, at, (const char *)src + (size_t)(r * b->columns) * item(type), v->dtype, stride, b->columns);
    pp_advance(job->rank - 1, job->size, index);
  }
}

void pp_pw_index(const pp_pw_job *job, const pp_pw_block *b, int axis, uint8_t type, void *dst) {
  int64_t index[PP_MAX_RANK], at = 0;
  memcpy(index, b->index, sizeof index);
  int walked = -1; /* an axis of size 1 is not walked */
  for (int d = 0; d < job->rank; d++)
    if (job->dim[d] == axis && job->size[d] != 1) walked = d;
  for (int64_t r = 0; r < b->rows; r++) {
    for (int64_t c = 0; c < b->columns; c++, at++) {
      int64_t x = job->start[axis];
      if (walked >= 0) x += walked == job->rank - 1 ? b->column + c : index[walked];
      if (type == PP_PWTYPE_I64) ((int64_t *)dst)[at] = x;
      else ((int32_t *)dst)[at] = (int32_t)x;
    }
    pp_advance(job->rank - 1, job->size, index);
  }
}

void pp_pw_fill(void *dst, uint8_t type, uint64_t imm, int64_t n) {
  if (pp_pw_is_wide(type)) {
    uint64_t *d = dst;
    for (int64_t i = 0; i < n; i++) d[i] = imm;
  } else {
    uint32_t *d = dst, x = (uint32_t)imm;
    if (type == PP_PWTYPE_MASK) x = imm ? ~(uint32_t)0 : 0;
    for (int64_t i = 0; i < n; i++) d[i] = x;
  }
}

/* Every dtype a program may load or store, in its class. */
static bool loadable(uint8_t dtype) {
  bool wide = dtype == PP_DTYPE_F64 || dtype == PP_DTYPE_I64 || dtype == PP_DTYPE_U32;
  return dtype > PP_DTYPE_NONE && dtype <= PP_DTYPE_F64 && dtype != PP_DTYPE_U64 && (PP_WITH_WIDE || !wide);
}

bool pp_pointwise_accepts(const pp_step *s) {
  for (int i = 0; i < s->n_results; i++)
    if (!loadable(s->results[i].dtype)) return false;
  for (int i = 0; i < s->n_program_args; i++)
    if (!loadable(s->program_args[i].dtype)) return false;
  return PP_WITH_WIDE || pp_pw_register_bytes(&s->program) == PP_PW_BLOCK * 4;
}

void pp_pointwise_prepare(pp_step *s) {
  pp_pw_job job = {.rest = s->program_args, .results = s->results, .n_results = s->n_results};
  pp_pw_plan(&job, &s->program, s->n_program_args, s->results[0].rank, NULL, s->results[0].shape);
  s->tasks = job.blocks;
  s->scratch = pp_pw_scratch(&s->program);
}
