"""Emit the C source of the extension module pappus.runtime._capi (cffi, API mode).

    python runtime_c/build_cffi.py OUT.c

The headers are the only declarations of the API: the cdef is the public header and that of direct.c without their
preprocessor lines, and the numbers of kernels/eager.h.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cffi import FFI  # type: ignore[import-untyped]

HERE = Path(__file__).resolve().parent
HEADERS = (HERE / "include" / "pappus.h", HERE / "python" / "direct.h", HERE / "kernels" / "eager.h")
# Callbacks from C into Python: one trampoline, which finds its Python object through `user`.
CALLBACKS = 'extern "Python" void pappus_observed(void *user, const pp_observation *seen);\n'


def declarations(text: str) -> str:
    """The part of a header that cffi's parser takes.

    Integer #defines become `#define NAME ...` (cffi asks the compiler for the value); the other preprocessor lines,
    comments, PP_API and the extern "C" braces go.
    """
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r'#ifdef __cplusplus.*?#endif', "", text, flags=re.S)
    text = text.replace("\\\n", " ")
    kept: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            constant = re.match(r"#define (PP_\w+)\s+\(?(?:0x)?[0-9A-Fa-f]+u?\)?\s*$", line)
            if constant is not None:
                kept.append(f"#define {constant[1]} ...")
            continue
        kept.append(re.sub(r"\bPP_API\b\s*", "", line))
    return "\n".join(line for line in kept if line.strip()) + "\n"


def builder() -> FFI:
    """The configured cffi builder."""
    ffi = FFI()
    ffi.cdef("".join(declarations(header.read_text()) for header in HEADERS) + CALLBACKS)
    ffi.set_source("pappus.runtime._capi", '#include "direct.h"\n#include "eager.h"')
    return ffi


if __name__ == "__main__":
    builder().emit_c_code(sys.argv[1])
