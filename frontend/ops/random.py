"""Random tensors. The operators take (seed, offset) as attributes and are pure; the functions draw those from a
generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes, random
from ..dtypes import as_dtype, get_default_dtype
from ..errors import ArgumentError, DTypeError, ShapeError
from ..opdef import Sample, Spec, operator
from ..random import Generator, default_generator, normals, uniforms, words64
from ..symbolic import hint_of
from ..tensor import Tensor
from ._names import function
from ._samples import floats
from ._shapes import numel, same
from .complex_numbers import view_as_complex
from .create import sizes
from .pointwise import lt, where


def _spec(size: Any, seed: Any, offset: Any, *, dtype: Any = None) -> Spec:
    return Spec(tuple(size), dtype or get_default_dtype())


def _rand_kernel(xp: Any, size: Any, seed: Any, offset: Any, dtype: Any) -> Any:
    target = (dtype or get_default_dtype()).numpy
    found = uniforms(seed, offset, int(numel(size)))
    if target.itemsize == 2:  # rounding to a short type must not give 1
        found = np.floor(found * 256) * np.float32(1 / 256)
    return found.astype(target).reshape(size)


_rand = operator(
    "rand(int[] size, int seed, int offset, *, dtype? dtype=None) -> Tensor",
    "Uniform numbers in [0, 1) from a counter.",
    shape=_spec,
    eager=_rand_kernel,
    check=False,
    differentiable=False,
    tags=("random",),
    samples=lambda: [Sample(((2, 3), 1, 0))],
)
_randn = operator(
    "randn(int[] size, int seed, int offset, *, dtype? dtype=None) -> Tensor",
    "Standard normal numbers from a counter.",
    shape=_spec,
    check=False,
    differentiable=False,
    tags=("random",),
    samples=lambda: [Sample(((2, 3), 1, 0))],
    eager=lambda xp, size, seed, offset, dtype: (
        normals(seed, offset, int(numel(size))).astype((dtype or get_default_dtype()).numpy).reshape(size)
    ),
)


def _randint_kernel(xp: Any, size: Any, seed: Any, offset: Any, low: Any, high: Any, dtype: Any) -> Any:
    count = int(numel(size))
    found = (words64(seed, offset, count) % np.uint64(high - low)).astype(np.int64) + low
    return found.astype((dtype or dtypes.int64).numpy).reshape(size)


_randint = operator(
    "randint(int[] size, int seed, int offset, int low, int high, *, dtype? dtype=None) -> Tensor",
    "Uniform integers in [low, high) from a counter.",
    eager=_randint_kernel,
    check=False,
    differentiable=False,
    tags=("random",),
    shape=lambda size, seed, offset, low, high, *, dtype=None: Spec(tuple(size), dtype or dtypes.int64),
    samples=lambda: [Sample(((2, 3), 1, 0, 0, 10))],
)


def _dropout_kernel(xp: Any, x: Any, p: float, seed: int, offset: int) -> Any:
    keep = xp.asarray(uniforms(seed, offset, x.size).reshape(x.shape) >= p)
    return x * (keep * x.dtype.type(1 / (1 - p) if p < 1 else 0))


def _dropout_mask(x: Any, p: float, seed: int, offset: int) -> Any:
    keep = lt(_rand(tuple(x.shape), seed, offset, dtype=dtypes.float32), p)
    return where(keep, 0.0, (x * (1 / (1 - p))) if p < 1 else x * 0)


dropout_seeded: Callable[..., Any] = operator(
    "dropout_seeded(Tensor self, float p, int seed, int offset) -> Tensor",
    "Elements zeroed with probability p, by a mask that (seed, offset) determines; the others scaled by 1 / (1 - p).",
    shape=same,
    eager=_dropout_kernel,
    decompose=_dropout_mask,
    tags=("random",),
    vjp=lambda g, _out, _x, p, seed, offset: (dropout_seeded(g, p, seed, offset),),
    samples=lambda: [Sample((floats(4, 4), 0.4, 3, 5))],
)


def _draw(generator: Generator | None, count: Any) -> tuple[int, int]:
    # A size that is not known yet (capture) reserves what the example needs.
    return (generator or default_generator).take(hint_of(count))


def _filled(draw: Any, shape: Any, generator: Any, dtype: Any) -> Any:
    """A tensor of random numbers; the parts of complex ones are drawn as pairs."""
    found = as_dtype(dtype or get_default_dtype())
    if not found.is_complex:
        return draw(shape, *_draw(generator, numel(shape)), dtype=found)
    pairs = (*shape, 2)
    return view_as_complex(draw(pairs, *_draw(generator, numel(pairs)), dtype=found.to_real()))


def _grad(out: Any, requires_grad: bool) -> Any:
    if requires_grad:
        out.requires_grad = True
    return out


@function()
def rand(*size: Any, generator: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """Uniform numbers in [0, 1), of the given shape; so are both parts of complex ones."""
    return _grad(_filled(_rand, sizes(size), generator, dtype), requires_grad)


@function()
def randn(*size: Any, generator: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """Standard normal numbers, of the given shape; the parts of complex ones have a variance of 1/2 each.

    >>> import pappus as pp
    >>> pp.randn(2, 3).shape
    pappus.Size([2, 3])
    """
    out = _filled(_randn, sizes(size), generator, dtype)
    return _grad(out * math.sqrt(0.5) if out.dtype.is_complex else out, requires_grad)


@function()
def randint(
    low: Any, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None, device: Any = None
) -> Any:
    """Uniform integers in [low, high); `randint(high, size)` starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    if high <= low:
        raise ArgumentError(f"randint: low ({low}) must be below high ({high})")
    shape = tuple(size)
    return _randint(shape, *_draw(generator, 2 * numel(shape)), low, high, dtype=dtype)


