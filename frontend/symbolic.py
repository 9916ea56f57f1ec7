"""Symbolic sizes: integers that stand for a tensor dimension not known until the program is called.

A `SymInt` is kept as a polynomial with integer coefficients over *atoms*: symbols, and floor
divisions, remainders, minima and maxima that do not simplify. Two equal polynomials are the same
size, so most questions about shapes (`a == b`, `a * c // c`) are answered without assuming
anything. What the form and the symbols' ranges cannot decide is answered with the example's
value, and the answer is recorded as a `Guard`, to be checked whenever the program is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from pappus.frontend.source import user_location

if TYPE_CHECKING:
    from pappus.frontend.dtypes import DType

Size: TypeAlias = Union[int, "SymInt"]
INF = 2**31 - 1


@dataclass(frozen=True)
class Guard:
    """An assumption `left REL right` that capture made; `relation` is one of `== != < <=`."""

    left: Size
    relation: str
    right: Size
    location: str

    def __str__(self) -> str:
        return f"{self.left} {self.relation} {self.right} (assumed at {self.location})"


class ShapeEnv:
    """Collects the guards of one capture, and refuses what a named dimension may not do.

    `fixed` is called when a size is forced to one value (by `range(n)`, `int(n)`, ...): it may raise.
    """

    def __init__(self, fixed: Callable[[SymInt, int, str], None] | None = None) -> None:
        self.guards: list[Guard] = []
        self._fixed = fixed

    def guard(self, left: Size, relation: str, right: Size) -> None:
        """Record one assumption at the user's current line, once."""
        for known in self.guards:
            if (known.relation == relation and _same(known.left, left)) and _same(known.right, right):
                return
        self.guards.append(Guard(left, relation, right, user_location()))

    def fix(self, expr: SymInt, value: int) -> None:
        """The value of `expr` becomes part of the program: an equality guard, if it is allowed at all."""
        if self._fixed is not None:
            self._fixed(expr, value, user_location())
        self.guard(expr, "==", value)


