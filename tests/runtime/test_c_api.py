"""The public header compiles everywhere, and the example of docs/c-api.md is true."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import compiled
import pytest

ROOT = compiled.ROOT
INCLUDE = ROOT / "runtime_c" / "include"
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{INCLUDE}"]
C_COMPILERS = [name for name in ("cc", "gcc", "clang", "clang-19", "arm-none-eabi-gcc") if shutil.which(name)]
CPP_COMPILERS = [name for name in ("c++", "g++", "clang++", "clang++-19") if shutil.which(name)]


def compiles(compiler: str, source: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Check the syntax of one file."""
    command = [compiler, *STRICT, *options, "-fsyntax-only", str(source)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("compiler", C_COMPILERS)
@pytest.mark.parametrize("standard", ["c99", "c11", "c17"])
def test_header_is_strict_c(compiler: str, standard: str, tmp_path: Path) -> None:
    source = tmp_path / "use.c"
    source.write_text('#include "pappus.h"\n#include "pappus.h"\nint use(void) { return (int)pp_program_memory(); }\n')
    done = compiles(compiler, source, f"-std={standard}", "-Wstrict-prototypes", "-Wconversion")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("compiler", CPP_COMPILERS)
@pytest.mark.parametrize("standard", ["c++11", "c++20"])
def test_header_is_cpp(compiler: str, standard: str, tmp_path: Path) -> None:
    source = tmp_path / "use.cpp"
    source.write_text('#include "pappus.h"\nint main() { pp_error e; return pp_run(nullptr, 0, 0, &e) == PP_OK; }\n')
    done = compiles(compiler, source, f"-std={standard}", "-Wold-style-cast")
    assert done.returncode == 0, done.stderr


def test_cpp_links(tmp_path: Path) -> None:
    if not CPP_COMPILERS:
        pytest.skip("no C++ compiler")
    compiled.build("pappus")
    source, program = tmp_path / "use.cpp", tmp_path / "use"
    source.write_text(
        '#include "pappus.h"\nint main() { pp_error e; return pp_run(nullptr, 0, 0, &e) == PP_ERR_ARGUMENT ? 0 : 1; }\n'
    )
    library = str(compiled.BUILD / "runtime_c" / "libpappus.a")
    subprocess.run([CPP_COMPILERS[0], *STRICT, str(source), library, "-lm", "-pthread", "-o", str(program)], check=True)
    assert subprocess.run([str(program)], check=False).returncode == 0


def test_big_endian_machines_are_refused() -> None:
    source = ROOT / "runtime_c" / "src" / "open.c"
    flags = ["-std=c11", f"-I{INCLUDE}", "-fsyntax-only", "-U__BYTE_ORDER__"]
    little = subprocess.run(["cc", *flags, "-D__BYTE_ORDER__=1234", str(source)], capture_output=True, check=False)
    command = ["cc", *flags, "-D__BYTE_ORDER__=4321", str(source)]
    big = subprocess.run(command, capture_output=True, text=True, check=False)
    assert little.returncode == 0
    assert big.returncode != 0 and "little-endian" in big.stderr


def test_every_function_is_documented() -> None:
    """A comment stands before each function or group of functions, and each is named somewhere in C tests."""
    text = (INCLUDE / "pappus.h").read_text()
    names = re.findall(r"^PP_API .*?\b(pp_\w+)\(", text, re.M)
    assert len(names) == len(set(names)) >= 25
    used = "\n".join(p.read_text() for p in (ROOT / "tests" / "c").glob("*.c"))
    assert [name for name in names if f"{name}(" not in used] == []
    for block in re.split(r"\n\n|\n(?=/\*)", text):
        if block.startswith("PP_API"):
            pytest.fail(f"no comment before: {block.splitlines()[0]}")


def test_the_example_is_true(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "c-api.md").read_text()
    code, shown = re.search(r"```c\n(.*?)```", page, re.S), re.search(r"```text\n(.*?)```", page, re.S)
    assert code and shown
    compiled.build("pappus")
    source, program = tmp_path / "example.c", tmp_path / "example"
    source.write_text(code[1])
    library = str(compiled.BUILD / "runtime_c" / "libpappus.a")
    command = ["cc", "-std=c11", *STRICT, "-g", "-fsanitize=address,undefined", str(source), library, "-lm", "-pthread"]
    done = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [str(program), str(ROOT / "tests" / "vectors" / "small.pap")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr  # the sanitizer counts leaks as well
    assert done.stdout == shown[1]
    refused = subprocess.run([str(program), str(source)], capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "signature" in refused.stderr
