/* Small programs for the tests, written by pap_writer. Each function returns the file's bytes, from malloc. */
#ifndef PP_TEST_PROGRAMS_H
#define PP_TEST_PROGRAMS_H

#include "pap_writer.h"

/* A program with one empty method "forward", to fill. Release with pap_free. */
pap_program *pap_new(void);
pap_method *pap_method_new(pap_program *p, const char *name);
void pap_free(pap_program *p);
/* Write and release. */
uint8_t *pap_finish(pap_program *p, size_t *size);

/* y = (x + w)^2 over x [n, 4], n in 1..64, w = {0, 1, 2, 3}; two instructions, one arena buffer. */
uint8_t *program_affine(size_t *size);
/* Two methods: "twice" y = x + x and "square" y = x * x, over x [n], n in 0..1000. */
uint8_t *program_methods(size_t *size);
/* x [n, 4] is written into the state "cache" [8, 4] at `position`; "total" [4] starts at {1, 2, 3, 4} and grows by 1 per
 * run. Outputs: the cache and total. */
uint8_t *program_state(size_t *size);
/* y = table[index], index i64 [n], table f32 [10, 3]. */
uint8_t *program_gather(size_t *size);
/* q = a / b in i64 [n], rounding down. */
uint8_t *program_divide(size_t *size);
/* p = softmax(tanh(x @ w + b) @ v), x [n, 64], w [64, 48], v [48, 10], then a column mean: enough work for threads. */
uint8_t *program_network(size_t *size);
/* A chain of `steps` pointwise instructions on x [n], n up to 2^24: sin over and over. */
uint8_t *program_chain(uint32_t steps, size_t *size);

#endif
