/* Which instruction sets this CPU and its operating system offer. */
#include "common.h"

#if defined(__x86_64__) && !defined(PP_NO_SIMD)

#include <cpuid.h>

/* XCR0 tells which register files the operating system saves; CPUID alone does not. */
static uint32_t saved_state(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  (void)high;
  return low;
}

uint32_t pp_cpu_isa(void) {
  uint32_t mask = 1u << PP_ISA_REFERENCE | 1u << PP_ISA_SIMD;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return mask;
  const uint32_t fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
  if ((c & (fma | osxsave | avx | f16c)) != (fma | osxsave | avx | f16c)) return mask;
  uint32_t state = saved_state();
  if ((state & 0x06u) != 0x06u) return mask; /* XMM, YMM */
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return mask;
  if (!(b & 1u << 5)) return mask;
  mask |= 1u << PP_ISA_AVX2;
  const uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
  if ((b & avx512) == avx512 && (state & 0xe6u) == 0xe6u) mask |= 1u << PP_ISA_AVX512;
  return mask;
}

#elif defined(__aarch64__) && !defined(PP_NO_SIMD)

uint32_t pp_cpu_isa(void) { return 1u << PP_ISA_REFERENCE | 1u << PP_ISA_SIMD | 1u << PP_ISA_NEON; }

#else

uint32_t pp_cpu_isa(void) { return 1u << PP_ISA_REFERENCE; }

#endif

uint32_t pp_isa_parse(const char *name) {
  static const struct { const char name[12]; uint32_t mask; } levels[] = {
    {"reference", 1u << PP_ISA_REFERENCE},
    {"simd", 1u << PP_ISA_REFERENCE | 1u << PP_ISA_SIMD},
    {"avx2", 1u << PP_ISA_REFERENCE | 1u << PP_ISA_SIMD | 1u << PP_ISA_AVX2},
    {"avx512", 1u << PP_ISA_REFERENCE | 1u << PP_ISA_SIMD | 1u << PP_ISA_AVX2 | 1u << PP_ISA_AVX512},
    {"neon", 1u << PP_ISA_REFERENCE | 1u << PP_ISA_SIMD | 1u << PP_ISA_NEON},
  };
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
    if (strcmp(name, levels[i].name) == 0) return levels[i].mask;
  return 0;
}
