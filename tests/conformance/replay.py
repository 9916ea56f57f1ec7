"""One sample of PyTorch's operator database, run by torch and by pappus from the same numbers, and judged.

torch gives the expected values: outputs with their shapes and types, and the gradients of every differentiable input
under random cotangents. Nothing here knows which operators there are; `torch_ops` chooses them.
"""

from __future__ import annotations

import collections
import enum
import functools
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import torch

import pappus as pp

# Results that no two implementations share: random, uninitialised, or one of many right answers. Only shapes count.
SHAPE_ONLY = {
    *("bernoulli", "cauchy", "exponential", "geometric", "log_normal", "multinomial", "normal", "uniform"),
    *("rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "pca_lowrank", "svd_lowrank"),
    *("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided"),
    *("resize_", "resize_as_", "nn.functional.rrelu", "nn.functional.alpha_dropout", "nn.functional.dropout"),
    *("nn.functional.dropout2d", "nn.functional.dropout3d", "nn.functional.feature_alpha_dropout"),
    *("nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d"),
}
# Results that are unique up to signs: the database says what to compare of them.
UP_TO_SIGN = {"svd", "linalg.svd", "linalg.eigh"}
# Places of equal elements may come in any order, unless the call asks for a stable one: what they point at is compared.
# By name: the position of `dim` among the arguments after the tensor.
PLACES = {"sort": 0, "argsort": 0, "topk": 1, "kthvalue": 1}
# Relative and absolute tolerance by type: two correct kernels may add in different orders. Gradients get five times it.
TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 3e-2}
TOLERANCE |= {torch.complex128: TOLERANCE[torch.float64], torch.complex64: TOLERANCE[torch.float32]}
# Factorizations and what is solved with them lose digits with the condition of the matrix.
ILL_CONDITIONED = ("linalg.", "matrix_exp", "cdist", "svd", "pinverse", "lu", "ormqr", "cholesky", "triangular_solve")


class Outcome(enum.StrEnum):
    """What became of a sample."""

    PASS = "pass"
    MISSING = "missing"  # a name, a keyword or an element type is absent
    REFUSED = "refused"  # NotImplementedError: said to be absent
    ERROR = "error"  # any other exception
    FORWARD = "forward"  # another result
    GRAD = "grad"  # another gradient, or none
    SKIP = "skip"  # torch itself fails, or the result cannot be compared


class Tally:
    """How many samples of one entry of a database had each outcome, and the first note for each."""

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.notes: dict[str, str] = {}
        self.graded = 0

    def add(self, outcome: Outcome, note: str, where: str) -> None:
        """Count a sample."""
        self.counts[outcome] += 1
        self.graded += note == "graded"
        if outcome != Outcome.PASS:
            self.notes.setdefault(outcome, f"{where}: {note}")

    def row(self, op: str, entry: str, started: float) -> dict[str, Any]:
        """The row of a table; `started` is what time.perf_counter said before the first sample."""
        return {
            "op": op, "entry": entry, "samples": sum(self.counts.values()), "graded": self.graded,
            **{str(k): v for k, v in self.counts.items()}, "notes": {str(k): v for k, v in self.notes.items()},
            "seconds": round(time.perf_counter() - started, 3),
        }  # fmt: skip


class Missing(Exception):
    """Pappus lacks a name or an element type that the sample needs."""


def reach(root: Any, dotted: str) -> Any:
    """`root.a.b` for "a.b"; AttributeError where a part is absent."""
    for part in dotted.split("."):
        root = getattr(root, part)
    return root


class _Namespace:
    """Stands for the module `torch`: pappus, and `torch.ops.aten.NAME.default` is the operator NAME."""

    def __getattr__(self, name: str) -> Any:
        return _Aten if name == "ops" else getattr(pp, name)


class _AtenOps:
    def __getattr__(self, name: str) -> Any:
        found = getattr(pp, name)
        return types.SimpleNamespace(default=found, Tensor=found, __call__=found)


_Aten = types.SimpleNamespace(aten=_AtenOps())


