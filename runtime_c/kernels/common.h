/* What every kernel file needs: views, dtypes, errors, task splitting. Header only. */
#ifndef PP_KERNELS_COMMON_H
#define PP_KERNELS_COMMON_H

#include <string.h>

#include "kernel.h"
#include "eager.h"
#include "../schema/schema_gen.h"

#define PP_INLINE static inline __attribute__((always_inline, unused))
#define PP_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PP_MAX(a, b) ((a) > (b) ? (a) : (b))
#define PP_CEIL_DIV(a, b) (((a) + (b) - 1) / (b))
#define PP_ALIGN64(x) (((size_t)(x) + 63) & ~(size_t)63)

/* 1 when the file compiles the double-precision and 64-bit integer paths (a small build may drop them). */
#ifndef PP_WITH_WIDE
#define PP_WITH_WIDE 1
#endif
/* 1 when the build has the families of eager.h. */
#ifndef PP_WITH_EAGER
#define PP_WITH_EAGER 0
#endif

PP_INLINE int pp_item_size(uint8_t dtype) {
  switch (dtype) {
    case PP_DTYPE_BOOL: case PP_DTYPE_U8: case PP_DTYPE_I8: return 1;
    case PP_DTYPE_U16: case PP_DTYPE_I16: case PP_DTYPE_F16: case PP_DTYPE_BF16: return 2;
    case PP_DTYPE_U32: case PP_DTYPE_I32: case PP_DTYPE_F32: return 4;
    case PP_DTYPE_U64: case PP_DTYPE_I64: case PP_DTYPE_F64: return 8;
    default: return 0;
  }
}

PP_INLINE bool pp_present(const pp_view *v) { return v->dtype != PP_DTYPE_NONE; }
PP_INLINE bool pp_dense_f32(const pp_view *v) { return v->dtype == PP_DTYPE_F32 && v->pack == PP_PACK_DENSE; }
PP_INLINE bool pp_absent_or_f32(const pp_view *v) { return !pp_present(v) || pp_dense_f32(v); }

PP_INLINE int64_t pp_elements(const pp_view *v) {
  int64_t n = 1;
  for (int d = 0; d < v->rank; d++)
    if (v->shape[d] == 0) return 0; /* before multiplying: the other sizes are then unbounded */
  for (int d = 0; d < v->rank; d++) n *= v->shape[d];
  return n;
}

/* Stride of a dimension, 0 where stepping along it never moves (size 1), so that strides of dimensions
 * nobody walks cannot disturb layout decisions. */
PP_INLINE int64_t pp_step_of(const pp_view *v, int d) { return v->shape[d] == 1 ? 0 : v->stride[d]; }

/* True when walking dimension d touches consecutive elements. */
PP_INLINE bool pp_unit(const pp_view *v, int d) { return v->shape[d] <= 1 || v->stride[d] == 1; }

/* Dense f32 in row-major order. */
PP_INLINE bool pp_plain(const pp_view *v) {
  int64_t step = 1;
  if (!pp_dense_f32(v)) return false;
  for (int d = v->rank - 1; d >= 0; d--) {
    if (v->shape[d] > 1 && v->stride[d] != step) return false;
    step *= v->shape[d];
  }
  return true;
}

PP_INLINE int64_t pp_offset_of(const pp_view *v, const int64_t *index) {
  int64_t at = 0;
  for (int d = 0; d < v->rank; d++) at += index[d] * v->stride[d];
  return at;
}

/* Coordinates of row-major position n in shape. */
PP_INLINE void pp_unravel(int64_t n, int rank, const int64_t *shape, int64_t *index) {
  for (int d = rank - 1; d >= 0; d--) {
    index[d] = n % shape[d];
    n /= shape[d];
  }
}

/* Next coordinates in row-major order over the first `rank` dimensions; wraps to zero at the end. */
PP_INLINE void pp_advance(int rank, const int64_t *shape, int64_t *index) {
  for (int d = rank - 1; d >= 0; d--) {
    if (++index[d] < shape[d]) return;
    index[d] = 0;
  }
}

PP_INLINE pp_status pp_fail(pp_error *error, pp_status status, uint32_t operand, int64_t found, int64_t wanted) {
  if (error) {
    error->status = status;
    error->operand = operand;
    error->a = found;
    error->b = wanted;
  }
  return status;
}

/* Kernels divide their work into about this many tasks where the shape allows: enough to balance a
 * handful of threads, few enough that per-task setup disappears. */
#define PP_TASK_GOAL 32

#endif
