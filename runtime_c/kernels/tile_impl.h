/* The tiles of one instruction set: rows x panels accumulators that fit its registers. See tile.h. */
#include "isa.h"
#include "simd.h"
#include "tile.h"

#if PP_W > 1

#define PV (PP_PANEL / PP_W) /* vectors per panel */

/* Registers: 32 of AVX-512 and NEON, 16 of AVX2 and SSE. Wide tiles of few rows read B, which is then what costs, in
 * several streams; tall ones reuse it. LIST(T) names every T(rows, panels), OFFSET_LIST those that also exist for a table
 * of offsets; `most` is the tallest by number of panels. */
#if defined(PP_SIMD_EMULATE_512) /* some of them: enough to test, quick to compile */
#define LIST(T) \
  T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(5, 1) T(6, 1) T(7, 1) T(8, 1) T(8, 2) T(2, 3) T(1, 4) T(5, 4) T(6, 4)
#define OFFSET_LIST(T) T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(5, 1) T(6, 1) T(7, 1) T(8, 1) T(7, 2)
static const int most[4] = {8, 8, 8, 6};
#elif PP_W == 16
#define LIST(T)                                                                                           \
  T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(5, 1) T(6, 1) T(7, 1) T(8, 1) T(1, 2) T(2, 2) T(3, 2) T(4, 2) T(5, 2) \
  T(6, 2) T(7, 2) T(8, 2) T(1, 3) T(2, 3) T(3, 3) T(4, 3) T(5, 3) T(6, 3) T(7, 3) T(8, 3) T(1, 4) T(2, 4) \
  T(3, 4) T(4, 4) T(5, 4) T(6, 4)
#define OFFSET_LIST(T)                                                                                    \
  T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(5, 1) T(6, 1) T(7, 1) T(8, 1) T(1, 2) T(2, 2) T(3, 2) T(4, 2) T(5, 2) \
  T(6, 2) T(7, 2) T(8, 2)
static const int most[4] = {8, 8, 8, 6};
#elif PP_W == 8
#define LIST(T) T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(5, 1) T(6, 1) T(1, 2) T(2, 2) T(3, 2) T(1, 3) T(1, 4)
#define OFFSET_LIST(T) T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(5, 1) T(6, 1)
static const int most[4] = {6, 3, 1, 1};
#elif defined(__aarch64__)
#define LIST(T) T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(1, 2) T(2, 2) T(1, 3) T(1, 4)
#define OFFSET_LIST(T) T(1, 1) T(2, 1) T(3, 1) T(4, 1)
static const int most[4] = {4, 2, 1, 1};
#else
#define LIST(T) T(1, 1) T(2, 1) T(3, 1)
#define OFFSET_LIST(T) T(1, 1) T(2, 1) T(3, 1)
static const int most[4] = {3, 0, 0, 0};
#endif

/* acc += one value of each row times one row of the panels. */
#define STEP(B, VALUE)                                                                              \
  do {                                                                                              \
    vf y[4 * PV];                                                                                   \
    PP_UNROLLED for (int j = 0; j < panels * PV; j++) y[j] = vf_load((B) + j / PV * panel + j % PV * PP_W); \
    PP_UNROLLED for (int r = 0; r < rows; r++) {                                                    \
      PP_UNROLLED for (int j = 0; j < panels * PV; j++) acc[r][j] = VALUE;                          \
    }                                                                                               \
  } while (0)

PP_INLINE void products(const pp_strip *s, const float *b, vf acc[8][4 * PV], const int rows, const int panels) {
  int64_t panel = s->b_panel;
  const float *const *a = s->a;
  for (int64_t tap = 0; tap < s->taps; tap++, a += rows) {
    const float *x[8];
    PP_UNROLLED for (int r = 0; r < rows; r++) x[r] = a[r];
    int64_t k = 0, end = s->k * s->a_step;
#if PP_W == 4 && defined(__aarch64__)
    if (s->a_step == 1) /* by lane: a quarter of the loads */
      for (; k + 4 <= end; k += 4) {
        vf v[8];
        PP_UNROLLED for (int r = 0; r < rows; r++) v[r] = vf_load(x[r] + k);
        STEP(b, vfmaq_laneq_f32(acc[r][j], y[j], v[r], 0));
        STEP(b + s->b_step, vfmaq_laneq_f32(acc[r][j], y[j], v[r], 1));
        STEP(b + 2 * s->b_step, vfmaq_laneq_f32(acc[r][j], y[j], v[r], 2));
        STEP(b + 3 * s->b_step, vfmaq_laneq_f32(acc[r][j], y[j], v[r], 3));
        b += 4 * s->b_step;
      }
#endif
    PP_ROLLED for (; k < end; k += s->a_step) {
      STEP(b, vf_fma(vf_set(x[r][k]), y[j], acc[r][j]));
      b += s->b_step;
    }
  }
}

