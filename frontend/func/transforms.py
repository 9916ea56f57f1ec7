"""Derivatives as functions of functions: grad, vjp, jvp, jacobians and hessians, which nest and go through vmap.

Each runs the function on stand-ins for its arguments: new leaves, or aliases where the argument has a history that the
caller may differentiate. Derivatives in forward direction come from two backward ones: the gradient is linear in its
seed, so differentiating it by the seed gives the directional derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from ..autograd import grad as backward_grad
from ..errors import ArgumentError, AutogradError
from ..grad_mode import enable_grad
from ..region import Region, key_of
from ..source import user_location
from ..tape import state
from ..tensor import Tensor
from .tree import Rebuild, flatten
from .vmap import layers, note_stand_in, vmap

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]

Argnums = int | Sequence[int]


class _Call:
    """One run of a function on stand-ins: its results, and whether their derivatives are to have a history."""

    def __init__(
        self, what: str, func: Callable[..., Any], args: Sequence[Any], chosen: Sequence[int], kwargs: Any
    ) -> None:
        self.what = what
        outer = state.grad
        region = Region()
        standing = list(args)
        self.inputs: list[Tensor] = []
        self.rebuilds: list[tuple[int, Rebuild]] = []
        for at in chosen:
            leaves, rebuild = flatten(args[at])
            made = [self._stand_in(leaf, outer) for leaf in leaves]
            self.rebuilds.append((len(made), rebuild))
            self.inputs += made
            standing[at] = rebuild(made)
        with enable_grad():
            self.result = func(*standing, **kwargs)
        self.region, self.outer = region, outer

    def _stand_in(self, leaf: Any, outer: bool) -> Tensor:
        from .. import ops

        if not isinstance(leaf, Tensor) or not leaf.dtype.differentiable:
            kind = str(leaf.dtype) if isinstance(leaf, Tensor) else type(leaf).__name__
            raise ArgumentError(
                f"{self.what}: it differentiates by floating-point and complex tensors, got {kind}; name other "
                "arguments in argnums, or convert with .float()"
            ).at(None, user_location())
        if outer and leaf._requires_grad:
            alias: Tensor = ops.alias(leaf)
            return alias
        made = leaf.detach().requires_grad_()
        note_stand_in(made)
        return made

    def settle(self, outs: Sequence[Tensor]) -> None:
        """Decide whether derivatives of `outs` need a history of their own: something outside wants it."""
        own = {key_of(x) for x in self.inputs if x._node is None}
        held = [layer for out in outs for layer in layers(out)]
        self.create = self.outer and any(key_of(s) not in own for s in self.region.sources(held))

    def gradients(self, outs: Sequence[Tensor], seeds: Sequence[Tensor], keep: bool = False) -> list[Tensor]:
        """The gradients of the inputs, zeros where nothing depends on one."""
        create = self.create or (self.outer and _wanted(seeds))
        some = [(o, s) for o, s in zip(outs, seeds, strict=True) if o._requires_grad]
        if not some:
            return [x.detach() * 0 for x in self.inputs]
        found = backward_grad(
            [o for o, _ in some], self.inputs, [s for _, s in some], retain_graph=keep or create, create_graph=create,
            materialize_grads=True,
        )  # fmt: skip
        return [f for f in found if f is not None]

    def nested(self, gradients: list[Tensor], single: bool) -> Any:
        """The gradients in the structure of the arguments."""
        out, at = [], 0
        for count, rebuild in self.rebuilds:
            out.append(rebuild(gradients[at : at + count]))
            at += count
        return out[0] if single else tuple(out)

    def value(self, tree: Any) -> Any:
        """Results as the caller gets them: without the history of the stand-ins, where nobody wants it."""
        leaves, rebuild = flatten(tree)
        if self.create:
            return tree
        return rebuild([t.detach() if isinstance(t, Tensor) and t._requires_grad else t for t in leaves])


def _wanted(tensors: Sequence[Tensor]) -> bool:
    return any(layer._requires_grad for tensor in tensors for layer in layers(tensor))


def _chosen(argnums: Argnums, args: Sequence[Any], what: str) -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise ArgumentError(f"{what}: argnums names argument {n}, the call has {len(args)} positional arguments")
    return [n % len(args) for n in numbers]


def _with_aux(result: Any, has_aux: bool, what: str) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(f"{what}: with has_aux=True the function must return a pair (result, aux)")
    return result


def _tensors(result: Any, what: str) -> tuple[list[Tensor], Rebuild]:
    leaves, rebuild = flatten(result)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise ArgumentError(f"{what}: the function must return tensors, got {type(leaf).__name__}")
    return leaves, rebuild


# -- gradients of scalars -------------------------------------------------------------------------


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of the scalar `func(...)` and its value; see `grad`.

    >>> import pappus as pp
    >>> pp.func.grad_and_value(lambda x: x**2)(pp.tensor(3.0))
    (tensor(6.), tensor(9.))
    """

    @wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        run = _Call("grad", func, args, _chosen(argnums, args, "grad"), kwargs)
        out, aux = _with_aux(run.result, has_aux, "grad")
        if not isinstance(out, Tensor) or out.ndim != 0:
            got = f"shape {list(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
            raise AutogradError(
                f"grad: the function must return a scalar tensor, got {got}; reduce it (e.g. .sum()), or use vjp or "
                "jacrev"
            ).at(None, user_location())
        run.settle([out])
        found = run.nested(run.gradients([out], [_ones(out)]), isinstance(argnums, int))
        return (found, (run.value(out), run.value(aux))) if has_aux else (found, run.value(out))

    return differentiated


