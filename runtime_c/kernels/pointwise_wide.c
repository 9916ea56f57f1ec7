/* The slow side of pointwise programs: casts between all classes, 64-bit types, integer division and powers. */
#include "pointwise.h"

#if PP_WITH_WIDE
#include <math.h>
#endif

/* Truncation toward zero, saturating, NaN to 0. */
#define SATURATE(NAME, TO, FROM, LOW, HIGH, MIN, MAX)                 \
  static TO NAME(FROM x) {                                            \
    if (x != x) return 0;                                             \
    return x <= (LOW) ? (MIN) : x >= (HIGH) ? (MAX) : (TO)x;          \
  }
SATURATE(i32_of_f32, int32_t, float, -2147483648.0f, 2147483648.0f, INT32_MIN, INT32_MAX)
#if PP_WITH_WIDE
SATURATE(i32_of_f64, int32_t, double, -2147483648.0, 2147483647.0, INT32_MIN, INT32_MAX)
SATURATE(i64_of_f32, int64_t, float, -9223372036854775808.0f, 9223372036854775808.0f, INT64_MIN, INT64_MAX)
SATURATE(i64_of_f64, int64_t, double, -9223372036854775808.0, 9223372036854775808.0, INT64_MIN, INT64_MAX)
#endif

#define EACH(TO, FROM, EXPR)                                          \
  do {                                                                \
    TO *d = dst;                                                      \
    const FROM *s = src;                                              \
    for (int64_t k = 0; k < n; k++) { FROM x = s[k]; d[k] = (EXPR); } \
    return;                                                           \
  } while (0)

#define PAIR(to, from) ((to) * 8 + (from))
#define T(x) PP_PWTYPE_##x

void pp_pw_cast(void *dst, uint8_t type, const void *src, uint8_t from, int64_t n) {
  switch (PAIR(type, from)) {
    case PAIR(T(F32), T(F32)): case PAIR(T(I32), T(I32)): case PAIR(T(MASK), T(MASK)): EACH(uint32_t, uint32_t, x);
    case PAIR(T(F32), T(I32)): EACH(float, int32_t, (float)x);
    case PAIR(T(F32), T(MASK)): EACH(float, int32_t, x ? 1.0f : 0.0f);
    case PAIR(T(I32), T(F32)): EACH(int32_t, float, i32_of_f32(x));
    case PAIR(T(I32), T(MASK)): EACH(int32_t, int32_t, -x);
    case PAIR(T(MASK), T(F32)): EACH(int32_t, float, -(int32_t)(x != 0));
    case PAIR(T(MASK), T(I32)): EACH(int32_t, int32_t, -(int32_t)(x != 0));
#if PP_WITH_WIDE
    case PAIR(T(F64), T(F64)): case PAIR(T(I64), T(I64)): EACH(uint64_t, uint64_t, x);
    case PAIR(T(F32), T(F64)): EACH(float, double, (float)x);
    case PAIR(T(F32), T(I64)): EACH(float, int64_t, (float)x);
    case PAIR(T(I32), T(F64)): EACH(int32_t, double, i32_of_f64(x));
    case PAIR(T(I32), T(I64)): EACH(uint32_t, int64_t, (uint32_t)x);
    case PAIR(T(MASK), T(F64)): EACH(int32_t, double, -(int32_t)(x != 0));
    case PAIR(T(MASK), T(I64)): EACH(int32_t, int64_t, -(int32_t)(x != 0));
    case PAIR(T(F64), T(F32)): EACH(double, float, x);
    case PAIR(T(F64), T(I32)): EACH(double, int32_t, x);
    case PAIR(T(F64), T(MASK)): EACH(double, int32_t, x ? 1.0 : 0.0);
    case PAIR(T(F64), T(I64)): EACH(double, int64_t, (double)x);
    case PAIR(T(I64), T(F32)): EACH(int64_t, float, i64_of_f32(x));
    case PAIR(T(I64), T(I32)): EACH(int64_t, int32_t, x);
    case PAIR(T(I64), T(MASK)): EACH(int64_t, int32_t, -(int64_t)x);
    case PAIR(T(I64), T(F64)): EACH(int64_t, double, i64_of_f64(x));
#endif
    default: return;
  }
}

