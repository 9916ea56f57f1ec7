/* Plans of the convolution kernels that only the eager engine uses: gradient of the weight, convolution in planes. */
#ifndef PP_KERNELS_EAGER_CONV_H
#define PP_KERNELS_EAGER_CONV_H

#include "conv2d.h"

/* The gradient of the weight as products: rows are the (c, kh, kw) of some channels, columns outputs, and k runs over the
 * pixels of g. A block of k is `lines` lines of g, or `across` pixels of one line; its sum is made apart and then added,
 * so that long sums keep their digits. */
typedef struct pp_weight_grad {
  bool copies;                 /* the lines of x that a block meets, with zeros around them */
  int64_t groups, channels, outputs, taps, panels, wide, columns; /* of a group; panels of a task and how many tasks */
  int64_t high, down;          /* channels of a task and how many tasks */
  int64_t lines, across, copied, width; /* lines that are copied for a block, at most, and their elements */
  size_t at_block, at_partial, at_panels, at_pointers, at_places, at_copy, bytes; /* scratch */
} pp_weight_grad;

void pp_weight_grad_plan(const pp_step *step, pp_weight_grad *plan);
bool pp_conv_weight_grad_accepts(const pp_step *step);
void pp_conv_weight_grad_prepare(pp_step *step);

/* Convolution in planes, with dense weights: lanes are pixels of a line. A plane is copied with zeros around it, columns sorted by their place modulo the stride, so that
 * neighbouring results read neighbouring elements. */
typedef struct pp_plane {
  int64_t wide, run, high;     /* elements of a line, of one place modulo the stride, lines */
} pp_plane;

PP_INLINE pp_plane pp_plane_of(const pp_step *s, int64_t out_high, int64_t out_wide, int64_t taps_high, int64_t taps_wide) {
  const int64_t *a = s->attrs;
  pp_plane p;
  p.run = out_wide + ((taps_wide - 1) * a[7]) / a[1] + 16; /* vectors reach past the end */
  p.wide = p.run * a[1];
  p.high = (out_high - 1) * a[0] + (taps_high - 1) * a[6] + 1;
  return p;
}

#define PP_PLANAR_ROWS 6 /* outputs at a time */

PP_INLINE bool pp_is_depthwise(const pp_step *s) {
  return s->args[1].shape[1] == 1 && s->attrs[PP_CONV_GROUPS] == s->args[1].shape[0];
}

bool pp_conv2d_accepts_dense(const pp_step *step);
void pp_conv2d_prepare_dense(pp_step *step);

#endif
