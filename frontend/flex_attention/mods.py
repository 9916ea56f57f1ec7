"""Score and mask functions: how they are called on a tile, and what is checked of what they return.

Both are written for one score: `score_mod(score, b, h, q_idx, kv_idx)` and `mask_mod(b, h, q_idx, kv_idx)`. They are
called for many at once: b is (B, 1, 1, 1), h (1, H, 1, 1), q_idx (1, 1, Q, 1) and kv_idx (1, 1, 1, K), so that
operators broadcast and `table[h, q_idx - kv_idx]` gathers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..errors import ArgumentError, DimError, DTypeError, ShapeError
from ..ops._shapes import broadcast
from ..random import default_generator
from ..source import format_location, user_location
from ..symbolic import same_size
from ..tape import state
from ..tensor import Tensor

__all__ = [
    "MaskMod", "ScoreMod", "and_masks", "call_mask", "call_mask_tensor", "call_score", "create_mask", "describe_mod",
    "index_tensors", "noop_mask", "or_masks", "probe", "takes_score",
]  # fmt: skip

MaskMod = Callable[[Any, Any, Any, Any], Any]
ScoreMod = Callable[[Any, Any, Any, Any, Any], Any]


def noop_mask(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    """The mask function that lets every query see every key."""
    return Tensor._from_data(np.ones((), np.bool_))


def or_masks(*mask_mods: MaskMod) -> MaskMod:
    """The mask function that allows what any of the given ones allows; nothing if there is none.

    >>> import pappus as pp
    >>> prefix = lambda b, h, q_idx, kv_idx: kv_idx < 1
    >>> causal = lambda b, h, q_idx, kv_idx: q_idx >= kv_idx
    >>> create_mask(or_masks(prefix, causal), None, None, 2, 3)[0, 0].tolist()
    [[True, False, False], [True, True, False]]
    """
    _need_callables("or_masks", mask_mods)

    def or_mask(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        found: Any = None
        for mod in mask_mods:
            one = mod(b, h, q_idx, kv_idx)
            found = one if found is None else found | one
        return Tensor._from_data(np.zeros((), np.bool_)) if found is None else found

    return or_mask


def and_masks(*mask_mods: MaskMod) -> MaskMod:
    """The mask function that allows what all of the given ones allow; everything if there is none.

    >>> causal = lambda b, h, q_idx, kv_idx: q_idx >= kv_idx
    >>> near = lambda b, h, q_idx, kv_idx: q_idx - kv_idx < 2
    >>> create_mask(and_masks(causal, near), None, None, 3, 3)[0, 0].tolist()
    [[True, False, False], [True, True, False], [False, True, True]]
    """
    _need_callables("and_masks", mask_mods)

    def and_mask(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        found: Any = None
        for mod in mask_mods:
            one = mod(b, h, q_idx, kv_idx)
            found = one if found is None else found & one
        return noop_mask(b, h, q_idx, kv_idx) if found is None else found

    return and_mask


def _need_callables(what: str, mods: tuple[Any, ...]) -> None:
    for mod in mods:
        if not callable(mod):
            raise ArgumentError(
                f"{what}: takes mask functions (b, h, q_idx, kv_idx) -> bool, got {type(mod).__name__}"
            ).at(None, user_location())


def index_tensors(b: Any, h: Any, q: Any, kv: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One-dimensional int64 arrays of positions as the four index tensors of a mod."""
    return (
        Tensor._from_data(b.reshape(-1, 1, 1, 1)), Tensor._from_data(h.reshape(1, -1, 1, 1)),
        Tensor._from_data(q.reshape(1, 1, -1, 1)), Tensor._from_data(kv.reshape(1, 1, 1, -1)),
    )  # fmt: skip


def describe_mod(mod: Any) -> str:
    """`'causal' (defined at file.py:3)`: a mod as error messages name it."""
    name = getattr(mod, "__name__", type(mod).__name__)
    code = getattr(mod, "__code__", None)
    if code is None:
        return f"'{name}'"
    return f"'{name}' (defined at {format_location(code.co_filename, code.co_firstlineno)})"


def call_mask(mod: MaskMod, indices: tuple[Tensor, ...]) -> Any:
    """The bool array that a mask function returns; see `call_mask_tensor`. Nothing is recorded."""
    saved, state.grad = state.grad, False
    try:
        return call_mask_tensor(mod, indices)._data
    finally:
        state.grad = saved


def call_mask_tensor(mod: MaskMod, indices: tuple[Tensor, ...]) -> Tensor:
    """The bool tensor that a mask function returns; it broadcasts to the tile.

    Raises DTypeError if it is not bool and ShapeError if it does not broadcast.
    """
    found = _run("mask_mod", mod, indices, indices)
    if isinstance(found, (bool, np.bool_)):
        return Tensor._from_data(np.asarray(found))
    if not isinstance(found, Tensor):
        raise ArgumentError(
            f"flex_attention: mask_mod {describe_mod(mod)} returned {type(found).__name__}; it must return a bool "
            "tensor"
        ).at(None, user_location())
    if found.dtype.name != "bool":
        raise DTypeError(
            f"flex_attention: mask_mod {describe_mod(mod)} returned {found.dtype.name}; it must return bool (True "
            "where "
            "attention is allowed): compare, e.g. q_idx >= kv_idx. Numbers to be added to scores belong into score_mod"
        ).at(None, user_location())
    _need_fit("mask_mod", mod, found, _tile_shape(indices), "(b, h, q_idx, kv_idx)")
    return found


