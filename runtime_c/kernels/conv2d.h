/* What the convolution kernels of all instruction sets share: plans and scratch. */
#ifndef PP_KERNELS_CONV2D_H
#define PP_KERNELS_CONV2D_H

#include "blocks.h"
#include "pointwise.h"

/* How the values of a window reach the strips: in place, by pointers to its taps; by a table of offsets into a copy of
 * the lines that some neighbouring windows cover, for few channels or channels that do not follow each other; or each
 * window copied together by itself, where that copy would be large. */
enum { PP_CONV_TAPS, PP_CONV_LINES, PP_CONV_GATHER };

/* A convolution as products: rows are pixels of y in the order [n, h, w], k is (kh, kw, c). */
typedef struct pp_conv {
  int mode;
  bool direct;                 /* strips write y themselves */
  int64_t rows, groups, channels, outputs, panels, taps; /* channels, outputs and panels of one group */
  int64_t tap_block;           /* taps that are added at a time */
  /* Of LINES: columns of the copy, and steps in it along (kh, c, column). */
  int64_t columns, down, deep, right;
  pp_blocks blocks;
  /* Scratch, in bytes: bias, partial sums, zeros of one pixel, pointers or offsets, copied input, epilogue. */
  size_t at_partial, at_zeros, at_table, at_copy, at_epilogue, bytes;
} pp_conv;

void pp_conv_plan(const pp_step *step, pp_conv *c);
bool pp_conv2d_accepts_panel16(const pp_step *step);
void pp_conv2d_prepare_panel16(pp_step *step);

/* Depthwise: a task is up to `high` lines of one image and up to `wide` panels of channels. */
typedef struct pp_depthwise {
  int64_t panels, wide, across, high, down;
} pp_depthwise;

void pp_depthwise_plan(const pp_step *step, pp_depthwise *d);
bool pp_conv2d_accepts_depthwise16(const pp_step *step);
void pp_conv2d_prepare_depthwise16(pp_step *step);

enum { PP_CONV_STRIDE = 0, PP_CONV_PAD = 2, PP_CONV_DILATION = 6, PP_CONV_GROUPS = 8 }; /* attributes: h, then w */

#endif
