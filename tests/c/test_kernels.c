/* Every kernel this CPU offers against the reference kernel of its family, on random shapes, strides, packings and
 * epilogues from a fixed sequence. Every operand is its own block, so that a sanitizer sees an access outside it; the
 * elements between those of a result must stay as they were; and cutting the tasks must not change a bit. */
#include <math.h>
#include <stdlib.h>

#include "../../runtime_c/kernels/common.h"
#include "check.h"

#ifndef PP_TEST_EXTRA_ISA
#define PP_TEST_EXTRA_ISA 0u /* what an emulated build offers in addition */
#endif

enum { ROUNDS = 60, OPERANDS = 12 };

static uint32_t seed;
static uint32_t draw(uint32_t n) { /* below n */
  seed = seed * 1664525u + 1013904223u;
  return (uint32_t)(((uint64_t)(seed >> 4) * n) >> 28);
}
static bool often(uint32_t percent) { return draw(100) < percent; }
static float number(void) { return (float)draw(2001) / 500.0f - 2.0f; }
static int64_t one_of(int n, const int64_t *from) { return from[draw((uint32_t)n)]; }
#define ONE_OF(...) one_of(sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t), (const int64_t[]){__VA_ARGS__})

/* A step under construction: views in operand order with their sizes in elements. */
typedef struct bench {
  pp_step s;
  pp_view views[OPERANDS];
  int64_t elements[OPERANDS], attrs[16];
  double floats[2];
  uint8_t code[16 * 8];
  int n;
} bench;

static void start(bench *b, uint8_t family, int args) {
  memset(b, 0, sizeof *b);
  b->s.family = family, b->s.n_args = (uint8_t)args, b->s.n_results = 1;
  b->s.args = b->views, b->s.results = b->views + args, b->s.program_args = b->s.results + 1;
  b->s.attrs = b->attrs, b->s.floats = b->floats;
}

/* Memory of exactly n elements, filled with small numbers. */
static void fill(bench *b, pp_view *v, int64_t n) {
  float *data = malloc((size_t)n * 4 + 4);
  for (int64_t i = 0; i < n; i++) data[i] = number();
  v->data = data, v->dtype = PP_DTYPE_F32, v->buffer = (uint32_t)(v - b->views) + 1;
  b->elements[v - b->views] = n;
}

/* A dense view whose dimensions lie in `order` (outermost first), with a gap after the innermost `gap`. */
static void view(bench *b, pp_view *v, int rank, const int64_t *shape, const int *order, int64_t gap) {
  int64_t step = 1;
  v->rank = (uint8_t)rank;
  for (int i = rank - 1; i >= 0; i--) {
    v->shape[order[i]] = shape[order[i]], v->stride[order[i]] = step;
    step = step * shape[order[i]] + (i == rank - 1 ? gap : 0);
  }
  int64_t n = 1;
  for (int d = 0; d < rank; d++) n += (shape[d] - 1) * v->stride[d];
  fill(b, v, pp_elements(v) ? n : 0);
}

static void any_view(bench *b, pp_view *v, int rank, const int64_t *shape) {
  int order[PP_MAX_RANK];
  for (int d = 0; d < rank; d++) order[d] = d;
  if (often(50))
    for (int d = rank - 1; d > 0; d--) {
      int e = (int)draw((uint32_t)d + 1), t = order[d];
      order[d] = order[e], order[e] = t;
    }
  view(b, v, rank, shape, order, ONE_OF(0, 0, 3));
}

static const int last_order[4] = {0, 2, 3, 1}, plain_order[4] = {0, 1, 2, 3};

static void packed(bench *b, pp_view *v, int rank, const int64_t *shape, uint8_t pack, int64_t groups) {
  v->rank = (uint8_t)rank, v->pack = pack;
  memcpy(v->shape, shape, (size_t)rank * sizeof *shape);
  fill(b, v, (int64_t)(pp_packed_bytes(v, groups) / 4));
}

