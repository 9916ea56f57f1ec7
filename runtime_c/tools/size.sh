#!/bin/sh
# Sizes of the runtime's core (src/, no kernels, no port), compiled for size and stripped of what a linker would drop:
#
#     sh runtime_c/tools/size.sh [bytes allowed on x86-64 [bytes allowed on Cortex-M4]]
#
# Prints text + data of each object and their sum, with and without messages; exits 1 if a limit is exceeded.
set -eu
cd "$(dirname "$0")/.."
limit_host=${1:-32768}
limit_arm=${2:-20480}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# measure NAME LIMIT COMPILER SIZE FLAGS...: sum of text, read-only data and data of src/*.c
measure() {
  name=$1 limit=$2 compiler=$3 size=$4
  shift 4
  for file in src/*.c; do
    "$compiler" -std=c11 -Os -ffp-contract=off -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -Iinclude "$@" -c "$file" \
      -o "$work/$(basename "$file" .c).o"
  done
  "$size" "$work"/*.o | awk -v name="$name" -v limit="$limit" '
    NR > 1 { sum += $1 + $2; n = split($6, path, "/"); if (ENVIRON["VERBOSE"]) printf "  %7d  %s\n", $1 + $2, path[n] }
    END { printf "%-38s %6d bytes", name, sum; if (limit) printf " (limit %d)", limit; print ""; exit limit && sum > limit }' ||
    failed=1
}

measure "core, x86-64" "$limit_host" "${CC:-gcc}" size
measure "core, x86-64, without messages" 0 "${CC:-gcc}" size -DPP_NO_MESSAGES
if command -v arm-none-eabi-gcc >/dev/null; then
  arm="-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16"
  # shellcheck disable=SC2086
  measure "core, Cortex-M4" 0 arm-none-eabi-gcc arm-none-eabi-size $arm
  # Small devices build without messages: the limit is for that.
  # shellcheck disable=SC2086
  measure "core, Cortex-M4, without messages" "$limit_arm" arm-none-eabi-gcc arm-none-eabi-size $arm -DPP_NO_MESSAGES
else
  echo "core, Cortex-M4: not measured, arm-none-eabi-gcc is missing (apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi)"
fi
exit $failed
