"""Symbolic sizes: exact arithmetic, what the form and the ranges decide, guards for the rest."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pappus.frontend.symbolic import (
    ShapeEnv,
    Symbol,
    SymInt,
    evaluate,
    hint_of,
    is_symbolic,
    same_size,
    sym_eq,
    sym_max,
    sym_min,
    symbol,
)


def pair(**ranges: Any) -> tuple[ShapeEnv, Any, Any]:
    """Two symbols n (6 in the example) and m (4) of one capture."""
    env = ShapeEnv()
    options = {"min": 1, "max": 64, **ranges}
    return env, symbol("n", 6, env=env, **options), symbol("m", 4, env=env, **options)


# -- arithmetic -----------------------------------------------------------------------------------


def test_equal_forms_are_one_size() -> None:
    env, n, m = pair()
    for left, right in (
        (n + m, m + n),
        (n * m, m * n),
        ((n + 1) * (n - 1), n * n - 1),
        (2 * n + 3 * n, 5 * n),
        ((n + m) * 2, 2 * n + 2 * m),
        (n - m, -(m - n)),
        (n**2, n * n),
        ((4 * n + 8) // 4, n + 2),
        ((n * m) // m, n),
        ((6 * n) % 3, 0 * n),
        (n * m // (n * m), 1),
        ((n + m) * (n + m), n * n + 2 * n * m + m * m),
        (3 - n, -n + 3),
        ((n * 8) // (4 * n) if False else n + 0, n),
    ):
        assert same_size(left, right), (left, right)
    assert env.guards == []


def test_symbols_that_cancel_leave_integers() -> None:
    _, n, m = pair()
    for found, want in (
        (n - n, 0),
        (n + 1 - n, 1),
        (n * m - m * n, 0),
        (n * 0, 0),
        (0 * n + 7, 7),
        (n // n, 1),
        (n % n, 0),
        ((2 * n) % 2, 0),
        (4 * n // n, 4),
        (0 // n, 0),
        (0 % n, 0),
    ):
        assert type(found) is int and found == want


def test_text() -> None:
    _, n, m = pair()
    assert str(n) == "n" and str(2 * n + 1) == "2*n + 1" and str(n * m - 3) == "m*n - 3" and str(1 - n) == "-n + 1"
    assert str((n + 1) // 2) == "(n + 1)//(2)" and str(sym_max(n, m)) == "max(n, m)"


def test_unsupported_operands() -> None:
    _, n, _ = pair()
    for bad in ("a", None, object()):
        with pytest.raises(TypeError):
            n + bad
        assert (n == bad) is False
    with pytest.raises(ZeroDivisionError, match="shape expression"):
        n // 0
    with pytest.raises(ZeroDivisionError):
        n % 0


EXPRESSIONS: list[Callable[[Any, Any], Any]] = [
    lambda n, m: n + m,
    lambda n, m: n - m,
    lambda n, m: n * m,
    lambda n, m: n // 2,
    lambda n, m: n % 3,
    lambda n, m: (n + 2 * 1 - 3) // 2 + 1,
    lambda n, m: n // m,
    lambda n, m: n % m,
    lambda n, m: (4 * n + 3) // 4,
    lambda n, m: (n * m + n) // n,
    lambda n, m: (2 * n + 5) % 2,
    lambda n, m: -n // 3,
    lambda n, m: n // -2,
    lambda n, m: n % -4,
    lambda n, m: (n - 7) % 5,
    lambda n, m: sym_max(n, m),
    lambda n, m: sym_min(n - m, 3),
    lambda n, m: sym_max(sym_min(n, 10), m) * 2,
    lambda n, m: (n // 2) * 2 + n % 2,
    lambda n, m: ((n + 1) // 2 + m) // 3,
    lambda n, m: n // 2 // 2,
    lambda n, m: 17 // n,
    lambda n, m: 17 % n,
    lambda n, m: (n * n - m * m) // 2,
    lambda n, m: sym_max(n - 3, 0),
    lambda n, m: 5 - n,
    lambda n, m: (n + m) ** 2,
    lambda n, m: (6 * n + 4) // 2,
    lambda n, m: (n * 3) // 3,
    lambda n, m: (m * n * 2) // (2 * m),
    lambda n, m: sym_min(n, n + m),
    lambda n, m: (3 * n + 3 * m) // (n + m),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_evaluation_equals_integers(expression: Callable[[Any, Any], Any]) -> None:
    """An expression of symbols, evaluated, is the expression of the values; its bounds hold for every value."""
    env, n, m = pair(max=9)
    size = expression(n, m)
    low, high = size.bounds() if isinstance(size, SymInt) else (size, size)
    assert hint_of(size) == _integer(expression, 6, 4)
    for a, b in itertools.product(range(1, 10), repeat=2):
        values = {"n": a, "m": b}
        found = evaluate(size, lambda s, values=values: values[s.name])
        assert found == _integer(expression, a, b) and low <= found <= high, (str(size), values)
    assert env.guards == []


def _integer(expression: Callable[[Any, Any], Any], a: int, b: int) -> Any:
    return expression(a, b)


TERMS = st.recursive(
    st.sampled_from(["n", "m"]) | st.integers(-4, 6).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, st.sampled_from(["//", "%"]), st.sampled_from(["1", "2", "3", "5", "n", "m", "(n + 1)"])).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(st.sampled_from(["sym_max", "sym_min"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
    ),
    max_leaves=7,
)


@settings(max_examples=150, deadline=None)
@given(TERMS, st.integers(1, 12), st.integers(1, 12))
def test_random_expressions(text: str, a: int, b: int) -> None:
    """Whatever the simplifier does to an expression, its value and its bounds stay right."""
    _, n, m = pair(max=12)
    names = {"sym_max": sym_max, "sym_min": sym_min}
    size = eval(text, {**names, "n": n, "m": m})
    want = eval(text, {**names, "n": a, "m": b})
    assert evaluate(size, lambda s: {"n": a, "m": b}[s.name]) == want
    if isinstance(size, SymInt):
        low, high = size.bounds()
        assert low <= want <= high


# -- questions ------------------------------------------------------------------------------------


def test_ranges_decide_without_guards() -> None:
    env, n, m = pair(min=2, max=8)
    assert (
        n > 1
        and n >= 2
        and not n < 2
        and n != 1
        and n != 9
        and n * m >= 4
        and n + m <= 16
        and 0 < n  # noqa: SIM300 - the reflected question
        and bool(n)
        and 9 > n  # noqa: SIM300
        and n - 9 < 0
    )
    assert sym_max(n, 1) is n and sym_min(n, 8) is n and sym_max(n, 9) == 9 and same_size(n % 16, n)
    assert env.guards == []


def test_zero_and_one_are_not_special() -> None:
    env = ShapeEnv()
    n = symbol("n", 1, min=0, max=10, env=env)
    assert not same_size(n, 1) and env.guards == []
    assert n == 1 and [str(g).split(" (")[0] for g in env.guards] == ["n == 1"]


def test_guards_record_what_was_assumed() -> None:
    env, n, m = pair()
    assert n > m and not n < m and n != m and n % 2 == 0 and not n > 10
    texts = [str(g).split(" (assumed at ")[0] for g in env.guards]
    assert texts == ["m < n", "m <= n", "n != m", "(n)%(2) == 0", "n <= 10"]
    assert all("test_symbolic.py:" in g.location for g in env.guards)


def test_a_guard_is_recorded_once() -> None:
    env, n, m = pair()
    for _ in range(3):
        assert n > m
    assert len(env.guards) == 1


def test_fixing_a_size() -> None:
    seen: list[tuple[str, int, str]] = []
    env = ShapeEnv(lambda size, value, place: seen.append((str(size), value, place)))
    n = symbol("n", 6, env=env)
    assert (
        int(n) == 6
        and list(range(n)) == list(range(6))
        and [10, 11, 12, 13, 14, 15, 16][n] == 16
        and float(n) == 6.0
        and n == 6
    )
    assert len(seen) == 5 and all(s[:2] == ("n", 6) and "test_symbolic.py:" in s[2] for s in seen)
    assert [str(g).split(" (")[0] for g in env.guards] == ["n == 6"]


def test_an_equation_of_one_symbol_fixes_it() -> None:
    env, n, m = pair()
    assert 2 * n + 1 == 13 and [str(g).split(" (")[0] for g in env.guards] == ["n == 6"]
    assert n * m == 24 and [str(g).split(" (")[0] for g in env.guards][1:] == ["m*n == 24"]


def test_fixing_may_be_refused() -> None:
    def refuse(size: Any, value: int, place: str) -> None:
        raise ValueError(f"{size} is dynamic")

    n = symbol("n", 6, env=ShapeEnv(refuse))
    with pytest.raises(ValueError, match="n is dynamic"):
        range(n)
    with pytest.raises(ValueError, match="n is dynamic"):
        bool(n == 6)
    assert n + 1 != 3, "an inequality fixes nothing"


def test_multiples() -> None:
    env = ShapeEnv()
    n = symbol("n", 16, min=8, max=64, multiple_of=8, env=env)
    assert n % 8 == 0 and n % 4 == 0 and (3 * n) % 24 == 0 and (n + 3) % 8 == 3
    assert same_size((n + 3) // 8, n // 8)
    assert env.guards == []


def test_questions_about_sizes() -> None:
    env, n, m = pair()
    assert is_symbolic(n) and not is_symbolic(3) and n.as_symbol() is not None and (n + 1).as_symbol() is None
    assert {s.name for s in (n * m + n // 2).symbols()} == {"n", "m"} and isinstance(n.as_symbol(), Symbol)
    assert sym_eq(3, 3) and sym_eq(n, n) and not sym_eq(3, 4) and env.guards == []
    assert hash(n + m) == hash(m + n) and len({n, n + 0}) == 1


def test_arithmetic_with_floats_fixes() -> None:
    env, n, _ = pair()
    assert (
        n / 4 == 1.5
        and n * 0.5 == 3.0
        and n + 0.5 == 6.5
        and 0.5 - n == -5.5
        and 12 / n == 2.0
        and [str(g).split(" (")[0] for g in env.guards] == ["n == 6"]
    )