def _ones(out: Tensor) -> Tensor:
    from .. import ops

    return ops.full(tuple(out.shape), 1, dtype=out.dtype)  # type: ignore[no-any-return]


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of the scalar `func(...)` by its arguments `argnums`.

    Arguments may be nested tuples, lists and dicts of tensors; the gradient has their structure. With `has_aux` the
    function returns a pair, of which the second comes back beside the gradient. Raises AutogradError for a result that
    is no scalar.

    >>> import pappus as pp
    >>> pp.func.grad(pp.func.grad(lambda x: x**3))(pp.tensor(2.0))
    tensor(12.)
    >>> pp.vmap(pp.func.grad(lambda x: (x * x).sum()))(pp.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[2., 4.],
            [6., 8.]])
    """
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return differentiated


# -- products with a jacobian ---------------------------------------------------------------------


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """`func(*primals)`, and the function from gradients of its result to those of the primals: u -> u J.

    >>> import pappus as pp
    >>> out, back = pp.func.vjp(lambda x: x * x, pp.tensor([1.0, 2.0]))
    >>> out, back(pp.tensor([1.0, 10.0]))
    (tensor([1., 4.]), (tensor([ 2., 40.]),))
    """
    run = _Call("vjp", func, primals, range(len(primals)), {})
    result, aux = _with_aux(run.result, has_aux, "vjp")
    outs, _ = _tensors(result, "vjp")
    run.settle(outs)

    def back(*cotangents: Any) -> Any:
        """The gradients of the primals for those of the result, in its structure."""
        given = cotangents[0] if len(cotangents) == 1 and not isinstance(result, tuple) else cotangents
        if len(cotangents) == 1 and isinstance(cotangents[0], tuple) and isinstance(result, tuple):
            given = cotangents[0]
        seeds = flatten(given)[0]
        if len(seeds) != len(outs):
            raise ArgumentError(f"vjp: the function gave {len(outs)} results, got {len(seeds)} gradients for them")
        return run.nested(run.gradients(outs, seeds, keep=True), False)

    value = run.value(result)
    return (value, back, run.value(aux)) if has_aux else (value, back)


def _forward(func: Callable[..., Any], primals: Sequence[Any], what: str, has_aux: bool) -> tuple[Any, Any, Any]:
    """The value, the function v -> J v in flat lists, and aux."""
    run = _Call(what, func, primals, range(len(primals)), {})
    result, aux = _with_aux(run.result, has_aux, what)
    outs, rebuild = _tensors(result, what)
    run.settle(outs)
    with enable_grad():
        seeds = [(o.detach() * 0).requires_grad_() for o in outs]
        wanted = run.create
        run.create = True
        live = [(o, s) for o, s in zip(outs, seeds, strict=True) if o._requires_grad]
        grads = backward_grad(
            [o for o, _ in live], run.inputs, [s for _, s in live], retain_graph=True, create_graph=True,
            allow_unused=True,
        ) if live else ()  # fmt: skip
        run.create = wanted

    def push(tangents: Sequence[Tensor]) -> Any:
        pairs = [(g, v) for g, v in zip(grads, tangents, strict=False) if g is not None and g._requires_grad]
        create = wanted or (state.grad and _wanted(tangents))
        if not pairs:
            return rebuild([o.detach() * 0 for o in outs])
        found = backward_grad(
            [g for g, _ in pairs], seeds, [v for _, v in pairs], retain_graph=True, create_graph=create,
            materialize_grads=True,
        )  # fmt: skip
        return rebuild(list(found))

    return run.value(result), push, run.value(aux)


def _tangents(primals: Any, tangents: Any, what: str) -> list[Tensor]:
    flat, given = flatten(primals)[0], flatten(tangents)[0]
    shapes = [tuple(p.shape) for p in flat], [tuple(t.shape) for t in given]
    if shapes[0] != shapes[1]:
        raise ArgumentError(f"{what}: the tangents have shapes {shapes[1]}, not those of the primals: {shapes[0]}")
    return given


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """`func(*primals)` and its directional derivative J v, by two passes backward.

    >>> import pappus as pp
    >>> pp.func.jvp(lambda x: x**3, (pp.tensor(2.0),), (pp.tensor(1.0),))
    (tensor(8.), tensor(12.))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise ArgumentError("jvp: primals and tangents must be tuples, one entry per argument of the function")
    given = _tangents(primals, tangents, "jvp")
    value, push, aux = _forward(func, primals, "jvp", has_aux)
    return (value, push(given), aux) if has_aux else (value, push(given))


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """`func(*primals)`, and v -> J v at that point as a function that does not run `func` again.

    >>> import pappus as pp
    >>> out, push = pp.func.linearize(lambda x: x * x, pp.tensor([1.0, 3.0]))
    >>> push(pp.tensor([1.0, 1.0]))
    tensor([2., 6.])
    """
    value, push, _ = _forward(func, primals, "linearize", False)
    return value, lambda *tangents: push(_tangents(primals, tangents, "linearize"))


