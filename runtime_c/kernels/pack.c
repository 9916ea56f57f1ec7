/* Weights of a convolution as panels of 16 outputs, from any strides: what the exporter does for programs. */
#include "eager_plan.h"

bool pp_pack_accepts(const pp_step *s) {
  return pp_dense_f32(&s->args[0]) && s->results[0].dtype == PP_DTYPE_F32 && s->results[0].pack == PP_PACK_CONV_PANEL16;
}

/* A task is one panel. */
void pp_pack_prepare(pp_step *s) {
  const int64_t *shape = s->args[0].shape, groups = s->attrs[0];
  s->tasks = groups * PP_CEIL_DIV(shape[0] / groups, 16);
  s->scratch = 0;
}

pp_status pp_pack_run(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const pp_view *w = &s->args[0];
  int64_t outputs = w->shape[0] / s->attrs[0], panels = PP_CEIL_DIV(outputs, 16), channels = w->shape[1];
  int64_t high = w->shape[2], wide = w->shape[3], so = w->stride[0], sc = w->stride[1];
  for (int64_t t = first; t < last; t++) {
    int64_t output = t % panels * 16, n = PP_MIN(outputs - output, 16);
    const float *from = (const float *)w->data + (t / panels * outputs + output) * so;
    float *to = (float *)s->results[0].data + t * high * wide * channels * 16;
    if (n < 16) memset(to, 0, (size_t)(high * wide * channels * 16) * sizeof *to);
    /* Eight channels at a time, so that what was read of a line is still there for its other taps. */
    for (int64_t c = 0; c < channels; c += 8)
      for (int64_t i = 0; i < high; i++)
        for (int64_t j = 0; j < wide; j++) {
          const float *x = from + c * sc + i * w->stride[2] + j * w->stride[3];
          float *panel = to + ((i * wide + j) * channels + c) * 16;
          for (int64_t k = 0; k < PP_MIN(channels - c, 8); k++, x += sc, panel += 16)
            for (int64_t o = 0; o < n; o++) panel[o] = x[o * so];
        }
  }
  return PP_OK;
}