@dataclass(frozen=True, eq=False)
class Symbol:
    """A named dimension with its range, its value in the example, and the capture it belongs to."""

    name: str
    hint: int
    min: int = 0
    max: int = INF
    multiple_of: int = 1
    env: ShapeEnv = field(default_factory=ShapeEnv, repr=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Call:
    """An atom that is no polynomial: `//`, `%`, `min` or `max` of two sizes."""

    op: str
    left: Size
    right: Size

    def __str__(self) -> str:
        if self.op in ("min", "max"):
            return f"{self.op}({self.left}, {self.right})"
        return f"({self.left}){self.op}({self.right})"


Atom: TypeAlias = Symbol | Call
Monomial: TypeAlias = tuple[Any, ...]  # atom keys, sorted


def _key(atom: Atom) -> tuple[Any, ...]:
    if isinstance(atom, Symbol):
        return ("", atom.name)
    return (atom.op, _size_key(atom.left), _size_key(atom.right))


def _size_key(size: Size) -> Any:
    return ("sym", size.terms) if isinstance(size, SymInt) else ("int", size)


def _same(a: Size, b: Size) -> bool:
    return bool(_size_key(a) == _size_key(b))


class SymInt:
    """An integer expression over symbols; behaves like `int` in shape arithmetic.

    `+ - * // %` (with ints or other SymInts) give SymInts, or plain ints where the symbols cancel.
    Comparisons are decided from the form and the ranges, else from the example with a guard.
    `int(n)`, `range(n)` and indexing force the example's value (see `ShapeEnv.fix`).

    >>> n = symbol("n", hint=6, min=1, max=64)
    >>> (n * 4 + 8) // 4 - n
    2
    >>> str((n + 1) // 2)
    '(n + 1)//(2)'
    >>> n + 1 > 1
    True
    """

    __slots__ = ("_atoms", "env", "terms")

    def __init__(self, terms: tuple[tuple[Monomial, int], ...], atoms: dict[Any, Atom], env: ShapeEnv) -> None:
        self.terms = terms
        self._atoms = atoms
        self.env = env

    # -- structure ------------------------------------------------------------------------------

    @property
    def atoms(self) -> dict[Any, Atom]:
        """The atoms by the keys that appear in `terms`."""
        return self._atoms

    def symbols(self) -> set[Symbol]:
        """Every symbol this size depends on."""
        found: set[Symbol] = set()
        for atom in self._atoms.values():
            if isinstance(atom, Symbol):
                found.add(atom)
            else:
                for side in (atom.left, atom.right):
                    if isinstance(side, SymInt):
                        found |= side.symbols()
        return found

    def as_symbol(self) -> Symbol | None:
        """The symbol, if this size is exactly one."""
        if len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1:
            atom = self._atoms[self.terms[0][0][0]]
            return atom if isinstance(atom, Symbol) else None
        return None

    def only_symbol(self) -> SymInt | None:
        """The symbol, if this is `a * symbol + b`, which is zero for one size alone."""
        monomials = [m for m, _ in self.terms if m != ()]
        if len(monomials) != 1 or len(monomials[0]) != 1:
            return None
        atom = self._atoms[monomials[0][0]]
        return _from_atom(atom, self.env) if isinstance(atom, Symbol) else None

    def evaluate(self, values: Callable[[Symbol], int]) -> int:
        """The integer this size has when every symbol has the value `values(symbol)`."""
        cache = {key: _eval_atom(atom, values) for key, atom in self._atoms.items()}
        total = 0
        for monomial, coefficient in self.terms:
            product = coefficient
            for key in monomial:
                product *= cache[key]
            total += product
        return total

    @property
    def hint(self) -> int:
        """The value in the example that is being captured."""
        return self.evaluate(lambda s: s.hint)

    def bounds(self) -> tuple[int, int]:
        """A lower and an upper bound that hold for every allowed value of the symbols."""
        low = high = 0
        for monomial, coefficient in self.terms:
            lo = hi = 1
            for key in monomial:
                a, b = _atom_bounds(self._atoms[key])
                corners = (lo * a, lo * b, hi * a, hi * b)
                lo, hi = min(corners), max(corners)
            low += min(coefficient * lo, coefficient * hi)
            high += max(coefficient * lo, coefficient * hi)
        return low, high

    # -- arithmetic -----------------------------------------------------------------------------

    def __add__(self, other: object) -> Any:
        return _linear(self, 1, other, 1)

    __radd__ = __add__

    def __sub__(self, other: object) -> Any:
        return _linear(self, 1, other, -1)

    def __rsub__(self, other: object) -> Any:
        return _linear(self, -1, other, 1)

    def __neg__(self) -> Any:
        return _linear(self, -1, 0, 1)

    def __pos__(self) -> SymInt:
        return self

    def __mul__(self, other: object) -> Any:
        if isinstance(other, float):
            return float(self) * other  # no size any more: the value becomes part of the program, or is refused
        if not _is_size(other):
            return NotImplemented
        terms: dict[Monomial, int] = {}
        atoms = dict(self._atoms)
        right: Iterable[tuple[Monomial, int]] = (((), other),)  # type: ignore[assignment]
        if isinstance(other, SymInt):
            right = other.terms
            atoms.update(other._atoms)
        for m1, c1 in self.terms:
            for m2, c2 in right:
                monomial = tuple(sorted(m1 + m2, key=repr))
                terms[monomial] = terms.get(monomial, 0) + c1 * c2
        return _build(terms, atoms, self.env)

    __rmul__ = __mul__

    def __floordiv__(self, other: object) -> Any:
        return _divide(self, other, self.env) if _is_size(other) else NotImplemented

    def __rfloordiv__(self, other: object) -> Any:
        return _divide(other, self, self.env) if _is_size(other) else NotImplemented

    def __mod__(self, other: object) -> Any:
        return _modulo(self, other, self.env) if _is_size(other) else NotImplemented

    def __rmod__(self, other: object) -> Any:
        return _modulo(other, self, self.env) if _is_size(other) else NotImplemented

    def __truediv__(self, other: object) -> float:
        return int(self) / other  # type: ignore[operator]

    def __rtruediv__(self, other: object) -> float:
        return other / int(self)  # type: ignore[operator]

    def __pow__(self, exponent: int) -> Any:
        result: Size = 1
        for _ in range(int(exponent)):
            result = result * self
        return result

    # -- questions ------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not _is_size(other):
            return NotImplemented
        difference = self - other
        if isinstance(difference, int):
            return difference == 0
        low, high = difference.bounds()
        if low > 0 or high < 0:
            return False
        answer: bool = difference.hint == 0
        only = difference.only_symbol() if answer else None
        if only is not None:
            self.env.fix(only, only.hint)
        else:
            self.env.guard(self, "==" if answer else "!=", other)  # type: ignore[arg-type]
        return answer

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __lt__(self, other: object) -> bool:
        return _less(self, other, self.env) if _is_size(other) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return not _less(self, other, self.env) if _is_size(other) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return _less(other, self, self.env) if _is_size(other) else NotImplemented

    def __le__(self, other: object) -> bool:
        return not _less(other, self, self.env) if _is_size(other) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.terms)

    def __bool__(self) -> bool:
        return self != 0

    def __int__(self) -> int:
        value = self.hint
        self.env.fix(self, value)
        return value

    __index__ = __int__

    def __float__(self) -> float:
        return float(int(self))

    def __repr__(self) -> str:
        parts: list[str] = []
        for monomial, coefficient in self.terms:
            names = [str(self._atoms[key]) for key in monomial]
            if not names:
                text = str(abs(coefficient))
            else:
                text = "*".join(([str(abs(coefficient))] if abs(coefficient) != 1 else []) + names)
            sign = "-" if coefficient < 0 else "+"
            parts.append(f"{sign} {text}" if parts else (f"-{text}" if sign == "-" else text))
        return " ".join(parts)


