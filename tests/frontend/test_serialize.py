"""Saving and loading: what round-trips, what other readers see, what is refused, and that no file is half written."""

from __future__ import annotations

import enum
import io
import json
import math
import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pappus as pp
from pappus import nn

DTYPES = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
    "float64",
]  # fmt: skip


def through(obj, tmp_path):
    path = tmp_path / "file.safetensors"
    pp.save(obj, path)
    return pp.load(path)


def same(a, b):
    """Equal in type, structure and bits."""
    assert type(a) is type(b), (type(a), type(b))
    if isinstance(a, pp.Tensor):
        assert a.dtype is b.dtype and a.shape == b.shape and a.requires_grad == b.requires_grad
        same(a.detach().numpy(), b.detach().numpy())
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    elif isinstance(a, dict):
        assert list(a) == list(b) and [type(k) for k in a] == [type(k) for k in b]
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b or (a != a and b != b)


# -- what round-trips ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 0, 3), (1, 1), (2, 3, 4)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_and_shape(dtype, shape, tmp_path):
    bits = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 256, (*shape, 8), np.uint8)
    numpy = getattr(pp, dtype).numpy
    array = np.ascontiguousarray(bits[..., : numpy.itemsize]).view(numpy).reshape(shape)
    tensor = pp.from_numpy(array)
    same(through({"x": tensor}, tmp_path)["x"], tensor)


def test_special_numbers_keep_their_bits(tmp_path):
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        values = pp.tensor([math.inf, -math.inf, math.nan, -0.0, 0.0, 1e-7]).to(getattr(pp, dtype))
        same(through(values, tmp_path), values)


def test_views_are_written_as_they_look(tmp_path):
    base = pp.arange(24).reshape(4, 6)
    obj = [base.t(), base[::2, 1::2], base[:, 0].expand(3, 4), base.flip((0,))]
    found = through(obj, tmp_path)
    assert [t.tolist() for t in found] == [t.tolist() for t in obj]
    found[2][0, 0] = 99  # what is loaded owns its memory
    assert found[2][1, 0].item() == 0


def test_structure(tmp_path):
    obj = {
        "model": {"a.weight": pp.ones(2), "a": {"weight": pp.zeros(3)}},
        "list": [1, 2.5, "text", None, True, [], {}, ()],
        "tuple": (1, (2, [3])),
        0: {1: {2: pp.tensor(1)}},
        -1.5: "float key",
        True: "bool key",
        None: "none key",
        "big": 2**200,
        "floats": [math.inf, -math.inf, math.nan, 1e-320, 0.1],
        "unicode ☃ \" \\ \n": "☃",
        "__metadata__": pp.ones(1),
        "dtype": pp.bfloat16,
        "dict": {"not": {"a": "marker"}},
        "tensor": {"tensor": "fake", "kind": "fake"},
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "scalar": np.float32(1.5),
        "empty": {},
    }
    same(through(obj, tmp_path), obj)


@pytest.mark.parametrize("obj", [pp.tensor(3), 5, "text", None, [], {}, (), 1.5], ids=repr)
def test_any_top_level(obj, tmp_path):
    same(through(obj, tmp_path), obj)


def test_subclasses_become_plain(tmp_path):
    class Color(enum.IntEnum):
        RED = 3

    counts = defaultdict(int, {"a": 1})
    found = through(OrderedDict([("z", 1), ("a", counts), ("c", Color.RED)]), tmp_path)
    same(found, {"z": 1, "a": {"a": 1}, "c": 3})


def test_shared_tensors_stay_shared(tmp_path):
    x = pp.ones(3)
    layer = nn.Linear(2, 2)
    found = through({"a": x, "b": [x], "state": layer.state_dict(), "again": layer.state_dict()}, tmp_path)
    assert found["a"] is found["b"][0]
    assert found["state"]["weight"] is found["again"]["weight"]
    halves = pp.arange(6)
    found = through([halves[:3], halves[3:]], tmp_path)
    assert found[0].tolist() == [0, 1, 2] and found[1].tolist() == [3, 4, 5]


def test_parameters_and_leaves(tmp_path):
    obj = {"p": nn.Parameter(pp.ones(2)), "frozen": nn.Parameter(pp.ones(2), False), "buffer": nn.Buffer(pp.ones(1))}
    obj["leaf"] = pp.ones(1, requires_grad=True)
    obj["made"] = obj["leaf"] * 2
    found = through(obj, tmp_path)
    assert type(found["p"]) is nn.Parameter and found["p"].requires_grad
    assert type(found["frozen"]) is nn.Parameter and not found["frozen"].requires_grad
    assert type(found["buffer"]) is nn.Buffer
    assert found["leaf"].requires_grad and found["leaf"].is_leaf
    assert not found["made"].requires_grad and found["made"].tolist() == [2.0]