/* Integer division of one width: rounds toward minus infinity; the one overflow, MIN / -1, wraps. */
#define DIVISION(NAME, TYPE, UTYPE)                                                                      \
  static bool div_##NAME(TYPE *d, const TYPE *a, const TYPE *b, int64_t n, int64_t *bad) {                \
    for (int64_t i = 0; i < n; i++) {                                                                    \
      if (b[i] == 0) { *bad = i; return false; }                                                         \
      if (b[i] == -1) { d[i] = (TYPE)(0 - (UTYPE)a[i]); continue; }                                      \
      TYPE x = a[i], y = b[i], q = (TYPE)(x / y);                                                        \
      d[i] = (TYPE)(q - (x % y != 0 && (x < 0) != (y < 0)));                                             \
    }                                                                                                    \
    return true;                                                                                         \
  }                                                                                                      \
  static bool rem_##NAME(TYPE *d, const TYPE *a, const TYPE *b, int64_t n, int64_t *bad) {                \
    for (int64_t i = 0; i < n; i++) {                                                                    \
      if (b[i] == 0) { *bad = i; return false; }                                                         \
      if (b[i] == -1) { d[i] = 0; continue; }                                                            \
      TYPE y = b[i], r = (TYPE)(a[i] % y);                                                               \
      d[i] = (TYPE)(r != 0 && (r < 0) != (y < 0) ? r + y : r);                                           \
    }                                                                                                    \
    return true;                                                                                         \
  }                                                                                                      \
  static void pow_##NAME(TYPE *d, const TYPE *a, const TYPE *b, int64_t n) {                              \
    for (int64_t i = 0; i < n; i++) {                                                                    \
      TYPE base = a[i], e = b[i];                                                                        \
      if (e < 0) { d[i] = (TYPE)(base == 1 ? 1 : base == -1 ? (e & 1 ? -1 : 1) : 0); continue; }         \
      UTYPE r = 1, s = (UTYPE)base;                                                                      \
      for (; e; e >>= 1, s *= s)                                                                         \
        if (e & 1) r *= s;                                                                               \
      d[i] = (TYPE)r;                                                                                    \
    }                                                                                                    \
  }
DIVISION(i32, int32_t, uint32_t)

static pp_status divisor(pp_error *error, int64_t i) { return pp_fail(error, PP_ERR_DIVISOR, UINT32_MAX, i, 0); }

#if PP_WITH_WIDE
DIVISION(i64, int64_t, uint64_t)

static double rem_f64(double a, double b) {
  double r = fmod(a, b);
  if (r != 0.0) return (r < 0) != (b < 0) ? r + b : r;
  return copysign(0.0, b);
}
static double sigmoid_f64(double x) {
  double e = exp(-fabs(x));
  return (x < 0 ? e : 1.0) / (1.0 + e);
}

#define BINARY(EXPR) \
  for (int64_t k = 0; k < n; k++) { x = a[k]; y = b[k]; d[k] = (EXPR); } break
#define UNARY(EXPR) \
  for (int64_t k = 0; k < n; k++) { x = a[k]; d[k] = (EXPR); } break
#define COMPARE(EXPR) \
  for (int64_t k = 0; k < n; k++) { x = a[k]; y = b[k]; m[k] = -(int32_t)(EXPR); } break

