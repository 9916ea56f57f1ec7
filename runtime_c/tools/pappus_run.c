/* pappus-run: run a method of a .pap file on .npy inputs, without Python. */
#define _POSIX_C_SOURCE 200809L /* fileno, fstat */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "npy.h"
#include "pappus.h"
#include "../schema/schema_gen.h"

static const char usage[] =
  "usage: pappus-run FILE.pap [--method NAME] [--input NAME=FILE.npy ...] [--output DIR | --output NAME=FILE.npy ...]\n"
  "                  [--threads N] [--repeat N]\n"
  "Runs a method (the first one, or NAME) and prints its outputs. N threads: 0 = one per CPU. With --repeat the run is\n"
  "repeated on the same inputs and the times are printed. Exit status: 0 done, 1 the run failed, 2 wrong arguments.\n";

enum { FAILED = 1, USAGE = 2, MAX_FILES = 256 };

typedef struct named_file { const char *name, *path; size_t length; bool used; } named_file;

typedef struct options {
  const char *file, *method, *output_folder;
  named_file inputs[MAX_FILES], outputs[MAX_FILES];
  int n_inputs, n_outputs;
  long threads, repeat;
} options;

typedef struct session {
  const pp_program *program;
  pp_instance *instance;
  pp_pool *pool;
  uint32_t method;
  pp_method_info info;
  pp_tensor *inputs, *outputs;
  void *arena;
} session;

static int complain(int code, const char *format, const char *a, const char *b) {
  fputs("pappus-run: ", stderr);
  fprintf(stderr, format, a, b);
  fputc('\n', stderr);
  return code;
}

static int failed(const pp_program *program, const pp_error *error) {
  char text[1024];
  pp_error_message(program, error, text, sizeof text);
  fprintf(stderr, "pappus-run: %s\n", text);
  return FAILED;
}

/* 64-byte aligned memory that is never NULL for 0 bytes. */
static void *memory(uint64_t bytes) {
  if (bytes > SIZE_MAX - 128) return NULL;
  return aligned_alloc(64, ((size_t)bytes + 64) / 64 * 64);
}

/* -- arguments ------------------------------------------------------------------------------- */

static bool split(const char *text, named_file *out) {
  const char *equals = strchr(text, '=');
  if (!equals || equals == text || !equals[1]) return false;
  *out = (named_file){text, equals + 1, (size_t)(equals - text), false};
  return true;
}

static bool number(const char *text, long low, long *out) {
  char *end;
  *out = strtol(text, &end, 10);
  return *text && !*end && *out >= low && *out <= 1000000000;
}

static int parse(int argc, char **argv, options *o) {
  o->threads = 1;
  o->repeat = 1;
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
      fputs(usage, stdout);
      return -1;
    }
    if (strncmp(arg, "--", 2) != 0) {
      if (o->file) return complain(USAGE, "more than one program file: %s and %s", o->file, arg);
      o->file = arg;
      continue;
    }
    if (!value) return complain(USAGE, "%s needs a value%s", arg, "");
    i++;
    if (strcmp(arg, "--method") == 0) {
      o->method = value;
    } else if (strcmp(arg, "--input") == 0) {
      if (o->n_inputs == MAX_FILES) return complain(USAGE, "too many inputs%s%s", "", "");
      if (!split(value, &o->inputs[o->n_inputs++])) return complain(USAGE, "--input %s: expected NAME=FILE.npy%s", value, "");
    } else if (strcmp(arg, "--output") == 0) {
      if (o->n_outputs == MAX_FILES) return complain(USAGE, "too many outputs%s%s", "", "");
      if (split(value, &o->outputs[o->n_outputs])) o->n_outputs++;
      else o->output_folder = value;
    } else if (strcmp(arg, "--threads") == 0) {
      if (!number(value, 0, &o->threads)) return complain(USAGE, "--threads %s: expected a number%s", value, "");
    } else if (strcmp(arg, "--repeat") == 0) {
      if (!number(value, 1, &o->repeat)) return complain(USAGE, "--repeat %s: expected a number of at least 1%s", value, "");
    } else {
      return complain(USAGE, "unknown option %s%s", arg, "");
    }
  }
  if (o->file) return 0;
  fputs(usage, stderr);
  return USAGE;
}

/* -- the program ----------------------------------------------------------------------------- */

static int read_program(const char *path, session *s) {
  FILE *f = fopen(path, "rb");
  if (!f) return complain(FAILED, "%s: the file cannot be opened%s", path, "");
  struct stat info;
  uint64_t size = 0;
  char *file = NULL;
  if (fstat(fileno(f), &info) == 0 && S_ISREG(info.st_mode)) {
    size = (uint64_t)info.st_size;
    file = memory(size);
  }
  bool good = file && fread(file, 1, (size_t)size, f) == size;
  fclose(f);
  if (!good) return complain(FAILED, "%s: the file cannot be read%s", path, "");
  void *place = memory(pp_program_memory());
  pp_error error;
  if (!place) return complain(FAILED, "out of memory%s%s", "", "");
  if (pp_program_open(file, size, PP_OPEN_VERIFY_DATA, place, pp_program_memory(), &s->program, &error) != PP_OK)
    return failed(NULL, &error);
  return 0;
}