@dataclass(frozen=True)
class SymbolicArray:
    """What a Tensor holds during capture instead of numbers: shape, dtype and the graph's value."""

    shape: tuple[Size, ...]
    dtype: DType
    value: Any = None

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)


def symbol(
    name: str, hint: int, min: int = 0, max: int = INF, multiple_of: int = 1, env: ShapeEnv | None = None
) -> SymInt:
    """A new symbolic size `name` in `[min, max]`, a multiple of `multiple_of`, `hint` in the example."""
    sym = Symbol(name, hint, min, max, multiple_of, env or ShapeEnv())
    key = _key(sym)
    return SymInt((((key,), 1),), {key: sym}, sym.env)


def is_symbolic(x: object) -> bool:
    """Whether `x` is a SymInt (and not a plain number)."""
    return isinstance(x, SymInt)


def sym_eq(a: Size, b: Size) -> bool:
    """`a == b`, guarded where it had to be assumed."""
    return bool(a == b)


def same_size(a: Size, b: Size) -> bool:
    """Whether two sizes are equal for every value of the symbols; assumes nothing."""
    difference = a - b
    return isinstance(difference, int) and difference == 0


def sym_max(a: Size, b: Size) -> Size:
    """The larger of two sizes, symbolic unless the ranges decide."""
    return _extremum("max", a, b)


def sym_min(a: Size, b: Size) -> Size:
    """The smaller of two sizes, symbolic unless the ranges decide."""
    return _extremum("min", a, b)


def hint_of(size: Size) -> int:
    """The size in the example: the integer itself, or a SymInt's hint; assumes nothing."""
    return size.hint if isinstance(size, SymInt) else size


def evaluate(size: Size, values: Callable[[Symbol], int]) -> int:
    """A size under an assignment of its symbols; integers pass through."""
    return size.evaluate(values) if isinstance(size, SymInt) else size


# -- internals ----------------------------------------------------------------------------------


def _is_size(x: object) -> bool:
    return isinstance(x, (int, SymInt)) or (hasattr(x, "__index__") and not hasattr(x, "shape"))


def _build(terms: dict[Monomial, int], atoms: dict[Any, Atom], env: ShapeEnv) -> Size:
    kept = {m: c for m, c in terms.items() if c != 0}
    if not kept or set(kept) == {()}:
        return kept.get((), 0)
    used = {key for m in kept for key in m}
    ordered = tuple(sorted(kept.items(), key=lambda item: (item[0] == (), repr(item[0]))))
    return SymInt(ordered, {k: atoms[k] for k in used}, env)


def _linear(a: SymInt, ca: int, other: object, cb: int) -> Any:
    if isinstance(other, float):
        return ca * float(a) + cb * other
    if not _is_size(other):
        return NotImplemented
    terms = {m: ca * c for m, c in a.terms}
    atoms = dict(a.atoms)
    if isinstance(other, SymInt):
        atoms.update(other.atoms)
        for m, c in other.terms:
            terms[m] = terms.get(m, 0) + cb * c
    else:
        terms[()] = terms.get((), 0) + cb * int(other)  # type: ignore[call-overload]
    return _build(terms, atoms, a.env)


def _from_atom(atom: Atom, env: ShapeEnv) -> SymInt:
    key = _key(atom)
    return SymInt((((key,), 1),), {key: atom}, env)


def _multiple(monomial: Monomial, coefficient: int, atoms: dict[Any, Atom]) -> int:
    """A number that divides this term for every allowed value."""
    known = abs(coefficient)
    for key in monomial:
        atom = atoms[key]
        if isinstance(atom, Symbol):
            known *= atom.multiple_of
    return known