def wrapped_by(function: types.FunctionType) -> Callable[..., Any]:
    """A function of the database's own, with `torch` standing for pappus."""
    scope = {**function.__globals__, "torch": _Namespace()}
    twin = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def function_of(op: Any) -> Callable[..., Any]:
    """What pappus offers for an entry of the database. Raises Missing.

    Entries that wrap an operator in Python of their own (lambdas) run that Python with `torch` standing for pappus.
    """
    wrapper = op.op
    if isinstance(wrapper, types.FunctionType) and wrapper.__module__.startswith("torch.testing"):
        return wrapped_by(wrapper)
    for name in (op.name, *(alias.name for alias in op.aliases)):
        for root in (pp, pp.Tensor):
            try:
                found = reach(root, name)
            except AttributeError:
                continue
            if callable(found) and not isinstance(found, pp.DType):  # torch.bool is a type, Tensor.bool the operator
                return found
    raise Missing(f"function {op.name}")


# -- from torch to pappus -------------------------------------------------------------------------


def array_of(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """The numbers of a strided tensor."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    if plain.dtype == torch.bfloat16:
        return plain.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return plain.numpy()


def to_pappus(value: Any, made: dict[int, tuple[Any, pp.Tensor]]) -> Any:
    """Arguments with tensors and torch's constants exchanged; one tensor stays one tensor (`made`, by identity)."""
    if isinstance(value, torch.Tensor):
        if id(value) not in made:
            made[id(value)] = (value, _tensor(value, made))
        return made[id(value)][1]
    if isinstance(value, (torch.dtype, torch.memory_format, torch.layout)):
        return _constant(str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, torch.nn.Module):
        return _layer(value)
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
        return _function(value)
    if isinstance(value, slice):
        return slice(*(to_pappus(part, made) for part in (value.start, value.stop, value.step)))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_pappus(part, made) for part in value))
    if isinstance(value, (list, tuple)):
        return type(value)(to_pappus(part, made) for part in value)
    if isinstance(value, dict):
        return {key: to_pappus(part, made) for key, part in value.items()}
    return value


def _function(value: Any) -> Any:
    """A function as an argument: the one of its name, or the database's own with `torch` standing for pappus."""
    if isinstance(value, types.FunctionType) and value.__module__.startswith("torch.testing"):
        return wrapped_by(value)
    for root in (pp.nn.functional, pp):
        if hasattr(root, value.__name__):
            return getattr(root, value.__name__)
    return value


def _layer(layer: torch.nn.Module) -> Any:
    """A layer as an argument: its counterpart, made with the arguments that its attributes tell."""
    kind = type(layer).__name__
    if isinstance(layer, torch.nn.TransformerEncoderLayer):
        attention = layer.self_attn
        return pp.nn.TransformerEncoderLayer(
            attention.embed_dim, attention.num_heads, layer.linear1.out_features, layer.dropout.p,
            _function(layer.activation), layer.norm1.eps, attention.batch_first, layer.norm_first,
            layer.linear1.bias is not None,
        )  # fmt: skip
    if kind in ("ReLU", "GELU", "PairwiseDistance"):
        return getattr(pp.nn, kind)()
    raise Missing(f"a {kind} as an argument")


def _constant(name: str) -> Any:
    try:
        return getattr(pp, name)
    except AttributeError:
        raise Missing(f"constant {name}") from None


def _tensor(value: torch.Tensor, made: dict[int, tuple[Any, Any]]) -> pp.Tensor:
    if value.layout != torch.strided or value.is_quantized:
        raise Missing(f"layout {value.layout}")
    # A copy of the memory, with the strides of the tensor: transposed and expanded samples stay that, and tensors that
    # share memory (as an operand and out) share it here.
    array = array_of(value)
    storage = value.untyped_storage()
    if storage.nbytes() and not (value.is_conj() or value.is_neg()):
        _, memory = made.get(-storage.data_ptr(), (None, None))
        if memory is None or memory.dtype != array.dtype:
            memory = array_of(torch.empty(0, dtype=value.dtype).set_(storage)).copy()  # type: ignore[call-overload]
            made[-storage.data_ptr()] = (storage, memory)
        steps = [n * value.element_size() for n in value.stride()]
        array = np.lib.stride_tricks.as_strided(memory[value.storage_offset() :], value.shape, steps)
    else:
        array = array.copy(order="K")
    try:
        made: pp.Tensor = pp.from_numpy(array)
    except pp.DTypeError:
        raise Missing(f"element type {value.dtype}") from None
    return made.requires_grad_() if value.requires_grad else made


