"""What an operator is: one `OpDef` per operator, declared in one place, kept in `OPS`.

`operator(schema, doc=..., shape=..., eager=..., vjp=..., decompose=...)` declares one and returns its public function.
Hooks are plain functions:

    shape(*specs, **attrs) -> Spec            checks arguments and gives the result's shape and type (sizes may be
    SymInt) eager(xp, *arrays, **attrs) -> array      the kernel, on the array module `xp` (numpy) vjp(g, out, *inputs,
    **attrs) -> grads    the gradient, in operators; one entry per tensor argument, None for "no gradient"
    decompose(*tensors, **attrs) -> Tensor    the same thing in smaller operators

`vjp` may name a parameter with a leading underscore (`_out`, `_a`) to say that it needs only its shape and type: the
numbers are then not kept alive for it. Its gradients may still have the broadcast shape or a wider type: the engine
sums and casts them to the input's. An operator without `vjp` or `shape` gets them from `decompose`.

A kernel takes real numbers only, unless `complex` says otherwise: "holomorphic" (the vjp is written as for real
numbers, and the engine conjugates: the gradient is conj(vjp(conj(g)))), "own" (the vjp follows PyTorch's convention by
itself, or is the same for both, as where elements only move), or "forward" (no gradient). `storage` says that it only
moves elements, so that types that cannot be computed with (float8) pass too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .dtypes import DType, from_numpy_dtype, stores_only
from .errors import ArgumentError, DTypeError, UnsupportedError
from .schema import Schema, parse

__all__ = ["OPS", "OpDef", "Sample", "Spec", "operator"]


_MOVING = {"movement", "index"}  # tags of operators that only move elements


@dataclass(frozen=True)
class Spec:
    """What a shape rule sees and returns: sizes (int or SymInt) and the element type."""

    shape: tuple[Any, ...]
    dtype: DType
    wrapped: bool = False

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)


@dataclass
class Sample:
    """Arguments on which tests run an operator."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


