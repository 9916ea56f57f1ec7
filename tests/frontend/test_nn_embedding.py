"""Embeddings and bags of embeddings: options, edges and errors, against torch."""

from __future__ import annotations

import numpy as np
import pytest

import pappus as pp

torch = pytest.importorskip("torch")

INDEX = np.array([1, 4, 4, 0, 2, 1, 1])
OPTIONS = [
    {}, {"padding_idx": 1}, {"padding_idx": -2}, {"max_norm": 0.8}, {"max_norm": 1.5, "norm_type": 1.0},
    {"scale_grad_by_freq": True},
]  # fmt: skip


def tables(name, **options):
    """A layer of torch with random rows, and ours with the same."""
    theirs = getattr(torch.nn, name)(5, 3, **options).double()
    ours = getattr(pp.nn, name)(5, 3, **options).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    return theirs, ours


def same(theirs, ours, *arrays, **more):
    """Results, gradients of the table, and the table itself, which max_norm changes."""
    expected = theirs(*map(torch.tensor, arrays), **{k: torch.tensor(v) for k, v in more.items()})
    found = ours(*map(pp.tensor, arrays), **{k: pp.tensor(v) for k, v in more.items()})
    assert found.dtype is pp.float64
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    seed = np.random.default_rng(1).normal(size=expected.shape)
    expected.backward(torch.from_numpy(seed))
    found.backward(pp.tensor(seed))
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_embedding(options):
    same(*tables("Embedding", **options), INDEX.reshape(1, 7))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_embedding_bag(options, mode):
    if "scale_grad_by_freq" in options:
        pytest.skip("torch divides by the count of another index; see test_gradients_of_bags_by_frequency")
    same(*tables("EmbeddingBag", mode=mode, **options), INDEX[:6].reshape(2, 3))
    same(*tables("EmbeddingBag", mode=mode, **options), INDEX, np.array([0, 3, 3, 5]))
    same(*tables("EmbeddingBag", mode=mode, include_last_offset=True, **options), INDEX, np.array([0, 2, 5, 7]))


def test_gradients_of_bags_by_frequency():
    bag = pp.nn.EmbeddingBag(5, 3, mode="sum", scale_grad_by_freq=True)
    bag(pp.tensor(INDEX), pp.tensor([0, 3])).sum().backward()
    # However often an index occurs, the factors 1 / count add up to 1.
    np.testing.assert_allclose(bag.weight.grad.numpy()[:, 0], [1, 1, 1, 0, 1], rtol=1e-6)
    with pytest.raises(ValueError, match="does not support scaling"):
        pp.nn.EmbeddingBag(5, 3, mode="max", scale_grad_by_freq=True)(pp.tensor([[1]]))


def test_embedding_bag_weighs_its_samples():
    weights = np.random.default_rng(0).normal(size=7)
    same(*tables("EmbeddingBag", mode="sum"), INDEX, np.array([0, 3]), per_sample_weights=weights)


@pytest.mark.parametrize(
    "options, arrays, message",
    [
        ({}, ([1, 2],), "offsets has to say where"), ({}, ([[1, 2]], [0]), "each row is a bag"),
        ({}, ([1, 2], [1]), r"offsets\[0\] has to be 0"), ({}, ([1, 2], [0, 3]), "nor exceed the 2 indices"),
        ({}, ([1.0], [0]), "int64 or int32"), ({"mode": "min"}, ([[1]],), "one of sum, mean or max"),
        ({}, ([[[1]]],), "1D with offsets, or 2D"), ({}, ([1, 2], [[0]]), "1D tensor"), ({}, ([[7]],), "7"),
    ],
)  # fmt: skip
def test_wrong_bags_are_refused(options, arrays, message):
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        pp.nn.EmbeddingBag(5, 3, **options)(*map(pp.tensor, arrays))


def test_weights_of_samples_are_checked():
    bag = pp.nn.EmbeddingBag(5, 3)
    with pytest.raises(ValueError, match="only goes with mode 'sum', got 'mean'"):
        bag(pp.tensor([[1]]), per_sample_weights=pp.ones(1, 1))
    with pytest.raises(ValueError, match="must have the shape of input"):
        pp.nn.EmbeddingBag(5, 3, mode="sum")(pp.tensor([[1]]), per_sample_weights=pp.ones(1))


def test_given_tables_are_frozen_unless_told():
    table = pp.tensor([[1.0, 2.0], [3.0, 4.0]])
    for layer in (pp.nn.Embedding, pp.nn.EmbeddingBag):
        assert not layer.from_pretrained(table).weight.requires_grad
        assert layer.from_pretrained(table, freeze=False, padding_idx=1).padding_idx == 1
        with pytest.raises(ValueError, match="two dimensions"):
            layer.from_pretrained(table[0])


def test_a_bag_of_a_fixed_size_is_exported():
    bag = pp.nn.EmbeddingBag(5, 3, mode="mean")
    index = pp.tensor([[1, 2, 3], [4, 4, 0]])
    program = pp.export.export(bag, (index,), dynamic_shapes=[{0: pp.export.Dim("n")}])
    assert not program.graph.guards
    with pytest.raises(pp.PappusError, match=r"test_nn_embedding\.py:\d+"):
        pp.export.export(bag, (pp.tensor([1, 2]), pp.tensor([0, 1])))
