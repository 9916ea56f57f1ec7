/* The interpreter loop of one ISA. The including file defines PP_ISA_SUFFIX; see pointwise.h. */
#include "isa.h"
#include "pointwise.h"
#include "simd_math.h"

/* Loops run over whole vectors: registers are longer than any block and lanes past its end are never stored. */
#define VECTORS for (int64_t k = 0; k < n; k += PP_W)
#define F(p) vf_load((const float *)(p) + k)
#define I(p) vi_load((const int32_t *)(p) + k)
#define FLOAT(OP, EXPR) \
  case OP: VECTORS { vf x = F(a), y = F(b); (void)y; vf_store((float *)d + k, (EXPR)); } return true;
#define FLOAT1(OP, EXPR) \
  case OP: VECTORS { vf x = F(a); vf_store((float *)d + k, (EXPR)); } return true;
#define TEST(OP, EXPR) \
  case OP: VECTORS { vf x = F(a), y = F(b); vi_store((int32_t *)d + k, (EXPR)); } return true;
#define INT(OP, EXPR) \
  case OP: VECTORS { vi x = I(a), y = I(b); vi_store((int32_t *)d + k, (EXPR)); } return true;
#define INT1(OP, EXPR) \
  case OP: VECTORS { vi x = I(a); vi_store((int32_t *)d + k, (EXPR)); } return true;

static bool float_ops(uint8_t op, void *d, const void *a, const void *b, int64_t n) {
  switch (op) {
    FLOAT(PP_PW_ADD, x + y)
    FLOAT(PP_PW_SUB, x - y)
    FLOAT(PP_PW_MUL, x * y)
    FLOAT(PP_PW_DIV, x / y)
    FLOAT(PP_PW_MIN, vf_min(x, y))
    FLOAT(PP_PW_MAX, vf_max(x, y))
    FLOAT(PP_PW_ATAN2, vf_atan2(x, y))
    TEST(PP_PW_EQ, vf_eq(x, y))
    TEST(PP_PW_NE, vf_ne(x, y))
    TEST(PP_PW_LT, vf_lt(x, y))
    TEST(PP_PW_LE, vf_le(x, y))
    FLOAT1(PP_PW_NEG, vf_neg(x))
    FLOAT1(PP_PW_ABS, vf_abs(x))
    FLOAT1(PP_PW_SIGN, vf_select(vf_eq(x, vf_zero()) | vf_isnan(x), x, vf_copysign(vf_set(1.0f), x)))
    FLOAT1(PP_PW_RECIPROCAL, vf_set(1.0f) / x)
    FLOAT1(PP_PW_SQRT, vf_sqrt(x))
    FLOAT1(PP_PW_RSQRT, vf_set(1.0f) / vf_sqrt(x))
    FLOAT1(PP_PW_EXP, vf_exp(x))
    FLOAT1(PP_PW_EXPM1, vf_expm1(x))
    FLOAT1(PP_PW_LOG, vf_log(x))
    FLOAT1(PP_PW_LOG1P, vf_log1p(x))
    FLOAT1(PP_PW_SIN, vf_sin(x))
    FLOAT1(PP_PW_COS, vf_cos(x))
    FLOAT1(PP_PW_TANH, vf_tanh(x))
    FLOAT1(PP_PW_SIGMOID, vf_sigmoid(x))
    FLOAT1(PP_PW_ERF, vf_erf(x))
    FLOAT1(PP_PW_FLOOR, vf_floor(x))
    FLOAT1(PP_PW_CEIL, vf_ceil(x))
    FLOAT1(PP_PW_ROUND, vf_round(x))
    FLOAT1(PP_PW_TRUNC, vf_trunc(x))
    case PP_PW_ISNAN: VECTORS { vi_store((int32_t *)d + k, vf_isnan(F(a))); } return true;
    case PP_PW_REM: {
      const float *x = a, *y = b;
      for (int64_t k = 0; k < n; k++) ((float *)d)[k] = pp_remf(x[k], y[k]);
      return true;
    }
    case PP_PW_POW: {
      const float *x = a, *y = b;
      for (int64_t k = 0; k < n; k++) ((float *)d)[k] = pp_powf(x[k], y[k]);
      return true;
    }
    default: return false;
  }
}

