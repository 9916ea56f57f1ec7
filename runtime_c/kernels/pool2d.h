/* Windows of a pooling step, clipped to the input. */
#ifndef PP_KERNELS_POOL2D_H
#define PP_KERNELS_POOL2D_H

#include "common.h"

typedef struct pp_window {
  int64_t first, count, step;  /* input positions */
  int64_t padded;              /* taps inside the padded input */
} pp_window;

/* Along dimension d (0 height, 1 width). Attributes reach 2^31, so taps are counted, not walked. */
PP_INLINE pp_window pp_pool_window(const pp_step *s, int d, int64_t out) {
  const int64_t *a = s->attrs;
  int64_t kernel = a[1 + d], dilation = a[9 + d], size = s->args[0].shape[2 + d];
  int64_t start = out * a[3 + d] - a[5 + d];
  int64_t low = start < 0 ? PP_CEIL_DIV(-start, dilation) : 0;
  int64_t high = start >= size ? 0 : (size - 1 - start) / dilation + 1;
  int64_t end = size + a[7 + d];
  int64_t padded = start >= end ? 0 : (end - 1 - start) / dilation + 1;
  low = PP_MIN(low, kernel);
  high = PP_MIN(high, kernel);
  return (pp_window){start + low * dilation, PP_MAX(high - low, 0), dilation, PP_MIN(padded, kernel)};
}

PP_INLINE float pp_pool_divisor(const pp_step *s, const pp_window *h, const pp_window *w) {
  if (s->attrs[12]) return (float)s->attrs[12];
  if (s->attrs[11]) return (float)h->padded * (float)w->padded;
  return (float)h->count * (float)w->count;
}

#endif
