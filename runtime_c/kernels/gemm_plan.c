/* Plans of the gemm kernels, from shapes and strides alone. */
#include "gemm.h"

static bool accepts_f32(const pp_step *s) {
  return pp_dense_f32(&s->args[0]) && s->args[1].dtype == PP_DTYPE_F32 && pp_absent_or_f32(&s->args[2]) &&
         pp_absent_or_f32(&s->args[3]) && pp_dense_f32(&s->results[0]);
}

bool pp_gemm_accepts_panel16(const pp_step *s) {
  return accepts_f32(s) && s->args[1].pack == PP_PACK_GEMM_PANEL16;
}

bool pp_gemm_accepts_dense(const pp_step *s) { return accepts_f32(s) && s->args[1].pack == PP_PACK_DENSE; }

void pp_gemm_plan(const pp_step *s, pp_gemm *g) {
  const pp_view *a = &s->args[0], *b = &s->args[1], *residual = &s->args[3], *c = &s->results[0];
  int last = c->rank - 1;
  memset(g, 0, sizeof *g);
  g->shared = b->pack != PP_PACK_DENSE || b->rank == 2;
  if (!g->shared) {
    g->shared = true;
    for (int d = 0; d < last - 1; d++) g->shared &= pp_step_of(b, d) == 0;
  }
  g->batches = g->rows = 1;
  for (int d = 0; d < last; d++) *(g->shared || d == last - 1 ? &g->rows : &g->batches) *= c->shape[d];
  g->k = a->shape[last];
  g->n = c->shape[last];
  g->panels = PP_CEIL_DIV(g->n, PP_PANEL);
  g->direct = pp_unit(c, last) && (!pp_present(residual) || pp_unit(residual, last));
  if (pp_elements(c) == 0) return;
  int64_t deep = g->k <= 1024 ? g->k : PP_CEIL_DIV(g->k, PP_CEIL_DIV(g->k, 768));
  double products = (double)g->rows * (double)g->n * (double)g->k * (double)g->batches;
  g->blocks = pp_blocks_plan(g->rows, g->panels, deep, g->batches, 1, products);
  if (b->pack != PP_PACK_DENSE) {
    g->mode = PP_GEMM_PANELS;
  } else {
    g->b_k = b->stride[b->rank - 2];
    g->b_n = b->stride[b->rank - 1];
    /* Making panels costs about as much as four rows of products. */
    if (g->rows <= 12 && pp_unit(b, b->rank - 1)) g->mode = PP_GEMM_ROWS;
    else if (g->rows <= 4 && pp_unit(b, b->rank - 2) && pp_unit(a, last)) g->mode = PP_GEMM_DOT;
    else g->mode = PP_GEMM_PACK;
  }
  if (g->mode == PP_GEMM_DOT) g->blocks.deep = PP_MAX(g->k, 1);
  size_t wide = (size_t)g->blocks.wide * PP_PANEL * sizeof(float);
  bool partial = !g->direct || g->blocks.deep < g->k || g->mode == PP_GEMM_DOT;
  g->at_partial = wide;
  g->at_panels = g->at_partial + (partial ? wide * (size_t)g->blocks.high : 0);
  g->at_epilogue = g->at_panels;
  if (g->mode == PP_GEMM_PACK) g->at_epilogue += wide * (size_t)g->blocks.deep;
  if (g->mode == PP_GEMM_ROWS && g->n % PP_PANEL) g->at_epilogue += (size_t)g->blocks.deep * PP_PANEL * sizeof(float);
  g->bytes = g->at_epilogue + pp_epilogue_scratch(s);
}

/* Tasks: [batch][columns][rows], so that neighbours share a block of b. */
void pp_gemm_prepare(pp_step *s) {
  pp_gemm g;
  pp_gemm_plan(s, &g);
  s->tasks = pp_elements(&s->results[0]) ? g.batches * g.blocks.across * g.blocks.down : 0;
  s->scratch = g.bytes;
}
