"""PyTorch's checkpoints: both directions against torch, what is shared stays shared, and hostile files do nothing."""

from __future__ import annotations

import argparse
import collections
import io
import os
import pickle
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_file_mutants

import pappus as pp
from pappus.frontend import dtypes, torch_file

TYPES = [*(d.name for d in dtypes.ALL), *(name for name in dtypes.BY_NAME if name.startswith("float8"))]


def stored(obj, **options):
    buffer = io.BytesIO()
    pp.save(obj, buffer, format="pt", **options)
    buffer.seek(0)
    return buffer


def from_torch(obj, new=True, **options):
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    torch.save(obj, buffer, _use_new_zipfile_serialization=new, **options)
    buffer.seek(0)
    return pp.load(buffer)


def zipped(data, records=(), prefix="archive"):
    """A checkpoint around a pickle of any bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{prefix}/data.pkl", data)
        for name, content in dict(records).items():
            archive.writestr(f"{prefix}/{name}", content)
    buffer.seek(0)
    return buffer


def tensor_pickle(
    size="(K\x02K\x03t", stride="(K\x03K\x01t", offset="K\x00", count="K\x06", key="0", kind="FloatStorage"
):
    """The pickle of one tensor, with any of its numbers replaced."""
    text = (
        f"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n{kind}\nX\x01\x00\x00\x00{key}"
        f"X\x03\x00\x00\x00cpu{count}tQ{offset}{size}{stride}\x89ccollections\nOrderedDict\n)RtR."
    )
    return text.encode("latin1")


def long(value):
    data = value.to_bytes(9, "little", signed=True)
    return "\x8a\x09" + data.decode("latin1")


# -- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 0, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_and_shape(dtype, shape):
    values = (np.arange(int(np.prod(shape))) % 2).reshape(shape).astype(dtypes.BY_NAME[dtype].numpy)
    found = pp.load(stored({"x": pp.Tensor._from_data(values)}))["x"]
    assert found.dtype.name == dtype and tuple(found.shape) == shape
    assert found.numpy().tobytes() == values.tobytes()


def test_containers_and_plain_values():
    obj = {
        "list": [1, [2.5, None]], "tuple": (True, ()), 3: "text", "bytes": b"\x00\xff", "set": {1, 2}, "int": -(2**80),
        "ordered": collections.OrderedDict(b=1, a=2), "complex": 1 + 2j, "size": pp.zeros(2, 3).shape,
        "dtype": pp.bfloat16, "device": pp.device("cpu"), "inf": float("-inf"), "long": "\u00e9" * 300,
        "neg": [-1, -200, 255, 256, 65536, 2**31, -(2**31), 2**63],
    }  # fmt: skip
    found = pp.load(stored(obj))
    assert found == obj and list(found) == list(obj)
    assert type(found["ordered"]) is collections.OrderedDict and type(found["size"]) is type(obj["size"])
    nan = pp.load(stored([float("nan")]))[0]
    assert nan != nan


def test_numpy_values_and_namespaces():
    arguments = argparse.Namespace(lr=0.1, names=["a"])
    obj = {
        "array": np.arange(6.0).reshape(2, 3).T, "number": np.float32(2.5), "flag": np.bool_(True), "args": arguments,
        "text": np.array(["ab", "c"]), "empty": np.zeros((0, 2), np.int32), "zero": np.array(3, np.uint8),
    }  # fmt: skip
    assert pp.load(stored([np.float64(2.5)])) == [2.5]
    found = pp.load(stored(obj))
    for key in ("array", "number", "flag", "text", "empty", "zero"):
        assert type(found[key]) is type(obj[key]) and found[key].dtype == obj[key].dtype
        assert np.array_equal(found[key], obj[key])
    assert found["args"] == arguments
    torch = pytest.importorskip("torch")
    theirs = torch.load(stored(obj), weights_only=False)
    assert np.array_equal(theirs["array"], obj["array"]) and theirs["number"] == 2.5 and theirs["args"] == arguments


def test_shared_memory_stays_shared():
    base = pp.arange(24.0).reshape(4, 6)
    found = pp.load(stored({"base": base, "column": base[:, 1], "t": base.T, "tail": base[2:, 3:]}))
    assert found["t"].stride() == (1, 6) and found["column"].stride() == (6,)
    found["base"][2, 3] = 100.0
    assert found["t"][3, 2] == 100 and found["tail"][0, 0] == 100
    found["column"].zero_()
    assert found["base"][:, 1].sum() == 0 and found["base"]._version == found["t"]._version == 2


def test_a_view_alone_takes_only_its_own_place():
    small, large = pp.arange(3.0), pp.arange(100_000.0)
    assert len(stored({"x": large[10:13]}).getvalue()) < len(stored({"x": small}).getvalue()) + 200
    assert pp.load(stored(large[10:13])).tolist() == [10.0, 11.0, 12.0]
    flipped = pp.from_numpy(np.arange(4.0)[::-1])
    assert pp.load(stored(flipped)).tolist() == [3.0, 2.0, 1.0, 0.0]


def test_an_object_named_twice_is_one():
    shared = [1, 2]
    tensor = pp.ones(2)
    found = pp.load(stored([shared, shared, tensor, tensor]))
    assert found[0] is found[1] and found[2] is found[3]


def test_parameters_gradients_and_buffers():
    leaf = pp.ones(2, requires_grad=True)
    frozen = pp.nn.Parameter(pp.ones(2), requires_grad=False)
    found = pp.load(stored({"p": pp.nn.Parameter(leaf.detach()), "leaf": leaf, "f": frozen, "made": leaf * 2}))
    assert isinstance(found["p"], pp.nn.Parameter) and found["p"].requires_grad and found["leaf"].requires_grad
    assert isinstance(found["f"], pp.nn.Parameter) and not found["f"].requires_grad
    assert not found["made"].requires_grad


@pytest.mark.parametrize("ending", ["pt", "pth", "ckpt", "bin", "pth.tar"])
def test_the_name_chooses_the_format(ending, tmp_path):
    path = tmp_path / f"x.{ending}"
    pp.save({"x": pp.ones(2)}, path)
    assert zipfile.is_zipfile(path) and pp.load(path)["x"].tolist() == [1.0, 1.0]
    pp.save({"x": pp.ones(2)}, path, format="safetensors")
    assert not zipfile.is_zipfile(path) and pp.load(path)["x"].tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="'safetensors' or 'pt'"):
        pp.save({}, path, format="json")


def test_types_that_the_format_lacks():
    with pytest.raises(ValueError, match=r"\['x'\] has type int4, which PyTorch's files do not have; save it as int8"):
        stored({"x": pp.Tensor._from_data(np.ones(2, dtypes.BY_NAME["int4"].numpy))})


def test_equal_objects_make_equal_files():
    model = pp.nn.Linear(2, 2)
    assert stored(model.state_dict()).getvalue() == stored(model.state_dict()).getvalue()


def test_mmap_shows_the_file_until_written(tmp_path):
    path = tmp_path / "x.pt"
    pp.save({"x": pp.arange(1000.0), "y": pp.arange(7, dtype=pp.int64)}, path)
    before = path.read_bytes()
    found = pp.load(path, mmap=True)
    assert found["x"][999] == 999 and found["y"].tolist() == list(range(7))
    assert found["x"].data_ptr() % 64 == 0
    found["x"].zero_()
    assert found["x"].sum() == 0 and path.read_bytes() == before
    with pytest.raises(pp.FormatError, match="needs the path of a file"):
        pp.load(io.BytesIO(before), mmap=True)


@pytest.mark.parametrize("obj, message", [
    ({"a": [object()]}, r"\['a'\]\['0'\] is a object"),
    ({"m": pp.nn.Linear(1, 1)}, r"is a Linear, which is not saved; save its state_dict\(\)"),
    ({"a": np.array([None])}, r"\['a'\] is a ndarray"),
    ({pp.ones(1): 1}, "keys must be"),
])  # fmt: skip
def test_what_cannot_be_saved(obj, message):
    with pytest.raises(ValueError, match=message):
        stored(obj)


def test_a_pipe_can_be_read():
    class Pipe:
        def __init__(self, data):
            self.data = io.BytesIO(data)

        def read(self, count=-1):
            return self.data.read(count)

    assert pp.load(Pipe(stored([1]).getvalue())) == [1]


# -- with torch -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
def test_torch_reads_every_type(dtype):
    torch = pytest.importorskip("torch")
    values = (np.arange(6) % 2).reshape(2, 3).astype(dtypes.BY_NAME[dtype].numpy)
    tensor = pp.Tensor._from_data(values)
    found = torch.load(stored({"x": tensor, "t": tensor.T}), weights_only=True)
    assert found["x"].dtype is getattr(torch, dtype) and found["t"].stride() == (1, 3)
    assert found["x"].contiguous().view(torch.uint8).numpy().tobytes() == values.tobytes()
    assert found["x"].untyped_storage().data_ptr() == found["t"].untyped_storage().data_ptr()


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_of_torch(dtype, new):
    torch = pytest.importorskip("torch")
    tensor = (torch.arange(6) % 2).reshape(2, 3).to(getattr(torch, dtype))
    found = from_torch({"x": tensor, "t": tensor.T, "one": tensor[1]}, new)
    assert found["x"].dtype.name == dtype and found["t"].stride() == (1, 3) and found["one"].shape == (3,)
    assert found["x"].numpy().tobytes() == tensor.view(torch.uint8).numpy().tobytes()
    found["x"][1, 2] = 0
    assert not found["t"][2, 1] and not found["one"][2]


def test_torch_reads_plain_values():
    torch = pytest.importorskip("torch")
    obj = {
        "list": [1, [2.5, None]], "tuple": (True, ()), 3: "text", "bytes": b"\x00\xff", "set": {1, 2},
        "big": -(2**80), "ordered": collections.OrderedDict(b=1, a=2), "complex": 1 + 2j,
    }  # fmt: skip
    assert torch.load(stored(obj), weights_only=True) == obj
    found = torch.load(stored([pp.zeros(2, 3).shape, pp.bfloat16, pp.device("cpu")]), weights_only=True)
    assert found == [torch.Size([2, 3]), torch.bfloat16, torch.device("cpu")]
    file = stored([pp.nn.Parameter(pp.ones(2)), pp.ones(1, requires_grad=True)])
    parameter, leaf = torch.load(file, weights_only=True)
    assert isinstance(parameter, torch.nn.Parameter) and parameter.requires_grad and leaf.requires_grad


def test_torch_maps_our_files(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "x.pt"
    pp.save({"x": pp.arange(1000.0)}, path)
    assert torch.load(path, mmap=True, weights_only=True)["x"][999] == 999


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_and_its_users_put_into_checkpoints(new):
    torch = pytest.importorskip("torch")
    tensor = torch.randn(3, 4)
    tensor.note = "kept"
    obj = {
        "tensor": tensor, "parameter": torch.nn.Parameter(tensor[1]), "buffer": torch.nn.Buffer(tensor),
        "size": tensor.shape, "dtype": torch.float16, "device": torch.device("cuda", 1), "layout": torch.strided,
        "args": argparse.Namespace(lr=0.1, path=Path("a/b")), "numpy": np.arange(6.0).reshape(2, 3).T,
        "scalar": np.float64(2.5), "default": collections.defaultdict(list, a=[1]),
        "counter": collections.Counter("aab"), "bytes": bytearray(b"xy"), "frozen": frozenset([1]),
    }  # fmt: skip
    found = from_torch(obj, new)
    assert found["tensor"].note == "kept" and isinstance(found["buffer"], pp.nn.Buffer)
    assert isinstance(found["parameter"], pp.nn.Parameter)
    found["tensor"][1] = 7.0
    assert found["parameter"].tolist() == found["buffer"][1].tolist() == [7.0] * 4
    assert found["device"] == "cuda:1" and found["dtype"] is pp.float16 and found["size"] == (3, 4)
    assert found["args"].lr == 0.1 and str(found["args"].path) == "a/b"
    assert np.array_equal(found["numpy"], obj["numpy"]) and found["scalar"] == 2.5
    assert type(found["scalar"]) is np.float64
    for key in ("default", "counter", "bytes", "frozen"):
        assert found[key] == obj[key] and type(found[key]) is type(obj[key])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_binary_protocol(protocol):
    torch = pytest.importorskip("torch")
    obj = {"x": torch.ones(3), "set": {1, 2}, "f": frozenset([3]), "b": b"bytes", "l": [1, (2, 3)]}
    obj |= {"n": np.arange(3), "a": bytearray(b"z")}
    found = from_torch(obj, pickle_protocol=protocol)
    assert found["x"].tolist() == [1.0] * 3 and found["n"].tolist() == [0, 1, 2]
    assert all(found[key] == obj[key] for key in "bafl") and found["set"] == {1, 2}


def models():
    torch = pytest.importorskip("torch")

    def build(lib):
        return lib.nn.Sequential(lib.nn.Conv2d(1, 2, 3), lib.nn.BatchNorm2d(2), lib.nn.Flatten(), lib.nn.Linear(8, 3))

    return torch, build(torch), build(pp)


@pytest.mark.parametrize("name, options", [("Adam", {"lr": 0.05}), ("SGD", {"lr": 0.1, "momentum": 0.9})])
def test_training_goes_on_from_a_torch_checkpoint(name, options):
    torch, theirs, ours = models()
    x = np.random.default_rng(0).standard_normal((4, 1, 4, 4)).astype(np.float32)
    optimizer = getattr(torch.optim, name)(theirs.parameters(), **options)

    def step(lib, model, optimizer):
        loss = (model(lib.from_numpy(x)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    for _ in range(3):
        step(torch, theirs, optimizer)
    found = from_torch({"model": theirs.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3})
    mine = getattr(pp.optim, name)(ours.parameters(), **options)
    assert ours.load_state_dict(found["model"]) is not None
    mine.load_state_dict(found["optimizer"])
    for _ in range(3):
        assert step(pp, ours, mine) == pytest.approx(step(torch, theirs, optimizer), abs=1e-6)
    # and back
    back = torch.load(stored({"model": ours.state_dict(), "optimizer": mine.state_dict()}), weights_only=True)
    theirs.load_state_dict(back["model"])
    optimizer.load_state_dict(back["optimizer"])
    assert step(pp, ours, mine) == pytest.approx(step(torch, theirs, optimizer), abs=1e-6)


def test_conjugate_and_unknown_types_are_right_or_refused():
    torch = pytest.importorskip("torch")
    values = torch.tensor([1 + 2j, 3 - 1j])
    if "complex64" in dtypes.BY_NAME:
        found = from_torch([values, values.conj(), values])
        assert found[1].tolist() == [1 - 2j, 3 + 1j] and found[0].tolist() == [1 + 2j, 3 - 1j]
    else:
        with pytest.raises(pp.FormatError, match="complex64, which Pappus lacks"):
            from_torch(values.conj())
    with pytest.raises(pp.FormatError, match="_rebuild_sparse_tensor"):
        from_torch(torch.eye(2).to_sparse())
    with pytest.raises(pp.FormatError, match="qtensor"):
        from_torch(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8))


def test_a_whole_model_is_refused_with_the_way_out(tmp_path):
    _, theirs, _ = models()
    for new in (True, False):
        with pytest.raises(pp.FormatError, match=r"torch\.nn\.modules\.\S+.*model\.state_dict\(\)"):
            from_torch(theirs, new)
    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("script/data.pkl", b"")
        archive.writestr("script/constants.pkl", b"")
    with pytest.raises(pp.FormatError, match="TorchScript program"):
        pp.load(path)
    tar = bytearray(600)
    tar[:2], tar[257:262] = b"\x80\x02", b"ustar"
    with pytest.raises(pp.FormatError, match="tar file of a PyTorch before"):
        pp.load(io.BytesIO(tar))


# -- classes that the user allows -----------------------------------------------------------------


class Settings:
    def __init__(self, lr):
        self.lr = lr


def test_classes_can_be_allowed():
    data = pickle.dumps({"settings": Settings(0.5)}, 2)
    name = f"{Settings.__module__}.Settings"
    with pytest.raises(pp.FormatError, match=rf"names {name}.*add_safe_globals\(\[Settings\]\)"):
        pp.load(zipped(data))
    with torch_file.safe_globals([Settings]):
        assert pp.load(zipped(data))["settings"].lr == 0.5
        assert torch_file.get_safe_globals() == [Settings]
    assert torch_file.get_safe_globals() == []
    torch_file.add_safe_globals([(Settings, name)])
    assert type(pp.load(zipped(data))["settings"]) is Settings
    torch_file.clear_safe_globals()
    with pytest.raises(pp.FormatError):
        pp.load(zipped(data))


# -- hostile files --------------------------------------------------------------------------------


class Call:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.made = function, args

    def __reduce__(self):
        return self.made


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("call", [
    Call(os.system, "touch ran"), Call(eval, "open('ran', 'w')"), Call(exec, "open('ran', 'w')"),
    Call(os.mkdir, "ran"), Call(open, "ran", "w"), Call(getattr, "", "join"), Call(__import__, "os"),
    Call(subprocess.Popen, ["touch", "ran"]), Call(pickle.loads, b"cos\nsystem\n(S'touch ran'\ntR."),
    Call(np.load, "ran.npy"), Call(bytearray, 2**40), Call(np.empty, 2**40),
])  # fmt: skip
def test_calls_of_a_pickle_are_refused_by_name(call, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps([call], protocol)
    for file in (zipped(data), io.BytesIO(data), zipped(data, prefix="x")):
        with pytest.raises(pp.FormatError, match=r"names|damaged"):
            pp.load(file)
    assert os.listdir() == []


def test_the_refusal_names_the_function():
    with pytest.raises(pp.FormatError, match=r"names (os|posix)\.system, which load does not call"):
        pp.load(zipped(pickle.dumps(Call(os.system, "true"), 2)))


@pytest.mark.parametrize("pickled, message", [
    (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "more than 500 deep"),
    (b"\x80\x02)" + b"\x85" * 200_000 + b".", "more than 500 deep"),
    (b"\x80\x02})" + b"\x85" * 200_000 + b"Ns.", "tuple of tuples"),
    (b"\x80\x02" + b"(" * 100_000, "no end"),
    (b"\x80\x02cbuiltins\nset\n])\x85a\x85R.", "tuple of tuples"),
    (b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"abc.", "ends inside a value"),
    (b"\x80\x02X\xff\xff\xff\x7fabc.", "ends inside a value"),
    (b"\x80\x02\x8b\xff\xff\xff\x7fabc.", "ends inside a value"),
    (b"\x80\x02]r\xff\xff\xff\xff0j\xff\xff\xff\xff.", None),
    (b"\x80\x02cbuiltins\nbytearray\nM\xff\xff\x85R.", "makes no sense"),
    (b"\x80\x02", "no end"), (b"", "no end"), (b"\x80\x02.", "makes no sense"), (b"\x80\x02h\x05.", "makes no sense"),
    (b"\x80\x02cos\nsystem\n" , "names os.system"), (b"\x80\x02c" + b"a" * 5000 + b".", "name without an end"),
    (b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsNsb.", "has the attribute 'items'"),
    (b"\x80\x02ccollections\nOrderedDict\n.", "no value here"), (b"\x80\x02cbuiltins\nlist\n)R.", "builds nothing"),
    (b"\x80\x02NNb.", "gives a state"), (b"(i__main__\nX\n.", "INST"), (b"\x80\x02\x82\x01.", "EXT1"),
    (b"\x80\x02X\x01\x00\x00\x00aQ.", "no storage"), (b"\x80\x02NN\x86Q.", "no storage"),
    (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR.", "makes no sense|no storage"),
    (b"\x80\x02cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R.", "plain numbers"),
])  # fmt: skip
def test_pickles_that_make_no_sense(pickled, message):
    if message is None:
        assert pp.load(zipped(pickled)) == []
        return
    with pytest.raises(pp.FormatError, match=message):
        pp.load(zipped(pickled))


def test_copying_one_value_over_and_over_is_refused():
    some = b"\x80\x02(" + b"K\x01" * 20_000 + b"lq\x000"
    again = b"cbuiltins\nset\nh\x00\x85R0" * 2_000
    with pytest.raises(pp.FormatError, match="over and over"):
        pp.load(zipped(some + again + b"N."))


TENSOR = {"data/0": np.arange(6, dtype=np.float32).tobytes()}


def test_the_tensor_of_the_next_test_is_right():
    assert pp.load(zipped(tensor_pickle(), TENSOR)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert pp.load(zipped(tensor_pickle(size="(K\x02t", stride="(K\x00t"), TENSOR)).tolist() == [0, 0]


@pytest.mark.parametrize("change, message", [
    ({"offset": "K\x01"}, "reaches outside its storage of 6"), ({"size": "(K\x03K\x03t"}, "reaches outside"),
    ({"stride": "(K\x04K\x01t"}, "reaches outside"), ({"offset": long(2**62)}, "sizes, strides"),
    ({"offset": "J\xff\xff\xff\xff"}, "sizes, strides"), ({"stride": "(J\xff\xff\xff\xffK\x01t"}, "sizes, strides"),
    ({"size": f"({long(2**61)}{long(2**61)}t", "stride": "(K\x00K\x00t"}, "damaged"),
    ({"size": "(K\x02t"}, "strides"), ({"size": "(NNt"}, "sizes"), ({"size": "N"}, "makes no sense"),
    ({"size": "(" + "K\x01" * 100 + "t", "stride": "(" + "K\x01" * 100 + "t"}, "makes no sense"),
    ({"count": "K\x07"}, "storage '0' of 28 bytes has 24"), ({"count": long(2**62)}, "storage"),
    ({"count": "J\xff\xff\xff\xff"}, "no sense"), ({"key": "1"}, "record 'archive/data/1' is missing"),
    ({"kind": "QInt8Storage"}, "names torch.QInt8Storage"), ({"kind": "DoubleStorage"}, "storage '0' of 48 bytes"),
    ({"size": f"(K\x00{long(2**61)}t", "stride": "(K\x01K\x01t"}, "makes no sense"),
])  # fmt: skip
def test_tensors_that_reach_outside_their_storage(change, message):
    with pytest.raises(pp.FormatError, match=message):
        pp.load(zipped(tensor_pickle(**change), TENSOR))


def test_records_that_overlap_are_counted_once_too_often():
    """A directory may name one piece of the file many times: what is read is no more than the file."""
    good = zipped(tensor_pickle(), {"data/0": bytes(100_000)}).getvalue()
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        at = archive.getinfo("archive/data/0").header_offset
    names = [f"data/{i}" for i in range(10)]
    many = io.BytesIO()
    keys = b"".join(tensor_pickle(key=str(i))[2:-1] for i in range(10))
    with zipfile.ZipFile(many, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02(" + keys + b"l.")
        place = many.tell()
        archive.writestr("archive/data/0", bytes(100_000))
        first = archive.filelist[-1]
        for name in names[1:]:
            info = zipfile.ZipInfo(f"archive/{name}")
            info.header_offset, info.CRC = place, first.CRC
            info.file_size = info.compress_size = 100_000
            archive.filelist.append(info)
    many.seek(0)
    assert at and len(many.getvalue()) < 120_000
    with pytest.raises(pp.FormatError, match="longer than what is left"):
        pp.load(many)


def test_compressed_records_are_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", tensor_pickle())
        archive.writestr("archive/data/0", bytes(10**7))
    buffer.seek(0)
    with pytest.raises(pp.FormatError, match="compressed or encrypted"):
        pp.load(buffer)


@pytest.mark.parametrize("new", [True, False])
def test_every_truncation(new):
    if new:
        data = stored({"x": pp.ones(3), "y": [1, "two"]}).getvalue()
    else:
        torch = pytest.importorskip("torch")
        buffer = io.BytesIO()
        torch.save({"x": torch.ones(3)}, buffer, _use_new_zipfile_serialization=False)
        data = buffer.getvalue()
    for size in range(0, len(data), 1 if len(data) < 600 else 3):
        with pytest.raises(pp.FormatError):
            pp.load(io.BytesIO(data[:size]))


def test_numbers_of_another_byte_order():
    values = np.arange(6, dtype=">f4")
    file = zipped(tensor_pickle(), {"data/0": values.tobytes(), "byteorder": b"big"})
    assert pp.load(file).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_booleans_other_than_zero_and_one():
    pickled = tensor_pickle(kind="BoolStorage")
    found = pp.load(zipped(pickled, {"data/0": bytes([0, 1, 2, 255, 0, 7])}))
    assert found.tolist() == [[False, True, True], [True, False, True]] and found.numpy().view(np.uint8).max() == 1


def test_mutants_are_loaded_or_refused():
    tally = torch_file_mutants.run(600, seed=7)
    assert sum(tally.values()) == 600 and tally["loaded"] > 20 and tally["refused"] > 200
