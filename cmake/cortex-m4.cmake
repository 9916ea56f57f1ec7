# A Cortex-M4 with FPU: no operating system, one thread. Tests run on QEMU's mps2-an386, with semihosting.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR cortex-m4)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS_INIT "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16")
set(CMAKE_CROSSCOMPILING_EMULATOR
  "qemu-system-arm;-M;mps2-an386;-display;none;-monitor;none;-serial;none;-semihosting-config;enable=on,target=native;-kernel")
set(PAPPUS_BARE ON CACHE BOOL "One thread, no tools")
