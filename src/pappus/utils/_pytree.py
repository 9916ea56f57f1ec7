"""Nested containers as trees: flatten, map, rebuild. Under the private name that public code imports from PyTorch."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "LeafSpec", "MappingKey", "SUPPORTED_NODES", "SequenceKey", "TreeSpec", "register_pytree_node", "tree_all",
    "tree_any", "tree_flatten", "tree_leaves", "tree_map", "tree_map_", "tree_map_only", "tree_structure",
    "tree_unflatten",
]  # fmt: skip

Leaf = Callable[[Any], bool] | None


class NodeDef(NamedTuple):
    """How a container comes apart and together."""

    type: Any
    flatten_fn: Callable[[Any], tuple[list[Any], Any]]
    unflatten_fn: Callable[[Any, Any], Any]


class SequenceKey(NamedTuple):
    """A place in a sequence."""

    idx: int


class MappingKey(NamedTuple):
    """A place in a mapping."""

    key: Any


def _list_flatten(value: Any) -> tuple[list[Any], Any]:
    return list(value), None


def _dict_flatten(value: Any) -> tuple[list[Any], Any]:
    return list(value.values()), list(value)


def _dict_unflatten(values: Any, context: Any) -> dict[Any, Any]:
    return dict(zip(context, values, strict=True))


def _named_unflatten(values: Any, context: Any) -> Any:
    return context(*values)


SUPPORTED_NODES: dict[Any, NodeDef] = {
    list: NodeDef(list, _list_flatten, lambda values, _: list(values)),
    tuple: NodeDef(tuple, _list_flatten, lambda values, _: tuple(values)),
    deque: NodeDef(deque, lambda v: (list(v), v.maxlen), lambda values, maxlen: deque(values, maxlen)),
    dict: NodeDef(dict, _dict_flatten, _dict_unflatten),
    OrderedDict: NodeDef(OrderedDict, _dict_flatten, lambda v, keys: OrderedDict(zip(keys, v, strict=True))),
    defaultdict: NodeDef(
        defaultdict, lambda d: (list(d.values()), (d.default_factory, list(d))),
        lambda v, c: defaultdict(c[0], zip(c[1], v, strict=True)),
    ),
    namedtuple: NodeDef(namedtuple, lambda v: (list(v), type(v)), _named_unflatten),
}  # fmt: skip


def register_pytree_node(
    cls: type, flatten_fn: Callable[[Any], Any], unflatten_fn: Callable[[Any, Any], Any], **options: Any
) -> None:
    """Make a class a container: `flatten_fn(x)` gives (children, context), `unflatten_fn` of these gives it back."""
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn)


_register_pytree_node = register_pytree_node


def _node(value: Any) -> Any:
    kind = type(value)
    if kind not in SUPPORTED_NODES and isinstance(value, tuple) and hasattr(kind, "_fields"):
        return namedtuple
    return kind if kind in SUPPORTED_NODES else None


@dataclasses.dataclass(frozen=True)
class TreeSpec:
    """The structure of a tree without its leaves."""

    type: Any
    context: Any
    children_specs: list[TreeSpec]

    @property
    def num_leaves(self) -> int:
        """How many leaves a tree of this structure has."""
        return 1 if self.type is None else sum(child.num_leaves for child in self.children_specs)

    def is_leaf(self) -> bool:
        """Whether it is a leaf alone."""
        return self.type is None


class LeafSpec(TreeSpec):
    """The structure of a leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, [])


def tree_flatten(tree: Any, is_leaf: Leaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree, and its structure.

    >>> leaves, spec = tree_flatten({"a": [1, (2, None)]})
    >>> leaves, tree_unflatten([10, 20, 30], spec)
    ([1, 2, None], {'a': [10, (20, 30)]})
    """
    kind = _node(tree)
    if kind is None or (is_leaf is not None and is_leaf(tree)):
        return [tree], LeafSpec()
    children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    leaves: list[Any] = []
    specs = []
    for child in children:
        found, spec = tree_flatten(child, is_leaf)
        leaves += found
        specs.append(spec)
    return leaves, TreeSpec(kind, context, specs)


def tree_unflatten(leaves: Any, treespec: TreeSpec) -> Any:
    """The tree of a structure with other leaves. Raises ValueError unless there are as many as it needs."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(f"tree_unflatten: {len(leaves)} leaves for a structure of {treespec.num_leaves}")
    if treespec.type is None:
        return leaves[0]
    children, at = [], 0
    for spec in treespec.children_specs:
        children.append(tree_unflatten(leaves[at : at + spec.num_leaves], spec))
        at += spec.num_leaves
    return SUPPORTED_NODES[treespec.type].unflatten_fn(children, treespec.context)


def tree_leaves(tree: Any, is_leaf: Leaf = None) -> list[Any]:
    """The leaves of a tree."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: Leaf = None) -> TreeSpec:
    """The structure of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Leaf = None) -> Any:
    """The tree with `func(leaf, ...)` at each leaf; further trees of the same structure give further arguments.

    >>> tree_map(lambda a, b: a + b, (1, [2]), (10, [20]))
    (11, [22])
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_flatten(rest, is_leaf)[0] for rest in rests]
    return tree_unflatten(map(func, leaves, *others), spec)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Leaf = None) -> Any:
    """Calls `func` for each leaf; the tree itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Leaf = None) -> Any:
    """`tree_map` over the leaves of a type (or of several, or for which a function says yes)."""
    chosen = kind if callable(kind) and not isinstance(kind, type) else (lambda leaf: isinstance(leaf, kind))
    return tree_map(lambda leaf: func(leaf) if chosen(leaf) else leaf, tree, is_leaf=is_leaf)


def tree_all(predicate: Callable[[Any], bool], tree: Any, is_leaf: Leaf = None) -> bool:
    """Whether `predicate` holds for every leaf."""
    return all(map(predicate, tree_leaves(tree, is_leaf)))


def tree_any(predicate: Callable[[Any], bool], tree: Any, is_leaf: Leaf = None) -> bool:
    """Whether `predicate` holds for a leaf."""
    return any(map(predicate, tree_leaves(tree, is_leaf)))
