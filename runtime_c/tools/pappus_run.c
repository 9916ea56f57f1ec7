/* pappus-run: run a method of a .pap file on .npy or raw inputs, without Python. */
#define _POSIX_C_SOURCE 200809L /* fileno, fstat */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "npy.h"
#include "pappus.h"
#include "show.h"
#include "../schema/schema_gen.h"

static const char usage[] =
  "usage: pappus-run FILE.pap [--method NAME] [--input NAME=FILE ...] [--shape NAME=2x3 ...]\n"
  "                  [--output DIR | --output NAME=FILE ...] [--threads N] [--repeat N]\n"
  "Runs a method (the first one, or NAME) and prints its outputs.\n"
  "  --input   a .npy file, or a file with the raw little-endian elements, row major\n"
  "  --shape   of a raw input; not needed if at most one of its sizes is open\n"
  "  --output  writes NAME.npy into DIR, or that output into FILE: raw elements if it ends in .raw, else .npy\n"
  "  --threads 1 unless given; 0 is one per CPU; results do not depend on it\n"
  "  --repeat  run so often on the same inputs and print the times; state advances each time\n"
  "Exit status: 0 done, 1 a problem with the program or the data, 2 wrong usage.\n";

enum { FAILED = 1, USAGE = 2, MAX_FILES = 256 };

typedef struct named_file { const char *name, *path; size_t length; } named_file;

typedef struct options {
  const char *file, *method, *output_folder;
  named_file inputs[MAX_FILES], outputs[MAX_FILES], shapes[MAX_FILES];
  int n_inputs, n_outputs, n_shapes;
  long threads, repeat;
} options;

typedef struct session {
  const char *path;
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

static int failed(const session *s, const pp_error *error) {
  char text[1024];
  pp_error_message(s->program, error, text, sizeof text);
  return complain(FAILED, "%s: %s", s->path, text);
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
  *out = (named_file){text, equals + 1, (size_t)(equals - text)};
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
      if (!split(value, &o->inputs[o->n_inputs++])) return complain(USAGE, "--input %s: expected NAME=FILE%s", value, "");
    } else if (strcmp(arg, "--shape") == 0) {
      if (o->n_shapes == MAX_FILES) return complain(USAGE, "too many shapes%s%s", "", "");
      if (!split(value, &o->shapes[o->n_shapes++])) return complain(USAGE, "--shape %s: expected NAME=2x3%s", value, "");
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
    return failed(s, &error);
  return 0;
}

static int find_method(const char *name, session *s) {
  uint32_t n = pp_method_count(s->program);
  for (s->method = 0; s->method < n; s->method++) {
    pp_method_get(s->program, s->method, &s->info);
    if (!name || strcmp(s->info.name, name) == 0) return 0;
  }
  complain(FAILED, n ? "%s: the program has no method %s; it has:" : "%s: the program has no method%.0s", s->path, name ? name : "");
  for (uint32_t i = 0; i < n; i++) {
    pp_method_get(s->program, i, &s->info);
    fprintf(stderr, "  %s\n", s->info.name);
  }
  return FAILED;
}

static named_file *find_file(named_file *files, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strlen(name) == files[i].length && strncmp(files[i].name, name, files[i].length) == 0) return &files[i];
  return NULL;
}

static pp_status port_of(const session *s, bool output, uint32_t i, pp_port *port) {
  return (output ? pp_output_get : pp_input_get)(s->program, s->method, i, port);
}

static void list_ports(const session *s, bool output) {
  pp_port port;
  for (uint32_t i = 0; port_of(s, output, i, &port) == PP_OK; i++) {
    fprintf(stderr, "  %s: ", port.name);
    show_port(stderr, s->program, s->method, &port);
    fputc('\n', stderr);
  }
}

/* Names that the method does not have, or given twice, before anything is read or run. */
static int check_names(const session *s, named_file *files, int n, bool output) {
  for (int i = 0; i < n; i++) {
    pp_port port;
    char name[100];
    snprintf(name, sizeof name, "%.*s", (int)(files[i].length < sizeof name ? files[i].length : sizeof name), files[i].name);
    if (find_file(files, i, name)) return complain(USAGE, "%s '%s' is given twice", output ? "output" : "input", name);
    uint32_t k = 0;
    while (port_of(s, output, k, &port) == PP_OK && strcmp(port.name, name) != 0) k++;
    if (k < (output ? s->info.outputs : s->info.inputs)) continue;
    complain(FAILED, output ? "method '%s' has no output '%s'; it has:" : "method '%s' has no input '%s'; it has:",
             s->info.name, name);
    list_ports(s, output);
    return FAILED;
  }
  return 0;
}

/* -- raw inputs ------------------------------------------------------------------------------ */

static bool ends_in(const char *path, const char *end) {
  size_t n = strlen(path), m = strlen(end);
  return n >= m && strcmp(path + n - m, end) == 0;
}

/* "2x3" or "2,3"; false if that is no shape. */
static bool parse_shape(const char *text, pp_tensor *t) {
  for (t->rank = 0; t->rank < 8;) {
    char *end;
    if (*text < '0' || *text > '9') return false;
    t->shape[t->rank++] = strtoll(text, &end, 10);
    if (!*end) return true;
    if (*end != 'x' && *end != ',') return false;
    text = end + 1;
  }
  return false;
}