static void instruction(bench *b, uint8_t op, int dst, int a, int c) {
  uint8_t *at = b->code + 16 * b->s.program.count++;
  at[8] = op, at[9] = PP_PWTYPE_F32, at[10] = (uint8_t)dst, at[11] = (uint8_t)a, at[12] = (uint8_t)c;
}

/* Bias, residual, clamp and an epilogue y * operand + y of products. */
static void finish(bench *b, int64_t outputs) {
  pp_view *y = b->s.results;
  b->s.n_floats = 2, b->floats[0] = often(50) ? -1.0 : -INFINITY, b->floats[1] = often(50) ? 4.0 : INFINITY;
  if (often(60)) view(b, &b->s.args[2], 1, &outputs, plain_order, 0);
  if (often(30)) any_view(b, &b->s.args[3], y->rank, y->shape);
  if (often(70)) return;
  b->s.n_program_args = 1;
  any_view(b, b->s.program_args, y->rank, y->shape);
  instruction(b, PP_PW_LOAD, 0, 0, 0);
  instruction(b, PP_PW_LOAD, 1, 1, 0);
  instruction(b, PP_PW_MUL, 1, 1, 0);
  instruction(b, PP_PW_ADD, 1, 1, 0);
  instruction(b, PP_PW_STORE, 0, 1, 0);
  b->s.program.code = b->code, b->s.program.registers = 2, b->s.program.loads = 2;
}

static void make_gemm(bench *b) {
  int64_t batch = ONE_OF(1, 1, 2, 3), m = ONE_OF(1, 2, 3, 5, 6, 7, 13, 30), k = ONE_OF(0, 1, 4, 7, 33, 64);
  int64_t n = ONE_OF(1, 5, 16, 17, 40, 70);
  start(b, PP_FAMILY_GEMM, 4);
  any_view(b, &b->s.args[0], 3, (int64_t[]){batch, m, k});
  if (often(50)) packed(b, &b->s.args[1], 2, (int64_t[]){k, n}, PP_PACK_GEMM_PANEL16, 1);
  else if (often(50)) any_view(b, &b->s.args[1], 2, (int64_t[]){k, n});
  else any_view(b, &b->s.args[1], 3, (int64_t[]){batch, k, n});
  any_view(b, b->s.results, 3, (int64_t[]){batch, m, n});
  finish(b, n);
}

static void make_conv2d(bench *b) {
  int64_t kernel = ONE_OF(1, 2, 3, 5), depthwise = often(40), groups = ONE_OF(1, 1, 2), c = ONE_OF(1, 3, 9, 16, 20);
  int64_t o = ONE_OF(1, 15, 16, 33), stride = ONE_OF(1, 1, 2), dilation = ONE_OF(1, 1, 2), pad = ONE_OF(0, 1, 2);
  int64_t h = kernel * dilation + draw(9), w = kernel * dilation + draw(12), batch = ONE_OF(1, 2);
  if (depthwise) groups = ONE_OF(1, 7, 8, 16, 40), c = o = 1;
  start(b, PP_FAMILY_CONV2D, 4);
  b->s.n_attrs = 9;
  int64_t attrs[9] = {stride, stride, pad, pad, pad, pad, dilation, dilation, groups};
  memcpy(b->attrs, attrs, sizeof attrs);
  view(b, &b->s.args[0], 4, (int64_t[]){batch, c * groups, h, w}, often(70) ? last_order : plain_order, ONE_OF(0, 5));
  int64_t weights[4] = {o * groups, c, kernel, kernel};
  bool dense = often(30);
  if (dense) any_view(b, &b->s.args[1], 4, weights);
  else packed(b, &b->s.args[1], 4, weights, depthwise ? PP_PACK_DEPTHWISE16 : PP_PACK_CONV_PANEL16, groups);
  int64_t room = 2 * pad - dilation * (kernel - 1) - 1, shape[4] = {batch, o * groups, 0, 0};
  shape[2] = (h + room) / stride + 1, shape[3] = (w + room) / stride + 1;
  view(b, b->s.results, 4, shape, often(70) ? last_order : plain_order, ONE_OF(0, 5));
  if (!dense || often(30)) finish(b, o * groups);
  else b->s.n_floats = 2, b->floats[0] = -1.0, b->floats[1] = INFINITY;
}

