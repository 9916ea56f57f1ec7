"""Schedules that multiply the rate: by functions, at steps, by a factor that moves along a line or a power."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pappus.frontend.optim.lr_scheduler.base import LRScheduler, Rates
from pappus.frontend.optim.optimizer import Optimizer

Function = Callable[[int], float]


class _ByFunction(LRScheduler):
    """A schedule with one function for all groups, or one for each."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Function | Sequence[Function], last_epoch: int = -1
    ) -> None:
        count = len(optimizer.param_groups) if isinstance(optimizer, Optimizer) else 1
        self.lr_lambdas: list[Any] = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * count
        if len(self.lr_lambdas) != count:
            raise ValueError(f"expected {count} lr_lambdas, but got {len(self.lr_lambdas)}")
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"lr_lambda should be a function, but got {type(function).__name__}")
        super().__init__(optimizer, last_epoch)


class LambdaLR(_ByFunction):
    """initial rate * lr_lambda(step); one function for all groups, or one for each.

    >>> import pappus as pp
    >>> opt = pp.optim.SGD([pp.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = LambdaLR(opt, lambda step: 0.5**step)
    >>> opt.step(); schedule.step(); opt.param_groups[0]["lr"]
    0.5
    """

    def get_lr(self) -> Rates:
        return [base * fn(self.last_epoch) for base, fn in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(_ByFunction):
    """The current rate * lr_lambda(step), from step 1 on; one function for all groups, or one for each."""

    def get_lr(self) -> Rates:
        if self._is_initial:
            return self.rates
        return [rate * fn(self.last_epoch) for rate, fn in zip(self.rates, self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """Multiply the rate by `gamma` every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [rate * self.gamma for rate in self.rates] if due else self.rates

    def _get_closed_form_lr(self) -> Rates:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Multiply the rate by `gamma` at each of the given steps."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        due = self.milestones[self.last_epoch]
        return [rate * self.gamma**due for rate in self.rates] if due else self.rates

    def _get_closed_form_lr(self) -> Rates:
        passed = sum(count for step, count in self.milestones.items() if step <= self.last_epoch)
        return [base * self.gamma**passed for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Multiply the rate by `gamma` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        return self.rates if self._is_initial else [rate * self.gamma for rate in self.rates]

    def _get_closed_form_lr(self) -> Rates:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """`factor` * the rate for the first `total_iters` steps, then the rate itself."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        if self.last_epoch == 0:
            return [rate * self.factor for rate in self.rates]
        if self.last_epoch == self.total_iters:
            return [rate * (1.0 / self.factor) for rate in self.rates]
        return self.rates

    def _get_closed_form_lr(self) -> Rates:
        factor = self.factor if self.last_epoch < self.total_iters else 1.0
        return [base * factor for base in self.base_lrs]


class LinearLR(LRScheduler):
    """The rate's factor goes from `start_factor` to `end_factor` in `total_iters` steps, as in a warm-up.

    >>> import pappus as pp
    >>> opt = pp.optim.SGD([pp.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = LinearLR(opt, start_factor=0.5, total_iters=2)
    >>> rates = [opt.param_groups[0]["lr"]]
    >>> for _ in range(3):
    ...     opt.step(); schedule.step(); rates += schedule.get_last_lr()
    >>> rates
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if not 0 < start_factor <= 1:
            raise ValueError("Starting multiplicative factor expected to be greater than 0 and less or equal to 1.")
        if not 0 <= end_factor <= 1:
            raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        start, rise, count = self.start_factor, self.end_factor - self.start_factor, self.total_iters
        if self.last_epoch == 0:
            change = start
        elif self._is_initial or self.last_epoch > count:
            change = 1.0
        else:
            change = 1.0 + rise / (count * start + (self.last_epoch - 1) * rise)
        return [rate * change for rate in self.rates]

    def _get_closed_form_lr(self) -> Rates:
        part = min(self.total_iters, self.last_epoch) / self.total_iters
        factor = self.start_factor + (self.end_factor - self.start_factor) * part
        return [base * factor for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """initial rate * (1 - step / total_iters) ** power, and 0 from there on."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        step, end = self.last_epoch, self.total_iters
        if self._is_initial or step > end:
            return self.rates
        change = ((1.0 - step / end) / (1.0 - (step - 1) / end)) ** self.power
        return [rate * change for rate in self.rates]

    def _get_closed_form_lr(self) -> Rates:
        step = min(self.total_iters, self.last_epoch)
        return [base * (1.0 - step / self.total_iters) ** self.power for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate down to `eta_min` over `T_max` steps (and up again after it).

    Written as torch's recursion over the current rate, so that a rate changed by hand is carried on in the same way.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        step, end, low = self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return self.rates
        if (step - 1 - end) % (2 * end) == 0:
            return [
                rate + (base - low) * (1 - math.cos(math.pi / end)) / 2
                for base, rate in zip(self.base_lrs, self.rates, strict=True)
            ]
        ratio = (1 + math.cos(math.pi * step / end)) / (1 + math.cos(math.pi * (step - 1) / end))
        return [ratio * (rate - low) + low for rate in self.rates]

    def _get_closed_form_lr(self) -> Rates:
        part = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * part for base in self.base_lrs]
