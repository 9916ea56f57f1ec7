"""Weights that are computed or folded: spectral norms in both forms, batch norms fused into the layer before."""

from __future__ import annotations

import numpy as np
import pytest

import pappus as pp

torch = pytest.importorskip("torch")


def close(found, expected):
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", ["utils", "parametrizations"])
@pytest.mark.parametrize(
    "name, args, shape", [("Linear", (4, 3), (2, 4)), ("Conv2d", (2, 3, 3), (1, 2, 5, 5)),
                          ("ConvTranspose1d", (2, 4, 3), (1, 2, 5))]
)  # fmt: skip
def test_spectral_norm(form, name, args, shape):
    theirs, ours = (
        (lib.nn.utils if form == "utils" else lib.nn.utils.parametrizations).spectral_norm(
            getattr(lib.nn, name)(*args).double(), n_power_iterations=2
        )
        for lib in (torch, pp)
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).normal(size=shape)
    for training in (True, True, False):
        theirs.train(training)
        ours.train(training)
        theirs.zero_grad()
        ours.zero_grad()
        expected, found = theirs(torch.tensor(x)), ours(pp.tensor(x))
        close(found, expected)
        expected.square().sum().backward()
        found.square().sum().backward()
        for (key, p), (own, q) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
            assert key == own
            close(q.grad, p.grad)
        for (_, p), (_, q) in zip(theirs.named_buffers(), ours.named_buffers(), strict=True):
            close(q, p)
    if form == "utils":
        close(pp.nn.utils.remove_spectral_norm(ours).weight, torch.nn.utils.remove_spectral_norm(theirs).weight)
        assert sorted(ours.state_dict()) == ["bias", "weight"] and not ours._pre_hooks


def test_spectral_norms_refuse():
    layer = pp.nn.utils.spectral_norm(pp.nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="has one on 'weight' already"):
        pp.nn.utils.spectral_norm(layer)
    with pytest.raises(ValueError, match="has no parameter 'kernel'"):
        pp.nn.utils.spectral_norm(pp.nn.Linear(2, 2), "kernel")
    with pytest.raises(ValueError, match="must be positive"):
        pp.nn.utils.parametrizations.spectral_norm(pp.nn.Linear(2, 2), n_power_iterations=0)
    with pytest.raises(ValueError, match="has none on 'weight'"):
        pp.nn.utils.remove_spectral_norm(pp.nn.Linear(2, 2))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d", "Linear"])
def test_fused_batch_norm(name, bias, affine):
    args, shape = ((3, 4), (6, 3)) if name == "Linear" else ((3, 4, 3), (2, 3, 6, 6))
    layer = getattr(pp.nn, name)(*args, bias=bias).double()
    norm = (pp.nn.BatchNorm1d if name == "Linear" else pp.nn.BatchNorm2d)(4, affine=affine).double()
    for tensor in [*norm.parameters(), norm.running_mean, norm.running_var]:
        pp.nn.init.uniform_(tensor, 0.5, 1.5)
    x = pp.randn(*shape, dtype=pp.float64)
    fuse = pp.nn.utils.fuse_linear_bn_eval if name == "Linear" else pp.nn.utils.fuse_conv_bn_eval
    with pytest.raises(ValueError, match=r"call \.eval\(\) on both"):
        fuse(layer, norm)
    before = layer.weight.detach().clone()
    fused = fuse(layer.eval(), norm.eval(), *((True,) if name.startswith("ConvT") else ()))
    close(fused(x), norm(layer(x)))
    assert np.array_equal(layer.weight.detach().numpy(), before.numpy()) and fused.weight.requires_grad
    with pytest.raises(ValueError, match="no running statistics"):
        fuse(layer, type(norm)(4, track_running_stats=False).eval())