static void make_pool2d(bench *b) {
  int64_t k = ONE_OF(1, 2, 3), stride = ONE_OF(1, 2), pad = k > 1 ? ONE_OF(0, 1) : 0, h = k + draw(9), w = k + draw(9);
  int64_t shape[4] = {ONE_OF(1, 2), ONE_OF(1, 4, 21, 40, 70), h, w};
  start(b, PP_FAMILY_POOL2D, 1);
  b->s.n_attrs = 13;
  int64_t attrs[13] = {often(50) ? PP_POOL_MAX : PP_POOL_AVG, k, k, stride, stride, pad, pad, pad, pad, 1, 1, draw(2), 0};
  memcpy(b->attrs, attrs, sizeof attrs);
  view(b, &b->s.args[0], 4, shape, often(80) ? last_order : plain_order, ONE_OF(0, 5));
  shape[2] = (h + 2 * pad - k) / stride + 1, shape[3] = (w + 2 * pad - k) / stride + 1;
  view(b, b->s.results, 4, shape, often(80) ? last_order : plain_order, ONE_OF(0, 5));
}

static void make_rows(bench *b, uint8_t family) {
  int rank = 1 + (int)draw(3);
  int64_t shape[3], kept[3];
  for (int d = 0; d < rank; d++) shape[d] = ONE_OF(1, 3, 8, 17, 40, 70);
  bool norm = family == PP_FAMILY_NORM;
  start(b, family, norm ? 3 : 1);
  b->s.n_attrs = 2;
  any_view(b, b->s.args, rank, shape);
  memcpy(kept, shape, sizeof kept);
  if (family == PP_FAMILY_REDUCE) {
    b->attrs[0] = ONE_OF(PP_REDUCE_SUM, PP_REDUCE_MEAN, PP_REDUCE_MAX, PP_REDUCE_MIN);
    b->attrs[1] = draw(1u << rank);
    for (int d = 0; d < rank; d++)
      if (b->attrs[1] >> d & 1) kept[d] = 1;
  } else if (norm) {
    b->attrs[0] = often(50) ? PP_NORM_LAYER : PP_NORM_RMS, b->attrs[1] = 1;
    b->s.n_floats = 1, b->floats[0] = 1e-3;
    for (int i = 1; i <= 2; i++)
      if (often(70)) view(b, &b->s.args[i], 1, &shape[rank - 1], plain_order, 0);
  } else {
    b->attrs[0] = draw((uint32_t)rank), b->attrs[1] = draw(2);
  }
  any_view(b, b->s.results, rank, kept);
}

static void make_pointwise(bench *b) {
  static const uint8_t ops[] = {PP_PW_EXP, PP_PW_TANH, PP_PW_SIGMOID, PP_PW_ERF, PP_PW_SIN, PP_PW_SQRT, PP_PW_ROUND};
  int rank = 1 + (int)draw(4);
  int64_t shape[4];
  for (int d = 0; d < rank; d++) shape[d] = ONE_OF(1, 3, 17, 40);
  start(b, PP_FAMILY_POINTWISE, 0);
  b->s.n_program_args = 2;
  for (int i = 0; i < 3; i++) any_view(b, &b->views[i], rank, shape);
  instruction(b, PP_PW_LOAD, 0, 0, 0);
  instruction(b, PP_PW_LOAD, 1, 1, 0);
  instruction(b, PP_PW_MUL, 2, 0, 1);
  instruction(b, ops[draw(sizeof ops)], 2, 2, 0);
  instruction(b, PP_PW_MAX, 2, 2, 1);
  instruction(b, PP_PW_STORE, 0, 2, 0);
  b->s.program.code = b->code, b->s.program.registers = 3, b->s.program.loads = 2;
}

