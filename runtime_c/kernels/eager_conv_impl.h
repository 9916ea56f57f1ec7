/* Gradient of a convolution's weight, and depthwise convolution in planes, of one instruction set, f32. See eager_conv.h
 * and tile.h. */
#include "eager_conv.h"
#include "isa.h"
#include "pack_impl.h"
#include "simd.h"

#if PP_W > 1

/* Element `i` of line `h` of a plane and whether it is inside: padding gives zeros. */
static void copy_line(const pp_step *s, const float *plane, int64_t h, int64_t from, int64_t count, float *to) {
  const pp_view *x = &s->args[0];
  int64_t low = PP_MIN(PP_MAX(-from, 0), count), high = PP_MAX(PP_MIN(x->shape[3] - from, count), low);
  if (h < 0 || h >= x->shape[2]) low = high = count;
  memset(to, 0, (size_t)low * sizeof *to);
  memset(to + high, 0, (size_t)(count - high) * sizeof *to);
  if (low == high) return;
  const float *line = plane + h * x->stride[2] + (from + low) * x->stride[3];
  if (pp_unit(x, 3)) memcpy(to + low, line, (size_t)(high - low) * sizeof *to);
  else
    for (int64_t i = low; i < high; i++) to[i] = line[(i - low) * x->stride[3]];
}

/* What one task is about. */
typedef struct task {
  int64_t group, channel, channels, output, outputs, panels; /* the first two and output count from zero over all groups */
  float *zeros, *block, *partial, *panel, *copy;
  const float **pointers;
  int64_t *places; /* of a line of g: where the input line of its first tap is, from the channel's start */
} task;

/* Panels of g for pixels [w, w + across) of lines [line, line + lines), and the lines of x that they meet. */
static void load(const pp_step *s, const pp_weight_grad *p, const task *t, int64_t line, int64_t lines, int64_t w,
                 int64_t across) {
  const pp_view *x = &s->args[0], *g = &s->args[1];
  const int64_t *a = s->attrs, reach = (s->results[0].shape[2] - 1) * a[6];
  int64_t deep = lines * across, at = 0, next = 0; /* lines copied so far, and the input line after the last of them */
  for (int64_t l = 0; l < lines; l++) {
    int64_t n = (line + l) / g->shape[2], h = (line + l) % g->shape[2], top = h * a[0] - a[2];
    const float *from = (const float *)g->data + n * g->stride[0] + t->output * g->stride[1] + h * g->stride[2] +
                        w * g->stride[3];
    for (int64_t j = 0; j < t->panels; j++)
      make_panel(t->panel + (j * deep + l * across) * PP_PANEL, from + j * PP_PANEL * g->stride[1],
                 g->shape[3] == 1 ? 1 : g->stride[3], g->stride[1], across, PP_MIN(t->outputs - j * PP_PANEL, PP_PANEL));
    if (!p->copies) {
      t->places[l] = n * x->stride[0] + top * x->stride[2] + w * a[1];
      continue;
    }
    if (l == 0 || h == 0 || next < top) next = top;
    else next = PP_MAX(next, top);
    t->places[l] = (at - (next - top)) * p->width;
    for (; next <= top + reach; next++, at++)
      for (int64_t c = 0; c < t->channels; c++)
        copy_line(s, (const float *)x->data + n * x->stride[0] + (t->channel + c) * x->stride[1], next, w * a[1] - a[3],
                  (across - 1) * a[1] + (s->results[0].shape[3] - 1) * a[7] + 1,
                  t->copy + (c * p->copied + at) * p->width);
  }
}

