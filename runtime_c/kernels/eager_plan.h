/* Which steps the kernels of eager.h take, and how they cut them. */
#ifndef PP_KERNELS_EAGER_PLAN_H
#define PP_KERNELS_EAGER_PLAN_H

#include "common.h"
#include "lanes.h"

#define PP_EAGER_COLUMNS 64 /* of a task that adds up columns */

bool pp_eager_accepts(const pp_step *step);
void pp_softmax_grad_prepare(pp_step *step);
void pp_norm_grad_prepare(pp_step *step);
void pp_norm_param_grad_prepare(pp_step *step);
void pp_channel_norm_prepare(pp_step *step);

#endif
