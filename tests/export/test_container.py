"""The .pap file as docs/format.md describes it, and writing it safely."""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from road import array, close, tensor

import pappus as pp
from pappus.export import Dim
from pappus.export.lower.pack import conv_panels, depthwise_panels, gemm_panels
from pappus.export.schema import debug_generated as D
from pappus.export.schema import program_generated as P
from pappus.frontend.errors import ArgumentError
from pappus.frontend.tensor import Tensor

F = pp.nn.functional
WEIGHT, KERNEL = tensor(5, 4), tensor(4, 3, 3, 3)


def model(x: Tensor) -> Any:
    y = F.relu(F.conv2d(x, KERNEL))
    return F.linear(y.mean((2, 3)), WEIGHT), y


def program() -> Any:
    return pp.export.lower(
        pp.export.export(model, (tensor(2, 3, 6, 6),), dynamic_shapes={"x": {0: Dim("batch", max=8)}})
    )


def sections(data: bytes) -> dict[int, tuple[int, int, int]]:
    """kind -> (crc, offset, size)."""
    count = struct.unpack_from("<I", data, 32)[0]
    rows = [struct.unpack_from("<IIQQQ", data, 48 + 32 * i) for i in range(count)]
    assert all(row[4] == 0 for row in rows) and [r[0] for r in rows] == sorted(r[0] for r in rows)
    return {kind: (crc, offset, size) for kind, crc, offset, size, _ in rows}


def payload(data: bytes, kind: int) -> bytes:
    _, offset, size = sections(data)[kind]
    return data[offset : offset + size]


def test_header() -> None:
    data = program().to_bytes()
    magic, major, minor, header, features, size, count, crc, reserved = struct.unpack_from("<8sHHIQQIIQ", data)
    assert magic == b"\x89PAP\r\n\x1a\n" and (major, minor) == (0, 1) and features == 0 and reserved == 0
    assert header == 48 + 32 * count and size == len(data) and count == 3
    assert zlib.crc32(data[:36] + bytes(4) + data[40:header]) == crc


def test_sections_are_aligned_in_order_and_checksummed() -> None:
    data = program().to_bytes()
    found = sections(data)
    assert list(found) == [1, 2, 3]
    end = 48 + 32 * 3
    for kind, (crc, offset, size) in found.items():
        assert offset >= end and offset % {1: 16, 2: 4096, 3: 16}[kind] == 0
        assert zlib.crc32(data[offset : offset + size]) == crc
        assert not any(data[end:offset]), "padding is zero"
        end = offset + size
    assert end == len(data)


def test_constants_are_aligned_and_hold_the_packed_weights() -> None:
    data = program().to_bytes()
    metadata = P.Program.GetRootAs(payload(data, 1), 0)
    items = [(metadata.Constants(i).Offset(), metadata.Constants(i).Size()) for i in range(metadata.ConstantsLength())]
    assert all(offset % 64 == 0 for offset, _ in items)
    raw = payload(data, 2)
    stored = {raw[o : o + s] for o, s in items}
    assert gemm_panels(WEIGHT._data.T).tobytes() in stored
    assert conv_panels(KERNEL._data, 1).tobytes() in stored
    spans = sorted(items)
    assert all(a + n <= b for (a, n), (b, _) in itertools.pairwise(spans))


def test_metadata_names_everything() -> None:
    metadata = P.Program.GetRootAs(payload(program().to_bytes(), 1), 0)
    assert metadata.Producer() == b"pappus" and metadata.MethodsLength() == 1
    method = metadata.Methods(0)
    assert method.Name() == b"forward" and method.Symbols(0).Name() == b"batch" and method.Symbols(0).Max() == 8
    assert [method.Inputs(i).Name() for i in range(method.InputsLength())] == [b"x"]
    assert [method.Outputs(i).Name() for i in range(method.OutputsLength())] == [b"output_0", b"output_1"]


def test_debug_section_maps_instructions_to_lines_and_core_values() -> None:
    data = program().to_bytes()
    debug = D.Debug.GetRootAs(payload(data, 3), 0)
    rows = [debug.Methods(0).Instructions(i) for i in range(debug.Methods(0).InstructionsLength())]
    assert [r.Op() for r in rows] == [b"convolution+relu", b"mean", b"linear"]
    assert [r.Name() for r in rows] == [b"relu", b"mean", b"linear"]
    assert all(b"test_container.py:" in r.Source() for r in rows)
    assert b"fused: convolution+relu" in debug.Report()


