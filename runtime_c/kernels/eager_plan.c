/* Plans of the eager engine's kernels, from shapes alone. */
#include "eager_plan.h"

bool pp_eager_accepts(const pp_step *s) {
  for (int i = 0; i < s->n_args; i++)
    if (pp_present(&s->args[i]) && !pp_plain(&s->args[i])) return false;
  for (int i = 0; i < s->n_results; i++)
    if (!pp_plain(&s->results[i])) return false;
  return true;
}

/* Rows of a task, which is plan[0]: at least 4096 elements, and enough tasks to share out. */
static void by_rows(pp_step *s, int64_t rows, int64_t n) {
  s->plan[0] = PP_MAX(PP_MIN(PP_CEIL_DIV(4096, PP_MAX(n, 1)), PP_CEIL_DIV(rows, PP_TASK_GOAL)), 1);
  s->tasks = PP_CEIL_DIV(rows, s->plan[0]);
  s->scratch = 0;
}

void pp_softmax_grad_prepare(pp_step *s) {
  const int64_t *shape = s->args[0].shape;
  by_rows(s, shape[0], shape[1]);
  if (shape[2] != 1) s->tasks = shape[0] * PP_CEIL_DIV(shape[2], PP_GROUP);
  if (pp_elements(&s->args[0]) == 0) s->tasks = 0;
}

void pp_norm_grad_prepare(pp_step *s) {
  by_rows(s, s->args[0].shape[0], s->args[0].shape[1]);
  if (pp_elements(&s->args[0]) == 0) s->tasks = 0;
}

void pp_norm_param_grad_prepare(pp_step *s) {
  s->tasks = PP_CEIL_DIV(s->args[0].shape[1], PP_EAGER_COLUMNS);
  s->scratch = 0;
}

/* A task is a channel, or a group of lanes. */
void pp_channel_norm_prepare(pp_step *s) {
  const int64_t *shape = s->args[0].shape;
  s->tasks = shape[2] > 1 ? shape[1] : PP_CEIL_DIV(shape[1], PP_GROUP);
  if (pp_elements(&s->args[0]) == 0) s->tasks = 0;
  s->scratch = 0;
}