static pp_status wide_f64(const pp_pw_instruction *i, void *dst, const double *a, const double *b, int64_t n) {
  double *d = dst, x, y;
  int32_t *m = dst;
  switch (i->op) {
    case PP_PW_ADD: BINARY(x + y);
    case PP_PW_SUB: BINARY(x - y);
    case PP_PW_MUL: BINARY(x * y);
    case PP_PW_DIV: BINARY(x / y);
    case PP_PW_REM: BINARY(rem_f64(x, y));
    case PP_PW_POW: BINARY(pow(x, y));
    case PP_PW_ATAN2: BINARY(atan2(x, y));
    case PP_PW_MIN: BINARY(x != x || x < y ? x : y);
    case PP_PW_MAX: BINARY(x != x || x > y ? x : y);
    case PP_PW_EQ: COMPARE(x == y);
    case PP_PW_NE: COMPARE(x != y);
    case PP_PW_LT: COMPARE(x < y);
    case PP_PW_LE: COMPARE(x <= y);
    case PP_PW_NEG: UNARY(-x);
    case PP_PW_ABS: UNARY(fabs(x));
    case PP_PW_SIGN: UNARY(x > 0 ? 1.0 : x < 0 ? -1.0 : x);
    case PP_PW_RECIPROCAL: UNARY(1.0 / x);
    case PP_PW_SQRT: UNARY(sqrt(x));
    case PP_PW_RSQRT: UNARY(1.0 / sqrt(x));
    case PP_PW_EXP: UNARY(exp(x));
    case PP_PW_EXPM1: UNARY(expm1(x));
    case PP_PW_LOG: UNARY(log(x));
    case PP_PW_LOG1P: UNARY(log1p(x));
    case PP_PW_SIN: UNARY(sin(x));
    case PP_PW_COS: UNARY(cos(x));
    case PP_PW_TANH: UNARY(tanh(x));
    case PP_PW_SIGMOID: UNARY(sigmoid_f64(x));
    case PP_PW_ERF: UNARY(erf(x));
    case PP_PW_FLOOR: UNARY(floor(x));
    case PP_PW_CEIL: UNARY(ceil(x));
    case PP_PW_ROUND: UNARY(nearbyint(x));
    case PP_PW_TRUNC: UNARY(trunc(x));
    case PP_PW_ISNAN: for (int64_t k = 0; k < n; k++) m[k] = -(int32_t)(a[k] != a[k]); break;
    default: break;
  }
  return PP_OK;
}

static pp_status wide_i64(const pp_pw_instruction *i, void *dst, const int64_t *a, const int64_t *b, int64_t n,
                          pp_error *error) {
  int64_t *d = dst, x, y, bad = 0;
  int32_t *m = dst;
  typedef uint64_t u;
  switch (i->op) {
    case PP_PW_ADD: BINARY((int64_t)((u)x + (u)y));
    case PP_PW_SUB: BINARY((int64_t)((u)x - (u)y));
    case PP_PW_MUL: BINARY((int64_t)((u)x * (u)y));
    case PP_PW_DIV: return div_i64(d, a, b, n, &bad) ? PP_OK : divisor(error, bad);
    case PP_PW_REM: return rem_i64(d, a, b, n, &bad) ? PP_OK : divisor(error, bad);
    case PP_PW_POW: pow_i64(d, a, b, n); break;
    case PP_PW_MIN: BINARY(x < y ? x : y);
    case PP_PW_MAX: BINARY(x > y ? x : y);
    case PP_PW_AND: BINARY(x & y);
    case PP_PW_OR: BINARY(x | y);
    case PP_PW_XOR: BINARY(x ^ y);
    case PP_PW_SHL: BINARY((int64_t)((u)x << (y & 63)));
    case PP_PW_SHR: BINARY(x >> (y & 63));
    case PP_PW_EQ: COMPARE(x == y);
    case PP_PW_NE: COMPARE(x != y);
    case PP_PW_LT: COMPARE(x < y);
    case PP_PW_LE: COMPARE(x <= y);
    case PP_PW_NEG: UNARY((int64_t)(0 - (u)x));
    case PP_PW_ABS: UNARY(x < 0 ? (int64_t)(0 - (u)x) : x);
    case PP_PW_SIGN: UNARY((x > 0) - (x < 0));
    case PP_PW_NOT: UNARY(~x);
    default: break;
  }
  return PP_OK;
}

static void wide_select(uint64_t *d, const int32_t *m, const uint64_t *b, const uint64_t *c, int64_t n) {
  for (int64_t k = 0; k < n; k++) d[k] = m[k] ? b[k] : c[k];
}
#endif

pp_status pp_pw_slow(const pp_pw_instruction *i, void *dst, const void *a, const void *b, const void *c, int64_t n,
                     pp_error *error) {
  int64_t bad = 0;
  if (i->type == PP_PWTYPE_I32) {
    if (i->op == PP_PW_DIV) return div_i32(dst, a, b, n, &bad) ? PP_OK : divisor(error, bad);
    if (i->op == PP_PW_REM) return rem_i32(dst, a, b, n, &bad) ? PP_OK : divisor(error, bad);
    pow_i32(dst, a, b, n);
    return PP_OK;
  }
#if PP_WITH_WIDE
  if (i->op == PP_PW_SELECT) {
    wide_select(dst, a, b, c, n);
    return PP_OK;
  }
  return i->type == PP_PWTYPE_F64 ? wide_f64(i, dst, a, b, n) : wide_i64(i, dst, a, b, n, error);
#else
  (void)c;
  return PP_OK;
#endif
}