def flat(value: Any, is_tensor: Callable[[Any], bool]) -> Iterator[Any]:
    """Tensors and numbers of a nested result, in order."""
    if is_tensor(value) or isinstance(value, (bool, int, float, complex)):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from flat(value[key], is_tensor)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from flat(part, is_tensor)


def is_torch(value: Any) -> bool:
    """Whether this is a tensor of torch."""
    return isinstance(value, torch.Tensor)


def is_pappus(value: Any) -> bool:
    """Whether this is a tensor of pappus."""
    return isinstance(value, pp.Tensor)


# -- comparing ------------------------------------------------------------------------------------


def difference(want: Any, got: Any, tolerance: float) -> str | None:
    """How a result differs from torch's: another kind, shape, type or number. None if it does not."""
    if not is_torch(want):
        if is_pappus(got):
            return f"a tensor, torch {type(want).__name__}"
        same = np.allclose(want, got, rtol=tolerance, atol=tolerance, equal_nan=True)
        return None if same else f"{got}, torch {want}"
    if not is_pappus(got):
        return f"{type(got).__name__}, torch a tensor"
    if tuple(got.shape) != tuple(want.shape):
        return f"shape {list(got.shape)}, torch {list(want.shape)}"
    if got.dtype.name != str(want.dtype).removeprefix("torch."):
        return f"dtype {got.dtype.name}, torch {want.dtype}"
    a, b = array_of(want), got.detach().numpy()
    if a.dtype.kind not in "fcV":
        return None if np.array_equal(a, b) else "other values"
    if a.dtype.kind == "V":
        a, b = a.astype(np.float32), b.astype(np.float32)
    with np.errstate(all="ignore"):
        if np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
            return None
        worst = np.abs(a - b)
        return f"differs by {np.nanmax(worst):.3g}" if np.isfinite(worst).any() else "nan or inf elsewhere"


class _Float32:
    """What torch gives for a float16 or bfloat16 sample when it computes in float32, rounded: on the CPU its short
    kernels may lose more digits than ours, and who is nearer to this is right."""

    def __init__(self, op: Any, sample: Any, dtype: torch.dtype, seeds: list[Any]) -> None:
        self.op, self.sample, self.dtype, self.seeds = op, sample, dtype, seeds
        self.applies = dtype in (torch.float16, torch.bfloat16)

    def _widened(self, value: Any) -> Any:
        if isinstance(value, torch.dtype):
            return torch.float32 if value is self.dtype else value
        out = value.detach().float() if value.dtype is self.dtype else value.detach()
        return out.requires_grad_() if value.requires_grad else out

    @functools.cached_property
    def _run(self) -> tuple[list[Any], list[Any]]:
        sample = self.sample.transform(self._widened)
        want = self.op.op(sample.input, *sample.args, **sample.kwargs)
        found = list(flat(want, is_torch))
        if not self.seeds:
            return found, []
        sources = leaves(sample)
        outs = [x for x in _differentiable(sample, want, is_torch) if x.dtype is torch.float32]
        grads = torch.autograd.grad(outs, sources, [s.float() for s in self.seeds], allow_unused=True)
        return found, list(grads)

    def agrees(self, at: int, got: Any, tolerance: float, gradient: bool = False) -> bool:
        """Whether result (or gradient) number `at` is what torch gives in float32, rounded."""
        if not self.applies:
            return False
        try:
            want = self._run[gradient][at]
        except Exception:  # torch refuses the mixture of types
            return False
        if is_torch(want) and want.dtype is torch.float32:
            want = want.detach().to(self.dtype)
        return difference(want, got, tolerance) is None


def leaves(sample: Any) -> list[Any]:
    """The tensors of a sample that a gradient is wanted for."""
    found = flat((sample.input, sample.args, sample.kwargs), is_torch)
    return [t for t in found if is_torch(t) and t.requires_grad and t.is_leaf]


