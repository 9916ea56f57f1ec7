/* One instruction of the kernel table on the caller's arrays: what the eager engine runs. Part of the Python binding
 * only; families are those of docs/format.md and of kernels/eager.h. */
#ifndef PAPPUS_DIRECT_H
#define PAPPUS_DIRECT_H

#include "pappus.h"

typedef struct pp_direct pp_direct;

/* Bytes of memory pp_direct_prepare needs: fixed. */
size_t pp_direct_memory(void);

/* Choose a kernel for operands of these shapes, once for any number of runs. `operands` has 19 numbers for each of args,
 * results and program args: dtype (0: absent), pack, rank, shape[8], strides[8] in elements. `pool` says which
 * instruction sets may be used. On success *scratch is what one thread needs and *threads how many pay at most. The
 * kernel's name is NULL, and the status PP_ERR_UNSUPPORTED, where no kernel takes the operands. */
pp_status pp_direct_prepare(void *memory, const pp_pool *pool, uint32_t family, const int64_t *operands, uint32_t n_args,
                            uint32_t n_results, uint32_t n_program_args, const int64_t *attrs, uint32_t n_attrs,
                            const double *floats, uint32_t n_floats, const uint8_t *code, uint32_t n_code,
                            uint32_t registers, uint64_t *scratch, uint32_t *threads, pp_error *error);
const char *pp_direct_kernel(const pp_direct *direct);

/* Run on operands at `data`, in the same order, as often and from as many threads as wanted. `scratch` is aligned to 64
 * and has room for all `threads`. Results do not depend on the number of threads. */
pp_status pp_direct_run(const pp_direct *direct, void *const *data, pp_pool *pool, uint32_t threads, void *scratch,
                        pp_error *error);

#endif
