"""Calls kernels from Python: a test library built from runtime_c/kernels, typed strided views in guarded memory."""

from __future__ import annotations

import concurrent.futures
import ctypes
import functools
import hashlib
import itertools
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "runtime_c" / "kernels"
HEADERS = (ROOT / "runtime_c" / "schema" / "schema_gen.h", KERNELS / "eager.h")
C = {m[1]: int(m[2]) for h in HEADERS for m in re.finditer(r"#define PP_(\w+) (\d+)u?$", h.read_text(), re.M)}

DTYPES = {
    "BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I16": np.int16, "U32": np.uint32,
    "I32": np.int32, "U64": np.uint64, "I64": np.int64, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "F32": np.float32, "F64": np.float64,
}  # fmt: skip
CODES = {np.dtype(t): C[f"DTYPE_{n}"] for n, t in DTYPES.items()}
OK, CONTRACT, INDEX, DIVISOR, POSITION = 0, 6, 9, 10, 11
ISA_FLAGS = {
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"],
}
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-Wall", "-Wextra", "-Werror", "-DPP_WITH_EAGER=1"]
EMULATE = ["-O1", "-DPP_SIMD_EMULATE_512", "-mavx2", "-mfma", "-mf16c", "-Wno-psabi"]


class Description(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int64) for n in
                ("family", "n_args", "n_results", "n_program_args", "n_attrs", "n_floats", "count", "registers",
                 "loads")] + [(n, ctypes.c_void_p) for n in ("views", "attrs", "floats", "code")]  # fmt: skip


def emulated() -> bool:
    """Whether the AVX-512 kernels are tested as plain C: where the CPU has no AVX-512, or on request.

    They are compiled with the real intrinsics all the same.
    """
    if platform.machine() != "x86_64":
        return False
    return bool(os.environ.get("PP_TEST_EMULATE_512")) or "avx512dq" not in Path("/proc/cpuinfo").read_text()


@functools.cache
def includes(path: Path) -> frozenset[Path]:
    """The file and every file of ours it includes."""
    found = {path}
    for name in re.findall(r'^#include "(.+)"', path.read_text(), re.M):
        inner = next(p for p in (path.parent / name, ROOT / "runtime_c/include" / name) if p.exists())
        found |= includes(inner.resolve())
    return frozenset(found)


def compile_object(source: Path, flags: Sequence[str]) -> Path:
    """The object file of a source, compiled unless the same text was compiled the same way before."""
    digest = hashlib.sha256(" ".join(flags).encode())
    for path in sorted(includes(source)):
        digest.update(path.read_bytes())
    target = ROOT / "build" / "test-kernels" / f"{source.stem}-{digest.hexdigest()[:16]}.o"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}.tmp")
        paths = [f"-I{KERNELS}", f"-I{ROOT / 'runtime_c/include'}", "-c", str(source), "-o", str(part)]
        subprocess.run(["gcc", *flags, *paths], check=True)
        part.rename(target)
    return target


@functools.cache
def library() -> ctypes.CDLL:
    """The kernels and harness.c as a shared library, rebuilt where a source changed."""
    arm = platform.machine() == "aarch64"
    sources = [*sorted(KERNELS.glob("*.c")), Path(__file__).with_name("harness.c")]
    sources = [s for s in sources if not s.stem.endswith(("avx2", "avx512") if arm else "neon")]
    jobs = []
    for source in sources:
        suffix = source.stem.rsplit("_", 1)[-1]
        jobs.append((source, [*FLAGS, *ISA_FLAGS.get(suffix, [])], suffix != "avx512" or not emulated()))
        if suffix == "avx512" and emulated():
            jobs.append((source, [*FLAGS, *EMULATE], True))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda job: compile_object(job[0], job[1]), jobs))
    linked = [str(o) for o, job in zip(objects, jobs, strict=True) if job[2]]
    name = hashlib.sha256(" ".join(linked).encode()).hexdigest()[:16]
    target = ROOT / "build" / "test-kernels" / f"kernels-{name}.so"
    if not target.exists():
        part = target.with_suffix(f".{os.getpid()}.tmp")
        subprocess.run(["gcc", "-shared", "-o", str(part), *linked, "-lm"], check=True)
        part.rename(target)
    lib = ctypes.CDLL(str(target))
    lib.kt_name.restype = ctypes.c_char_p
    lib.kt_cpu.restype = lib.kt_parse.restype = ctypes.c_uint32
    lib.kt_time.restype = ctypes.c_double
    lib.kt_guarded.restype = ctypes.c_void_p
    lib.kt_guarded.argtypes = [ctypes.c_size_t, ctypes.c_int]
    lib.kt_release.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return lib


