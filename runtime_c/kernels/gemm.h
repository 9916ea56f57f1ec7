/* What the gemm kernels of all instruction sets share: which way b is read, blocks, scratch. */
#ifndef PP_KERNELS_GEMM_H
#define PP_KERNELS_GEMM_H

#include "blocks.h"
#include "pointwise.h"

/* How b reaches the strips: panels in the file; rows of b as they are; panels made in scratch; or no strips at all but
 * dot products along k, for few rows times a transposed b. */
enum { PP_GEMM_PANELS, PP_GEMM_ROWS, PP_GEMM_PACK, PP_GEMM_DOT };

typedef struct pp_gemm {
  int mode;
  bool shared;                 /* one b for all rows, whatever the batch dimensions of a */
  bool direct;                 /* strips write c themselves */
  int64_t batches, rows, k, n, panels;
  int64_t b_k, b_n;            /* strides of a dense b */
  pp_blocks blocks;
  /* Scratch, in bytes: bias, partial sums, panels, epilogue. */
  size_t at_partial, at_panels, at_epilogue, bytes;
} pp_gemm;

void pp_gemm_plan(const pp_step *step, pp_gemm *g);
bool pp_gemm_accepts_panel16(const pp_step *step);
bool pp_gemm_accepts_dense(const pp_step *step);
void pp_gemm_prepare(pp_step *step);

#endif
