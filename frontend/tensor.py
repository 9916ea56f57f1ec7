"""The tensor: an array, whether it wants a gradient, and the node of the tape that made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import dtypes
from .device import device_name, to_host, using
from .dtypes import DType, from_numpy_dtype
from .errors import ArgumentError, AutogradError, DeviceError, DTypeError, UnsupportedError
from .memory_format import is_laid_out
from .symbolic import SymbolicArray
from .tape import HookHandle, Node, Storage, caller, history_of, state

__all__ = ["Device", "HookHandle", "Size", "Tensor"]

_FROM_NUMPY = dtypes._FROM_NUMPY


class Size(tuple[Any, ...]):
    """A shape: a tuple of sizes with `numel()`; during capture an element may be a SymInt.

    >>> import pappus as pp
    >>> pp.zeros(2, 3).shape
    pappus.Size([2, 3])
    """

    __slots__ = ()

    def numel(self) -> Any:
        """The number of elements: the product of the sizes."""
        count: Any = 1
        for n in self:
            count = count * n
        return count

    def __getitem__(self, at: Any) -> Any:
        found = tuple.__getitem__(self, at)
        return Size(found) if isinstance(at, slice) else found

    def __add__(self, other: Any) -> Size:
        return Size(tuple(self) + tuple(other))

    def __repr__(self) -> str:
        return f"pappus.Size([{', '.join(map(str, self))}])"


class Device(str):
    """Where a tensor lives: "cpu", or "cuda" with CuPy. Compares equal to its name and has torch's `type` and `index`;
    a context, too, for the CPU.

    >>> Device("cuda", 1).index, Device("cuda:1").type
    (1, 'cuda')
    """

    __slots__ = ()

    def __new__(cls, type: Any = "cpu", index: int | None = None) -> Device:
        return str.__new__(cls, type if index is None else f"{type}:{index}")

    @property
    def type(self) -> str:
        """The kind of device, without its number."""
        return str(self).split(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """The number of the device, None for the current one."""
        number = str(self).partition(":")[2]
        return int(number) if number else None

    def __enter__(self) -> Device:
        if self.type != "cpu":
            raise UnsupportedError(f"`with device({str(self)!r})`: give the device where tensors are made, or .to()")
        return self

    def __exit__(self, *exc: Any) -> None:
        return None


_CPU = Device("cpu")
_new: Any = object.__new__


def owner_of(array: Any) -> Any:
    """The array whose memory a view shows."""
    while True:
        base = array.base
        if base is not None and not isinstance(base, np.ndarray):  # numpy's as_strided puts an object between
            base = getattr(base, "base", None)
        if not isinstance(base, np.ndarray) or base.dtype != array.dtype:
            return array
        array = base


class Tensor:
    """An n-dimensional array that operators act on and gradients flow through.

    Made by `pp.tensor(data)`, `pp.zeros(...)`, `pp.from_numpy(array)` and by every operator. Attributes: `shape`,
    `dtype`, `device`, `requires_grad`, `grad` (filled by `backward()`), `grad_fn`, `is_leaf`.

    >>> import pappus as pp
    >>> x = pp.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    # What every call reads is in slots, which are read several times faster than defaults of the class; the operators'
    # fronts fill them by themselves (see fronts.MAKE). Anything else goes into the instance's dictionary.
    __slots__ = (
        "__dict__", "__weakref__", "_base", "_data", "_index", "_made", "_node", "_recipe", "_requires_grad", "_seen",
        "_storage",
    )  # fmt: skip
    _data: Any
    _requires_grad: bool
    _node: Node | None
    _index: int
    _storage: Storage | None
    _base: Tensor | None  # of a view (see inplace): whose memory it shows, by which operators,
    _recipe: Any
    _seen: Node | None  # the base's node that its own is derived from, and what keeps it from being written
    _made: str | None
    _wrapped: bool = False
    _grad: Tensor | None = None
    _hooks: list[Any] | None = None
    _post_hooks: list[Any] | None = None
    _retain: HookHandle | None = None
    _cut: Any = None
    __array_priority__ = 1000

    if TYPE_CHECKING:
        # Operators' methods are attached by tensor_methods, from their schemas.
        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __rfloordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __rmod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """A tensor without numbers: leaf, without gradient, of memory of its own."""
        made = _new(cls)
        made._node = made._storage = made._base = made._recipe = made._seen = made._made = None
        made._requires_grad = False
        made._index = 0
        return made  # type: ignore[no-any-return]

    def __init__(
        self, data: Any = None, *sizes: int, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> None:
        """A tensor holding a copy of `data` (numbers, nested lists, an array); integers become float32, see
        `pp.tensor`. Given sizes, a tensor of that shape with elements that mean nothing, see `pp.empty`."""
        if sizes or type(data) is int or type(data) is Size:
            shape = data if isinstance(data, Size) else (data, *sizes)
            self._data = np.zeros(shape, dtypes.as_dtype(dtype or dtypes._default).numpy)
        elif isinstance(data, Tensor):
            self._data = data._data
        else:
            self._data = np.array(() if data is None else data, dtype=dtypes.as_dtype(dtype or dtypes._default).numpy)
        if requires_grad:
            self.requires_grad = True

    @classmethod
    def _from_data(cls, data: Any, requires_grad: bool = False) -> Tensor:
        """Wrap an array (or, during capture, a SymbolicArray) without copying or checking."""
        out = _new(cls)
        out._data = data
        out._node = out._storage = out._base = out._recipe = out._seen = out._made = None
        out._requires_grad = requires_grad
        out._index = 0
        return out  # type: ignore[no-any-return]

    # -- what it is ---------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return Size(self._data.shape)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._data.shape)

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        dtype = self._data.dtype
        if type(dtype) is DType:
            return dtype
        return _FROM_NUMPY.get(dtype) or from_numpy_dtype(dtype)

    @property
    def wrapped(self) -> bool:
        """Whether this is a Python number that was given to an operator: it takes no part in choosing the type."""
        return self._wrapped

    @property
    def device(self) -> Device:
        """Where the numbers live: "cpu", or "cuda:0" and so on."""
        return _CPU if type(self._data) is np.ndarray or using.kind is None else Device(device_name(self._data))

    @property
    def is_cuda(self) -> bool:
        """Whether the numbers live on a GPU."""
        return bool(self.device != "cpu")

    @property
    def is_symbolic(self) -> bool:
        """Whether this tensor has a shape and a type but no numbers: it is being captured."""
        return isinstance(self._data, SymbolicArray)

    is_sparse = is_quantized = is_nested = is_meta = False
    layout = "strided"

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Any:
        """Bytes of all elements."""
        return self.shape.numel() * self.itemsize

    def element_size(self) -> int:
        """Bytes per element."""
        return self.dtype.itemsize

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.shape if dim is None else self._data.shape[dim]

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self._data.shape)

    ndimension = dim

    def numel(self) -> Any:
        """The number of elements."""
        return self.shape.numel()

    nelement = numel

    def stride(self, dim: int | None = None) -> Any:
        """Steps between neighbours along each dimension, in elements."""
        strides = tuple(s // self._data.itemsize for s in self.__array_data("stride").strides)
        return strides if dim is None else strides[dim]

    def storage_offset(self) -> int:
        """Offset of the first element from the start of the memory this tensor is a view of, in elements."""
        array = self.__array_data("storage_offset")
        owner = owner_of(array)
        first, start = array.__array_interface__["data"][0], owner.__array_interface__["data"][0]
        return int(first - start) // int(array.itemsize)

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in memory in row-major order (or that of `memory_format`) without gaps."""
        return self.is_symbolic or is_laid_out(self._data, memory_format)

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(self.__array_data("data_ptr").__array_interface__["data"][0])

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the elements are complex numbers."""
        return self.dtype.is_complex

    def is_conj(self) -> bool:
        """Always false: `conj()` computes its result at once."""
        return False

    def is_signed(self) -> bool:
        """Whether the type has negative numbers."""
        return self.dtype.is_signed

    def __len__(self) -> Any:
        if not self._data.shape:
            raise ArgumentError("len() of a 0-d tensor; use .numel(), or .item() for its number")
        return self._data.shape[0]

    def __hash__(self) -> int:
        return id(self)

    def __dir__(self) -> list[str]:
        # Python looks for the nearest of at most 750 names when it prints an AttributeError.
        return [name for name in object.__dir__(self) if name.startswith("__") or not name.startswith("_")]

    def __repr__(self) -> str:
        from .printing import tensor_text

        return tensor_text(self)

    def __format__(self, spec: str) -> str:
        if not spec:
            return repr(self)
        if self._data.shape:
            raise ArgumentError(
                f"format {spec!r} is for a 0-d tensor, this one has shape {list(self.shape)}; format an element"
            )
        return format(self.item(), spec)

    # -- numbers out --------------------------------------------------------------------------------

    def __array_data(self, what: str) -> Any:
        """The array, or what the capturing mode says instead of one (it raises)."""
        if isinstance(self._data, SymbolicArray):
            if state.mode is None:
                raise AutogradError(f"{what}: a tensor of a finished capture has no numbers; use the captured program")
            return state.mode.concretize(self, what)
        if using.kind is None or isinstance(self._data, np.ndarray):
            return self._data
        if what in ("numpy()", "__array__"):
            raise DeviceError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
                "memory first."
            )
        return to_host(self._data)

    def numpy(self, *, force: bool = False) -> Any:
        """The elements as a numpy array that shares memory. Raises AutogradError where a gradient would be lost."""
        if self._requires_grad and not force:
            raise AutogradError(
                "numpy() on a tensor that requires grad: the gradient would not see what numpy does; "
                "use tensor.detach().numpy()"
            )
        return self.__values("numpy()")

    def __values(self, what: str) -> Any:
        """The array, as numbers also where its type only stores them."""
        array, dtype = self.__array_data(what), self.dtype
        return array.view(dtype.values) if dtype.is_storage else array

    def item(self) -> Any:
        """The only element as a Python number. Raises ArgumentError unless there is exactly one."""
        array = self._data
        if type(array) is np.ndarray and array.size == 1 and array.dtype.kind in "fiu":
            return array.item()
        array = self.__array_data("item()")
        if not isinstance(array, np.ndarray):
            return array
        if array.size != 1:
            raise ArgumentError(
                f"item() needs a tensor with exactly one element, got shape {list(array.shape)}; reduce it first "
                "(e.g. .sum() or .mean()), index one element, or use .tolist()"
            )
        found = array.reshape(-1).view(self.dtype.values)[0]
        if self.dtype.is_storage:
            return float(found) if self.dtype.is_floating_point else int(found)
        return float(found) if self.dtype.is_floating_point else found.item()

    def tolist(self) -> Any:
        """The elements as nested Python lists (a number for a 0-d tensor)."""
        array = self.__array_data("tolist()")
        dtype = self.dtype
        if dtype.values.kind == "V" or dtype.is_storage:  # types of ml_dtypes, whose elements are not Python numbers
            array = array.view(dtype.values).astype(np.float32 if dtype.is_floating_point else np.int8)
        return array.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy() if self._requires_grad else self.__values("__array__")
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __one(self, what: str) -> Any:
        array = self.__array_data(what)
        if not isinstance(array, np.ndarray):
            return array
        if array.size != 1:
            hint = " Use .any() or .all()." if what == "bool()" else " Reduce it or index one element first."
            raise ArgumentError(f"{what} of a tensor of shape {list(array.shape)} is ambiguous.{hint}")
        if self.dtype.is_complex and what in ("int()", "float()") and array.reshape(-1)[0].imag:
            raise DTypeError(f"{what} of the complex number {self.item()}; take .real, .imag or .abs() first")
        if self.dtype.is_storage:
            return self.item()
        found = array.reshape(-1)[0]
        return found.real if what in ("int()", "float()") else found

    def __bool__(self) -> bool:
        return bool(self.__one("bool()"))

    def __int__(self) -> int:
        return int(self.__one("int()"))

    def __float__(self) -> float:
        return float(self.__one("float()"))

    def __complex__(self) -> complex:
        return complex(self.__one("complex()"))

    def __index__(self) -> int:
        if self.dtype.category > 1:
            raise DTypeError(
                f"only an integer tensor can be an index, this one is {self.dtype}; use int(t) or t.long()"
            )
        return int(self.__one("int()"))

    def __iter__(self) -> Iterator[Tensor]:
        if not self._data.shape:
            raise ArgumentError("iteration over a 0-d tensor; use .item()")
        return iter(self.unbind(0))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    # -- gradient -----------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether `backward()` computes a gradient for this tensor or for something it was made from."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and not self.dtype.differentiable:
            raise DTypeError(
                f"only floating-point and complex tensors can require gradients, this one is {self.dtype}; use .float()"
            )
        if value and self._storage is not None:
            self._storage.version  # noqa: B018 - one of inference mode refuses
        if not value and history_of(self) is not None:
            raise AutogradError("requires_grad can be switched off only for leaf tensors; use x = x.detach() instead")
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` in place and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operator made this tensor: leaves that require grad get a `.grad`."""
        return not self._requires_grad or history_of(self) is None

    @property
    def grad_fn(self) -> Node | None:
        """The tape node that made this tensor; its `location` is the user's line."""
        return history_of(self) if self._requires_grad else None

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient, None before the first `backward()`."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise ArgumentError(f"grad must be a Tensor or None, got {type(value).__name__}")
            if value is self:
                raise ArgumentError("a tensor cannot be its own gradient")
            if value._data.shape != self._data.shape:
                raise ArgumentError(
                    f"grad of shape {list(value.shape)} for a tensor of shape {list(self.shape)}; they must be equal"
                )
        self._grad = value

    @property
    def data(self) -> Tensor:
        """The same numbers without history; changes to it are not seen by the gradient's checks."""
        out = Tensor._from_data(self._data)
        storage = self._storage
        if storage is None:
            storage = self._storage = Storage()
        out._storage = Storage()
        out._storage.owner = storage if storage.owner is None else storage.owner
        return out

    @data.setter
    def data(self, value: Tensor) -> None:
        self._data = value._data
        self._storage = self._base = self._recipe = None

    @property
    def _version(self) -> int:
        return 0 if self._storage is None else self._storage.version

    def is_inference(self) -> bool:
        """Whether this tensor was made in `inference_mode`."""
        from .grad_mode import is_inference

        return is_inference(self)

    def detach(self) -> Tensor:
        """The same memory, cut from the tape: no gradient flows through the result."""
        out = Tensor._from_data(self._data)
        storage = self._storage
        if storage is None:
            storage = self._storage = Storage()
        out._storage = storage
        if self._requires_grad:
            state.cuts["detach()"] = caller()
        return out

    def detach_(self) -> Tensor:
        """Cut this tensor from the tape, in place. Raises AutogradError on a view: its base would keep the history."""
        if self._base is not None and self._requires_grad:
            raise AutogradError("detach_(): this tensor is a view of another; use x = x.detach() instead")
        self._node, self._requires_grad = None, False
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add this tensor's gradient to `.grad` of the leaves it was made from; see `pp.autograd.backward`."""
        from . import autograd

        autograd.backward(self, gradient, retain_graph, create_graph, inputs)

    def retain_grad(self) -> None:
        """Keep this non-leaf tensor's gradient in `.grad` too."""
        if not self._requires_grad:
            raise AutogradError("retain_grad() on a tensor that does not require grad; call x.requires_grad_() first")
        if history_of(self) is not None and self._retain is None:
            import weakref

            me = weakref.ref(self)

            def keep(grad: Tensor) -> None:
                target = me()
                if target is not None:
                    target._grad = grad if target._grad is None else target._grad + grad

            keep.retains = True  # type: ignore[attr-defined]
            self._retain = self.register_hook(keep)

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad()` was called on this non-leaf tensor."""
        return self._retain is not None

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call `hook(grad)` when this tensor's gradient is complete; what it returns, if not None, replaces the
        gradient."""
        if not self._requires_grad:
            raise AutogradError("register_hook() on a tensor that does not require grad; call x.requires_grad_() first")
        node = history_of(self)
        if node is None:
            if self._hooks is None:
                self._hooks = []
            hooks = self._hooks
        else:
            if node.hooks is None:
                node.hooks = {}
            hooks = node.hooks.setdefault(self._index, [])
        at = len(hooks)
        while at and getattr(hooks[at - 1], "retains", False):  # what retain_grad() keeps has been through every hook
            at -= 1
        hooks.insert(at, hook)
        return HookHandle(hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> HookHandle:
        """Call `hook(tensor)` after `backward()` has added to this leaf's `.grad`."""
        if self._node is not None or not self._requires_grad:
            raise AutogradError("post-accumulate hooks are for leaf tensors that require grad")
        if self._post_hooks is None:
            self._post_hooks = []
        self._post_hooks.append(hook)
        return HookHandle(self._post_hooks, hook)

    def __reduce_ex__(self, protocol: Any) -> Any:
        array = self.__array_data("pickle")
        return _rebuild, (type(self), array, self.dtype.name, self._requires_grad and self._node is None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise AutogradError("deepcopy of a tensor that an operator made; use x.detach().clone()")
        import copy

        array = self.__array_data("deepcopy") if self.is_symbolic else self._data
        out = type(self)._from_data(array.copy(), self._requires_grad)
        memo[id(self)] = out
        for name, value in self.__dict__.items():
            if name not in ("_hooks", "_post_hooks"):
                out.__dict__[name] = copy.deepcopy(value, memo)
        return out


def _rebuild(cls: type[Tensor], array: Any, dtype: str, requires_grad: bool) -> Tensor:
    return cls._from_data(array.view(dtypes.BY_NAME[dtype].numpy), requires_grad)
