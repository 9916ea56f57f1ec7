"""ONNX operators that multiply matrices."""

from __future__ import annotations

from typing import Any

import pappus as pp
from pappus.export.onnx.table import Node, onnx_op


@onnx_op("MatMul")
def _matmul(node: Node, a: Any, b: Any) -> Any:
    return pp.matmul(a, b)


@onnx_op("Gemm")
def _gemm(node: Node, a: Any, b: Any, c: Any = None) -> Any:
    a = a.t() if node.attr("transA", 0) else a
    alpha, beta = node.attr("alpha", 1.0), node.attr("beta", 1.0)
    plain = alpha == 1.0 and beta == 1.0 and node.attr("transB", 0)
    if plain and c is not None and c.ndim == 1 and isinstance(c.shape[0], int) and c.shape[0] == b.shape[0]:
        return pp.nn.functional.linear(a, b, c)
    product = pp.matmul(a, b.t() if node.attr("transB", 0) else b)
    if alpha != 1.0:
        product = product * (alpha if product.dtype.is_floating_point else int(alpha))
    if c is None or beta == 0.0:
        return product
    return product + (c if beta == 1.0 else c * (beta if c.dtype.is_floating_point else int(beta)))


@onnx_op("Einsum", since=12)
def _einsum(node: Node, *parts: Any) -> Any:
    return pp.einsum(node.attr("equation").replace(" ", ""), *parts)


@onnx_op("Det", since=11)
def _det(node: Node, x: Any) -> Any:
    return pp.det(x)
