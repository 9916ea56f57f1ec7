/* Size expressions: signs of division, limits of int64, every overflow refused with the number of its node. */
#include <stdlib.h>

#include "../../runtime_c/src/internal.h"
#include "check.h"

enum { ADD = PP_EXPR_ADD, SUB = PP_EXPR_SUB, MUL = PP_EXPR_MUL, DIV = PP_EXPR_FLOORDIV, MOD = PP_EXPR_MOD,
       MIN = PP_EXPR_MIN, MAX = PP_EXPR_MAX };

static void write_node(uint8_t *r, uint8_t op, int64_t value, uint32_t a, uint32_t b) {
  memset(r, 0, PP_SIZE_EXPR);
  memcpy(r + PP_OFF_EXPR_VALUE, &value, 8);
  memcpy(r + PP_OFF_EXPR_A, &a, 4);
  memcpy(r + PP_OFF_EXPR_B, &b, 4);
  r[PP_OFF_EXPR_OP] = op;
}

/* `a OP b`: node 2 of a constant and a symbol. */
static pp_status evaluate(uint8_t op, int64_t a, int64_t b, int64_t *result, pp_error *error) {
  uint8_t nodes[3 * PP_SIZE_EXPR];
  int64_t values[3] = {0}, symbols[1] = {b};
  write_node(nodes, PP_EXPR_CONST, a, 0, 0);
  write_node(nodes + PP_SIZE_EXPR, PP_EXPR_SYMBOL, 0, 0, 0);
  write_node(nodes + 2 * PP_SIZE_EXPR, op, 0, 0, 1);
  pp_method m = {.exprs = {nodes, 3}};
  pp_error_clear(error);
  pp_status status = pp_expr_evaluate(&m, symbols, values, error);
  *result = values[2];
  return status;
}

static void gives(uint8_t op, int64_t a, int64_t b, int64_t wanted) {
  int64_t found = 0;
  pp_error error;
  CHECK_EQUAL(evaluate(op, a, b, &found, &error), PP_OK);
  CHECK_EQUAL(found, wanted);
}

static void refused(uint8_t op, int64_t a, int64_t b, uint32_t rule) {
  int64_t found = 0;
  pp_error error;
  CHECK_EQUAL(evaluate(op, a, b, &found, &error), PP_ERR_CONTRACT);
  CHECK_EQUAL(error.rule, rule);
  CHECK_EQUAL(error.a, 2); /* the node */
}

static void test_values(void) {
  gives(ADD, 3, 4, 7);
  gives(SUB, 3, 4, -1);
  gives(MUL, -3, 4, -12);
  gives(MIN, -3, 4, -3);
  gives(MIN, 4, -3, -3);
  gives(MAX, -3, 4, 4);
  gives(MAX, INT64_MIN, INT64_MAX, INT64_MAX);
}

/* Python's // and %, for every sign of the dividend. */
static void test_division_rounds_down(void) {
  for (int64_t b = 1; b <= 9; b++)
    for (int64_t a = -30; a <= 30; a++) {
      int64_t q = 0, r = 0;
      pp_error error;
      CHECK_EQUAL(evaluate(DIV, a, b, &q, &error), PP_OK);
      CHECK_EQUAL(evaluate(MOD, a, b, &r, &error), PP_OK);
      CHECK(r >= 0 && r < b);
      CHECK_EQUAL(q * b + r, a);
    }
  gives(DIV, INT64_MIN, 1, INT64_MIN);
  gives(DIV, INT64_MIN, 2, INT64_MIN / 2);
  gives(DIV, INT64_MIN, INT64_MAX, -2);
  gives(MOD, INT64_MIN, INT64_MAX, INT64_MAX - 1);
  gives(MOD, INT64_MAX, INT64_MAX, 0);
  gives(DIV, -1, INT64_MAX, -1);
}

static void test_divisors_below_one(void) {
  for (int64_t b = -2; b <= 0; b++) {
    refused(DIV, 6, b, PP_RULE_EXPR_DIVISOR);
    refused(MOD, 6, b, PP_RULE_EXPR_DIVISOR);
  }
  refused(DIV, INT64_MIN, -1, PP_RULE_EXPR_DIVISOR); /* would trap on x86 */
  refused(MOD, INT64_MIN, INT64_MIN, PP_RULE_EXPR_DIVISOR);
}

static void test_overflow(void) {
  gives(ADD, INT64_MAX - 1, 1, INT64_MAX);
  gives(SUB, INT64_MIN + 1, 1, INT64_MIN);
  gives(MUL, (int64_t)1 << 31, (int64_t)1 << 31, (int64_t)1 << 62);
  gives(MUL, INT64_MIN, 1, INT64_MIN);
  refused(ADD, INT64_MAX, 1, PP_RULE_EXPR_OVERFLOW);
  refused(ADD, INT64_MIN, -1, PP_RULE_EXPR_OVERFLOW);
  refused(SUB, INT64_MIN, 1, PP_RULE_EXPR_OVERFLOW);
  refused(SUB, 0, INT64_MIN, PP_RULE_EXPR_OVERFLOW);
  refused(MUL, (int64_t)1 << 32, (int64_t)1 << 31, PP_RULE_EXPR_OVERFLOW);
  refused(MUL, INT64_MIN, -1, PP_RULE_EXPR_OVERFLOW);
  refused(MUL, INT64_MAX, INT64_MAX, PP_RULE_EXPR_OVERFLOW);
}

/* 40 doublings stay inside, 80 do not: the first node that overflows is named. */
static void test_long_chains(void) {
  enum { N = 81 };
  uint8_t *nodes = malloc(N * PP_SIZE_EXPR);
  int64_t values[N], symbols[1] = {1};
  write_node(nodes, PP_EXPR_SYMBOL, 0, 0, 0);
  for (uint32_t i = 1; i < N; i++) write_node(nodes + i * PP_SIZE_EXPR, ADD, 0, i - 1, i - 1);
  pp_error error;
  pp_error_clear(&error);
  pp_method m = {.exprs = {nodes, 41}};
  CHECK_EQUAL(pp_expr_evaluate(&m, symbols, values, &error), PP_OK);
  CHECK_EQUAL(values[40], (int64_t)1 << 40);
  m.exprs.count = N;
  CHECK_EQUAL(pp_expr_evaluate(&m, symbols, values, &error), PP_ERR_CONTRACT);
  CHECK_EQUAL(error.a, 63);
  free(nodes);
}

int main(void) {
  test_values();
  test_division_rounds_down();
  test_divisors_below_one();
  test_overflow();
  test_long_chains();
  return tests_result();
}
