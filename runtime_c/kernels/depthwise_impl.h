/* Depthwise convolutions of one instruction set, channels last, f32. A line of results is made panel by panel; a few
 * neighbouring pixels are made at once, so that a load of the input serves every window it lies in. Taps are added in
 * the order (kh, kw) after the bias whatever the shape of the step, so bits do not depend on it. */
#include "conv2d.h"
#include "isa.h"
#include "simd.h"

#if PP_W > 1

#define PIXELS (PP_W == 16 ? 8 : 4)
#define VECTORS (PP_W == 16 ? 1 : 2) /* of a panel at a time: PIXELS x VECTORS sums hide the latency of fma */

/* Some pixels of one line, some vectors of one panel. */
typedef struct line {
  const float *x, *w, *bias, *residual; /* at the first tap inside the input; weights of one panel */
  float *y;
  int64_t x_down, x_right, x_next;      /* from tap to tap, and from pixel to pixel */
  int64_t w_down, down, right;          /* from row to row of the window; taps */
  int64_t y_next, residual_next;
  int64_t lanes;                        /* of the vector, if masked */
  float low, high;
} line;

PP_INLINE vf lanes_load(const float *p, const bool masked, int64_t n) { return masked ? vf_loadn(p, n) : vf_load(p); }

/* `pixels` results next to each other. Width 0: any number of taps; else taps are `step` / pixels apart by x_right. */
PP_INLINE void block(const line *d, int64_t at, const int pixels, const int vectors, const int width, const int step,
                     const bool masked) {
  vf acc[8][2];
  const float *x = d->x + at * d->x_next, *w = d->w;
  PP_UNROLLED for (int v = 0; v < vectors; v++) {
    vf bias = vf_load(d->bias + v * PP_W);
    PP_UNROLLED for (int p = 0; p < pixels; p++) acc[p][v] = bias;
  }
  for (int64_t i = 0; i < d->down; i++, x += d->x_down, w += d->w_down) {
    if (width) {
      PP_UNROLLED for (int j = 0; j < (pixels - 1) * step + width; j++) {
        PP_UNROLLED for (int v = 0; v < vectors; v++) {
          vf value = lanes_load(x + j * d->x_right + v * PP_W, masked, d->lanes);
          PP_UNROLLED for (int t = width - 1; t >= 0; t--)
            if (j >= t && (j - t) % step == 0 && (j - t) / step < pixels)
              acc[(j - t) / step][v] = vf_fma(value, vf_load(w + t * PP_PANEL + v * PP_W), acc[(j - t) / step][v]);
        }
      }
    } else {
      const float *from = x, *weight = w;
      for (int64_t j = 0; j < d->right; j++, from += d->x_right, weight += PP_PANEL) {
        PP_UNROLLED for (int v = 0; v < vectors; v++) {
          vf tap = vf_load(weight + v * PP_W);
          PP_UNROLLED for (int p = 0; p < pixels; p++)
            acc[p][v] = vf_fma(lanes_load(from + p * d->x_next + v * PP_W, masked, d->lanes), tap, acc[p][v]);
        }
      }
    }
  }
  vf low = vf_set(d->low), high = vf_set(d->high);
  PP_UNROLLED for (int p = 0; p < pixels; p++) {
    PP_UNROLLED for (int v = 0; v < vectors; v++) {
      vf r = acc[p][v];
      if (d->residual)
        r = r + lanes_load(d->residual + (at + p) * d->residual_next + v * PP_W, masked, d->lanes);
      r = vf_minp(high, vf_maxp(low, r)); /* NaN stays */
      float *to = d->y + (at + p) * d->y_next + v * PP_W;
      if (masked) vf_storen(to, r, d->lanes);
      else vf_store(to, r);
    }
  }
}

#define LINE(NAME, VECTORS_, WIDTH, STEP, MASKED)                                                  \
  static void NAME(const line *shared, int64_t n) {                                                \
    const line own = *shared, *d = &own; /* no store changes it */                                 \
    int64_t p = 0;                                                                                 \
    for (; p + PIXELS <= n; p += PIXELS) block(d, p, PIXELS, VECTORS_, WIDTH, STEP, MASKED);       \
    if (PIXELS > 4 && p + 4 <= n) block(d, p, 4, VECTORS_, WIDTH, STEP, MASKED), p += 4;           \
    if (p + 2 <= n) block(d, p, 2, VECTORS_, WIDTH, STEP, MASKED), p += 2;                         \
    if (p < n) block(d, p, 1, VECTORS_, WIDTH, STEP, MASKED);                                      \
  }
LINE(line_any, VECTORS, 0, 1, false)
LINE(line_3_1, VECTORS, 3, 1, false)
LINE(line_3_2, VECTORS, 3, 2, false)
LINE(line_5_1, VECTORS, 5, 1, false)
LINE(masked_any, 1, 0, 1, true)
LINE(masked_3_1, 1, 3, 1, true)
LINE(masked_3_2, 1, 3, 2, true)
LINE(masked_5_1, 1, 5, 1, true)

typedef void line_kernel(const line *, int64_t);

/* What all lines have in common. */
typedef struct shape {
  line d;
  line_kernel *plain, *masked;
  int64_t low, high;           /* results whose windows lie inside the width of the input */
} shape;

