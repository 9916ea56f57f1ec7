/* Maximum and average pooling of one instruction set, channels last, f32. */
#include "isa.h"
#include "lanes.h"
#include "pool2d.h"
#include "simd.h"

typedef struct window {
  int64_t high, down, wide, right; /* taps, and elements from tap to tap */
} window;

PP_INLINE vf lanes_load(const float *p, const bool masked, int64_t n) { return masked ? vf_loadn(p, n) : vf_load(p); }

PP_INLINE void pool(const float *x, float *y, const window *w, bool max, float divisor, const int vectors,
                    const bool masked, int64_t n) {
  vf acc[4];
  PP_UNROLLED for (int v = 0; v < vectors; v++) acc[v] = vf_set(max ? -__builtin_inff() : 0.0f);
  for (int64_t i = 0; i < w->high; i++)
    for (int64_t j = 0; j < w->wide; j++) {
      const float *from = x + i * w->down + j * w->right;
      PP_UNROLLED for (int v = 0; v < vectors; v++) {
        vf value = lanes_load(from + v * PP_W, masked, n);
        acc[v] = max ? vf_max(acc[v], value) : acc[v] + value;
      }
    }
  PP_UNROLLED for (int v = 0; v < vectors; v++) {
    vf r = max ? acc[v] : acc[v] / vf_set(divisor);
    if (masked) vf_storen(y + v * PP_W, r, n);
    else vf_store(y + v * PP_W, r);
  }
}

pp_status PP_NAME(pp_pool2d_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  const pp_view *x = &s->args[0], *y = &s->results[0];
  bool max = s->attrs[0] == PP_POOL_MAX;
  int64_t channels = y->shape[1];
  for (int64_t t = first; t < last; t++) {
    int64_t n = t / y->shape[2], oh = t % y->shape[2];
    pp_window h = pp_pool_window(s, 0, oh);
    const float *image = (const float *)x->data + n * x->stride[0];
    float *line = (float *)y->data + n * y->stride[0] + oh * y->stride[2];
    for (int64_t ow = 0; ow < y->shape[3]; ow++) {
      pp_window v = pp_pool_window(s, 1, ow);
      window w = {h.count, h.count > 1 ? h.step * x->stride[2] : 0, v.count, v.count > 1 ? v.step * x->stride[3] : 0};
      const float *from = image;
      float *to = line + ow * y->stride[3], divisor = max ? 1.0f : pp_pool_divisor(s, &h, &v);
      int64_t c = 0;
      if (h.count && v.count) from += h.first * x->stride[2] + v.first * x->stride[3];
      for (; c + 4 * PP_W <= channels; c += 4 * PP_W) pool(from + c, to + c, &w, max, divisor, 4, false, 0);
      for (; c + PP_W <= channels; c += PP_W) pool(from + c, to + c, &w, max, divisor, 1, false, 0);
      if (c < channels) pool(from + c, to + c, &w, max, divisor, 1, true, channels - c);
    }
  }
  return PP_OK;
}
