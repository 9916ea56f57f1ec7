/* Plans of the eager engine's convolution kernels, from shapes and strides alone. */
#include "eager_conv.h"

static bool one_channel(const pp_step *s) {
  return s->attrs[PP_CONV_GROUPS] == s->args[0].shape[1] && s->args[0].shape[1] == s->args[1].shape[1];
}

void pp_weight_grad_plan(const pp_step *s, pp_weight_grad *p) {
  const pp_view *x = &s->args[0], *g = &s->args[1], *w = &s->results[0];
  const int64_t *a = s->attrs;
  memset(p, 0, sizeof *p);
  p->groups = a[PP_CONV_GROUPS];
  p->channels = w->shape[1];
  p->outputs = w->shape[0] / p->groups;
  p->taps = w->shape[2] * w->shape[3];
  p->panels = PP_CEIL_DIV(p->outputs, PP_PANEL);
  p->wide = PP_MIN(p->panels, 4);
  p->columns = PP_CEIL_DIV(p->panels, p->wide);
  p->across = PP_MIN(g->shape[3], 384);
  p->lines = PP_MIN(PP_MAX(384 / PP_MAX(g->shape[3], 1), 1), g->shape[0] * g->shape[2]);
  p->high = PP_MAX(PP_MIN(p->channels, 640 / p->taps), 1);
  double products = (double)pp_elements(g) * (double)p->taps * (double)p->channels;
  while (p->high > 4 && products > 1e6 && p->groups * p->columns * PP_CEIL_DIV(p->channels, p->high) < 8) p->high /= 2;
  p->down = PP_CEIL_DIV(p->channels, p->high);
  p->copies = a[2] || a[3] || a[4] || a[5] || !pp_unit(x, 3);
  int64_t images = p->lines > 1 ? (p->lines - 1) / g->shape[2] + 2 : 1;
  p->copied = p->lines * a[0] + images * ((w->shape[2] - 1) * a[6] + 1);
  p->width = (p->across - 1) * a[1] + (w->shape[3] - 1) * a[7] + 1;
  size_t wide = (size_t)(p->wide * PP_PANEL) * sizeof(float);
  p->at_block = wide;
  p->at_partial = p->at_block + wide * PP_STRIP_ROWS;
  p->at_panels = p->at_partial + wide * (size_t)(p->high * p->taps);
  p->at_pointers = p->at_panels + wide * (size_t)(p->lines * p->across);
  p->at_places = p->at_pointers + PP_ALIGN64((size_t)p->lines * PP_STRIP_ROWS * sizeof(float *));
  p->at_copy = p->at_places + PP_ALIGN64((size_t)p->lines * sizeof(int64_t));
  p->bytes = p->at_copy + (p->copies ? PP_ALIGN64((size_t)(p->high * p->copied * p->width) * sizeof(float)) : 0);
}

bool pp_conv_weight_grad_accepts(const pp_step *s) {
  return pp_dense_f32(&s->args[0]) && pp_dense_f32(&s->args[1]) && pp_plain(&s->results[0]);
}

/* Tasks: [group][columns][channels], or channels where each is its own group. */
void pp_conv_weight_grad_prepare(pp_step *s) {
  const pp_view *g = &s->args[1], *w = &s->results[0];
  pp_weight_grad p;
  s->tasks = 0, s->scratch = 0;
  if (pp_elements(w) == 0 || pp_elements(g) == 0) return;
  s->plan[0] = one_channel(s);
  if (s->plan[0]) {
    pp_plane plane = pp_plane_of(s, g->shape[2], g->shape[3], w->shape[2], w->shape[3]);
    s->tasks = g->shape[1];
    s->scratch = (size_t)(plane.high * plane.wide + g->shape[3] + 16 + 18 * w->shape[2] * w->shape[3]) * sizeof(float);
    return;
  }
  pp_weight_grad_plan(s, &p);
  s->tasks = p.groups * p.columns * p.down;
  s->scratch = p.bytes;
}

bool pp_conv2d_accepts_dense(const pp_step *s) {
  return pp_dense_f32(&s->args[0]) && pp_dense_f32(&s->args[1]) && pp_absent_or_f32(&s->args[2]) &&
         !pp_present(&s->args[3]) && s->program.count == 0 && pp_dense_f32(&s->results[0]);
}

/* A task is one plane of a depthwise convolution, and all planes of a group of an image otherwise. */
void pp_conv2d_prepare_dense(pp_step *s) {
  const pp_view *y = &s->results[0], *w = &s->args[1];
  s->tasks = 0, s->scratch = 0;
  if (pp_elements(y) == 0) return;
  pp_plane plane = pp_plane_of(s, y->shape[2], y->shape[3], w->shape[2], w->shape[3]);
  int64_t taps = w->shape[2] * w->shape[3], whole = plane.high * plane.wide;
  if (pp_is_depthwise(s)) {
    s->tasks = y->shape[0] * y->shape[1];
    s->scratch = (size_t)(whole + y->shape[3] + 16 + 3 * taps) * sizeof(float);
    return;
  }
  s->tasks = y->shape[0] * s->attrs[PP_CONV_GROUPS];
  s->scratch = (size_t)(w->shape[1] * (whole + taps * (PP_PLANAR_ROWS + 4)) + 32) * sizeof(float);
}
