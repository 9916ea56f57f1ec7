"""`vmap`: a function of one example, run once for a whole batch.

Inside, a batched tensor looks like one example: it has the example's shape and no numbers of its own, and holds the
tensor that exists, with the batch in front. A Mode sees every operator, runs it on what exists by its rule
(`batching.py`), and writes the tape of the examples, so that gradients inside (per-sample gradients) and outside
(through vmap) both work. Modes nest, so vmaps do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from .. import dispatch, inplace
from ..dispatch import Mode, record
from ..errors import ArgumentError, InplaceError, ShapeError, UnsupportedError
from ..opdef import OpDef
from ..random import default_generator
from ..region import Region, key_of
from ..source import user_location
from ..symbolic import SymbolicArray
from ..tape import state
from ..tensor import Tensor
from .batching import RULES, Operand, run_rule
from .tree import flatten, spread

__all__ = ["layers", "note_stand_in", "vmap"]

_RANDOMNESS = ("error", "different", "same")


class _Batch(Mode):
    """One vmap while it runs."""

    def __init__(self, size: int, randomness: str) -> None:
        self.size, self.randomness = size, randomness
        self.region = Region()
        self.stand_ins: list[Tensor] = []  # leaves of derivatives taken inside, see transforms

    # -- batched tensors and what they hold -----------------------------------------------------

    def wrap(self, tensor: Tensor) -> Tensor:
        """The batched tensor that stands for one example of `tensor`, whose first dimension is the batch."""
        return Tensor._from_data(SymbolicArray(tuple(tensor.shape[1:]), tensor.dtype, (self, tensor)))

    def holds(self, tensor: Tensor) -> Tensor | None:
        """What exists of a tensor that is batched by this vmap; None for any other."""
        data = tensor._data
        if isinstance(data, SymbolicArray) and isinstance(data.value, tuple) and data.value[0] is self:
            found: Tensor = data.value[1]
            return found
        return None

    def operand(self, arg: Any) -> Any:
        """An operand as the rules see it."""
        if isinstance(arg, (list, tuple)):
            return [self.operand(a) for a in arg]
        if arg is None:
            return None
        inner = self.holds(arg)
        return Operand(arg if inner is None else inner, inner is not None, tuple(arg.shape))

    def settled(self, tensor: Tensor) -> Tensor:
        """A result without its history, where that leads to nothing but the stand-ins of derivatives taken inside."""
        if not tensor._requires_grad or not self.stand_ins:
            return tensor
        own = {key_of(t) for t in self.stand_ins}
        return tensor.detach() if all(key_of(s) in own for s in self.region.sources([tensor])) else tensor

    # -- the door -------------------------------------------------------------------------------

    def call(self, op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """Run an operator for all examples; without a batched operand, as it is."""
        flat = [a for arg in args for a in (arg if isinstance(arg, list) else [arg]) if a is not None]
        if not any(self.holds(a) is not None for a in flat):
            return self._unbatched(op, args, attrs)
        if op.decompose is not None and op.name not in RULES:
            with self:
                return op.decompose(*args, **attrs)
        if "dynamic" in op.tags:
            raise UnsupportedError(
                f"vmap: {op.name} gives results of different sizes for the examples of a batch; use it outside of vmap"
            ).at(op.name, user_location())
        spec = op.shape(*args, **attrs)
        found = run_rule(self.size, op, [self.operand(a) for a in args], attrs, spec)
        outs = tuple([self.wrap(one) for one in (found if op.multi else (found,))])
        if op.view:
            inplace.show(args[0], outs[0], op, attrs)
        if state.grad and op.differentiable and any(a._requires_grad for a in flat):
            with self:
                record(op, args, attrs, outs)
        return outs if op.multi else outs[0]

    def _unbatched(self, op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        if "random" not in op.tags or self.randomness == "same":
            return dispatch.call(op, args, attrs)
        if self.randomness == "error":
            raise ArgumentError(
                f"vmap: {op.name} draws random numbers, and the examples of a batch could get equal or different ones; "
                "say which: vmap(..., randomness='different') or 'same'"
            ).at(op.name, user_location())
        count = self.size
        for n in attrs["size"]:
            count *= n
        seed, offset = default_generator.take(count)
        wider = {**attrs, "size": (self.size, *attrs["size"]), "seed": seed, "offset": offset}
        return self.wrap(dispatch.call(op, args, wider))

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Write into what exists of `target`, for all examples."""
        inner, new = self.holds(target), self.holds(value)
        if inner is None and new is None:
            inplace.assign(target, value)
            return
        if inner is None:
            raise InplaceError(
                "vmap: a tensor that is not batched cannot take the numbers of one that is: it has one place for the "
                f"{self.size} values of the batch; use the out-of-place operator, or pass the tensor through in_dims"
            ).at(None, user_location())

        def write(_: Tensor, __: Tensor) -> None:
            from .. import ops

            assert inner is not None
            given = ops.expand(value, tuple(inner.shape)) if new is None else new
            inplace.assign(inner, given if tuple(given.shape) == tuple(inner.shape) else ops.expand(given, inner.shape))

        with self:
            inplace.eager_assign(target, value, write=write)

    def concretize(self, tensor: Tensor, what: str) -> Any:
        """There is not one number but a batch of them."""
        raise UnsupportedError(
            f"vmap: {what} asks one number of a tensor that stands for {self.size} examples, which may differ; choose "
            "with pp.where(condition, a, b) instead of a branch, or do it outside of vmap"
        ).at(None, user_location())


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """`func`, a function of one example, as a function of a batch of them.

    `in_dims` says which dimension of each argument is the batch (None: the argument is the same for all), as one
    number or nested like the arguments; `out_dims` where it goes in the results. Random numbers inside are an error
    unless `randomness` is 'different' or 'same'. With `chunk_size` that many examples run at a time.

    Elementwise operators, reductions, views, products, convolutions and pools run once on the whole batch; an operator
    without a rule runs once for each example. Branches on values inside, and `item()`, raise UnsupportedError.

    >>> import pappus as pp
    >>> dot = pp.vmap(lambda a, b: (a * b).sum(), in_dims=(0, None))
    >>> dot(pp.tensor([[1.0, 2.0], [3.0, 4.0]]), pp.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if randomness not in _RANDOMNESS:
        raise ArgumentError(f"vmap: randomness must be one of {', '.join(_RANDOMNESS)}, got {randomness!r}")
    if chunk_size is not None and chunk_size < 1:
        raise ArgumentError(f"vmap: chunk_size must be positive, got {chunk_size}")

    @wraps(func)
    def batched(*args: Any, **kwargs: Any) -> Any:
        leaves, rebuild = flatten([list(args), kwargs])
        prefix = tuple(in_dims) if isinstance(in_dims, (list, tuple)) else in_dims
        dims = [*spread(prefix, args, "vmap: in_dims"), *(spread(0, kwargs, ""))]
        size = _batch_size(leaves, dims)
        if chunk_size is None or size <= chunk_size:
            return _run(func, leaves, dims, rebuild, size, out_dims, randomness)
        parts = []
        for start in range(0, size, chunk_size):
            count = min(chunk_size, size - start)
            some = [x if d is None else x.narrow(d, start, count) for x, d in zip(leaves, dims, strict=True)]
            parts.append(_run(func, some, dims, rebuild, count, out_dims, randomness))
        return _joined(parts, out_dims)

    return batched


def _batch_size(leaves: list[Any], dims: list[Any]) -> int:
    sizes = []
    for at, (leaf, dim) in enumerate(zip(leaves, dims, strict=True)):
        if dim is None:
            continue
        if not isinstance(leaf, Tensor):
            raise ArgumentError(
                f"vmap: argument {at} is a {type(leaf).__name__} and has no dimension {dim} to batch; use None for it "
                "in in_dims"
            )
        if not -leaf.ndim <= dim < leaf.ndim:
            raise ArgumentError(
                f"vmap: in_dims names dimension {dim} of argument {at}, which has shape {list(leaf.shape)}; give a "
                "dimension it has, or None"
            )
        sizes.append(leaf.shape[dim])
    if not sizes:
        raise ArgumentError("vmap: no argument has a batch dimension; in_dims must name one")
    if len(set(sizes)) > 1:
        raise ShapeError(f"vmap: the batch dimensions have sizes {sizes}; they must be equal")
    return int(sizes[0])


def _run(
    func: Any, leaves: list[Any], dims: list[Any], rebuild: Any, size: int, out_dims: Any, randomness: str
) -> Any:
    level = _Batch(size, randomness)
    entering = [x if d is None else level.wrap(x.movedim(d, 0) if d else x) for x, d in zip(leaves, dims, strict=True)]
    args, kwargs = rebuild(entering)
    with level:
        result = func(*args, **kwargs)
    outs, remake = flatten(result)
    places = spread(out_dims, result, "vmap: out_dims")
    leaving = []
    for at, (out, place) in enumerate(zip(outs, places, strict=True)):
        if not isinstance(out, Tensor):
            raise ArgumentError(f"vmap: the function must return tensors, result {at} is a {type(out).__name__}")
        inner = level.holds(out)
        if place is None:
            if inner is not None:
                raise ArgumentError(f"vmap: out_dims says None for result {at}, which differs between the examples")
            leaving.append(out)
            continue
        full = out.expand(size, *out.shape) if inner is None else level.settled(inner)
        leaving.append(full.movedim(0, place) if place else full)
    return remake(leaving)


def _joined(parts: list[Any], out_dims: Any) -> Any:
    from .. import ops

    columns, remake = [flatten(p)[0] for p in parts], flatten(parts[0])[1]
    places = spread(out_dims, parts[0], "vmap: out_dims")
    return remake([
        column[0] if place is None else ops.cat(list(column), place)
        for column, place in zip(zip(*columns, strict=True), places, strict=True)
    ])


def layers(tensor: Tensor) -> Iterator[Tensor]:
    """A tensor, what it holds, and so on, under every vmap."""
    yield tensor
    data = tensor._data
    while isinstance(data, SymbolicArray) and isinstance(data.value, tuple):
        tensor = data.value[1]
        yield tensor
        data = tensor._data


def note_stand_in(leaf: Tensor) -> None:
    """Tell every vmap that is running of a leaf that a derivative made."""
    level = state.mode
    while level is not None:
        if isinstance(level.mode, _Batch):
            level.mode.stand_ins.append(leaf)
        level = level.below


