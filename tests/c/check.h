/* The smallest test frame: CHECK counts, main returns tests_result(). */
#ifndef PP_TEST_CHECK_H
#define PP_TEST_CHECK_H

#include <stdio.h>
#include <string.h>

static int checks_done, checks_failed;

#define CHECK(condition)                                                           \
  do {                                                                             \
    checks_done++;                                                                 \
    if (!(condition)) {                                                            \
      checks_failed++;                                                             \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);    \
    }                                                                              \
  } while (0)

#define CHECK_EQUAL(found, wanted)                                                               \
  do {                                                                                           \
    long long found_ = (long long)(found), wanted_ = (long long)(wanted);                        \
    checks_done++;                                                                               \
    if (found_ != wanted_) {                                                                     \
      checks_failed++;                                                                           \
      fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #found, found_, wanted_); \
    }                                                                                            \
  } while (0)

static inline int tests_result(void) {
  printf("%d checks, %d failed\n", checks_done, checks_failed);
  return checks_failed != 0 || checks_done == 0;
}

#endif
