"""The place of `pappus.utils.data`, `pappus.utils.checkpoint` and what else PyTorch keeps there."""

from typing import Any

from pappus.utils import checkpoint, data

__all__ = ["checkpoint", "data", "swap_tensors"]


def swap_tensors(t1: Any, t2: Any) -> None:
    """Exchange two tensors: each name then stands for what the other was, numbers, gradient and history.

    >>> import pappus as pp
    >>> a, b = pp.ones(1), pp.zeros(2)
    >>> swap_tensors(a, b); a, b
    (tensor([0., 0.]), tensor([1.]))
    """
    from pappus.frontend.tensor import Tensor

    for name in (name for name in Tensor.__slots__ if not name.startswith("__")):
        first, second = getattr(t1, name), getattr(t2, name)
        setattr(t1, name, second)
        setattr(t2, name, first)
    t1.__dict__, t2.__dict__ = t2.__dict__, t1.__dict__


def __getattr__(name: str) -> Any:
    if name in ("_pytree", "benchmark", "hooks", "tensorboard"):
        import importlib

        return importlib.import_module(f"pappus.utils.{name}")
    if name in ("_triton", "flop_counter"):
        from pappus.torch.answers import Answers, answer, never

        known = {"has_triton": answer(False), "has_triton_package": answer(False)}
        way_out = "count the operators of an exported program: pappus inspect"
        counter = {"FlopCounterMode": never("utils.flop_counter.FlopCounterMode", way_out)}
        doc = "Answers about what is not there."
        return Answers(f"torch.utils.{name}", doc, known if name == "_triton" else counter)
    raise AttributeError(f"module 'pappus.utils' has no attribute {name!r}", name=name)