/* The shape of a raw input: as given, or the port's sizes, of which one may follow from the file's size. */
static const char *raw_shape(const options *o, const pp_port *port, uint64_t bytes, pp_tensor *t) {
  const named_file *given = find_file((named_file *)o->shapes, o->n_shapes, port->name);
  uint64_t known = npy_item_size(port->dtype);
  int open = -1;
  if (given) return parse_shape(given->path, t) ? NULL : "its --shape is not like 2x3";
  t->rank = port->rank;
  for (uint32_t d = 0; d < port->rank; d++) {
    t->shape[d] = port->size[d];
    if (port->size[d] >= 0 && !__builtin_mul_overflow(known, (uint64_t)port->size[d], &known)) continue;
    if (open >= 0 || port->size[d] >= 0) return "a raw file does not tell its shape: give --shape NAME=2x3";
    open = (int)d;
  }
  if (open >= 0) t->shape[open] = known ? (int64_t)(bytes / known) : 0;
  return NULL;
}

static int read_raw(const options *o, const char *path, const pp_port *port, pp_tensor *t) {
  uint64_t bytes;
  const char *problem = npy_read_raw(path, &t->data, &bytes);
  t->dtype = port->dtype;
  if (!problem) problem = raw_shape(o, port, bytes, t);
  if (problem) return complain(FAILED, "%s: %s", path, problem);
  if (npy_bytes(t) == bytes) return 0;
  char text[160];
  snprintf(text, sizeof text, "it is no .npy file; as raw %s of this input's shape it would have %llu bytes, it has %llu",
           npy_dtype_name(t->dtype), (unsigned long long)npy_bytes(t), (unsigned long long)bytes);
  return complain(FAILED, "%s: %s", path, text);
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
      complain(FAILED, "input '%s' is missing: give --input %s=FILE. The method takes:", port.name, port.name);
      list_ports(s, false);
      return FAILED;
    }
    const char *problem = npy_read(file->path, &s->inputs[i]);
    if (problem == npy_foreign && !ends_in(file->path, ".npy")) {
      int code = read_raw(o, file->path, &port, &s->inputs[i]);
      if (code) return code;
      continue;
    }
    if (problem) return complain(FAILED, "%s: %s", file->path, problem);
    /* numpy has no bfloat16: its bits travel as uint16 */
    if (port.dtype == PP_DTYPE_BF16 && s->inputs[i].dtype == PP_DTYPE_U16) s->inputs[i].dtype = PP_DTYPE_BF16;
  }
  return 0;
}

static int bind(const options *o, session *s) {
  pp_error error;
  uint64_t bytes;
  const char *isa = getenv("PAPPUS_ISA");
  if (!(s->pool = pp_pool_create((uint32_t)o->threads)))
    return complain(FAILED, isa ? "no thread pool: PAPPUS_ISA=%s is unknown, or memory is out%s" : "out of memory%s%s",
                    isa ? isa : "", "");
  if (pp_instance_memory(s->program, &bytes, &error) != PP_OK) return failed(s, &error);
  void *place = memory(bytes);
  if (!place) return complain(FAILED, "out of memory%s%s", "", "");
  if (pp_instance_create(s->program, s->pool, place, bytes, &s->instance, &error) != PP_OK ||
      pp_bind_sizes(s->instance, s->method, s->inputs, s->info.inputs, &bytes, &error) != PP_OK)
    return failed(s, &error);
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
  double *times = calloc((size_t)o->repeat, sizeof *times);
  pp_error error;
  if (!times) return complain(FAILED, "out of memory%s%s", "", "");
  for (long i = 0; i < o->repeat; i++) {
    int64_t start = s->pool->now();
    if (pp_run(s->instance, s->method, 0, &error) != PP_OK) return failed(s, &error);
    times[i] = (double)(s->pool->now() - start) * 1e-6;
  }
  qsort(times, (size_t)o->repeat, sizeof *times, by_time);
  if (o->repeat > 1)
    printf("%ld runs: fastest %.3f ms, median %.3f ms\n", o->repeat, times[0], times[o->repeat / 2]);
  free(times);
  return 0;
}

static int write_outputs(options *o, session *s) {
  for (uint32_t i = 0; i < s->info.outputs; i++) {
    pp_port port;
    char path[4096];
    pp_output_get(s->program, s->method, i, &port);
    show_tensor(port.name, &s->outputs[i]);
    named_file *file = find_file(o->outputs, o->n_outputs, port.name);
    if (file) {
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
    const char *problem = (ends_in(path, ".raw") ? npy_write_raw : npy_write)(path, &s->outputs[i]);
    if (problem) return complain(FAILED, "%s: %s", path, problem);
  }
  return 0;
}

int main(int argc, char **argv) {
  static options o;
  session s = {0};
  int code = parse(argc, argv, &o);
  if (code != 0) return code < 0 ? 0 : code;
  s.path = o.file;
  if ((code = read_program(o.file, &s)) != 0 || (code = find_method(o.method, &s)) != 0 ||
      (code = check_names(&s, o.inputs, o.n_inputs, false)) != 0 || (code = check_names(&s, o.shapes, o.n_shapes, false)) != 0 ||
      (code = check_names(&s, o.outputs, o.n_outputs, true)) != 0 || (code = read_inputs(&o, &s)) != 0 || (code = bind(&o, &s)) != 0 || (code = run(&o, &s)) != 0)
    return code;
  code = write_outputs(&o, &s);
  pp_pool_destroy(s.pool);
  return code; /* the rest of the memory ends with the process */
}
