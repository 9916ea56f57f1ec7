/* Elementary functions on vf, no libm: a few units in the last place over the whole f32 range, infinities, NaN, signed
 * zeros and subnormals as C99 says. Coefficients are weighted least squares fits of our own or Taylor terms. */
#ifndef PP_KERNELS_SIMD_MATH_H
#define PP_KERNELS_SIMD_MATH_H

#include "simd.h"

#define PP_INF __builtin_inff()

/* Adding and subtracting 1.5 * 2^23 rounds |x| < 2^22 to an integer, whose value is then in the low mantissa bits. */
#define PP_ROUNDER 12582912.0f

/* Half to even; keeps the sign of zero, and values without a fraction. */
PP_INLINE vf vf_round(vf x) {
  vf big = vf_set(8388608.0f), a = vf_abs(x);
  return vf_select(vf_lt(a, big), vf_copysign((a + big) - big, x), x);
}
PP_INLINE vf vf_floor(vf x) {
  vf r = vf_round(x);
  return vf_copysign(r - vf_select(vf_lt(x, r), vf_set(1.0f), vf_zero()), x);
}
PP_INLINE vf vf_ceil(vf x) {
  vf r = vf_round(x);
  return vf_copysign(r + vf_select(vf_lt(r, x), vf_set(1.0f), vf_zero()), x);
}
PP_INLINE vf vf_trunc(vf x) { return vf_copysign(vf_floor(vf_abs(x)), x); }

/* 2^n for n in [-126, 127]. */
PP_INLINE vf vf_pow2(vi n) { return vi_float(vi_shl(vi_add(n, vi_set(127)), vi_set(23))); }

/* x = n ln 2 + t, |t| <= ln2/2; the high part of ln 2 has zeros at its end so that n times it is exact. */
PP_INLINE vi vf_exp_reduce(vf x, vf *t) {
  vf r = x * vf_set(1.44269504f) + vf_set(PP_ROUNDER);
  vf n = r - vf_set(PP_ROUNDER);
  *t = vf_fma(n, vf_set(-0x1.7f7d1cp-20f), vf_fma(n, vf_set(-0x1.62e4p-1f), x));
  return vi_sub(vf_bits(r), vf_bits(vf_set(PP_ROUNDER)));
}

PP_INLINE vf vf_exp(vf x) {
  vf t;
  vf c = vf_min(vf_max(x, vf_set(-104.0f)), vf_set(89.0f));
  vi n = vf_exp_reduce(c, &t);
  vf p = vf_fma(vf_set(0x1.0fe5c6p-7f), t, vf_set(0x1.575eeep-5f));
  p = vf_fma(p, t, vf_set(0x1.555a18p-3f));
  p = vf_fma(p, t, vf_set(0x1.fffd1ap-2f));
  p = vf_fma(p, t, vf_set(0x1.fffff6p-1f));
  p = vf_fma(p, t, vf_set(1.0f));
  vi half = vi_shr(n, vi_set(1)); /* in two steps: 2^128 and 2^-149 have no normal scale factor */
  return p * vf_pow2(half) * vf_pow2(vi_sub(n, half));
}

PP_INLINE vf vf_expm1(vf x) {
  vf t;
  vf c = vf_min(vf_max(x, vf_set(-25.0f)), vf_set(89.0f));
  vi n = vf_exp_reduce(c, &t);
  vf p = vf_fma(vf_set(2.48015873e-5f), t, vf_set(1.98412698e-4f));
  p = vf_fma(p, t, vf_set(1.38888889e-3f));
  p = vf_fma(p, t, vf_set(8.33333333e-3f));
  p = vf_fma(p, t, vf_set(4.16666667e-2f));
  p = vf_fma(p, t, vf_set(1.66666667e-1f));
  p = vf_fma(p, t, vf_set(0.5f));
  p = vf_fma(p * t, t, t);
  /* 2^n (p + 1) - 1 at half scale, so that n = 128 stays finite until the end. */
  vf h = vf_pow2(vi_sub(n, vi_set(1)));
  vf r = vf_fma(h, p, h - vf_set(0.5f));
  return vf_select(vf_eq(x, vf_zero()), x, r + r);
}

