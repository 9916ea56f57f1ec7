"""Spectral normalization: a weight divided by its largest singular value, which power iterations estimate.

After Miyato et al., "Spectral normalization for generative adversarial networks", 2018. Each training step improves
the two singular vectors by one iteration, starting from those of the step before.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pappus.frontend import ops
from pappus.frontend.autograd import no_grad
from pappus.frontend.inplace import assign
from pappus.frontend.nn import functional as F
from pappus.frontend.nn.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import Parameter
from pappus.frontend.nn.parametrize import register_parametrization
from pappus.frontend.tensor import Tensor

__all__ = ["parametrized_spectral_norm", "remove_spectral_norm", "spectral_norm"]

M = TypeVar("M", bound=Module)


def _output_dim(module: Module, dim: int | None) -> int:
    """The dimension of the output's channels: the first, of transposed convolutions the second."""
    if dim is not None:
        return dim
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


def _matrix(weight: Tensor, dim: int) -> Tensor:
    return weight.movedim(dim, 0).flatten(1)  # type: ignore[no-any-return]


def _check(iterations: int) -> None:
    if iterations <= 0:
        raise ValueError(f"spectral_norm: n_power_iterations must be positive, got {iterations}")


def _unit(size: Any, like: Tensor, eps: float) -> Tensor:
    return F.normalize(ops.randn(int(size), dtype=like.dtype), dim=0, eps=eps)  # type: ignore[no-any-return]


class _SpectralNorm(Module):
    """The parametrization; `_u` and `_v` are the singular vectors found so far."""

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        _check(n_power_iterations)
        self.dim = dim if dim >= 0 else dim + weight.ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if weight.ndim > 1:
            matrix = _matrix(weight.detach(), self.dim)
            self.register_buffer("_u", _unit(matrix.shape[0], matrix, eps))
            self.register_buffer("_v", _unit(matrix.shape[1], matrix, eps))
            self._iterate(matrix, 15)

    def _iterate(self, matrix: Tensor, count: int) -> None:
        with no_grad():
            for _ in range(count):
                assign(self._u, F.normalize(matrix.mv(self._v), dim=0, eps=self.eps))
                assign(self._v, F.normalize(matrix.transpose(0, 1).mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)  # type: ignore[no-any-return]
        matrix = _matrix(weight, self.dim)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        return weight / self._u.clone().dot(matrix.mv(self._v.clone()))  # type: ignore[no-any-return]

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def parametrized_spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """`spectral_norm` as a parametrization: parametrizations.<name>.original, and buffers .0._u and .0._v."""
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"spectral_norm: {type(module).__name__} has no parameter or buffer {name!r}")
    return register_parametrization(
        module, name, _SpectralNorm(weight, n_power_iterations, _output_dim(module, dim), eps)
    )


class _Compute:
    """The hook of the older form."""

    def __init__(self, name: str, iterations: int, eps: float, dim: int) -> None:
        self.name, self.iterations, self.eps, self.dim = name, iterations, eps, dim

    def value(self, module: Any, iterations: int) -> Tensor:
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = _matrix(weight, self.dim)
        with no_grad():
            for _ in range(iterations):
                assign(v, F.normalize(matrix.detach().transpose(0, 1).mv(u), dim=0, eps=self.eps))
                assign(u, F.normalize(matrix.detach().mv(v), dim=0, eps=self.eps))
        return weight / u.clone().dot(matrix.mv(v.clone()))  # type: ignore[no-any-return]

    def __call__(self, module: Any, inputs: Any) -> None:
        module.__dict__[self.name] = self.value(module, self.iterations if module.training else 0)


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a parameter by its largest singular value before each call of the module.

    The older form, with the parameter <name>_orig and the buffers <name>_u and <name>_v; see
    `parametrizations.spectral_norm` for the newer one.

    >>> import pappus as pp
    >>> list(spectral_norm(pp.nn.Linear(2, 3)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    _check(n_power_iterations)
    if any(isinstance(h, _Compute) and h.name == name for h, _ in module._pre_hooks.values()):
        raise RuntimeError(f"spectral_norm: {type(module).__name__} has one on {name!r} already")
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"spectral_norm: {type(module).__name__} has no parameter {name!r}")
    hook = _Compute(name, n_power_iterations, eps, _output_dim(module, dim))
    matrix = _matrix(weight.detach(), hook.dim)
    module._forget(name)
    module.register_parameter(f"{name}_orig", weight)
    module.register_buffer(f"{name}_u", _unit(matrix.shape[0], matrix, eps))
    module.register_buffer(f"{name}_v", _unit(matrix.shape[1], matrix, eps))
    module.__dict__[name] = weight.detach()
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make the parameter an ordinary one again, with its normalized value."""
    for key, (hook, _) in module._pre_hooks.items():
        if isinstance(hook, _Compute) and hook.name == name:
            value = hook.value(module, 0).detach()
            del module._pre_hooks[key]
            for part in (name, f"{name}_orig", f"{name}_u", f"{name}_v"):
                module._forget(part)
            module.register_parameter(name, Parameter(value))
            return module
    raise ValueError(f"remove_spectral_norm: {type(module).__name__} has none on {name!r}")