static shape shape_of(const pp_step *s) {
  const pp_view *x = &s->args[0], *w = &s->args[1], *residual = &s->args[3], *y = &s->results[0];
  const int64_t *a = s->attrs, width = w->shape[3], span = (width - 1) * a[7];
  shape p = {.plain = line_any, .masked = masked_any};
  if (a[7] == 1 && width == 3 && a[1] == 1) p.plain = line_3_1, p.masked = masked_3_1;
  if (a[7] == 1 && width == 3 && a[1] == 2) p.plain = line_3_2, p.masked = masked_3_2;
  if (a[7] == 1 && width == 5 && a[1] == 1) p.plain = line_5_1, p.masked = masked_5_1;
  p.d = (line){.x_down = pp_distance(a[6], x->stride[2]), .x_right = pp_distance(a[7], x->stride[3]),
               .x_next = pp_distance(a[1], x->stride[3]), .w_down = width * PP_PANEL, .y_next = y->stride[3],
               .residual_next = residual->stride[3], .low = (float)s->floats[0], .high = (float)s->floats[1]};
  p.low = PP_MIN(PP_CEIL_DIV(a[3], a[1]), y->shape[3]);
  p.high = x->shape[3] + a[3] > span ? PP_MIN((x->shape[3] - 1 - span + a[3]) / a[1] + 1, y->shape[3]) : 0;
  p.high = PP_MAX(p.high, p.low);
  return p;
}

/* Taps [first, last) that lie inside; most dilations are 1, and divisions are slow. */
PP_INLINE void inside(int64_t start, int64_t dilation, int64_t taps, int64_t size, int64_t *first, int64_t *last) {
  int64_t low = PP_MAX(-start, 0), high = PP_MAX(size - start, 0);
  if (dilation != 1) low = PP_CEIL_DIV(low, dilation), high = PP_CEIL_DIV(high, dilation);
  *last = PP_MIN(high, taps);
  *first = PP_MIN(low, *last);
}

/* One line of one panel; `bias` is the panel's. */
static void run_line(const pp_step *s, const shape *p, int64_t n, int64_t h, int64_t panel, const float *bias) {
  const pp_view *x = &s->args[0], *w = &s->args[1], *residual = &s->args[3], *y = &s->results[0];
  const int64_t *a = s->attrs, width = w->shape[3], end = y->shape[3];
  int64_t channel = panel * PP_PANEL, left = PP_MIN(y->shape[1] - channel, PP_PANEL), top, bottom;
  int64_t start = h * a[0] - a[2];
  inside(start, a[6], w->shape[2], x->shape[2], &top, &bottom);
  line d = p->d;
  d.down = bottom - top;
  const float *weights = (const float *)w->data + (panel * w->shape[2] + top) * d.w_down;
  const float *from = (const float *)x->data + n * x->stride[0] + channel, *r = NULL;
  float *to = (float *)y->data + n * y->stride[0] + h * y->stride[2] + channel;
  if (d.down) from += (start + top * a[6]) * x->stride[2];
  if (pp_present(residual))
    r = (const float *)residual->data + n * residual->stride[0] + h * residual->stride[2] + channel;
  for (int64_t at = 0; at < left;) {
    bool full = left - at >= VECTORS * PP_W;
    d.lanes = PP_MIN(left - at, PP_W);
    d.bias = bias + at;
    for (int64_t q = 0, next; q < end; q = next) {
      bool whole = q >= p->low && q < p->high;
      int64_t column = q * a[1] - a[3], first = 0, last = width;
      if (!whole) inside(column, a[7], width, x->shape[3], &first, &last);
      next = whole ? p->high : q + 1;
      d.right = last - first;
      d.x = from + at;
      if (d.down && d.right) d.x += (column + first * a[7]) * x->stride[3];
      d.w = weights + first * PP_PANEL + at;
      d.y = to + q * y->stride[3] + at;
      d.residual = r ? r + q * residual->stride[3] + at : NULL;
      if (full) (whole ? p->plain : line_any)(&d, next - q);
      else (whole ? p->masked : masked_any)(&d, next - q);
    }
    at += full ? VECTORS * PP_W : PP_W;
  }
}

pp_status PP_NAME(pp_conv2d_run_depthwise16_)(const pp_step *s, int64_t first, int64_t last, void *scratch,
                                              pp_error *error) {
  const pp_view *y = &s->results[0];
  pp_depthwise d;
  pp_depthwise_plan(s, &d);
  shape p = shape_of(s);
  for (int64_t t = first; t < last; t++) {
    int64_t n = t / d.down / d.across, from = t % d.down * d.high, panel = t / d.down % d.across * d.wide;
    int64_t to = PP_MIN(from + d.high, y->shape[2]), end = PP_MIN(panel + d.wide, d.panels);
    for (int64_t k = panel; k < end; k++) {
      pp_bias_fill(scratch, &s->args[2], k * PP_PANEL, PP_MIN(y->shape[1] - k * PP_PANEL, PP_PANEL), 1);
      for (int64_t h = from; h < to; h++) run_line(s, &p, n, h, k, scratch);
    }
    if (s->program.count == 0) continue;
    int64_t start[4] = {n, panel * PP_PANEL, from, 0};
    int64_t size[4] = {1, PP_MIN(end * PP_PANEL, y->shape[1]) - panel * PP_PANEL, to - from, y->shape[3]};
    pp_status status = PP_EPILOGUE(s, start, size, (char *)scratch + PP_PANEL * sizeof(float), error);
    if (status != PP_OK) return status;
  }
  return PP_OK;
}

#endif
typedef int pp_depthwise_impl_is_not_empty;
