"""Matrix products: `matmul` for every rank, and the forms built on it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import sym_eq
from ._names import function
from ._samples import floats
from ._shapes import broadcast, numel, promoted
from .pointwise import add, mul
from .reduce import sum
from .shape import permute, reshape, squeeze, transpose, unsqueeze, view


def _matmul_shape(a: Any, b: Any) -> Spec:
    if not a.shape or not b.shape:
        raise ShapeError(
            f"matmul needs tensors of at least 1 dimension, got {list(a.shape)} and {list(b.shape)}; use * for numbers"
        )
    if a.dtype is not b.dtype:
        raise DTypeError(
            f"matmul of {a.dtype} with {b.dtype}: both must have one type; convert with .to({promoted(a, b)})"
        )
    inner = b.shape[-2] if len(b.shape) > 1 else b.shape[0]
    if not sym_eq(a.shape[-1], inner):
        which = -2 if len(b.shape) > 1 else 0
        raise ShapeError(
            f"matmul of {list(a.shape)} with {list(b.shape)}: the last dimension of the first has size {a.shape[-1]}, "
            f"dimension {which} of the second has {inner}; they must be equal (transpose one with .mT?)"
        )
    batch = broadcast(a.shape[:-2], b.shape[:-2])
    rows = (a.shape[-2],) if len(a.shape) > 1 else ()
    columns = (b.shape[-1],) if len(b.shape) > 1 else ()
    return Spec((*batch, *rows, *columns), a.dtype)


def _matmul_kernel(xp: Any, a: Any, b: Any) -> Any:
    if a.dtype.itemsize == 2 and a.dtype.kind in "fV":
        return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
    if a.ndim == 2 == b.ndim and a.shape[1] == 1:  # an outer product: BLAS is several times slower
        return np.multiply(a, b)
    if a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous:  # one large product instead of a loop of small ones
        return np.matmul(a.reshape(math.prod(a.shape[:-1]), a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b)


def _rows(x: Any) -> Any:
    """All dimensions but the last joined into one."""
    return x if len(x.shape) == 2 else reshape(x, (numel(x.shape[:-1]), x.shape[-1]))


def _matmul_vjp(g: Any, _out: Any, a: Any, b: Any) -> Any:
    ga = gb = None
    ra, rb = len(a.shape), len(b.shape)
    if ra == 1 and rb == 1:
        return (g * b if a.requires_grad else None), (g * a if b.requires_grad else None)
    if a.requires_grad:
        if rb == 1:
            ga = mul(unsqueeze(g, -1), b)
        elif ra == 1:
            ga = squeeze(matmul(b, unsqueeze(g, -1)), -1)
        else:
            ga = matmul(g, transpose(b, -2, -1))
    if b.requires_grad:
        if ra == 1:
            gb = mul(unsqueeze(a, -1), unsqueeze(g, -2))
        elif rb == 1:
            gb = squeeze(matmul(transpose(a, -2, -1), unsqueeze(g, -1)), -1)
        elif ra > 2 and rb == 2:
            gb = matmul(transpose(_rows(a), 0, 1), _rows(g))
        else:
            gb = matmul(transpose(a, -2, -1), g)
    return ga, gb


matmul = operator(
    "matmul(Tensor self, Tensor other) -> Tensor",
    "The matrix product of the last two dimensions; leading ones broadcast, 1-d operands are rows or columns.",
    shape=_matmul_shape, eager=_matmul_kernel, vjp=_matmul_vjp, tags=("contraction",), complex="holomorphic",
    samples=lambda: [
        Sample((floats(2, 3), floats(3, 4, seed=2))), Sample((floats(2, 2, 3), floats(3, 4, seed=2))),
        Sample((floats(2, 1, 2, 3), floats(3, 3, 2, seed=2))), Sample((floats(3), floats(3, seed=2))),
        Sample((floats(3), floats(2, 3, 2, seed=2))), Sample((floats(2, 2, 3), floats(3, seed=2))),
    ],
)  # fmt: skip


def _ranked(name: str, rank: int, *tensors: Any) -> None:
    for t in tensors:
        if len(t.shape) != rank:
            shapes = " and ".join(str(list(s.shape)) for s in tensors)
            raise ShapeError(f"{name} needs {rank}-d tensors, got shapes {shapes}; matmul takes any rank")


def _mm(a: Any, b: Any) -> Any:
    _ranked("mm", 2, a, b)
    return matmul(a, b)


def _bmm(a: Any, b: Any) -> Any:
    _ranked("bmm", 3, a, b)
    if not sym_eq(a.shape[0], b.shape[0]):
        raise ShapeError(f"bmm: batch sizes {a.shape[0]} and {b.shape[0]} differ; matmul broadcasts them")
    return matmul(a, b)


def _dot(a: Any, b: Any) -> Any:
    _ranked("dot", 1, a, b)
    return matmul(a, b)


def _mv(a: Any, b: Any) -> Any:
    _ranked("mv", 2, a)
    _ranked("mv", 1, b)
    return matmul(a, b)


def _outer(a: Any, b: Any) -> Any:
    _ranked("outer", 1, a, b)
    return mul(unsqueeze(a, 1), b)


def _short(schema: str, doc: str, decompose: Any, *samples: Sample) -> Any:
    return operator(schema, doc, decompose=decompose, inline=True, samples=lambda: list(samples))


mm = _short("mm(Tensor self, Tensor mat2) -> Tensor", "The product of two matrices.", _mm,
            Sample((floats(2, 3), floats(3, 2, seed=2))))  # fmt: skip
bmm = _short("bmm(Tensor self, Tensor mat2) -> Tensor", "Products of matrices in a batch.", _bmm,
             Sample((floats(2, 2, 3), floats(2, 3, 2, seed=2))))  # fmt: skip
dot = _short("dot(Tensor self, Tensor tensor) -> Tensor", "The inner product of two vectors.", _dot,
             Sample((floats(3), floats(3, seed=2))))  # fmt: skip
mv = _short("mv(Tensor self, Tensor vec) -> Tensor", "A matrix times a vector.", _mv,
            Sample((floats(2, 3), floats(3, seed=2))))  # fmt: skip
outer = _short("outer(Tensor self, Tensor vec2) -> Tensor", "Every product of an element of each vector.", _outer,
               Sample((floats(3), floats(2, seed=2))))  # fmt: skip


def _linear_shape(x: Any, weight: Any, bias: Any = None) -> Spec:
    if len(weight.shape) not in (1, 2):
        raise ShapeError(f"linear: weight must have shape [out_features, in_features], got {list(weight.shape)}")
    if not x.shape or not sym_eq(x.shape[-1], weight.shape[-1]):
        raise ShapeError(
            f"linear: the input has {x.shape[-1] if x.shape else 'no'} features in its last dimension (shape "
            f"{list(x.shape)}), "
            f"the weight of shape {list(weight.shape)} expects in_features={weight.shape[-1]}"
        )
    for other in (weight, bias):
        if other is not None and other.dtype is not x.dtype:
            raise DTypeError(
                f"linear of {x.dtype} with parameters of {other.dtype}; convert the input with .to({other.dtype})"
            )
    out = weight.shape[:-1]
    if bias is not None:
        broadcast((*x.shape[:-1], *out), bias.shape)
    return Spec((*x.shape[:-1], *out), x.dtype)


def _linear_kernel(xp: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    out = _matmul_kernel(xp, x, weight.T)
    if bias is None:
        return out
    if out.ndim == 0:
        return out + bias
    out += bias
    return out


def _linear_vjp(g: Any, _out: Any, x: Any, weight: Any, _bias: Any = None) -> Any:
    if len(weight.shape) == 1:
        g_ = unsqueeze(g, -1)
        gw = sum(mul(x, g_), tuple(range(len(x.shape) - 1))) if len(x.shape) > 1 else mul(x, g)
        return mul(g_, weight), gw, g
    gx = matmul(g, weight) if x.requires_grad else None
    gw = gb = None
    rows = _rows(g)
    if weight.requires_grad:
        gw = matmul(transpose(rows, 0, 1), _rows(x))
    if _bias is not None and _bias.requires_grad:
        gb = sum(rows, (0,)) if len(_bias.shape) == 1 and sym_eq(_bias.shape[0], rows.shape[-1]) else g
    return gx, gw, gb


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    out = matmul(x, transpose(weight, 0, 1) if len(weight.shape) == 2 else weight)
    return out if bias is None else add(out, bias)


linear = operator(
    "linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
    "input @ weight.T + bias.",
    shape=_linear_shape,
    eager=_linear_kernel,
    vjp=_linear_vjp,
    decompose=_linear,
    tags=("contraction",),
    complex="holomorphic",
    samples=lambda: [
        Sample((floats(2, 3), floats(4, 3, seed=2), floats(4, seed=3))),
        Sample((floats(2, 2, 3), floats(4, 3, seed=2))),
        Sample((floats(3), floats(4, 3, seed=2), floats(4, seed=3))),
    ],
)


def _addmm(x: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    out = _mm(a, b)
    out = out if alpha == 1 else out * alpha
    return out if beta == 0 else add(out, x if beta == 1 else x * beta)


addmm = _short(
    "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    "beta * self + alpha * (mat1 @ mat2).", _addmm,
    Sample((floats(2, 4), floats(2, 3), floats(3, 4, seed=2)), {"beta": 0.5, "alpha": 2.0}),
    Sample((floats(4), floats(2, 3), floats(3, 4, seed=2))),
)  # fmt: skip


def _times(x: Any, factor: Any) -> Any:
    """`x` times a number, which for integers loses its fraction."""
    return x if factor == 1 else x * (factor if x.dtype.category > 1 else int(factor))


baddbmm = _short(
    "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    "beta * self + alpha * (batch1 @ batch2), in a batch.",
    lambda x, a, b, beta=1, alpha=1: add(_times(x, beta), _times(_bmm(a, b), alpha)),
    Sample((floats(2, 2, 2), floats(2, 2, 3), floats(2, 3, 2, seed=2)), {"alpha": 2.0}),
)


# -- einsum ---------------------------------------------------------------------------------------


def _terms(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """Operand labels and result labels, with "..." written out as upper-case letters not used otherwise."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    operands = left.split(",")
    if len(operands) != len(ranks):
        raise ArgumentError(f"einsum: '{equation}' names {len(operands)} operands, {len(ranks)} were given")
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in text]
    width = 0
    for labels, rank in zip(operands, ranks, strict=True):
        named = len(labels.replace("...", ""))
        if "..." in labels:
            width = max(width, rank - named)
        elif named != rank:
            raise ShapeError(
                f"einsum: '{labels}' in '{equation}' names {named} dimensions of an operand that has {rank}"
            )
    dots = "".join(free[:width])
    operands = [
        labels.replace("...", dots[width - (rank - len(labels) + 3) :] if rank - len(labels) + 3 else "")
        for labels, rank in zip(operands, ranks, strict=True)
    ]
    if not arrow:
        joined = "".join(operands)
        once = sorted(c for c in set(joined) if joined.count(c) == 1 and c not in dots)
        return operands, dots + "".join(once)
    return operands, right.replace("...", dots)


