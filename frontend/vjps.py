"""The gradient of one node of the tape, written as Python source for each operator when it is first needed.

What `autograd.node_gradients` does in loops (look whether operands were changed since, call the operator's `vjp`, sum
and cast its results to the operands) is written out here, for operators with one result and plain tensor operands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .opdef import OpDef

__all__ = ["source", "write"]

SAVED = """\
    kept_{at} = arg_{at}
    if version_{at} < 0:  # kept by a hook
        arg_{at} = kept_{at} = saved(node, arg_{at}, version_{at})
    else:
        storage = arg_{at}._storage
        if (0 if storage is None else storage.version) != version_{at}:
            arg_{at} = saved(node, arg_{at}, version_{at})
"""

OUT = """\
    array = node.outs[0]
    if node.out_storages[0].version == node.out_versions[0] and type(array) is not Packed:
        out = tensor(array, True)
        out._node = node
    else:
        out = results(node, g, create_graph)
"""

FITTED = """\
    if grad_{at} is not None:
        if {wanted}:
            data = grad_{at}._data
{like}            if data.shape != {meta}.shape or data.dtype is not {type}:
                grad_{at} = fit(grad_{at}, arg_{at})
        else:
            grad_{at} = None
"""


def source(op: OpDef) -> str | None:
    """A function (node, gradient of its result, create_graph) -> a gradient, or None, for each operand."""
    params = op.schema.tensors
    if op.vjp is None or op.multi or not params or any(p.type.endswith(("?", "[]")) for p in params):
        return None
    places = range(len(params))
    text = "def gradients(node, g, create_graph):\n"
    text += f"    {''.join(f'arg_{at}, ' for at in places)}= node.args\n"
    if any(op.keeps):
        text += f"    {''.join(f'version_{at}, ' for at in places)}= node.versions\n"
    text += "".join(SAVED.format(at=at) for at in places if op.keeps[at])
    text += OUT if op.keeps_out else ""
    out = "out" if op.keeps_out else "g"
    attrs = "".join(f", {p.name}=attrs[{p.name!r}]" for p in op.schema.attrs)
    if attrs:
        text += "    attrs = node.attrs\n"
    text += f"    found = node.op.vjp(g, {out}, {', '.join(f'arg_{at}' for at in places)}{attrs})\n"
    if len(params) == 1:
        text += "    grad_0 = found[0] if type(found) is tuple or type(found) is list else found\n"
    else:
        text += f"    {', '.join(f'grad_{at}' for at in places)} = found\n"
    for at in places:
        kept = op.keeps[at]
        text += FITTED.format(
            at=at, wanted=f"kept_{at}._requires_grad" if kept else f"arg_{at}.requires_grad",
            like=f"            like = kept_{at}._data\n" if kept else "", meta="like" if kept else f"arg_{at}",
            type="like.dtype" if kept else f"arg_{at}.type",
        )  # fmt: skip
    return text + f"    return {''.join(f'grad_{at}, ' for at in places)}\n"


def write(op: OpDef, scope: dict[str, Any]) -> Callable[..., Any] | None:
    """The function that `source` shows, given what `autograd` puts into `scope`; None where there is none."""
    text = source(op)
    if text is None:
        return None
    made = dict(scope)
    exec(compile(text, f"<pappus gradient of {op.name}>", "exec"), made)
    written: Callable[..., Any] = made["gradients"]
    return written
