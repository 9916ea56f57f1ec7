/* Structure-aware mutation of .pap files: deterministic, in place, checksums kept right. */
#ifndef PP_FUZZ_MUTATE_H
#define PP_FUZZ_MUTATE_H

#include <stdint.h>

typedef struct rng {
  uint64_t state;
} rng;

uint64_t rng_next(rng *r);
uint64_t rng_below(rng *r, uint64_t n); /* 0 when n is 0 */

/* A number that a careless check might let through: near `v`, or at a boundary of a type. */
uint64_t near_number(rng *r, uint64_t v);

/* Change a valid file in one to three places. `size` stays. */
void mutate(rng *r, uint8_t *file, uint64_t size);

#endif
