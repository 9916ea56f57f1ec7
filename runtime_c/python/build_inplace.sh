#!/bin/sh
# Build the extension of pappus.runtime and put it into the source tree, for use with PYTHONPATH=src:
#
#     sh runtime_c/python/build_inplace.sh [cmake options]
#
# PYTHON names the interpreter (default: python3 on the PATH); PAPPUS_BUILD the build directory (build/dev).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${PAPPUS_BUILD:-$root/build/dev}
python=${PYTHON:-python3}
python=$(command -v "$python")
# The stable-ABI module needs CMake 3.26; the one installed with the interpreter is newer than many systems' own.
if [ -x "$(dirname "$python")/cmake" ]; then PATH=$(dirname "$python"):$PATH; fi
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DPAPPUS_BUILD_PYTHON=ON -DPython_EXECUTABLE="$python" "$@"
cmake --build "$build" --target _capi
# Replace in one step: an interpreter may have the old file mapped.
for file in $(find "$build" -maxdepth 3 -name '_capi*.so'); do
  name=$(basename "$file")
  cp "$file" "$root/runtime_c/python/runtime/.$name.new"
  mv "$root/runtime_c/python/runtime/.$name.new" "$root/runtime_c/python/runtime/$name"
  echo "runtime_c/python/runtime/$name"
done
