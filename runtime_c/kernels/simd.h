/* One vector type per instruction set, so that a kernel is written once and compiled per ISA.
 *
 * Include it from a file that is compiled with the flags of its ISA: vf is 16, 8 or 4 floats wide, or one float where
 * there are no vectors or PP_SIMD_SCALAR is defined (the reference kernels). vi is the same number of int32. Masks are
 * vi with all bits of a lane equal. + - * / & | ^ << >> work on both by themselves; everything else is a function
 * here. vf_fma rounds once where the ISA has fma and twice elsewhere, so results may differ in the last bit between
 * ISAs, never within one.
 *
 * PP_SIMD_EMULATE_512 makes vf 16 lanes in plain C, so that what is compiled for AVX-512 can be tested on any machine.
 */
#ifndef PP_KERNELS_SIMD_H
#define PP_KERNELS_SIMD_H

#include "half.h"

#if defined(PP_SIMD_SCALAR) || defined(PP_NO_SIMD)
#define PP_W 1
#elif defined(PP_SIMD_EMULATE_512)
#define PP_W 16
#elif defined(__AVX512F__)
#include <immintrin.h>
#define PP_W 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define PP_W 8
#elif defined(__SSE2__) || defined(__aarch64__)
#define PP_W 4
#if defined(__SSE2__)
#include <immintrin.h>
#else
#include <arm_neon.h>
#endif
#else
#define PP_W 1
#endif

#if PP_W == 1

typedef float vf;
typedef int32_t vi;
PP_INLINE vi vf_bits(vf a) { return (vi)pp_bits_of_float(a); }
PP_INLINE vf vi_float(vi a) { return pp_float_of_bits((uint32_t)a); }
PP_INLINE vf vf_set(float x) { return x; }
PP_INLINE vi vi_set(int32_t x) { return x; }
PP_INLINE vi vf_lt(vf a, vf b) { return -(a < b); }
PP_INLINE vi vf_le(vf a, vf b) { return -(a <= b); }
PP_INLINE vi vf_eq(vf a, vf b) { return -(a == b); }
PP_INLINE vi vf_ne(vf a, vf b) { return -(a != b); }
PP_INLINE vi vi_lt(vi a, vi b) { return -(a < b); }
PP_INLINE vi vi_le(vi a, vi b) { return -(a <= b); }
PP_INLINE vi vi_eq(vi a, vi b) { return -(a == b); }
/* Wrapping arithmetic: signed overflow is undefined in scalar C. */
PP_INLINE vi vi_add(vi a, vi b) { return (vi)((uint32_t)a + (uint32_t)b); }
PP_INLINE vi vi_sub(vi a, vi b) { return (vi)((uint32_t)a - (uint32_t)b); }
PP_INLINE vi vi_mul(vi a, vi b) { return (vi)((uint32_t)a * (uint32_t)b); }
PP_INLINE vi vi_shl(vi a, vi b) { return (vi)((uint32_t)a << (b & 31)); }
PP_INLINE vi vi_shr(vi a, vi b) { return a >> (b & 31); }
PP_INLINE vf vf_of_vi(vi a) { return (float)a; }

#else

typedef float vf __attribute__((vector_size(PP_W * 4)));
typedef int32_t vi __attribute__((vector_size(PP_W * 4)));
typedef uint32_t vu __attribute__((vector_size(PP_W * 4)));
PP_INLINE vi vf_bits(vf a) { return (vi)a; }
PP_INLINE vf vi_float(vi a) { return (vf)a; }
PP_INLINE vf vf_set(float x) { return x - (vf){0}; }
PP_INLINE vi vi_set(int32_t x) { return x - (vi){0}; }
PP_INLINE vi vf_lt(vf a, vf b) { return a < b; }
PP_INLINE vi vf_le(vf a, vf b) { return a <= b; }
PP_INLINE vi vf_eq(vf a, vf b) { return a == b; }
PP_INLINE vi vf_ne(vf a, vf b) { return a != b; }
PP_INLINE vi vi_lt(vi a, vi b) { return a < b; }
PP_INLINE vi vi_le(vi a, vi b) { return a <= b; }
PP_INLINE vi vi_eq(vi a, vi b) { return a == b; }
PP_INLINE vi vi_add(vi a, vi b) { return (vi)((vu)a + (vu)b); }
PP_INLINE vi vi_sub(vi a, vi b) { return (vi)((vu)a - (vu)b); }
PP_INLINE vi vi_mul(vi a, vi b) { return (vi)((vu)a * (vu)b); }
PP_INLINE vi vi_shl(vi a, vi b) { return (vi)((vu)a << ((vu)b & 31)); }
PP_INLINE vi vi_shr(vi a, vi b) { return a >> (b & 31); }
PP_INLINE vf vf_of_vi(vi a) { return __builtin_convertvector(a, vf); }

