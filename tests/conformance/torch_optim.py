"""Runs the eager optimizers over PyTorch's own optimizer database (`optim_db`) and says what differs.

    python tests/conformance/torch_optim.py [Adam SGD ...] [--steps 6]

Every configuration takes the same parameters and gradients as PyTorch's optimizer for some steps; then parameters, the
state dict's names and numbers, the options of the groups, and the same again after loading PyTorch's state are
compared. Error inputs must raise (or warn) what PyTorch raises. One line per optimizer; status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import copy
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

import pappus as pp

torch: Any = __import__("torch")
SHAPES = {"Muon": [(4, 6), (6, 4), (1, 3), (5, 5)]}
EVERY = [(4, 3), (5,), (), (2, 3, 4), (1, 1)]
# A matrix product in bfloat16 is summed in another order: results differ by a few units of its 8 bits.
LOOSE = {"Muon": 2e-3}


def convert(value: Any) -> Any:
    """PyTorch's option as Pappus's."""
    if isinstance(value, torch.Tensor):
        return pp.tensor(value.detach().numpy())
    if isinstance(value, (list, tuple)):
        return type(value)(convert(v) for v in value)
    return {k: convert(v) for k, v in value.items()} if isinstance(value, dict) else value


def to_param(value: Any, made: dict[Any, Any]) -> Any:
    """PyTorch's parameters, alone or in groups or with names, as Pappus's; one given twice is one."""
    if isinstance(value, torch.Tensor):
        if value not in made:
            made[value] = pp.nn.Parameter(pp.tensor(value.detach().numpy()))
        return made[value]
    if isinstance(value, (list, tuple)):
        return type(value)(to_param(v, made) for v in value)
    return {k: to_param(v, made) for k, v in value.items()} if isinstance(value, dict) else value


def compare(where: str, theirs: Any, ours: Any, tolerance: float) -> None:
    """Raise AssertionError where two nests of numbers, names and tensors differ."""
    if isinstance(theirs, torch.Tensor):
        found = ours.detach().numpy() if isinstance(ours, pp.Tensor) else np.asarray(ours)
        kind = np.complex128 if found.dtype.kind == "c" else np.float64
        wanted = theirs.detach().numpy().astype(kind)
        np.testing.assert_allclose(found.astype(kind), wanted, tolerance, tolerance, err_msg=where)
    elif isinstance(theirs, dict):
        assert list(map(str, theirs)) == list(map(str, ours)), f"{where}: {list(ours)} instead of {list(theirs)}"
        for key, value in theirs.items():
            compare(f"{where}.{key}", value, ours[key], tolerance)
    elif isinstance(theirs, (list, tuple)):
        assert len(theirs) == len(ours), f"{where}: {len(ours)} instead of {len(theirs)} entries"
        for index, value in enumerate(theirs):
            compare(f"{where}[{index}]", value, ours[index], tolerance)
    elif isinstance(theirs, float):
        np.testing.assert_allclose(float(ours), theirs, tolerance, tolerance, err_msg=where)
    else:
        assert theirs == ours, f"{where}: {ours!r} instead of {theirs!r}"


def in_order(state: Any) -> Any:
    """A state dict with names sorted: their order has no meaning."""
    if isinstance(state, dict):
        return {key: in_order(state[key]) for key in sorted(state, key=str)}
    return [in_order(part) for part in state] if isinstance(state, list) else state


def one(info: Any, kwargs: dict[str, Any], steps: int, dtype: str = "float32") -> None:
    """Take steps beside PyTorch with one configuration; raises where they differ."""
    rng = np.random.default_rng(0)
    shapes = SHAPES.get(info.name, EVERY)
    tolerance = LOOSE.get(info.name, 1e-5 if dtype == "float32" else 1e-10)
    def numbers(shape: Any) -> Any:
        real = rng.normal(size=shape)
        return np.asarray(real + 1j * rng.normal(size=shape) if dtype.startswith("complex") else real, dtype)

    start = [numbers(s) for s in shapes]
    theirs = [torch.tensor(a, requires_grad=True) for a in start]
    ours = [pp.tensor(a, requires_grad=True) for a in start]
    if isinstance(kwargs.get("lr"), torch.Tensor) and dtype != "float32":
        tolerance = max(tolerance, 1e-8)  # PyTorch computes with the rate's float32
    if info.name == "LBFGS":
        # Rounding decides where iterations end near the minimum, so compare on the way to it.
        kwargs, steps, tolerance = {"max_iter": 4, **kwargs}, 2, 2e-4 if dtype == "float32" else 1e-9
    first = info.optim_cls(theirs, **copy.deepcopy(kwargs))
    second = getattr(pp.optim, info.name)(ours, **convert(kwargs))

    def step(opt: Any, params: list[Any], library: Any, grads: list[Any]) -> None:
        if not info.step_requires_closure:
            for param, grad in zip(params, grads, strict=True):
                param.grad = library.tensor(grad)
                if info.only_supports_sparse_grads and library is torch:
                    param.grad = param.grad.to_sparse(1 if param.ndim else 0)
            opt.step()
            return

        def closure() -> Any:
            opt.zero_grad()
            loss = library.tensor(0.0, dtype=getattr(library, "float32" if dtype == "float32" else "float64"))
            for p, g in zip(params, grads, strict=True):
                g = library.tensor(g)
                for part in (p.real - g.real, p.imag - g.imag) if p.is_complex() else (p - g,):
                    loss = loss + (part**2 + 0.1 * part**4).sum()
            loss.backward()
            return loss

        opt.step(closure)

    def both() -> None:
        for _ in range(steps):
            grads = [numbers(s) for s in shapes]
            if info.only_supports_sparse_grads:
                grads = [g * (rng.random((*g.shape[:1], *[1] * (g.ndim - 1))) < 0.5) if g.ndim else g for g in grads]
                grads = [np.asarray(g, dtype) for g in grads]
            step(first, theirs, torch, grads)
            step(second, ours, pp, grads)
        compare("parameter", theirs, ours, tolerance)

    both()
    # The memory of LBFGS holds quotients of small differences; float64 and complex128 hold it to 1e-9.
    looser = 10 * tolerance if info.name == "LBFGS" and dtype == "float32" else tolerance
    compare("state_dict", in_order(first.state_dict()), in_order(second.state_dict()), looser)
    # PyTorch's state goes on in the same way, loaded here and there.
    saved = copy.deepcopy(first.state_dict())
    theirs = [p.detach().clone().requires_grad_() for p in theirs]
    ours = [pp.tensor(p.detach().numpy(), requires_grad=True) for p in theirs]
    first, second = info.optim_cls(theirs), getattr(pp.optim, info.name)(ours)
    first.load_state_dict(saved)
    second.load_state_dict(saved)
    both()


def wrong(info: Any, entry: Any) -> str | None:
    """Try one error input: None if it raises what PyTorch raises, else what happened instead."""
    given = entry.optimizer_error_input
    params = given.params
    flat = [params] if isinstance(params, torch.Tensor) else list(params or [])
    flat = [t for g in flat for t in (g["params"] if isinstance(g, dict) else [g])]
    flat = [t[1] if isinstance(t, tuple) else t for t in flat]
    if any(t.layout is not torch.strided for t in flat):
        return None  # there are no sparse tensors: the parameter itself cannot be made
    if any(t.is_complex() for t in flat) and not hasattr(pp, "complex64"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = [pp.nn.Parameter(pp.ones(2, 2))] if params is None else to_param(params, {})
            opt = getattr(pp.optim, info.name)(made, **convert(given.kwargs))
            if entry.error_on.name == "STEP_ERROR":
                for group in opt.param_groups:
                    for p in group["params"]:
                        p.grad = pp.ones_like(p)
                opt.step()
    except (entry.error_type, pp.PappusError) as error:
        if re.search(entry.error_regex, str(error)):
            return None
        return f"{given.desc or given.kwargs}: raised {error!s:.200}, expected /{entry.error_regex}/"
    except Exception as error:
        return f"{given.desc or given.kwargs}: {type(error).__name__}: {error!s:.200}"
    return f"{given.desc or given.kwargs}: nothing was raised, expected {entry.error_type.__name__}"


def results(names: list[str], steps: int) -> Iterator[tuple[str, int, int, list[str]]]:
    """(optimizer, configurations, error inputs, failures) for each optimizer of the database."""
    from torch.testing._internal.common_optimizers import optim_db

    for info in optim_db:
        if names and info.name not in names:
            continue
        failed = []
        configurations = info.optim_inputs_func(device="cpu")
        for entry in configurations:
            for dtype in ("float32", "float64", *["complex128"] * info.supports_complex):
                try:
                    one(info, entry.kwargs, steps, dtype)
                except Exception as error:
                    text = " ".join(str(error).split())
                    failed.append(f"{entry.desc} ({dtype}): {type(error).__name__}: {text:.300}")
        errors = info.optim_error_inputs_func(device="cpu", dtype=torch.float32)
        failed += [text for text in (wrong(info, e) for e in errors) if text]
        yield info.name, len(configurations), len(errors), failed


def main() -> int:
    """Print one line per optimizer and the failures; status 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("names", nargs="*", help="optimizers (all)")
    parser.add_argument("--steps", type=int, default=6)
    args = parser.parse_args()
    total = bad = 0
    for name, count, errors, failed in results(args.names, args.steps):
        total, bad = total + count + errors, bad + len(failed)
        print(f"{name:<12} {count:3} configurations, {errors:2} wrong calls: {len(failed)} differ")
        print(*(f"    {text}\n" for text in failed), sep="", end="")
    print(f"{total} cases, {bad} differ")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
