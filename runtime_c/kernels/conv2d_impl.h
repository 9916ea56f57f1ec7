/* Convolutions of one instruction set as products over windows, f32. See conv2d.h and tile.h. */
#include "conv2d.h"
#include "isa.h"
#include "simd.h"

#if PP_W > 1

/* What one task is about. */
typedef struct task {
  int64_t group, row, rows, column, columns, panels; /* columns count inside the group */
  const float *b;
  float *bias, *partial, *gathered;
  const float *zeros, **pointers;
} task;

/* Walks pixels of y. */
typedef struct pixel {
  int64_t n, h, w;
} pixel;

static const uint8_t row_dims[3] = {0, 2, 3};

static pixel pixel_at(const pp_view *y, int64_t row) {
  int64_t line = row / y->shape[3];
  return (pixel){line / y->shape[2], line % y->shape[2], row % y->shape[3]};
}

static void pixel_next(const pp_view *y, pixel *p) {
  if (++p->w < y->shape[3]) return;
  p->w = 0;
  if (++p->h < y->shape[2]) return;
  p->h = 0;
  p->n++;
}

static int64_t pixel_offset(const pp_view *v, const pixel *p) {
  return p->n * v->stride[0] + p->h * v->stride[2] + p->w * v->stride[3];
}

/* Taps [first, last) of one output along a dimension that lie inside the input. */
static void inside(int64_t start, int64_t dilation, int64_t taps, int64_t size, int64_t *first, int64_t *last) {
  *first = 0, *last = taps;
  if (start >= 0 && start + (taps - 1) * dilation < size) return;
  int64_t low = start < 0 ? PP_CEIL_DIV(-start, dilation) : 0;
  int64_t high = start >= size ? 0 : (size - 1 - start) / dilation + 1;
  *last = PP_MIN(high, taps);
  *first = PP_MIN(low, *last);
}

/* Where the channels of pixel `p` are for `taps` taps from (i, j) on: to[tap][rows]. */
static void point(const pp_step *s, const task *t, const pixel *p, int64_t i, int64_t j, int64_t taps,
                  const float **to, int rows) {
  const pp_view *x = &s->args[0], *w = &s->args[1];
  const int64_t *a = s->attrs, width = w->shape[3];
  int64_t h = p->h * a[0] - a[2], v = p->w * a[1] - a[3], low[2], high[2];
  inside(h, a[6], w->shape[2], x->shape[2], &low[0], &high[0]);
  inside(v, a[7], width, x->shape[3], &low[1], &high[1]);
  const float *data = (const float *)x->data + p->n * x->stride[0] + t->group * w->shape[1];
  for (; taps > 0; taps--, to += rows) {
    bool real = i >= low[0] && i < high[0] && j >= low[1] && j < high[1];
    *to = real ? data + (h + i * a[6]) * x->stride[2] + (v + j * a[7]) * x->stride[3] : t->zeros;
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
    if (sc == 1 && sw == c->channels) {
      memcpy(row, line, (size_t)(run * c->channels) * sizeof *to);
      continue;
    }
    for (int64_t k = 0; k < c->channels; k++)
      for (int64_t j = 0; j < run; j++) row[j * c->channels + k] = line[j * sw + k * sc];
  }
}

/* Adds the taps [first, last) to all rows of the task. */
static void strips(const pp_step *s, const pp_conv *c, const task *t, int64_t first, int64_t last) {
  const pp_view *residual = &s->args[3], *y = &s->results[0];
  bool end = last == c->taps, direct = end && c->direct;
  int64_t width = t->panels * PP_PANEL, k = c->taps * c->channels;
  int64_t output = t->group * c->outputs + t->column, channel = t->group * c->channels;
  const float *x[PP_STRIP_ROWS], *r[PP_STRIP_ROWS], *begin[PP_STRIP_ROWS];
  float *to[PP_STRIP_ROWS];
  pp_strip strip = {.a = c->gather ? x : t->pointers, .taps = last - first, .k = c->channels, .a_step = 1,
                    .b = t->b + first * c->channels * PP_PANEL, .b_step = PP_PANEL, .b_panel = k * PP_PANEL,
                    .bias = t->bias, .c = to, .columns = direct ? t->columns : width,
                    .low = -__builtin_inff(), .high = __builtin_inff()};
  if (c->gather) strip.taps = 1, strip.k = k;
  if (first > 0) strip.start = begin;
  if (direct) {
    if (pp_present(residual)) strip.residual = r;
    strip.low = (float)s->floats[0], strip.high = (float)s->floats[1];
  }
  pixel p = pixel_at(y, t->row);
  int64_t i0 = first / s->args[1].shape[3], j0 = first % s->args[1].shape[3];
  int tall = PP_NAME(pp_strip_rows_)(t->panels, t->rows);
  for (int64_t done = 0; done < t->rows; done += strip.rows) {
    strip.rows = (int)PP_MIN(tall, t->rows - done);
    for (int i = 0; i < strip.rows; i++, pixel_next(y, &p)) {
      float *own = t->partial + (done + i) * width;
      if (c->gather) {
        x[i] = t->gathered + i * k;
        gather(s, c, &p, channel, t->gathered + i * k);
      } else {
        point(s, t, &p, i0, j0, last - first, t->pointers + i, strip.rows);
      }
      begin[i] = own;
      to[i] = direct ? (float *)y->data + pixel_offset(y, &p) + output : own;
      if (strip.residual) r[i] = (const float *)residual->data + pixel_offset(residual, &p) + output;
    }
    PP_NAME(pp_strip_run_)(&strip);
  }
}

