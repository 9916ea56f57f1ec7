"""Methods about a tensor's memory, comparisons for tests, trees, and what loaders tell their workers."""

from __future__ import annotations

import numpy as np
import pytest

import pappus as pp
from pappus.frontend.errors import UnsupportedError
from pappus.utils import _pytree
from pappus.utils.data import (
    ChainDataset,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    StackDataset,
    TensorDataset,
    get_worker_info,
)


def test_storages_know_who_shares():
    x = pp.arange(6.0).view(2, 3)
    assert x.storage().data_ptr() == x[1].untyped_storage().data_ptr() == x.data_ptr()
    assert x.untyped_storage().nbytes() == 24 and x[1].storage().size() == len(x.storage()) == 6
    assert x.untyped_storage() == x.T.untyped_storage() != x.clone().untyped_storage()
    assert x.storage().tolist() == [0, 1, 2, 3, 4, 5]
    assert x.T.is_set_to(x.T) and not x.is_set_to(x.T) and x.is_same_size(x + 1) and not x.is_same_size(x.T)


def test_new_tensors_of_the_same_type():
    x = pp.ones(2, dtype=pp.float64)
    assert x.new(2, 3).shape == (2, 3) and x.new(2, 3).dtype is pp.float64
    assert x.new([1, 2]).tolist() == [1.0, 2.0] and x.new().shape == (0,) and x.new(pp.ones(2).shape).shape == (2,)
    assert pp.Tensor(2, 3).shape == (2, 3) and pp.Tensor([2, 3]).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (7, 3), (2, 2, 2)])
def test_fill_diagonal_as_torch(shape, wrap):
    torch = pytest.importorskip("torch")
    values = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    ours, theirs = pp.tensor(values).fill_diagonal_(-1, wrap), torch.tensor(values).fill_diagonal_(-1, wrap)
    assert ours.tolist() == theirs.tolist()


def test_fill_diagonal_of_other_shapes_and_gradient():
    with pytest.raises(ValueError, match=r"two dimensions, or of equal sizes, is needed, got \[2, 3, 2\]"):
        pp.zeros(2, 3, 2).fill_diagonal_(1)
    x = pp.ones(2, 2, requires_grad=True)
    (x * 3).fill_diagonal_(0.0).sum().backward()
    assert x.grad.tolist() == [[0, 3], [3, 0]]


@pytest.mark.parametrize("name, args", [
    ("squeeze_", ()), ("squeeze_", (1,)), ("unsqueeze_", (0,)), ("transpose_", (0, 2)), ("swapaxes_", (0, 1)),
])  # fmt: skip
def test_views_in_place_as_torch(name, args):
    torch = pytest.importorskip("torch")
    values = np.arange(6, dtype=np.float32).reshape(2, 1, 3)
    for scale in (None, 2.0):
        results = []
        for lib in (pp, torch):
            leaf = lib.tensor(values, requires_grad=scale is not None)
            x = leaf if scale is None else leaf * scale
            assert getattr(x, name)(*args) is x
            weights = lib.arange(6.0).reshape(tuple(x.shape))
            if scale is not None:
                (x * weights).sum().backward()
            results.append((tuple(x.shape), x.stride(), x.tolist(), None if scale is None else leaf.grad.tolist()))
        assert results[0] == results[1]


def test_views_in_place_share_their_memory():
    x = pp.zeros(2, 3)
    row = x[0]
    x.t_().add_(1)
    assert row.tolist() == [1, 1, 1] and x.shape == (3, 2)
    leaf = pp.ones(2, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="t_: a leaf that requires grad"):
        leaf.t_()
    with pp.no_grad():
        assert leaf.t_() is leaf


@pytest.mark.parametrize("name, args", [
    ("cumsum_", (1,)), ("cumprod_", (0,)), ("ge_", (2,)), ("eq_", (1.0,)), ("logical_not_", ()), ("clip_", (1, 2)),
    ("multiply_", (2,)), ("less_equal_", (3,)),
])  # fmt: skip
def test_more_operators_in_place(name, args):
    torch = pytest.importorskip("torch")
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    ours, theirs = pp.tensor(values), torch.tensor(values)
    assert getattr(ours, name)(*args) is ours
    assert ours.tolist() == getattr(theirs, name)(*args).tolist() and ours.dtype is pp.float32


