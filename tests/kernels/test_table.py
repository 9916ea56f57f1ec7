"""The table as a whole: every row is used, names say what a kernel is for, every build of it compiles and stays inside
its operands."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import numpy as np
import packs
import pytest
from bench import (
    EMULATE,
    FLAGS,
    ISA_FLAGS,
    KERNELS,
    ROOT,
    C,
    Packed,
    Program,
    Step,
    View,
    compile_object,
    emulated,
    kernels,
    outcomes,
)

ROW = re.compile(r"PP_KERNEL\((\w+), (\w+), (\w+), (\w+), (\w+), (\w+), (\w+), (\w+), (\w+)\)")
ROWS = [m.groups() for m in ROW.finditer((KERNELS / "kernels.def").read_text()) if m[1] != "name"]
LAST = (0, 2, 3, 1)
POOL = (1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0)


def steps() -> list[Step]:
    """At least one step for every kernel."""
    a, b = np.ones((7, 20), np.float32), np.ones((20, 33), np.float32)
    x = np.ones((1, 20, 5, 5), np.float32)
    w, depthwise = np.ones((20, 20, 3, 3), np.float32), np.ones((20, 1, 3, 3), np.float32)
    conv = [1, 1, 1, 1, 1, 1, 1, 1]
    free = (-np.inf, np.inf)
    p = Program()
    p.add("LOAD", "F32", 0, 0)
    p.add("STORE", "F32", 0, 0)

    def gemm(second: View) -> Step:
        return Step("GEMM", [View(a), second, None, None], [View(np.zeros((7, 33), np.float32))], floats=free)

    def conv2d(second: View, groups: int) -> Step:
        return Step("CONV2D", [View(x, LAST), second, None, None], [View(x, LAST)], [*conv, groups], free)

    return [
        gemm(Packed(packs.gemm_panel16(b), b.shape, "GEMM_PANEL16")), gemm(View(b)),
        conv2d(Packed(packs.conv_panel16(w, 1), w.shape, "CONV_PANEL16"), 1),
        conv2d(Packed(packs.depthwise16(depthwise), depthwise.shape, "DEPTHWISE16"), 20),
        Step("POINTWISE", [], [View(a)], program=p, program_args=[View(a)]),
        Step("REDUCE", [View(a)], [View(a[:, :1])], [C["REDUCE_SUM"], 2]),
        Step("POOL2D", [View(x, LAST)], [View(x, LAST)], [C["POOL_MAX"], *POOL]),
        Step("NORM", [View(a), None, None], [View(a)], [C["NORM_RMS"], 1], [1e-5]),
        Step("SOFTMAX", [View(a)], [View(a)], [1, 0]),
        Step("MOVE", [View(a)], [View(a)]),
        Step("GATHER", [View(a), View(np.zeros(7, np.int64))], [View(a)], [C["GATHER_SELECT"], 0]),
        Step("UPDATE", [View(a), View(np.zeros((), np.int64))], [View(a)], [0]),
        *eager_steps(),
    ]  # fmt: skip


def eager_steps() -> list[Step]:
    a, rows, stats = np.ones((7, 20), np.float32), np.ones((7, 20, 1), np.float32), np.ones((7, 2), np.float32)
    v, c = np.ones(20, np.float32), np.ones((2, 20, 5), np.float32)

    x, w, conv = np.ones((1, 20, 5, 5), np.float32), np.ones((20, 20, 3, 3), np.float32), [1] * 8
    depthwise = np.ones((20, 1, 3, 3), np.float32)

    def views(*arrays: np.ndarray) -> list[View]:
        return [View(x) for x in arrays]

    return [
        Step("SOFTMAX_GRAD", views(rows, rows), views(rows), [0]),
        Step("PACK", views(w), [Packed(packs.conv_panel16(w, 1), w.shape, "CONV_PANEL16")], [1]),
        Step("CONV_WEIGHT_GRAD", views(x, x), views(w), [*conv, 1]),
        Step("CONV2D", [View(x), View(depthwise), None, None], views(x), [*conv, 20], (-np.inf, np.inf)),
        Step("POOL2D", views(x), views(x), [C["POOL_MAX"], *POOL]),
        Step("POOL_GRAD", views(x, x), views(x), [C["POOL_MAX"], *POOL]),
        Step("SCATTER_ADD", [View(a), View(np.zeros(7, np.int64))], views(a)),
        Step("NORM_GRAD", [View(a), View(a), None], views(a, stats), [C["NORM_RMS"]], [1e-5]),
        Step("NORM_PARAM_GRAD", views(a, a, stats), views(v, v)),
        Step("CHANNEL_NORM", [View(c), None, None], views(c, v, v), floats=[1e-5]),
        Step("CHANNEL_NORM_GRAD", views(c, c, v, v, v, v, v), views(c, v, v), floats=[1e-5]),
    ]  # fmt: skip


def test_every_kernel_of_the_table_is_exercised() -> None:
    used = {name for step in steps() for name in outcomes(step)}
    assert used == set(kernels())
    known = {row[0] for row in ROWS}
    assert used <= known
    if platform.machine() == "x86_64":
        assert known - used == {name for name in known if name.endswith("_neon")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_names_say_the_specification(row: tuple[str, ...]) -> None:
    name, family, isa, dtype, pack = row[:5]
    assert name.startswith(f"{family.lower()}_{dtype.lower()}_") and name.endswith(f"_{isa.lower()}")
    middle = name.removeprefix(f"{family.lower()}_{dtype.lower()}").removesuffix(f"_{isa.lower()}").strip("_")
    assert middle in ("", "dense" if pack == "DENSE" else pack.lower().split("_")[-1])


def test_every_family_ends_with_its_reference() -> None:
    """So that any program runs on any CPU."""
    for family in {row[1] for row in ROWS}:
        isas = [row[2] for row in ROWS if row[1] == family]
        assert isas[-1] == "REFERENCE" and isas.count("REFERENCE") == 1, family


@pytest.mark.parametrize("family", sorted({row[1] for row in ROWS}))
def test_a_build_may_drop_a_family(family: str) -> None:
    dropped = "-UPP_WITH_EAGER" if C[f"FAMILY_{family}"] >= C["FAMILY_PACK"] else f"-DPP_WITH_{family}=0"
    symbols = subprocess.run(
        ["nm", str(compile_object(KERNELS / "table.c", [*FLAGS, dropped]))],
        check=True, capture_output=True, text=True).stdout  # fmt: skip
    for row in ROWS:
        assert row[1] != family or f" {row[8]}\n" not in symbols, row


@pytest.mark.slow
def test_a_build_without_vectors() -> None:
    objects = [compile_object(s, [*FLAGS, "-O1", "-DPP_NO_SIMD"]) for s in KERNELS.glob("*.c")
               if not s.stem.endswith(("avx2", "avx512", "neon"))]  # fmt: skip
    listing = subprocess.run(["nm", *map(str, objects)], check=True, capture_output=True, text=True).stdout
    needed = set(re.findall(r" U (pp_\w+)", listing))
    assert needed <= set(re.findall(r" [TDRB] (pp_\w+)", listing))
    assert not any(name.endswith(("_avx2", "_avx512", "_neon")) for name in needed)


@pytest.mark.slow
def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    """tests/c/test_kernels.c with every operand in a block of its own, under ASan and UBSan; AVX-512 in plain C too."""
    sanitize = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    arm = platform.machine() == "aarch64"
    objects = []
    for source in [*sorted(KERNELS.glob("*.c")), ROOT / "tests/c/test_kernels.c"]:
        if source.stem.endswith(("avx2", "avx512") if arm else "neon"):
            continue
        suffix = source.stem.rsplit("_", 1)[-1]
        isa = EMULATE if suffix == "avx512" and emulated() else ISA_FLAGS.get(suffix, [])
        extra = ["-DPP_TEST_EXTRA_ISA=(1u << PP_ISA_AVX512)"] if source.stem == "test_kernels" and emulated() else []
        objects.append(str(compile_object(source, [*FLAGS, *isa, *sanitize, *extra])))
    program = tmp_path / "test_kernels"
    subprocess.run(["gcc", *sanitize[2:], "-o", str(program), *objects, "-lm"], check=True)
    environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
    environment.pop("LD_PRELOAD", None)
    done = subprocess.run([str(program)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
    assert ", 0 failed" in done.stdout