class OpDef:
    """One operator: its schema, the hooks described in this module, and facts other stages use.

    `view` says that the result shares memory with the first argument, and `write(base, new, **attrs)` is then, in
    operators, what that argument becomes when the result becomes `new`; `check` that the shape rule runs before the
    eager kernel (else only when the kernel fails); `ufunc` is the numpy function that does on float32 and float64 what
    the kernel does, and `quiet` that it never warns, whatever the numbers; `differentiable` is False where a gradient
    makes no sense; `onnx`, `kernel` and `quant` belong to export; `inline` operators are shorthand: modes see only what
    they decompose into; `tags` are free words ("pointwise", "reduce", "inplace", "random", "varargs"; "into": the
    kernel takes `out=`, arrays to write to; "wide": floating-point operands are float32 or float64).
    """

    def __init__(self, schema: Schema, doc: str, **hooks: Any) -> None:
        self.schema = schema
        self.name = schema.name
        self.doc = doc
        self.shape_rule: Callable[..., Any] | None = hooks.pop("shape", None)
        self.eager: Callable[..., Any] | None = hooks.pop("eager", None)
        self.ufunc: Any = hooks.pop("ufunc", None)
        self.quiet: bool = hooks.pop("quiet", False)
        self.vjp: Callable[..., Any] | None = hooks.pop("vjp", None)
        self.decompose: Callable[..., Any] | None = hooks.pop("decompose", None)
        self.samples: Callable[[], Iterable[Sample]] | None = hooks.pop("samples", None)
        self.view: bool = hooks.pop("view", False)
        self.write: Callable[..., Any] | None = hooks.pop("write", None)
        self.check: bool = hooks.pop("check", True)
        self.differentiable: bool = hooks.pop("differentiable", True)
        self.onnx: Any = hooks.pop("onnx", None)
        self.kernel: Any = hooks.pop("kernel", None)
        self.quant: Any = hooks.pop("quant", None)
        self.inline: bool = hooks.pop("inline", False)
        self.tags: frozenset[str] = frozenset(hooks.pop("tags", ()))
        self.complex: str | None = hooks.pop("complex", "own" if self.tags & _MOVING else None)
        self.storage: bool = hooks.pop("storage", bool(self.tags & _MOVING))
        if hooks:
            raise ArgumentError(f"operator {self.name}: unknown hooks {', '.join(hooks)}")
        if self.decompose is None and (self.eager is None or self.shape_rule is None):
            raise ArgumentError(f"operator {self.name}: needs shape and eager, or decompose")
        # Sums and products of matrices refuse storage types by themselves, and are too frequent to be asked each time.
        safe = self.complex is not None and (self.storage or bool(self.tags & {"contraction", "reduce"}))
        if self.eager is not None and not safe:
            self.eager = _guarded(self, self.eager)
        tensors = schema.tensors
        self.has_list = any(p.type == "Tensor[]" for p in tensors)
        self.multi = len(schema.returns) > 1 or schema.returns[0].endswith("[]")
        self.keeps_out, self.keeps = _kept(self.vjp, len(tensors))
        self.accepted: set[Any] = set()  # calls that the shape rule has accepted, see dispatch.check
        self.front: Callable[..., Any] | None = None
        self.gradients: Any = None  # see vjps: written when a gradient is first asked for, False where it cannot be

    def shape(self, *specs: Any, **attrs: Any) -> Any:
        """The result's Spec (a tuple of them for several results) from the arguments' Specs; None stands for None."""
        if self.shape_rule is not None:
            return self.shape_rule(*specs, **attrs)
        from .dispatch import infer_by_decomposition

        return infer_by_decomposition(self, specs, attrs)

    def check_type(self, dtype: DType) -> None:
        """Raise DTypeError for a type of operand that this operator's kernel does not take: complex, or for storage."""
        if dtype.is_complex and self.complex is None and self.eager is not None:
            raise DTypeError(
                f"{self.name} is not defined for complex tensors, got {dtype}; use it on x.real, x.imag, x.abs() or "
                "pappus.view_as_real(x)"
            )
        if dtype.is_storage and not self.storage and self.eager is not None:
            raise DTypeError(f"{self.name} of {dtype}: {stores_only(dtype)}")

    @property
    def is_primitive(self) -> bool:
        """Whether the operator has no decomposition."""
        return self.decompose is None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.front is None:
            raise UnsupportedError(f"operator {self.name} is not bound yet")
        return self.front(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<operator {self.schema}>"


def _guarded(op: OpDef, kernel: Callable[..., Any]) -> Callable[..., Any]:
    """`kernel`, refusing arrays of which numpy would compute something without a meaning: the larger of two complex
    numbers."""

    typed = any(p.name == "dtype" for p in op.schema.attrs)

    def run(xp: Any, *arrays: Any, **attrs: Any) -> Any:
        if typed and attrs.get("dtype") is not None:
            op.check_type(attrs["dtype"])
        for array in arrays:
            for one in array if type(array) is list else (array,):
                if one is not None and one.dtype.kind in "cV":
                    op.check_type(from_numpy_dtype(one.dtype))
        return kernel(xp, *arrays, **attrs)

    return run


def _kept(vjp: Callable[..., Any] | None, count: int) -> tuple[bool, tuple[bool, ...]]:
    """Whether `vjp` needs the numbers of the result and of each tensor argument, from its parameter names."""
    if vjp is None:
        return False, (True,) * count
    code = vjp.__code__
    names = code.co_varnames[: code.co_argcount]
    if len(names) < 2 + count:  # *inputs
        return True, (True,) * count
    return not names[1].startswith("_"), tuple(not n.startswith("_") for n in names[2 : 2 + count])


OPS: dict[str, OpDef] = {}


def operator(schema: str, doc: str, **hooks: Any) -> Callable[..., Any]:
    """Declare an operator (see the module's text for the hooks) and return its public function.

    Raises ArgumentError when the name is taken or a required hook is missing.
    """
    from .fronts import make_front

    parsed = parse(schema)
    if parsed.name in OPS:
        raise ArgumentError(f"operator {parsed.name} is declared twice")
    op = OpDef(parsed, doc, **hooks)
    OPS[op.name] = op
    front = op.front = make_front(op)
    front.__doc__ = f"{doc}\n\n    {parsed.text}"
    front.__module__ = "pappus"
    front.op = op
    return front  # type: ignore[no-any-return]
