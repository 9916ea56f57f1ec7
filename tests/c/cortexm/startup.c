/* Start-up of an Arm Cortex-M4 for QEMU's mps2-an386: vectors, FPU, .data and .bss, then main; its result becomes QEMU's
 * exit status through semihosting, and so does a fault (99), so that a test never hangs. */
#include <stddef.h>
#include <stdint.h>

extern uint32_t stack_top, data_start, data_end, data_load, bss_start, bss_end;
int main(void);
void start(void);
int posix_memalign(void **to, size_t alignment, size_t size);

/* SYS_EXIT_EXTENDED: the reason "application exit" and a status. */
static void leave(uint32_t status) {
  const uint32_t block[2] = {0x20026, status};
  register uint32_t operation __asm("r0") = 0x20;
  register const uint32_t *argument __asm("r1") = block;
  __asm volatile("bkpt 0xab" : : "r"(operation), "r"(argument) : "memory");
  for (;;) continue;
}

static void fault(void) { leave(99); }

#ifdef PP_TEST_NEWLIB
/* The tests print and allocate: newlib's semihosting needs its handles. */
extern void initialise_monitor_handles(void);
extern void exit(int);
extern void *memalign(size_t alignment, size_t size);

/* newlib's aligned_alloc is made of this, which newlib has not. */
int posix_memalign(void **to, size_t alignment, size_t size) {
  *to = memalign(alignment, size);
  return *to ? 0 : 12;
}
#else
void say(const char *text) { /* SYS_WRITE0 */
  register uint32_t operation __asm("r0") = 0x04;
  register const char *argument __asm("r1") = text;
  __asm volatile("bkpt 0xab" : : "r"(operation), "r"(argument) : "memory");
}
#endif

void start(void) {
  *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20; /* CPACR: the FPU is off after reset */
  __asm volatile("dsb\nisb");
  const uint32_t *from = &data_load;
  for (uint32_t *to = &data_start; to < &data_end;) *to++ = *from++;
  for (uint32_t *to = &bss_start; to < &bss_end;) *to++ = 0;
#ifdef PP_TEST_NEWLIB
  initialise_monitor_handles();
  exit(main());
#else
  leave((uint32_t)main());
#endif
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
  &stack_top, (const void *)start, (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault,
  (const void *)fault, 0, 0, 0, 0, (const void *)fault, (const void *)fault, 0, (const void *)fault, (const void *)fault};
