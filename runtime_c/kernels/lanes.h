/* The vector kernels of softmax, norm, reduce and pool2d: which steps they take, and how they cut them.
 *
 * Along: the elements that are combined follow each other in memory. Across: neighbours in memory belong to different
 * results, and every lane makes its own; a task is then a group of 16 results, whatever the width of a vector. */
#ifndef PP_KERNELS_LANES_H
#define PP_KERNELS_LANES_H

#include "common.h"
#include "reduce.h"
#include "rows.h"

#define PP_GROUP 16

typedef struct pp_softmax_plan {
  int axis, lane;              /* lane: the dimension lanes lie in, or -1: along */
  int64_t n, rows, columns, groups, per; /* rows of a task if along */
} pp_softmax_plan;

typedef struct pp_norm_plan {
  int outer;                   /* dimensions that are not normalized */
  int64_t n, rows, per;
} pp_norm_plan;

typedef struct pp_reduce_plan_lanes {
  pp_reduce_walk walk;
  int lane;                    /* kept dimension lanes lie in, or -1: along */
  int64_t columns, groups, rows;
} pp_reduce_lanes;

bool pp_softmax_lanes(const pp_step *step, pp_softmax_plan *plan);
bool pp_softmax_accepts(const pp_step *step);
void pp_softmax_prepare(pp_step *step);
bool pp_norm_lanes(const pp_step *step, pp_norm_plan *plan);
bool pp_norm_accepts(const pp_step *step);
void pp_norm_prepare(pp_step *step);
bool pp_reduce_lanes_plan(const pp_step *step, pp_reduce_lanes *plan);
bool pp_reduce_accepts(const pp_step *step);
void pp_reduce_prepare(pp_step *step);
bool pp_pool2d_accepts(const pp_step *step);
void pp_pool2d_prepare(pp_step *step);

#endif
