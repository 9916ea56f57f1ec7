/* Convolutions of one instruction set as products over windows, f32. See conv2d.h and tile.h. */
#include "isa.h"
#include "simd.h"

#if PP_W > 1

#include "conv2d_window.h"

/* What one task is about. */
typedef struct task {
  int64_t group, row, rows, column, columns, panels; /* columns count inside the group */
  const float *b;
  float *bias, *partial, *copy;
  const float *zeros, **pointers;
  int64_t *offsets;
} task;

static const uint8_t row_dims[3] = {0, 2, 3};

/* Where (kh, kw, c) lies in the copied lines, from the first column of a window. */
static void list_offsets(const pp_step *s, const pp_conv *c, int64_t *to) {
  const pp_view *w = &s->args[1];
  for (int64_t i = 0; i < w->shape[2]; i++)
    for (int64_t j = 0; j < w->shape[3]; j++)
      for (int64_t k = 0; k < c->channels; k++) *to++ = i * c->down + j * s->attrs[7] * c->right + k * c->deep;
}

/* Adds the taps [first, last) to all rows of the task. */
static void strips(const pp_step *s, const pp_conv *c, const task *t, int64_t first, int64_t last) {
  const pp_view *residual = &s->args[3], *y = &s->results[0];
  bool direct = last == c->taps && c->direct;
  int64_t width = t->panels * PP_PANEL, k = c->taps * c->channels;
  int64_t output = t->group * c->outputs + t->column, channel = t->group * c->channels;
  const float *x[PP_STRIP_ROWS], *r[PP_STRIP_ROWS], *begin[PP_STRIP_ROWS];
  float *to[PP_STRIP_ROWS];
  pp_strip strip = {.a = c->mode == PP_CONV_TAPS ? t->pointers : x, .taps = last - first, .k = c->channels,
                    .a_step = 1, .b = t->b + first * c->channels * PP_PANEL, .b_step = PP_PANEL,
                    .b_panel = k * PP_PANEL, .bias = t->bias, .c = to, .columns = direct ? t->columns : width,
                    .low = -__builtin_inff(), .high = __builtin_inff()};
  if (c->mode != PP_CONV_TAPS) strip.taps = 1, strip.k = k;
  if (c->mode == PP_CONV_LINES) strip.offsets = t->offsets;
  if (first > 0) strip.start = begin;
  if (direct) {
    if (pp_present(residual)) strip.residual = r;
    strip.low = (float)s->floats[0], strip.high = (float)s->floats[1];
  }
  pixel p = pixel_at(y, t->row);
  int64_t i0 = first / s->args[1].shape[3], j0 = first % s->args[1].shape[3];
  int64_t end = 0; /* of the line that was copied */
  for (int64_t done = 0, start = 0; done < t->rows; done += strip.rows) {
    if (done == end) {
      start = done;
      end = c->mode == PP_CONV_LINES ? PP_MIN(done + y->shape[3] - p.w, t->rows) : t->rows;
      if (c->mode == PP_CONV_LINES) copy_lines(s, c, &p, end - done, channel, t->copy);
    }
    strip.rows = PP_NAME(pp_strip_rows_)(t->panels, end - done, strip.offsets != NULL);
    for (int i = 0; i < strip.rows; i++, pixel_next(y, &p)) {
      float *own = t->partial + (done + i) * width;
      if (c->mode == PP_CONV_TAPS) {
        point(s, t->zeros, &p, channel, i0, j0, last - first, t->pointers + i, strip.rows);
      } else if (c->mode == PP_CONV_LINES) {
        x[i] = t->copy + (done - start + i) * s->attrs[1] * c->right;
      } else {
        x[i] = t->copy + i * k;
        gather(s, c, &p, channel, t->copy + i * k);
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
            .pointers = (const float **)(void *)(memory + c.at_table),
            .offsets = (int64_t *)(void *)(memory + c.at_table), .copy = (float *)(void *)(memory + c.at_copy)};
  if (c.mode == PP_CONV_TAPS) memset(zeros, 0, (size_t)c.channels * sizeof *zeros);
  if (c.mode == PP_CONV_LINES) list_offsets(s, &c, t.offsets);
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
