"""The report says what happened, in true numbers."""

from __future__ import annotations

import re
from typing import Any

import test_models as models
from road import array, line_of, tensor

import pappus as pp
from pappus.export import Dim
from pappus.export.report import node_flops
from pappus.frontend.tensor import Tensor

F = pp.nn.functional


def lines(program: Any) -> list[str]:
    return program.report().splitlines()


def test_counts_flops_memory_and_constants_of_a_cnn() -> None:
    ep = pp.export.export(models.CNN(), (tensor(2, 3, 32, 32),), dynamic_shapes={"x": {0: Dim("batch", max=32)}})
    program = pp.export.lower(ep)
    found = lines(program)
    method = program.methods[0]
    assert found[0].startswith(
        f"method forward: {len(program.cores['forward'].nodes)} core operators -> 9 instructions (6 conv2d, 2 pool2d, "
        "1 gemm)"
    )
    convs = [(16, 3, 3, 32), (16, 16, 3, 16), (16, 16, 3, 16), (16, 1, 3, 8), (24, 16, 1, 8), (8, 16, 5, 8)]
    flops = sum(2 * 2 * o * c * k * k * side * side for o, c, k, side in convs) + 2 * 2 * 512 * 10
    assert f"{flops / 1e6:.3f} MFLOP" in found[1] and sum(map(node_flops, method.kernel.nodes)) == flops
    assert f"epochs {max(method.epochs) + 1}," in found[1]
    assert f"arena {method.plan.arena} bytes" in found[2] and f"lower bound {method.plan.bound}" in found[2]
    assert "  dim batch: 1..32" in found
    constants = sum(a.nbytes for a in program.pool.arrays)
    assert f"constants {constants} bytes in {len(program.pool.arrays)} items" in found
    with pp.runtime.load(program.to_bytes(), threads=1) as session:
        session(array(2, 3, 32, 32))
        # The runtime plans the same arena; its kernels' scratch follows.
        assert session.method("forward").arena_bytes >= method.plan.arena


def messy(x: Tensor) -> Any:
    y = F.linear(x, WEIGHT)
    z = F.relu(y)
    if x.shape[0] < 20:
        z = z + 1
    return y, z.t().reshape(-1), F.softmax(z, 1)


WEIGHT = tensor(6, 4)


def test_what_moved_what_did_not_fuse_and_what_was_assumed() -> None:
    ep = pp.export.export(messy, (tensor(3, 4),), dynamic_shapes={"x": {0: Dim("n", max=64)}})
    text = pp.export.lower(ep).report()
    assert re.search(r"  assumed: n < 20 \(assumed at .*test_report\.py:\d+\)", text)
    where = rf"\S*test_report\.py:{line_of(messy, 'F.relu')}"
    assert re.search(
        rf"  not fused: relu\+add \({where}\) into linear \(.*\): its result is also read by the output", text
    )
    assert re.search(r"  move: 24\*n bytes: \w+ \(reshape to \[6\*n\]\)", text)
    assert re.search(rf"  fused: relu\+add -> pointwise  {where}", text)


def test_state_copies_and_in_place() -> None:
    total, last = pp.zeros(3), pp.zeros(3)

    def f(x: Tensor) -> Any:
        before = last.clone()
        total.add_(x)
        last.copy_(F.softmax(x + last, 0))
        return before * total

    text = pp.export.lower(pp.export.export(f, (tensor(3),))).report()
    assert "state const: float32[3], 12 bytes" in text and text.count("in place: state") >= 1


def test_moves_in_the_report_are_the_moves_in_the_program() -> None:
    for model, args in (
        (models.CNN(), (tensor(1, 3, 32, 32),)),
        (models.Encoder(), (pp.tensor(models.tokens(1, 5)),)),
        (messy, (tensor(3, 4),)),
    ):
        program = pp.export.lower(pp.export.export(model, args))
        listed = sum(line.startswith("  move:") for line in lines(program))
        assert listed == sum(n.op == "k.move" for n in program.graph.nodes)


def test_every_method_is_reported() -> None:
    x = tensor(2, 4)
    program = pp.export.lower(
        {"a": pp.export.export(lambda x: x + 1, (x,)), "b": pp.export.export(lambda x: x * 2, (x,))}
    )
    assert [line.split(":")[0] for line in lines(program) if line.startswith("method")] == ["method a", "method b"]
    assert "constants 0 bytes in 0 items" in program.report()
