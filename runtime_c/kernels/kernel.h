/* What a kernel is, and how the executor talks to it.
 *
 * A kernel is stateless. The executor binds an instruction into a pp_step once per set of input
 * sizes; the kernel says how many independent tasks it has and how much scratch a thread needs;
 * then any number of threads call run() on disjoint task ranges. Results must not depend on how the
 * tasks are distributed.
 */
#ifndef PP_KERNEL_H
#define PP_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pappus.h"

#define PP_MAX_RANK 8

/* A typed strided view of memory. Absent optional operands have dtype 0 (NONE). */
typedef struct pp_view {
  void *data;                   /* of element [0,0,...]; set before run, not known at prepare */
  int64_t shape[PP_MAX_RANK];
  int64_t stride[PP_MAX_RANK];  /* in elements, >= 0; unused when pack != DENSE */
  uint32_t buffer;              /* number in the method, for the executor */
  uint8_t dtype, rank, pack;
  int64_t offset;               /* in elements, for the executor */
} pp_view;

/* A pointwise program as it lies in the file: PwInstruction records, already verified. */
typedef struct pp_pointwise {
  const uint8_t *code;
  uint16_t count;
  uint8_t registers, loads;
} pp_pointwise;

typedef struct pp_step {
  const struct pp_kernel *kernel;
  pp_view *args, *results, *program_args;
  const int64_t *attrs;         /* evaluated */
  const double *floats;
  pp_pointwise program;         /* count 0: none */
  uint8_t n_args, n_results, n_program_args, n_attrs, n_floats, family, algorithm;
  int64_t tasks;                /* set by prepare; 0 = nothing to do (empty tensors) */
  size_t scratch;               /* bytes per thread, 64-byte aligned; set by prepare */
  int64_t plan[8];              /* the kernel's own, set by prepare (tile sizes ...) */
} pp_step;

typedef struct pp_kernel {
  const char *name;             /* gemm_f32_panel16_avx512 */
  uint8_t family;               /* pp_family */
  uint8_t isa;                  /* PP_ISA_* that must be there */
  bool (*accepts)(const pp_step *step);   /* dtypes, packing, strides, rank: views without data */
  void (*prepare)(pp_step *step);         /* sets tasks, scratch, plan; cannot fail */
  /* Runs tasks [first, last). May fail only with the run-tier checks of its family. */
  pp_status (*run)(const pp_step *step, int64_t first, int64_t last, void *scratch, pp_error *error);
} pp_kernel;

/* Shape contract of the instruction's family (docs/format.md), at bind. Every kernel may rely on it. */
pp_status pp_contract_check(const pp_step *step, pp_error *error);

/* All kernels of this build, best first within a family; `isa_mask` from pp_cpu_isa(). */
const pp_kernel *pp_kernel_select(const pp_step *step, uint32_t isa_mask);
size_t pp_kernel_count(void);
const pp_kernel *pp_kernel_at(size_t i);

/* Bit mask of 1 << PP_ISA_* this CPU offers, narrowed by PAPPUS_ISA (ports/ reads the environment). */
enum { PP_ISA_REFERENCE = 0, PP_ISA_SIMD = 1, PP_ISA_AVX2 = 2, PP_ISA_AVX512 = 3, PP_ISA_NEON = 4 };
uint32_t pp_cpu_isa(void);
/* The mask that the name of an upper limit allows ("reference", "simd", "avx2", "avx512", "neon"); 0 = unknown
 * name. ports/ intersects it with pp_cpu_isa() when PAPPUS_ISA is set; this file reads no environment. */
uint32_t pp_isa_parse(const char *name);

/* Bytes a packed constant needs, 64-bit and overflow-checked (UINT64_MAX = does not fit). `groups` is the
 * convolution's attribute for CONV_PANEL16 and ignored by the other kinds: the binder must check an instruction's
 * packed operands with the groups of that instruction, because views do not know how large their buffer is. */
uint64_t pp_packed_bytes(const pp_view *view, int64_t groups);

/* The families of docs/format.md that carry an epilogue program run it on a box of result 0 while it is hot:
 * operand 0 and the result are results[0] itself. `scratch` needs pp_epilogue_scratch() bytes, 64-byte aligned. */
size_t pp_epilogue_scratch(const pp_step *step);

#endif