static int find_method(const char *name, session *s) {
  uint32_t n = pp_method_count(s->program);
  for (s->method = 0; s->method < n; s->method++) {
    pp_method_get(s->program, s->method, &s->info);
    if (!name || strcmp(s->info.name, name) == 0) return 0;
  }
  complain(USAGE, "the program has no method %s; it has:%s", name ? name : "at all", "");
  for (uint32_t i = 0; i < n; i++) {
    pp_method_get(s->program, i, &s->info);
    fprintf(stderr, "  %s\n", s->info.name);
  }
  return USAGE;
}

static named_file *find_file(named_file *files, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strlen(name) == files[i].length && strncmp(files[i].name, name, files[i].length) == 0) return &files[i];
  return NULL;
}

static void print_input_names(const session *s) {
  for (uint32_t i = 0; i < s->info.inputs; i++) {
    pp_port port;
    pp_input_get(s->program, s->method, i, &port);
    fprintf(stderr, "  %s: %s [", port.name, npy_dtype_name(port.dtype));
    for (uint32_t d = 0; d < port.rank; d++) {
      pp_symbol symbol = {.name = "?"};
      const char *separator = d ? ", " : "";
      if (port.symbol[d] != PP_NONE) pp_symbol_get(s->program, s->method, port.symbol[d], &symbol);
      if (port.size[d] >= 0) fprintf(stderr, "%s%lld", separator, (long long)port.size[d]);
      else fprintf(stderr, "%s%s", separator, symbol.name);
    }
    fputs("]\n", stderr);
  }
}

static int read_inputs(options *o, session *s) {
  s->inputs = calloc(s->info.inputs + 1, sizeof *s->inputs);
  s->outputs = calloc(s->info.outputs + 1, sizeof *s->outputs);
  if (!s->inputs || !s->outputs) return complain(FAILED, "out of memory%s%s", "", "");
  for (uint32_t i = 0; i < s->info.inputs; i++) {
    pp_port port;
    pp_input_get(s->program, s->method, i, &port);
    named_file *file = find_file(o->inputs, o->n_inputs, port.name);
    if (!file) {
      complain(USAGE, "input %s is missing: give --input %s=FILE.npy. The method takes:", port.name, port.name);
      print_input_names(s);
      return USAGE;
    }
    file->used = true;
    const char *problem = npy_read(file->path, &s->inputs[i]);
    if (problem) return complain(FAILED, "%s: %s", file->path, problem);
    /* numpy has no bfloat16: its bits travel as uint16 */
    if (port.dtype == PP_DTYPE_BF16 && s->inputs[i].dtype == PP_DTYPE_U16) s->inputs[i].dtype = PP_DTYPE_BF16;
  }
  for (int i = 0; i < o->n_inputs; i++)
    if (!o->inputs[i].used) {
      complain(USAGE, "unknown or repeated input in %s. The method takes:%s", o->inputs[i].name, "");
      print_input_names(s);
      return USAGE;
    }
  return 0;
}

static int bind(const options *o, session *s) {
  pp_error error;
  uint64_t bytes;
  if (o->threads != 1 && !(s->pool = pp_pool_create((uint32_t)o->threads)))
    return complain(FAILED, "out of memory%s%s", "", "");
  if (pp_instance_memory(s->program, &bytes, &error) != PP_OK) return failed(s->program, &error);
  void *place = memory(bytes);
  if (!place) return complain(FAILED, "out of memory%s%s", "", "");
  if (pp_instance_create(s->program, s->pool, place, bytes, &s->instance, &error) != PP_OK ||
      pp_bind_sizes(s->instance, s->method, s->inputs, s->info.inputs, &bytes, &error) != PP_OK)
    return failed(s->program, &error);
  s->arena = memory(bytes);
  if (!s->arena || pp_bind_arena(s->instance, s->method, s->arena, bytes) != PP_OK)
    return complain(FAILED, "out of memory for the arena%s%s", "", "");
  for (uint32_t i = 0; i < s->info.inputs; i++) pp_bind_input(s->instance, s->method, i, s->inputs[i].data);
  for (uint32_t i = 0; i < s->info.outputs; i++) {
    pp_tensor *t = &s->outputs[i];
    if (pp_output_shape(s->instance, s->method, i, t) != PP_OK || !(t->data = memory(npy_bytes(t))))
      return complain(FAILED, "out of memory for the outputs%s%s", "", "");
    pp_bind_output(s->instance, s->method, i, t->data);
  }
  return 0;
}

/* -- running and printing -------------------------------------------------------------------- */

