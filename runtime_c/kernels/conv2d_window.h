/* Where the input values of a window are, for conv2d_impl.h: pixels, taps inside the input, copies with zeros around. */
#ifndef PP_KERNELS_CONV2D_WINDOW_H
#define PP_KERNELS_CONV2D_WINDOW_H

#include "conv2d.h"

/* Walks pixels of y. */
typedef struct pixel {
  int64_t n, h, w;
} pixel;

PP_INLINE pixel pixel_at(const pp_view *y, int64_t row) {
  int64_t line = row / y->shape[3];
  return (pixel){line / y->shape[2], line % y->shape[2], row % y->shape[3]};
}

PP_INLINE void pixel_next(const pp_view *y, pixel *p) {
  if (++p->w < y->shape[3]) return;
  p->w = 0;
  if (++p->h < y->shape[2]) return;
  p->h = 0;
  p->n++;
}

PP_INLINE int64_t pixel_offset(const pp_view *v, const pixel *p) {
  return p->n * v->stride[0] + p->h * v->stride[2] + p->w * v->stride[3];
}

/* Taps [first, last) of one output along a dimension that lie inside the input. */
PP_INLINE void inside(int64_t start, int64_t dilation, int64_t taps, int64_t size, int64_t *first, int64_t *last) {
  *first = 0, *last = taps;
  if (start >= 0 && start + (taps - 1) * dilation < size) return;
  int64_t low = start < 0 ? PP_CEIL_DIV(-start, dilation) : 0;
  int64_t high = start >= size ? 0 : (size - 1 - start) / dilation + 1;
  *last = PP_MIN(high, taps);
  *first = PP_MIN(low, *last);
}

/* Where the channels from `channel` on of pixel `p` are for `taps` taps from (i, j) on: to[tap][rows]. */
PP_INLINE void point(const pp_step *s, const float *zeros, const pixel *p, int64_t channel, int64_t i, int64_t j,
                     int64_t taps, const float **to, int rows) {
  const pp_view *x = &s->args[0], *w = &s->args[1];
  const int64_t *a = s->attrs, width = w->shape[3];
  int64_t h = p->h * a[0] - a[2], v = p->w * a[1] - a[3], low[2], high[2];
  inside(h, a[6], w->shape[2], x->shape[2], &low[0], &high[0]);
  inside(v, a[7], width, x->shape[3], &low[1], &high[1]);
  const float *data = (const float *)x->data + p->n * x->stride[0] + channel;
  for (; taps > 0; taps--, to += rows) {
    bool real = i >= low[0] && i < high[0] && j >= low[1] && j < high[1];
    *to = real ? data + (h + i * a[6]) * x->stride[2] + (v + j * a[7]) * x->stride[3] : zeros;
    if (++j == width) j = 0, i++;
  }
}

/* The window of pixel `p` as one row in the order (kh, kw, c), zeros where it leaves the input. */
static void gather(const pp_step *s, const pp_conv *c, const pixel *p, int64_t channel, float *to) {
  const pp_view *x = &s->args[0], *w = &s->args[1];
  const int64_t *a = s->attrs, width = w->shape[3];
  int64_t h = p->h * a[0] - a[2], v = p->w * a[1] - a[3], low[2], high[2];
  int64_t sc = pp_step_of(x, 1), sw = pp_distance(a[7], x->stride[3]);
  inside(h, a[6], w->shape[2], x->shape[2], &low[0], &high[0]);
  inside(v, a[7], width, x->shape[3], &low[1], &high[1]);
  int64_t run = high[1] - low[1], skip = low[1] * c->channels;
  if ((high[0] - low[0]) * run < c->taps) memset(to, 0, (size_t)(c->taps * c->channels) * sizeof *to);
  if (run <= 0 || c->channels == 0) return;
  const float *from = (const float *)x->data + p->n * x->stride[0] + channel * sc + (v + low[1] * a[7]) * x->stride[3];
  for (int64_t i = low[0]; i < high[0]; i++) {
    const float *line = from + (h + i * a[6]) * x->stride[2];
    float *row = to + i * width * c->channels + skip;
    for (int64_t k = 0; k < c->channels; k++)
      for (int64_t j = 0; j < run; j++) row[j * c->channels + k] = line[j * sw + k * sc];
  }
}

/* The input under `count` windows from pixel `p` on: one line per kh, zeros outside. */
static void copy_lines(const pp_step *s, const pp_conv *c, const pixel *p, int64_t count, int64_t channel, float *to) {
  const pp_view *x = &s->args[0], *w = &s->args[1];
  const int64_t *a = s->attrs;
  int64_t first = p->w * a[1] - a[3], columns = (count - 1) * a[1] + (w->shape[3] - 1) * a[7] + 1;
  int64_t low = PP_MIN(PP_MAX(-first, 0), columns), high = PP_MAX(PP_MIN(x->shape[3] - first, columns), low);
  int64_t sc = pp_step_of(x, 1), sw = x->stride[3];
  for (int64_t i = 0; i < w->shape[2]; i++, to += c->down) {
    int64_t h = p->h * a[0] - a[2] + i * a[6];
    bool empty = h < 0 || h >= x->shape[2] || low == high || c->channels == 0;
    if (empty || high - low < columns) memset(to, 0, (size_t)c->down * sizeof *to);
    if (empty) continue;
    const float *from = (const float *)x->data + p->n * x->stride[0] + channel * sc + h * x->stride[2] + (first + low) * sw;
    if (pp_unit(x, 3)) {
      for (int64_t k = 0; k < c->channels; k++)
        memcpy(to + k * c->deep + low, from + k * sc, (size_t)(high - low) * sizeof *to);
    } else if (sc == 1 && sw == c->channels) {
      memcpy(to + low * c->right, from, (size_t)((high - low) * c->right) * sizeof *to);
    } else {
      for (int64_t j = low; j < high; j++, from += sw)
        for (int64_t k = 0; k < c->channels; k++) to[j * c->right + k] = from[k * sc];
    }
  }
}

#endif
