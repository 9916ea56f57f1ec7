#!/bin/sh
# Run the C tests under ThreadSanitizer, and under AddressSanitizer with UBSan.
#
#     sh runtime_c/tools/sanitize.sh [compiler ...]      # gcc; for instance: gcc clang-19
#
# One line per compiler and sanitizer; exits 1 if one of them fails or a compiler is missing. BUILD is the build folder
# (build/sanitize), JOBS the number of processes (2).
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build/sanitize}
jobs=${JOBS:-2}
mkdir -p "$build"
failed=0
generator=
if command -v ninja > /dev/null; then generator="-G Ninja"; fi
export UBSAN_OPTIONS=print_stacktrace=1

for compiler in ${*:-gcc}; do
  if ! command -v "$compiler" > /dev/null; then
    echo "$compiler FAILED: it is missing; apt-get install $compiler (and libclang-rt-19-dev for clang-19)"
    failed=1
    continue
  fi
  for sanitizer in thread address,undefined; do
    name=$compiler-$(echo "$sanitizer" | tr ',' '-')
    log=$build/$name.log
    started=$(date +%s)
    if cmake -S "$root" -B "$build/$name" $generator -DCMAKE_C_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
      -DPAPPUS_WERROR=ON -DPAPPUS_SANITIZE="$sanitizer" > "$log" 2>&1 &&
      cmake --build "$build/$name" -j "$jobs" >> "$log" 2>&1 &&
      ctest --test-dir "$build/$name" --output-on-failure >> "$log" 2>&1 && grep -q '^100% tests passed' "$log"; then
      printf '%-28s ok, %s s\n' "$name" $(($(date +%s) - started))
    else
      printf '%-28s FAILED, the end of %s:\n' "$name" "$log"
      tail -40 "$log"
      failed=1
    fi
  done
done
exit $failed