/* log of u > 0 as k ln 2 + log(1 + f): returns the value, NaN and infinities are the caller's. */
PP_INLINE vf vf_log_positive(vf u) {
  vi tiny = vf_lt(u, vf_set(1.17549435e-38f));
  u = vf_select(tiny, u * vf_set(8388608.0f), u);
  vi b = vi_sub(vf_bits(u), vi_set(0x3f3504f3)); /* split at sqrt(1/2) */
  vi k = vi_shr(b, vi_set(23));
  vf f = vi_float(vi_add(b & vi_set(0x007fffff), vi_set(0x3f3504f3))) - vf_set(1.0f);
  vf kf = vf_of_vi(vi_sub(k, tiny & vi_set(23)));
  /* log(1+f) = f - f^2/2 + s (f^2/2 + R), s = f/(2+f), R = the atanh series without its first term. */
  vf s = f / (vf_set(2.0f) + f), z = s * s;
  vf r = vf_fma(z, vf_set(0.15384615f), vf_set(0.18181818f));
  r = vf_fma(r, z, vf_set(0.22222222f));
  r = vf_fma(r, z, vf_set(0.28571429f));
  r = vf_fma(r, z, vf_set(0.4f));
  r = vf_fma(r, z, vf_set(0.66666667f)) * z;
  vf h = vf_set(0.5f) * f * f;
  vf low = vf_fma(s, h + r, kf * vf_set(0x1.7f7d1cp-20f));
  return vf_fma(kf, vf_set(0x1.62e4p-1f), f - (h - low));
}

PP_INLINE vf vf_log_special(vf x, vf r) {
  r = vf_select(vf_eq(x, vf_set(PP_INF)), x, r);
  r = vf_select(vf_eq(x, vf_zero()), vf_set(-PP_INF), r);
  r = vf_select(vf_lt(x, vf_zero()), vf_set(__builtin_nanf("")), r);
  return vf_select(vf_isnan(x), x, r);
}

PP_INLINE vf vf_log(vf x) { return vf_log_special(x, vf_log_positive(x)); }

PP_INLINE vf vf_log1p(vf x) {
  vf one = vf_set(1.0f), u = one + x;
  vf lost = vf_select(vf_lt(vf_abs(x), one), x - (u - one), one - (u - x)); /* what rounding 1 + x dropped */
  vf r = vf_log_special(u, vf_log_positive(u));
  vf fixed = r + lost / u;
  vi plain = vf_eq(u, vf_zero()) | vf_eq(u, vf_set(PP_INF));
  return vf_select(vf_eq(x, vf_zero()), x, vf_select(plain, r, fixed));
}

PP_INLINE vf vf_tanh(vf x) {
  vf a = vf_abs(x);
  vf t = vf_expm1(vf_min(a + a, vf_set(20.0f)));
  vf r = vf_copysign(t / (t + vf_set(2.0f)), x);
  return vf_select(vf_lt(a, vf_set(1e-4f)), x, r);
}

PP_INLINE vf vf_sigmoid(vf x) {
  vf e = vf_exp(vf_neg(vf_abs(x)));
  return vf_select(vf_lt(x, vf_zero()), e, vf_set(1.0f)) / (e + vf_set(1.0f));
}

/* Below 1 an odd polynomial; above, 1 - exp of a polynomial, which is exactly 1 from 3.92 on. Within 2 units of the last
 * place; NaN stays. */
PP_INLINE vf vf_erf(vf x) {
  vf a = vf_min(vf_abs(x), vf_set(4.0f)), u = a * a;
  vf p = vf_fma(vf_set(0x1.4969dp-14f), u, vf_set(-0x1.a3f6d8p-11f));
  p = vf_fma(p, u, vf_set(0x1.5405acp-8f));
  p = vf_fma(p, u, vf_set(-0x1.b7f90cp-6f));
  p = vf_fma(p, u, vf_set(0x1.ce2cf8p-4f));
  p = vf_fma(p, u, vf_set(-0x1.81273ep-2f));
  p = vf_fma(p, u, vf_set(0x1.06eba8p-3f));
  vf q = vf_fma(vf_set(0x1.86dfa2p-13f), a, vf_set(-0x1.825c52p-9f));
  q = vf_fma(q, a, vf_set(0x1.65cc2cp-6f));
  q = vf_fma(q, a, vf_set(-0x1.a653a6p-4f));
  q = vf_fma(q, a, vf_set(-0x1.46badcp-1f));
  q = vf_fma(q, a, vf_set(-0x1.2088fp+0f));
  q = vf_fma(q, a, vf_set(-0x1.6609fp-12f));
  vf r = vf_select(vf_lt(a, vf_set(1.0f)), vf_fma(a, p, a), vf_set(1.0f) - vf_exp(q));
  return vf_copysign(r, x);
}

/* Quadrant and remainder of a large argument: multiplies the 24-bit mantissa by the window of the binary expansion of
 * 2/pi that matters modulo 4 quadrants. */
