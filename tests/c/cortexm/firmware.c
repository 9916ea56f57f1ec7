/* What a firmware does: a program in flash, all memory static, no operating system, no C library beyond what kernels
 * need. Runs tests/vectors/small.pap and compares with NumPy's results; returns 0, or the number of the step that went
 * wrong, which becomes QEMU's exit status. */
#include <stdint.h>
#include <string.h>

#include "pappus.h"

/* A file of tests/vectors as bytes: name, name_end. */
#define EMBED(name, file)                                                                              \
  __asm__(".section .rodata." #name ",\"a\"\n.balign 64\n.global " #name "\n" #name ":\n.incbin \"" PP_TEST_VECTORS \
          "/" file "\"\n.global " #name "_end\n" #name "_end:\n.balign 4\n.text\n");                                  \
  extern const uint8_t name[], name##_end[]

EMBED(model, "small.pap");
EMBED(input, "small.x.raw");
EMBED(wanted_p, "small.p.raw");
EMBED(wanted_digit, "small.digit.raw");

enum { ROWS = 3, CLASSES = 6 };

void say(const char *text);

static _Alignas(64) uint8_t program_memory[512], instance_memory[16384], arena[16384];
static float p[ROWS * CLASSES], name[ROWS * 3];
static int64_t digit[ROWS];

static void say_number(const char *what, uint32_t n) {
  char text[16];
  int at = 15;
  text[at] = 0;
  text[--at] = '\n';
  do text[--at] = (char)('0' + n % 10);
  while (n /= 10);
  say(what);
  say(text + at);
}

#define STEP(number, call)                                                       \
  do {                                                                           \
    if ((call) != PP_OK) {                                                       \
      char text[200];                                                            \
      pp_error_message(program, &error, text, sizeof text);                      \
      say(text);                                                                 \
      say("\n");                                                                 \
      return number;                                                             \
    }                                                                            \
  } while (0)

int main(void) {
  const pp_program *program = NULL;
  pp_instance *instance;
  pp_error error;
  uint64_t bytes;
  STEP(1, pp_program_open(model, (uint64_t)(model_end - model), PP_OPEN_VERIFY_DATA, program_memory,
                          sizeof program_memory, &program, &error));
  STEP(2, pp_instance_memory(program, &bytes, &error));
  say_number("instance bytes ", (uint32_t)bytes);
  STEP(3, pp_instance_create(program, NULL, instance_memory, sizeof instance_memory, &instance, &error));

  pp_tensor x = {.dtype = 12 /* float32 */, .rank = 4, .shape = {ROWS, 1, 8, 8}};
  STEP(4, pp_bind_sizes(instance, 0, &x, 1, &bytes, &error));
  say_number("arena bytes ", (uint32_t)bytes);
  STEP(5, pp_bind_arena(instance, 0, arena, sizeof arena));
  STEP(6, pp_bind_input(instance, 0, 0, input));
  STEP(7, pp_bind_output(instance, 0, 0, p));
  STEP(8, pp_bind_output(instance, 0, 1, digit));
  STEP(9, pp_bind_output(instance, 0, 2, name));
  for (int turn = 0; turn < 2; turn++) {
    memset(p, 0, sizeof p);
    STEP(10, pp_run(instance, 0, 0, &error));
    if (memcmp(digit, wanted_digit, sizeof digit) != 0) return 11;
    for (int i = 0; i < ROWS * CLASSES; i++) {
      float want;
      memcpy(&want, wanted_p + 4 * i, 4);
      if (!(p[i] - want < 1e-6f && want - p[i] < 1e-6f)) return 12;
    }
  }

  /* State lives in the instance's memory and stays from run to run. */
  float in[3] = {1, 1, 1}, out[3];
  pp_tensor flat = {.dtype = 12, .rank = 1, .shape = {3}};
  STEP(20, pp_bind_sizes(instance, 1, &flat, 1, &bytes, &error));
  STEP(21, pp_bind_arena(instance, 1, arena, sizeof arena));
  STEP(22, pp_bind_input(instance, 1, 0, in));
  STEP(23, pp_bind_output(instance, 1, 0, out));
  for (int turn = 1; turn <= 3; turn++) {
    STEP(24, pp_run(instance, 1, 0, &error));
    for (int i = 0; i < 3; i++)
      if (out[i] != (float)(i + 1 + turn)) return 25;
  }

  /* A wrong size is an error with a sentence, here as everywhere. */
  x.shape[0] = 5;
  if (pp_bind_sizes(instance, 0, &x, 1, &bytes, &error) != PP_ERR_INPUT || error.rule != 609) return 30;
  char text[120];
  pp_error_message(program, &error, text, sizeof text);
  say(text);
  say("\nok\n");
  return 0;
}