def kernels(family: str | None = None) -> dict[str, int]:
    """Name -> number of the kernels this machine can run."""
    lib = library()
    offered = lib.kt_cpu() | (1 << 3 if emulated() else 0)
    return {
        lib.kt_name(i).decode(): i
        for i in range(lib.kt_count())
        if offered >> lib.kt_isa(i) & 1 and (family is None or lib.kt_family(i) == C[f"FAMILY_{family}"])
    }


class Memory:
    """Bytes next to an inaccessible page."""

    def __init__(self, size: int, at_start: bool = False) -> None:
        self.size = max(size, 1)
        self.address = library().kt_guarded(self.size, at_start)
        raw = (ctypes.c_char * self.size).from_address(self.address)
        self.array = np.frombuffer(raw, np.uint8)

    def __del__(self) -> None:
        self.array = None
        library().kt_release(self.address, self.size)


_buffers = itertools.count(1)


class View:
    """A strided view whose buffer is exactly as long as the view reaches."""

    def __init__(self, value: np.ndarray, order: Sequence[int] | None = None, pad: int = 0, inner: int = 1,
                 broadcast: Iterable[int] = (), at_start: bool = False, share: View | None = None) -> None:
        value = np.asarray(value)
        self.shape, self.dtype, self.pack = value.shape, value.dtype, 0
        order = range(value.ndim) if order is None else order
        broadcast = set(broadcast)
        self.strides, step = [0] * value.ndim, inner
        for position, d in enumerate(reversed(list(order))):
            if d in broadcast:
                continue
            self.strides[d] = step
            step *= max(value.shape[d], 1)
            if position == 0:
                step += pad
        empty = 0 in value.shape
        self.length = 0 if empty else 1 + sum((s - 1) * t for s, t in zip(self.shape, self.strides, strict=True))
        if share is not None:
            self.memory, self.buffer, self.strides = share.memory, share.buffer, share.strides
            return
        self.memory, self.buffer = Memory(self.length * value.itemsize, at_start), next(_buffers)
        self.memory.array[:] = 0xC7
        if not empty:
            self.numpy()[...] = value

    def numpy(self) -> np.ndarray:
        if self.length == 0:
            return np.zeros(self.shape, self.dtype)
        flat = self.memory.array[: self.length * self.dtype.itemsize].view(self.dtype)
        bytes_ = [s * self.dtype.itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(flat, self.shape, bytes_)

    def describe(self) -> list[int]:
        fill = [0] * (8 - len(self.shape))
        return [CODES[np.dtype(self.dtype)], self.pack, len(self.shape), self.buffer, self.memory.address,
                *self.shape, *fill, *self.strides, *fill]  # fmt: skip


class Packed(View):
    """A packed constant: a logical shape over exactly the packed bytes."""

    def __init__(self, data: np.ndarray, shape: Sequence[int], pack: str) -> None:
        super().__init__(data.reshape(-1))
        self.shape, self.strides, self.pack = tuple(shape), [0] * len(shape), C[f"PACK_{pack}"]


def random_view(rng: np.random.Generator, value: np.ndarray, broadcast: Iterable[int] = ()) -> View:
    """Any dimension order, sometimes padded rows or a non-unit inner stride."""
    order = rng.permutation(value.ndim) if rng.random() < 0.6 else np.arange(value.ndim)
    return View(value, [int(d) for d in order], pad=int(rng.choice([0, 0, 3])), inner=int(rng.choice([1, 1, 1, 2])),
                broadcast=broadcast, at_start=bool(rng.random() < 0.3))  # fmt: skip


class Program:
    """A pointwise program under construction; registers are plain numbers."""

    def __init__(self) -> None:
        self.code, self.registers, self.loads, self.count = b"", 0, 0, 0

    def add(self, op: str, type_: str, dst: int = 0, a: int = 0, b: int = 0, c: int = 0, imm: int = 0) -> int:
        record = np.zeros(16, np.uint8)
        record[:8] = np.array([imm], np.uint64).view(np.uint8)
        record[8:14] = [C[f"PW_{op}"], C[f"PWTYPE_{type_}"], dst, a, b, c]
        self.code += record.tobytes()
        self.count += 1
        if op != "STORE":
            self.registers = max(self.registers, dst + 1)
        if op == "LOAD":
            self.loads = max(self.loads, a + 1)
        return dst


class Step:
    def __init__(self, family: str, args: Sequence[View | None], results: Sequence[View],
                 attrs: Sequence[int] = (), floats: Sequence[float] = (), program: Program | None = None,
                 program_args: Sequence[View] = ()) -> None:
        self.family, self.args, self.results = family, args, list(results)
        self.program_args, self.program = list(program_args), program or Program()
        self.attrs, self.floats = list(attrs), list(floats)

    def describe(self) -> Description:
        views = [v.describe() if v is not None else [0] * 21 for v in [*self.args, *self.results, *self.program_args]]
        self._keep = (np.array(views, np.int64), np.array(self.attrs, np.int64), np.array(self.floats, np.float64),
                      np.frombuffer(self.program.code or b"\0", np.uint8))  # fmt: skip
        return Description(C[f"FAMILY_{self.family}"], len(self.args), len(self.results), len(self.program_args),
                           len(self.attrs), len(self.floats), self.program.count, self.program.registers,
                           self.program.loads, *[a.ctypes.data for a in self._keep])  # fmt: skip

    def contract(self) -> int:
        self.report = np.zeros(5, np.int64)
        return library().kt_contract(ctypes.byref(self.describe()), ctypes.c_void_p(self.report.ctypes.data))

    def accepted(self, kernel: int) -> bool:
        return bool(library().kt_accepts(kernel, ctypes.byref(self.describe())))

    def run(self, kernel: int, ways: int = 1) -> int:
        self.report = np.zeros(5, np.int64)
        return library().kt_run(kernel, ctypes.byref(self.describe()), ways, ctypes.c_void_p(self.report.ctypes.data))

    def seconds(self, kernel: int, budget: float = 0.2) -> float:
        """Fastest run on one thread; short rounds, so that some escape other load on the machine."""
        description = ctypes.byref(self.describe())
        once = float(library().kt_time(kernel, description, 3, 1))
        each = max(1, int(5e-4 / max(once, 1e-9)))
        rounds = max(3, int(budget / max(once * each, 1e-6)))
        best = min(once, float(library().kt_time(kernel, description, rounds, each)))
        if best < 0:
            raise RuntimeError("the kernel reported a failure")
        return best


def outcomes(step: Step, clear: bool = True) -> dict[str, list[np.ndarray]]:
    """Runs every kernel that accepts the step and checks that splitting its tasks changes no bit."""
    assert step.contract() == OK, step.report
    found = {}
    for name, kernel in kernels(step.family).items():
        if not step.accepted(kernel):
            continue
        before = [r.memory.array.copy() for r in step.results]
        base = None
        for ways in (1, 2, 3):
            for r, b in zip(step.results, before, strict=True):
                r.memory.array[:] = b
            status = step.run(kernel, ways)
            assert status == OK, (name, status, step.report)
            now = [r.memory.array.copy() for r in step.results]
            assert base is None or all(map(np.array_equal, base, now)), f"{name}: {ways} ways differ"
            base = now
        found[name] = [r.numpy().copy() for r in step.results]
        for r, b in zip(step.results, before, strict=True):
            r.memory.array[:] = b
    assert found, "no kernel accepts this step"
    return found


def gap_untouched(result: View) -> bool:
    """Nothing was written between the elements of a result."""
    touched = np.ones(result.memory.size, bool)
    for index in np.ndindex(*result.shape):
        at = sum(i * s for i, s in zip(index, result.strides, strict=True)) * result.dtype.itemsize
        touched[at : at + result.dtype.itemsize] = False
    return bool(np.all(result.memory.array[touched] == 0xC7))