def test_sum_to_size_as_torch():
    torch = pytest.importorskip("torch")
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for shape in [(2, 3, 4), (3, 4), (1, 3, 1), (4,), (1,)]:
        assert pp.tensor(values).sum_to_size(shape).tolist() == torch.tensor(values).sum_to_size(shape).tolist()
    with pytest.raises(ValueError, match=r"size \[2\] does not expand"):
        pp.tensor(values).sum_to_size(2)


def test_what_dense_tensors_do_not_have():
    for name in ("values", "indices", "coalesce", "to_sparse", "_nnz"):
        with pytest.raises(UnsupportedError, match="this tensor is dense"):
            getattr(pp.ones(2), name)()
    with pytest.raises(UnsupportedError, match="not quantized"):
        pp.ones(2).dequantize()
    x = pp.ones(2)
    assert x.to_dense() is x and x.pin_memory() is x and not x.is_pinned() and x.get_device() == -1
    assert x.as_subclass(pp.nn.Parameter).tolist() == [1, 1]
    assert pp.arange(3.0).apply_(lambda v: v * v).tolist() == [0, 1, 4]
    assert pp.arange(3.0).map_(pp.ones(3), lambda a, b: a + b).tolist() == [1, 2, 3]


def test_devices():
    assert pp.device("cuda", 1) == "cuda:1" and pp.device("cuda:1").index == 1 and pp.device("cpu").index is None
    with pp.device("cpu"):
        assert pp.ones(1).device == pp.device("cpu")
    with pytest.raises(UnsupportedError, match="give the device where tensors are made"), pp.device("cuda"):
        pass


# -- comparisons ----------------------------------------------------------------------------------

PAIRS = [
    ([1.0, 2.0], [1.0, 2.0 + 1e-6]), ([1.0, 2.0], [1.0, 2.1]), ([1.0], [1.0, 1.0]), ([float("nan")], [float("nan")]),
    ([float("inf")], [float("inf")]), ([float("inf")], [1.0]), ([], []), ([0.0], [1e-6]), ([0.0], [1e-4]),
]  # fmt: skip


@pytest.mark.parametrize("one, two", PAIRS)
def test_assert_close_agrees_with_torch(one, two):
    torch = pytest.importorskip("torch")

    def close(lib, **options):
        try:
            lib.testing.assert_close(lib.tensor(one), lib.tensor(two), **options)
        except AssertionError as error:
            return str(error).splitlines()[0].split("!")[0].split(":")[0]
        return ""

    for options in ({}, {"equal_nan": True}, {"rtol": 0.2, "atol": 0.0}):
        ours, theirs = close(pp, **options), close(torch, **options)
        assert bool(ours) == bool(theirs), (ours, theirs)


def test_assert_close_of_containers_types_and_numbers():
    close = pp.testing.assert_close
    close({"a": [pp.ones(2), 1]}, {"a": [pp.ones(2), 1]})
    close(3, 3)
    close(None, None)
    with pytest.raises(AssertionError, match=r"(?s)Mismatched elements: 1 / 2 .*occurred for item \['a'\]\[0\]"):
        close({"a": [pp.ones(2)]}, {"a": [pp.tensor([1.0, 2.0])]})
    with pytest.raises(AssertionError, match="'dtype' do not match: float32 != float64"):
        close(pp.ones(1), pp.ones(1, dtype=pp.float64))
    close(pp.ones(1), pp.ones(1, dtype=pp.float64), check_dtype=False)
    with pytest.raises(AssertionError, match="keys of the mappings"):
        close({"a": 1}, {"b": 1})
    with pytest.raises(AssertionError, match="Scalars are not close"):
        close(1.0, 2.0)
    with pytest.raises(AssertionError, match="No comparison of Tensor and float"):
        close(pp.ones(1), 1.0)
    with pytest.raises(ValueError, match="both, or neither"):
        close(1.0, 1.0, rtol=0.1)
    with pytest.raises(AssertionError, match="mine"):
        close(1, 2, msg="mine")


# -- trees ----------------------------------------------------------------------------------------


