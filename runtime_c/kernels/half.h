/* f16 and bf16 to and from f32, exact, round to nearest even, without special instructions. */
#ifndef PP_KERNELS_HALF_H
#define PP_KERNELS_HALF_H

#include "common.h"

PP_INLINE float pp_float_of_bits(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
PP_INLINE uint32_t pp_bits_of_float(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }

PP_INLINE float pp_from_bf16(uint16_t h) { return pp_float_of_bits((uint32_t)h << 16); }

PP_INLINE uint16_t pp_to_bf16(float f) {
  uint32_t u = pp_bits_of_float(f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
  return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

PP_INLINE float pp_from_f16(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000u) << 16, magnitude = h & 0x7fffu;
  uint32_t u;
  if (magnitude >= 0x7c00u) {
    u = 0x7f800000u | ((magnitude & 0x3ffu) << 13);
  } else if (magnitude >= 0x400u) {
    u = (magnitude << 13) + (112u << 23);
  } else {
    /* Subnormal: magnitude * 2^-24 is exact in f32. */
    u = pp_bits_of_float((float)magnitude * 5.9604644775390625e-8f);
  }
  return pp_float_of_bits(u | sign);
}

PP_INLINE uint16_t pp_to_f16(float f) {
  uint32_t u = pp_bits_of_float(f), sign = (u >> 16) & 0x8000u;
  u &= 0x7fffffffu;
  if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((u >> 13) & 0x3ffu));
  if (u >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds to infinity */
  if (u < 0x38800000u) {
    /* Subnormal result: adding 0.5 makes the FPU round at the last f16 bit (2^-24). */
    return (uint16_t)(sign | (pp_bits_of_float(pp_float_of_bits(u) + 0.5f) - 0x3f000000u));
  }
  return (uint16_t)(sign | ((u - (112u << 23) + 0xfffu + ((u >> 13) & 1u)) >> 13));
}

#endif