def replay(op: Any, sample: Any, function: Callable[..., Any], dtype: torch.dtype, rng: Any) -> tuple[Outcome, str]:
    """Run one sample both ways. Returns the outcome and a note: what differs, or "graded" if gradients were too."""
    sources = leaves(sample)
    made: dict[int, tuple[Any, pp.Tensor]] = {}
    try:
        args = to_pappus((sample.input, *sample.args), made)
        kwargs = to_pappus(sample.kwargs, made)
    except Missing as error:
        return Outcome.MISSING, str(error)
    try:
        want = op.op(sample.input, *sample.args, **sample.kwargs)
    except Exception as error:
        return Outcome.SKIP, f"torch: {type(error).__name__}"
    want_flat = list(flat(want, is_torch))
    if any(is_torch(x) and (x.layout != torch.strided or x.is_quantized) for x in want_flat):
        return Outcome.SKIP, "a sparse or quantized result: Pappus has none, and there is nothing to compare"
    seeds, want_grads = _torch_gradients(op, sample, want, sources, dtype, rng)
    try:
        got = function(*args, **kwargs)
        got_flat = list(flat(got, is_pappus))
        if op.name in SHAPE_ONLY or _dropout(op, sample):
            shapes = [[tuple(getattr(x, "shape", ())) for x in side] for side in (want_flat, got_flat)]
            return (Outcome.SKIP, "random") if shapes[0] == shapes[1] else (Outcome.FORWARD, "another shape")
        if len(want_flat) != len(got_flat):
            return Outcome.FORWARD, f"{len(got_flat)} results, torch {len(want_flat)}"
        tolerance = TOLERANCE.get(dtype, 1e-4) * (50 if op.name.startswith(ILL_CONDITIONED) else 1)
        if op.name in UP_TO_SIGN:
            want_flat = list(flat(sample.output_process_fn_grad(want), is_torch))
            got_flat = list(flat(sample.output_process_fn_grad(got), is_pappus))
        if op.name in PLACES and not sample.kwargs.get("stable"):
            places = got_flat[-1]
            got_flat[-1] = _same_elements(op, sample, want_flat[-1], places)
            if got_flat[-1] is not places:  # then the gradient goes to other places, too
                seeds = []
        wide = _Float32(op, sample, dtype, seeds)
        for at, (one, other) in enumerate(zip(want_flat, got_flat, strict=True)):
            found = difference(one, other, tolerance)
            if found and not wide.agrees(at, other, tolerance):
                return Outcome.FORWARD, found
        if not seeds:
            return Outcome.PASS, ""
        got_grads = _pappus_gradients(sample, got, seeds, [made[id(s)][1] for s in sources], _family(dtype))
    except Missing as error:
        return Outcome.MISSING, str(error)
    except NotImplementedError as error:
        return Outcome.REFUSED, _line(error)
    except AttributeError as error:
        return Outcome.MISSING, _line(error)
    except TypeError as error:
        absent = _no_keyword(error)
        return (Outcome.MISSING if absent else Outcome.ERROR), f"TypeError: {_line(error)}"
    except Exception as error:
        return Outcome.ERROR, f"{type(error).__name__}: {_line(error)}"
    for at, (one, other) in enumerate(zip(want_grads, got_grads, strict=True)):
        if one is None:
            continue
        if other is None:
            if one.any():
                return Outcome.GRAD, "no gradient arrived"
            continue
        found = difference(one, other, 5 * tolerance)
        if found and not wide.agrees(at, other, 5 * tolerance, gradient=True):
            return Outcome.GRAD, found
    return Outcome.PASS, "graded"


def _dropout(op: Any, sample: Any) -> bool:
    """Whether a sample drops elements at random; one operator takes the probability by position."""
    at = 9 if op.name == "nn.functional.multi_head_attention_forward" else None
    return bool(sample.kwargs.get("dropout_p") or (at is not None and sample.args[at]))


