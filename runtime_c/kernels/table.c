/* The kernel table of this build, from kernels.def. */
#include "common.h"

#define PP_KERNEL(name, family, isa, dtype, pack, checks, accepts, prepare, run) \
  bool accepts(const pp_step *);                                                 \
  void prepare(pp_step *);                                                       \
  pp_status run(const pp_step *, int64_t, int64_t, void *, pp_error *);
#include "kernels.def"
#undef PP_KERNEL

static const pp_kernel kernels[] = {
#define PP_KERNEL(name, family, isa, dtype, pack, checks, accepts, prepare, run) \
  {#name, PP_FAMILY_##family, PP_ISA_##isa, accepts, prepare, run},
#include "kernels.def"
#undef PP_KERNEL
};

size_t pp_kernel_count(void) { return sizeof kernels / sizeof *kernels; }

const pp_kernel *pp_kernel_at(size_t i) { return i < pp_kernel_count() ? &kernels[i] : NULL; }

const pp_kernel *pp_kernel_select(const pp_step *step, uint32_t isa_mask) {
  for (size_t i = 0; i < pp_kernel_count(); i++)
    if (kernels[i].family == step->family && isa_mask >> kernels[i].isa & 1 && kernels[i].accepts(step))
      return &kernels[i];
  return NULL;
}