/* I32, and MASK, whose operations are a subset on all-ones lanes. */
static bool int_ops(uint8_t op, void *d, const void *a, const void *b, int64_t n) {
  switch (op) {
    INT(PP_PW_ADD, vi_add(x, y))
    INT(PP_PW_SUB, vi_sub(x, y))
    INT(PP_PW_MUL, vi_mul(x, y))
    INT(PP_PW_MIN, vi_select(vi_lt(x, y), x, y))
    INT(PP_PW_MAX, vi_select(vi_lt(x, y), y, x))
    INT(PP_PW_AND, x & y)
    INT(PP_PW_OR, x | y)
    INT(PP_PW_XOR, x ^ y)
    INT(PP_PW_SHL, vi_shl(x, y))
    INT(PP_PW_SHR, vi_shr(x, y))
    INT(PP_PW_EQ, vi_eq(x, y))
    INT(PP_PW_NE, ~vi_eq(x, y))
    INT(PP_PW_LT, vi_lt(x, y))
    INT(PP_PW_LE, vi_le(x, y))
    INT1(PP_PW_NOT, ~x)
    INT1(PP_PW_NEG, vi_sub(vi_set(0), x))
    INT1(PP_PW_ABS, vi_select(vi_lt(x, vi_set(0)), vi_sub(vi_set(0), x), x))
    INT1(PP_PW_SIGN, vi_lt(x, vi_set(0)) | (vi_lt(vi_set(0), x) & vi_set(1)))
    default: return false;
  }
}

static void select4(void *d, const void *m, const void *b, const void *c, int64_t n) {
  VECTORS vi_store((int32_t *)d + k, vi_select(I(m), I(b), I(c)));
}

typedef struct machine {
  const pp_pw_job *job;
  char *slot[PP_PW_REGISTERS];        /* where a register's next value goes */
  const char *value[PP_PW_REGISTERS]; /* where its value is: its slot, or a tensor read in place */
  char *spare;
  uint32_t constant;                  /* registers filled once per run */
} machine;

/* A whole block of exact elements that no result overwrites is read where it lies. */
static const char *in_place(const pp_pw_job *job, const pp_pw_block *block, const pp_view *v) {
  if (block->rows != 1 || block->n % PP_W || (v->dtype != PP_DTYPE_F32 && v->dtype != PP_DTYPE_I32)) return NULL;
  if (pp_pw_column_stride(job, v) != 1) return NULL;
  for (int i = 0; i < job->n_results; i++)
    if (job->results[i].data == v->data || job->results[i].buffer == v->buffer) return NULL;
  return (const char *)v->data + 4 * (pp_pw_row(job, v, block->index) + block->column);
}

static void start(machine *m, const pp_pw_job *job, const pp_pointwise *program, char *scratch) {
  uint8_t writes[PP_PW_REGISTERS] = {0};
  m->job = job;
  m->constant = 0;
  for (int r = 0; r < program->registers; r++) m->value[r] = m->slot[r] = scratch + (size_t)r * job->register_bytes;
  m->spare = scratch + (size_t)program->registers * job->register_bytes;
  for (int p = 0; p < job->count; p++) {
    pp_pw_instruction i = pp_pw_decode(job->code + 16 * p);
    if (i.op != PP_PW_STORE) writes[i.dst] = (uint8_t)PP_MIN(writes[i.dst] + 1, 2);
  }
  for (int p = 0; p < job->count; p++) {
    pp_pw_instruction i = pp_pw_decode(job->code + 16 * p);
    if (i.op != PP_PW_CONST || writes[i.dst] != 1) continue;
    m->constant |= (uint32_t)1 << i.dst;
    pp_pw_fill(m->slot[i.dst], i.type, i.imm, PP_PW_BLOCK);
  }
}