/* Copies, gathers and updates have one kernel each: it is run, and the sanitizers watch. */
static void make_copy(bench *b, uint8_t family) {
  int64_t shape[3] = {ONE_OF(1, 3, 16, 40), ONE_OF(1, 5, 33), ONE_OF(1, 7, 40)}, index[3];
  int axis = (int)draw(3);
  start(b, family, family == PP_FAMILY_MOVE ? 1 : 2);
  memcpy(index, shape, sizeof index);
  if (family == PP_FAMILY_UPDATE) {
    index[axis] = draw((uint32_t)shape[axis]) + 1;
    any_view(b, &b->s.args[0], 3, index);
    any_view(b, b->s.results, 3, shape);
  } else {
    any_view(b, &b->s.args[0], 3, shape);
    any_view(b, b->s.results, 3, shape);
  }
  if (family == PP_FAMILY_MOVE) return;
  pp_view *i = &b->s.args[1];
  bool elements = family == PP_FAMILY_GATHER;
  view(b, i, elements ? 3 : 0, shape, plain_order, 0);
  int64_t *data = realloc(i->data, (size_t)b->elements[1] * 8);
  for (int64_t k = 0; k < b->elements[1]; k++)
    data[k] = elements ? (int64_t)draw((uint32_t)shape[axis]) : draw((uint32_t)(shape[axis] - index[axis] + 1));
  i->data = data, i->dtype = PP_DTYPE_I64, b->elements[1] *= 2;
  b->s.n_attrs = elements ? 2 : 1;
  b->attrs[0] = elements ? PP_GATHER_ELEMENTS : axis, b->attrs[1] = axis;
}

#if PP_WITH_EAGER
static void plain(bench *b, int operand, int rank, const int64_t *shape) {
  view(b, &b->views[operand], rank, shape, plain_order, 0);
}

/* A result beside the first, which is not compared but must have its memory. */
static void more_results(bench *b, int n) { b->s.n_results = (uint8_t)n; }

/* A step of pool2d or conv2d with its operands given the places of their gradient. */
static void make_conv_weight_grad(bench *b) {
  int64_t k = ONE_OF(1, 2, 3), stride = ONE_OF(1, 1, 2), dilation = ONE_OF(1, 1, 2), pad = ONE_OF(0, 1);
  int64_t groups = ONE_OF(1, 1, 2), c = ONE_OF(1, 3, 9), o = ONE_OF(1, 5, 17, 33), n = ONE_OF(1, 2);
  int64_t h = k * dilation + draw(9), w = k * dilation + draw(12), room = 2 * pad - dilation * (k - 1) - 1;
  if (often(30)) groups = ONE_OF(1, 7), c = o = 1;
  start(b, PP_FAMILY_CONV_WEIGHT_GRAD, 2);
  b->s.n_attrs = 9;
  memcpy(b->attrs, (int64_t[]){stride, stride, pad, pad, pad, pad, dilation, dilation, groups}, 9 * sizeof(int64_t));
  any_view(b, &b->views[0], 4, (int64_t[]){n, groups * c, h, w});
  any_view(b, &b->views[1], 4, (int64_t[]){n, groups * o, (h + room) / stride + 1, (w + room) / stride + 1});
  plain(b, 2, 4, (int64_t[]){groups * o, c, k, k});
}

static void make_pool_grad(bench *b) {
  int64_t k = ONE_OF(1, 2, 3), stride = ONE_OF(1, 2, 3), pad = k > 1 ? ONE_OF(0, 1) : 0, h = k + draw(9), w = k + draw(20);
  int64_t shape[4] = {ONE_OF(1, 2), ONE_OF(1, 4), h, w}, out[4] = {shape[0], shape[1]};
  out[2] = (h + 2 * pad - k) / stride + 1, out[3] = (w + 2 * pad - k) / stride + 1;
  start(b, PP_FAMILY_POOL_GRAD, 2);
  b->s.n_attrs = 13;
  int64_t attrs[13] = {often(50) ? PP_POOL_MAX : PP_POOL_AVG, k, k, stride, stride, pad, pad, pad, pad, 1, 1, draw(2), 0};
  memcpy(b->attrs, attrs, sizeof attrs);
  plain(b, 0, 4, out);
  if (attrs[0] == PP_POOL_MAX) plain(b, 1, 4, shape);
  plain(b, 2, 4, shape);
}

