/* Names of what is compiled once per instruction set. A file foo_avx2.c defines PP_ISA_SUFFIX and includes foo_impl.h,
 * whose external functions are called PP_NAME(pp_foo_run_). On Arm the suffix neon borrows what is called simd there. */
#ifndef PP_KERNELS_ISA_H
#define PP_KERNELS_ISA_H

#ifndef PP_PW_SUFFIX
#define PP_PW_SUFFIX PP_ISA_SUFFIX
#endif

#define PP_CAT_(a, b) a##b
#define PP_CAT(a, b) PP_CAT_(a, b)
#define PP_NAME(stem) PP_CAT(stem, PP_ISA_SUFFIX)
/* The epilogue interpreter of this instruction set. */
#define PP_EPILOGUE PP_CAT(pp_epilogue_, PP_PW_SUFFIX)

#if defined(PP_SIMD_EMULATE_512) /* compiled for testing only: small rather than fast */
#define PP_UNROLLED
#define PP_ROLLED
#elif defined(__clang__)
#define PP_UNROLLED _Pragma("clang loop unroll(full)")
#define PP_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define PP_UNROLLED _Pragma("GCC unroll 16")
#define PP_ROLLED _Pragma("GCC unroll 1")
#endif

#endif