def _same_elements(op: Any, sample: Any, want: Any, got: Any) -> Any:
    """`got`, places along a dimension, or what torch has if they are other places of the same elements."""
    if not is_pappus(got) or got.dtype is not pp.int64 or tuple(got.shape) != tuple(want.shape) or not want.ndim:
        return got
    x, at = sample.input.detach(), PLACES[op.name]
    dim = sample.kwargs.get("dim", sample.args[at] if len(sample.args) > at else -1)
    ours, theirs = (p if p.ndim == x.ndim else p.unsqueeze(dim) for p in (torch.from_numpy(got.numpy()), want))
    distinct = not (ours.sort(dim).values.diff(dim=dim) == 0).any()
    same = torch.equal(*(x.gather(dim, p).nan_to_num(0) for p in (ours, theirs)))
    if torch.equal(ours, theirs):
        return got
    return pp.from_numpy(array_of(want)) if distinct and same else got


def _no_keyword(error: Exception) -> bool:
    return "unexpected keyword" in str(error) or "has no argument" in str(error)


def _line(error: Exception) -> str:
    return str(error).split("\n  ")[0][:160]


def _differentiable(sample: Any, result: Any, is_tensor: Callable[[Any], bool]) -> list[Any]:
    # The database names the part of an ambiguous result (signs of eigenvectors) whose gradient is defined.
    part = sample.output_process_fn_grad(result)
    return [x for x in flat(part, is_tensor) if is_tensor(x) and x.requires_grad]


def _family(dtype: torch.dtype) -> set[str]:
    """The names of a type, of its complex type and of the type of its parts: what gradients are compared of."""
    other = dtype.to_complex() if dtype in (torch.float32, torch.float64) else dtype.to_real()
    return {str(dtype), str(other)}


def _seed(result: torch.Tensor, rng: Any) -> torch.Tensor:
    """A random gradient for a result of torch, with an imaginary part where it has one."""
    parts = rng.standard_normal((*result.shape, 2))
    return torch.view_as_complex(torch.from_numpy(parts)).to(result.dtype) if result.dtype.is_complex else (
        torch.from_numpy(np.asarray(parts[..., 0])).to(result.dtype))  # fmt: skip


def _torch_gradients(
    op: Any, sample: Any, want: Any, sources: list[Any], dtype: Any, rng: Any
) -> tuple[list[Any], list[Any]]:
    """Cotangents of the differentiable results and torch's gradients for `sources`; both empty where there are none."""
    if not (op.supports_autograd and sources):
        return [], []
    try:
        outs = [x for x in _differentiable(sample, want, is_torch) if str(x.dtype) in _family(dtype)]
        seeds = [_seed(x, rng) for x in outs]
        return seeds, list(torch.autograd.grad(outs, sources, seeds, allow_unused=True)) if outs else []
    except Exception:  # not differentiable in torch either
        return [], []


def _pappus_gradients(
    sample: Any, got: Any, seeds: list[Any], sources: list[pp.Tensor], family: set[str]
) -> list[Any]:  # fmt: skip
    outs = [x for x in _differentiable(sample, got, is_pappus) if f"torch.{x.dtype.name}" in family][: len(seeds)]
    if not outs:
        return [None] * len(sources)
    pp.autograd.backward(outs, [pp.from_numpy(array_of(s)) for s in seeds[: len(outs)]])
    return [s.grad for s in sources]


def accepts(op: Any, sample: Any) -> bool:
    """Whether torch takes a call that its database lists as wrong (it lists some that were made right since)."""
    try:
        op.op(sample.input, *sample.args, **sample.kwargs)
    except Exception:
        return False
    return True


def refuses(sample: Any, function: Callable[..., Any]) -> tuple[bool | None, str]:
    """Whether pappus raises for a call that torch refuses; None where the call cannot be made at all."""
    made: dict[int, tuple[Any, pp.Tensor]] = {}
    try:
        args = to_pappus((sample.input, *sample.args), made)
        kwargs = to_pappus(sample.kwargs, made)
        function(*args, **kwargs)
    except (Missing, AttributeError) as error:
        return None, _line(error)
    except TypeError as error:
        return (None if _no_keyword(error) else True), _line(error)
    except Exception as error:
        return True, f"{type(error).__name__}: {_line(error)}"
    return False, "was accepted"
