"""Learning-rate schedules: each `step()` sets the `lr` of every group of an optimizer."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from typing import Any

from pappus.frontend.optim.optimizer import Group, Optimizer

__all__ = [
    "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "ExponentialLR", "LRScheduler", "LambdaLR",
    "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR",
    "StepLR",
]  # fmt: skip

Rates = list[float]


class LRScheduler:
    """Base class: subclasses define `get_lr()`, the rates of all groups at `last_epoch`.

    The rate at step 0 is set when the scheduler is made; call `step()` after each `optimizer.step()` or once per epoch.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{index}] when resuming an optimizer"
                )
        self.base_lrs: Rates = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: Rates = []
        self.step()

    @property
    def groups(self) -> list[Group]:
        """The optimizer's parameter groups."""
        return self.optimizer.param_groups

    def get_lr(self) -> Rates:
        """The learning rate of each group at `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def get_last_lr(self) -> Rates:
        """The rates that the last `step()` set."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on by one step; or start again and go to step `epoch`."""
        if epoch is not None:
            self._rewind()
            for _ in range(epoch):
                self.step()
        self.last_epoch += 1
        for group, rate in zip(self.groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.groups]

    def _rewind(self) -> None:
        """Go back before step 0, to the rates the optimizer was made with."""
        self.last_epoch = -1
        for group in self.groups:
            group["lr"] = group["initial_lr"]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer" and not k.startswith("_fn")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.__dict__.update(state_dict)


