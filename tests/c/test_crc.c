/* The checksum of sections and header: CRC-32 with zlib's polynomial. */
#include "../../runtime_c/src/internal.h"
#include "check.h"

static uint32_t crc(const char *text) { return pp_crc32(0, (const uint8_t *)text, strlen(text)); }

/* Bit by bit, as the polynomial is defined. */
static uint32_t slow(const uint8_t *p, size_t n) {
  uint32_t c = ~0u;
  while (n-- > 0) {
    c ^= *p++;
    for (int bit = 0; bit < 8; bit++) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
  }
  return ~c;
}

static void test_known_values(void) {
  CHECK_EQUAL(crc(""), 0);
  CHECK_EQUAL(crc("123456789"), 0xcbf43926);
  CHECK_EQUAL(crc("a"), 0xe8b7be43);
  CHECK_EQUAL(crc("The quick brown fox jumps over the lazy dog"), 0x414fa339);
}

static void test_every_byte_and_every_split(void) {
  uint8_t bytes[300];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7 + i / 256);
  for (size_t n = 0; n <= sizeof bytes; n++) {
    uint32_t whole = pp_crc32(0, bytes, n);
    CHECK_EQUAL(whole, slow(bytes, n));
    for (size_t k = 0; k <= n; k += 37) CHECK_EQUAL(pp_crc32(pp_crc32(0, bytes, k), bytes + k, n - k), whole);
  }
}

int main(void) {
  test_known_values();
  test_every_byte_and_every_split();
  return tests_result();
}
