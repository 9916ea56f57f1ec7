/* Panels of 16 columns made while running, from a matrix of any strides. */
#ifndef PP_KERNELS_PACK_IMPL_H
#define PP_KERNELS_PACK_IMPL_H

#include "simd.h"
#include "tile.h"

#if PP_W > 1

typedef float v4 __attribute__((vector_size(16)));

PP_INLINE v4 v4_load(const float *p) { v4 v; memcpy(&v, p, sizeof v); return v; }
PP_INLINE void v4_store(float *p, v4 v) { memcpy(p, &v, sizeof v); }

/* to[i * to_step + j] = from[j * from_step + i] for i, j < 4. */
PP_INLINE void transpose_4x4(float *to, int64_t to_step, const float *from, int64_t from_step) {
  v4 a = v4_load(from), b = v4_load(from + from_step), c = v4_load(from + 2 * from_step),
     d = v4_load(from + 3 * from_step);
  v4 e = __builtin_shufflevector(a, b, 0, 4, 1, 5), f = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  v4 g = __builtin_shufflevector(a, b, 2, 6, 3, 7), h = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  v4_store(to, __builtin_shufflevector(e, f, 0, 1, 4, 5));
  v4_store(to + to_step, __builtin_shufflevector(e, f, 2, 3, 6, 7));
  v4_store(to + 2 * to_step, __builtin_shufflevector(g, h, 0, 1, 4, 5));
  v4_store(to + 3 * to_step, __builtin_shufflevector(g, h, 2, 3, 6, 7));
}

/* One panel: to[k][16] of from[k * sk + j * sn], zeros from column n on. */
static void make_panel(float *to, const float *from, int64_t sk, int64_t sn, int64_t k, int64_t n) {
  int64_t done = 0;
  if (n < PP_PANEL) memset(to, 0, (size_t)(k * PP_PANEL) * sizeof *to);
  if (sn == 1 && n == PP_PANEL) {
    for (int64_t i = 0; i < k; i++) memcpy(to + i * PP_PANEL, from + i * sk, PP_PANEL * sizeof *to);
    return;
  }
  if (sk == 1) {
    int64_t whole = n / 4 * 4;
    for (; done + 4 <= k; done += 4) {
      for (int64_t j = 0; j < whole; j += 4) transpose_4x4(to + done * PP_PANEL + j, PP_PANEL, from + j * sn + done, sn);
      for (int64_t j = whole; j < n; j++)
        for (int64_t i = done; i < done + 4; i++) to[i * PP_PANEL + j] = from[i + j * sn];
    }
  }
  for (; done < k; done++)
    for (int64_t j = 0; j < n; j++) to[done * PP_PANEL + j] = from[done * sk + j * sn];
}

static inline void make_panels(float *to, const float *from, int64_t sk, int64_t sn, int64_t k, int64_t n) {
  for (int64_t j = 0; j < n; j += PP_PANEL, to += k * PP_PANEL)
    make_panel(to, from + j * sn, sk, sn, k, PP_MIN(n - j, PP_PANEL));
}

#endif
#endif
