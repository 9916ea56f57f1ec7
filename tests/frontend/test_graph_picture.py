"""Pictures of graphs: well-formed, every node and edge there, boxes that do not overlap, edges that go down."""

from __future__ import annotations

import itertools
import random
import xml.etree.ElementTree as ET
from typing import Any

import pytest

import pappus as pp
from pappus.frontend.graph_layout import layered

NS = "{http://www.w3.org/2000/svg}"


class Picture:
    """What an SVG says: the text of each box, and the edges between them."""

    def __init__(self, text: str) -> None:
        self.root = ET.fromstring(text)
        groups = [g for g in self.root.iter(f"{NS}g") if g.get("class", "").startswith("node")]
        self.texts = {int(g.get("data-id")): [t.text for t in g.iter(f"{NS}text")] for g in groups}
        self.kinds = {int(g.get("data-id")): g.get("class").split()[1] for g in groups}
        self.rects = {int(g.get("data-id")): g.find(f"{NS}rect") for g in groups}
        paths = [p for p in self.root.iter(f"{NS}path") if p.get("class") == "edge"]
        self.edges = [(int(p.get("data-from")), int(p.get("data-to"))) for p in paths]

    def named(self, name: str) -> int:
        (found,) = [n for n, texts in self.texts.items() if texts[0] == name]
        return found

    def check(self) -> None:
        """Boxes lie inside the picture and apart, edges lead down."""
        width, height = float(self.root.get("width")), float(self.root.get("height"))
        spans = {}
        for n, rect in self.rects.items():
            x, y, w, h = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
            spans[n] = (x, y, x + w, y + h)
            assert x >= -0.2 and y >= -0.2 and x + w <= width and y + h <= height
        for a, b in itertools.combinations(spans.values(), 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], "boxes overlap"
        for a, b in self.edges:
            assert spans[a][3] < spans[b][1], "an edge leads up"


def test_the_graph_of_a_loss() -> None:
    net = pp.nn.Sequential(pp.nn.Linear(4, 3), pp.nn.ReLU(), pp.nn.Linear(3, 2))
    loss = net(pp.ones(5, 4)).pow(2).mean()
    picture = Picture(pp.autograd.graph_svg(loss, net))
    picture.check()
    assert {"0.weight", "0.bias", "2.weight", "2.bias"} <= {texts[0] for texts in picture.texts.values()}
    weight = picture.named("0.weight")
    assert picture.kinds[weight] == "parameter" and picture.texts[weight][1] == "float32[3, 4]"
    relu = picture.named("relu")
    first, second = sorted(n for n, texts in picture.texts.items() if texts[0] == "linear")
    assert {(weight, first), (first, relu), (relu, second)} <= set(picture.edges)
    assert any("test_graph_picture.py" in line for line in picture.texts[relu])
    assert "float32[5, 3]" in picture.texts[relu]
    result = picture.named(loss.grad_fn.op.name)
    assert picture.kinds[result] == "result" and picture.texts[result][-1] == "float32[]"


def test_edges_are_those_of_the_tape() -> None:
    a, b = pp.ones(2, requires_grad=True), pp.ones(2, requires_grad=True)
    c = a * b
    d = c.exp() + c
    e = d.sum() + a.sum()
    picture = Picture(pp.autograd.graph_svg(e, {"a": a, "<b>": b}))
    picture.check()
    edges = set()
    stack, seen = [e.grad_fn], set()
    while stack:
        fn = stack.pop()
        if fn in seen:
            continue
        seen.add(fn)
        for target, _ in fn.next_functions:
            edges.add((id(getattr(target, "variable", target)), id(fn)))
            if not hasattr(target, "variable"):
                stack.append(target)
    assert len(picture.edges) == len(edges) and len(picture.texts) == len(seen) + 2
    assert picture.kinds[picture.named("<b>")] == "parameter", "names are escaped"


def test_after_backward_shapes_are_gone_and_the_picture_is_still_there() -> None:
    x = pp.ones(3, requires_grad=True)
    loss = (x.exp() * 2).sum()
    loss.backward()
    picture = Picture(pp.autograd.graph_svg(loss))
    picture.check()
    assert picture.texts[picture.named("leaf")] == ["leaf", "float32[3]"]


def test_writes_through_views_and_several_roots() -> None:
    x = pp.ones(4, requires_grad=True)
    y = x * 1
    y[:2].mul_(3)
    picture = Picture(pp.autograd.graph_svg([y.sum(), x.exp()]))
    picture.check()
    assert picture.named("mul_") and list(picture.kinds.values()).count("result") == 2


def test_an_exported_graph() -> None:
    class Net(pp.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = pp.nn.Conv2d(3, 4, 3, padding=1)
            self.register_buffer("count", pp.zeros(()))

        def forward(self, x: pp.Tensor) -> pp.Tensor:
            self.count.add_(1)
            return self.conv(x).relu() + x[:, :1]

    ep = pp.export.export(Net(), (pp.ones(1, 3, 8, 8),))
    picture = Picture(pp.export.graph_svg(ep))
    picture.check()
    graph = ep.graph
    assert sum(k == "operator" for k in picture.kinds.values()) == len(graph.nodes)
    assert sum(k == "result" for k in picture.kinds.values()) == len(graph.outputs)
    names = {texts[0] for texts in picture.texts.values()}
    assert {"relu", "state_read count", "state_write count"} <= names
    relu = picture.texts[picture.named("relu")]
    assert any("test_graph_picture.py" in line for line in relu) and "float32[1, 4, 8, 8]" in relu


def test_wrong_calls() -> None:
    with pytest.raises(pp.ArgumentError, match="does not require grad, so it has no graph"):
        pp.autograd.graph_svg(pp.ones(1))
    with pytest.raises(pp.ArgumentError, match="a module or a dict"):
        pp.autograd.graph_svg(pp.ones(1, requires_grad=True) * 1, 3)


@pytest.mark.parametrize("seed", range(8))
def test_layout_of_random_graphs(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.choice([1, 2, 7, 40])
    sizes = [(rng.uniform(20, 120), rng.uniform(20, 60)) for _ in range(count)]
    pairs = {tuple(sorted(rng.sample(range(count), 2))) for _ in range(2 * count)} if count > 1 else set()
    edges: list[Any] = sorted(pairs)
    found = layered(sizes, edges)
    boxes = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, (w, h) in zip(found.x, found.y, sizes, strict=True)]
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    for (a, b), path in zip(edges, found.paths, strict=True):
        assert path[0] == pytest.approx((found.x[a], boxes[a][3]))
        assert path[-1] == pytest.approx((found.x[b], boxes[b][1]))
        assert all(p[1] < q[1] for p, q in itertools.pairwise(path))
    assert min(b[0] for b in boxes) >= -1e-6 and max(b[2] for b in boxes) <= found.width + 1e-6


def test_nothing_to_lay_out() -> None:
    assert layered([], []).paths == []
