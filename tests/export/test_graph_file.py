"""ExportedProgram.save and load: nothing is lost, and damaged files give one error."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from road import array, close, flat, tensor

import pappus as pp
from pappus.export import Dim, ExportedProgram
from pappus.export.graph_file import KEY, parse_graph_file
from pappus.frontend.errors import ArgumentError, PappusError
from pappus.frontend.nn.module import Module
from pappus.frontend.tensor import Tensor

F = pp.nn.functional


class Model(Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", pp.zeros(4))
        self.half = tensor(4).bfloat16()

    def forward(self, x: Tensor, pair: Any, flag: bool = True) -> Any:
        n = x.shape[0]
        y = F.layer_norm(x, (4,)) + self.half.float()
        y = y[: (n + 1) // 2].clamp(-float("inf"), 3.0).to(pp.float64)
        self.total.add_(x.sum(0))
        if n < 50:
            y = y * pair[0]
        return {"y": y, "all": [pp.cat([x, x], 1).max(1)[0], self.total * 1], "flag": flag, "none": None}


def exported() -> ExportedProgram:
    return pp.export.export(
        Model(),
        (tensor(5, 4), (tensor(1), tensor(2))),
        dynamic_shapes={"x": {0: Dim("n", min=2, max=64, multiple_of=1)}},
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("graph") / "model.ppg"
    exported().save(path)
    return path.read_bytes()


def test_round_trip(tmp_path: Path) -> None:
    first = exported()
    first.save(tmp_path / "m")
    second = ExportedProgram.load(tmp_path / "m")
    assert str(second.graph) == str(first.graph)
    assert second.graph_signature == first.graph_signature and second.range_constraints == first.range_constraints
    assert all(np.array_equal(a, b) for a, b in zip(first.example_inputs, second.example_inputs, strict=True))
    assert {k: v.dtype for k, v in second.state_dict.items()} == {k: v.dtype for k, v in first.state_dict.items()}
    a, b = first.module(), second.module()
    for n in (2, 5, 20):
        given = [Tensor._from_data(v) for v in (array(n, 4, seed=n), array(1), array(2))]
        one, two = a(*given), b(*given)
        assert list(two) == ["y", "all", "flag", "none"] and two["flag"] is True and isinstance(two["all"], list)
        close(flat(two), flat(one), 0)
    second.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()


def test_loaded_programs_lower_to_the_same_file(tmp_path: Path) -> None:
    ep = pp.export.export(
        lambda x: F.softmax(F.linear(x, tensor(3, 4)), -1), (tensor(2, 4),), dynamic_shapes={"x": {0: Dim("n")}}
    )
    ep.save(tmp_path / "m")
    assert pp.export.lower(ExportedProgram.load(tmp_path / "m")).to_bytes() == pp.export.lower(ep).to_bytes()


def test_loaded_methods_share_state_by_name(tmp_path: Path) -> None:
    class Count(Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", pp.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.count += 1
            return x + self.count

        def read(self, x: Tensor) -> Tensor:
            return x + self.count

    model, methods = Count(), {}
    for name in ("forward", "read"):
        pp.export.export(getattr(model, name), (tensor(1),)).save(tmp_path / name)
        methods[name] = ExportedProgram.load(tmp_path / name)
    with pp.runtime.load(pp.export.lower(methods).to_bytes()) as session:
        session(np.zeros(1, "f4"))
        assert session.method("read")(np.zeros(1, "f4")).tolist() == [1]


def test_missing_and_unwritable_files(tmp_path: Path) -> None:
    with pytest.raises(PappusError, match=r"cannot read .*absent: No such file"):
        ExportedProgram.load(tmp_path / "absent")
    with pytest.raises(ArgumentError, match="cannot write"):
        exported().save(tmp_path / "no" / "m")


@pytest.mark.parametrize(
    "content", [b"", b"\x89PAP\r\n\x1a\n" + bytes(100), b"PK\x03\x04", b"{}", bytes(8), b"\xff" * 64]
)
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(PappusError, match=r"m is not an exported program: .*ExportedProgram\.save"):
        ExportedProgram.load(tmp_path / "m")


def test_other_safetensors_files(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(3, "f4")}, tmp_path / "m")
    with pytest.raises(PappusError, match="not an exported program"):
        ExportedProgram.load(tmp_path / "m")
    save_file({"w": np.zeros(3, "f4")}, tmp_path / "m", {KEY: '{"version": 99}'})
    with pytest.raises(PappusError, match="graph format 99, this Pappus reads 1; export the model again"):
        ExportedProgram.load(tmp_path / "m")


def test_truncated_at_every_length(data: bytes) -> None:
    for size in [*range(0, 64), *range(64, len(data), 397), len(data) - 1]:
        with pytest.raises(PappusError):
            parse_graph_file(data[:size])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes_give_a_program_or_one_error(data: bytes, changes: list[tuple[float, int]]) -> None:
    damaged = bytearray(data)
    for place, byte in changes:
        damaged[int(place * len(data))] = byte
    with contextlib.suppress(PappusError):
        parse_graph_file(bytes(damaged))


def description(data: bytes) -> tuple[Any, Any]:
    """The JSON description, and a function that makes a file of it."""
    from safetensors.numpy import load, save

    arrays = load(data)
    size = int.from_bytes(data[:8], "little")
    d = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][KEY])
    return d, lambda: save(arrays, {KEY: json.dumps(d)})


@st.composite
def edits(draw: st.DrawFn) -> tuple[list[float], Any]:
    replacement = st.one_of(
        st.none(), st.integers(-3, 2**40), st.text(max_size=3), st.just([]), st.just({}), st.just([[]]),
        st.floats(allow_nan=True),
        st.booleans(), st.just({"sum": [[1, ["n"]]]}), st.just({"sum": [[1, [["//", 1, 0]]]]}),
    )  # fmt: skip
    return draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8)), draw(replacement)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits())
def test_edited_descriptions_give_a_program_or_one_error(data: bytes, edit: tuple[list[float], Any]) -> None:
    d, build = description(data)
    path, replacement = edit
    at = d
    for step in path[:-1]:
        if isinstance(at, dict) and at:
            nxt = at[sorted(at)[int(step * len(at))]]
        elif isinstance(at, list) and at:
            nxt = at[int(step * len(at))]
        else:
            break
        if not isinstance(nxt, (dict, list)) or not nxt:
            break
        at = nxt
    keys: Any = sorted(at) if isinstance(at, dict) else range(len(at))
    at[keys[int(path[-1] * len(keys))]] = replacement
    with contextlib.suppress(PappusError):
        parse_graph_file(build())


@pytest.mark.parametrize("change, text", [
    (lambda d: d["nodes"][0].update(op="frobnicate"), "operator 'frobnicate' that this Pappus does not have"),
    (lambda d: d["nodes"][1]["args"].append(0), "not valid"),
    (lambda d: d["nodes"][1]["attrs"].update(bad=1), "not valid"),
    (lambda d: d["nodes"].reverse(), "read before it is defined"), (lambda d: d["inputs"].append(10**6), "not valid"),
    (lambda d: d["values"][0].update(dtype="float99"), "model.ppg is damaged.*unknown dtype 'float99'"),
    (lambda d: d.pop("guards"), "not valid"),
    (lambda d: d["states"][0].update(dtype="float64"), "not valid"),
    (lambda d: d["structure"].update(kind="set"), "not valid"),
    (lambda d: d["symbols"][0].update(multiple_of=0), "not valid"),
    (lambda d: d["guards"][0].update(relation=">"), "not valid"),
])  # fmt: skip
def test_each_rule_of_the_description(data: bytes, change: Any, text: str) -> None:
    d, build = description(data)
    change(d)
    with pytest.raises(PappusError, match=text):
        parse_graph_file(build(), "model.ppg")


def test_deep_nesting_is_refused(data: bytes) -> None:
    d, build = description(data)
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    d["nodes"][0]["attrs"] = {"x": {"list": []}}
    text = build()
    assert b'{\\"list\\": []}' in text
    from safetensors.numpy import save

    nested = json.dumps(d).replace('{"list": []}', "[" * 50_000 + "]" * 50_000)
    with pytest.raises(PappusError):
        parse_graph_file(save({}, {KEY: nested}))