def _divide(a: Any, b: Any, env: ShapeEnv) -> Size:
    if isinstance(b, SymInt):
        if same_size(a, b):
            return 1
        if isinstance(a, SymInt):
            exact = _divide_monomial(a, b)
            if exact is not None:
                return exact
        elif a == 0:
            return 0
        return _from_atom(Call("//", a, b), env)
    b = int(b)
    if b == 0:
        raise ZeroDivisionError(f"({a}) // 0 in a shape expression")
    if b == 1:
        return a  # type: ignore[no-any-return]
    # Terms with a coefficient divisible by b leave the floor: (4n + r)//4 = n + r//4.
    whole = {m: c // b for m, c in a.terms if c % b == 0}
    rest = {m: c for m, c in a.terms if c % b != 0}
    quotient = _build(whole, a.atoms, env)
    remainder = _build(rest, a.atoms, env)
    if isinstance(remainder, int):
        return quotient + remainder // b  # type: ignore[no-any-return]
    if b > 0:
        constant = rest.get((), 0)
        others = [_multiple(m, c, a.atoms) for m, c in rest.items() if m]
        if 0 <= constant < b and all(k % b == 0 for k in others):
            remainder = _build({m: c for m, c in rest.items() if m}, a.atoms, env)
    return quotient + _from_atom(Call("//", remainder, b), env)  # type: ignore[no-any-return]


def _divide_monomial(a: SymInt, b: SymInt) -> Size | None:
    """a / b where b is one term that divides every term of a exactly."""
    if len(b.terms) != 1:
        return None
    divisor, scale = b.terms[0]
    result: dict[Monomial, int] = {}
    for monomial, coefficient in a.terms:
        left = list(monomial)
        for key in divisor:
            if key not in left:
                return None
            left.remove(key)
        if coefficient % scale:
            return None
        result[tuple(left)] = coefficient // scale
    return _build(result, a.atoms, a.env)


def _modulo(a: Any, b: Any, env: ShapeEnv) -> Size:
    if isinstance(b, SymInt):
        if same_size(a, b) or (not isinstance(a, SymInt) and a == 0):
            return 0
        if isinstance(a, SymInt) and _divide_monomial(a, b) is not None:
            return 0
        return _from_atom(Call("%", a, b), env)
    b = int(b)
    if b == 0:
        raise ZeroDivisionError(f"({a}) % 0 in a shape expression")
    rest = {m: c for m, c in a.terms if m == () or _multiple(m, c, a.atoms) % b != 0}
    remainder = _build(rest, a.atoms, env)
    if isinstance(remainder, int):
        return remainder % b  # type: ignore[no-any-return]
    low, high = remainder.bounds()
    if b > 0 and low >= 0 and high < b:
        return remainder
    return _from_atom(Call("%", remainder, b), env)


def _extremum(op: str, a: Size, b: Size) -> Size:
    difference = a - b
    low, high = (difference, difference) if isinstance(difference, int) else difference.bounds()
    if low >= 0:
        return a if op == "max" else b
    if high <= 0:
        return b if op == "max" else a
    return _from_atom(Call(op, a, b), difference.env)  # type: ignore[union-attr]


def _less(a: Any, b: Any, env: ShapeEnv) -> bool:
    difference = a - b
    if isinstance(difference, int):
        return difference < 0
    low, high = difference.bounds()
    if high < 0:
        return True
    if low >= 0:
        return False
    if difference.hint < 0:
        env.guard(a, "<", b)
        return True
    env.guard(b, "<=", a)
    return False


def _size_bounds(size: Size) -> tuple[int, int]:
    return size.bounds() if isinstance(size, SymInt) else (size, size)


def _atom_bounds(atom: Atom) -> tuple[int, int]:
    if isinstance(atom, Symbol):
        return atom.min, atom.max
    (al, ah), (bl, bh) = _size_bounds(atom.left), _size_bounds(atom.right)
    if atom.op == "min":
        return min(al, bl), min(ah, bh)
    if atom.op == "max":
        return max(al, bl), max(ah, bh)
    if atom.op == "%":  # the result has the sign of the divisor
        return min(bl + 1, 0), max(bh - 1, 0)
    if bl <= 0:
        return -INF, INF
    corners = (al // bl, al // bh, ah // bl, ah // bh)
    return min(corners), max(corners)


def _eval_atom(atom: Atom, values: Callable[[Symbol], int]) -> int:
    if isinstance(atom, Symbol):
        return values(atom)
    left, right = evaluate(atom.left, values), evaluate(atom.right, values)
    if atom.op == "//":
        return left // right
    if atom.op == "%":
        return left % right
    return min(left, right) if atom.op == "min" else max(left, right)