#endif

PP_INLINE vf vf_zero(void) { return vf_set(0.0f); }
PP_INLINE vf vf_load(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
PP_INLINE void vf_store(float *p, vf v) { memcpy(p, &v, sizeof v); }
PP_INLINE vi vi_load(const int32_t *p) { vi v; memcpy(&v, p, sizeof v); return v; }
PP_INLINE void vi_store(int32_t *p, vi v) { memcpy(p, &v, sizeof v); }

/* mask ? a : b */
PP_INLINE vi vi_select(vi m, vi a, vi b) { return (m & a) | (~m & b); }

PP_INLINE vf vf_select(vi m, vf a, vf b) { return vi_float(vi_select(m, vf_bits(a), vf_bits(b))); }
PP_INLINE vf vf_abs(vf a) { return vi_float(vf_bits(a) & vi_set(0x7fffffff)); }
PP_INLINE vf vf_neg(vf a) { return vi_float(vf_bits(a) ^ vi_set((int32_t)0x80000000u)); }
/* Magnitude of a with the sign of b. */
PP_INLINE vf vf_copysign(vf a, vf b) {
  return vi_float((vf_bits(a) & vi_set(0x7fffffff)) | (vf_bits(b) & vi_set((int32_t)0x80000000u)));
}
PP_INLINE vi vf_isnan(vf a) { return vf_ne(a, a); }

/* fma, square root, and min/max that return NaN if either operand is one (vf_maxp/minp: b if either is NaN or both
 * are zero, the cheap machine instruction, for operands known to be numbers). Partial loads read, and partial stores
 * write, the first n lanes only; the other lanes read as zero. */
#if defined(PP_SIMD_EMULATE_512) && PP_W == 16
PP_INLINE vf vf_fma(vf a, vf b, vf c) {
  for (int i = 0; i < PP_W; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
}
PP_INLINE vf vf_sqrt(vf a) {
  for (int i = 0; i < PP_W; i++) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
PP_INLINE vf vf_maxp(vf a, vf b) { return vf_select(a > b, a, b); }
PP_INLINE vf vf_minp(vf a, vf b) { return vf_select(a < b, a, b); }
PP_INLINE vf vf_max(vf a, vf b) { return vf_select(vf_isnan(a), a, vf_maxp(a, b)); }
PP_INLINE vf vf_min(vf a, vf b) { return vf_select(vf_isnan(a), a, vf_minp(a, b)); }
PP_INLINE vf vf_loadn(const float *p, int64_t n) {
  vf v = vf_zero();
  for (int i = 0; i < n; i++) v[i] = p[i];
  return v;
}
PP_INLINE void vf_storen(float *p, vf v, int64_t n) {
  for (int i = 0; i < n; i++) p[i] = v[i];
}
PP_INLINE vi vf_trunc_int(vf a) {
  vi r;
  for (int i = 0; i < PP_W; i++) r[i] = a[i] > -2147483648.0f && a[i] < 2147483648.0f ? (int32_t)a[i] : INT32_MIN;
  return r;
}
#elif PP_W == 16
PP_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
PP_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
PP_INLINE vf vf_maxp(vf a, vf b) { return _mm512_max_ps(a, b); }
PP_INLINE vf vf_minp(vf a, vf b) { return _mm512_min_ps(a, b); }
PP_INLINE vf vf_max(vf a, vf b) {
  return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
PP_INLINE vf vf_min(vf a, vf b) {
  return _mm512_mask_mov_ps(_mm512_min_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
PP_INLINE vf vf_loadn(const float *p, int64_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
PP_INLINE void vf_storen(float *p, vf v, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v); }
PP_INLINE vi vf_trunc_int(vf a) { return (vi)_mm512_cvttps_epi32(a); }
#elif PP_W == 8
PP_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
PP_INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
PP_INLINE vf vf_maxp(vf a, vf b) { return _mm256_max_ps(a, b); }
PP_INLINE vf vf_minp(vf a, vf b) { return _mm256_min_ps(a, b); }
PP_INLINE vf vf_max(vf a, vf b) { return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q)); }
PP_INLINE vf vf_min(vf a, vf b) { return _mm256_blendv_ps(_mm256_min_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q)); }
PP_INLINE __m256i vf_first(int64_t n) { return (__m256i)vi_lt((vi){0, 1, 2, 3, 4, 5, 6, 7}, vi_set((int32_t)n)); }
PP_INLINE vf vf_loadn(const float *p, int64_t n) { return _mm256_maskload_ps(p, vf_first(n)); }
PP_INLINE void vf_storen(float *p, vf v, int64_t n) { _mm256_maskstore_ps(p, vf_first(n), v); }
PP_INLINE vi vf_trunc_int(vf a) { return (vi)_mm256_cvttps_epi32(a); }
#elif PP_W == 4
#if defined(__SSE2__)
#if defined(__FMA__)
PP_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm_fmadd_ps(a, b, c); }
#else
PP_INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
#endif
PP_INLINE vf vf_sqrt(vf a) { return _mm_sqrt_ps(a); }
PP_INLINE vf vf_maxp(vf a, vf b) { return _mm_max_ps(a, b); }
PP_INLINE vf vf_minp(vf a, vf b) { return _mm_min_ps(a, b); }
PP_INLINE vf vf_max(vf a, vf b) { return vf_select(vf_isnan(a), a, _mm_max_ps(a, b)); }
PP_INLINE vf vf_min(vf a, vf b) { return vf_select(vf_isnan(a), a, _mm_min_ps(a, b)); }
PP_INLINE vi vf_trunc_int(vf a) { return (vi)_mm_cvttps_epi32(a); }
#else
PP_INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
PP_INLINE vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
PP_INLINE vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
PP_INLINE vf vf_min(vf a, vf b) { return vminq_f32(a, b); }
PP_INLINE vf vf_maxp(vf a, vf b) { return vmaxq_f32(a, b); }
PP_INLINE vf vf_minp(vf a, vf b) { return vminq_f32(a, b); }
PP_INLINE vi vf_trunc_int(vf a) { return (vi)vcvtq_s32_f32(a); }
#endif
PP_INLINE vf vf_loadn(const float *p, int64_t n) {
  float t[4] = {0};
  for (int64_t i = 0; i < n; i++) t[i] = p[i];
  return vf_load(t);
}
PP_INLINE void vf_storen(float *p, vf v, int64_t n) {
  float t[4];
  vf_store(t, v);
  for (int64_t i = 0; i < n; i++) p[i] = t[i];
}
#else
#if defined(__FMA__) || defined(__aarch64__) || defined(__ARM_FEATURE_FMA)
PP_INLINE vf vf_fma(vf a, vf b, vf c) { return __builtin_fmaf(a, b, c); }
#else
PP_INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
#endif
PP_INLINE vf vf_sqrt(vf a) { return __builtin_sqrtf(a); }
PP_INLINE vf vf_maxp(vf a, vf b) { return a > b ? a : b; }
PP_INLINE vf vf_minp(vf a, vf b) { return a < b ? a : b; }
PP_INLINE vf vf_max(vf a, vf b) { return a != a || a > b ? a : b; }
PP_INLINE vf vf_min(vf a, vf b) { return a != a || a < b ? a : b; }
PP_INLINE vf vf_loadn(const float *p, int64_t n) { return n > 0 ? *p : 0.0f; }
PP_INLINE void vf_storen(float *p, vf v, int64_t n) { if (n > 0) *p = v; }
/* Operands are in range or the lane is replaced afterwards; the test keeps the conversion defined. */
PP_INLINE vi vf_trunc_int(vf a) { return a > -2147483648.0f && a < 2147483648.0f ? (vi)a : INT32_MIN; }
#endif

PP_INLINE float vf_lane0(vf v) {
  float r;
  memcpy(&r, &v, sizeof r);
  return r;
}

/* Sum of the lanes, by halving: one order for a given width. */
PP_INLINE float vf_sum(vf v) {
  float t[PP_W];
  memcpy(t, &v, sizeof v);
  for (int half = PP_W / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) t[i] += t[i + half];
  return t[0];
}
/* The first n lanes. */
static const int32_t pp_lane_numbers[16] __attribute__((unused)) = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
PP_INLINE vi vi_first(int64_t n) { return vi_lt(vi_load(pp_lane_numbers), vi_set((int32_t)n)); }

PP_INLINE float pp_max_nan(float a, float b) { return a != a || a > b ? a : b; }
PP_INLINE float pp_min_nan(float a, float b) { return a != a || a < b ? a : b; }

/* Maximum and minimum of the lanes, NaN if one is. */
PP_INLINE float vf_highest(vf v) {
  float t[PP_W], r;
  memcpy(t, &v, sizeof v);
  r = t[0];
  for (int i = 1; i < PP_W; i++) r = pp_max_nan(r, t[i]);
  return r;
}
PP_INLINE float vf_lowest(vf v) {
  float t[PP_W], r;
  memcpy(t, &v, sizeof v);
  r = t[0];
  for (int i = 1; i < PP_W; i++) r = pp_min_nan(r, t[i]);
  return r;
}

#endif
