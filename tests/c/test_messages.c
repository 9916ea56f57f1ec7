/* Error messages: names of inputs, dimensions and symbols, cutting, and a sentence for every rule. */
#include <stdlib.h>

#include "../../runtime_c/src/internal.h"
#include "check.h"
#include "programs.h"
#include "rig.h"

static void expect(const rig *r, const pp_error *e, const char *part) {
  char text[600];
  size_t n = pp_error_message(r ? r->program : NULL, e, text, sizeof text);
  CHECK_EQUAL(n, strlen(text));
  checks_done++;
  if (strstr(text, part)) return;
  checks_failed++;
  fprintf(stderr, "message \"%s\" lacks \"%s\"\n", text, part);
}

static void test_sizes_and_names(void) {
  static const struct { uint32_t dtype, rank; int64_t a, b; const char *part; } cases[] = {
    {PP_DTYPE_F64, 2, 2, 4, "input 'x': expected float32, got float64"},
    {PP_DTYPE_BF16, 2, 2, 4, "input 'x': expected float32, got bfloat16"},
    {99, 2, 2, 4, "input 'x': expected float32, got"},
    {PP_DTYPE_F32, 3, 2, 4, "input 'x': expected 2 dimensions, got 3"},
    {PP_DTYPE_F32, 2, 2, 5, "input 'x': dim 1 is 5, the program takes 4"},
    {PP_DTYPE_F32, 2, 65, 4, "input 'x': dim 0 (n) is 65, the program allows 1..64"},
    {PP_DTYPE_F32, 2, INT64_MAX, 4, "dim 0 (n) is 9223372036854775807"},
  };
  rig r;
  size_t size;
  uint8_t *file = program_affine(&size);
  rig_start(&r, file, size, NULL);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pp_tensor in = rig_tensor(cases[i].dtype, cases[i].rank, cases[i].a, cases[i].b);
    uint64_t bytes;
    CHECK(pp_bind_sizes(r.instance, 0, &in, 1, &bytes, &r.error) != PP_OK);
    expect(&r, &r.error, cases[i].part);
  }
  CHECK(pp_bind_sizes(r.instance, 0, NULL, 0, &(uint64_t){0}, &r.error) != PP_OK);
  expect(&r, &r.error, "method 'forward': 0 inputs given, the program takes 1");
  rig_free(&r);
}

static void test_running(void) {
  rig r;
  size_t size;
  uint8_t *file = program_gather(&size);
  rig_start(&r, file, size, NULL);
  int64_t index[1] = {-11};
  float y[3];
  pp_tensor in = rig_tensor(PP_DTYPE_I64, 1, 1, 0);
  in.data = index;
  CHECK_EQUAL(rig_bind(&r, 0, &in, 1), PP_OK);
  CHECK_EQUAL(pp_bind_output(r.instance, 0, 0, y), PP_OK);
  CHECK_EQUAL(pp_run(r.instance, 0, 0, &r.error), PP_ERR_INDEX);
  expect(&r, &r.error, "method 'forward', instruction 0: an index is -11, allowed are -10 to 10 - 1");
  /* Without the program, numbers take the place of names. */
  char text[200];
  pp_error_message(NULL, &r.error, text, sizeof text);
  CHECK(strstr(text, "method 0, instruction 0: an index is -11") != NULL);
  rig_free(&r);
}

static void test_cutting(void) {
  const pp_error e = {PP_ERR_FORMAT, 101, PP_NONE, PP_NONE, PP_NONE, PP_NONE, 12, 48};
  char whole[400], part[400];
  size_t n = pp_error_message(NULL, &e, whole, sizeof whole);
  CHECK(strstr(whole, "the file has 12 bytes, less than the 48 of a header") == whole);
  CHECK_EQUAL(n, strlen(whole));
  CHECK_EQUAL(pp_error_message(NULL, &e, NULL, 100), n);
  for (size_t size = 0; size <= n + 2; size++) {
    memset(part, 'z', sizeof part);
    CHECK_EQUAL(pp_error_message(NULL, &e, part, size), n);
    if (size == 0) {
      CHECK(part[0] == 'z');
      continue;
    }
    size_t kept = size - 1 < n ? size - 1 : n;
    CHECK(strncmp(part, whole, kept) == 0 && part[kept] == 0 && part[size] == 'z');
  }
}

static void test_no_error(void) {
  const pp_error none = {PP_OK, 0, PP_NONE, PP_NONE, PP_NONE, PP_NONE, 0, 0};
  expect(NULL, &none, "no error");
  expect(NULL, NULL, "no error");
  const pp_error unknown = {PP_ERR_FORMAT, 999, PP_NONE, PP_NONE, PP_NONE, PP_NONE, 0, 0};
  expect(NULL, &unknown, "unknown error");
}

/* Every rule has a status, and a sentence whose places are filled whatever the error's numbers are. */
static void test_every_rule(void) {
  static const uint32_t rules[] = {
#define PP_RULE(number, name, status, message) number,
#include "../../runtime_c/src/rules.def"
#undef PP_RULE
  };
  static const uint32_t numbers[] = {0, 1, 7, 8, 1000, PP_NONE};
  rig r;
  size_t size;
  uint8_t *file = program_state(&size);
  rig_start(&r, file, size, NULL);
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (i) CHECK(rules[i] > rules[i - 1]);
    for (int k = 0; k < 6; k++)
      for (int with = 0; with < 2; with++) {
        char text[600];
        pp_error e = {pp_rule_status(rules[i]), rules[i], k & 1, numbers[k], numbers[5 - k], numbers[k],
                      k % 2 ? INT64_MIN : 5, k % 3 ? INT64_MAX : -1};
        if (k == 5) e.method = PP_NONE;
        size_t n = pp_error_message(with ? r.program : NULL, &e, text, sizeof text);
        CHECK(e.status != PP_OK);
        CHECK(n > 15 && n < sizeof text && !strchr(text, '{') && !strchr(text, '}'));
        CHECK(strcmp(text, "unknown error") != 0);
      }
  }
  rig_free(&r);
}

int main(void) {
  test_sizes_and_names();
  test_running();
  test_cutting();
  test_no_error();
  test_every_rule();
  return tests_result();
}
