/* How far the numbers of a row lie from one number, for the kernels of norms and their gradients; once per instruction
 * set. */
#ifndef PP_KERNELS_SPREAD_H
#define PP_KERNELS_SPREAD_H

#include "simd.h"

/* Sums of d = x - mean and of its square; mean 0 gives those of x. */
static void spread(const float *x, int64_t n, float mean, float *sum, float *square) {
  vf m = vf_set(mean), s0 = vf_zero(), s1 = s0, q0 = s0, q1 = s0;
  int64_t i = 0;
  for (; i + 2 * PP_W <= n; i += 2 * PP_W) {
    vf a = vf_load(x + i) - m, b = vf_load(x + i + PP_W) - m;
    s0 = s0 + a, s1 = s1 + b;
    q0 = vf_fma(a, a, q0), q1 = vf_fma(b, b, q1);
  }
  for (; i < n; i += PP_W) {
    int64_t lanes = PP_MIN(n - i, PP_W);
    vf a = vf_select(vi_first(lanes), vf_loadn(x + i, lanes) - m, vf_zero());
    s0 = s0 + a;
    q0 = vf_fma(a, a, q0);
  }
  *sum = vf_sum(s0 + s1);
  *square = vf_sum(q0 + q1);
}

#endif
