"""ONNX's own backend tests (they ship in the onnx package) through import -> eager -> C runtime.

    python tests/conformance/onnx_backend.py                    # the table
    python tests/conformance/onnx_backend.py --show 30          # and the first that do not pass
    python tests/conformance/onnx_backend.py --write            # docs/onnx.md's table and clean_onnx.txt

Outcomes of a test: pass, refused (an UnsupportedError, before or while it runs), error, wrong. Where the eager result
is right the model is exported and lowered too: runtime pass, refused, error or wrong.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

import pappus as pp
from pappus.frontend.errors import CaptureError, PappusError, UnsupportedError

HERE = Path(__file__).parent
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


class Backend:
    """The shape that onnx.backend.base.Backend has: prepare(model).run(inputs)."""

    @staticmethod
    def prepare(model: Any) -> Prepared:
        return Prepared(pp.export.from_onnx(model))


class Prepared:
    def __init__(self, model: Any) -> None:
        self.model = model

    def run(self, inputs: list[Any]) -> list[Any]:
        with pp.no_grad():
            made = self.model(*(pp.tensor(x) for x in inputs))
        return [np.asarray(t.numpy()) for t in (made if isinstance(made, tuple) else (made,))]


def load_value(path: str, kind: Any) -> Any:
    """One input or output of a data set."""
    raw = Path(path).read_bytes()
    which = kind.WhichOneof("value")
    if which != "tensor_type":
        raise UnsupportedError(f"a value of {which}")
    tensor = onnx.TensorProto()
    tensor.ParseFromString(raw)
    return numpy_helper.to_array(tensor)


def same(want: Any, got: Any, rtol: float, atol: float) -> str:
    """What differs, or an empty string."""
    if want.shape != got.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if want.dtype != got.dtype:
        return f"dtype {got.dtype}, expected {want.dtype}"
    if want.dtype.kind not in "c":
        want, got = want.astype(np.float64), got.astype(np.float64)
    return "" if np.allclose(want, got, rtol=rtol, atol=atol, equal_nan=True) else "values differ"


def data(case: Any, model: Any) -> list[tuple[list[Any], list[Any]]]:
    """The (inputs, outputs) of every data set of a test."""
    found = []
    for folder in sorted(glob.glob(os.path.join(case.model_dir, "test_data_set_*"))):
        sides = []
        for side, infos in (("input", model.graph.input), ("output", model.graph.output)):
            count = len(glob.glob(os.path.join(folder, f"{side}_*.pb")))
            sides.append([load_value(os.path.join(folder, f"{side}_{i}.pb"), infos[i].type) for i in range(count)])
        found.append((sides[0], sides[1]))
    return found


def eager(case: Any) -> tuple[str, str]:
    """(outcome, note) of a test through the eager engine."""
    try:
        model = onnx.load(os.path.join(case.model_dir, "model.onnx"))
        prepared = Backend.prepare(model)
        sets = data(case, model)
        results = [prepared.run(inputs) for inputs, _ in sets]
    except UnsupportedError as error:
        return "refused", str(error)
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"
    return verdict(case, sets, results)


def verdict(case: Any, sets: Any, results: Any) -> tuple[str, str]:
    """Compare the results of all data sets."""
    model = onnx.load(os.path.join(case.model_dir, "model.onnx"))
    random = any(n.op_type in RANDOM for n in model.graph.node)  # only shapes are compared then
    for (_, outs), got in zip(sets, results, strict=True):
        if len(got) != len(outs):
            return "wrong", f"{len(got)} outputs, expected {len(outs)}"
        if random:
            if [w.shape for w in outs] != [g.shape for g in got]:
                return "wrong", "shapes differ"
            continue
        for want, have in zip(outs, got, strict=True):
            note = same(want, have, case.rtol, case.atol)
            if note:
                return "wrong", note
    return "pass", ""


def runtime(case: Any) -> tuple[str, str]:
    """(outcome, note) of a test through capture, lowering and the C runtime."""
    model = onnx.load(os.path.join(case.model_dir, "model.onnx"))
    sets = data(case, model)
    try:
        importer = pp.export.from_onnx(model)
        program = pp.export.lower(pp.export.export(importer, tuple(pp.tensor(x) for x in sets[0][0]), check="off"))
        session = pp.runtime.load(program.to_bytes())
    except (UnsupportedError, CaptureError, pp.export.UnsupportedOperators) as error:
        return "refused", str(error)
    except PappusError as error:
        return "refused", str(error)
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"
    try:
        results = []
        for inputs, _ in sets:
            made = session(*inputs)
            made = made if isinstance(made, (tuple, list)) else (made,)
            results.append([np.asarray(m) for m in made])
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"
    return verdict(case, sets, results)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("-k", default="", help="only tests whose name has this")
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--only", default="error wrong refused", help="outcomes that --show prints")
    parser.add_argument("--no-runtime", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    rows: list[tuple[str, str, str, str]] = []
    clean: list[str] = []
    notes: list[str] = []
    for kind in given.kinds:
        for case in load_model_tests(kind=kind):
            if given.k not in case.name:
                continue
            outcome, note = eager(case)
            second, other = ("-", "") if given.no_runtime or outcome != "pass" else runtime(case)
            rows.append((kind, case.name, outcome, second))
            if outcome == "pass":
                clean.append(f"{case.name} {second}" if second == "pass" else case.name)
            for road, what, text in (("eager", outcome, note), ("runtime", second, other)):
                if what in given.only.split():
                    notes.append(f"{road:8}{what:8} {case.name}: {' '.join(text.split())[:200]}")
    text = table(rows)
    print(text)
    print("\n".join(notes[: given.show]))
    if given.write:
        (HERE / "clean_onnx.txt").write_text("\n".join(sorted(clean)) + "\n")
        page = HERE.parents[1] / "docs" / "onnx.md"
        head = page.read_text().split("<!-- table -->")[0]
        page.write_text(f"{head}<!-- table -->\n\nonnx {onnx.__version__}\n\n{text}\n")
    return 0


def table(rows: list[tuple[str, str, str, str]]) -> str:
    """Counts by kind, as Markdown."""
    columns = ("pass", "refused", "error", "wrong")
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, _, first, second in rows:
        for key in (kind, "all"):
            counts[key].update([f"e {first}", f"r {second}"])
    lines = [
        "| tests | number | eager: pass | refused | error | wrong | C runtime: pass | refused | error | wrong |",
        "|---|" + "---:|" * 9,
    ]
    for key, count in counts.items():
        cells = [sum(v for k, v in count.items() if k[0] == "e")]
        cells += [count[f"{road} {c}"] for road in "er" for c in columns]
        lines.append(f"| {key} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
