/* Gather and update: data-dependent positions, checked while running, before anything outside is touched. */
#include "common.h"

static bool index_dtype(const pp_view *v) { return v->dtype == PP_DTYPE_I32 || v->dtype == PP_DTYPE_I64; }

static int64_t read_index(const pp_view *v, int64_t at) {
  return v->dtype == PP_DTYPE_I32 ? ((const int32_t *)v->data)[at] : ((const int64_t *)v->data)[at];
}

static void copy_items(char *y, const char *x, int item, int64_t sy, int64_t sx, int64_t n) {
  if (sx == 1 && sy == 1) {
    memmove(y, x, (size_t)(n * item)); /* a hostile file may let the result overlap its operand */
    return;
  }
  for (int64_t i = 0; i < n; i++) memcpy(y + i * sy * item, x + i * sx * item, (size_t)item);
}

bool pp_gather_accepts(const pp_step *s) {
  return pp_item_size(s->args[0].dtype) != 0 && index_dtype(&s->args[1]);
}

/* SELECT: a task is one index at one outer position of x. ELEMENTS: one row of the last dimension. */
void pp_gather_prepare(pp_step *s) {
  const pp_view *x = &s->args[0], *index = &s->args[1], *y = &s->results[0];
  s->scratch = 0;
  s->tasks = 0;
  if (pp_elements(y) == 0) return;
  if (s->attrs[0] == PP_GATHER_ELEMENTS) {
    s->tasks = pp_elements(y) / y->shape[y->rank - 1];
    return;
  }
  s->tasks = pp_elements(index);
  for (int d = 0; d < s->attrs[1]; d++) s->tasks *= x->shape[d];
}

static pp_status wrap(int64_t *i, int64_t n, pp_error *error) {
  if (*i < -n || *i >= n) return pp_fail(error, PP_ERR_INDEX, 1, *i, n);
  if (*i < 0) *i += n;
  return PP_OK;
}

static pp_status select_one(const pp_step *s, int64_t task, pp_error *error) {
  const pp_view *x = &s->args[0], *index = &s->args[1], *y = &s->results[0];
  int axis = (int)s->attrs[1], item = pp_item_size(x->dtype), tail = x->rank - axis - 1;
  int64_t at[PP_MAX_RANK] = {0}, n_index = pp_elements(index), picked[PP_MAX_RANK] = {0};
  pp_unravel(task % n_index, index->rank, index->shape, picked);
  int64_t i = read_index(index, pp_offset_of(index, picked)), from, to = 0;
  pp_status status = wrap(&i, x->shape[axis], error);
  if (status != PP_OK) return status;
  pp_unravel(task / n_index, axis, x->shape, at);
  from = i * x->stride[axis];
  for (int d = 0; d < axis; d++) from += at[d] * x->stride[d], to += at[d] * y->stride[d];
  for (int d = 0; d < index->rank; d++) to += picked[d] * y->stride[axis + d];
  const int64_t *size = x->shape + axis + 1, *sx = x->stride + axis + 1, *sy = y->stride + axis + index->rank;
  int64_t n = tail ? size[tail - 1] : 1, rows = 1, inner[PP_MAX_RANK] = {0};
  for (int d = 0; d + 1 < tail; d++) rows *= size[d];
  for (int64_t r = 0; r < rows; r++) {
    int64_t fx = from, fy = to;
    for (int d = 0; d + 1 < tail; d++) fx += inner[d] * sx[d], fy += inner[d] * sy[d];
    copy_items((char *)y->data + fy * item, (const char *)x->data + fx * item, item, tail ? sy[tail - 1] : 1,
               tail ? sx[tail - 1] : 1, n);
    if (tail) pp_advance(tail - 1, size, inner);
  }
  return PP_OK;
}

static pp_status elements_row(const pp_step *s, int64_t task, pp_error *error) {
  const pp_view *x = &s->args[0], *index = &s->args[1], *y = &s->results[0];
  int axis = (int)s->attrs[1], item = pp_item_size(x->dtype), last = y->rank - 1;
  int64_t at[PP_MAX_RANK] = {0};
  pp_unravel(task, last, y->shape, at);
  for (at[last] = 0; at[last] < y->shape[last]; at[last]++) {
    int64_t i = read_index(index, pp_offset_of(index, at)), from = 0;
    pp_status status = wrap(&i, x->shape[axis], error);
    if (status != PP_OK) return status;
    for (int d = 0; d < x->rank; d++) from += (d == axis ? i : at[d]) * x->stride[d];
    memcpy((char *)y->data + pp_offset_of(y, at) * item, (const char *)x->data + from * item, (size_t)item);
  }
  return PP_OK;
}

pp_status pp_gather_run(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch;
  bool elements = s->attrs[0] == PP_GATHER_ELEMENTS;
  for (int64_t t = first; t < last; t++) {
    pp_status status = elements ? elements_row(s, t, error) : select_one(s, t, error);
    if (status != PP_OK) return status;
  }
  return PP_OK;
}

bool pp_update_accepts(const pp_step *s) {
  return pp_item_size(s->args[0].dtype) != 0 && s->args[1].dtype == PP_DTYPE_I64;
}

/* A task is one row of the last dimension of x; even an empty x has its start checked. */
void pp_update_prepare(pp_step *s) {
  const pp_view *x = &s->args[0];
  s->scratch = 0;
  s->tasks = pp_elements(x) ? pp_elements(x) / x->shape[x->rank - 1] : 1;
}

pp_status pp_update_run(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)scratch;
  const pp_view *x = &s->args[0], *y = &s->results[0];
  int axis = (int)s->attrs[0], item = pp_item_size(x->dtype), end = x->rank - 1;
  int64_t start = *(const int64_t *)s->args[1].data, room = y->shape[axis] - x->shape[axis];
  if (start < 0 || start > room) return pp_fail(error, PP_ERR_POSITION, 1, start, room);
  if (pp_elements(x) == 0) return PP_OK;
  for (int64_t t = first; t < last; t++) {
    int64_t at[PP_MAX_RANK] = {0};
    pp_unravel(t, end, x->shape, at);
    int64_t from = pp_offset_of(x, at), to = pp_offset_of(y, at) + start * y->stride[axis];
    copy_items((char *)y->data + to * item, (const char *)x->data + from * item, item, y->stride[end], x->stride[end],
               x->shape[end]);
  }
  return PP_OK;
}
