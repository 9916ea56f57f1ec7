/* Strided copies of any dtype. Dimensions are ordered by the result's strides and merged, so that what is contiguous
 * is copied in runs; a transposition is done in square tiles so that both sides stay in cache. A hostile file may let
 * the result overlap the operand: the values are then arbitrary, so runs are moved, not copied. */
#include "common.h"

#define TILE 16
#define RUN_BYTES 65536

typedef struct move_walk {
  int rank;                    /* at least 1; the last dimension is the run */
  int64_t size[PP_MAX_RANK], x[PP_MAX_RANK], y[PP_MAX_RANK];
} move_walk;

static void plan(const pp_view *x, const pp_view *y, move_walk *w) {
  int order[PP_MAX_RANK], n = 0;
  for (int d = 0; d < y->rank; d++) {
    if (y->shape[d] == 1) continue;
    int at = n++;
    for (; at > 0 && y->stride[order[at - 1]] < y->stride[d]; at--) order[at] = order[at - 1];
    order[at] = d;
  }
  w->rank = 0;
  for (int i = 0; i < n; i++) {
    int d = order[i], r = w->rank;
    if (r && w->x[r - 1] == x->stride[d] * x->shape[d] && w->y[r - 1] == y->stride[d] * x->shape[d]) r--;
    else w->size[r] = 1;
    w->size[r] *= x->shape[d];
    w->x[r] = x->stride[d];
    w->y[r] = y->stride[d];
    w->rank = r + 1;
  }
  if (w->rank == 0) {
    w->size[0] = w->x[0] = w->y[0] = 1;
    w->rank = 1;
  }
  /* Tiles are cut from the last two dimensions: bring the one that is contiguous in x next to the run. */
  if (w->x[w->rank - 1] == 1) return;
  for (int d = 0; d < w->rank - 2; d++)
    if (w->x[d] == 1) {
      int64_t t[3] = {w->size[d], w->x[d], w->y[d]};
      for (int e = d; e < w->rank - 2; e++) w->size[e] = w->size[e + 1], w->x[e] = w->x[e + 1], w->y[e] = w->y[e + 1];
      w->size[w->rank - 2] = t[0], w->x[w->rank - 2] = t[1], w->y[w->rank - 2] = t[2];
      return;
    }
}

bool pp_move_accepts(const pp_step *s) { return pp_item_size(s->args[0].dtype) != 0; }

/* Tasks: [rows of the outer dimensions][pieces of the second last][pieces of the last]. */
static void pieces(const move_walk *w, int item, int64_t *rows, int64_t *high, int64_t *wide) {
  *rows = w->rank > 1 ? w->size[w->rank - 2] : 1;
  *wide = PP_MAX(RUN_BYTES / item, TILE);
  *high = PP_MIN(PP_MAX(*wide / PP_MAX(w->size[w->rank - 1], 1), 1), *rows);
  if (*high > TILE) *high -= *high % TILE;
}

void pp_move_prepare(pp_step *s) {
  s->scratch = 0;
  s->tasks = 0;
  if (pp_elements(&s->results[0]) == 0) return;
  move_walk w;
  int64_t rows, high, wide;
  plan(&s->args[0], &s->results[0], &w);
  pieces(&w, pp_item_size(s->args[0].dtype), &rows, &high, &wide);
  s->tasks = PP_CEIL_DIV(rows, high) * PP_CEIL_DIV(w.size[w.rank - 1], wide);
  for (int d = 0; d + 2 < w.rank; d++) s->tasks *= w.size[d];
}

#define COPY(NAME, TYPE)                                                                                       \
  static void NAME(TYPE *y, const TYPE *x, int64_t rows, int64_t n, const int64_t *xs, const int64_t *ys) {     \
    int64_t xr = xs[0], xn = xs[1], yr = ys[0], yn = ys[1];                                                    \
    if (xn == 1 && yn == 1) {                                                                                  \
      for (int64_t r = 0; r < rows; r++) memmove(y + r * yr, x + r * xr, (size_t)n * sizeof *y); /* may overlap */ \
      return;                                                                                                  \
    }                                                                                                          \
    for (int64_t r0 = 0; r0 < rows; r0 += TILE)                                                                \
      for (int64_t i0 = 0; i0 < n; i0 += TILE) {                                                               \
        int64_t r1 = PP_MIN(r0 + TILE, rows), i1 = PP_MIN(i0 + TILE, n);                                       \
        for (int64_t r = r0; r < r1; r++) {                                                                    \
          const TYPE *from = x + r * xr;                                                                       \
          TYPE *to = y + r * yr;                                                                               \
          if (yn == 1)                                                                                         \
            for (int64_t i = i0; i < i1; i++) to[i] = from[i * xn];                                            \
          else                                                                                                 \
            for (int64_t i = i0; i < i1; i++) to[i * yn] = from[i * xn];                                       \
        }                                                                                                      \
      }                                                                                                        \
  }
COPY(copy_1, uint8_t)
COPY(copy_2, uint16_t)
COPY(copy_4, uint32_t)
COPY(copy_8, uint64_t)

pp_status pp_move_run(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch, (void)error;
  move_walk w;
  int item = pp_item_size(s->args[0].dtype);
  int64_t rows, high, wide;
  plan(&s->args[0], &s->results[0], &w);
  pieces(&w, item, &rows, &high, &wide);
  int64_t n = w.size[w.rank - 1], down = PP_CEIL_DIV(rows, high), across = PP_CEIL_DIV(n, wide);
  int64_t xs[2] = {w.rank > 1 ? w.x[w.rank - 2] : 0, w.x[w.rank - 1]};
  int64_t ys[2] = {w.rank > 1 ? w.y[w.rank - 2] : 0, w.y[w.rank - 1]};
  for (int64_t t = first; t < last; t++) {
    int64_t index[PP_MAX_RANK] = {0}, c = t % across * wide, r = t / across % down * high, x, y;
    pp_unravel(t / across / down, w.rank - 2, w.size, index);
    x = r * xs[0] + c * xs[1];
    y = r * ys[0] + c * ys[1];
    for (int d = 0; d + 2 < w.rank; d++) x += index[d] * w.x[d], y += index[d] * w.y[d];
    int64_t height = PP_MIN(high, rows - r), width = PP_MIN(wide, n - c);
    void *to = (char *)s->results[0].data + y * item;
    const void *from = (const char *)s->args[0].data + x * item;
    switch (item) {
      case 1: copy_1(to, from, height, width, xs, ys); break;
      case 2: copy_2(to, from, height, width, xs, ys); break;
      case 4: copy_4(to, from, height, width, xs, ys); break;
      default: copy_8(to, from, height, width, xs, ys); break;
    }
  }
  return PP_OK;
}
