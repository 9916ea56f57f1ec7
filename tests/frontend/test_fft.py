"""Fourier transforms beside PyTorch's: every transform, size, norm and dimension; the short-time one; windows."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.frontend.gradcheck import gradcheck, gradgradcheck

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
NORMS = (None, "backward", "ortho", "forward")
# Name, whether it takes complex numbers.
LINES = {"fft": True, "ifft": True, "rfft": False, "irfft": True, "hfft": True, "ihfft": False}
PLANES = {f"{name}{end}": takes for name, takes in LINES.items() for end in ("2", "n")}


def signal(shape: tuple[int, ...], kind: str) -> Any:
    x = RNG.normal(size=shape)
    return x + 1j * RNG.normal(size=shape) if kind.startswith("complex") else x


def compare(name: str, x: Any, *args: Any, kind: str = "float64", **kwargs: Any) -> None:
    """Values, types and gradients of a transform in both libraries."""
    ours, theirs = pp.tensor(x, dtype=kind, requires_grad=True), torch.tensor(x, dtype=getattr(torch, kind))
    theirs.requires_grad_()
    got, want = getattr(pp.fft, name)(ours, *args, **kwargs), getattr(torch.fft, name)(theirs, *args, **kwargs)
    assert got.dtype.name == str(want.dtype).removeprefix("torch.") and tuple(got.shape) == tuple(want.shape)
    close = {"rtol": 1e-10, "atol": 1e-10} if "64" in kind and kind != "complex64" else {"rtol": 2e-5, "atol": 2e-5}
    np.testing.assert_allclose(got.detach().numpy(), want.detach().resolve_conj().numpy(), **close)
    seed = signal(tuple(want.shape), str(want.dtype).removeprefix("torch."))
    got.backward(pp.tensor(seed, dtype=got.dtype))
    want.backward(torch.tensor(seed, dtype=want.dtype))
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.resolve_conj().numpy(), **close)


@pytest.mark.parametrize(("name", "norm"), list(itertools.product(LINES, NORMS)))
def test_one_dimension(name: str, norm: str | None) -> None:
    for kind in ("float64", "complex128") if LINES[name] else ("float64",):
        for n in (None, 1, 4, 5, 9):
            compare(name, signal((2, 5), kind), n, norm=norm, kind=kind)
        compare(name, signal((4, 3), kind), dim=0, norm=norm, kind=kind)


@pytest.mark.parametrize(("name", "norm"), list(itertools.product(PLANES, (None, "ortho", "forward"))))
def test_several_dimensions(name: str, norm: str | None) -> None:
    for kind in ("float64", "complex128") if PLANES[name] else ("float64",):
        x = signal((2, 3, 4), kind)
        compare(name, x, norm=norm, kind=kind)
        compare(name, x, s=(5, 3), norm=norm, kind=kind)
        compare(name, x, s=(2, -1), dim=(2, 0), norm=norm, kind=kind)
        compare(name, x, dim=(0, 1), norm=norm, kind=kind)


@pytest.mark.parametrize("kind", ["float32", "complex64"])
@pytest.mark.parametrize("name", [*LINES, *PLANES])
def test_single_precision(name: str, kind: str) -> None:
    if kind == "float32" or {**LINES, **PLANES}[name]:
        compare(name, signal((2, 5, 6), kind), kind=kind)


def test_integers_empty_batches_and_strides() -> None:
    for run in (lambda m, x: m.fft.rfft(x), lambda m, x: m.fft.fft(x), lambda m, x: m.fft.ihfft(x)):
        got, want = run(pp, pp.arange(5)), run(torch, torch.arange(5))
        assert got.dtype is pp.complex64
        np.testing.assert_allclose(got.numpy(), want.resolve_conj().numpy(), atol=1e-5)
        assert tuple(run(pp, pp.ones(0, 5)).shape) == (0, want.shape[-1])
    x = signal((6, 5), "float64")
    strided = pp.fft.rfft(pp.tensor(x)[::2].mT[:, :2])
    np.testing.assert_allclose(strided.numpy(), np.fft.rfft(x[::2].T[:, :2]), atol=1e-12)
    assert pp.fft.fftn(pp.tensor(2.0)).item() == 2 and pp.fft.fftn(pp.ones(2), dim=()).tolist() == [1, 1]
    assert pp.fft.irfft(pp.fft.rfft(pp.ones(7)), n=7).tolist() == pytest.approx([1] * 7)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_frequencies_and_shifts(n: int) -> None:
    for name in ("fftfreq", "rfftfreq"):
        got, want = getattr(pp.fft, name)(n, 0.5), getattr(torch.fft, name)(n, 0.5)
        assert got.tolist() == want.tolist() and got.dtype is pp.float32
        assert getattr(pp.fft, name)(n, dtype=pp.float64).dtype is pp.float64
    x = np.arange(3 * n).reshape(3, n)
    for name, dim in itertools.product(("fftshift", "ifftshift"), (None, 0, (1,), (0, 1))):
        got, want = getattr(pp.fft, name)(pp.tensor(x), dim), getattr(torch.fft, name)(torch.tensor(x), dim)
        assert got.tolist() == want.tolist()


WRONG: dict[str, Callable[[Any], Any]] = {
    "no points": lambda m: m.fft.fft(m.ones(3), n=0),
    "negative size": lambda m: m.fft.rfft(m.ones(3), n=-2),
    "a half of nothing": lambda m: m.fft.irfft(m.ones(1)),
    "no such dimension": lambda m: m.fft.fft(m.ones(3), dim=1),
    "0-d": lambda m: m.fft.fft(m.tensor(1.0)),
    "0-d planes": lambda m: m.fft.fft2(m.tensor(1.0)),
    "one dimension twice": lambda m: m.fft.fftn(m.ones(2, 2), dim=(0, -2)),
    "sizes without dimensions": lambda m: m.fft.fftn(m.ones(2, 2), s=(2, 2), dim=(1,)),
    "too many sizes": lambda m: m.fft.fftn(m.ones(2), s=(2, 2)),
    "norm": lambda m: m.fft.fft(m.ones(3), norm="both"),
    "rfft of complex": lambda m: m.fft.rfft(m.ones(3) * 1j),
    "ihfft of complex": lambda m: m.fft.ihfft(m.ones(3) * 1j),
    "16 bits": lambda m: m.fft.fft(m.ones(3).bfloat16()),
    "rfftn over nothing": lambda m: m.fft.rfftn(m.ones(3), dim=()),
    "window of a negative length": lambda m: m.hann_window(-1),
    "window of integers": lambda m: m.hann_window(3, dtype=m.int64),
    "real signal without return_complex": lambda m: m.stft(m.ones(20), 8),
    "hop": lambda m: m.stft(m.ones(20), 8, 0, return_complex=True),
    "long window": lambda m: m.stft(m.ones(20), 8, win_length=9, return_complex=True),
    "another window": lambda m: m.stft(m.ones(20), 8, window=m.ones(6), return_complex=True),
    "short signal": lambda m: m.stft(m.ones(4), 8, center=False, return_complex=True),
    "3-d signal": lambda m: m.stft(m.ones(1, 1, 20), 8, return_complex=True),
    "integer signal": lambda m: m.stft(m.arange(20), 8, return_complex=True),
    "one side of a complex signal": lambda m: m.stft(m.ones(20) * 1j, 8, onesided=True),
    "alignment of a centred window": lambda m: m.stft(m.ones(20), 8, align_to_window=True, return_complex=True),
    "istft of real numbers": lambda m: m.istft(m.ones(5, 4), 8),
    "istft with the wrong frequencies": lambda m: m.istft(m.ones(6, 4) * 1j, 8, onesided=True),
    "istft with gaps": lambda m: m.istft(m.ones(5, 4) * 1j, 8, hop_length=9),
    "istft where windows are 0": lambda m: m.istft(m.ones(5, 4) * 1j, 8, window=m.hann_window(8), center=False),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore")
def test_wrong_calls(name: str) -> None:
    with pytest.raises((RuntimeError, IndexError, TypeError)):
        WRONG[name](torch)
    with pytest.raises(pp.PappusError):
        WRONG[name](pp)


# -- short-time -----------------------------------------------------------------------------------

SETTINGS: list[dict[str, Any]] = [
    {}, {"hop_length": 3}, {"center": False}, {"pad_mode": "constant"}, {"normalized": True}, {"onesided": False},
    {"win_length": 6}, {"win_length": 5, "center": False}, {"return_complex": False},
    {"win_length": 4, "center": False, "align_to_window": True}, {"hop_length": 5, "win_length": 7, "normalized": True},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("n_fft", [8, 7])
@pytest.mark.filterwarnings("ignore:.*window was not provided:UserWarning", "ignore:stft with return_complex")
def test_stft(n_fft: int, settings: dict[str, Any]) -> None:
    if settings.get("align_to_window") and n_fft % 2:
        settings = {**settings, "win_length": 5}  # torch cannot split an odd number of zeros
    x, kwargs = signal((2, 21), "float64"), {"return_complex": True, **settings}
    w = signal((kwargs.get("win_length", n_fft),), "float64")
    for array in (x, x[0]):
        ours, theirs = pp.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        windows = pp.tensor(w, requires_grad=True), torch.tensor(w, requires_grad=True)
        got = pp.stft(ours, n_fft, window=windows[0], **kwargs)
        want = torch.stft(theirs, n_fft, window=windows[1], **kwargs)
        np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), atol=1e-10)
        got.abs().sum().backward()
        want.abs().sum().backward()
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-9)
        np.testing.assert_allclose(windows[0].grad.numpy(), windows[1].grad.numpy(), atol=1e-9)
    z = pp.tensor(x * 1j)
    kwargs.pop("onesided", None)
    np.testing.assert_allclose(
        z.stft(n_fft, window=pp.tensor(w), **kwargs).numpy(),
        torch.tensor(x * 1j).stft(n_fft, window=torch.tensor(w), **kwargs).numpy(), atol=1e-10,
    )  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [{}, {"hop_length": 3}, {"normalized": True}, {"onesided": False}, {"win_length": 7}, {"length": 20},
     {"length": 30}, {"onesided": False, "return_complex": True}],
    ids=str,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*length:UserWarning")
def test_istft(settings: dict[str, Any]) -> None:
    forward = {k: v for k, v in settings.items() if k not in ("length", "return_complex")}
    w = pp.hamming_window(settings.get("win_length", 8), dtype=pp.float64)
    for array in (signal((2, 22), "float64"), signal((22,), "float64")):
        spectrum = pp.stft(pp.tensor(array), 8, window=w, return_complex=True, **forward)
        noisy = spectrum.numpy() + 0.1 * signal(tuple(spectrum.shape), "complex128")
        ours, theirs = pp.tensor(noisy, requires_grad=True), torch.tensor(noisy, requires_grad=True)
        got = pp.istft(ours, 8, window=w, **settings)
        want = torch.istft(theirs, 8, window=torch.tensor(w.numpy()), **settings)
        np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), atol=1e-10)
        got.abs().sum().backward()
        want.abs().sum().backward()
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-9)
        back = pp.istft(spectrum, 8, window=w, length=20, **forward).numpy()  # what stft took apart
        np.testing.assert_allclose(back, array[..., :20], atol=1e-10)


def test_a_missing_window_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="stft: no window"):
        pp.stft(pp.ones(20), 8, return_complex=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pp.stft(pp.ones(20), 8, window=pp.ones(8), return_complex=True)


@pytest.mark.parametrize("name", ["bartlett", "blackman", "hamming", "hann", "kaiser"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_windows(name: str, dtype: str) -> None:
    ours, theirs = getattr(pp, f"{name}_window"), getattr(torch, f"{name}_window")
    for n, periodic in itertools.product((0, 1, 2, 5, 8), (True, False)):
        got = ours(n, periodic, dtype=getattr(pp, dtype))
        want = theirs(n, periodic, dtype=getattr(torch, dtype))
        assert got.dtype.name == dtype and tuple(got.shape) == tuple(want.shape)
        np.testing.assert_allclose(got.numpy(), want.numpy(), atol=1e-6 if dtype == "float32" else 1e-12)
    more = {"hamming": {"alpha": 0.6, "beta": 0.3}, "kaiser": {"beta": 5.0}}.get(name, {})
    np.testing.assert_allclose(ours(6, True, **more).numpy(), theirs(6, True, **more).numpy(), atol=1e-6)
    assert ours(3, requires_grad=True).requires_grad


# -- models ---------------------------------------------------------------------------------------


def test_second_derivatives() -> None:
    x = pp.tensor(signal((2, 5), "float64"), requires_grad=True)
    for run in (
        lambda x: pp.fft.irfft(pp.fft.rfft(x) ** 2, n=5),
        lambda x: pp.fft.fft2(x).abs(),
        lambda x: pp.fft.hfft(pp.fft.ihfft(x * x), n=5) * x,
    ):
        assert gradcheck(run, x) and gradgradcheck(run, x, limit=4)


def trained(m: Any, loss_of: Callable[..., Any], arrays: list[Any]) -> list[float]:
    """The losses of 20 steps of SGD on `loss_of(m, *parameters)`."""
    parameters = [m.tensor(a, requires_grad=True) for a in arrays]
    optimizer = m.optim.SGD(parameters, lr=0.05)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = loss_of(m, *parameters)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_models_train_as_in_torch() -> None:
    """Token mixing by Fourier transforms (FNet) and a spectral convolution with complex weights (FNO)."""
    x, y = signal((4, 6, 5), "float64"), signal((4, 6, 5), "float64")

    def mixing(m: Any, w: Any, v: Any) -> Any:
        h = m.tensor(x)
        h = m.nn.functional.layer_norm(h + m.fft.fft2(h @ w).real / 6, (5,))
        return ((h @ v - m.tensor(y)) ** 2).mean()

    def spectral(m: Any, w: Any, scale: Any) -> Any:
        modes = m.fft.rfft(m.tensor(x), dim=1)[:, :3]
        mixed = m.einsum("bmi,mio->bmo", modes, m.view_as_complex(w))
        out = m.tanh(m.fft.irfft(mixed, n=6, dim=1) * scale)
        return ((out - m.tensor(y)) ** 2).mean()

    for loss_of, shapes in ((mixing, [(5, 5), (5, 5)]), (spectral, [(3, 5, 5, 2), (5,)])):
        arrays = [signal(s, "float64") * 0.3 for s in shapes]
        got, want = trained(pp, loss_of, arrays), trained(torch, loss_of, arrays)
        np.testing.assert_allclose(got, want, rtol=1e-9)
        assert got[-1] < got[0] * 0.98