/* Adds what one block brings to all rows of the task. */
static void add_block(const pp_step *s, const pp_weight_grad *p, const task *t, int64_t lines, int64_t across) {
  const pp_view *x = &s->args[0], *w = &s->results[0];
  const int64_t *a = s->attrs;
  int64_t rows = t->channels * p->taps, width = t->panels * PP_PANEL, deep = lines * across;
  int64_t down = p->copies ? p->width : x->stride[2], channel = p->copies ? p->copied * p->width : x->stride[1];
  const float *data = p->copies ? t->copy : (const float *)x->data + t->channel * x->stride[1];
  float *to[PP_STRIP_ROWS];
  pp_strip strip = {.a = t->pointers, .taps = lines, .k = across, .a_step = a[1], .b = t->panel, .b_step = PP_PANEL,
                    .b_panel = deep * PP_PANEL, .bias = t->zeros, .c = to, .columns = width,
                    .low = -__builtin_inff(), .high = __builtin_inff()};
  int tall = PP_NAME(pp_strip_rows_)(t->panels, rows, false);
  for (int64_t row = 0; row < rows; row += strip.rows) {
    strip.rows = (int)PP_MIN(tall, rows - row);
    for (int r = 0; r < strip.rows; r++) {
      int64_t c = (row + r) / p->taps, i = (row + r) % p->taps / w->shape[3], j = (row + r) % w->shape[3];
      const float *from = data + c * channel + i * a[6] * down + j * a[7];
      to[r] = t->block + r * width;
      for (int64_t l = 0; l < lines; l++) t->pointers[l * strip.rows + r] = from + t->places[l];
    }
    PP_NAME(pp_strip_run_)(&strip);
    float *sum = t->partial + row * width;
    for (int64_t i = 0; i < strip.rows * width; i += PP_W) vf_store(sum + i, vf_load(sum + i) + vf_load(t->block + i));
  }
}

static void weight_grad(const pp_step *s, int64_t first, int64_t last, char *memory) {
  const pp_view *g = &s->args[1];
  pp_weight_grad p;
  pp_weight_grad_plan(s, &p);
  task t = {.zeros = (float *)(void *)memory, .block = (float *)(void *)(memory + p.at_block),
            .partial = (float *)(void *)(memory + p.at_partial), .panel = (float *)(void *)(memory + p.at_panels),
            .pointers = (const float **)(void *)(memory + p.at_pointers),
            .places = (int64_t *)(void *)(memory + p.at_places), .copy = (float *)(void *)(memory + p.at_copy)};
  memset(t.zeros, 0, p.at_block);
  for (int64_t n = first; n < last; n++) {
    int64_t channel = n % p.down * p.high, panel = n / p.down % p.columns * p.wide, lines = g->shape[0] * g->shape[2];
    t.group = n / p.down / p.columns;
    t.channels = PP_MIN(p.high, p.channels - channel), t.channel = t.group * p.channels + channel;
    t.panels = PP_MIN(p.wide, p.panels - panel);
    t.outputs = PP_MIN(t.panels * PP_PANEL, p.outputs - panel * PP_PANEL), t.output = t.group * p.outputs + panel * PP_PANEL;
    int64_t rows = t.channels * p.taps, width = t.panels * PP_PANEL;
    memset(t.partial, 0, (size_t)(rows * width) * sizeof(float));
    for (int64_t line = 0; line < lines; line += p.lines)
      for (int64_t w = 0; w < g->shape[3]; w += p.across) {
        int64_t count = PP_MIN(p.lines, lines - line), across = PP_MIN(p.across, g->shape[3] - w);
        load(s, &p, &t, line, count, w, across);
        add_block(s, &p, &t, count, across);
      }
    float *to = (float *)s->results[0].data + (t.output * p.channels + channel) * p.taps;
    for (int64_t j = 0; j < t.outputs; j++)
      for (int64_t r = 0; r < rows; r++) to[j * p.channels * p.taps + r] = t.partial[r * width + j];
  }
}

#endif

/* A plane with zeros around it, sorted by column modulo the stride. */
static void copy_plane(const pp_step *s, const pp_plane *p, const float *plane, float *to) {
  const pp_view *x = &s->args[0];
  const int64_t *a = s->attrs;
  memset(to, 0, (size_t)(p->high * p->wide) * sizeof *to);
  for (int64_t h = 0; h < p->high; h++, to += p->wide) {
    int64_t from = h - a[2];
    if (from < 0 || from >= x->shape[2]) continue;
    const float *line = plane + from * x->stride[2];
    if (a[1] == 1 && pp_unit(x, 3)) {
      memcpy(to + a[3], line, (size_t)PP_MIN(x->shape[3], p->wide - a[3]) * sizeof *to);
      continue;
    }
    for (int64_t r = 0; r < a[1]; r++) {
      int64_t first = r < a[3] ? PP_CEIL_DIV(a[3] - r, a[1]) : 0, start = first * a[1] + r - a[3];
      int64_t count = PP_MIN(start < x->shape[3] ? (x->shape[3] - 1 - start) / a[1] + 1 : 0, p->run - first);
      const float *from_r = line + start * x->stride[3];
      float *row = to + r * p->run + first;
      for (int64_t i = 0, step = a[1] * x->stride[3]; i < count; i++) row[i] = from_r[i * step];
    }
  }
}

