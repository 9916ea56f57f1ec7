/* Matrix products of one instruction set, f32. See gemm.h and tile.h. */
#include "gemm.h"
#include "isa.h"
#include "pack_impl.h"
#include "simd.h"

#if PP_W > 1

/* What one task is about. */
typedef struct task {
  int64_t batch, row, rows, column, columns, panels;
  const float *b;              /* element [0, column] of its batch, or its first panel */
  float *bias, *partial, *made;
} task;

/* Row `row` of the task's batch, in the row-major order of every dimension but the last. */
static void locate(const pp_step *s, const pp_gemm *g, const task *t, int64_t row, int64_t *index) {
  const pp_view *c = &s->results[0];
  memset(index, 0, PP_MAX_RANK * sizeof *index);
  pp_unravel(t->batch * g->rows + row, c->rank - 1, c->shape, index);
}

/* Products of k in [from, from + deep). b is laid out as the strip says, apart from the last panel of ROWS. */
static void strips(const pp_step *s, const pp_gemm *g, const task *t, int64_t from, int64_t deep) {
  const pp_view *a = &s->args[0], *residual = &s->args[3], *c = &s->results[0];
  int last = c->rank - 1;
  bool start = from > 0, end = from + deep >= g->k, direct = end && g->direct;
  int64_t width = t->panels * PP_PANEL, index[PP_MAX_RANK];
  const float *x[PP_STRIP_ROWS], *r[PP_STRIP_ROWS], *begin[PP_STRIP_ROWS];
  float *y[PP_STRIP_ROWS];
  pp_strip strip = {.a = x, .taps = 1, .k = deep, .a_step = a->stride[last], .bias = t->bias, .c = y,
                    .columns = t->columns, .low = -__builtin_inff(), .high = __builtin_inff()};
  if (g->k <= 1) strip.a_step = 1;
  if (start) strip.start = begin;
  if (direct) {
    if (pp_present(residual)) strip.residual = r;
    strip.low = (float)s->floats[0], strip.high = (float)s->floats[1];
  } else {
    strip.columns = width;
  }
  const float *tail = NULL; /* the last, partial panel of rows of b */
  switch (g->mode) {
    case PP_GEMM_PANELS:
      strip.b = t->b + from * PP_PANEL;
      strip.b_step = PP_PANEL, strip.b_panel = g->k * PP_PANEL;
      break;
    case PP_GEMM_ROWS:
      strip.b = t->b + from * g->b_k;
      strip.b_step = g->b_k, strip.b_panel = PP_PANEL;
      if (t->columns % PP_PANEL) {
        int64_t whole = t->columns / PP_PANEL * PP_PANEL;
        make_panels(t->made, strip.b + whole, g->b_k, 1, deep, t->columns - whole);
        tail = t->made;
      }
      break;
    default:
      make_panels(t->made, t->b + from * g->b_k, g->b_k, g->b_n, deep, t->columns);
      strip.b = t->made;
      strip.b_step = PP_PANEL, strip.b_panel = deep * PP_PANEL;
  }
  locate(s, g, t, t->row, index);
  int tall = PP_NAME(pp_strip_rows_)(t->panels, t->rows, false);
  for (int64_t done = 0; done < t->rows; done += strip.rows) {
    strip.rows = (int)PP_MIN(tall, t->rows - done);
    for (int i = 0; i < strip.rows; i++) {
      float *own = t->partial + (done + i) * width;
      x[i] = a->data;
      if (g->k) x[i] += pp_offset_of(a, index) + from * a->stride[last];
      begin[i] = own;
      y[i] = direct ? (float *)c->data + pp_offset_of(c, index) + t->column : own;
      if (strip.residual) r[i] = (const float *)residual->data + pp_offset_of(residual, index) + t->column;
      pp_advance(last, c->shape, index);
    }
    if (!tail) {
      PP_NAME(pp_strip_run_)(&strip);
      continue;
    }
    pp_strip part = strip;
    part.columns = t->columns / PP_PANEL * PP_PANEL;
    PP_NAME(pp_strip_run_)(&part);
    for (int i = 0; i < strip.rows; i++) {
      y[i] += part.columns;
      if (start) begin[i] += part.columns;
      if (strip.residual) r[i] += part.columns;
    }
    part.b = tail;
    part.b_step = PP_PANEL;
    part.bias += part.columns;
    part.columns = strip.columns - part.columns;
    PP_NAME(pp_strip_run_)(&part);
  }
}

