"""How each operator runs on operands that hold a batch: the rules of vmap.

A rule gets the operands as `Operand`s (the batch, where there is one, is the first dimension of `tensor`) and the
attributes as they were for one example, and returns the result with the batch in front. There are rules for families,
because most operators differ only in which attributes name dimensions; what has no rule runs once per example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import UnsupportedError
from ..opdef import OPS, OpDef, Spec
from ..source import user_location
from ..tensor import Tensor

__all__ = ["RULES", "Operand", "run_rule"]


@dataclass
class Operand:
    """One operand: the tensor that exists, whether its first dimension is the batch, and the shape of one example."""

    tensor: Tensor
    batched: bool
    shape: tuple[Any, ...]

    @property
    def rank(self) -> int:
        """The number of dimensions of one example."""
        return len(self.shape)


Args = list[Any]  # Operand, None, or a list of them, as the schema says
Rule = Callable[[int, OpDef, Args, dict[str, Any], Any], Any]
RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def declare(rule: Rule) -> Rule:
        for name in names:
            RULES[name] = rule
        return rule

    return declare


def _ops() -> Any:
    from .. import ops

    return ops


def run_rule(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    """The results of `op` for a batch of `size`, the batch in front; `spec` is the Spec for one example."""
    rule = RULES.get(op.name)
    if rule is None and "pointwise" in op.tags:
        rule = _pointwise
    found = NotImplemented if rule is None else rule(size, op, args, attrs, spec)
    return _one_by_one(size, op, args, attrs) if found is NotImplemented else found


def _one_by_one(size: int, op: OpDef, args: Args, attrs: dict[str, Any]) -> Any:
    ops = _ops()

    def example(arg: Any, at: int) -> Any:
        if isinstance(arg, list):
            return [example(a, at) for a in arg]
        return None if arg is None else ops.select(arg.tensor, 0, at) if arg.batched else arg.tensor

    results = [_call(op, [example(a, at) for a in args], attrs) for at in range(size)]
    if not op.multi:
        return ops.stack(results)
    return tuple(ops.stack(list(column)) for column in zip(*results, strict=True))


def _call(op: OpDef, args: list[Any], attrs: dict[str, Any]) -> Any:
    from ..dispatch import call

    return call(op, tuple(args), attrs)


# -- preparing operands ---------------------------------------------------------------------------


def _aligned(arg: Operand, rank: int) -> Tensor:
    """The operand with the batch in front of `rank` dimensions; one without batch as it is, for broadcasting."""
    if not arg.batched or arg.rank == rank:
        return arg.tensor
    aligned: Tensor = _ops().view(arg.tensor, (arg.tensor.shape[0], *(1,) * (rank - arg.rank), *arg.shape))
    return aligned


def _full(size: int, arg: Operand) -> Tensor:
    """The operand with a batch, repeated (without copying) where it had none."""
    return arg.tensor if arg.batched else _ops().expand(arg.tensor, (size, *arg.shape))


def _shift(dim: int, rank: int) -> int:
    return dim % rank + 1 if rank else 1


def _shaped(result: Tensor, size: int, spec: Spec) -> Tensor:
    want = (size, *spec.shape)
    found: Tensor = result if tuple(result.shape) == want else _ops().view(result, want)
    return found


def _typed(result: Tensor, spec: Spec) -> Tensor:
    return result if result.dtype is spec.dtype else _ops().to_dtype(result, spec.dtype)


# -- families -------------------------------------------------------------------------------------


def _pointwise(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    if op.has_list or op.multi:
        return NotImplemented
    rank = max(a.rank for a in args if a is not None)
    return _typed(_call(op, [None if a is None else _aligned(a, rank) for a in args], attrs), spec)


@_rule("clone", "alias", "constant_pad_nd")
def _as_it_is(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    return _call(op, [args[0].tensor], attrs)


@_rule("view")
def _view(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    return _call(op, [args[0].tensor], {"shape": (size, *spec.shape)})


@_rule("expand")
def _expand(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    return _call(op, [_aligned(args[0], len(spec.shape))], {"shape": (size, *spec.shape)})


@_rule("permute")
def _permute(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    return _call(op, [args[0].tensor], {"dims": (0, *(_shift(d, args[0].rank) for d in attrs["dims"]))})


@_rule("flip")
def _flip(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    return _call(op, [args[0].tensor], {"dims": tuple(_shift(d, args[0].rank) for d in attrs["dims"])})


@_rule("cat")
def _cat(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    parts = [a for a in args[0] if a.rank == len(spec.shape)]  # PyTorch's empty 1-d tensors join anything
    return _call(op, [[_full(size, a) for a in parts]], {"dim": _shift(attrs["dim"], len(spec.shape))})


@_rule("sum", "prod", "amax", "amin", "any")
def _reduce(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    x = args[0]
    if not x.rank:
        found = _call(op, [_ops().view(x.tensor, (size, 1))], {**attrs, "dim": (1,), "keepdim": False})
        return _shaped(found, size, spec)
    named = attrs["dim"]
    dims = tuple(range(1, x.rank + 1)) if named is None or named == () else tuple(_shift(d, x.rank) for d in named)
    return _call(op, [x.tensor], {**attrs, "dim": dims})


@_rule("argmax", "argmin")
def _place(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    x = args[0]
    if attrs["dim"] is None or not x.rank:
        flat = _ops().view(x.tensor, (size, -1))
        return _shaped(_call(op, [flat], {"dim": 1, "keepdim": False}), size, spec)
    return _call(op, [x.tensor], {**attrs, "dim": _shift(attrs["dim"], x.rank)})


@_rule(
    "slice", "cumsum", "cumprod", "cummax", "cummin", "sort", "gather", "scatter", "scatter_add", "scatter_prod",
    "scatter_max", "scatter_min", "slice_scatter",
)  # fmt: skip
def _along(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    """One `dim`, and operands of one rank."""
    rank = args[0].rank
    if rank == 0 or any(a.rank != rank and not a.tensor.wrapped for a in args):
        return NotImplemented
    moved = [a.tensor if a.tensor.wrapped else _full(size, a) for a in args]
    return _call(op, moved, {**attrs, "dim": _shift(attrs["dim"], rank)})


@_rule("as_strided")
def _as_strided(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    raise UnsupportedError(
        "vmap: as_strided reads the memory under a tensor, which one example of a batch does not have; use slices, "
        "unfold or indices"
    ).at(op.name, user_location())


@_rule("index_select")
def _index_select(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    x, index = args
    if index.batched or not x.rank:
        return NotImplemented
    return _call(op, [x.tensor, index.tensor], {"dim": _shift(attrs["dim"], x.rank)})


@_rule("matmul")
def _matmul(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    ops = _ops()
    a, b = args
    if a.rank == 1:
        a = Operand(ops.unsqueeze(a.tensor, -2), a.batched, (1, *a.shape))
    if b.rank == 1:
        b = Operand(ops.unsqueeze(b.tensor, -1), b.batched, (*b.shape, 1))
    rank = max(a.rank, b.rank)
    return _shaped(_call(op, [_aligned(a, rank), _aligned(b, rank)], attrs), size, spec)


@_rule("index")
def _index(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    x, indices = args
    used = [at for at, i in enumerate(indices) if i is not None]
    if used != list(range(used[0], used[0] + len(used))):
        return NotImplemented  # indices with a gap: the result has them in front
    if not any(indices[at].batched for at in used):
        return _call(op, [x.tensor, [None, *(None if i is None else i.tensor for i in indices)]], attrs)
    if used[0]:
        return NotImplemented
    ops = _ops()
    rank = max(indices[at].rank for at in used)
    chosen = [_aligned(indices[at], rank) for at in used]
    if x.batched:
        chosen.insert(0, ops.view(ops.arange(size), (size, *(1,) * rank)))
    return _call(op, [x.tensor, chosen], attrs)


@_rule("index_put")
def _index_put(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    x, indices, values = args
    used = [at for at, i in enumerate(indices) if i is not None]
    if used != list(range(used[0], used[0] + len(used))) or any(indices[at].batched for at in used):
        return NotImplemented
    tensors = [None if i is None else i.tensor for i in indices]
    shape = OPS["index"].shape(Spec(x.shape, spec.dtype), tensors).shape
    given = _ops().expand(_aligned(values, len(shape)), (size, *shape))
    return _call(op, [_full(size, x), [None, *tensors], given], attrs)


# -- images ---------------------------------------------------------------------------------------


@_rule(
    "max_pool2d", "max_pool2d_with_indices", "max_pool2d_backward", "avg_pool2d", "avg_pool2d_backward",
    "upsample_nearest2d", "upsample_bilinear2d",
)  # fmt: skip
def _images(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    """The batch joins the batch dimension that the operator has."""
    ops = _ops()
    if any(a.rank not in (3, 4) for a in args):
        return NotImplemented
    folded = [ops.reshape(_full(size, a), (-1, *a.shape[-3:])) for a in args]
    found = _call(op, folded, attrs)
    if not op.multi:
        return _shaped(found, size, spec)
    return tuple(_shaped(one, size, s) for one, s in zip(found, spec, strict=True))


def _beside(size: int, arg: Operand) -> Tensor:
    """(batch, N, C, ...) as (N, batch * C, ...): each example a group of channels."""
    ops = _ops()
    x = ops.transpose(_full(size, arg), 0, 1)
    found: Tensor = ops.reshape(x, (arg.shape[0], size * arg.shape[1], *arg.shape[2:]))
    return found


@_rule("convolution")
def _convolution(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    ops = _ops()
    x, weight, bias = args
    if bias is not None and bias.batched and not weight.batched:
        found = run_rule(size, op, [x, weight, None], attrs, spec) if x.batched else ops.unsqueeze(
            _call(op, [x.tensor, weight.tensor, None], attrs), 0
        )  # fmt: skip
        return ops.add(found, ops.view(bias.tensor, (size, 1, -1, *(1,) * (x.rank - 2))))
    if not weight.batched:
        folded = ops.reshape(x.tensor, (-1, *x.shape[1:]))
        return _shaped(_call(op, [folded, weight.tensor, None if bias is None else bias.tensor], attrs), size, spec)
    weights = ops.reshape(weight.tensor, (size * weight.shape[0], *weight.shape[1:]))
    biases = None if bias is None else ops.reshape(_full(size, bias), (-1,))
    found = _call(op, [_beside(size, x), weights, biases], {**attrs, "groups": attrs["groups"] * size})
    n, *rest = spec.shape
    return ops.transpose(ops.view(found, (n, size, *rest)), 0, 1)


@_rule("convolution_weight_grad")
def _weight_grad(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    found = _call(op, [_beside(size, a) for a in args], {**attrs, "groups": attrs["groups"] * size})
    return _shaped(found, size, spec)


# -- matrices -------------------------------------------------------------------------------------


@_rule(
    "linalg_inv", "linalg_det", "linalg_slogdet", "linalg_svd", "linalg_svdvals", "linalg_pinv", "linalg_qr",
    "linalg_lu_factor", "linalg_cholesky", "linalg_eigh",
)  # fmt: skip
def _matrices(size: int, op: OpDef, args: Args, attrs: dict[str, Any], spec: Any) -> Any:
    return _call(op, [args[0].tensor], attrs)