/* Where each tap of the first window is in such a plane. */
static void list_places(const pp_step *s, const pp_plane *p, int64_t high, int64_t wide, int64_t *to) {
  const int64_t *a = s->attrs;
  for (int64_t i = 0; i < high; i++)
    for (int64_t j = 0; j < wide; j++)
      *to++ = i * a[6] * p->wide + j * a[7] % a[1] * p->run + j * a[7] / a[1];
}

/* Each channel its own group: sums of g times the plane shifted by a tap, lanes along lines. */
static void depthwise_weight_grad(const pp_step *s, int64_t first, int64_t last, int64_t *places) {
  const pp_view *x = &s->args[0], *g = &s->args[1], *w = &s->results[0];
  int64_t taps = w->shape[2] * w->shape[3], width = g->shape[3];
  pp_plane p = pp_plane_of(s, g->shape[2], width, w->shape[2], w->shape[3]);
  float *plane = (float *)(void *)(places + taps), *line = plane + p.high * p.wide, *sums = line + width + 16;
  list_places(s, &p, w->shape[2], w->shape[3], places);
  for (int64_t c = first; c < last; c++) {
    memset(sums, 0, (size_t)(taps * PP_W) * sizeof *sums);
    for (int64_t n = 0; n < g->shape[0]; n++) {
      copy_plane(s, &p, (const float *)x->data + n * x->stride[0] + c * x->stride[1], plane);
      for (int64_t h = 0; h < g->shape[2]; h++) {
        const float *from = (const float *)g->data + n * g->stride[0] + c * g->stride[1] + h * g->stride[2];
        for (int64_t k = 0; k < width; k++) line[k] = from[k * g->stride[3]];
        memset(line + width, 0, 16 * sizeof *line);
        for (int64_t i = 0; i < taps; i++) {
          const float *other = plane + h * s->attrs[0] * p.wide + places[i];
          vf acc = vf_load(sums + i * PP_W);
          for (int64_t k = 0; k < width; k += PP_W) acc = vf_fma(vf_load(line + k), vf_load(other + k), acc);
          vf_store(sums + i * PP_W, acc);
        }
      }
    }
    for (int64_t k = 0; k < taps; k++) ((float *)w->data)[c * taps + k] = vf_sum(vf_load(sums + k * PP_W));
  }
}

/* One channel per group, several outputs or channels: a tap and an output at a time, for machines without tiles. */
#if PP_W == 1
static void plain_weight_grad(const pp_step *s, int64_t first, int64_t last) {
  const pp_view *x = &s->args[0], *g = &s->args[1], *w = &s->results[0];
  const int64_t *a = s->attrs;
  pp_weight_grad p;
  pp_weight_grad_plan(s, &p);
  for (int64_t n = first; n < last; n++) {
    int64_t channel = n % p.down * p.high, group = n / p.down / p.columns;
    int64_t output = n / p.down % p.columns * p.wide * PP_PANEL, end = PP_MIN(output + p.wide * PP_PANEL, p.outputs);
    for (; output < end; output++)
      for (int64_t c = channel; c < PP_MIN(channel + p.high, p.channels); c++)
        for (int64_t i = 0; i < w->shape[2]; i++)
          for (int64_t j = 0; j < w->shape[3]; j++) {
            float total = 0.0f;
            for (int64_t line = 0; line < g->shape[0] * g->shape[2]; line++) {
              int64_t image = line / g->shape[2], h = line % g->shape[2], from = h * a[0] - a[2] + i * a[6];
              float sum = 0.0f;
              if (from < 0 || from >= x->shape[2]) continue;
              const float *xs = (const float *)x->data + image * x->stride[0] + (group * p.channels + c) * x->stride[1] +
                                from * x->stride[2];
              const float *gs = (const float *)g->data + image * g->stride[0] +
                                (group * p.outputs + output) * g->stride[1] + h * g->stride[2];
              for (int64_t k = 0; k < g->shape[3]; k++) {
                int64_t at = k * a[1] - a[3] + j * a[7];
                if (at >= 0 && at < x->shape[3]) sum += gs[k * g->stride[3]] * xs[at * x->stride[3]];
              }
              total += sum;
            }
            ((float *)w->data)[((group * p.outputs + output) * p.channels + c) * p.taps + i * w->shape[3] + j] = total;
          }
  }
}
#endif