def test_trees_as_torch():
    pytree = pytest.importorskip("torch.utils._pytree")
    from collections import OrderedDict, defaultdict, deque, namedtuple

    Point = namedtuple("Point", "x y")
    tree = {"b": [1, (2, None)], "a": Point(3, [4]), "o": OrderedDict(z=5), "q": deque([6], 3)}
    tree["d"] = defaultdict(int, k=7)
    for lib in (_pytree, pytree):
        leaves, spec = lib.tree_flatten(tree)
        assert leaves == [1, 2, None, 3, 4, 5, 6, 7] and spec.num_leaves == 8
        assert lib.tree_unflatten(leaves, spec) == tree
        assert lib.tree_map(lambda a, b: (a, b), [1, 2], [3, 4]) == [(1, 3), (2, 4)]
        assert lib.tree_map_only(int, lambda n: n + 1, [1, "a"]) == [2, "a"]
        assert lib.tree_leaves([[1], 2], is_leaf=lambda v: v == [1]) == [[1], 2]
        with pytest.raises(ValueError):
            lib.tree_unflatten([1], spec)


def test_classes_of_ones_own_are_trees():
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

    _pytree.register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda children, _: Pair(*children))
    found = _pytree.tree_map(lambda n: n * 2, [Pair(1, 2)])
    assert (found[0].a, found[0].b) == (2, 4) and _pytree.tree_all(bool, found) and not _pytree.tree_any(str, [])
    del _pytree.SUPPORTED_NODES[Pair]


# -- loaders and their workers --------------------------------------------------------------------


class Stream(IterableDataset):
    def __init__(self, count):
        self.count = count

    def __iter__(self):
        info = get_worker_info()
        if info is None:
            return iter(range(self.count))
        return iter(range(info.id, self.count, info.num_workers))


def test_workers_of_a_stream_take_turns():
    assert get_worker_info() is None
    assert [b.tolist() for b in DataLoader(Stream(5), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Stream(5), batch_size=2, num_workers=2)] == [[0, 2], [1, 3], [4]]
    started = []
    loader = DataLoader(Stream(3), batch_size=None, num_workers=3, worker_init_fn=started.append)
    assert list(loader) == [0, 1, 2] and started == [0, 1, 2] and get_worker_info() is None


def test_a_worker_knows_itself():
    class Asks(pp.utils.data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            info = get_worker_info()
            return -1 if info is None else info.id * 10 + info.num_workers

    assert {int(b) for b in DataLoader(Asks())} == {-1}
    assert {int(b) for b in DataLoader(Asks(), num_workers=2)} <= {2, 12}


def test_more_data_sets():
    chained = ChainDataset([Stream(2), Stream(1)])
    assert list(chained) == [0, 1, 0] and list(Stream(1) + Stream(2)) == [0, 0, 1]
    stacked = StackDataset(x=TensorDataset(pp.arange(3)), y=[7, 8, 9])
    assert len(stacked) == 3 and stacked[2]["y"] == 9
    with pytest.raises(ValueError, match=r"same length, got \[3, 2\]"):
        StackDataset([1, 2, 3], [1, 2])

    class Many(pp.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitems__(self, indices):
            return [i * 10 for i in indices]

    assert [b.tolist() for b in DataLoader(Many(), 2)] == [[0, 10], [20, 30]]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("count", [0, 1, 7, 8])
def test_distributed_sampler_as_torch(count, drop_last):
    data = pytest.importorskip("torch.utils.data")
    for rank in range(3):
        ours, theirs = (
            lib.DistributedSampler(range(count), 3, rank, shuffle=False, drop_last=drop_last)
            for lib in (pp.utils.data, data)
        )
        assert len(ours) == len(theirs)
        if count:
            assert list(ours) == list(theirs)
    shares = [DistributedSampler(range(8), 2, rank, seed=1) for rank in range(2)]
    first = [list(s) for s in shares]
    assert sorted(first[0] + first[1]) == list(range(8))
    shares[0].set_epoch(1)
    assert list(shares[0]) != first[0]
    with pytest.raises(ValueError, match="rank 2 is not between"):
        DistributedSampler(range(8), 2, 2)


def test_wrappers_of_one_device():
    inner = pp.nn.Linear(2, 1)
    for wrapper in (pp.nn.DataParallel(inner), pp.nn.parallel.DistributedDataParallel(inner)):
        assert wrapper(pp.ones(1, 2)).tolist() == inner(pp.ones(1, 2)).tolist() and wrapper.module is inner
        assert list(wrapper.state_dict()) == ["module.weight", "module.bias"]
    with pytest.raises(UnsupportedError, match=r"no devices \[0, 1\]; leave device_ids out"):
        pp.nn.DataParallel(inner, device_ids=[0, 1])
