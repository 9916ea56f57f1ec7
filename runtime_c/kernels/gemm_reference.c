/* Matrix products of any strides, f32 and f64, one result at a time: bias, then k ascending, residual, clamp. */
#include "common.h"
#include "pointwise.h"

bool pp_gemm_accepts_reference(const pp_step *s) {
  const pp_view *a = &s->args[0], *b = &s->args[1];
  uint8_t dtype = a->dtype;
  if (dtype != PP_DTYPE_F32 && !(PP_WITH_WIDE && dtype == PP_DTYPE_F64)) return false;
  if (b->pack != PP_PACK_DENSE && (b->pack != PP_PACK_GEMM_PANEL16 || dtype != PP_DTYPE_F32)) return false;
  for (int i = 1; i < 4; i++)
    if (pp_present(&s->args[i]) && s->args[i].dtype != dtype) return false;
  return s->results[0].dtype == dtype;
}

/* A task is one row of c. */
void pp_gemm_prepare_reference(pp_step *s) {
  const pp_view *c = &s->results[0];
  s->tasks = pp_elements(c) ? pp_elements(c) / c->shape[c->rank - 1] : 0;
  s->scratch = pp_epilogue_scratch(s);
}

#define DOT(NAME, TYPE)                                                                                \
  static void NAME(const pp_step *s, const int64_t *from) {                                            \
    const pp_view *a = &s->args[0], *b = &s->args[1], *bias = &s->args[2], *c = &s->results[0];        \
    int64_t K = a->shape[a->rank - 1], N = c->shape[c->rank - 1], sa = a->stride[a->rank - 1];         \
    int64_t sc = c->stride[c->rank - 1];                                                               \
    bool packed = b->pack != PP_PACK_DENSE;                                                            \
    const TYPE *x = (const TYPE *)a->data + from[0], *bs = (const TYPE *)b->data;                      \
    TYPE *y = (TYPE *)c->data + from[3];                                                               \
    for (int64_t n = 0; n < N; n++) {                                                                  \
      const TYPE *w = packed ? bs + n / 16 * K * 16 + n % 16 : bs + from[1] + n * b->stride[b->rank - 1]; \
      int64_t sw = packed ? 16 : b->stride[b->rank - 2];                                               \
      TYPE acc = pp_present(bias) ? ((const TYPE *)bias->data)[n * bias->stride[0]] : 0;               \
      for (int64_t k = 0; k < K; k++) acc += x[k * sa] * w[k * sw];                                    \
      if (pp_present(&s->args[3]))                                                                     \
        acc += ((const TYPE *)s->args[3].data)[from[2] + n * s->args[3].stride[c->rank - 1]];          \
      if (acc < (TYPE)s->floats[0]) acc = (TYPE)s->floats[0];                                          \
      if (acc > (TYPE)s->floats[1]) acc = (TYPE)s->floats[1];                                          \
      y[n * sc] = acc;                                                                                 \
    }                                                                                                  \
  }
DOT(dot_f32, float)
#if PP_WITH_WIDE
DOT(dot_f64, double)
#endif

pp_status pp_gemm_run_reference(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  const pp_view *a = &s->args[0], *b = &s->args[1], *residual = &s->args[3], *c = &s->results[0];
  int last_dim = c->rank - 1;
  for (int64_t t = first; t < last; t++) {
    int64_t index[PP_MAX_RANK] = {0}, size[PP_MAX_RANK], from[4] = {0};
    pp_unravel(t, last_dim, c->shape, index);
    for (int d = 0; d <= last_dim; d++) size[d] = 1;
    size[last_dim] = c->shape[last_dim];
    from[0] = pp_offset_of(a, index);
    from[3] = pp_offset_of(c, index);
    if (pp_present(residual)) from[2] = pp_offset_of(residual, index);
    if (b->pack == PP_PACK_DENSE && b->rank == c->rank)
      for (int d = 0; d < last_dim - 1; d++) from[1] += index[d] * b->stride[d];
#if PP_WITH_WIDE
    if (c->dtype == PP_DTYPE_F64) dot_f64(s, from);
    else
#endif
      dot_f32(s, from);
    if (s->program.count) {
      pp_status status = pp_epilogue_reference(s, index, size, scratch, error);
      if (status != PP_OK) return status;
    }
  }
  return PP_OK;
}