pp_status PP_NAME(pp_conv_weight_grad_run_)(const pp_step *s, int64_t first, int64_t last, void *scratch,
                                            pp_error *error) {
  (void)error;
  if (s->plan[0]) depthwise_weight_grad(s, first, last, scratch);
#if PP_W > 1
  else weight_grad(s, first, last, scratch);
#else
  else plain_weight_grad(s, first, last);
#endif
  return PP_OK;
}

static void depthwise(const pp_step *s, int64_t first, int64_t last, void *scratch) {
  const pp_view *x = &s->args[0], *w = &s->args[1], *bias = &s->args[2], *y = &s->results[0];
  int64_t taps = w->shape[2] * w->shape[3], width = y->shape[3], *places = scratch;
  pp_plane p = pp_plane_of(s, y->shape[2], width, w->shape[2], w->shape[3]);
  float *values = (float *)(void *)(places + taps), *plane = values + taps, *line = plane + p.high * p.wide;
  list_places(s, &p, w->shape[2], w->shape[3], places);
  vf low = vf_set((float)s->floats[0]), most = vf_set((float)s->floats[1]);
  for (int64_t t = first; t < last; t++) {
    int64_t n = t / y->shape[1], c = t % y->shape[1];
    const float *weights = (const float *)w->data + c * w->stride[0];
    vf start = vf_set(pp_present(bias) ? ((const float *)bias->data)[c * bias->stride[0]] : 0.0f);
    for (int64_t i = 0; i < taps; i++)
      values[i] = weights[i / w->shape[3] * w->stride[2] + i % w->shape[3] * w->stride[3]];
    copy_plane(s, &p, (const float *)x->data + n * x->stride[0] + c * x->stride[1], plane);
    for (int64_t h = 0; h < y->shape[2]; h++) {
      for (int64_t k = 0; k < width; k += 4 * PP_W) {
        vf acc[4] = {start, start, start, start};
        const float *top = plane + h * s->attrs[0] * p.wide + k;
        if (k + 3 * PP_W < width)
          for (int64_t i = 0; i < taps; i++) {
            PP_UNROLLED for (int q = 0; q < 4; q++)
              acc[q] = vf_fma(vf_load(top + places[i] + q * PP_W), vf_set(values[i]), acc[q]);
          }
        else
          for (int q = 0; k + q * PP_W < width; q++)
            for (int64_t i = 0; i < taps; i++)
              acc[q] = vf_fma(vf_load(top + places[i] + q * PP_W), vf_set(values[i]), acc[q]);
        for (int q = 0; q < 4 && k + q * PP_W < width; q++) vf_store(line + k + q * PP_W, vf_minp(most, vf_maxp(low, acc[q])));
      }
      float *to = (float *)y->data + n * y->stride[0] + c * y->stride[1] + h * y->stride[2];
      if (pp_unit(y, 3)) memcpy(to, line, (size_t)width * sizeof *to);
      else
        for (int64_t k = 0; k < width; k++) to[k * y->stride[3]] = line[k];
    }
  }
}

/* The copied planes of a group, and weights of PP_PLANAR_ROWS outputs: [k][rows]. */
typedef struct planar {
  const float *planes, *weights;
  const int64_t *places;       /* of each k from the first value of a line's first window */
  int64_t k;
  vf low, high;
} planar;

/* `rows` outputs of `vectors` vectors of pixels: to[r][v]. */
PP_INLINE void planar_tile(const planar *p, const float *from, const float *bias, vf to[PP_PLANAR_ROWS][2], const int rows,
                           const int vectors) {
  vf acc[PP_PLANAR_ROWS][2];
  PP_UNROLLED for (int r = 0; r < rows; r++) {
    PP_UNROLLED for (int v = 0; v < vectors; v++) acc[r][v] = vf_set(bias[r]);
  }
  const float *w = p->weights;
  PP_ROLLED for (int64_t k = 0; k < p->k; k++, w += PP_PLANAR_ROWS) {
    const float *at = from + p->places[k];
    vf x[2];
    PP_UNROLLED for (int v = 0; v < vectors; v++) x[v] = vf_load(at + v * PP_W);
    PP_UNROLLED for (int r = 0; r < rows; r++) {
      vf value = vf_set(w[r]);
      PP_UNROLLED for (int v = 0; v < vectors; v++) acc[r][v] = vf_fma(value, x[v], acc[r][v]);
    }
  }
  PP_UNROLLED for (int r = 0; r < rows; r++) {
    PP_UNROLLED for (int v = 0; v < vectors; v++) to[r][v] = vf_minp(p->high, vf_maxp(p->low, acc[r][v]));
  }
}

