#!/bin/sh
# Build the C part with -Werror and run its tests on three machines: this one, AArch64 under user-mode QEMU, and a
# Cortex-M4 under system QEMU (bare metal; the tests, and a firmware that runs tests/vectors/small.pap).
#
#     sh runtime_c/tools/cross.sh [native|aarch64|cortex-m4 ...]
#
# One line per machine; exits 1 if one of them fails or its tools are missing. BUILD is the build folder (build/cross),
# JOBS the number of processes (2).
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build/cross}
jobs=${JOBS:-2}
mkdir -p "$build"
failed=0

# need COMMAND PACKAGE: false, and a line, when a tool is missing
need() {
  command -v "$1" > /dev/null && return 0
  printf '%-10s FAILED: %s is missing; apt-get install %s\n' "$machine" "$1" "$2"
  return 1
}

# check NAME [CMAKE OPTIONS...]: configure, build, test; the last lines of the log when something fails
check() {
  machine=$1
  shift
  log=$build/$machine.log
  started=$(date +%s)
  if cmake -S "$root" -B "$build/$machine" $generator -DPAPPUS_WERROR=ON "$@" > "$log" 2>&1 &&
    cmake --build "$build/$machine" -j "$jobs" >> "$log" 2>&1 &&
    ctest --test-dir "$build/$machine" --output-on-failure -j "$jobs" >> "$log" 2>&1; then
    tests=$(sed -n 's/^100% tests passed.*out of \([0-9]*\).*/\1/p' "$log" | tail -1)
    if [ "${tests:-0}" -gt 0 ]; then
      printf '%-10s ok: %s test programs passed, %s s\n' "$machine" "$tests" $(($(date +%s) - started))
      return 0
    fi
    echo 'no tests were found' >> "$log"
  fi
  printf '%-10s FAILED, the end of %s:\n' "$machine" "$log"
  tail -30 "$log"
  return 1
}

generator=
if command -v ninja > /dev/null; then generator="-G Ninja"; fi

for machine in ${*:-native aarch64 cortex-m4}; do
  case $machine in
    native) need cmake cmake && need cc gcc && check native ;;
    aarch64)
      need cmake cmake && need aarch64-linux-gnu-gcc "gcc-aarch64-linux-gnu libc6-dev-arm64-cross" &&
        need qemu-aarch64-static qemu-user-static &&
        check aarch64 "-DCMAKE_TOOLCHAIN_FILE=$root/cmake/aarch64-linux-gnu.cmake"
      ;;
    cortex-m4)
      need cmake cmake && need arm-none-eabi-gcc "gcc-arm-none-eabi libnewlib-arm-none-eabi" &&
        need qemu-system-arm qemu-system-arm &&
        check cortex-m4 "-DCMAKE_TOOLCHAIN_FILE=$root/cmake/cortex-m4.cmake"
      ;;
    *)
      echo "cross.sh: unknown machine $machine (native, aarch64, cortex-m4)" >&2
      exit 2
      ;;
  esac || failed=1
done
exit $failed
