"""Operations with a gradient of the user's own, under the module name that torch has for them."""

from pappus.frontend.function import Function, FunctionCtx, once_differentiable

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