static void make_scatter_add(bench *b) {
  int64_t m = ONE_OF(1, 5, 40), d = ONE_OF(1, 3, 17, 70, 130), rows = ONE_OF(1, 9);
  start(b, PP_FAMILY_SCATTER_ADD, 2);
  plain(b, 0, 2, (int64_t[]){m, d});
  plain(b, 1, 1, &m);
  int64_t *index = realloc(b->views[1].data, (size_t)m * 8);
  for (int64_t i = 0; i < m; i++) index[i] = draw((uint32_t)rows);
  b->views[1].data = index, b->views[1].dtype = PP_DTYPE_I64, b->elements[1] = 2 * m;
  plain(b, 2, 2, (int64_t[]){rows, d});
}

/* Planes and dense weights: kernels of conv2d and pool2d that only the eager engine uses. */
static void make_pack(bench *b) {
  int64_t groups = ONE_OF(1, 2), shape[4] = {groups * ONE_OF(1, 15, 16, 33), ONE_OF(1, 5), ONE_OF(1, 3), ONE_OF(1, 3)};
  start(b, PP_FAMILY_PACK, 1);
  b->s.n_attrs = 1, b->attrs[0] = groups;
  any_view(b, &b->views[0], 4, shape);
  packed(b, &b->views[1], 4, shape, PP_PACK_CONV_PANEL16, groups);
}

static void make_eager(bench *b, uint8_t family) {
  int64_t rows = ONE_OF(1, 3, 40, 200), n = ONE_OF(1, 3, 8, 17, 70), channels[3] = {ONE_OF(2, 5), ONE_OF(1, 3, 20), ONE_OF(1, 7, 40)};
  int64_t shape[3] = {rows, n, ONE_OF(1, 1, 5, 33)}, stats[2] = {rows, 2};
  switch (family) {
    case PP_FAMILY_PACK: make_pack(b); return;
    case PP_FAMILY_CONV_WEIGHT_GRAD: make_conv_weight_grad(b); return;
    case PP_FAMILY_POOL_GRAD: make_pool_grad(b); return;
    case PP_FAMILY_SCATTER_ADD: make_scatter_add(b); return;
    case PP_FAMILY_SOFTMAX_GRAD:
      start(b, family, 2);
      b->s.n_attrs = 1, b->attrs[0] = draw(2);
      for (int i = 0; i < 3; i++) plain(b, i, 3, shape);
      return;
    case PP_FAMILY_NORM_GRAD:
      start(b, family, 3);
      more_results(b, 2);
      b->s.n_attrs = b->s.n_floats = 1, b->attrs[0] = often(50) ? PP_NORM_LAYER : PP_NORM_RMS, b->floats[0] = 0.1;
      plain(b, 0, 2, shape), plain(b, 1, 2, shape), plain(b, 3, 2, shape), plain(b, 4, 2, stats);
      if (often(50)) plain(b, 2, 1, &n);
      return;
    case PP_FAMILY_NORM_PARAM_GRAD:
      start(b, family, 3);
      more_results(b, 2);
      plain(b, 0, 2, shape), plain(b, 1, 2, shape), plain(b, 2, 2, stats), plain(b, 3, 1, &n), plain(b, 4, 1, &n);
      return;
    default: {
      int back = family == PP_FAMILY_CHANNEL_NORM_GRAD, args = back ? 7 : 3;
      start(b, family, args);
      more_results(b, 3);
      b->s.n_floats = 1, b->floats[0] = 0.1;
      for (int i = 0; i < args + 3; i++)
        if (i == 0 || i == args || (back && i == 1)) plain(b, i, 3, channels);
        else if (i > 2 || often(60)) plain(b, i, 1, channels + 1);
      if (back) /* a variance */
        for (int64_t i = 0; i < channels[1]; i++) ((float *)b->views[4].data)[i] = 1.0f;
    }
  }
}
#endif

