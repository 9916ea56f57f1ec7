"""The same memory under other names: numpy, DLPack, buffers, storages, views as another type, memory formats."""

from __future__ import annotations

import array
import sys
from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.frontend import dtypes

TRAVELLING = [d.name for d in dtypes.ALL if d.name != "bfloat16"]
STORED = [d.name for d in dtypes.STORAGE]


def filled(dtype: str, *shape: int) -> Any:
    return pp.arange(int(np.prod(shape))).view(shape).to(getattr(pp, dtype))


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


# -- numpy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*TRAVELLING, "bfloat16", *STORED])
def test_numpy_shares_memory(dtype: str) -> None:
    t = filled(dtype, 3, 4)
    for found in (t.numpy(), np.asarray(t), t.mT[1:].numpy(), np.asarray(t[:, ::2])):
        assert t.data_ptr() <= address(found) < t.data_ptr() + t.nbytes
        assert found.dtype == getattr(pp, dtype).values
    back = pp.from_numpy(t.numpy())
    assert back.dtype is t.dtype and back.data_ptr() == t.data_ptr()
    assert np.array(t, copy=True).__array_interface__["data"][0] != t.data_ptr()
    assert np.asarray(t, dtype=np.float64).tolist() == t.to(pp.float64).tolist()


def test_numpy_functions_take_tensors() -> None:
    assert np.add(pp.ones(2), 1).tolist() == [2.0, 2.0] and np.stack([pp.ones(2)] * 2).shape == (2, 2)
    with pytest.raises(pp.AutogradError, match="detach"):
        np.asarray(pp.ones(2, requires_grad=True))


def test_there_is_no_cuda_interface() -> None:
    assert not hasattr(pp.ones(2), "__cuda_array_interface__")


# -- DLPack ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TRAVELLING)
@pytest.mark.parametrize(
    "view", [lambda t: t, lambda t: t.mT, lambda t: t[1:, ::2], lambda t: t[0, 0], lambda t: t[:0]]
)  # fmt: skip
def test_dlpack_between_libraries(dtype: str, view: Any) -> None:
    torch = pytest.importorskip("torch")
    t = view(filled(dtype, 3, 4))
    for theirs in (torch.from_dlpack(t), np.from_dlpack(t)):
        assert theirs.tolist() == t.tolist() and tuple(theirs.shape) == tuple(t.shape)
        back = pp.from_dlpack(theirs)
        assert back.dtype is t.dtype and back.tolist() == t.tolist()
        if t.numel():
            pointer = theirs.data_ptr() if isinstance(theirs, torch.Tensor) else address(theirs)
            assert pointer == t.data_ptr() == back.data_ptr()
    if t.numel() > 1:
        torch.from_dlpack(t).fill_(1)
        assert t.to(pp.int64).tolist() == np.ones(tuple(t.shape), int).tolist()


def test_dlpack_capsules_and_versions() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.arange(3.0)
    mine = pp.from_dlpack(torch.utils.dlpack.to_dlpack(theirs))
    theirs[0] = 7
    assert mine.tolist() == [7, 1, 2]
    with pytest.raises(pp.InplaceError):  # the old capsule does not say that it may be written
        mine[0] = 8
    mine = pp.from_dlpack(theirs)
    mine[0] = 8
    assert theirs[0] == 8 and torch.from_dlpack(mine.__dlpack__()).tolist() == [8, 1, 2]
    assert mine.__dlpack_device__() == (1, 0)
    assert type(mine.__dlpack__(max_version=(1, 0))).__name__ == "PyCapsule"
    same = pp.from_dlpack(mine)
    assert same.data_ptr() == mine.data_ptr() and pp.from_dlpack(mine, copy=True).data_ptr() != mine.data_ptr()


def test_dlpack_of_read_only_memory() -> None:
    array = np.arange(3.0)
    array.flags.writeable = False
    t = pp.from_dlpack(array)
    assert t.tolist() == [0, 1, 2] and (t + 1).tolist() == [1, 2, 3]
    with pytest.raises(pp.InplaceError):
        t.add_(1)
    assert np.from_dlpack(t).tolist() == [0, 1, 2]  # versioned capsules say that it is read-only