/* Sums over lanes first: rows of a times columns of b that are both contiguous along k. */
static void dots(const pp_step *s, const pp_gemm *g, const task *t) {
  const pp_view *a = &s->args[0];
  int64_t index[PP_MAX_RANK], k = g->k, whole = k / PP_W * PP_W;
  locate(s, g, t, t->row, index);
  for (int64_t i = 0; i < t->rows; i++) {
    const float *x = (const float *)a->data + pp_offset_of(a, index);
    float *to = t->partial + i * t->panels * PP_PANEL;
    pp_advance(a->rank - 1, s->results[0].shape, index);
    for (int64_t j = 0; j < t->columns; j += 4) {
      const float *b[4];
      vf acc[4];
      for (int q = 0; q < 4; q++) b[q] = t->b + PP_MIN(j + q, t->columns - 1) * g->b_n, acc[q] = vf_zero();
      for (int64_t n = 0; n < whole; n += PP_W) {
        vf v = vf_load(x + n);
        PP_UNROLLED for (int q = 0; q < 4; q++) acc[q] = vf_fma(v, vf_load(b[q] + n), acc[q]);
      }
      if (whole < k) {
        vf v = vf_loadn(x + whole, k - whole);
        for (int q = 0; q < 4; q++) acc[q] = vf_fma(v, vf_loadn(b[q] + whole, k - whole), acc[q]);
      }
      for (int q = 0; q < 4 && j + q < t->columns; q++) to[j + q] = t->bias[j + q] + vf_sum(acc[q]);
    }
  }
}

/* Sums that were made in scratch: residual, clamp, and c of any strides. */
static void finish(const pp_step *s, const pp_gemm *g, const task *t) {
  const pp_view *residual = &s->args[3], *c = &s->results[0];
  int last = c->rank - 1;
  int64_t index[PP_MAX_RANK], sr = residual->stride[last], sc = c->stride[last];
  float low = (float)s->floats[0], high = (float)s->floats[1];
  locate(s, g, t, t->row, index);
  for (int64_t i = 0; i < t->rows; i++) {
    const float *from = t->partial + i * t->panels * PP_PANEL, *r = NULL;
    float *to = (float *)c->data + pp_offset_of(c, index) + t->column * sc;
    if (pp_present(residual)) r = (const float *)residual->data + pp_offset_of(residual, index) + t->column * sr;
    for (int64_t j = 0; j < t->columns; j++) to[j * sc] = pp_finish(from[j], r ? r + j * sr : NULL, low, high);
    pp_advance(last, c->shape, index);
  }
}

static pp_status epilogue(const pp_step *s, const pp_gemm *g, const task *t, void *scratch, pp_error *error) {
  static const uint8_t dims[PP_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
  const pp_view *c = &s->results[0];
  int64_t start[PP_MAX_RANK], size[PP_MAX_RANK], row = t->batch * g->rows + t->row, end = row + t->rows;
  start[c->rank - 1] = t->column;
  size[c->rank - 1] = t->columns;
  while (row < end) {
    row += pp_rows_box(c->shape, dims, c->rank - 1, row, end, start, size);
    pp_status status = PP_EPILOGUE(s, start, size, scratch, error);
    if (status != PP_OK) return status;
  }
  return PP_OK;
}

pp_status PP_NAME(pp_gemm_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  const pp_view *b = &s->args[1];
  pp_gemm g;
  pp_gemm_plan(s, &g);
  const pp_blocks *blocks = &g.blocks;
  char *memory = scratch;
  task t = {.bias = scratch, .partial = (float *)(void *)(memory + g.at_partial),
            .made = (float *)(void *)(memory + g.at_panels)};
  for (int64_t n = first; n < last; n++) {
    int64_t index[PP_MAX_RANK], panel = n / blocks->down % blocks->across * blocks->wide;
    t.batch = n / blocks->down / blocks->across;
    t.row = n % blocks->down * blocks->high;
    t.rows = PP_MIN(blocks->high, g.rows - t.row);
    t.column = panel * PP_PANEL;
    t.columns = PP_MIN(blocks->wide * PP_PANEL, g.n - t.column);
    t.panels = PP_CEIL_DIV(t.columns, PP_PANEL);
    pp_bias_fill(t.bias, &s->args[2], t.column, t.columns, t.panels);
    t.b = b->data;
    if (g.mode == PP_GEMM_PANELS) {
      t.b += panel * g.k * PP_PANEL;
    } else if (g.k) {
      if (!g.shared) {
        locate(s, &g, &t, 0, index);
        for (int d = 0; d < b->rank - 2; d++) t.b += index[d] * b->stride[d];
      }
      t.b += t.column * g.b_n;
    }
    if (g.mode == PP_GEMM_DOT)
      dots(s, &g, &t);
    else
      for (int64_t k = 0; k == 0 || k < g.k; k += blocks->deep) strips(s, &g, &t, k, PP_MIN(blocks->deep, g.k - k));
    if (g.mode == PP_GEMM_DOT || !g.direct) finish(s, &g, &t);
    if (s->program.count) {
      pp_status status = epilogue(s, &g, &t, memory + g.at_epilogue, error);
      if (status != PP_OK) return status;
    }
  }
  return PP_OK;
}

#endif
typedef int pp_gemm_impl_is_not_empty;
