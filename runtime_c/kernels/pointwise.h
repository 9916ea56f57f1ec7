/* The pointwise interpreter, block form. pointwise_impl.h holds the loop that is compiled per ISA; what needs no
 * vectors (walking, conversions, 64-bit types) is in pointwise_walk.c and pointwise_wide.c, compiled once.
 *
 * A job is a program over a box of an index space. Its dimensions are sorted and merged so that the innermost one is
 * long; a block is PP_PW_BLOCK consecutive elements of one row, or several short rows. Registers hold one block.
 */
#ifndef PP_KERNELS_POINTWISE_H
#define PP_KERNELS_POINTWISE_H

#include "common.h"

#define PP_PW_BLOCK 512
#define PP_PW_REGISTERS 32

typedef struct pp_pw_job {
  const uint8_t *code;
  int count;
  const pp_view *first, *rest, *results; /* operand 0 (null: operand i is rest[i]), the others, the results */
  int n_results;
  int rank;                    /* after merging, at least 1 */
  int64_t size[PP_MAX_RANK];
  uint8_t dim[PP_MAX_RANK];    /* the view dimension whose stride a walked dimension uses */
  int64_t start[PP_MAX_RANK];  /* first coordinate of the box, by view dimension */
  int64_t columns;             /* of a block */
  int64_t rows;                /* rows per block */
  int64_t pieces;              /* blocks per row; 1 if rows > 1 */
  int64_t total_rows, blocks;
  size_t register_bytes;
} pp_pw_job;

/* Where a block lies. */
typedef struct pp_pw_block {
  int64_t index[PP_MAX_RANK];  /* walked coordinates of its first row */
  int64_t column, columns, rows, n;
} pp_pw_block;

typedef struct pp_pw_instruction {
  uint64_t imm;
  uint8_t op, type, dst, a, b, c;
} pp_pw_instruction;

PP_INLINE pp_pw_instruction pp_pw_decode(const uint8_t *code) {
  pp_pw_instruction i;
  memcpy(&i.imm, code, 8);
  i.op = code[8], i.type = code[9], i.dst = code[10], i.a = code[11], i.b = code[12], i.c = code[13];
  return i;
}

PP_INLINE bool pp_pw_is_wide(uint8_t type) { return type == PP_PWTYPE_F64 || type == PP_PWTYPE_I64; }

PP_INLINE const pp_view *pp_pw_operand(const pp_pw_job *job, int i) {
  if (!job->first) return &job->rest[i];
  return i == 0 ? job->first : &job->rest[i - 1];
}

/* Sets everything but code. `rank` dimensions from start, `size` long. */
void pp_pw_plan(pp_pw_job *job, const pp_pointwise *program, int n_operands, int rank, const int64_t *start,
                const int64_t *size);
size_t pp_pw_register_bytes(const pp_pointwise *program);
size_t pp_pw_scratch(const pp_pointwise *program);
void pp_pw_locate(const pp_pw_job *job, int64_t number, pp_pw_block *block);

/* Element offset of a view at walked coordinates, column 0. */
PP_INLINE int64_t pp_pw_row(const pp_pw_job *job, const pp_view *v, const int64_t *index) {
  int64_t at = 0;
  for (int d = 0; d < v->rank; d++) at += job->start[d] * v->stride[d];
  for (int d = 0; d + 1 < job->rank; d++) at += index[d] * v->stride[job->dim[d]];
  return at;
}
PP_INLINE int64_t pp_pw_column_stride(const pp_pw_job *job, const pp_view *v) {
  return v->rank ? v->stride[job->dim[job->rank - 1]] : 0;
}

/* dst[0..n) <- the block of a view, converted to the class `type`; and back. */
void pp_pw_load(const pp_pw_job *job, const pp_pw_block *block, const pp_view *v, uint8_t type, void *dst);
void pp_pw_store(const pp_pw_job *job, const pp_pw_block *block, const pp_view *v, uint8_t type, const void *src);
void pp_pw_index(const pp_pw_job *job, const pp_pw_block *block, int axis, uint8_t type, void *dst);
void pp_pw_fill(void *dst, uint8_t type, uint64_t imm, int64_t n);
void pp_pw_cast(void *dst, uint8_t type, const void *src, uint8_t from, int64_t n);
/* Integer DIV, REM, POW and every operation on F64 and I64. */
pp_status pp_pw_slow(const pp_pw_instruction *i, void *dst, const void *a, const void *b, const void *c, int64_t n,
                     pp_error *error);

/* Families: the step's own index space, and an epilogue over a box of result 0. */
bool pp_pointwise_accepts(const pp_step *step);
void pp_pointwise_prepare(pp_step *step);

#define PP_PW_DECLARE(isa)                                                                                        \
  pp_status pp_pointwise_run_##isa(const pp_step *step, int64_t first, int64_t last, void *scratch, pp_error *error); \
  pp_status pp_epilogue_##isa(const pp_step *step, const int64_t *start, const int64_t *size, void *scratch,      \
                              pp_error *error);
PP_PW_DECLARE(reference)
PP_PW_DECLARE(simd)
PP_PW_DECLARE(avx2)
PP_PW_DECLARE(avx512)

#endif