def test_a_checkpoint_resumes_training(tmp_path):
    def make():
        pp.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 1))
        opt = pp.optim.AdamW(model.parameters(), lr=0.05, amsgrad=True)
        return model, opt, pp.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=20)

    def run(model, opt, schedule, steps):
        losses = []
        for _ in range(steps):
            x = pp.randn(16, 4)
            opt.zero_grad()
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            loss.backward()
            opt.step()
            schedule.step()
            losses.append(loss.item())
        return losses

    parts = make()
    run(*parts, 5)
    checkpoint = {
        "model": parts[0].state_dict(), "optimizer": parts[1].state_dict(), "schedule": parts[2].state_dict(),
        "epoch": 5, "rng": pp.get_rng_state(),
    }  # fmt: skip
    path = tmp_path / "checkpoint.safetensors"
    pp.save(checkpoint, path)
    expected = run(*parts, 8)

    again = make()
    found = pp.load(path)
    for part, key in zip(again, ("model", "optimizer", "schedule"), strict=True):
        part.load_state_dict(found[key])
    pp.set_rng_state(found["rng"])
    assert found["epoch"] == 5 and run(*again, 8) == expected


KEYS = st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.none())
NUMBERS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
SHAPES = st.lists(st.integers(0, 3), max_size=3)
TENSORS = st.builds(lambda dtype, shape: pp.ones(*shape).to(getattr(pp, dtype)), st.sampled_from(DTYPES), SHAPES)
OBJECTS = st.recursive(
    st.one_of(NUMBERS, TENSORS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=3).map(tuple), st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(OBJECTS)
def test_whatever_is_saved_comes_back(obj):
    file = io.BytesIO()
    pp.save(obj, file)
    file.seek(0)
    same(pp.load(file), obj)


# -- other readers and writers ------------------------------------------------------------------


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    pp.save(model.state_dict(), tmp_path / "model.safetensors")
    found = safetensors.load_file(tmp_path / "model.safetensors")
    assert set(found) == set(model.state_dict())
    for key, tensor in model.state_dict().items():
        np.testing.assert_array_equal(found[key], tensor.numpy())


def test_files_of_other_writers_are_flat_dicts(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = nn.Linear(3, 2)
    state = {k: v.numpy() + 1 for k, v in model.state_dict().items()}
    safetensors.save_file(state, tmp_path / "theirs.safetensors", metadata={"format": "np"})
    found = pp.load(tmp_path / "theirs.safetensors")
    assert all(isinstance(v, pp.Tensor) for v in found.values())
    model.load_state_dict(found)
    np.testing.assert_array_equal(model.weight.detach().numpy(), state["weight"])


def test_torch_reads_and_writes_the_same_files(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    theirs, ours = torch.nn.Linear(3, 2).bfloat16(), nn.Linear(3, 2).bfloat16()
    save_file(theirs.state_dict(), tmp_path / "a.safetensors")
    ours.load_state_dict(pp.load(tmp_path / "a.safetensors"))
    assert ours.weight.float().tolist() == theirs.weight.float().tolist()
    pp.save(nn.Linear(3, 2).bfloat16().state_dict(), tmp_path / "b.safetensors")
    theirs.load_state_dict(load_file(tmp_path / "b.safetensors"))
    assert theirs.weight.float().tolist() == pp.load(tmp_path / "b.safetensors")["weight"].float().tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_sees_every_type(dtype, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    pp.save({"x": pp.tensor([0, 1, 1]).to(getattr(pp, dtype))}, tmp_path / "x.safetensors")
    theirs = load_file(tmp_path / "x.safetensors")["x"]
    assert theirs.dtype is getattr(torch, dtype) and theirs.tolist() == [0, 1, 1]
    save_file({"x": theirs}, tmp_path / "y.safetensors")
    ours = pp.load(tmp_path / "y.safetensors")["x"]
    assert ours.dtype is getattr(pp, dtype) and ours.tolist() == [0, 1, 1]


def test_every_tensor_is_aligned(tmp_path):
    path = tmp_path / "x.safetensors"
    pp.save({"a": pp.ones(3).to(pp.int8), "b": pp.ones(3).double(), "c": pp.ones(1).half()}, path)
    header, begin = header_of(path.read_bytes())
    sizes = {"I8": 1, "F64": 8, "F16": 2}
    for name in "abc":
        assert (begin + header[name]["data_offsets"][0]) % sizes[header[name]["dtype"]] == 0


def test_files_in_memory():
    file = io.BytesIO()
    file.write(b"before")
    pp.save({"x": pp.arange(3)}, file)
    file.seek(6)
    assert pp.load(file)["x"].tolist() == [0, 1, 2]


# -- what is refused ----------------------------------------------------------------------------


class Thing:
    pass


@pytest.mark.parametrize(
    "obj, place",
    [
        ({"model": nn.Linear(1, 1)}, r"\['model'\] is a Linear.*state_dict"),
        ({"a": [1, {"b": Thing()}]}, r"\['a'\]\['1'\]\['b'\] is a Thing"),
        ({"f": len}, r"\['f'\] is a builtin_function_or_method"),
        ({"s": {1, 2}}, r"\['s'\] is a set"),
        ({(1, 2): 3}, r"key \(1, 2\)"),
        ({"n": {math.nan: 3}}, r"\['n'\] has the key nan"),
        ({"c": np.zeros(2, np.complex128)}, "complex128"),
        ({"o": np.array([object()])}, "object"),
    ],
)
def test_objects_that_cannot_be_saved_are_named(obj, place, tmp_path):
    with pytest.raises((ValueError, TypeError), match=place):
        pp.save(obj, tmp_path / "x.safetensors")
    assert os.listdir(tmp_path) == []


def test_an_object_inside_itself_is_refused(tmp_path):
    loop = {"x": [1]}
    loop["x"].append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        pp.save(loop, tmp_path / "x.safetensors")
    twice = [1]
    same(through([twice, twice], tmp_path), [[1], [1]])


def header_of(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), 8 + length


def file_of(header, data=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def structured(tree, version=1):
    text = json.dumps({"version": version, "tree": tree})
    return file_of({"x": F32, "__metadata__": {"pappus": text}}, bytes(8))


def deep():
    text = b'{"x":' + b"[" * 50000 + b"]" * 50000 + b"}"
    return len(text).to_bytes(8, "little") + text


BAD = {
    "empty": (b"", "cut off"),
    "seven bytes": (b"1234567", "cut off"),
    "text": (b"hello world, this is text" * 3, "not a safetensors file"),
    "header not json": ((5).to_bytes(8, "little") + b"abcde", "no JSON header"),
    "header a list": (file_of([1]), "no JSON header"),
    "header too long": ((10**15).to_bytes(8, "little") + b"{}", "not a safetensors file|cut off"),
    "cut in the header": (file_of({"x": F32}, bytes(8))[:20], "cut off"),
    "cut in the data": (file_of({"x": F32}, bytes(7)), "cut off: tensor 'x' ends at byte 8"),
    "entry a number": (file_of({"x": 3}), "entry for tensor 'x'"),
    "no shape": (file_of({"x": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)), "entry for tensor 'x'"),
    "negative": (file_of({"x": {**F32, "data_offsets": [-8, 0]}}, bytes(8)), "entry for tensor 'x'"),
    "negative shape": (file_of({"x": {**F32, "shape": [-2, -1]}}, bytes(8)), "entry for tensor 'x'"),
    "float shape": (file_of({"x": {**F32, "shape": [2.0]}}, bytes(8)), "entry for tensor 'x'"),
    "wrong size": (file_of({"x": {**F32, "shape": [3]}}, bytes(8)), "cannot take 8 bytes"),
    "huge shape": (file_of({"x": {**F32, "shape": [2**40, 2**40]}}, bytes(8)), "cannot take 8 bytes"),
    "overlap": (file_of({"x": F32, "y": {**F32, "data_offsets": [4, 12]}}, bytes(12)), "'x' and 'y' overlap"),
    "foreign type": (
        file_of({"x": {**F32, "dtype": "F8_E8M0", "shape": [8]}}, bytes(8)), "type F8_E8M0, which Pappus lacks",
    ),
    "too many dimensions": (file_of({"x": {**F32, "shape": [1] * 80 + [2]}}, bytes(8)), "dimension"),
    "a dimension too large": (
        file_of({"x": {**F32, "shape": [0, 2**70], "data_offsets": [0, 0]}}), "dimension|large|shape",
    ),
    "deep": (deep(), "no JSON header"),
    "bad structure": (file_of({"__metadata__": {"pappus": "[1"}}), "structure"),
    "missing tensor": (structured({"tensor": "y"}), "structure"),
    "unknown kind": (structured({"tensor": "x", "kind": "z"}), "structure"),
    "newer": (structured(1, version=2), "newer Pappus"),
}  # fmt: skip


@pytest.mark.parametrize("data, message", BAD.values(), ids=BAD)
def test_damaged_files_are_refused_with_their_name(data, message, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(data)
    with pytest.raises(pp.FormatError, match=message) as error:
        pp.load(path)
    assert "weights.safetensors" in str(error.value)


def test_every_cut_is_noticed(tmp_path):
    path = tmp_path / "x.safetensors"
    pp.save({"a": pp.arange(3), "n": {"b": pp.ones(2)}}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(pp.FormatError, match=r"x\.safetensors"):
            pp.load(path)


def test_mutants_are_read_or_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    pp.save({"a": pp.arange(3), "n": {"b": pp.ones(2), "c": (1.5, None)}}, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        mutant = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            mutant[at] = rng.integers(0, 256) if rng.random() < 0.5 else rng.choice(list(b'0123456789{}[]":,'))
        try:
            pp.load(io.BytesIO(mutant))
        except pp.FormatError:
            refused += 1
    assert 500 < refused < 2000


def test_other_formats_are_named(tmp_path):
    pickled = tmp_path / "old.pth"
    pickled.write_bytes(pickle.dumps({"weight": [1.0]}))
    with pytest.raises(pp.FormatError, match=r"old\.pth is a Python pickle, not a file that torch\.save wrote"):
        pp.load(pickled)
    with zipfile.ZipFile(tmp_path / "new.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    with pytest.raises(pp.FormatError, match=r"new\.pt is damaged or no PyTorch checkpoint: instruction"):
        pp.load(tmp_path / "new.pt")
    np.save(tmp_path / "x.npy", np.ones(3))
    with pytest.raises(pp.FormatError, match=r"\.npy file"):
        pp.load(tmp_path / "x.npy")
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(pp.FormatError, match="GGUF"):
        pp.load(tmp_path / "m.gguf")


def test_a_pickle_is_never_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(pp.FormatError):
        pp.load(path)
    assert not (tmp_path / "ran").exists()


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\.safetensors"):
        pp.load(tmp_path / "nothing.safetensors")
    with pytest.raises(IsADirectoryError, match="is a directory"):
        pp.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no directory"):
        pp.save({}, tmp_path / "no" / "x.safetensors")
    with pytest.raises(IsADirectoryError, match="is a directory"):
        pp.save({}, tmp_path)
    pp.save({"x": pp.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="no device 'cuda'"):
        pp.load(tmp_path / "x.safetensors", map_location="cuda")
    assert pp.load(tmp_path / "x.safetensors", map_location="cpu", weights_only=True)["x"].tolist() == [1.0]
    assert pp.load(str(tmp_path / "x.safetensors"), map_location=pp.device("cpu"))["x"].tolist() == [1.0]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    pp.save({"x": pp.ones(1)}, path)
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        pp.save({"x": pp.zeros(1)}, path)
    assert os.listdir(tmp_path) == ["x.safetensors"] and pp.load(path)["x"].tolist() == [1.0]


# -- the generator's state ----------------------------------------------------------------------


def test_generator_states():
    pp.manual_seed(3)
    pp.rand(5)
    here = pp.get_rng_state()
    a = [pp.rand(3).tolist(), pp.randn(2).tolist(), pp.randperm(7).tolist(), pp.nn.Dropout(0.5)(pp.ones(9)).tolist()]
    pp.set_rng_state(here)
    b = [pp.rand(3).tolist(), pp.randn(2).tolist(), pp.randperm(7).tolist(), pp.nn.Dropout(0.5)(pp.ones(9)).tolist()]
    assert a == b
    with pp.random.fork_rng():
        pp.manual_seed(0)
        pp.rand(100)
    assert pp.get_rng_state().tolist() != here.tolist()
    after = pp.get_rng_state()
    with pp.random.fork_rng():
        first = pp.rand(4).tolist()
    assert pp.rand(4).tolist() == first and after.dtype is pp.int64
    for seed in (0, 1, -1, 2**63, 2**64 - 1):
        pp.manual_seed(seed)
        assert pp.initial_seed() == seed % 2**64
        pp.set_rng_state(pp.get_rng_state())
        assert pp.initial_seed() == seed % 2**64
    assert pp.seed() == pp.initial_seed()
