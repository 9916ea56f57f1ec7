"""Data sets, samplers, loaders, collation and progress bars."""

from __future__ import annotations

import collections
import threading
import time

import numpy as np
import pytest

import pappus as pp
from pappus.utils import data
from pappus.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset


class Squares(Dataset):
    def __init__(self, size=10):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if not 0 <= index < self.size:
            raise IndexError(index)
        return index, float(index * index)


class Count(IterableDataset):
    def __init__(self, size=7):
        self.size = size

    def __iter__(self):
        return iter(range(self.size))


def order(loader):
    return [int(i) for indices, _ in loader for i in indices]


# -- data sets ----------------------------------------------------------------------------------


def test_tensor_dataset():
    x, y = pp.arange(12).reshape(4, 3), pp.arange(4)
    rows = TensorDataset(x, y)
    assert len(rows) == 4 and [t.tolist() for t in rows[2]] == [[6, 7, 8], 2]
    assert [t.tolist() for t in rows[-1]] == [[9, 10, 11], 3]
    with pytest.raises(ValueError, match=r"same first size, got \[4, 3\]"):
        TensorDataset(x, y[:3])


def test_subset_and_concat():
    part = data.Subset(Squares(), [5, 1])
    assert len(part) == 2 and part[0] == (5, 25.0)
    both = part + Squares(3)
    assert isinstance(both, data.ConcatDataset) and len(both) == 5
    assert [both[i][0] for i in range(5)] == [5, 1, 0, 1, 2] and both[-1] == (2, 4.0) and both[-5] == (5, 25.0)
    for index in (5, -6):
        with pytest.raises(IndexError, match="5 items"):
            both[index]
    with pytest.raises(ValueError, match="at least one"):
        data.ConcatDataset([])
    with pytest.raises(TypeError, match="IterableDataset"):
        data.ConcatDataset([Count()])