/* The same where every k has an offset of its own. */
PP_INLINE void offset_products(const pp_strip *s, const float *b, vf acc[8][4 * PV], const int rows, const int panels) {
  int64_t panel = s->b_panel;
  const float *x[8];
  PP_UNROLLED for (int r = 0; r < rows; r++) x[r] = s->a[r];
  const int64_t *offset = s->offsets;
  PP_ROLLED for (int64_t k = 0; k < s->k; k++) {
    int64_t at = offset[k];
    STEP(b, vf_fma(vf_set(x[r][at]), y[j], acc[r][j]));
    b += s->b_step;
  }
}

PP_INLINE void tile(const pp_strip *s, int64_t first, const int rows, const int panels, const bool offsets) {
  vf acc[8][4 * PV];
  int64_t column = first * PP_PANEL, left = s->columns - column;
  PP_UNROLLED for (int r = 0; r < rows; r++) {
    const float *start = (s->start ? s->start[r] : s->bias) + column;
    PP_UNROLLED for (int j = 0; j < panels * PV; j++) acc[r][j] = vf_load(start + j * PP_W);
  }
  if (offsets) offset_products(s, s->b + first * s->b_panel, acc, rows, panels);
  else products(s, s->b + first * s->b_panel, acc, rows, panels);
  vf low = vf_set(s->low), high = vf_set(s->high);
  if (left >= panels * PP_PANEL) {
    if (s->residual)
      PP_UNROLLED for (int r = 0; r < rows; r++) {
        const float *from = s->residual[r] + column;
        PP_UNROLLED for (int j = 0; j < panels * PV; j++) acc[r][j] = acc[r][j] + vf_load(from + j * PP_W);
      }
    PP_UNROLLED for (int r = 0; r < rows; r++) {
      float *to = s->c[r] + column;
      PP_UNROLLED for (int j = 0; j < panels * PV; j++)
        vf_store(to + j * PP_W, vf_minp(high, vf_maxp(low, acc[r][j]))); /* NaN stays */
    }
  } else {
    vf done[8][4 * PV]; /* indexed at run time below */
    PP_UNROLLED for (int r = 0; r < rows; r++) {
      PP_UNROLLED for (int j = 0; j < panels * PV; j++) done[r][j] = acc[r][j];
    }
    PP_ROLLED for (int r = 0; r < rows; r++) {
      PP_ROLLED for (int j = 0; j * PP_W < left; j++) {
        int64_t n = PP_MIN(left - j * PP_W, PP_W), at = column + j * PP_W;
        vf v = done[r][j];
        if (s->residual) v = v + vf_loadn(s->residual[r] + at, n);
        vf_storen(s->c[r] + at, vf_minp(high, vf_maxp(low, v)), n);
      }
    }
  }
}

typedef void tile_kernel(const pp_strip *, int64_t);

#define DEFINE(ROWS, PANELS) \
  static void tile_##ROWS##x##PANELS(const pp_strip *s, int64_t first) { tile(s, first, ROWS, PANELS, false); }
#define DEFINE_OFFSET(ROWS, PANELS) \
  static void offset_##ROWS##x##PANELS(const pp_strip *s, int64_t first) { tile(s, first, ROWS, PANELS, true); }
LIST(DEFINE)
OFFSET_LIST(DEFINE_OFFSET)
#define ENTRY(ROWS, PANELS) [0][ROWS - 1][PANELS - 1] = tile_##ROWS##x##PANELS,
#define OFFSET_ENTRY(ROWS, PANELS) [1][ROWS - 1][PANELS - 1] = offset_##ROWS##x##PANELS,
static tile_kernel *const tiles[2][8][4] = {LIST(ENTRY) OFFSET_LIST(OFFSET_ENTRY)};

/* How many rows to give a strip at a time: `rows` are left and share out evenly. */
int PP_NAME(pp_strip_rows_)(int64_t panels, int64_t rows, bool offsets) {
  int64_t tall = PP_W == 16 && panels >= 4 && !offsets ? most[3] : most[0];
  return (int)PP_CEIL_DIV(rows, PP_CEIL_DIV(rows, tall));
}

void PP_NAME(pp_strip_run_)(const pp_strip *s) {
  int64_t panels = PP_CEIL_DIV(s->columns, PP_PANEL);
  tile_kernel *const *of_rows = tiles[s->offsets != NULL][s->rows - 1];
  for (int64_t p = 0; p < panels;) {
    int64_t wide = PP_MIN(panels - p, 4);
    while (!of_rows[wide - 1]) wide--;
    of_rows[wide - 1](s, p);
    p += wide;
  }
}

#endif
typedef int pp_tile_impl_is_not_empty;
