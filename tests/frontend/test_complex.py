"""Complex tensors beside PyTorch's: what they are made of, views of their parts, gradients, and what is refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.frontend.gradcheck import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> Any:
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


Z = numbers(2, 3)


# -- making them, and numbers out -----------------------------------------------------------------


def test_creation() -> None:
    assert pp.tensor(1j).dtype is pp.tensor([1, 2j]).dtype is pp.full((2,), 1j).dtype is pp.complex64
    assert pp.tensor(Z).dtype is pp.complex128 and pp.tensor(Z, dtype=pp.cfloat).dtype is pp.complex64
    assert pp.zeros(2, dtype=pp.complex64).tolist() == [0j, 0j] and pp.eye(2, dtype=pp.cdouble).tolist()[0] == [1, 0]
    assert pp.tensor([1, 2]).to(pp.complex64).tolist() == [1, 2]
    array = Z.copy()
    shared = pp.from_numpy(array)
    shared[0, 0] = 5j
    assert array[0, 0] == 5j and np.shares_memory(shared.numpy(), array)
    assert pp.complex64.to_real() is pp.float32 and pp.float64.to_complex() is pp.complex128
    with pytest.raises(pp.DTypeError, match="not values of"):
        pp.tensor([1j], dtype=pp.float32)
    with pytest.raises(pp.DTypeError, match="not a value of"):
        pp.full((2,), 1j, dtype=pp.float32)
    with pytest.raises(pp.DTypeError, match="no complex type"):
        pp.ones(2, dtype=pp.float16) * 1j


def test_random_numbers() -> None:
    pp.manual_seed(0)
    z = pp.randn(4000, dtype=pp.complex64)
    assert z.dtype is pp.complex64 and abs(z.var().item() - 1) < 0.1 and abs(z.mean().item()) < 0.1
    assert abs(z.real.var().item() - 0.5) < 0.05
    u = pp.rand(1000, dtype=pp.complex128)
    assert u.imag.min().item() >= 0 and u.imag.max().item() < 1 and abs(u.mean().item() - (0.5 + 0.5j)) < 0.05


def test_default_complex_type_follows_the_default() -> None:
    pp.set_default_dtype(pp.float64)
    try:
        assert pp.tensor(1j).dtype is (pp.tensor([1]) + 1j).dtype is pp.complex128
    finally:
        pp.set_default_dtype(pp.float32)


def test_numbers_out() -> None:
    z = pp.tensor(1 + 2j)
    assert z.item() == complex(z) == 1 + 2j and f"{z:.1f}" == "1.0+2.0j" and bool(pp.tensor(1j))
    assert float(pp.tensor(3 + 0j)) == 3.0
    with pytest.raises(pp.DTypeError, match=r"take \.real"):
        float(z)
    with pytest.raises(TypeError):
        [1, 2][pp.tensor(1 + 0j)]  # type: ignore[index]
    assert z.is_complex() and pp.is_complex(z) and not z.is_floating_point() and not pp.is_complex(pp.ones(1))


def test_copies_and_files(tmp_path: Any) -> None:
    z = pp.tensor(Z, requires_grad=True)
    for twin in (copy.deepcopy(z), pickle.loads(pickle.dumps(z))):
        assert twin.requires_grad and twin.tolist() == Z.tolist()
    pp.save({"z": z.detach().to(pp.complex64)}, tmp_path / "z.safetensors")
    found = pp.load(tmp_path / "z.safetensors")["z"]
    assert found.dtype is pp.complex64 and found.tolist() == Z.astype(np.complex64).tolist()
    with pytest.raises(pp.DTypeError, match="complex128, which safetensors does not have"):
        pp.save({"z": z}, tmp_path / "wide.safetensors")


def test_questions() -> None:
    torch = pytest.importorskip("torch")
    values = [1 + 0j, 1j, complex(2, float("nan"))]
    for m in (pp, torch):
        z, x = m.tensor(values), m.ones(2)
        assert m.isreal(z).tolist() == [True, False, False] and m.isreal(x).tolist() == [True, True]
        assert m.is_complex(z) and not m.is_complex(x) and not m.is_conj(z) and not z.is_conj()
        for name in ("resolve_conj", "resolve_neg"):
            assert getattr(m, name)(z) is z or m is torch
        assert m.conj(z).resolve_conj().tolist()[:2] == [1 - 0j, -1j] and m.conj(x).tolist() == [1, 1]


# -- parts are views ------------------------------------------------------------------------------


def test_parts_share_memory() -> None:
    z = pp.tensor(Z.copy())
    z.real[0] = 7.0
    z.imag.mul_(2)
    assert z.tolist() == (np.where([[True], [False]], 7.0, Z.real) + 2j * Z.imag).tolist()
    pairs = pp.view_as_real(z)
    pairs[..., 1] = 0.0
    assert not z.imag.any() and pairs.shape == (2, 3, 2)
    back = pp.view_as_complex(pairs)
    back.fill_(1j)
    assert z.tolist() == [[1j] * 3] * 2
    z.real = pp.ones(2, 3, dtype=pp.float64)
    z.imag = 3
    assert z.tolist() == [[1 + 3j] * 3] * 2
    real = pp.ones(2)
    assert pp.real(real) is real and real.conj() is real and real.real is real


@pytest.mark.parametrize("view", [lambda z: z[::2, 1:], lambda z: z.mT, lambda z: z[0, 0], lambda z: z[:0]])
def test_views_of_views(view: Callable[[Any], Any]) -> None:
    z = pp.tensor(numbers(4, 3))
    want = view(z.numpy()) if not isinstance(view(z), pp.Tensor) or view(z).shape != (3, 4) else z.numpy().T
    assert np.array_equal(pp.view_as_real(view(z)).numpy(), np.stack([want.real, want.imag], -1))
    assert np.array_equal(pp.view_as_complex(pp.view_as_real(view(z))).numpy(), want)


def test_view_as_complex_needs_pairs() -> None:
    x = pp.ones(3, 4)
    for bad, error in (
        (x, pp.ShapeError), (x[:, ::2], pp.ShapeError), (pp.ones(3, 3)[:, 1:], pp.ShapeError),
        (pp.ones(2, 2, dtype=pp.int64), pp.DTypeError), (pp.ones(2, 2).half(), pp.DTypeError),
        (pp.tensor(1.0), pp.ShapeError),
    ):  # fmt: skip
        with pytest.raises(error, match="view_as_complex"):
            pp.view_as_complex(bad)
    with pytest.raises(pp.DTypeError, match="only complex"):
        pp.view_as_real(x)
    with pytest.raises(pp.DTypeError, match="only complex"):
        x.imag  # noqa: B018 - it raises
    with pytest.raises(pp.DTypeError, match="both of one type"):
        pp.complex(x, x.double())


def test_transposes_conjugate() -> None:
    torch = pytest.importorskip("torch")
    for name in ("mH", "H", "mT"):
        assert getattr(pp.tensor(Z), name).tolist() == getattr(torch.tensor(Z), name).tolist()
    assert pp.tensor(Z).adjoint().tolist() == Z.conj().T.tolist()


# -- refusals -------------------------------------------------------------------------------------

REFUSED: dict[str, Callable[[Any], Any]] = {
    "order": lambda z: z < z,
    "order with a number": lambda z: z >= 1,
    "max": lambda z: z.max(),
    "argmin": lambda z: z.argmin(),
    "sort": lambda z: z.sort(),
    "topk": lambda z: z.topk(1),
    "clamp": lambda z: z.clamp(0, 1),
    "maximum": lambda z: pp.maximum(z, z),
    "floor": lambda z: z.floor(),
    "round": lambda z: z.round(),
    "sign": lambda z: z.sign(),
    "remainder": lambda z: z % 2,
    "floor_divide": lambda z: z // 2,
    "relu": lambda z: pp.relu(z),
    "softmax": lambda z: pp.softmax(z, 0),
    "erf": lambda z: z.erf(),
    "layer_norm": lambda z: pp.nn.functional.layer_norm(z, (3,)),
    "atan2": lambda z: pp.atan2(z, z),
    "cummax": lambda z: z.cummax(0),
    "bitwise_and": lambda z: z & 1,
    "masked_fill": lambda z: z.real.masked_fill(z.real < 9, 1j),
    "in place": lambda z: z.real.add_(1j),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused(name: str) -> None:
    with pytest.raises((pp.DTypeError, pp.ArgumentError), match=r"test_complex\.py:\d+"):
        REFUSED[name](pp.tensor(Z))


def test_refusal_names_the_ways_out() -> None:
    with pytest.raises(pp.DTypeError, match=r"lt is not defined for complex tensors.*x\.real.*x\.abs\(\)"):
        pp.tensor(Z) < pp.tensor(Z)  # noqa: B015 - it raises


def test_export_is_refused_with_the_line() -> None:
    with pytest.raises(pp.export.UnsupportedOperators, match=r"test_complex\.py:\d+: fft_r2c.*no complex128"):
        pp.export.lower(pp.export.export(lambda x: pp.fft.rfft(x).abs(), (pp.ones(4, dtype=pp.float64),)))
    phases = pp.polar(pp.ones(3), pp.arange(3).float())  # constants may be complex
    ep = pp.export.export(lambda x: x * phases.real + pp.view_as_real(phases)[:, 1], (pp.ones(3),))
    program = pp.export.lower(ep)
    x = np.array([1.0, 2.0, 3.0], np.float32)
    got = pp.runtime.load(program.to_bytes())(x)
    want = x * np.cos(np.arange(3)) + np.sin(np.arange(3))
    np.testing.assert_allclose(got[0] if isinstance(got, (list, tuple)) else got, want, rtol=1e-6)


# -- gradients ------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "product": lambda m, z: z * z,
    "quotient": lambda m, z: z / (z * z + 2),
    "real times complex": lambda m, z: z.real * z,
    "matmul": lambda m, z: z @ z.mH,
    "power": lambda m, z: z**3 + z**0.5,
    "power of a tensor": lambda m, z: z**z,
    "exp": lambda m, z: (z * 1j).exp(),
    "log": lambda m, z: m.log(z + 3),
    "tanh": lambda m, z: m.tanh(z),
    "sigmoid": lambda m, z: m.sigmoid(z),
    "abs": lambda m, z: z.abs(),
    "abs of a square": lambda m, z: (z * z).abs() ** 2,
    "angle": lambda m, z: m.angle(z),
    "sgn": lambda m, z: m.sgn(z),
    "conj": lambda m, z: z.conj() * z,
    "prod": lambda m, z: z.prod(1),
    "cumprod": lambda m, z: m.cumprod(z, 1),
    "mean": lambda m, z: z.mean(0),
    "indexing": lambda m, z: z[[0, 1, 0]][:, 1:] * 2j,
    "where": lambda m, z: m.where(z.real > 0, z, z * 1j),
    "parts": lambda m, z: m.complex(z.imag, z.real * 2),
    "polar": lambda m, z: m.polar(z.abs(), z.real),
    "pairs": lambda m, z: m.view_as_complex(m.view_as_real(z) * 3) * z,
    "stack": lambda m, z: m.stack([z, z.conj()]) * z,
    "var": lambda m, z: z.var(1),
    "norm": lambda m, z: z.norm(),
    "einsum": lambda m, z: m.einsum("ij,kj->ik", z, z),
    "linear": lambda m, z: m.nn.functional.linear(z, z, z[:, 0]),
    "to real": lambda m, z: (z * z).to(m.float64),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient(name: str) -> None:
    """Against PyTorch and against finite differences of both parts; gradients of gradients too."""
    torch = pytest.importorskip("torch")
    ours, theirs = pp.tensor(Z, requires_grad=True), torch.tensor(Z, requires_grad=True)
    got, want = FUNCTIONS[name](pp, ours), FUNCTIONS[name](torch, theirs)
    np.testing.assert_allclose(got.detach().numpy(), want.detach().resolve_conj().numpy(), rtol=1e-10, atol=1e-12)
    seed = numbers(*want.shape)
    seed = np.asarray(seed if want.is_complex() else seed.real)
    got.backward(pp.tensor(seed))
    want.backward(torch.tensor(seed))
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.resolve_conj().numpy(), rtol=1e-8, atol=1e-10)
    assert gradcheck(lambda z: FUNCTIONS[name](pp, z), ours)
    assert gradgradcheck(lambda z: FUNCTIONS[name](pp, z), ours, limit=3)


MATRICES: dict[str, Callable[..., Any]] = {
    "inv": lambda m, a: m.linalg.inv(a),
    "det": lambda m, a: m.linalg.det(a),
    "solve": lambda m, a: m.linalg.solve(a, a * 1j + 1),
    "solve_triangular": lambda m, a: m.linalg.solve_triangular(a, a.conj(), upper=True),
    "lu": lambda m, a: m.linalg.lu_factor(a)[0],
    "lu_solve": lambda m, a: m.linalg.lu_solve(*m.linalg.lu_factor(a), a * a, adjoint=True),
    "pinv": lambda m, a: m.linalg.pinv(a[:, :2]),
    "cholesky": lambda m, a: m.linalg.cholesky(a @ a.mH),
    "cholesky_solve": lambda m, a: m.cholesky_solve(a, m.linalg.cholesky(a @ a.mH, upper=True), upper=True),
    "eigenvalues": lambda m, a: m.linalg.eigvalsh(a @ a.mH),
    "eigenprojection": lambda m, a: (lambda v: v[:, :1] @ v[:, :1].mH)(m.linalg.eigh(a @ a.mH)[1]),
    "svdvals": lambda m, a: m.linalg.svdvals(a),
    "norm": lambda m, a: m.linalg.norm(a, "nuc"),
    "vecdot": lambda m, a: m.linalg.vecdot(a, a * 1j),
    "matrix_power": lambda m, a: m.linalg.matrix_power(a, 3),
}


@pytest.mark.parametrize("name", MATRICES)
def test_matrices(name: str) -> None:
    torch = pytest.importorskip("torch")
    data = np.random.default_rng(3).normal(size=(3, 3, 2)) @ np.array([1, 1j]) + 2 * np.eye(3)
    ours, theirs = pp.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    got, want = MATRICES[name](pp, ours), MATRICES[name](torch, theirs)
    np.testing.assert_allclose(got.detach().numpy(), want.detach().resolve_conj().numpy(), rtol=1e-9, atol=1e-11)
    (got.abs() ** 2).sum().backward()
    (want.abs() ** 2).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.resolve_conj().numpy(), rtol=1e-7, atol=1e-9)


def test_factors_without_a_complex_gradient_say_so() -> None:
    a = pp.tensor(Z[:, :2], requires_grad=True)
    for run in (pp.linalg.qr, pp.linalg.svd, pp.linalg.slogdet):
        with pytest.raises(pp.AutogradError, match=r"at .*test_complex\.py:\d+ has no gradient for complex numbers"):
            run(a)[0].abs().sum().backward()
    u, s, vh = pp.linalg.svd(a.detach(), full_matrices=False)
    np.testing.assert_allclose((u * s @ vh).numpy(), Z[:, :2], atol=1e-12)
    for refused in (pp.matrix_exp, pp.geqrf, pp.cov, pp.corrcoef, lambda x: pp.linalg.lstsq(x, x)):
        with pytest.raises(pp.DTypeError):
            refused(a.detach())


def test_gradients_at_zero() -> None:
    torch = pytest.importorskip("torch")
    for run in (lambda m, z: z.abs(), lambda m, z: m.angle(z), lambda m, z: m.sgn(z)):
        ours, theirs = (m.zeros(2, dtype=m.complex128, requires_grad=True) for m in (pp, torch))
        run(pp, ours).sum().abs().backward()
        run(torch, theirs).sum().abs().backward()
        assert ours.grad.tolist() == theirs.grad.tolist()


def test_gradient_of_a_real_leaf_is_real() -> None:
    x = pp.tensor([1.0, 2.0], requires_grad=True)
    ((x * (1 + 2j)).exp().abs()).sum().backward()
    assert x.grad.dtype is pp.float32
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1.0, 2.0]), rtol=1e-6)


def test_backward_needs_a_real_loss() -> None:
    z = pp.tensor(1j, requires_grad=True)
    with pytest.raises(pp.AutogradError, match="only for a real tensor"):
        (z * 2).backward()
    (z * 2).backward(pp.tensor(1 + 1j))
    assert z.grad.item() == 2 + 2j
    with pytest.raises(pp.DTypeError, match="floating-point and complex"):
        pp.tensor([1], requires_grad=True)


def test_learning_a_complex_parameter() -> None:
    """Gradient descent on |w z - t|^2 goes down: the gradient points up, in both parts."""
    w, z, t = pp.tensor(0j, requires_grad=True), pp.tensor(Z.ravel()), pp.tensor(Z.ravel() * (2 - 3j))
    for _ in range(200):
        loss = ((w * z - t).abs() ** 2).mean()
        (g,) = pp.autograd.grad(loss, w)
        w = (w - 0.1 * g).detach().requires_grad_()
    assert abs(w.item() - (2 - 3j)) < 1e-3


def test_factors_of_products_keep_their_fraction() -> None:
    a = pp.tensor(numbers(2, 3, 3))
    got = pp.baddbmm(a, a, a, beta=0.5, alpha=1.5 - 0.5j)
    np.testing.assert_allclose(got.numpy(), 0.5 * a.numpy() + (1.5 - 0.5j) * (a.numpy() @ a.numpy()), rtol=1e-12)