def test_dlpack_refusals() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(pp.AutogradError, match="detach"):
        torch.from_dlpack(pp.ones(2, requires_grad=True))
    for dtype in ("bfloat16", *STORED):
        with pytest.raises(pp.DTypeError, match=r"does not travel; send \.view"):
            filled(dtype, 2).__dlpack__()
    with pytest.raises(pp.DTypeError, match="cannot take over"):
        pp.from_dlpack(torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises(pp.ArgumentError, match="has no __dlpack__"):
        pp.from_dlpack([1, 2])
    t = filled("bfloat16", 3)  # the way out that the message names
    theirs = torch.from_dlpack(t.view(pp.int16)).view(torch.bfloat16)
    assert theirs.tolist() == t.tolist() == pp.from_dlpack(theirs.view(torch.int16)).view(pp.bfloat16).tolist()


def test_dlpack_from_another_device() -> None:
    class Far:
        def __dlpack__(self, **_: Any) -> Any:
            raise AssertionError("not asked for")

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

    with pytest.raises(pp.ArgumentError, match=r"on device \(2, 0\); copy it to the CPU"):
        pp.from_dlpack(Far())


# -- buffers and storages -------------------------------------------------------------------------


def test_frombuffer() -> None:
    memory = bytearray(np.arange(6, dtype=np.float32).tobytes())
    t = pp.frombuffer(memory, dtype=pp.float32, offset=4, count=3)
    assert t.tolist() == [1, 2, 3]
    t[0] = 9
    assert np.frombuffer(memory, np.float32)[1] == 9
    assert pp.frombuffer(array.array("i", [1, 2]), dtype=pp.int32).tolist() == [1, 2]
    assert pp.frombuffer(memory, dtype=pp.float32, requires_grad=True).requires_grad
    assert pp.frombuffer(bytes([56, 64]), dtype=pp.float8_e4m3fn).tolist() == [1, 2]
    with pytest.raises(pp.InplaceError):
        pp.frombuffer(b"1234", dtype=pp.uint8).zero_()


@pytest.mark.parametrize("kwargs", [
    {"dtype": "float32", "offset": 9}, {"dtype": "float32", "offset": 1}, {"dtype": "float32", "count": 3},
    {"dtype": "uint8", "count": 0}, {"dtype": "uint8", "offset": -1},
    {"dtype": "int64", "offset": 4},
])  # fmt: skip
def test_frombuffer_refuses_what_does_not_fit(kwargs: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    for library, error in ((torch, ValueError), (pp, pp.ArgumentError)):
        with pytest.raises(error):
            library.frombuffer(bytearray(8), **{**kwargs, "dtype": getattr(library, kwargs["dtype"])})


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python asks classes for buffers from 3.12 on")
def test_memoryview() -> None:
    t = pp.arange(6).view(2, 3)
    view = memoryview(t)
    assert view.tolist() == t.tolist()
    view[0, 0] = 9
    assert t[0, 0].item() == 9


def test_storages() -> None:
    torch = pytest.importorskip("torch")
    for m in (pp, torch):
        t = m.arange(12).view(3, 4)
        part = t.mT[1:, 1:]
        storage = part.untyped_storage()
        assert storage.nbytes() == len(storage) == storage.size() == 96 and storage.data_ptr() == t.data_ptr()
        assert part.storage_offset() == 5 and part.stride() == (1, 4) and part.element_size() == 8
        assert part.data_ptr() == t.data_ptr() + 5 * 8 and storage.tolist()[8] == 1
    z = pp.tensor([1j, 2.0])
    assert z.imag.untyped_storage().nbytes() == 16 and z.real.untyped_storage().data_ptr() == z.data_ptr()


# -- views as another type ------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), [
    ("float32", "int32"), ("float32", "uint8"), ("uint8", "float32"), ("complex64", "float32"), ("float16", "bfloat16"),
    ("int64", "complex64"), ("uint8", "float8_e4m3fn"), ("float8_e5m2", "uint8"), ("bool", "uint8"),
])  # fmt: skip
def test_view_as_type(source: str, target: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = filled("uint8", 3, 16), torch.arange(48, dtype=torch.uint8).view(3, 16)
    ours, theirs = ours.view(getattr(pp, source)), theirs.view(getattr(torch, source))
    got, want = ours.view(getattr(pp, target)), theirs.view(getattr(torch, target))
    assert got.dtype.name == target and tuple(got.shape) == tuple(want.shape)
    assert np.array_equal(np.array(got.tolist()), np.array(want.tolist()), equal_nan=True)
    assert got.data_ptr() == ours.data_ptr()


def test_view_as_type_refusals() -> None:
    for bad in (pp.tensor(1.0), pp.ones(3), pp.ones(4, 4).mT):
        with pytest.raises(pp.ShapeError, match="view"):
            bad.view(pp.float64)
    t = pp.ones(2)
    t.view(pp.int32)[0] = 0
    assert t.tolist() == [0, 1]


# -- memory formats -------------------------------------------------------------------------------


def test_channels_last_keeps_the_logical_shape() -> None:
    torch = pytest.importorskip("torch")
    strides = []
    for m in (pp, torch):
        x = m.arange(48.0).view(2, 3, 2, 4)
        for y in (
            x.to(memory_format=m.channels_last), x.contiguous(memory_format=m.channels_last),
            x.clone(memory_format=m.channels_last), x.double().to(m.float32, memory_format=m.channels_last),
        ):  # fmt: skip
            assert tuple(y.shape) == (2, 3, 2, 4) and y.tolist() == x.tolist()
            assert not y.is_contiguous() and y.is_contiguous(memory_format=m.channels_last)
            assert y.contiguous(memory_format=m.channels_last) is y and y.contiguous().stride() == x.stride()
            strides.append(y.stride())
        assert x.is_contiguous() and not x.is_contiguous(memory_format=m.channels_last)
        video = m.ones(1, 2, 3, 4, 5).to(memory_format=m.channels_last_3d)
        assert video.is_contiguous(memory_format=m.channels_last_3d) and not m.ones(2).is_contiguous(
            memory_format=m.channels_last
        )
        strides.append(video.stride())
        with pytest.raises(RuntimeError):
            m.ones(2).contiguous(memory_format=m.channels_last)
    assert strides[:5] == strides[5:]


def test_gradients_flow_through_memory_formats() -> None:
    x = pp.ones(1, 2, 3, 3, requires_grad=True)
    conv = pp.nn.Conv2d(2, 2, 3).to(memory_format=pp.channels_last)
    (conv(x.to(memory_format=pp.channels_last)) * 2).sum().backward()
    plain = pp.ones(1, 2, 3, 3, requires_grad=True)
    (conv(plain) * 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), plain.grad.numpy(), rtol=1e-6)
