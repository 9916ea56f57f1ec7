/* Structure-aware mutants of .pap files: same size, checksums made right again. */
#ifndef PP_FUZZ_MUTATE_H
#define PP_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

typedef struct fuzz_random { uint64_t state; } fuzz_random;

uint64_t fuzz_next(fuzz_random *r);
/* A number below n; 0 for n = 0. */
uint64_t fuzz_below(fuzz_random *r, uint64_t n);

/* Change a valid file in one to a few places. */
void fuzz_mutate(fuzz_random *r, uint8_t *file, size_t size);

#endif
