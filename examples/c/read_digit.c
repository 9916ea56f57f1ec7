/* Reads one handwritten digit with the network that `make demo` trains, in plain C:
 *
 *   read_digit out/mnist.pap out/digit.npy
 *
 * The runtime allocates nothing: it says how many bytes it wants, and this program hands them over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pappus.h"

enum { SIDE = 28, DIGITS = 10, F32 = 12 /* PP_DTYPE_F32 of runtime_c/schema/schema_gen.h */ };

static const pp_program *program;

/* Say what went wrong, in words, and end. */
static void stop_if(pp_status status, const pp_error *error) {
  if (status == PP_OK) return;
  char text[512];
  pp_error_message(program, error, text, sizeof text);
  fprintf(stderr, "read_digit: %s\n", text);
  exit(1);
}

static void stop(const char *path, const char *why) {
  fprintf(stderr, "read_digit: %s: %s\n", path, why);
  exit(1);
}

/* Memory for the runtime; it wants 64-byte alignment. */
static void *memory(uint64_t bytes) {
  void *found = aligned_alloc(64, ((size_t)bytes + 64) / 64 * 64);
  if (!found) stop("memory", "there is not enough");
  return found;
}

static unsigned char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) stop(path, "cannot be opened");
  fseek(file, 0, SEEK_END);
  long length = ftell(file);
  rewind(file);
  if (length < 0) stop(path, "cannot be read");
  unsigned char *data = memory((uint64_t)length + 1);
  *size = fread(data, 1, (size_t)length, file);
  data[*size] = 0; /* so that its text has an end */
  fclose(file);
  return data;
}

/* The pixels of a .npy file that holds 28 x 28 float32: they come last, so the header need not be understood. */
static const float *read_pixels(const char *path) {
  size_t size, wanted = sizeof(float) * SIDE * SIDE;
  unsigned char *data = read_file(path, &size);
  if (size < wanted + 80 || memcmp(data, "\x93NUMPY", 6) != 0 || !strstr((char *)data + 10, "'<f4'"))
    stop(path, "is not a .npy file of 28 x 28 float32 numbers");
  float *pixels = memory(wanted);
  memcpy(pixels, data + size - wanted, wanted);
  return pixels;
}

static void draw(const float *pixels) {
  for (int row = 0; row < SIDE; row += 2) { /* letters are twice as high as wide */
    for (int column = 0; column < SIDE; column++) {
      float ink = (pixels[row * SIDE + column] + pixels[(row + 1) * SIDE + column]) / 2;
      putchar(" .:*#@"[ink >= 1 ? 5 : (int)(ink * 6)]);
    }
    putchar('\n');
  }
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fputs("usage: read_digit mnist.pap digit.npy\n", stderr);
    return 2;
  }
  pp_error error;

  /* 1. Open: the file is checked once and never copied; it must stay where it is. */
  size_t size;
  unsigned char *file = read_file(argv[1], &size);
  void *program_memory = memory(pp_program_memory());
  stop_if(pp_program_open(file, size, PP_OPEN_VERIFY_DATA, program_memory, pp_program_memory(), &program, &error), &error);

  /* 2. An instance: state and bookkeeping. Without a pool it runs on this thread. */
  uint64_t bytes;
  pp_instance *instance;
  stop_if(pp_instance_memory(program, &bytes, &error), &error);
  stop_if(pp_instance_create(program, NULL, memory(bytes), bytes, &instance, &error), &error);

  /* 3. Sizes: one image. Now the runtime knows how much working memory it needs. */
  float scores[DIGITS];
  pp_tensor input = {NULL, F32, 4, {1, 1, SIDE, SIDE}}, output;
  stop_if(pp_bind_sizes(instance, 0, &input, 1, &bytes, &error), &error);
  if (pp_output_shape(instance, 0, 0, &output) != PP_OK || output.rank != 2 || output.shape[1] != DIGITS)
    stop(argv[1], "does not give ten scores");
  pp_bind_arena(instance, 0, memory(bytes), bytes);

  /* 4. Run, as often as wanted: nothing is allocated any more. */
  const float *pixels = read_pixels(argv[2]);
  pp_bind_input(instance, 0, 0, pixels);
  pp_bind_output(instance, 0, 0, scores);
  stop_if(pp_run(instance, 0, 0, &error), &error);

  draw(pixels);
  int best = 0;
  for (int digit = 0; digit < DIGITS; digit++) {
    printf("%d  %8.4f\n", digit, (double)scores[digit]);
    if (scores[digit] > scores[best]) best = digit;
  }
  printf("this is a %d\n", best);
  return 0;
}