/* Instructions whose operands and result may differ in width get a fresh slot, not their operand's. */
static char *target(machine *m, const pp_pw_instruction *i, bool fresh) {
  if (fresh) {
    char *s = m->slot[i->dst];
    m->slot[i->dst] = m->spare;
    m->spare = s;
  }
  return m->slot[i->dst];
}

static pp_status run_block(machine *m, const pp_pw_block *block, pp_error *error) {
  const pp_pw_job *job = m->job;
  int64_t n = block->n;
  for (int p = 0; p < job->count; p++) {
    pp_pw_instruction i = pp_pw_decode(job->code + 16 * p);
    if (i.op == PP_PW_STORE) {
      pp_pw_store(job, block, &job->results[i.dst], i.type, m->value[i.a]);
      continue;
    }
    char *d = m->slot[i.dst];
    const char *result = d;
    switch (i.op) {
      case PP_PW_LOAD: {
        const pp_view *v = pp_pw_operand(job, i.a);
        const char *there = in_place(job, block, v);
        if (there) result = there;
        else pp_pw_load(job, block, v, i.type, d);
        break;
      }
      case PP_PW_CONST:
        if (!(m->constant >> i.dst & 1)) pp_pw_fill(d, i.type, i.imm, n);
        break;
      case PP_PW_INDEX: pp_pw_index(job, block, i.a, i.type, d); break;
      case PP_PW_CAST: {
        const char *source = m->value[i.a];
        result = d = target(m, &i, true);
        pp_pw_cast(d, i.type, source, i.c, n);
        break;
      }
      default: {
        bool select = i.op == PP_PW_SELECT, wide = pp_pw_is_wide(i.type);
        const char *a = m->value[i.a], *b = m->value[i.b < PP_PW_REGISTERS ? i.b : 0];
        const char *c = m->value[i.c < PP_PW_REGISTERS ? i.c : 0];
        if (!wide && select) {
          select4(d, a, b, c, n);
        } else if (!wide && (i.type == PP_PWTYPE_F32 ? float_ops(i.op, d, a, b, n) : int_ops(i.op, d, a, b, n))) {
        } else {
          result = d = target(m, &i, true);
          pp_status status = pp_pw_slow(&i, d, a, b, c, n, error);
          if (status != PP_OK) return status;
        }
      }
    }
    m->value[i.dst] = result;
  }
  return PP_OK;
}

static pp_status run_blocks(const pp_pw_job *job, const pp_pointwise *program, int64_t first, int64_t last,
                            void *scratch, pp_error *error) {
  machine m;
  start(&m, job, program, scratch);
  for (int64_t t = first; t < last; t++) {
    pp_pw_block block;
    pp_pw_locate(job, t, &block);
    pp_status status = run_block(&m, &block, error);
    if (status != PP_OK) return status;
  }
  return PP_OK;
}

pp_status PP_NAME(pp_pointwise_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  pp_pw_job job = {.rest = s->program_args, .results = s->results, .n_results = s->n_results};
  pp_pw_plan(&job, &s->program, s->n_program_args, s->results[0].rank, NULL, s->results[0].shape);
  return run_blocks(&job, &s->program, first, last, scratch, error);
}

pp_status PP_NAME(pp_epilogue_)(const pp_step *s, const int64_t *start_at, const int64_t *size, void *scratch,
                                pp_error *error) {
  pp_pw_job job = {.first = s->results, .rest = s->program_args, .results = s->results, .n_results = 1};
  pp_pw_plan(&job, &s->program, s->n_program_args + 1, s->results[0].rank, start_at, size);
  return run_blocks(&job, &s->program, 0, job.blocks, scratch, error);
}