@function()
def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """The integers 0 .. n-1 in random order."""
    return Tensor._from_data(np.array(random.permutation(n, generator), as_dtype(dtype or dtypes.int64).numpy))


@function()
def rand_like(self: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """Uniform numbers in the shape and type of `self`."""
    return rand(*self.shape, dtype=dtype or self.dtype, requires_grad=requires_grad)


@function()
def randn_like(self: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """Standard normal numbers in the shape and type of `self`."""
    return randn(*self.shape, dtype=dtype or self.dtype, requires_grad=requires_grad)


@function()
def randint_like(self: Any, low: int, high: Any = None, *, dtype: Any = None, device: Any = None) -> Any:
    """Uniform integers in the shape and type of `self`."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, tuple(self.shape), dtype=dtype or self.dtype)


@function(method=True)
def bernoulli(self: Any, p: Any = None, *, generator: Any = None) -> Any:
    """1 with the probability each element gives (or `p`), else 0."""
    draw = rand(*self.shape, generator=generator, dtype=dtypes.float32)
    return lt(draw, self if p is None else p).to(self.dtype)


@function()
def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None,
    requires_grad: bool = False, device: Any = None, layout: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """Normal numbers of the given mean and deviation, which may be tensors. Raises ArgumentError for deviations below
    0."""
    _check_deviation("normal", std)
    if size is None:
        like = mean if isinstance(mean, Tensor) else std
        size, dtype = like.shape, dtype or like.dtype
    return _grad(randn(*size, generator=generator, dtype=dtype) * std + mean, requires_grad)


def _check_deviation(name: str, std: Any) -> None:
    lowest = std.detach().min().item() if isinstance(std, Tensor) and std.numel() and not std.is_symbolic else std
    if not isinstance(lowest, Tensor) and lowest < 0:
        raise ArgumentError(f"{name}: the standard deviation must not be negative, got {lowest}")


@function(exact_out=True)
def multinomial(self: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Any:
    """`num_samples` indices drawn by the weights in each row of `self`, a vector or a matrix."""
    if len(self.shape) not in (1, 2):
        raise ShapeError(f"multinomial: the weights must be a vector or a matrix, got shape {list(self.shape)}")
    if not self.dtype.is_floating_point:
        raise DTypeError(f"multinomial: the weights must be floating point, got {self.dtype}; use x.float()")
    if num_samples <= 0:
        raise ArgumentError(f"multinomial: the number of samples must be positive, got {num_samples}")
    weights = self.detach().to(dtypes.float64).numpy()
    rows = weights.reshape(-1, weights.shape[-1])
    if not ((rows >= 0) & np.isfinite(rows)).all() or (rows.sum(-1) <= 0).any():
        raise ArgumentError("multinomial: weights must be finite and non-negative, with a positive sum in every row")
    if replacement:
        ends = np.cumsum(rows, -1) / rows.sum(-1, keepdims=True)
        seed, offset = _draw(generator, rows.shape[0] * num_samples)
        draws = uniforms(seed, offset, rows.shape[0] * num_samples).reshape(rows.shape[0], num_samples)
        found = (draws[:, :, None] >= ends[:, None, :]).sum(-1)
    else:
        if num_samples > (rows > 0).sum(-1).min():
            raise ArgumentError(f"multinomial: {num_samples} samples without replacement from fewer nonzero weights")
        seed, offset = _draw(generator, rows.size)
        clock = -np.log1p(-uniforms(seed, offset, rows.size).astype(np.float64)).reshape(rows.shape)
        found = np.argsort(np.where(rows > 0, clock / np.where(rows > 0, rows, 1), np.inf), -1)[:, :num_samples]
    return Tensor._from_data(found.astype(np.int64).reshape(*weights.shape[:-1], num_samples))


def _check_p(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ArgumentError(f"{name}: the probability must be between 0 and 1, got {p}")


@function()
def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None) -> Any:
    """While training, elements zeroed with probability `p` and the others scaled by 1 / (1 - p); else the input
    itself."""
    _check_p("dropout", p)
    if not training or p == 0:
        return input
    if not input.dtype.is_floating_point:
        raise DTypeError(f"dropout of {input.dtype}: only floating-point tensors; use x.float()")
    return dropout_seeded(input, float(p), *_draw(generator, numel(input.shape)))


def _fill(name: str, make: Any) -> Any:
    def method(self: Any, *args: Any, generator: Any = None, **kwargs: Any) -> Any:
        return self.copy_(make(self, *args, generator=generator, **kwargs))

    method.__name__ = name
    method.__doc__ = f"Fill this tensor with random numbers ({name[:-1]}), in place."
    function(method=True)(method)
    return method


def _uniform(x: Any, low: float = 0.0, high: float = 1.0, *, generator: Any = None, **names: float) -> Any:
    low, high = names.get("from", low), names.get("to", high)
    if low > high:
        raise ArgumentError(f"uniform_: the lower bound {low} is above the upper bound {high}")
    return (
        rand(*x.shape, generator=generator, dtype=dtypes.float64 if x.dtype is dtypes.float64 else None) * (high - low)
        + low
    )


def _normal(x: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
    _check_deviation("normal_", std)
    return (
        randn(*x.shape, generator=generator, dtype=dtypes.float64 if x.dtype is dtypes.float64 else None) * std + mean
    )


def _integers(x: Any, low: int = 0, high: int | None = None, *, generator: Any = None) -> Any:
    if high is None:
        low, high = (0, low) if low else (0, 2**24)
    return randint(low, high, tuple(x.shape), generator=generator)


uniform_, normal_, random_ = _fill("uniform_", _uniform), _fill("normal_", _normal), _fill("random_", _integers)
bernoulli_ = _fill("bernoulli_", lambda x, p=0.5, generator=None: lt(rand(*x.shape, generator=generator), p))
exponential_ = _fill(
    "exponential_", lambda x, lambd=1.0, generator=None: (1 - rand(*x.shape, generator=generator)).log() * (-1 / lambd)
)

for _name in ("manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state"):
    function()(getattr(random, _name))