/* Sums that were made in scratch: residual, clamp, and y of any strides, channel by channel along a line. */
static void finish(const pp_step *s, const pp_conv *c, const task *t) {
  const pp_view *residual = &s->args[3], *y = &s->results[0];
  int64_t width = t->panels * PP_PANEL, output = t->group * c->outputs + t->column;
  float low = (float)s->floats[0], high = (float)s->floats[1];
  pixel p = pixel_at(y, t->row);
  for (int64_t done = 0, run; done < t->rows; done += run) {
    run = PP_MIN(y->shape[3] - p.w, t->rows - done);
    for (int64_t j = 0; j < t->columns; j++) {
      const float *from = t->partial + done * width + j, *r = NULL;
      float *to = (float *)y->data + pixel_offset(y, &p) + (output + j) * y->stride[1];
      if (pp_present(residual))
        r = (const float *)residual->data + pixel_offset(residual, &p) + (output + j) * residual->stride[1];
      for (int64_t i = 0; i < run; i++)
        to[i * y->stride[3]] = pp_finish(from[i * width], r ? r + i * residual->stride[3] : NULL, low, high);
    }
    p.w += run - 1;
    pixel_next(y, &p);
  }
}

pp_status PP_NAME(pp_conv2d_run_panel16_)(const pp_step *s, int64_t first, int64_t last, void *scratch,
                                          pp_error *error) {
  pp_conv c;
  pp_conv_plan(s, &c);
  const pp_blocks *blocks = &c.blocks;
  const pp_view *bias = &s->args[2], *y = &s->results[0];
  char *memory = scratch;
  float *zeros = (float *)(void *)(memory + c.at_zeros);
  task t = {.bias = scratch, .partial = (float *)(void *)(memory + c.at_partial), .zeros = zeros,
            .pointers = (const float **)(void *)(memory + c.at_pointers),
            .gathered = (float *)(void *)(memory + c.at_gathered)};
  if (!c.gather) memset(zeros, 0, (size_t)c.channels * sizeof *zeros);
  for (int64_t n = first; n < last; n++) {
    int64_t panel = n / blocks->down % blocks->across * blocks->wide;
    t.group = n / blocks->down / blocks->across;
    t.row = n % blocks->down * blocks->high;
    t.rows = PP_MIN(blocks->high, c.rows - t.row);
    t.column = panel * PP_PANEL;
    t.columns = PP_MIN(blocks->wide * PP_PANEL, c.outputs - t.column);
    t.panels = PP_CEIL_DIV(t.columns, PP_PANEL);
    t.b = (const float *)s->args[1].data + (t.group * c.panels + panel) * c.taps * c.channels * PP_PANEL;
    int64_t output = t.group * c.outputs + t.column;
    pp_bias_fill(t.bias, bias, output, t.columns, t.panels);
    for (int64_t tap = 0; tap < c.taps; tap += c.tap_block) strips(s, &c, &t, tap, PP_MIN(tap + c.tap_block, c.taps));
    if (!c.direct) finish(s, &c, &t);
    if (s->program.count == 0) continue;
    int64_t start[4] = {0, output, 0, 0}, size[4] = {1, t.columns, 1, 1};
    for (int64_t row = t.row, end = t.row + t.rows; row < end;) {
      row += pp_rows_box(y->shape, row_dims, 3, row, end, start, size);
      pp_status status = PP_EPILOGUE(s, start, size, memory + c.at_epilogue, error);
      if (status != PP_OK) return status;
    }
  }
  return PP_OK;
}

#endif
typedef int pp_conv2d_impl_is_not_empty;