def test_stripping_removes_the_debug_section_only() -> None:
    made = program()
    full, bare = made.to_bytes(), made.to_bytes(debug=False)
    assert (
        list(sections(bare)) == [1, 2] and payload(full, 1) == payload(bare, 1) and payload(full, 2) == payload(bare, 2)
    )
    assert b"test_container.py" not in bare
    x = array(3, 3, 6, 6)
    with pp.runtime.load(bare) as session:
        assert session.program.methods[0].instructions[0].op == ""
        close(list(session(x)), [t._data for t in model(Tensor._from_data(x))], 1e-5)


def test_the_same_model_gives_the_same_bytes() -> None:
    assert program().to_bytes() == program().to_bytes()


def test_save_and_load(tmp_path: Path) -> None:
    made = program()
    for path in (tmp_path / "m.pap", str(tmp_path / "n.pap")):
        made.save(path)
        assert Path(path).read_bytes() == made.to_bytes()
    made.save(tmp_path / "bare.pap", debug=False)
    assert (tmp_path / "bare.pap").read_bytes() == made.to_bytes(debug=False)
    with pp.runtime.load(tmp_path / "m.pap") as session:
        session(array(1, 3, 6, 6))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bare.pap", "m.pap", "n.pap"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.pap"
    path.write_bytes(b"old")

    def full(self: Path, data: bytes) -> int:
        with open(self, "wb") as f:
            f.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ArgumentError, match=r"cannot write .*m\.pap: No space left on device"):
        program().save(path)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["m.pap"]


def test_unwritable_paths_are_one_message(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "m.pap", tmp_path):
        with pytest.raises(ArgumentError, match="cannot write"):
            program().save(path)
    if os.geteuid() == 0:
        return
    tmp_path.chmod(0o500)
    with pytest.raises(ArgumentError, match="Permission denied"):
        program().save(tmp_path / "m.pap")


def test_panels() -> None:
    rng = np.random.default_rng(0)
    for k, n in [(1, 1), (3, 16), (5, 17), (0, 4)]:
        b = rng.standard_normal((k, n)).astype("f4")
        panels = gemm_panels(b)
        assert panels.shape == (-(-n // 16), k, 16)
        for i, j in np.ndindex(k, n):
            assert panels[j // 16, i, j % 16] == b[i, j]
        assert panels.size == 0 or not panels[-1, :, n % 16 or 16 :].any()
    w = rng.standard_normal((6, 2, 3, 2)).astype("f4")
    panels = conv_panels(w, 2)
    assert panels.shape == (2, 1, 12, 16)
    for o, c, y, x in np.ndindex(*w.shape):
        assert panels[o // 3, 0, (y * 2 + x) * 2 + c, o % 3] == w[o, c, y, x]
    w = rng.standard_normal((20, 1, 3, 3)).astype("f4")
    panels = depthwise_panels(w)
    assert panels.shape == (2, 9, 16) and panels[1, 4, 3] == w[19, 0, 1, 1]


def test_every_type_as_constant_input_output_and_state() -> None:
    import ml_dtypes

    for name in (
        "bool",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int32",
        "int64",
        "float16",
        "float32",
        "float64",
        "bfloat16",
    ):
        kind = np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)
        c = Tensor._from_data(np.arange(6).reshape(2, 3).astype(kind))
        made = pp.export.lower(pp.export.export(lambda x, c=c: (pp.cat([x, c], 0), x.t()), (c,)))
        given = c._data.view(np.uint16) if name == "bfloat16" else c._data
        with pp.runtime.load(made.to_bytes()) as session:
            both, turned = session(given)
        assert both.tobytes() == given.tobytes() * 2 and turned.tobytes() == given.T.tobytes()


def test_empty_programs_and_zero_sizes() -> None:
    made = pp.export.lower(pp.export.export(lambda x: x[:0], (tensor(3, 2),)))
    with pp.runtime.load(made.to_bytes()) as session:
        assert session(array(3, 2)).shape == (0, 2)
    made = pp.export.lower(pp.export.export(lambda x: F.linear(x, pp.zeros(3, 0)), (tensor(2, 0),)))
    with pp.runtime.load(made.to_bytes()) as session:
        assert session(array(2, 0)).tolist() == [[0, 0, 0]] * 2