#define PLANAR_CASE(ROWS)                                                 \
  case ROWS:                                                              \
    if (two) planar_tile(p, from, bias, to, ROWS, 2);                     \
    else planar_tile(p, from, bias, to, ROWS, 1);                         \
    return;
static void planar_rows(const planar *p, const float *from, const float *bias, vf to[PP_PLANAR_ROWS][2], int rows, bool two) {
  switch (rows) {
    PLANAR_CASE(1) PLANAR_CASE(2) PLANAR_CASE(3) PLANAR_CASE(4) PLANAR_CASE(5)
    default: if (two) planar_tile(p, from, bias, to, 6, 2); else planar_tile(p, from, bias, to, 6, 1);
  }
}

static void planar_conv(const pp_step *s, int64_t first, int64_t last, void *scratch) {
  const pp_view *x = &s->args[0], *w = &s->args[1], *bias = &s->args[2], *y = &s->results[0];
  const int64_t *a = s->attrs;
  int64_t channels = w->shape[1], outputs = w->shape[0] / a[8], taps = w->shape[2] * w->shape[3], k = channels * taps;
  int64_t width = y->shape[3], *places = scratch, *sources = places + k, packed = -1; /* outputs that weights has */
  pp_plane plane = pp_plane_of(s, y->shape[2], width, w->shape[2], w->shape[3]);
  float *weights = (float *)(void *)(sources + k), *planes = weights + k * PP_PLANAR_ROWS;
  planar p = {planes, weights, places, k, vf_set((float)s->floats[0]), vf_set((float)s->floats[1])};
  for (int64_t c = 0; c < channels; c++) {
    list_places(s, &plane, w->shape[2], w->shape[3], places + c * taps);
    for (int64_t i = 0; i < taps; i++) {
      places[c * taps + i] += c * plane.high * plane.wide;
      sources[c * taps + i] = c * w->stride[1] + i / w->shape[3] * w->stride[2] + i % w->shape[3] * w->stride[3];
    }
  }
  for (int64_t t = first; t < last; t++) {
    int64_t n = t / a[8], group = t % a[8];
    for (int64_t c = 0; c < channels; c++)
      copy_plane(s, &plane, (const float *)x->data + n * x->stride[0] + (group * channels + c) * x->stride[1],
                 planes + c * plane.high * plane.wide);
    for (int64_t o = group * outputs; o < (group + 1) * outputs; o += PP_PLANAR_ROWS) {
      int rows = (int)PP_MIN((group + 1) * outputs - o, PP_PLANAR_ROWS);
      float start[PP_PLANAR_ROWS] = {0};
      for (int r = 0; r < rows; r++) {
        if (pp_present(bias)) start[r] = ((const float *)bias->data)[(o + r) * bias->stride[0]];
        const float *from = (const float *)w->data + (o + r) * w->stride[0];
        for (int64_t i = 0; i < k && packed != o; i++) weights[i * PP_PLANAR_ROWS + r] = from[sources[i]];
      }
      packed = o;
      for (int64_t h = 0; h < y->shape[2]; h++)
        for (int64_t at = 0; at < width; at += 2 * PP_W) {
          vf sums[PP_PLANAR_ROWS][2];
          planar_rows(&p, planes + h * a[0] * plane.wide + at, start, sums, rows, at + PP_W < width);
          for (int r = 0; r < rows; r++)
            for (int v = 0; v < 2 && at + v * PP_W < width; v++) {
              int64_t lanes = PP_MIN(width - at - v * PP_W, PP_W), sw = y->stride[3];
              float *to = (float *)y->data + n * y->stride[0] + (o + r) * y->stride[1] + h * y->stride[2] +
                          (at + v * PP_W) * sw;
              if (lanes == PP_W && sw == 1) {
                vf_store(to, sums[r][v]);
              } else if (pp_unit(y, 3)) {
                vf_storen(to, sums[r][v], lanes);
              } else {
                float apart[PP_W];
                vf_store(apart, sums[r][v]);
                for (int64_t i = 0; i < lanes; i++) to[i * sw] = apart[i];
              }
            }
        }
    }
  }
}

pp_status PP_NAME(pp_conv2d_run_dense_)(const pp_step *s, int64_t first, int64_t last, void *scratch, pp_error *error) {
  (void)error;
  if (pp_is_depthwise(s)) depthwise(s, first, last, scratch);
  else planar_conv(s, first, last, scratch);
  return PP_OK;
}
