"""How verdicts print numbers: short, and never so rounded that they contradict the verdict."""

from __future__ import annotations

import math

from pytest_eng5.gates.registry import Kind
from pytest_eng5.gates.threshold import satisfies

__all__ = ["bound_text", "ends_text", "interval_text", "plural", "value_text"]

_DECIMALS: dict[Kind, int] = {"tau": 3, "ratio": 3, "number": 2, "count": 0, "flag": 0}


def bound_text(bound: float, *, count: bool = False) -> str:
    """A threshold as the user would write it: ``1`` for a count, else at least two decimals (``0.90``)."""
    if not math.isfinite(bound):
        return str(bound)
    text = f"{bound:z.12f}".rstrip("0").rstrip(".")
    if count:
        return text
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals:0<2}"


def value_text(value: float, kind: Kind, low: float, high: float) -> str:
    """A value with the usual decimals of its kind, or as many as keep it on its side of the bounds."""
    if math.isnan(value):
        return "undefined"
    inside = satisfies(value, low, high)
    for decimals in range(_DECIMALS[kind], 13):
        text = f"{value:z.{decimals}f}"
        if satisfies(float(text), low, high) == inside:
            return text
    return repr(value)


def interval_text(low: float, high: float, kind: Kind) -> str:
    """``0.61-0.90``; counts are rounded outwards to whole numbers, negative ends separated by ``to``."""
    if kind in ("count", "flag"):
        return _span(f"{math.floor(low + 1e-9)}", f"{math.ceil(high - 1e-9)}")
    return _span(f"{low:z.2f}", f"{high:z.2f}")


def ends_text(low: float, high: float, *bounds: float) -> str:
    """An interval that is judged: as many decimals, two at least, as keep each end on its side of bounds."""
    return _span(_end(low, bounds), _end(high, bounds))


def _end(end: float, bounds: tuple[float, ...]) -> str:
    for decimals in range(2, 13):
        text = f"{end:z.{decimals}f}"
        shown = float(text)
        if all((end > bound, end < bound) == (shown > bound, shown < bound) for bound in bounds):
            return text
    return repr(end)


def _span(low: str, high: str) -> str:
    return f"{low} to {high}" if low.startswith("-") else f"{low}-{high}"


def plural(count: int, noun: str) -> str:
    """``1 comparison``, ``66 comparisons``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