def _diagonals(x: Any, labels: str) -> tuple[Any, str]:
    from .parts import diagonal

    at = 0
    while at < len(labels):
        other = labels.find(labels[at], at + 1)
        if other < 0:
            at += 1
            continue
        c = labels[at]
        x = diagonal(x, 0, at, other)
        labels = labels[:at] + labels[at + 1 : other] + labels[other + 1 :] + c
        at = 0
    return x, labels


def _drop(x: Any, labels: str, keep: set[str]) -> tuple[Any, str]:
    gone = tuple(i for i, c in enumerate(labels) if c not in keep)
    return (sum(x, gone), "".join(c for c in labels if c in keep)) if gone else (x, labels)


def _pair(a: Any, la: str, b: Any, lb: str, keep: set[str]) -> tuple[Any, str]:
    """Contract two operands to the labels in `keep`, as one batched matrix product."""
    a, la = _drop(a, la, keep | set(lb))
    b, lb = _drop(b, lb, keep | set(la))
    shared = [c for c in la if c in lb]
    batch = [c for c in shared if c in keep]
    inner = [c for c in shared if c not in keep]
    rows = [c for c in la if c not in lb]
    columns = [c for c in lb if c not in la]
    a = permute(a, tuple(la.index(c) for c in batch + rows + inner))
    b = permute(b, tuple(lb.index(c) for c in batch + inner + columns))
    nb, ni = len(batch), len(inner)
    heads = broadcast(a.shape[:nb], b.shape[:nb])
    row_sizes, column_sizes = tuple(a.shape[nb : len(a.shape) - ni]), tuple(b.shape[nb + ni :])
    if not inner:
        left = view(a, (*a.shape, *([1] * len(columns)))) if columns else a
        right = reshape(b, (*b.shape[:nb], *([1] * len(rows)), *column_sizes))
        return mul(left, right), "".join(batch + rows + columns)
    middle = a.shape[len(a.shape) - ni :]
    for m, n, c in zip(middle, b.shape[nb : nb + ni], inner, strict=True):
        if not sym_eq(m, n):
            raise ShapeError(f"einsum: label '{c}' has sizes {m} and {n}")
    count: Any = 1
    for m in middle:
        count = count * m
    left = reshape(a, (*a.shape[:nb], _product(row_sizes), count))
    right = reshape(b, (*b.shape[:nb], count, _product(column_sizes)))
    return reshape(matmul(left, right), (*heads, *row_sizes, *column_sizes)), "".join(batch + rows + columns)


