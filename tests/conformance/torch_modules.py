"""Measure pappus.nn by PyTorch's own database of layers (module_db), which torch's maintainers test torch with.

    python tests/conformance/torch_modules.py                        # every layer, float32
    python tests/conformance/torch_modules.py --users 3              # only what at least 3 of 30 public code bases use
    python tests/conformance/torch_modules.py --modules '^LSTM$' --verbose
    python tests/conformance/torch_modules.py --dtype float64 --json out.json
    python tests/conformance/torch_modules.py --update               # rewrite clean_modules.txt

For each sample both libraries make the layer from the same arguments; ours gets torch's parameters and buffers by
load_state_dict, and the outputs, the buffers afterwards, and the gradients of inputs and parameters must agree, in
training and in evaluation. Needs torch 2.13, expecttest and scipy, as torch_ops.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import re
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from replay import Missing, Outcome, Tally, array_of, difference, flat, is_pappus, is_torch, to_pappus
from torch.testing._internal.common_modules import module_db
from torch_ops import is_clean, line, totals, users_of_names

import pappus as pp

HERE = Path(__file__).parent
CLEAN = HERE / "clean_modules.txt"
SHORT = 2  # samples per layer and mode in the test-suite
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}


def name_of(info: Any) -> str:
    """`Linear` for nn.Linear."""
    return str(info.name).removeprefix("nn.")


def chosen(pattern: str | None, least: int) -> Iterator[Any]:
    """The entries of the database for a pattern of names and a least number of users."""
    counts = users_of_names()
    for info in module_db:
        name = name_of(info)
        if (not pattern or re.search(pattern, name)) and counts.get(f"torch.nn.{name}", 0) >= least:
            yield info


def make(info: Any, sample: Any, dtype: torch.dtype, training: bool) -> tuple[Any, Any, Any]:
    """The layer of torch and ours before they share numbers, and the arguments of the call."""
    args, kwargs = sample.constructor_input.args, sample.constructor_input.kwargs
    theirs = info.module_cls(*copy.deepcopy(args), **copy.deepcopy(kwargs)).to(dtype).train(training)
    cls = getattr(pp.nn, name_of(info), None)
    if cls is None:
        raise Missing(f"nn.{name_of(info)}")
    own = cls(*to_pappus(args, {}), **to_pappus(kwargs, {}))
    own = own.to(getattr(pp, str(dtype).removeprefix("torch."))).train(training)
    return theirs, own, sample.forward_input


def is_random(module: torch.nn.Module) -> bool:
    """Whether a layer that is being trained drops elements at random."""
    names = ("dropout", "p")
    drops = (getattr(m, n, 0) for m in module.modules() for n in names if "Norm" not in type(m).__name__)
    random = any(isinstance(p, float) and p > 0 for p in drops)
    return (module.training and random) or "Fractional" in type(module).__name__


def fill(module: torch.nn.Module) -> None:
    """Numbers in the parameters that torch fills with a constant: biases of 0 and weights of 1 would hide exchanges."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point() and bool((parameter == parameter.reshape(-1)[:1]).all()):
                noise = torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 0.5
                parameter.add_(noise.to(parameter.dtype))


def replay(info: Any, sample: Any, dtype: torch.dtype, training: bool, rng: Any) -> tuple[Outcome, str]:
    """Run one sample both ways. Returns the outcome and a note: what differs, or "graded" if gradients were too."""
    try:
        theirs, own, call = make(info, sample, dtype, training)
        made: dict[int, Any] = {}
        args, kwargs = to_pappus(call.args, made), to_pappus(call.kwargs, made)
        if info.is_lazy:
            with torch.no_grad(), pp.no_grad():
                theirs(*call.args, **call.kwargs)
                own(*args, **kwargs)
    except Missing as error:
        return Outcome.MISSING, str(error)
    except Exception as error:
        return Outcome.ERROR, f"{type(error).__name__}: {_line(error)}"
    fill(theirs)
    state = {key: array_of(value).copy() for key, value in theirs.state_dict().items()}
    try:
        want = theirs(*call.args, **call.kwargs)
    except Exception as error:
        return Outcome.SKIP, f"torch: {type(error).__name__}"
    try:
        own.load_state_dict(state)
        got = own(*args, **kwargs)
        return _judge(theirs, own, call, made, want, got, dtype, rng)
    except NotImplementedError as error:
        return Outcome.REFUSED, _line(error)
    except Exception as error:
        return Outcome.ERROR, f"{type(error).__name__}: {_line(error)}"


def _line(error: Exception) -> str:
    return str(error).split("\n  ")[0][:160]


