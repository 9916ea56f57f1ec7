"""L-BFGS: a quasi-Newton method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pappus.frontend import ops
from pappus.frontend.autograd import enable_grad, no_grad
from pappus.frontend.inplace import assign
from pappus.frontend.optim.line_search import Point, strong_wolfe
from pappus.frontend.optim.optimizer import Optimizer, Params, check_lr, number
from pappus.frontend.tensor import Tensor


class LBFGS(Optimizer):
    """Newton steps with an inverse Hessian built from the last `history_size` changes of the gradient.

    A step runs up to `max_iter` iterations, each of which calls the closure at least once, and ends early when the
    largest gradient is at most `tolerance_grad` or nothing changes by more than `tolerance_change`, or after `max_eval`
    (1.25 max_iter) evaluations. `line_search_fn="strong_wolfe"` searches along the direction; without it the step is
    `lr`. One group of parameters only. Liu and Nocedal, 1989.

    >>> import pappus as pp
    >>> p = pp.tensor([3.0, -2.0], requires_grad=True)
    >>> opt = LBFGS([p], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = (p * p * pp.tensor([1.0, 10.0])).sum()
    ...     loss.backward()
    ...     return loss
    >>> first = opt.step(closure)
    >>> p.abs().max().item() < 1e-3
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        super().__init__(
            params,
            {
                "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )  # fmt: skip
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params: list[Tensor] = self.param_groups[0]["params"]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._params = self.param_groups[0]["params"]

    def _gradient(self) -> Any:
        """All gradients in one vector."""
        return ops.cat([
            _real(ops.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in self._params
        ])

    def _move(self, starts: list[Tensor], t: float, direction: Any) -> None:
        """Set the parameters to `starts` + t * direction."""
        at = 0
        for param, start in zip(map(_real, self._params), starts, strict=True):
            count = param.numel()
            assign(param, start + direction[at : at + count].reshape(param.shape) * t)
            at += count

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run the iterations; `closure` clears the gradients, computes the loss, calls backward and returns it.

        Returns the loss before the step.
        """
        if closure is None:
            raise TypeError("LBFGS.step() needs a closure that clears the gradients, computes the loss, calls "
                            "backward() and returns the loss")  # fmt: skip
        group = self.param_groups[0]
        search = group["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise RuntimeError(f"only 'strong_wolfe' is supported, got line_search_fn={search!r}")
        with no_grad():
            return self._run(closure, group)

    def _run(self, closure: Callable[[], Any], group: dict[str, Any]) -> Any:
        lr, tolerance, change = number(group["lr"]), group["tolerance_grad"], group["tolerance_change"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate() -> Any:
            with enable_grad():
                return closure()

        first = evaluate()
        loss, grad, evaluations = float(first), self._gradient(), 1
        state["func_evals"] += 1
        if _largest(grad) <= tolerance:
            return first
        iterations = 0
        while iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            state["prev_flat_grad"], before = grad.clone(), loss
            state["prev_loss"] = before
            t = min(1.0, 1.0 / float(grad.abs().sum())) * lr if state["n_iter"] == 1 else lr
            state["d"], state["t"] = direction, t
            slope = float((grad * direction).sum())
            if slope > -change:
                break
            starts = [_real(p.detach()).clone() for p in self._params]
            used = 0
            if group["line_search_fn"] is not None:

                def at(t: float, starts: Any = starts, direction: Any = direction) -> Point:
                    self._move(starts, t, direction)
                    loss = float(evaluate())
                    grad = self._gradient()
                    return Point(t, loss, grad, float((grad * direction).sum()))

                found, used = strong_wolfe(at, Point(0.0, loss, grad, slope), t, _largest(direction), change)
                loss, grad, t = found.loss, found.grad, found.t
                self._move(starts, t, direction)
            else:
                self._move(starts, t, direction)
                if iterations != group["max_iter"]:
                    loss, grad, used = float(evaluate()), self._gradient(), 1
            state["t"] = t
            evaluations += used
            state["func_evals"] += used
            if (
                evaluations >= group["max_eval"]
                or _largest(grad) <= tolerance
                or _largest(direction) * abs(t) <= change
                or abs(loss - before) < change
            ):
                break
        return first

    @staticmethod
    def _direction(state: dict[str, Any], grad: Any, history: int) -> Any:
        """- H grad, with H applied by the two loops over the remembered pairs."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -grad
        ys, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = grad - state["prev_flat_grad"], state["d"] * state["t"]
        product = (y * s).sum()
        if float(product) > 1e-10:
            if len(ys) == history:
                del ys[0], steps[0], ro[0]
            ys.append(y)
            steps.append(s)
            ro.append(1.0 / product)
            state["H_diag"] = product / (y * y).sum()
        alphas = state["al"] = [None] * history
        q = -grad
        for i in reversed(range(len(ys))):
            alphas[i] = (steps[i] * q).sum() * ro[i]
            q = q - ys[i] * alphas[i]
        d = q * state["H_diag"]
        for y, s, r, alpha in zip(ys, steps, ro, alphas, strict=False):
            d = d + s * (alpha - (y * d).sum() * r)
        return d


def _real(tensor: Any) -> Any:
    """Real and imaginary parts of a complex tensor as numbers of their own, in the same memory."""
    return ops.view_as_real(tensor) if tensor.is_complex() else tensor


def _largest(tensor: Any) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0
