/* The memory plan, against the vectors that the exporter's planner is held to, and on random lifetimes. */
#include <stdlib.h>

#include "../../runtime_c/src/internal.h"
#include "check.h"

enum { MOST = 64 };

typedef struct problem {
  uint32_t n, n_order;
  uint64_t bytes[MOST], offsets[MOST];
  uint32_t first[MOST], last[MOST], order[MOST], placed[MOST];
} problem;

static uint64_t plan(problem *p) {
  return pp_plan_arena(p->bytes, p->first, p->last, p->order, p->n_order, p->offsets, p->placed);
}

static uint64_t rounded(uint64_t n) { return (n + 63) / 64 * 64; }

/* Nothing alive in one epoch shares a byte, everything is aligned and inside. */
static bool sound(const problem *p, uint64_t arena) {
  for (uint32_t i = 0; i < p->n; i++) {
    if (p->first[i] == PP_NONE || p->bytes[i] == 0) continue;
    if (p->offsets[i] % 64 || p->offsets[i] + p->bytes[i] > arena) return false;
    for (uint32_t k = 0; k < i; k++) {
      if (p->first[k] == PP_NONE || p->bytes[k] == 0) continue;
      bool together = p->first[i] <= p->last[k] && p->first[k] <= p->last[i];
      bool apart = p->offsets[i] + p->bytes[i] <= p->offsets[k] || p->offsets[k] + p->bytes[k] <= p->offsets[i];
      if (together && !apart) return false;
    }
  }
  return true;
}

/* The most bytes alive in one epoch: no plan can be smaller. */
static uint64_t least(const problem *p) {
  uint64_t most = 0;
  for (uint32_t epoch = 0; epoch < 64; epoch++) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < p->n; i++)
      if (p->first[i] != PP_NONE && p->first[i] <= epoch && epoch <= p->last[i]) sum += p->bytes[i];
    if (sum > most) most = sum;
  }
  return most;
}

/* -- the shared vectors: one JSON object per line, of numbers, lists and null ----------------------------------------- */

static const char *after(const char *line, const char *key) {
  const char *p = strstr(line, key);
  return p ? p + strlen(key) : NULL;
}

static uint32_t numbers(const char *p, uint64_t *to) {
  uint32_t n = 0;
  for (; *p && *p != ']'; p++)
    if (*p >= '0' && *p <= '9' && n < MOST) {
      char *end;
      to[n++] = strtoull(p, &end, 10);
      p = end - 1;
    }
  return n;
}

static bool read_line(const char *line, problem *p, uint64_t *offsets, uint64_t *arena) {
  uint64_t list[MOST] = {0};
  const char *blocks = after(line, "\"blocks\": ["), *order = after(line, "\"order\": ["), *o = after(line, "\"offsets\": [");
  const char *end = after(line, "\"arena\": ");
  if (!blocks || !order || !o || !end) return false;
  memset(p, 0, sizeof *p);
  for (const char *at = blocks; at < order; at++) {
    if (strncmp(at, "null", 4) == 0) {
      p->first[p->n] = p->last[p->n] = PP_NONE;
      p->n++;
    } else if (*at == '[') {
      numbers(at, list);
      p->bytes[p->n] = list[0];
      p->first[p->n] = (uint32_t)list[1];
      p->last[p->n++] = (uint32_t)list[2];
      at = strchr(at, ']');
    } else if (*at == ']') {
      break;
    }
  }
  p->n_order = numbers(order, list);
  for (uint32_t i = 0; i < p->n_order; i++) p->order[i] = (uint32_t)list[i];
  numbers(o, offsets);
  *arena = strtoull(end, NULL, 10);
  return true;
}

static void test_vectors(void) {
  static char line[1 << 16];
  static problem p;
  FILE *f = fopen(PP_TEST_VECTORS "/planner.json", "r");
  CHECK(f != NULL);
  int cases = 0;
  while (f && fgets(line, sizeof line, f)) {
    uint64_t offsets[MOST] = {0}, arena = 0;
    if (!read_line(line, &p, offsets, &arena)) continue;
    cases++;
    CHECK_EQUAL(p.n_order, p.n);
    CHECK_EQUAL(plan(&p), arena);
    for (uint32_t i = 0; i < p.n; i++) CHECK_EQUAL(p.offsets[i], offsets[i]);
    CHECK(sound(&p, arena));
  }
  CHECK_EQUAL(cases, 48);
  if (f) fclose(f);
}

/* -- properties -------------------------------------------------------------------------------------------------------- */

static uint64_t state = 1;
static uint32_t below(uint32_t n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33) % n;
}

static void test_random_lifetimes(void) {
  static problem p;
  static const uint64_t odd[] = {0, 1, 63, 64, 65, 127, 128, 4096, (uint64_t)1 << 40};
  for (int round = 0; round < 3000; round++) {
    uint64_t total = 0;
    p.n = p.n_order = below(MOST);
    for (uint32_t i = 0; i < p.n; i++) {
      p.bytes[i] = below(3) ? below(500) : odd[below(9)];
      p.first[i] = below(20);
      p.last[i] = p.first[i] + below(8);
      if (below(10) == 0) p.first[i] = p.last[i] = PP_NONE;
      if (p.first[i] != PP_NONE) total += rounded(p.bytes[i]);
      uint32_t at = below(i + 1); /* a random permutation */
      p.order[i] = p.order[at];
      p.order[at] = i;
    }
    uint64_t arena = plan(&p);
    CHECK(arena != UINT64_MAX);
    CHECK(sound(&p, arena));
    CHECK(arena >= least(&p) && arena <= total);
    CHECK(arena % 64 == 0);
  }
}

static void test_reuse(void) {
  /* A chain, each alive until the next is made: two places are enough. */
  problem p = {.n = 10, .n_order = 10};
  for (uint32_t i = 0; i < 10; i++) p.bytes[i] = 1000, p.first[i] = i, p.last[i] = i + 1, p.order[i] = i;
  CHECK_EQUAL(plan(&p), 2 * 1024);
  /* All of them alive in one epoch: no reuse. */
  for (uint32_t i = 0; i < 10; i++) p.last[i] = 10;
  CHECK_EQUAL(plan(&p), 10 * 1024);
}

static void test_limits(void) {
  problem p = {.n = 2, .n_order = 2, .order = {0, 1}};
  p.bytes[0] = p.bytes[1] = (uint64_t)1 << 61;
  p.last[0] = p.last[1] = 1;
  CHECK_EQUAL(plan(&p), (uint64_t)1 << 62);
  p.bytes[1]++;
  CHECK(plan(&p) == UINT64_MAX);
  p.bytes[1] = UINT64_MAX; /* rounding this up would wrap */
  CHECK(plan(&p) == UINT64_MAX);
  p.first[1] = PP_NONE;
  CHECK_EQUAL(plan(&p), (uint64_t)1 << 61);
  p.n_order = 0;
  CHECK_EQUAL(plan(&p), 0);
}

int main(void) {
  test_vectors();
  test_random_lifetimes();
  test_reuse();
  test_limits();
  return tests_result();
}