static inline __attribute__((unused)) int32_t pp_trig_reduce(float x, float *t) {
  static const uint32_t two_over_pi[8] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                          0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};
  uint32_t u = pp_bits_of_float(x), m = (u & 0x7fffffu) | 0x800000u;
  int e = (int)(u >> 23 & 255) - 150;
  if (e == 105) { /* infinity or NaN */
    *t = __builtin_nanf("");
    return 0;
  }
  int start = e + 30, word = start >> 5, bit = start & 31;
  uint64_t w[3];
  for (int i = 0; i < 3; i++) {
    uint64_t high = two_over_pi[word + i], low = word + i + 1 < 8 ? two_over_pi[word + i + 1] : 0;
    w[i] = (high << 32 | low) << bit >> 32;
  }
  uint64_t p = m * (w[0] << 32 | w[1]) + (m * w[2] >> 32);
  int32_t quadrant = (int32_t)(p >> 62);
  int64_t fraction = (int64_t)(p << 2) >> 2; /* signed: nearest quadrant */
  if (fraction < 0) quadrant++;
  *t = (float)((double)fraction * (1.5707963267948966 / 4611686018427387904.0));
  if (u >> 31) {
    *t = -*t;
    quadrant = -quadrant;
  }
  return quadrant;
}

/* sin (shift 0) or cos (shift 1). */
PP_INLINE vf vf_trig(vf x, int32_t shift) {
  vf r = x * vf_set(0.636619772f) + vf_set(PP_ROUNDER), n = r - vf_set(PP_ROUNDER);
  vi q = vi_sub(vf_bits(r), vf_bits(vf_set(PP_ROUNDER)));
  /* pi/2 in four parts of 10 bits: products with n < 2^13 are exact, with or without fma. */
  vf t = vf_fma(n, vf_set(-0x1.92p+0f), x);
  t = vf_fma(n, vf_set(-0x1.fbp-12f), t);
  t = vf_fma(n, vf_set(-0x1.51p-22f), t);
  t = vf_fma(n, vf_set(-0x1.0b4612p-34f), t);
  float xs[PP_W], ts[PP_W];
  int32_t qs[PP_W];
  memcpy(xs, &x, sizeof x);
  int large = 0;
  for (int i = 0; i < PP_W; i++) large |= !(xs[i] < 12000.0f && xs[i] > -12000.0f);
  if (__builtin_expect(large, 0)) {
    memcpy(ts, &t, sizeof t);
    memcpy(qs, &q, sizeof q);
    for (int i = 0; i < PP_W; i++)
      if (!(xs[i] < 12000.0f && xs[i] > -12000.0f)) qs[i] = pp_trig_reduce(xs[i], &ts[i]);
    memcpy(&t, ts, sizeof t);
    memcpy(&q, qs, sizeof q);
  }
  vf u = t * t;
  vf s = vf_fma(vf_set(0x1.705d26p-19f), u, vf_set(-0x1.a01de4p-13f));
  s = vf_fma(s, u, vf_set(0x1.111118p-7f));
  s = vf_fma(s, u, vf_set(-0x1.555556p-3f));
  s = vf_fma(s * u, t, t);
  vf c = vf_fma(vf_set(-0x1.24f4c4p-22f), u, vf_set(0x1.a01502p-16f));
  c = vf_fma(c, u, vf_set(-0x1.6c16bep-10f));
  c = vf_fma(c, u, vf_set(0x1.555556p-5f));
  c = vf_fma(c * u, u, vf_fma(u, vf_set(-0.5f), vf_set(1.0f)));
  q = vi_add(q, vi_set(shift));
  vf v = vf_select(vi_eq(q & vi_set(1), vi_set(0)), s, c);
  return vi_float(vf_bits(v) ^ vi_shl(q & vi_set(2), vi_set(30)));
}
PP_INLINE vf vf_sin(vf x) { return vf_select(vf_eq(x, vf_zero()), x, vf_trig(x, 0)); }
PP_INLINE vf vf_cos(vf x) { return vf_trig(x, 1); }