def call_score(mod: ScoreMod, score: Tensor, indices: tuple[Tensor, ...]) -> Tensor:
    """The tensor that a score function returns for a tile of scores, in the scores' type; it broadcasts to the tile.

    Raises DTypeError if it is not floating point and ShapeError if it does not broadcast.
    """
    found = _run("score_mod", mod, (score, *indices), indices)
    if not isinstance(found, Tensor):
        raise ArgumentError(
            f"flex_attention: score_mod {describe_mod(mod)} returned {type(found).__name__}; it must return the "
            "changed score"
        ).at(None, user_location())
    if not found.dtype.is_floating_point:
        raise DTypeError(
            f"flex_attention: score_mod {describe_mod(mod)} returned {found.dtype.name}; it must return a "
            "floating-point "
            "score. To forbid attention use mask_mod, or pp.where(allowed, score, -float('inf'))"
        ).at(None, user_location())
    _need_fit("score_mod", mod, found, score._data.shape, "(score, b, h, q_idx, kv_idx)")
    return found if found.dtype is score.dtype else ops.to_dtype(found, score.dtype)


def _run(kind: str, mod: Any, args: tuple[Tensor, ...], indices: tuple[Tensor, ...]) -> Any:
    """Call a mod; errors about shapes and indices say what it was called with."""
    try:
        return mod(*args)
    except (ShapeError, DimError) as error:
        error.message += (
            f"\n  in {kind} {describe_mod(mod)}, called on a tile of shape {list(_tile_shape(indices))} [batch, head, "
            "query, "
            "key], which the index tensors broadcast to: index with all positions at once, table[h, q_idx - kv_idx] "
            "and not "
            "table[h][q_idx]"
        )
        raise


def probe(mod: Any, sizes: tuple[int, ...], call: Callable[[tuple[Tensor, ...], Any], Tensor]) -> Tensor | None:
    """Run a mod at the first and last position of each dimension, then at the very first and very last alone; compare.

    `call(index tensors, part)` runs it on a part of the positions. Returns what it gave for all, None where a dimension
    is empty. Raises ArgumentError if one score depends on others, as with a sum or a shift along positions.
    """
    if not all(sizes):
        return None
    ends = [np.unique([0, n - 1]) for n in sizes]
    position = default_generator.offset
    found = call(index_tensors(*ends), (slice(None),) * 4)
    drawn = default_generator.offset != position
    default_generator.offset = position
    if drawn:
        return found
    together = np.broadcast_to(found._data, [len(e) for e in ends])
    saved, state.grad = state.grad, False
    try:
        for part in ((slice(-1, None),) * 4, (slice(0, 1),) * 4):
            alone = call(index_tensors(*[e[s] for e, s in zip(ends, part, strict=True)]), part)._data
            if not np.allclose(together[part], alone, rtol=1e-3, atol=1e-5, equal_nan=True):
                raise ArgumentError(
                    f"flex_attention: {'mask' if found.dtype.name == 'bool' else 'score'}_mod {describe_mod(mod)} gave "
                    f"{together[part].item()} for a score among others and {alone.item()} for the same one alone; it "
                    "must compute each score from its own arguments, and not sum, sort or shift along positions: they "
                    "are cut into tiles"
                ).at(None, user_location())
    finally:
        state.grad = saved
    return found


def _tile_shape(indices: tuple[Tensor, ...]) -> tuple[Any, ...]:
    return broadcast(*(t._data.shape for t in indices))


def _need_fit(kind: str, mod: Any, found: Tensor, shape: tuple[Any, ...], parameters: str) -> None:
    have = tuple(found._data.shape)
    lead = len(shape) - len(have)
    sizes = zip(have, shape[max(0, lead) :], strict=False)
    if lead >= 0 and all((type(n) is int and n == 1) or same_size(n, m) for n, m in sizes):
        return
    raise ShapeError(
        f"flex_attention: {kind} {describe_mod(mod)} returned shape {list(have)} for a tile of shape {list(shape)} "
        f"[batch, head, query, key]; it must compute each score from {parameters} alone. Index tensors with all "
        "positions "
        "at once, table[h, q_idx - kv_idx] and not table[h][q_idx], and do not reduce or reshape"
    ).at(None, user_location())


def create_mask(
    mod_fn: Any, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None
) -> Tensor:  # fmt: skip
    """The dense bool mask (B, H, Q_LEN, KV_LEN) of a mask function, or of a score function: where it is not -inf.

    For looking at small masks; it needs Q_LEN * KV_LEN bytes per head.

    >>> create_mask(lambda b, h, q_idx, kv_idx: q_idx >= kv_idx, None, None, 2, 2)[0, 0].tolist()
    [[True, False], [True, True]]
    """
    sizes = (1 if B is None else B, 1 if H is None else H, Q_LEN, KV_LEN)
    indices = index_tensors(*[np.arange(n) for n in sizes])
    if takes_score(mod_fn):
        saved, state.grad = state.grad, False
        try:
            out = call_score(mod_fn, Tensor._from_data(np.zeros(sizes, np.float32)), indices)
        finally:
            state.grad = saved
        mask = ~np.isneginf(out._data)
    else:
        mask = call_mask(mod_fn, indices)
    return Tensor._from_data(np.array(np.broadcast_to(mask, sizes)))


def takes_score(mod: Any) -> bool:
    """Whether a function is a score function (five parameters) and not a mask function (four).

    Raises ArgumentError if it is neither.
    """
    import inspect

    try:
        parameters = inspect.signature(mod).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return False
    required = sum(p.default is p.empty for p in positional)
    if required == 5:
        return True
    if required <= 4 <= len(positional):
        return False
    raise ArgumentError(
        f"flex_attention: {describe_mod(mod)} takes {required} arguments; a mask function takes (b, h, q_idx, "
        "kv_idx), a "
        "score function (score, b, h, q_idx, kv_idx)"
    ).at(None, user_location())
