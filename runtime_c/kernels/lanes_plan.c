/* Plans of the vector kernels of softmax, norm, reduce and pool2d, from shapes and strides alone. */
#include "lanes.h"

/* Rows of n elements that make a task worth starting. */
static int64_t rows_per_task(int64_t rows, int64_t n) {
  int64_t per = PP_CEIL_DIV(4096, PP_MAX(n, 1));
  return PP_MAX(PP_MIN(per, PP_CEIL_DIV(rows, PP_TASK_GOAL)), 1);
}

bool pp_softmax_lanes(const pp_step *s, pp_softmax_plan *p) {
  const pp_view *x = &s->args[0], *y = &s->results[0];
  *p = (pp_softmax_plan){.axis = (int)s->attrs[0], .lane = -1, .columns = 1, .groups = 1, .per = 1};
  p->n = x->shape[p->axis];
  p->rows = pp_elements(x);
  if (p->rows == 0) return true;
  p->rows /= p->n;
  if (pp_unit(x, p->axis) && pp_unit(y, p->axis)) {
    p->per = rows_per_task(p->rows, p->n);
    return true;
  }
  for (int d = 0; d < x->rank; d++)
    if (d != p->axis && x->shape[d] > p->columns && x->stride[d] == 1 && y->stride[d] == 1) {
      p->lane = d;
      p->columns = x->shape[d];
    }
  if (p->lane < 0) return false;
  p->rows /= p->columns;
  p->groups = PP_CEIL_DIV(p->columns, PP_GROUP);
  return true;
}

bool pp_softmax_accepts(const pp_step *s) {
  pp_softmax_plan p;
  return pp_dense_f32(&s->args[0]) && pp_dense_f32(&s->results[0]) && pp_softmax_lanes(s, &p);
}

void pp_softmax_prepare(pp_step *s) {
  pp_softmax_plan p;
  pp_softmax_lanes(s, &p);
  s->tasks = p.lane < 0 ? PP_CEIL_DIV(p.rows, p.per) : p.rows * p.groups;
  s->scratch = 0;
}

/* Dimensions [from, rank) in one run of consecutive elements. */
static bool one_run(const pp_view *v, int from) {
  int64_t step = 1;
  for (int d = v->rank - 1; d >= from; d--) {
    if (v->shape[d] > 1 && v->stride[d] != step) return false;
    step *= v->shape[d];
  }
  return true;
}

bool pp_norm_lanes(const pp_step *s, pp_norm_plan *p) {
  const pp_view *x = &s->args[0], *y = &s->results[0];
  *p = (pp_norm_plan){.outer = x->rank - (int)s->attrs[1], .n = 1, .rows = 1};
  for (int d = 0; d < p->outer; d++) p->rows *= x->shape[d];
  if (pp_elements(x) == 0) p->rows = 0;
  if (p->rows == 0) return true;
  for (int d = p->outer; d < x->rank; d++) p->n *= x->shape[d];
  p->per = rows_per_task(p->rows, p->n);
  for (int i = 1; i <= 2; i++)
    if (pp_present(&s->args[i]) && !one_run(&s->args[i], 0)) return false;
  return one_run(x, p->outer) && one_run(y, p->outer);
}

bool pp_norm_accepts(const pp_step *s) {
  pp_norm_plan p;
  return pp_dense_f32(&s->args[0]) && pp_absent_or_f32(&s->args[1]) && pp_absent_or_f32(&s->args[2]) &&
         pp_dense_f32(&s->results[0]) && pp_norm_lanes(s, &p);
}

void pp_norm_prepare(pp_step *s) {
  pp_norm_plan p;
  pp_norm_lanes(s, &p);
  s->tasks = p.rows ? PP_CEIL_DIV(p.rows, p.per) : 0;
  s->scratch = 0;
}

bool pp_reduce_lanes_plan(const pp_step *s, pp_reduce_lanes *p) {
  pp_reduce_plan(s, &p->walk);
  pp_reduce_walk *w = &p->walk;
  p->lane = -1;
  p->columns = p->groups = 1;
  p->rows = w->outputs;
  if (w->outputs == 0 || w->count == 0) return w->outputs == 0;
  /* The contiguous dimension may be any of the walked ones: it becomes the last, which is walked in the loop. */
  for (int d = 0; d < w->over; d++)
    if (w->over_x[d] == 1 && w->over_size[d] > 1) {
      int64_t size = w->over_size[d];
      for (int e = d; e + 1 < w->over; e++) w->over_size[e] = w->over_size[e + 1], w->over_x[e] = w->over_x[e + 1];
      w->over_size[w->over - 1] = size, w->over_x[w->over - 1] = 1;
      return true;
    }
  for (int d = 0; d < w->kept; d++)
    if (w->kept_size[d] > p->columns && w->kept_x[d] == 1 && w->kept_y[d] == 1) {
      p->lane = d;
      p->columns = w->kept_size[d];
    }
  if (p->lane < 0) return false;
  p->rows = w->outputs / p->columns;
  p->groups = PP_CEIL_DIV(p->columns, PP_GROUP);
  /* Rows are numbered without the lanes' dimension. */
  w->kept_size[p->lane] = 1;
  return true;
}

bool pp_reduce_accepts(const pp_step *s) {
  pp_reduce_lanes p;
  int64_t kind = s->attrs[0];
  bool known = kind == PP_REDUCE_SUM || kind == PP_REDUCE_MEAN || kind == PP_REDUCE_MAX || kind == PP_REDUCE_MIN;
  return known && pp_dense_f32(&s->args[0]) && pp_dense_f32(&s->results[0]) && pp_reduce_lanes_plan(s, &p);
}

void pp_reduce_prepare(pp_step *s) {
  pp_reduce_lanes p;
  pp_reduce_lanes_plan(s, &p);
  s->tasks = p.rows * p.groups;
  s->scratch = 0;
}

bool pp_pool2d_accepts(const pp_step *s) {
  return pp_dense_f32(&s->args[0]) && pp_dense_f32(&s->results[0]) && pp_unit(&s->args[0], 1) &&
         pp_unit(&s->results[0], 1);
}

/* A task is one line of pixels. */
void pp_pool2d_prepare(pp_step *s) {
  const pp_view *y = &s->results[0];
  s->tasks = pp_elements(y) ? y->shape[0] * y->shape[2] : 0;
  s->scratch = 0;
}
