/* Sentences for errors: the rule's text with names and numbers of the program filled in. */
#include "internal.h"

typedef struct text {
  char *to;
  size_t size, length; /* length: what it would be without the limit */
} text;

static void put(text *t, const char *s) {
  for (; s && *s; s++, t->length++)
    if (t->length + 1 < t->size) t->to[t->length] = *s;
}

static void put_number(text *t, int64_t value) {
  char digits[24];
  int at = sizeof digits - 1;
  uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  digits[at] = 0;
  do digits[--at] = (char)('0' + left % 10);
  while (left /= 10);
  if (value < 0) digits[--at] = '-';
  put(t, digits + at);
}

#ifndef PP_NO_MESSAGES

static const char *rule_message(uint32_t rule) {
  /* One after the other in one string: a table of pointers would cost 16 bytes for each. */
  static const uint16_t rules[] = {
#define PP_RULE(number, name, status, message) number,
#include "rules.def"
#undef PP_RULE
  };
  static const char sentences[] =
#define PP_RULE(number, name, status, message) message "\0"
#include "rules.def"
#undef PP_RULE
    ;
  const char *s = sentences;
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (rules[i] == rule) return s;
    while (*s++) continue;
  }
  return "unknown error";
}

/* The method of an error; false if there is none or it cannot be read (then open is what failed). */
static bool error_method(const pp_program *p, const pp_error *e, pp_reader *r, pp_method *m) {
  if (!p || e->method >= p->methods.count) return false;
  *r = pp_program_reader(p);
  pp_method_read(r, p, e->method, m);
  return !r->fault && m->name;
}

static void put_place(text *t, const pp_program *p, const pp_error *e) {
  pp_reader r;
  pp_method m;
  if (e->method == PP_NONE) return;
  put(t, "method ");
  if (error_method(p, e, &r, &m)) put(t, "'"), put(t, m.name), put(t, "'");
  else put_number(t, e->method);
  if (e->instruction != PP_NONE) {
    const char *op, *name, *source;
    put(t, ", instruction ");
    put_number(t, e->instruction);
    pp_debug_get(p, e->method, e->instruction, &op, &name, &source);
    if (*op || *source) put(t, " ("), put(t, op), put(t, *op && *source ? ", " : ""), put(t, source), put(t, ")");
  }
  put(t, ": ");
}

static void put_dtype(text *t, int64_t dtype) {
  static const char names[PP_DTYPE__COUNT][9] = {"none", "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32",
                                                 "uint64", "int64", "float16", "bfloat16", "float32", "float64"};
  if (dtype >= 0 && dtype < PP_DTYPE__COUNT) put(t, names[dtype]);
  else put(t, "an unknown dtype");
}

static void put_input(text *t, const pp_program *p, const pp_error *e, const char *what) {
  pp_port port;
  pp_symbol symbol = {"", 0, 0, 1};
  if (pp_input_get(p, e->method, e->operand, &port) != PP_OK) return;
  bool known = e->value < PP_MAX_RANK && pp_symbol_get(p, e->method, port.symbol[e->value], &symbol) == PP_OK;
  if (strcmp(what, "input") == 0) put(t, port.name);
  else if (strcmp(what, "symbol") == 0) put(t, symbol.name);
  else if (strcmp(what, "min") == 0) put_number(t, symbol.min);
  else if (strcmp(what, "max") == 0) put_number(t, symbol.max);
  else if (known) put(t, " ("), put(t, symbol.name), put(t, ")"); /* dimname */
}

static void put_guard(text *t, const pp_program *p, const pp_error *e) {
  pp_reader r;
  pp_method m;
  if (!error_method(p, e, &r, &m)) return;
  const char *found = pp_reader_string(&r, pp_reader_item(&r, m.guards, e->operand), PP_SLOT_GUARD_TEXT, false);
  put(t, found ? found : "a relation between sizes");
}

static void put_name(text *t, const pp_program *p, const pp_error *e, const char *name) {
  if (strcmp(name, "a") == 0) put_number(t, e->a);
  else if (strcmp(name, "b") == 0) put_number(t, e->b);
  else if (strcmp(name, "value") == 0 || strcmp(name, "dim") == 0) put_number(t, e->value);
  else if (strcmp(name, "dtype_a") == 0) put_dtype(t, e->a);
  else if (strcmp(name, "dtype_b") == 0) put_dtype(t, e->b);
  else if (strcmp(name, "at") == 0 || strcmp(name, "method") == 0) put_place(t, p, e);
  else if (strcmp(name, "guard") == 0) put_guard(t, p, e);
  else if (strcmp(name, "damaged") == 0)
    put(t, "; the file is damaged or was not written by pappus export: export it again");
  else if (strcmp(name, "exporter") == 0)
    put(t, "; this is a fault of the program that wrote the file: export it again with a newer one");
  else if (strcmp(name, "operand") != 0) put_input(t, p, e, name);
  else if (e->operand != PP_NONE) put(t, " at operand "), put_number(t, e->operand);
}

size_t pp_error_message(const pp_program *program, const pp_error *error, char *buffer, size_t size) {
  text t = {buffer, buffer ? size : 0, 0};
  const char *from = !error || error->status == PP_OK ? "no error" : rule_message(error->rule);
  while (*from) {
    char name[16] = {0}, one[2] = {*from, 0};
    const char *end = *from == '{' ? strchr(from, '}') : NULL;
    if (end && (size_t)(end - from) < sizeof name) {
      memcpy(name, from + 1, (size_t)(end - from - 1));
      put_name(&t, program, error, name);
      from = end + 1;
    } else {
      put(&t, one);
      from++;
    }
  }
  if (t.size) buffer[t.length < t.size ? t.length : t.size - 1] = 0;
  return t.length;
}

#else

/* A small build has only the numbers; rules.def says what they mean. */
size_t pp_error_message(const pp_program *program, const pp_error *error, char *buffer, size_t size) {
  text t = {buffer, buffer ? size : 0, 0};
  (void)program;
  if (error) {
    const int64_t numbers[] = {error->rule, (int32_t)error->method, (int32_t)error->instruction, error->a, error->b};
    put(&t, "rule");
    for (int i = 0; i < 5; i++) put(&t, " "), put_number(&t, numbers[i]);
  }
  if (t.size) buffer[t.length < t.size ? t.length : t.size - 1] = 0;
  return t.length;
}

#endif
