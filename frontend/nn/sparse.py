"""Embedding: a table of vectors, looked up by index, one by one or reduced over bags."""

from __future__ import annotations

from typing import Any

from pappus.frontend.autograd import no_grad
from pappus.frontend.errors import UnsupportedError
from pappus.frontend.nn import functional as F
from pappus.frontend.nn import init
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import Parameter, new_parameter
from pappus.frontend.tensor import Tensor


class _Table(Module):
    """What both layers share: the table, its options and its first values."""

    weight: Parameter

    def _configure(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, max_norm: float | None,
        norm_type: float, scale_grad_by_freq: bool, sparse: bool,
    ) -> None:  # fmt: skip
        name = type(self).__name__
        if sparse:
            raise UnsupportedError(f"{name}: sparse gradients are not supported; use sparse=False")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(
                    f"{name}: padding_idx {padding_idx} must be within num_embeddings ({num_embeddings})"
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse

    def _fill(self, given: Tensor | None, frozen: bool, device: Any, dtype: Any) -> None:
        """Make the table: the given one, or a new one with its first values."""
        shape = (self.num_embeddings, self.embedding_dim)
        if given is None:
            self.weight = new_parameter(shape, device, dtype, requires_grad=not frozen)
            self.reset_parameters()
            return
        if tuple(given.shape) != shape:
            raise ValueError(
                f"{type(self).__name__}: shape of weight {list(given.shape)} does not match num_embeddings and "
                "embedding_dim"
            )
        self.weight = Parameter(given, requires_grad=not frozen)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, *args: Any, **options: Any) -> Any:
        """A layer with the given (V, E) table, which learns only with `freeze=False`; more options as of the class."""
        if embeddings.ndim != 2:
            raise ValueError(f"{cls.__name__}.from_pretrained: the table needs two dimensions")
        rows, columns = embeddings.shape
        made: Any = cls
        layer = made(int(rows), int(columns), *args, _weight=embeddings, **options)
        layer.weight.requires_grad = not freeze
        return layer

    def reset_parameters(self) -> None:
        """Draw the initial table again."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text + self._options()

    def _options(self) -> str:
        """The options that are not as usual."""
        usual = (("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False))
        return "".join(f", {name}={getattr(self, name)}" for name, value in usual if getattr(self, name) != value)


class Embedding(_Table):
    """Rows of `weight` (num_embeddings, embedding_dim) at integer indices: (*) to (*, embedding_dim).

    The row `padding_idx` starts at zero and gets no gradient; the others start standard normal. Rows that are looked up
    are first scaled to `max_norm` where their `norm_type`-norm is above it; `scale_grad_by_freq` divides the gradient
    of a row by how often it was looked up. `sparse` gradients are refused.

    >>> import pappus as pp
    >>> Embedding(10, 3, padding_idx=0)(pp.tensor([0])).tolist()
    [[0.0, 0.0, 0.0]]
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._configure(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        self._fill(_weight, _freeze, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        )


class EmbeddingBag(_Table):
    """Sum, mean or maximum of the rows of `weight` (num_embeddings, embedding_dim) over bags of indices.

    Bags are the rows of indices (B, N), or parts of (N) beginning at `offsets` (B) (with `include_last_offset` also
    where the last ends): (B, embedding_dim). `per_sample_weights` multiply the rows of a sum. The row `padding_idx`
    does not count; further options as of `Embedding`.

    >>> import pappus as pp
    >>> EmbeddingBag(10, 3, mode="sum")(pp.tensor([1, 2, 4, 5]), pp.tensor([0, 3])).shape
    pappus.Size([2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._configure(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        self.mode = mode
        self.include_last_offset = include_last_offset
        self._fill(_weight, False, device, dtype)

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, False,
            per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}{self._options()}, mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