def _product(sizes: tuple[Any, ...]) -> Any:
    total: Any = 1
    for n in sizes:
        total = total * n
    return total


@function()
def einsum(equation: str, *operands: Any) -> Any:
    """Sums of products named by labels: `einsum("bij,bjk->bik", a, b)`; "..." stands for leading dimensions.

    >>> import pappus as pp
    >>> pp.einsum("ij->ji", pp.arange(4).view(2, 2))
    tensor([[0, 2],
            [1, 3]])
    """
    tensors = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else list(operands)
    terms, result = _terms(equation, [len(t.shape) for t in tensors])
    if len(set(result)) != len(result) or not set(result) <= set("".join(terms)):
        raise ArgumentError(
            f"einsum: the result of '{equation}' must name each of its labels once, and only operands' labels"
        )
    pairs = [_diagonals(t, labels) for t, labels in zip(tensors, terms, strict=True)]
    x, labels = pairs[0]
    for at, (y, other) in enumerate(pairs[1:], 1):
        later = set(result).union(*(set(p[1]) for p in pairs[at + 1 :]))
        x, labels = _pair(x, labels, y, other, later)
    x, labels = _drop(x, labels, set(result))
    order = tuple(labels.index(c) for c in result)
    return permute(x, order) if order != tuple(range(len(order))) else x


@function()
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Products summed over the last `dims` dimensions of a and the first of b, or over two lists of dimensions."""
    if isinstance(dims, int):
        da, db = list(range(len(a.shape) - dims, len(a.shape))), list(range(dims))
    else:
        da, db = [d % len(a.shape) for d in dims[0]], [d % len(b.shape) for d in dims[1]]
    letters = "abcdefghijklmnopqrstuvwxyz"
    la = list(letters[: len(a.shape)])
    lb = list(letters[len(a.shape) : len(a.shape) + len(b.shape)])
    for i, j in zip(da, db, strict=True):
        lb[j] = la[i]
        if type(a.shape[i]) is int and a.shape[i] == 1:  # a size of 1 fits any other, as it does in torch
            b = b if type(b.shape[j]) is int and b.shape[j] == 1 else sum(b, (j,), True)
        elif type(b.shape[j]) is int and b.shape[j] == 1:
            a = sum(a, (i,), True)
    out = [c for i, c in enumerate(la) if i not in da] + [c for j, c in enumerate(lb) if j not in db]
    return einsum(f"{''.join(la)},{''.join(lb)}->{''.join(out)}", a, b)
