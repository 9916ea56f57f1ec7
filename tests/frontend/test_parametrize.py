"""Parameters computed from others, and weight normalization in both of its forms, beside torch's."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import pappus as pp
from pappus.nn.utils import parametrizations, parametrize


class Symmetric(pp.nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).T

    def right_inverse(self, x):
        return x.triu()


class Double(pp.nn.Module):
    def forward(self, x):
        return 2 * x


def test_a_parametrized_weight():
    layer = pp.nn.Linear(3, 3)
    before = layer.weight.tolist()
    assert parametrize.register_parametrization(layer, "weight", Double()) is layer
    assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias") and not parametrize.is_parametrized(pp.nn.Linear(1, 1))
    assert layer.weight.tolist() == (2 * pp.tensor(before)).tolist() and isinstance(layer, pp.nn.Linear)
    assert type(layer).__name__ == "ParametrizedLinear"
    assert sorted(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    layer(pp.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad.tolist() == [[2.0] * 3] * 3
    with pytest.raises(RuntimeError, match="Double has no right_inverse"):
        layer.weight = pp.zeros(3, 3)
    assert type(pp.nn.Linear(3, 3)) is pp.nn.Linear and "weight" not in vars(pp.nn.Linear)


def test_several_assigned_and_removed():
    layer = pp.nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.register_parametrization(layer, "bias", Double())
    values = pp.arange(9.0).reshape(3, 3)
    layer.weight = values + values.T
    assert layer.weight.tolist() == (values + values.T).tolist()
    parametrize.register_parametrization(layer, "weight", Double())
    assert layer.weight.tolist() == (2 * (values + values.T)).tolist()
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    parametrize.remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, pp.nn.Parameter) and parametrize.is_parametrized(layer, "bias")
    assert layer.weight.tolist() == (2 * (values + values.T)).tolist()
    bias = layer.parametrizations.bias.original
    parametrize.remove_parametrizations(layer, "bias", leave_parametrized=False)
    assert layer.bias.tolist() == bias.tolist() and type(layer) is pp.nn.Linear
    assert sorted(layer.state_dict()) == ["bias", "weight"] == sorted(name for name, _ in layer.named_parameters())


def test_what_cannot_be_parametrized():
    class Shorter(pp.nn.Module):
        def forward(self, x):
            return x[:1]

    with pytest.raises(ValueError, match="Linear has no parameter or buffer 'nothing'"):
        parametrize.register_parametrization(pp.nn.Linear(2, 2), "nothing", Double())
    layer = pp.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"makes float32\[1, 2\] of float32\[2, 2\]; it must keep shape and type"):
        parametrize.register_parametrization(layer, "weight", Shorter())
    assert type(layer) is pp.nn.Linear and isinstance(layer.weight, pp.nn.Parameter)
    with pytest.raises(ValueError, match="has no parametrization on 'weight'"):
        parametrize.remove_parametrizations(layer, "weight")


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("old", [True, False])
def test_weight_norm_trains_as_torch(old, dim):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    weight, x = (rng.standard_normal(s).astype(np.float32) for s in ((4, 3, 2), (5, 3, 8)))
    found = []
    for lib in (pp, torch):
        layer = lib.nn.Conv1d(3, 4, 2)
        with lib.no_grad():
            layer.weight.copy_(lib.tensor(weight))
            layer.bias.zero_()
        norm = lib.nn.utils.weight_norm if old else lib.nn.utils.parametrizations.weight_norm
        norm(layer, dim=dim)
        names = sorted(layer.state_dict())
        optimizer = lib.optim.SGD(layer.parameters(), lr=0.1)
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = (layer(lib.tensor(x)) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if old:
            lib.nn.utils.remove_weight_norm(layer)
        else:
            lib.nn.utils.parametrize.remove_parametrizations(layer, "weight")
        assert sorted(layer.state_dict()) == ["bias", "weight"]
        found.append((names, losses, layer.weight.detach().numpy(), layer(lib.tensor(x)).detach().numpy()))
    assert found[0][0] == found[1][0]
    for ours, theirs in zip(found[0][1:], found[1][1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_state_dicts_of_torch_load():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 2))
    ours = parametrizations.weight_norm(pp.nn.Linear(3, 2))
    ours.load_state_dict({name: pp.tensor(value.numpy()) for name, value in theirs.state_dict().items()})
    np.testing.assert_allclose(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), rtol=1e-6)


def test_mistakes_with_weight_norm_are_named():
    layer = pp.nn.utils.weight_norm(pp.nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="has one on 'weight' already"):
        pp.nn.utils.weight_norm(layer)
    with pytest.raises(ValueError, match="has no parameter 'nothing'"):
        pp.nn.utils.weight_norm(pp.nn.Linear(2, 2), "nothing")
    with pytest.raises(ValueError, match="has none on 'weight'"):
        pp.nn.utils.remove_weight_norm(pp.nn.Linear(2, 2))
    assert copy.copy(layer) is not layer


@pytest.mark.parametrize("shape, groups", [((3, 2, 3), 1), ((2, 3, 3, 3), 1), ((4, 2, 3, 3), 2), ((2, 2, 1, 2, 3), 1)])
def test_dirac_as_torch(shape, groups):
    torch = pytest.importorskip("torch")
    ours, theirs = pp.nn.init.dirac_(pp.empty(*shape), groups), torch.nn.init.dirac_(torch.empty(*shape), groups)
    assert ours.tolist() == theirs.tolist()
    assert pp.nn.init.normal is pp.nn.init.normal_ and pp.nn.init.kaiming_uniform is pp.nn.init.kaiming_uniform_