class LambdaLR(LRScheduler):
    """initial rate * lr_lambda(step); one function for all groups, or one for each.

    >>> import pappus as pp
    >>> opt = pp.optim.SGD([pp.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = LambdaLR(opt, lambda step: 0.5**step)
    >>> opt.step(); schedule.step(); opt.param_groups[0]["lr"]
    0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        count = len(optimizer.param_groups)
        self._fn_lambdas = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(self._fn_lambdas) != count:
            raise ValueError(f"LambdaLR: expected {count} lr_lambdas, but got {len(self._fn_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        return [base * fn(self.last_epoch) for base, fn in zip(self.base_lrs, self._fn_lambdas, strict=True)]


class MultiplicativeLR(LRScheduler):
    """The current rate * lr_lambda(step), from step 1 on; one function for all groups, or one for each."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        count = len(optimizer.param_groups)
        self._fn_lambdas = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(self._fn_lambdas) != count:
            raise ValueError(f"MultiplicativeLR: expected {count} lr_lambdas, but got {len(self._fn_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        if self.last_epoch == 0:
            return [group["lr"] for group in self.groups]
        return [group["lr"] * fn(self.last_epoch) for group, fn in zip(self.groups, self._fn_lambdas, strict=True)]


class StepLR(LRScheduler):
    """Multiply the rate by `gamma` every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [group["lr"] * (self.gamma if due else 1) for group in self.groups]


class MultiStepLR(LRScheduler):
    """Multiply the rate by `gamma` at each of the given steps."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        passed = bisect.bisect_right(self.milestones, self.last_epoch)
        due = passed - bisect.bisect_left(self.milestones, self.last_epoch)
        return [group["lr"] * self.gamma**due for group in self.groups]


class ExponentialLR(LRScheduler):
    """Multiply the rate by `gamma` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        return [group["lr"] * (self.gamma if self.last_epoch > 0 else 1) for group in self.groups]


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
        change = 1.0
        if self.last_epoch == 0:
            change = self.factor
        elif self.last_epoch == self.total_iters:
            change = 1.0 / self.factor
        return [group["lr"] * change for group in self.groups]


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
        elif self.last_epoch > count:
            change = 1.0
        else:
            change = 1.0 + rise / (count * start + (self.last_epoch - 1) * rise)
        return [group["lr"] * change for group in self.groups]


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
        if step == 0 or step > end:
            return [group["lr"] for group in self.groups]
        change = ((1.0 - step / end) / (1.0 - (step - 1) / end)) ** self.power
        return [group["lr"] * change for group in self.groups]


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
        if step == 0:
            return [group["lr"] for group in self.groups]
        if (step - 1 - end) % (2 * end) == 0:
            return [
                group["lr"] + (base - low) * (1 - math.cos(math.pi / end)) / 2
                for base, group in zip(self.base_lrs, self.groups, strict=True)
            ]
        ratio = (1 + math.cos(math.pi * step / end)) / (1 + math.cos(math.pi * (step - 1) / end))
        return [ratio * (group["lr"] - low) + low for group in self.groups]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the initial rate down to `eta_min`, over and over; each is `T_mult` times as long as the last.

    The first takes `T_0` steps. `step(epoch)` takes fractions too: `schedule.step(epoch + batch / batches)`.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        at, length = float(self.last_epoch), self.T_0
        if self.T_mult == 1:
            at %= length
        while at >= length:
            at, length = at - length, length * self.T_mult
        part = (1 + math.cos(math.pi * at / length)) / 2
        return [self.eta_min + (base - self.eta_min) * part for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on by one step, or to `epoch`, which may be a fraction."""
        if epoch is not None:
            self.last_epoch = epoch - 1  # type: ignore[assignment]
        super().step()


class OneCycleLR(LRScheduler):
    """Warm up from max_lr / div_factor to `max_lr`, then anneal to that start / final_div_factor, in `total_steps`.

    The warm-up takes `pct_start` of the steps. With `cycle_momentum` the momentum (beta1 for Adam) runs the other way,
    from `max_momentum` down to `base_momentum` and back. `three_phase` mirrors the warm-up before the final descent.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
            total_steps = epochs * steps_per_epoch
        if total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        up = pct_start * total_steps - 1
        # Each phase: its last step, where it starts and where it ends, as names of entries in a group.
        if three_phase:
            self.phases = [
                (up, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                (2 * up, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        else:
            self.phases = [
                (up, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                (total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"),
            ]
        groups = optimizer.param_groups
        self._in_betas = "betas" in optimizer.defaults
        if cycle_momentum and not self._in_betas and "momentum" not in optimizer.defaults:
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
        if last_epoch == -1:
            for index, group in enumerate(groups):
                group["max_lr"] = _pick("max_lr", max_lr, index, len(groups))
                group["lr"] = group["initial_lr"] = group["max_lr"] / div_factor
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    group["max_momentum"] = _pick("max_momentum", max_momentum, index, len(groups))
                    group["base_momentum"] = _pick("base_momentum", base_momentum, index, len(groups))
                    self._set_momentum(group, group["max_momentum"])
        super().__init__(optimizer, last_epoch)

    def _set_momentum(self, group: Group, value: float) -> None:
        if self._in_betas:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2.0 * (1 + math.cos(math.pi * part))
        return (end - start) * part + start

    def get_lr(self) -> Rates:
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is {self.total_steps}"
            )
        rates = []
        for group in self.groups:
            begin = 0.0
            rate = group["lr"]
            for index, (end, lr_from, lr_to, m_from, m_to) in enumerate(self.phases):
                if step <= end or index == len(self.phases) - 1:
                    part = (step - begin) / (end - begin)
                    rate = self._between(group[lr_from], group[lr_to], part)
                    if self.cycle_momentum:
                        self._set_momentum(group, self._between(group[m_from], group[m_to], part))
                    break
                begin = end
            rates.append(rate)
        return rates


def _pick(name: str, value: float | Sequence[float], index: int, count: int) -> float:
    if isinstance(value, (list, tuple)):
        if len(value) != count:
            raise ValueError(f"expected {count} values for {name}, got {len(value)}")
        return float(value[index])
    return float(value)  # type: ignore[arg-type]


class SequentialLR(LRScheduler):
    """One schedule after the other: `schedulers[i + 1]` begins, at its step 0, at step `milestones[i]`.

    >>> import pappus as pp
    >>> opt = pp.optim.SGD([pp.ones(1, requires_grad=True)], lr=1.0)
    >>> warm_up, decay = LinearLR(opt, 0.5, total_iters=2), ExponentialLR(opt, 0.9)
    >>> schedule = SequentialLR(opt, [warm_up, decay], milestones=[2])
    >>> for _ in range(3):
    ...     opt.step(); schedule.step()
    >>> schedule.get_last_lr()
    [0.9]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} milestones, "
                f"got {len(milestones)}"
            )
        if any(scheduler.optimizer is not optimizer for scheduler in schedulers):
            raise ValueError("SequentialLR: all schedulers must belong to the optimizer that is given")
        self.optimizer = optimizer
        self._schedulers = list(schedulers)
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for scheduler in self._schedulers:
            scheduler._rewind()
        self._schedulers[0].step()
        self._last_lr = self._schedulers[0].get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go on by one step."""
        if epoch is not None:
            raise ValueError("SequentialLR.step() takes no epoch")
        self.last_epoch += 1
        which = bisect.bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[which]
        scheduler.step(0 if which and self._milestones[which - 1] == self.last_epoch else None)
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The position, and the state of every schedule."""
        return {
            "last_epoch": self.last_epoch, "_last_lr": self._last_lr, "_milestones": self._milestones,
            "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers],
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "_schedulers"})


class ReduceLROnPlateau:
    """Multiply the rate by `factor` when a metric has not improved for more than `patience` calls of `step(metric)`."""

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        self.optimizer = optimizer
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        count = len(optimizer.param_groups)
        self.min_lrs = [_pick("min_lr", min_lr, index, count) for index in range(count)]
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def get_last_lr(self) -> Rates:
        """The rates that the last `step()` left."""
        return self._last_lr

    def step(self, metrics: Any) -> None:
        """Tell the newest value of the metric."""
        value = float(metrics)
        self.last_epoch += 1
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                new = max(group["lr"] * self.factor, low)
                if group["lr"] - new > self.eps:
                    group["lr"] = new
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            return sign * value < sign * self.best * (1 - sign * self.threshold)
        return sign * value < sign * self.best - self.threshold

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.__dict__.update(state_dict)