# -- jacobians ------------------------------------------------------------------------------------


def _basis(tensors: Sequence[Tensor]) -> list[Tensor]:
    """For tensors of n elements in all: for each a tensor (n, *shape), row i of all together the i-th unit vector."""
    from .. import ops

    total = sum([t.numel() for t in tensors])
    eye, at, found = ops.eye(total), 0, []
    for t in tensors:
        found.append(ops.view(ops.slice(eye, 1, at, at + t.numel()), (total, *t.shape)).to(t.dtype))
        at += t.numel()
    return found


def _split_rows(rows: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Row blocks of a jacobian that was computed for all of `tensors` at once."""
    found, at = [], 0
    for t in tensors:
        found.append(rows.narrow(0, at, t.numel()).reshape(*t.shape, *rows.shape[1:]))
        at += t.numel()
    return found


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that returns the jacobian of `func`, of shape (*result, *argument), by rows: backward, under vmap.

    >>> import pappus as pp
    >>> pp.func.jacrev(lambda x: x * x)(pp.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        run = _Call("jacrev", func, args, _chosen(argnums, args, "jacrev"), kwargs)
        result, aux = _with_aux(run.result, has_aux, "jacrev")
        outs, rebuild = _tensors(result, "jacrev")
        run.settle(outs)

        def pull(*seeds: Tensor) -> tuple[Tensor, ...]:
            return tuple(run.gradients(outs, seeds, keep=True))

        columns = vmap(pull, chunk_size=chunk_size)(*_basis(outs))
        by_out = list(zip(*[_split_rows(c, outs) for c in columns], strict=True))
        found = rebuild([run.nested(list(row), isinstance(argnums, int)) for row in by_out])
        return (found, run.value(aux)) if has_aux else found

    return jacobian


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """A function that returns the jacobian of `func`, of shape (*result, *argument), by columns: forward, under vmap.

    >>> import pappus as pp
    >>> pp.func.jacfwd(lambda x: x * x)(pp.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        numbers = _chosen(argnums, args, "jacfwd")

        def of_chosen(*given: Any) -> Any:
            full = list(args)
            for at, one in zip(numbers, given, strict=True):
                full[at] = one
            return func(*full, **kwargs)

        chosen = [args[n] for n in numbers]
        inputs = flatten(chosen)[0]
        _, push, aux = _forward(of_chosen, chosen, "jacfwd", has_aux)
        shape: list[Rebuild] = []

        def flat_push(*tangents: Tensor) -> tuple[Tensor, ...]:
            leaves, rebuild = flatten(push(tangents))
            shape.append(rebuild)
            return tuple(leaves)

        rows = vmap(flat_push, randomness=randomness)(*_basis(inputs))
        nest = flatten(chosen)[1]
        blocks = [
            nest([b.movedim(tuple(range(x.ndim)), tuple(range(-x.ndim, 0))) for b, x in zip(cut, inputs, strict=True)])
            for cut in [_split_rows(row, inputs) for row in rows]
        ]
        found = shape[0]([b[0] if isinstance(argnums, int) else tuple(b) for b in blocks])
        return (found, aux) if has_aux else found

    return jacobian


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that returns the second derivatives of `func`: the forward jacobian of its backward one.

    >>> import pappus as pp
    >>> pp.func.hessian(lambda x: (x**3).sum())(pp.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