def _judge(
    theirs: Any, own: Any, call: Any, made: dict[int, Any], want: Any, got: Any, dtype: torch.dtype, rng: Any
) -> tuple[Outcome, str]:
    tolerance = TOLERANCE.get(dtype, 1e-4)
    want_flat, got_flat = list(flat(want, is_torch)), list(flat(got, is_pappus))
    if len(want_flat) != len(got_flat):
        return Outcome.FORWARD, f"{len(got_flat)} results, torch {len(want_flat)}"
    if is_random(theirs):
        shapes = [[tuple(getattr(x, "shape", ())) for x in side] for side in (want_flat, got_flat)]
        return (Outcome.SKIP, "random") if shapes[0] == shapes[1] else (Outcome.FORWARD, "another shape")
    for one, other in zip(want_flat, got_flat, strict=True):
        if found := difference(one, other, tolerance):
            return Outcome.FORWARD, found
    for (name, one), (own_name, other) in zip(theirs.named_buffers(), own.named_buffers(), strict=True):
        if name != own_name or (found := difference(one, other, tolerance)):
            return Outcome.FORWARD, f"buffer {name}: {own_name if name != own_name else found}"
    pairs = [(t, made[id(t)][1]) for t in flat((call.args, call.kwargs), is_torch)
             if is_torch(t) and t.requires_grad and t.is_leaf]  # fmt: skip
    pairs += list(zip(theirs.parameters(), own.parameters(), strict=True))
    outs = [(a, b) for a, b in zip(want_flat, got_flat, strict=True) if is_torch(a) and a.requires_grad]
    if not outs or not pairs:
        return Outcome.PASS, ""
    seeds = [torch.from_numpy(np.asarray(rng.standard_normal(tuple(a.shape)))).to(a.dtype) for a, _ in outs]
    expected = torch.autograd.grad([a for a, _ in outs], [p for p, _ in pairs], seeds, allow_unused=True)
    for _, target in pairs:
        target.grad = None
    try:
        pp.autograd.backward([b for _, b in outs], [pp.from_numpy(array_of(s)) for s in seeds])
    except Exception as error:
        return Outcome.GRAD, f"{type(error).__name__}: {_line(error)}"
    for one, (_, target) in zip(expected, pairs, strict=True):
        if one is None:
            continue
        if target.grad is None:
            if one.any():
                return Outcome.GRAD, "no gradient arrived"
        else:
            scale = max(1.0, float(one.abs().max()) if one.numel() else 1.0)
            if found := difference(one, target.grad, 5 * tolerance * scale):
                return Outcome.GRAD, found
    return Outcome.PASS, "graded"


def measure(info: Any, dtype: torch.dtype, most: int | None = None) -> dict[str, Any]:
    """One row: how many samples of a layer (the first `most` of each mode) had each outcome, and the first notes."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    tally, started = Tally(), time.perf_counter()
    for training in (True, False):
        samples = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)
        for at, sample in enumerate(itertools.islice(samples, most)):
            if sample.forward_input is None:
                outcome, note = Outcome.SKIP, "no call"
            else:
                outcome, note = replay(info, sample, dtype, training, rng)
            tally.add(outcome, note, f"sample {at} ({'train' if training else 'eval'})")
    return tally.row(name_of(info), name_of(info), started)


def rows(
    dtype: torch.dtype, pattern: str | None = None, least: int = 0, most: int | None = None
) -> list[dict[str, Any]]:
    """A row for each layer chosen; what documents and the command below show."""
    return [measure(info, dtype, most) for info in chosen(pattern, least)]


def clean_names() -> list[str]:
    """The names in clean_modules.txt."""
    return [text for text in CLEAN.read_text().split("\n") if text and not text.startswith("#")]


def update_clean(found: list[dict[str, Any]]) -> None:
    """Rewrite the ratchet: what is clean now. Says what left it."""
    before = set(clean_names()) if CLEAN.exists() else set()
    now = (before - {r["entry"] for r in found}) | {r["entry"] for r in found if is_clean(r)}
    head = (
        "# Layers that are clean: every float32 sample of torch's database passes, outputs, buffers and gradients.\n"
        "# Rewritten by `python tests/conformance/torch_modules.py --update`; a name leaves only with a reason.\n"
    )
    CLEAN.write_text(head + "".join(f"{name}\n" for name in sorted(now)))
    print(f"clean_modules.txt: {len(now)} names, {len(now - before)} new")
    for name in sorted(before - now):
        print(f"  no longer clean: {name}")


def main(argv: list[str] | None = None) -> int:
    """The command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--modules", metavar="REGEX", help="only layers whose name it is found in")
    parser.add_argument("--users", type=int, default=0, metavar="N", help="only layers that N of 30 code bases use")
    parser.add_argument("--samples", type=int, metavar="N", help="only the first N samples of each layer and mode")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--verbose", action="store_true", help="a line for clean layers too")
    parser.add_argument("--update", action="store_true", help="rewrite clean_modules.txt")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    found = rows(getattr(torch, args.dtype), args.modules, args.users, args.samples)
    print("\n".join(line(r) for r in found if args.verbose or not is_clean(r)))
    print(totals(found).replace("operators", "layers"))
    counts = users_of_names()
    used = [r for r in found if counts.get(f"torch.nn.{r['entry']}", 0) >= 3]
    if args.users < 3 and used:
        print(f"used by 3 or more of 30 code bases: {totals(used).replace('operators', 'layers')}")
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1))
    if args.update:
        if args.dtype != "float32" or args.samples:
            parser.error("--update needs all samples of float32")
        update_clean(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
