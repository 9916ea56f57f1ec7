"""The shim of torchvision: files in their own formats, transforms beside Pillow and by hand, pictures of batches."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import sys

import numpy as np
import pytest

import pappus as pp
from pappus.frontend.errors import UnsupportedError
from pappus.torchvision import datasets, models, utils
from pappus.torchvision import transforms as T
from pappus.torchvision.transforms import functional as F

rng = np.random.default_rng(0)


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(root, name="MNIST", zipped=False):
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    images, labels = rng.integers(0, 256, (5, 28, 28)), np.arange(5)
    for part in ("train", "t10k"):
        for kind, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
            data = idx(array)
            path = folder / f"{part}-{kind}{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(data) if zipped else data)
    return images


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_files(tmp_path, zipped):
    images = write_mnist(tmp_path, zipped=zipped)
    data = datasets.MNIST(tmp_path, train=True, download=zipped, transform=T.ToTensor())
    x, y = data[3]
    assert len(data) == 5 and y == 3 and x.shape == (1, 28, 28) and x.dtype is pp.float32
    np.testing.assert_array_equal((x.numpy()[0] * 255).round(), images[3])
    assert data.data.shape == (5, 28, 28) and data.targets.tolist() == [0, 1, 2, 3, 4]
    loader = pp.utils.data.DataLoader(data, batch_size=2)
    assert [tuple(b.shape) for b, _ in loader] == [(2, 1, 28, 28), (2, 1, 28, 28), (1, 1, 28, 28)]
    assert datasets.MNIST(tmp_path, train=False, target_transform=lambda n: n * 10)[2][1] == 20


def test_mnist_that_is_not_there_or_damaged(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match=r"Dataset not found: .*train-images-idx3-ubyte.*download=True"):
        datasets.MNIST(tmp_path)
    monkeypatch.setattr(datasets.MNIST, "mirrors", ("http://127.0.0.1:9/",))
    with pytest.raises(ConnectionError, match=r"cannot download http://127\.0\.0\.1:9/.*put the file at"):
        datasets.MNIST(tmp_path, download=True)
    assert not [p for p in (tmp_path / "MNIST" / "raw").iterdir()]
    write_mnist(tmp_path, "FashionMNIST")
    assert len(datasets.FashionMNIST(tmp_path)) == 5
    path = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    for damaged in (path.read_bytes()[:-1], b"", b"\0\0\x08", b"\0\0\x0d\x01abcd"):
        path.write_bytes(damaged)
        with pytest.raises(RuntimeError, match=r"cut off or damaged|not an IDX file"):
            datasets.FashionMNIST(tmp_path)


def test_cifar_files(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    images = rng.integers(0, 256, (10, 3072)).astype(np.uint8)
    for i in range(5):
        batch = {"data": images[2 * i : 2 * i + 2], "labels": [i, i + 1]}
        (folder / f"data_batch_{i + 1}").write_bytes(pickle.dumps(batch, 2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"c{i}" for i in range(10)]}, 2))
    data = datasets.CIFAR10(tmp_path, transform=T.ToTensor())
    assert len(data) == 10 and data.classes[3] == "c3" and data[3][1] == 2
    np.testing.assert_array_equal((data[3][0].numpy() * 255).round().reshape(-1), images[3])
    with pytest.raises(RuntimeError, match=r"there is no .*test_batch"):
        datasets.CIFAR10(tmp_path, train=False)

    class Evil:
        def __reduce__(self):
            return print, ("ran",)

    (folder / "data_batch_2").write_bytes(pickle.dumps(Evil(), 2))
    with pytest.raises(pp.FormatError, match="print"):
        datasets.CIFAR10(tmp_path)


def test_cifar_as_python_2_wrote_it():
    from pappus.frontend.torch_file.reader import read_pickle

    data = (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x07\xfftb"
        b"U\x06labels](K\x05K\x06eu."
    )
    found = read_pickle(data, "batch")
    assert found["data"].tolist() == [7, 255] and found["data"].dtype == np.uint8 and found["labels"] == [5, 6]


def test_fake_data_repeats_itself():
    data = datasets.FakeData(3, (3, 8, 6), num_classes=4, transform=T.ToTensor())
    x, y = data[1]
    assert x.shape == (3, 8, 6) and 0 <= y < 4 and len(data) == 3 and data[1][0].tolist() == x.tolist()
    assert datasets.FakeData(1, (1, 4, 4), transform=T.ToTensor())[0][0].shape == (1, 4, 4)
    with pytest.raises(IndexError):
        data[3]


def test_folders_of_images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name, value in (("cat", 10), ("dog", 200)):
        (tmp_path / name).mkdir()
        image.new("RGB", (4, 3), (value, 0, 0)).save(tmp_path / name / "a.png")
        (tmp_path / name / "notes.txt").write_text("no image")
    data = datasets.ImageFolder(tmp_path, transform=T.ToTensor())
    assert data.classes == ["cat", "dog"] and data.class_to_idx == {"cat": 0, "dog": 1} and len(data) == 2
    x, y = data[1]
    assert y == 1 and x.shape == (3, 3, 4) and float(x[0, 0, 0]) == pytest.approx(200 / 255)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="classes empty"):
        datasets.ImageFolder(tmp_path)


def test_without_pillow_images_are_arrays(tmp_path, monkeypatch):
    images = write_mnist(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    image, _ = datasets.MNIST(tmp_path)[0]
    assert isinstance(image, np.ndarray) and np.array_equal(image, images[0])
    steps = T.Compose([T.Pad(2), T.Resize(16), T.CenterCrop(12), T.RandomHorizontalFlip(), T.ToTensor()])
    assert steps(image).shape == (1, 12, 12)
    with pytest.raises(UnsupportedError, match="needs Pillow, which is not installed: pip install pillow"):
        T.ToPILImage()(image)
    buffer = io.BytesIO()
    utils.save_image(pp.rand(4, 3, 5, 5), buffer)
    assert buffer.getvalue().startswith(b"\x89PNG")


# -- transforms -----------------------------------------------------------------------------------


def picture(height=7, width=9):
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def three_forms(array):
    yield array
    yield F.pil_to_tensor(array)
    image = pytest.importorskip("PIL.Image")
    yield image.fromarray(array)


def as_array(value):
    return value.numpy().transpose(1, 2, 0) if isinstance(value, pp.Tensor) else np.asarray(value)


@pytest.mark.parametrize("step, expected", [
    (T.CenterCrop(4), lambda a: a[2:6, 2:6]), (T.CenterCrop((3, 5)), lambda a: a[2:5, 2:7]),
    (T.Pad(1), lambda a: np.pad(a, [(1, 1), (1, 1), (0, 0)])),
    (T.Pad((1, 2)), lambda a: np.pad(a, [(2, 2), (1, 1), (0, 0)])),
    (T.Pad((1, 2, 3, 4), padding_mode="reflect"), lambda a: np.pad(a, [(2, 4), (1, 3), (0, 0)], mode="reflect")),
    (T.RandomHorizontalFlip(1.0), lambda a: a[:, ::-1]), (T.RandomVerticalFlip(1.0), lambda a: a[::-1]),
    (T.RandomHorizontalFlip(0.0), lambda a: a), (T.CenterCrop(9), lambda a: np.pad(a, [(1, 1), (0, 0), (0, 0)])),
])  # fmt: skip
def test_transforms_on_every_form_of_image(step, expected):
    array = picture()
    for form in three_forms(array):
        np.testing.assert_array_equal(as_array(step(form)), expected(array))


def test_to_tensor_and_normalize():
    array = picture()
    x = T.ToTensor()(array)
    np.testing.assert_allclose(x.numpy(), array.transpose(2, 0, 1) / 255, rtol=1e-6)
    assert T.ToTensor()(np.ones((2, 2), np.float64)).dtype is pp.float64
    y = T.Compose([T.ToTensor(), T.Normalize((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))])(array)
    np.testing.assert_allclose(y.numpy()[1], (array[:, :, 1] / 255 - 0.4) / 0.2, rtol=1e-4, atol=1e-5)
    back = T.ToPILImage()(x)
    np.testing.assert_allclose(np.asarray(back).astype(int), array, atol=1)
    assert F.convert_image_dtype(F.pil_to_tensor(array), pp.float32).max() <= 1
    for wrong, message in ((F.pil_to_tensor(array), "ToTensor before"), (array, "ToTensor before")):
        with pytest.raises(ValueError, match=message):
            T.Normalize(0.5, 0.5)(wrong)
    with pytest.raises(ValueError, match="holds a zero"):
        F.normalize(x, [0.5], [0.0])
    with pytest.raises(ValueError, match="tensor already"):
        T.ToTensor()(x)


def test_resize_keeps_the_shape_of_the_image():
    array = picture(20, 30)
    for form in three_forms(array):
        assert as_array(T.Resize(10)(form)).shape == (10, 15, 3)
        assert as_array(T.Resize((8, 6))(form)).shape == (8, 6, 3)
        assert as_array(T.Resize((20, 30))(form)).shape == (20, 30, 3)
    tensor, image = (as_array(T.Resize((10, 15))(form)).astype(int) for form in list(three_forms(array))[1:])
    assert np.abs(tensor - image).max() <= 2


def test_random_crops_stay_inside_and_follow_the_seed():
    array = picture(12, 12)
    step = T.RandomCrop(8, padding=2)
    pp.manual_seed(1)
    one = [as_array(step(array)) for _ in range(5)]
    pp.manual_seed(1)
    two = [as_array(step(F.pil_to_tensor(array))) for _ in range(5)]
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True)) and len({a.tobytes() for a in one}) > 1
    with pytest.raises(ValueError, match=r"the crop \(20, 20\) is larger than the image \(12, 12\)"):
        T.RandomCrop(20)(array)
    assert as_array(T.RandomCrop(20, pad_if_needed=True)(array)).shape == (20, 20, 3)
    assert as_array(T.RandomResizedCrop(5)(array)).shape == (5, 5, 3)
    assert as_array(T.RandomApply([T.Pad(1)], p=1.0)(array)).shape == (14, 14, 3)
    assert as_array(T.RandomChoice([T.Pad(1), T.Pad(1)])(array)).shape == (14, 14, 3)
    erased = T.RandomErasing(p=1.0, value=-1.0)(pp.ones(3, 12, 12))
    assert 0 < int((erased == -1).sum()) < 3 * 144
    assert as_array(T.Grayscale()(array)).shape == (12, 12, 1) and T.Lambda(lambda v: 3)(array) == 3
    with pytest.raises(AttributeError, match="has no attribute 'RandomCropp'; did you mean 'RandomCrop'"):
        T.RandomCropp  # noqa: B018


# -- pictures -------------------------------------------------------------------------------------


def test_grids():
    x = pp.arange(5.0).reshape(5, 1, 1, 1).expand(5, 3, 4, 6)
    grid = utils.make_grid(x, nrow=2, padding=1, pad_value=9.0)
    assert grid.shape == (3, 16, 15)
    assert [float(grid[0, y, x]) for y, x in ((1, 1), (1, 8), (11, 1), (0, 0), (11, 8))] == [0, 1, 4, 9, 9]
    assert utils.make_grid(pp.zeros(1, 2, 2)).shape == (3, 2, 2)
    assert utils.make_grid([pp.zeros(3, 2, 2)] * 3, nrow=8).shape == (3, 6, 14)
    scaled = utils.make_grid(x, normalize=True)
    assert float(scaled.max()) == 1 and float(utils.make_grid(x, normalize=True, value_range=(0, 8)).max()) == 0.5
    with pytest.raises(ValueError, match=r"\[n, c, h, w\]"):
        utils.make_grid(pp.zeros(3))


def test_saved_pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    x = pp.rand(1, 3, 5, 4)
    utils.save_image(x, tmp_path / "x.png")
    found = np.asarray(image.open(tmp_path / "x.png"))
    np.testing.assert_allclose(found.astype(float), x[0].numpy().transpose(1, 2, 0) * 255, atol=0.51)
    utils.save_image(x, tmp_path / "x.jpg")
    assert image.open(tmp_path / "x.jpg").size == (4, 5)


def test_models_are_refused_with_the_way_out():
    with pytest.raises(UnsupportedError, match=r"torchvision\.models\.resnet18 is not part of Pappus; write the model"):
        models.resnet18(pretrained=True)
    with pytest.raises(UnsupportedError, match="load_state_dict_from_url"):
        models.ResNet()
