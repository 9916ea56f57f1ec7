#include "npy.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../schema/schema_gen.h"

enum { MAX_HEADER = 4096 };

static const struct { uint8_t dtype, size; const char *name, *code; } kinds[] = {
  {PP_DTYPE_BOOL, 1, "bool", "|b1"},        {PP_DTYPE_U8, 1, "uint8", "|u1"},
  {PP_DTYPE_I8, 1, "int8", "|i1"},          {PP_DTYPE_U16, 2, "uint16", "<u2"},
  {PP_DTYPE_I16, 2, "int16", "<i2"},        {PP_DTYPE_U32, 4, "uint32", "<u4"},
  {PP_DTYPE_I32, 4, "int32", "<i4"},        {PP_DTYPE_U64, 8, "uint64", "<u8"},
  {PP_DTYPE_I64, 8, "int64", "<i8"},        {PP_DTYPE_F16, 2, "float16", "<f2"},
  {PP_DTYPE_F32, 4, "float32", "<f4"},      {PP_DTYPE_F64, 8, "float64", "<f8"},
  {PP_DTYPE_BF16, 2, "bfloat16", "<u2"}, /* last: a file's "<u2" is read as uint16 */
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static int kind_of(uint32_t dtype) {
  for (int i = 0; i < KINDS; i++)
    if (kinds[i].dtype == dtype) return i;
  return -1;
}

size_t npy_item_size(uint32_t dtype) {
  int k = kind_of(dtype);
  return k < 0 ? 0 : kinds[k].size;
}

const char *npy_dtype_name(uint32_t dtype) {
  int k = kind_of(dtype);
  return k < 0 ? "unknown" : kinds[k].name;
}

size_t npy_bytes(const pp_tensor *t) {
  size_t bytes = npy_item_size(t->dtype);
  for (uint32_t d = 0; d < t->rank; d++)
    if (t->shape[d] < 0 || __builtin_mul_overflow(bytes, (uint64_t)t->shape[d], &bytes)) return SIZE_MAX;
  return bytes;
}

/* Where the value of a key of the header's dictionary starts, or NULL. */
static const char *value_of(const char *header, const char *key) {
  const char *p = strstr(header, key);
  if (!p) return NULL;
  p = strchr(p + strlen(key), ':');
  if (!p) return NULL;
  for (p++; *p == ' '; p++) continue;
  return p;
}

static const char *parse_descr(const char *p, pp_tensor *t) {
  if (!p || *p != '\'') return "its header has no plain dtype (structured arrays are not supported)";
  for (int i = 0; i < KINDS; i++)
    /* numpy writes '|' for one-byte items, but accepts '<' too */
    if (strncmp(p + 2, kinds[i].code + 1, 2) == 0 && p[4] == '\'') {
      if (p[1] != '<' && p[1] != '|' && p[1] != '=') return "it is big-endian";
      t->dtype = kinds[i].dtype;
      return NULL;
    }
  return "its dtype is not supported";
}

static const char *parse_shape(const char *p, pp_tensor *t) {
  if (!p || *p != '(') return "its header has no shape";
  t->rank = 0;
  for (p++; *p && *p != ')';) {
    if (*p == ' ' || *p == ',') {
      p++;
      continue;
    }
    char *end;
    if (*p < '0' || *p > '9') return "its header's shape is not a list of numbers";
    long long size = strtoll(p, &end, 10);
    if (size > INT32_MAX) return "a dimension is larger than 2^31 - 1";
    if (t->rank == 8) return "it has more than 8 dimensions";
    t->shape[t->rank++] = size;
    p = end;
  }
  return *p == ')' ? NULL : "its header's shape is not closed";
}

static const char *parse_header(const char *header, pp_tensor *t) {
  const char *order = value_of(header, "'fortran_order'");
  const char *problem = parse_descr(value_of(header, "'descr'"), t);
  if (!problem) problem = parse_shape(value_of(header, "'shape'"), t);
  if (!problem && (!order || strncmp(order, "False", 5) != 0))
    problem = "it is in Fortran order (save numpy.ascontiguousarray of it)";
  return problem;
}

const char npy_foreign[] = "it is not a .npy file";

static const char *read_open(FILE *f, pp_tensor *t) {
  unsigned char start[10];
  char header[MAX_HEADER + 1];
  if (fread(start, 1, 10, f) != 10 || memcmp(start, "\x93NUMPY", 6) != 0) return npy_foreign;
  if (start[6] != 1) return "its .npy version is not 1.0";
  size_t length = start[8] | (size_t)start[9] << 8;
  if (length > MAX_HEADER) return "its header is too long";
  if (fread(header, 1, length, f) != length) return "it ends inside its header";
  header[length] = 0;
  const char *problem = parse_header(header, t);
  if (problem) return problem;
  size_t bytes = npy_bytes(t);
  if (bytes > SIZE_MAX / 2) return "its shape is too large";
  t->data = aligned_alloc(64, (bytes + 64) / 64 * 64);
  if (!t->data) return "there is not enough memory for it";
  if (fread(t->data, 1, bytes, f) == bytes && fgetc(f) == EOF) return NULL;
  free(t->data);
  t->data = NULL;
  return "its length does not agree with its shape";
}

const char *npy_read(const char *path, pp_tensor *t) {
  memset(t, 0, sizeof *t);
  FILE *f = fopen(path, "rb");
  if (!f) return "the file cannot be opened";
  const char *problem = read_open(f, t);
  fclose(f);
  return problem;
}

const char *npy_read_raw(const char *path, void **data, uint64_t *bytes) {
  FILE *f = fopen(path, "rb");
  long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
  *data = NULL;
  if (!f) return "the file cannot be opened";
  if (size >= 0) *data = aligned_alloc(64, ((size_t)size + 64) / 64 * 64);
  rewind(f);
  bool good = *data && fread(*data, 1, (size_t)size, f) == (size_t)size;
  fclose(f);
  *bytes = (uint64_t)size;
  return good ? NULL : "the file cannot be read";
}

const char *npy_write_raw(const char *path, const pp_tensor *t) {
  size_t bytes = npy_bytes(t);
  FILE *f = fopen(path, "wb");
  if (!f) return "the file cannot be created";
  bool good = bytes == 0 || fwrite(t->data, 1, bytes, f) == bytes;
  return fclose(f) == 0 && good ? NULL : "the file cannot be written";
}

const char *npy_write(const char *path, const pp_tensor *t) {
  char header[512];
  int k = kind_of(t->dtype);
  if (k < 0 || npy_bytes(t) == SIZE_MAX) return "the tensor cannot be stored";
  int n = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (", kinds[k].code);
  for (uint32_t d = 0; d < t->rank; d++)
    n += snprintf(header + n, sizeof header - (size_t)n, "%lld,%s", (long long)t->shape[d],
                  d + 1 < t->rank ? " " : "");
  n += snprintf(header + n, sizeof header - (size_t)n, "), }");
  /* The data starts at a multiple of 64; the header ends in a newline. */
  while ((10 + n + 1) % 64 != 0) header[n++] = ' ';
  header[n++] = '\n';
  unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)n, (unsigned char)(n >> 8)};
  FILE *f = fopen(path, "wb");
  if (!f) return "the file cannot be created";
  size_t bytes = npy_bytes(t);
  bool good = fwrite(start, 1, 10, f) == 10 && fwrite(header, 1, (size_t)n, f) == (size_t)n &&
              (bytes == 0 || fwrite(t->data, 1, bytes, f) == bytes);
  return fclose(f) == 0 && good ? NULL : "the file cannot be written";
}
