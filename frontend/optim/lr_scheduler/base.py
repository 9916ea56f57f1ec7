"""What schedules share: the position, the rates of all groups, saving and loading."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pappus.frontend.autograd import no_grad
from pappus.frontend.optim.optimizer import Group, Optimizer
from pappus.frontend.tensor import Tensor

Rates: TypeAlias = list[float]


def check_optimizer(optimizer: Any) -> None:
    """Refuse what is not an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer; a schedule is made for an Optimizer")


def set_rate(group: Group, rate: float) -> None:
    """Set the rate of a group; one that is a tensor is filled, so that who holds it sees the change."""
    if isinstance(group["lr"], Tensor):
        with no_grad():
            group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def for_groups(name: str, value: Any, optimizer: Optimizer) -> list[float]:
    """One number for each group from a number or a list."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups: expected {count} values, got {len(value)}"
        )
    return list(value)


class LRScheduler:
    """Base class: subclasses define `get_lr()`, the rates of all groups at `last_epoch`.

    The rate at step 0 is set when the scheduler is made; call `step()` after each `optimizer.step()` or once per epoch.
    A schedule whose `get_lr` goes by the rates before defines `_get_closed_form_lr()` too, for `step(epoch)`.
    """

    _get_closed_form_lr: Callable[[], Rates] | None = None
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                rate = group["lr"]
                group.setdefault("initial_lr", rate.detach().clone() if isinstance(rate, Tensor) else rate)
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{index}] when resuming scheduler with "
                    "last_epoch >= 0; load the optimizer's state dict before making the scheduler"
                )
        self.base_lrs: Rates = [_plain(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = -1
        self._last_lr: Rates = []
        self._initial_step()

    def _initial_step(self) -> None:
        """The first step, to the rate at step 0 (or, resumed, at `last_epoch` + 1): rates that go by the rate before
        stay as they are."""
        self._step_count = 0
        self._is_initial = True
        try:
            self._advance(None)
        finally:
            self._is_initial = False

    @property
    def groups(self) -> list[Group]:
        """The optimizer's parameter groups."""
        return self.optimizer.param_groups

    @property
    def rates(self) -> Rates:
        """The rates of all groups now."""
        return [_plain(group["lr"]) for group in self.optimizer.param_groups]

    def get_lr(self) -> Rates:
        """The learning rate of each group at `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def get_last_lr(self) -> Rates:
        """The rates that the last `step()` set."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on by one step; or to step `epoch`, by the closed form where the schedule has one."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "lr_scheduler.step() was called before optimizer.step(): the first rate of the schedule is skipped. "
                "Call optimizer.step() first",
                stacklevel=2,
            )
        self._advance(epoch)

    def _advance(self, epoch: int | None) -> None:
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = epoch
            rates = self.get_lr() if self._get_closed_form_lr is None else self._get_closed_form_lr()
        self._set(rates)

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.groups, rates, strict=True):
            set_rate(group, rate)
        self._last_lr = self.rates

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions; objects that are called give their attributes."""
        return {name: _saved(value) for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for name, value in state_dict.items():
            mine = self.__dict__.get(name)
            if isinstance(mine, list) and any(map(callable, mine)):
                for function, saved in zip(mine, value, strict=True):
                    if saved is not None:
                        function.__dict__.update(saved)
            elif callable(mine):
                if value is not None:
                    mine.__dict__.update(value)
            else:
                self.__dict__[name] = value


def _plain(rate: Any) -> float:
    return float(rate) if isinstance(rate, Tensor) else rate


def _saved(value: Any) -> Any:
    """A value as it is saved: functions as None, callable objects as their attributes, lists of them element-wise."""
    if isinstance(value, list) and any(map(callable, value)):
        return [_saved(v) for v in value]
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)):
        return None
    return dict(value.__dict__) if callable(value) and hasattr(value, "__dict__") else value
