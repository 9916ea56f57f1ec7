"""Losses with layers of their own: adaptive softmax for many classes, and the cross entropy of a linear layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from pappus.frontend import ops
from pappus.frontend.errors import DimError, ShapeError
from pappus.frontend.nn import functional as F
from pappus.frontend.nn.container import ModuleList, Sequential
from pappus.frontend.nn.linear import Linear
from pappus.frontend.nn.loss import _WeightedLoss
from pappus.frontend.nn.module import Module
from pappus.frontend.tensor import Tensor


class AdaptiveLoss(NamedTuple):
    """What `AdaptiveLogSoftmaxWithLoss` returns: the log-probability of each target, and the mean loss."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log softmax over many classes, the rarer the later: frequent ones in a head, the others in clusters of a tail.

    Cluster i has the classes from cutoffs[i] up to cutoffs[i + 1] and projects its input to in_features /
    div_value^(i+1). Inputs (N, in_features) and targets (N) give a pair (output (N), loss).
    After Grave et al., "Efficient softmax approximation for GPUs", 2017.

    >>> import pappus as pp
    >>> loss = AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs=[5, 10])
    >>> loss(pp.zeros(3, 8), pp.tensor([1, 7, 19])).output.shape
    pappus.Size([3])
    """

    def __init__(
        self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0, head_bias: bool = False,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        cutoffs = list(cutoffs)
        wrong = not cutoffs or cutoffs != sorted(set(cutoffs)) or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1
        if wrong or any(int(c) != c for c in cutoffs):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
                f"value is between 1 and n_classes-1, got {cutoffs}"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        made = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **made)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            inner = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(Linear(in_features, inner, bias=False, **made), Linear(inner, size, bias=False, **made))
            )

    def reset_parameters(self) -> None:
        """Draw the initial weights again."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input: Tensor, target: Tensor) -> AdaptiveLoss:
        if target.ndim > 1 or input.ndim != target.ndim + 1 or (target.ndim and input.shape[0] != target.shape[0]):
            raise ShapeError(
                f"AdaptiveLogSoftmaxWithLoss: expected input (N, {self.in_features}) and target (N), or one of each, "
                f"got {list(input.shape)} and {list(target.shape)}"
            )
        x, classes = (input, target) if target.ndim else (input.unsqueeze(0), target.unsqueeze(0))
        if classes.numel() and (int(classes.min()) < 0 or int(classes.max()) >= self.n_classes):
            raise DimError(
                f"AdaptiveLogSoftmaxWithLoss: target values should be in [0, {self.n_classes - 1}], but values in "
                f"range [{int(classes.min())}, {int(classes.max())}] were found"
            )
        heads = self.head(x).log_softmax(1)
        places = classes
        inner: Any = 0
        for i, cluster in enumerate(self.tail):
            low, high = self.cutoffs[i], self.cutoffs[i + 1]
            inside = (classes >= low) & (classes < high)
            rows = ops.nonzero(inside).squeeze(1)
            if not rows.numel():
                continue
            logs = cluster(x[rows]).log_softmax(1).gather(1, (classes[rows] - low).unsqueeze(1)).squeeze(1)
            inner = inner + ops.index_add(ops.zeros(x.shape[0], dtype=logs.dtype), 0, rows, logs)
            places = places.masked_fill(inside, self.shortlist_size + i)
        output = heads.gather(1, places.unsqueeze(1)).squeeze(1) + inner
        return AdaptiveLoss(output if target.ndim else output.squeeze(0), (-output).mean())

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes: (N, in_features) to (N, n_classes)."""
        heads = self.head(input).log_softmax(1)
        parts = [heads[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            at = self.shortlist_size + i
            parts.append(cluster(input).log_softmax(1) + heads[:, at : at + 1])
        return ops.cat(parts, 1)  # type: ignore[no-any-return]

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row of (N, in_features)."""
        return self.log_prob(input).argmax(1)  # type: ignore[no-any-return]


class LinearCrossEntropyLoss(_WeightedLoss):
    """`CrossEntropyLoss` of a linear layer that belongs to the loss: input (N, in_features), classes (N).

    With `out_features` there is a loss for each of so many places, whose classes are (N, *out_features). `options`
    steers how torch splits the work and is ignored.

    >>> import pappus as pp
    >>> LinearCrossEntropyLoss(8, 5)(pp.zeros(3, 8), pp.tensor([0, 1, 4]))
    tensor(1.6094, grad_fn=<...>)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        super().__init__(weight, reduction=reduction)
        self.num_classes = num_classes
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        rows = math.prod(out_features, start=num_classes)
        self.linear = Linear(in_features, rows, bias=bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        sizes = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input, self.linear.weight.reshape(*sizes, self.linear.in_features), target,
            linear_bias=None if bias is None else bias.reshape(*sizes), weight=self.weight, reduction=self.reduction,
            ignore_index=self.ignore_index, label_smoothing=self.label_smoothing, options=self.options,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )
