/* The memory plan: first fit in the file's order (docs/format.md). The exporter has the same rules in Python, and
 * both are held to the same vectors. */
#include "internal.h"

#define ALIGN 64u

uint64_t pp_plan_arena(const uint64_t *bytes, const uint32_t *first, const uint32_t *last, const uint32_t *order,
                       uint32_t n_order, uint64_t *offsets, uint32_t *placed) {
  uint64_t arena = 0;
  uint32_t n = 0;
  for (uint32_t k = 0; k < n_order; k++) {
    uint32_t b = order[k];
    offsets[b] = 0;
    if (first[b] == PP_NONE || bytes[b] == 0) continue;
    if (bytes[b] > PP_BYTES_MAX) return UINT64_MAX;
    uint64_t size = (bytes[b] + ALIGN - 1) / ALIGN * ALIGN, offset = 0;
    for (uint32_t i = 0; i < n; i++) { /* by ascending offset */
      uint32_t other = placed[i];
      if (last[other] < first[b] || last[b] < first[other]) continue;
      if (offsets[other] >= offset + size) break;
      uint64_t end = offsets[other] + (bytes[other] + ALIGN - 1) / ALIGN * ALIGN;
      if (end > offset) offset = end;
    }
    if (offset + size > PP_BYTES_MAX) return UINT64_MAX;
    offsets[b] = offset;
    uint32_t at = n++;
    for (; at > 0 && offsets[placed[at - 1]] > offset; at--) placed[at] = placed[at - 1];
    placed[at] = b;
    if (offset + size > arena) arena = offset + size;
  }
  return arena;
}