static int by_time(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int run(const options *o, session *s) {
  pp_pool *clock = s->pool ? s->pool : pp_pool_create(1);
  double *times = calloc((size_t)o->repeat, sizeof *times);
  pp_error error;
  if (!clock || !times) return complain(FAILED, "out of memory%s%s", "", "");
  for (long i = 0; i < o->repeat; i++) {
    int64_t start = clock->now();
    if (pp_run(s->instance, s->method, 0, &error) != PP_OK) return failed(s->program, &error);
    times[i] = (double)(clock->now() - start) * 1e-6;
  }
  qsort(times, (size_t)o->repeat, sizeof *times, by_time);
  if (o->repeat > 1)
    printf("%ld runs: fastest %.3f ms, median %.3f ms\n", o->repeat, times[0], times[o->repeat / 2]);
  free(times);
  if (clock != s->pool) pp_pool_destroy(clock);
  return 0;
}

static double half(uint16_t bits) {
  int exponent = bits >> 10 & 31, sign = bits >> 15 ? -1 : 1;
  double value = bits & 1023;
  if (exponent == 31) return value != 0 ? (double)__builtin_nanf("") : sign * (double)__builtin_inff();
  if (exponent) value += 1024;
  for (int e = exponent ? exponent - 25 : -24; e != 0; e += e < 0 ? 1 : -1) value *= e < 0 ? 0.5 : 2;
  return sign * value;
}

static void print_element(const pp_tensor *t, size_t i) {
  switch (t->dtype) {
    case PP_DTYPE_BOOL: fputs(((const uint8_t *)t->data)[i] ? "true" : "false", stdout); break;
    case PP_DTYPE_U8: printf("%u", ((const uint8_t *)t->data)[i]); break;
    case PP_DTYPE_I8: printf("%d", ((const int8_t *)t->data)[i]); break;
    case PP_DTYPE_U16: printf("%u", ((const uint16_t *)t->data)[i]); break;
    case PP_DTYPE_I16: printf("%d", ((const int16_t *)t->data)[i]); break;
    case PP_DTYPE_U32: printf("%lu", (unsigned long)((const uint32_t *)t->data)[i]); break;
    case PP_DTYPE_I32: printf("%ld", (long)((const int32_t *)t->data)[i]); break;
    case PP_DTYPE_U64: printf("%llu", (unsigned long long)((const uint64_t *)t->data)[i]); break;
    case PP_DTYPE_I64: printf("%lld", (long long)((const int64_t *)t->data)[i]); break;
    case PP_DTYPE_F16: printf("%.4g", half(((const uint16_t *)t->data)[i])); break;
    case PP_DTYPE_BF16: {
      uint32_t bits = (uint32_t)((const uint16_t *)t->data)[i] << 16;
      float value;
      memcpy(&value, &bits, sizeof value);
      printf("%.4g", (double)value);
      break;
    }
    case PP_DTYPE_F32: printf("%.7g", (double)((const float *)t->data)[i]); break;
    default: printf("%.15g", ((const double *)t->data)[i]);
  }
}

static void print_tensor(const char *name, const pp_tensor *t) {
  enum { SHOWN = 8 };
  size_t n = npy_bytes(t) / npy_item_size(t->dtype);
  printf("%s: %s [", name, npy_dtype_name(t->dtype));
  for (uint32_t d = 0; d < t->rank; d++) printf("%s%lld", d ? ", " : "", (long long)t->shape[d]);
  printf("] =");
  for (size_t i = 0; i < n && i < SHOWN; i++) {
    putchar(' ');
    print_element(t, i);
  }
  puts(n > SHOWN ? " ..." : "");
}

static int write_outputs(options *o, session *s) {
  for (uint32_t i = 0; i < s->info.outputs; i++) {
    pp_port port;
    char path[4096];
    pp_output_get(s->program, s->method, i, &port);
    print_tensor(port.name, &s->outputs[i]);
    named_file *file = find_file(o->outputs, o->n_outputs, port.name);
    if (file) {
      file->used = true;
      snprintf(path, sizeof path, "%s", file->path);
    } else if (o->output_folder) {
      /* A name from the file must not choose the folder. */
      if (strchr(port.name, '/') || port.name[0] == '.')
        return complain(FAILED, "output %s: its name is no file name; give --output NAME=FILE.npy%s", port.name, "");
      if (snprintf(path, sizeof path, "%s/%s.npy", o->output_folder, port.name) >= (int)sizeof path)
        return complain(FAILED, "%s: the path is too long%s", o->output_folder, "");
    } else {
      continue;
    }
    const char *problem = npy_write(path, &s->outputs[i]);
    if (problem) return complain(FAILED, "%s: %s", path, problem);
  }
  for (int i = 0; i < o->n_outputs; i++)
    if (!o->outputs[i].used) return complain(USAGE, "the method has no output for --output %s%s", o->outputs[i].name, "");
  return 0;
}

int main(int argc, char **argv) {
  static options o;
  session s = {0};
  int code = parse(argc, argv, &o);
  if (code != 0) return code < 0 ? 0 : code;
  if ((code = read_program(o.file, &s)) != 0 || (code = find_method(o.method, &s)) != 0 ||
      (code = read_inputs(&o, &s)) != 0 || (code = bind(&o, &s)) != 0 || (code = run(&o, &s)) != 0)
    return code;
  code = write_outputs(&o, &s);
  if (s.pool) pp_pool_destroy(s.pool);
  return code; /* the rest of the memory ends with the process */
}