def test_abstract_data_sets_say_what_to_define():
    with pytest.raises(NotImplementedError, match="Dataset must define __getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="must define __iter__"):
        iter(IterableDataset())
    with pytest.raises(NotImplementedError, match="must define __iter__"):
        iter(data.Sampler())


@pytest.mark.parametrize(
    "lengths, sizes",
    [
        ([7, 3], [7, 3]), ([10], [10]), ([0.5, 0.5], [5, 5]), ([0.66, 0.34], [7, 3]), ([10, 0], [10, 0]), ([1.0], [10]),
    ],
)  # fmt: skip
def test_random_split(lengths, sizes):
    parts = data.random_split(Squares(), lengths, pp.Generator().manual_seed(1))
    assert [len(p) for p in parts] == sizes
    assert sorted(p[i][0] for p in parts for i in range(len(p))) == list(range(10))
    again = data.random_split(Squares(), lengths, pp.Generator().manual_seed(1))
    assert [p.indices for p in again] == [p.indices for p in parts]


def test_random_split_refuses_wrong_lengths():
    with pytest.raises(ValueError, match="add up to 9, the data set has 10"):
        data.random_split(Squares(), [5, 4])
    with pytest.raises(ValueError, match="negative"):
        data.random_split(Squares(), [11, -1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        data.random_split(Squares(), [1.5, -0.5])


# -- samplers -----------------------------------------------------------------------------------


def test_random_sampler():
    sampler = data.RandomSampler(range(6), generator=pp.Generator().manual_seed(2))
    first, second = list(sampler), list(sampler)
    assert sorted(first) == list(range(6)) == sorted(second) and first != second and len(sampler) == 6
    assert list(data.RandomSampler(range(6), generator=pp.Generator().manual_seed(2))) == first
    many = list(data.RandomSampler(range(3), num_samples=8))
    assert len(many) == 8 and all(many.count(i) >= 2 for i in range(3))
    drawn = list(data.RandomSampler(range(3), replacement=True, num_samples=50))
    assert len(drawn) == 50 and set(drawn) == {0, 1, 2}
    with pytest.raises(ValueError, match="positive"):
        data.RandomSampler(range(3), num_samples=0)


def test_permutations_are_uniform():
    pp.manual_seed(0)
    counts = collections.Counter(tuple(data.RandomSampler(range(3))) for _ in range(3000))
    assert len(counts) == 6 and all(400 < n < 600 for n in counts.values())


def test_weighted_and_subset_samplers():
    pp.manual_seed(0)
    drawn = list(data.WeightedRandomSampler([1.0, 0.0, 3.0], 4000))
    assert 1 not in drawn and 0.7 < drawn.count(2) / 4000 < 0.8
    assert sorted(data.WeightedRandomSampler([1, 2, 3], 3, replacement=False)) == [0, 1, 2]
    sampler = data.SubsetRandomSampler([4, 8, 6])
    assert sorted(sampler) == [4, 6, 8] and len(sampler) == 3
    with pytest.raises(ValueError, match="positive integer"):
        data.WeightedRandomSampler([1.0], 0)


@pytest.mark.parametrize("size, batch, drop", [(7, 3, False), (7, 3, True), (6, 3, False), (2, 3, True), (0, 3, False)])
def test_batch_sampler(size, batch, drop):
    sampler = data.BatchSampler(range(size), batch, drop)
    batches = list(sampler)
    assert len(sampler) == len(batches)
    assert [i for b in batches for i in b] == list(range(size - size % batch if drop else size))
    for wrong in (0, True, 2.0):
        with pytest.raises(ValueError, match="batch_size"):
            data.BatchSampler(range(3), wrong, False)


# -- loaders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_loader_in_order(workers):
    loader = DataLoader(Squares(), batch_size=4, num_workers=workers)
    assert len(loader) == 3
    batches = list(loader)
    assert [i.tolist() for i, _ in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches[2][1].tolist() == [64.0, 81.0] and batches[2][1].dtype is pp.float64
    assert order(loader) == list(range(10)), "a second epoch is the same"
    assert len(DataLoader(Squares(), 4, drop_last=True)) == 2 == len(list(DataLoader(Squares(), 4, drop_last=True)))


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffling_repeats_by_generator_and_by_seed(workers):
    def epochs(**options):
        loader = DataLoader(Squares(), batch_size=3, shuffle=True, num_workers=workers, **options)
        return [order(loader) for _ in range(3)]

    first = epochs(generator=pp.Generator().manual_seed(4))
    assert first == epochs(generator=pp.Generator().manual_seed(4))
    assert all(sorted(e) == list(range(10)) for e in first) and len({tuple(e) for e in first}) == 3
    pp.manual_seed(9)
    second = epochs()
    pp.manual_seed(9)
    assert second == epochs() and second != first


def test_the_number_of_workers_does_not_change_the_order():
    orders = []
    for workers in (0, 1, 4):
        generator = pp.Generator().manual_seed(1)
        orders.append(order(DataLoader(Squares(50), 7, shuffle=True, num_workers=workers, generator=generator)))
    assert orders[0] == orders[1] == orders[2]


class Noisy(Squares):
    """Draws random numbers in the workers, after a while that differs."""

    def __getitem__(self, index):
        time.sleep(0.002 * float(np.random.default_rng().random()))
        return index, float(pp.rand(1))


@pytest.mark.parametrize("workers", [0, 3])
def test_random_numbers_drawn_by_a_data_set_repeat(workers):
    def run():
        pp.manual_seed(3)
        loader = DataLoader(Noisy(12), 2, shuffle=True, num_workers=workers)
        draws = []
        for _ in range(2):
            for index, noise in loader:
                draws.append((index.tolist(), noise.tolist(), pp.rand(2).tolist()))
        return draws

    first = run()
    assert first == run()
    noise = [n for _, numbers, _ in first for n in numbers]
    assert len(set(noise)) == len(noise), "every draw is its own, in every epoch"


def test_workers_run_ahead_but_not_without_bound():
    asked = []

    class Slow(Squares):
        def __getitem__(self, index):
            asked.append(index)
            time.sleep(0.001)
            return super().__getitem__(index)

    iterator = iter(DataLoader(Slow(100), num_workers=2, prefetch_factor=3))
    next(iterator)
    time.sleep(0.1)
    assert 2 <= len(asked) <= 10
    iterator.close()
    time.sleep(0.02)
    assert len(asked) <= 10 and not [t for t in threading.enumerate() if t.name.startswith("pappus-loader")]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_data_set_reaches_the_loop(workers):
    class Broken(Squares):
        def __getitem__(self, index):
            if index == 5:
                raise OSError("file 5 is gone")
            return super().__getitem__(index)

    seen = []
    with pytest.raises(OSError, match="file 5 is gone"):
        for indices, _ in DataLoader(Broken(), 2, num_workers=workers):
            seen += indices.tolist()
    assert seen == [0, 1, 2, 3]


def test_worker_init_fn_runs_once_per_worker():
    numbers = []

    def start(number):
        numbers.append(number)
        time.sleep(0.02)

    list(DataLoader(Squares(40), num_workers=3, worker_init_fn=start))
    assert sorted(numbers) == [0, 1, 2]


def test_samplers_and_collate_are_used():
    assert order(DataLoader(Squares(), 2, sampler=[3, 1, 4])) == [3, 1, 4]
    loader = DataLoader(Squares(), batch_sampler=[[1, 2, 3], [0]])
    assert [i.tolist() for i, _ in loader] == [[1, 2, 3], [0]] and len(loader) == 2
    assert list(DataLoader(Squares(4), 2, collate_fn=lambda items: [i for i, _ in items])) == [[0, 1], [2, 3]]
    assert list(DataLoader(Squares(3), batch_size=None)) == [[0, 0.0], [1, 1.0], [2, 4.0]]  # as in torch
    assert len(DataLoader(Squares(3), batch_size=None)) == 3


def test_tensor_datasets_are_taken_whole_with_the_same_result():
    x, y = pp.randn(11, 2, 3), pp.arange(11)
    quick = DataLoader(TensorDataset(x, y), 4, shuffle=True, generator=pp.Generator().manual_seed(0))
    plain = DataLoader(
        TensorDataset(x, y), 4, shuffle=True, generator=pp.Generator().manual_seed(0), collate_fn=data.default_collate
    )
    for a, b in zip(quick, plain, strict=True):
        assert type(a) is type(b) is list
        assert all(pp.equal(p, q) and p.dtype is q.dtype for p, q in zip(a, b, strict=True))


def test_iterable_data_sets():
    assert [b.tolist() for b in DataLoader(Count(), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.tolist() for b in DataLoader(Count(), 3, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]
    assert list(DataLoader(Count(3), batch_size=None)) == [0, 1, 2]
    with pytest.raises(TypeError):
        len(DataLoader(Count(), 3))
    for options in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(ValueError, match="IterableDataset sets its own order"):
            DataLoader(Count(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": -1}, {"shuffle": True, "sampler": [1]}, {"batch_sampler": [[1]], "batch_size": 2},
        {"batch_sampler": [[1]], "shuffle": True}, {"batch_size": None, "drop_last": True}, {"batch_size": 0},
    ],
    ids=str,
)  # fmt: skip
def test_contradicting_options_are_refused(options):
    with pytest.raises(ValueError):
        DataLoader(Squares(), **options)


# -- collation ----------------------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")
BATCHES = [
    [1, 2, 3], [1.5, 2.5], [True, False], ["a", "b"], [(1, 2.0), (3, 4.0)], [[1, "x"], [2, "y"]],
    [{"a": 1, "b": (2.0, "z")}, {"a": 3, "b": (4.0, "w")}], [Point(1, 2.0), Point(3, 4.0)],
    [np.ones((2, 3), np.float32)] * 2, [np.float32(1), np.float32(2)], [np.int16(1), np.int16(2)], [np.bool_(True)],
]  # fmt: skip


def plain(value):
    """Nested lists, with the types of tensors."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(*map(plain, value)) if hasattr(value, "_fields") else [plain(v) for v in value]
    if hasattr(value, "dtype"):
        return (str(value.dtype).split(".")[-1], value.tolist())
    return value


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_collation_equals_torchs(batch):
    torch_data = pytest.importorskip("torch.utils.data")
    assert plain(data.default_collate(batch)) == plain(torch_data.default_collate(batch))


def test_collation_of_tensors():
    found = data.default_collate([{"x": pp.ones(2), "n": 0}, {"x": pp.zeros(2), "n": 1}])
    assert found["x"].tolist() == [[1.0, 1.0], [0.0, 0.0]] and found["n"].tolist() == [0, 1]


def test_collation_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="empty"):
        data.default_collate([])
    with pytest.raises(RuntimeError, match=r"different numbers of fields: \[1, 2\]"):
        data.default_collate([(1,), (1, 2)])
    with pytest.raises(TypeError, match=r"type object.*collate_fn"):
        data.default_collate([object()])
    with pytest.raises(ValueError, match=r"[23]"):
        data.default_collate([pp.ones(2), pp.ones(3)])


# -- progress -----------------------------------------------------------------------------------


def test_progress_is_quiet_unless_somebody_watches(capsys, monkeypatch):
    assert list(data.progress(range(3), "quiet")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    bar = data.progress(DataLoader(Squares(), 5), "epoch", show=True, leave=True)
    for _ in bar:
        bar.set_postfix(loss=0.5)
    text = capsys.readouterr().err
    assert "epoch" in text and "2/2" in text and "loss=0.5" in text
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("CI", "1")
    list(data.progress(range(3), "in CI"))
    assert capsys.readouterr().err == ""