PP_INLINE vf vf_atan2(vf y, vf x) {
  vf ax = vf_abs(x), ay = vf_abs(y);
  vi swap = vf_lt(ax, ay);
  vf high = vf_select(swap, ay, ax), low = vf_select(swap, ax, ay);
  vf r = low / high;
  r = vf_select(vf_eq(high, vf_zero()), vf_zero(), r);
  r = vf_select(vf_eq(low, vf_set(PP_INF)), vf_set(1.0f), r);
  vi steep = vf_lt(vf_set(0.41421356f), r);
  vf v = vf_select(steep, (r - vf_set(1.0f)) / (r + vf_set(1.0f)), r), u = v * v;
  vf p = vf_fma(vf_set(-0x1.08da50p-4f), u, vf_set(0x1.b843e4p-4f));
  p = vf_fma(p, u, vf_set(-0x1.242304p-3f));
  p = vf_fma(p, u, vf_set(0x1.99974ap-3f));
  p = vf_fma(p, u, vf_set(-0x1.555554p-2f));
  vf a = vf_fma(p * u, v, v);
  a = vf_select(steep, a + vf_set(0.785398163f), a);
  a = vf_select(swap, vf_set(1.57079637f) - (a + vf_set(4.37113883e-8f)), a);
  a = vf_select(vi_lt(vf_bits(x), vi_set(0)), vf_set(3.14159274f) - (a + vf_set(8.74227766e-8f)), a);
  a = vf_copysign(a, y);
  return vf_select(vf_isnan(x), x, vf_select(vf_isnan(y), y, a));
}

/* a^b through double precision: the exponent multiplies the error of the logarithm by up to 128. */
static inline __attribute__((unused)) float pp_powf(float x, float y) {
  if (y == 0.0f || x == 1.0f) return 1.0f;
  if (x != x || y != y) return x + y;
  float ax = pp_float_of_bits(pp_bits_of_float(x) & 0x7fffffffu), ay = pp_float_of_bits(pp_bits_of_float(y) & 0x7fffffffu);
  bool integer = true, odd = false;
  if (ay < 16777216.0f) {
    int32_t n = (int32_t)ay;
    integer = (float)n == ay;
    odd = integer && (n & 1);
  }
  bool negative = pp_bits_of_float(x) >> 31 && odd;
  float r;
  if (ay == PP_INF)
    r = ax == 1.0f ? 1.0f : (ax > 1.0f) == (y > 0) ? PP_INF : 0.0f;
  else if (ax == 0.0f || ax == PP_INF)
    r = (ax == 0.0f) == (y > 0) ? 0.0f : PP_INF;
  else if (x < 0 && !integer)
    return __builtin_nanf("");
  else {
    double d = ax;
    uint64_t b;
    memcpy(&b, &d, 8);
    int64_t k = (int64_t)(b - 0x3fe6a09e667f3bcdull) >> 52;
    b -= (uint64_t)k << 52;
    memcpy(&d, &b, 8);
    double s = (d - 1.0) / (d + 1.0), z = s * s, log = 0.0;
    for (int i = 19; i >= 1; i -= 2) log = log * z + 1.0 / i;
    double l2 = 2.0 * s * log * 1.4426950408889634 + (double)k, e = l2 * y;
    if (e >= 129.0) e = 129.0;
    if (e <= -151.0) e = -151.0;
    int32_t n = (int32_t)(e + (e < 0 ? -0.5 : 0.5));
    double t = (e - n) * 0.6931471805599453, p = 1.0;
    for (int i = 11; i >= 1; i--) p = p * t / i + 1.0;
    uint64_t scale = (uint64_t)(n + 1023) << 52;
    double two;
    memcpy(&two, &scale, 8);
    r = (float)(p * two);
  }
  return negative ? -r : r;
}

/* x - floor(x / y) y exactly, with the sign of y: the remainder by long division on the mantissas. */
static inline __attribute__((unused)) float pp_remf(float x, float y) {
  uint32_t ux = pp_bits_of_float(x), uy = pp_bits_of_float(y), sx = ux & 0x80000000u, sy = uy & 0x80000000u;
  ux ^= sx, uy ^= sy;
  if (ux >= 0x7f800000u || uy > 0x7f800000u || uy == 0) return __builtin_nanf("");
  int ex = (int)(ux >> 23), ey = (int)(uy >> 23);
  uint32_t mx = (ux & 0x7fffffu) | (ex ? 0x800000u : 0), my = (uy & 0x7fffffu) | (ey ? 0x800000u : 0);
  ex += !ex, ey += !ey;
  float r;
  if (ux < uy) {
    r = pp_float_of_bits(ux);
  } else {
    uint64_t m = mx;
    for (int left = ex - ey; ;) { /* 32 quotient bits at a time */
      int step = PP_MIN(left, 32);
      m = (m << step) % my;
      left -= step;
      if (left == 0) break;
    }
    /* m < my at y's exponent: exact as an integer times a power of two, applied in two halves. */
    int e = ey - 150;
    r = (float)m * pp_float_of_bits((uint32_t)(e / 2 + 127) << 23) * pp_float_of_bits((uint32_t)(e - e / 2 + 127) << 23);
  }
  if (r == 0.0f) return pp_float_of_bits(sy);
  r = sx ? -r : r;
  return (sx != 0) != (sy != 0) ? r + y : r;
}

#endif
