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
  c->gather = (c->channels < 8 && c->taps > 1) || !pp_unit(x, 1) || c->channels == 0;
  c->direct = pp_unit(y, 1) && (!pp_present(residual) || pp_unit(residual, 1));
  if (!c->gather && c->taps * c->channels > 1024) {
    int64_t most = PP_MAX(1024 / PP_MAX(c->channels, 1), 1);
    c->tap_block = PP_CEIL_DIV(c->taps, PP_CEIL_DIV(c->taps, most));
  }
  int64_t k = c->taps * c->channels, width = c->gather ? 32 : 1;
  double products = (double)pp_elements(y) * (double)k;
  c->blocks = pp_blocks_plan(c->rows, c->panels, c->tap_block * c->channels, c->groups, width, products);
  size_t wide = (size_t)c->blocks.wide * PP_PANEL * sizeof(float), pointers = (size_t)c->tap_block * PP_STRIP_ROWS;
  bool partial = !c->direct || c->tap_block < c->taps;
  c->at_partial = wide;
  c->at_zeros = c->at_partial + (partial ? wide * (size_t)c->blocks.high : 0);
  c->at_pointers = c->at_zeros + (c->gather ? 0 : PP_ALIGN64((size_t)c->channels * sizeof(float)));
  c->at_gathered = c->at_pointers + (c->gather ? 0 : PP_ALIGN64(pointers * sizeof(float *)));
  c->at_epilogue = c->at_gathered + (c->gather ? PP_ALIGN64((size_t)k * PP_STRIP_ROWS * sizeof(float)) : 0);
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
  const pp_view *y = &s->results[0];
  d->rows = y->shape[0] * y->shape[2];
  d->panels = d->wide = PP_CEIL_DIV(y->shape[1], PP_PANEL);
  d->across = 1;
  if (pp_elements(y) == 0) return;
  while (d->wide > 1 && d->rows * d->across < PP_TASK_GOAL) {
    d->wide = PP_CEIL_DIV(d->wide, 2);
    d->across = PP_CEIL_DIV(d->panels, d->wide);
  }
}

void pp_conv2d_prepare_depthwise16(pp_step *s) {
  pp_depthwise d;
  pp_depthwise_plan(s, &d);
  s->tasks = pp_elements(&s->results[0]) ? d.rows * d.across : 0;
  s->scratch = PP_PANEL * sizeof(float) + pp_epilogue_scratch(s);
}
