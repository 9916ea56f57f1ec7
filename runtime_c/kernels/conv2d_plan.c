/* Plans of the convolution kernels, from shapes and strides alone. */
#include "conv2d.h"

static bool accepts_f32(const pp_step *s, uint8_t pack) {
  return pp_dense_f32(&s->args[0]) && s->args[1].dtype == PP_DTYPE_F32 && s->args[1].pack == pack &&
         pp_absent_or_f32(&s->args[2]) && pp_absent_or_f32(&s->args[3]) && pp_dense_f32(&s->results[0]);
}

bool pp_conv2d_accepts_panel16(const pp_step *s) { return accepts_f32(s, PP_PACK_CONV_PANEL16); }

void pp_conv_plan(const pp_step *s, pp_conv *c) {
  const pp_view *x = &s->args[0], *w = &s->args[1], *residual = &s->args[3], *y = &s->results[0];
  memset(c, 0, sizeof *c);
  c->groups = s->attrs[PP_CONV_GROUPS];
  c->rows = y->shape[0] * y->shape[2] * y->shape[3];
  c->channels = w->shape[1];
  c->outputs = w->shape[0] / c->groups;
  c->panels = PP_CEIL_DIV(c->outputs, PP_PANEL);
  c->taps = c->tap_block = w->shape[2] * w->shape[3];
  if (pp_elements(y) == 0) return;
  bool copies = (c->channels < 8 && c->taps > 1) || !pp_unit(x, 1) || c->channels == 0;
  c->direct = pp_unit(y, 1) && (!pp_present(residual) || pp_unit(residual, 1));
  if (!copies && c->taps * c->channels > 1024) {
    int64_t most = PP_MAX(1024 / PP_MAX(c->channels, 1), 1);
    c->tap_block = PP_CEIL_DIV(c->taps, PP_CEIL_DIV(c->taps, most));
  }
  int64_t k = c->taps * c->channels;
  double products = (double)pp_elements(y) * (double)k;
  c->blocks = pp_blocks_plan(c->rows, c->panels, c->tap_block * c->channels, c->groups, copies ? 32 : 1, products);
  size_t table = (size_t)c->tap_block * PP_STRIP_ROWS * sizeof(float *), copy = 0;
  if (copies) {
    c->mode = PP_CONV_GATHER;
    c->columns = (PP_MIN(y->shape[3], c->blocks.high) - 1) * s->attrs[1] + (w->shape[3] - 1) * s->attrs[7] + 1;
    if ((double)w->shape[2] * (double)c->columns * (double)c->channels <= 32768.0) c->mode = PP_CONV_LINES;
    copy = (size_t)k * PP_STRIP_ROWS * sizeof(float);
  }
  if (c->mode == PP_CONV_LINES) {
    bool planar = pp_unit(x, 3);
    c->down = c->channels * c->columns;
    c->deep = planar ? c->columns : 1;
    c->right = planar ? 1 : c->channels;
    table = (size_t)k * sizeof(int64_t);
    copy = (size_t)(w->shape[2] * c->down) * sizeof(float);
  }
  size_t wide = (size_t)c->blocks.wide * PP_PANEL * sizeof(float);
  bool partial = !c->direct || c->tap_block < c->taps;
  c->at_partial = wide;
  c->at_zeros = c->at_partial + (partial ? wide * (size_t)c->blocks.high : 0);
  c->at_table = c->at_zeros + (copies ? 0 : PP_ALIGN64((size_t)c->channels * sizeof(float)));
  c->at_copy = c->at_table + PP_ALIGN64(table);
  c->at_epilogue = c->at_copy + PP_ALIGN64(copy);
  c->bytes = c->at_epilogue + pp_epilogue_scratch(s);
}

/* Tasks: [group][columns][rows], so that neighbours share a block of weights. */
void pp_conv2d_prepare_panel16(pp_step *s) {
  pp_conv c;
  pp_conv_plan(s, &c);
  s->tasks = pp_elements(&s->results[0]) ? c.groups * c.blocks.across * c.blocks.down : 0;
  s->scratch = c.bytes;
}

bool pp_conv2d_accepts_depthwise16(const pp_step *s) {
  return accepts_f32(s, PP_PACK_DEPTHWISE16) && pp_unit(&s->args[0], 1) && pp_unit(&s->results[0], 1) &&
         (!pp_present(&s->args[3]) || pp_unit(&s->args[3], 1));
}

void pp_depthwise_plan(const pp_step *s, pp_depthwise *d) {
  const pp_view *x = &s->args[0], *w = &s->args[1], *y = &s->results[0];
  memset(d, 0, sizeof *d);
  if (pp_elements(y) == 0) return;
  int64_t lines = y->shape[2], window = (w->shape[2] - 1) * s->attrs[6] + 1;
  d->panels = d->wide = PP_CEIL_DIV(y->shape[1], PP_PANEL);
  d->across = 1;
  /* The lines of one panel that a task reads stay in a first-level cache of 32 KB. */
  int64_t fit = 24576 / 64 / PP_MAX(x->shape[3], 1);
  d->high = PP_MIN(PP_MAX((fit - window) / s->attrs[0] + 1, 1), lines);
  d->down = PP_CEIL_DIV(lines, d->high);
  while (d->wide > 1 && y->shape[0] * d->down * d->across < PP_TASK_GOAL) {
    d->wide = PP_CEIL_DIV(d->wide, 2);
    d->across = PP_CEIL_DIV(d->panels, d->wide);
  }
  while (d->high > 1 && y->shape[0] * d->down * d->across < PP_TASK_GOAL) {
    d->high = PP_CEIL_DIV(d->high, 2);
    d->down = PP_CEIL_DIV(lines, d->high);
  }
}

/* Tasks: [image][panels][lines]. */
void pp_conv2d_prepare_depthwise16(pp_step *s) {
  pp_depthwise d;
  pp_depthwise_plan(s, &d);
  s->tasks = s->results[0].shape[0] * d.down * d.across;
  s->scratch = PP_PANEL * sizeof(float) + pp_epilogue_scratch(s);
}