static void make(bench *b, uint8_t family) {
#if PP_WITH_EAGER
  if (family >= PP_FAMILY_PACK) {
    make_eager(b, family);
    return;
  }
#endif
  switch (family) {
    case PP_FAMILY_GEMM: make_gemm(b); break;
    case PP_FAMILY_CONV2D: make_conv2d(b); break;
    case PP_FAMILY_POOL2D: make_pool2d(b); break;
    case PP_FAMILY_POINTWISE: make_pointwise(b); break;
    case PP_FAMILY_REDUCE: case PP_FAMILY_NORM: case PP_FAMILY_SOFTMAX: make_rows(b, family); break;
    default: make_copy(b, family);
  }
}

/* Runs all tasks in `ways` pieces, the last first, into a fresh copy of the result's memory. */
static float *run(bench *b, const pp_kernel *kernel, int ways, const float *before) {
  pp_view *y = b->s.results;
  size_t bytes = (size_t)b->elements[y - b->views] * 4;
  float *own = malloc(bytes + 4);
  memcpy(own, before, bytes);
  y->data = own;
  kernel->prepare(&b->s);
  for (int w = ways - 1; w >= 0; w--) {
    char *scratch = aligned_alloc(64, PP_ALIGN64(b->s.scratch) + 64);
    pp_error e = {0};
    if (scratch) memset(scratch, 0xff, b->s.scratch);
    int64_t first = b->s.tasks * w / ways, last = b->s.tasks * (w + 1) / ways;
    if (first < last) CHECK_EQUAL(kernel->run(&b->s, first, last, scratch, &e), PP_OK);
    free(scratch);
  }
  return own;
}

static bool close_to(float a, float b) {
  return (isnan(a) && isnan(b)) || a == b || fabsf(a - b) <= 2e-4f + 2e-4f * fabsf(b);
}

/* Runs `b` through every kernel that takes it; counts them by number. */
static void compare(bench *b, uint32_t isa, int *runs) {
  pp_view *y = b->s.results;
  int64_t n = b->elements[y - b->views];
  pp_error e = {0};
  CHECK_EQUAL(pp_contract_check(&b->s, &e), PP_OK);
  float *before = y->data, *wanted = NULL;
  for (size_t i = pp_kernel_count(); i-- > 0;) { /* the reference is the last of its family */
    const pp_kernel *k = pp_kernel_at(i);
    if (k->family != b->s.family || !(isa >> k->isa & 1) || !k->accepts(&b->s)) continue;
    float *found = run(b, k, 1, before), *cut = run(b, k, 3, before);
    runs[i]++;
    CHECK(memcmp(found, cut, (size_t)n * 4) == 0);
    if (!wanted) {
      wanted = found;
    } else {
      int64_t wrong = 0;
      for (int64_t at = 0; at < n; at++) wrong += !close_to(found[at], wanted[at]);
      if (wrong) fprintf(stderr, "%s: %lld of %lld differ\n", k->name, (long long)wrong, (long long)n);
      CHECK_EQUAL(wrong, 0);
      free(found);
    }
    free(cut);
  }
  free(wanted);
  y->data = before;
  for (int i = 0; i < OPERANDS; i++) free(b->views[i].data);
}

int main(void) {
  uint32_t isa = pp_cpu_isa() | PP_TEST_EXTRA_ISA;
  int *runs = calloc(pp_kernel_count(), sizeof *runs);
  for (uint8_t family = PP_FAMILY_POINTWISE; family < PP_FAMILY_EAGER_END; family++) {
    bench b;
    int rounds = family == PP_FAMILY_GEMM || family == PP_FAMILY_CONV2D ? 3 * ROUNDS : ROUNDS;
    if (family > PP_FAMILY_UPDATE && (family < PP_FAMILY_PACK || !PP_WITH_EAGER)) continue;
    for (int i = 0; i < rounds; i++) {
      seed = (uint32_t)(family * 1000 + i);
      make(&b, family);
      compare(&b, isa, runs);
    }
  }
  for (size_t i = 0; i < pp_kernel_count(); i++) { /* every kernel was used */
    if (!(isa >> pp_kernel_at(i)->isa & 1)) continue;
    if (runs[i] == 0) fprintf(stderr, "%s was never run\n", pp_kernel_at(i)->name);
    CHECK(runs[i] > 0);
  }
  free(runs);
  return tests_result();
}
