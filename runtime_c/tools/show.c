#include "show.h"

#include <string.h>

#include "npy.h"
#include "../schema/schema_gen.h"

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

void show_tensor(const char *name, const pp_tensor *t) {
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

void show_port(FILE *to, const pp_program *program, uint32_t method, const pp_port *port) {
  fprintf(to, "%s [", npy_dtype_name(port->dtype));
  for (uint32_t d = 0; d < port->rank; d++) {
    pp_symbol symbol = {.name = "?"};
    const char *separator = d ? ", " : "";
    if (port->symbol[d] != PP_NONE) pp_symbol_get(program, method, port->symbol[d], &symbol);
    if (port->size[d] >= 0) fprintf(to, "%s%lld", separator, (long long)port->size[d]);
    else fprintf(to, "%s%s", separator, symbol.name);
  }
  fputc(']', to);
}
