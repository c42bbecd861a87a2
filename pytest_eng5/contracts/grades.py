"""Grade scales and the order of grades (contract sections 8.2 and 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["GRADE_ORDER", "GRADE_SCALES", "GradeScale", "grade_rank", "known_grades", "qualities", "scale_of"]

GRADE_ORDER: tuple[str, ...] = (
    *("A", "A-", "B+", "B", "B-", "C+", "C", "C-"),
    *("D+", "D", "D-", "E+", "E", "E-", "F+", "F"),
)
"""Letter grades, best first; the index is the grade rank."""

_NATIONAL: tuple[str, ...] = tuple("9876543210")


@dataclass(frozen=True, slots=True)
class GradeScale:
    """A registered scale.

    Attributes:
        grades: Lowest to highest.
        priors: Prior probability of each grade, same order.
        below_lowest: A legal grade under the lowest, without an index of its own.
    """

    id: str
    grades: tuple[str, ...]
    priors: tuple[float, ...]
    below_lowest: str | None = None


def _uniform(id_: str, grades: tuple[str, ...], below: str) -> GradeScale:
    return GradeScale(id_, grades, (1 / len(grades),) * len(grades), below)


GRADE_SCALES: dict[str, GradeScale] = {
    scale.id: scale
    for scale in (
        GradeScale(
            "swedish_8_anchor",
            ("F", "E", "D", "D+", "C", "C+", "B", "A"),
            (0.02, 0.08, 0.15, 0.20, 0.25, 0.15, 0.10, 0.05),
        ),
        _uniform("eng5_np_legacy_9_step", ("F+", "E-", "E+", "D-", "D+", "C-", "C+", "B", "A"), "F"),
        _uniform("eng5_np_national_9_step", tuple("123456789"), "0"),
    )
}


def grade_rank(grade: str) -> int | None:
    """Position of a grade, 0 for the best, or ``None`` if it is no known grade.

    Letters and national digits are two orders of their own; a set of anchors uses one of them.
    """
    text = grade.strip().upper()
    if text in GRADE_ORDER:
        return GRADE_ORDER.index(text)
    return _NATIONAL.index(text) if text in _NATIONAL else None


def known_grades() -> tuple[str, ...]:
    """Every grade that :func:`grade_rank` knows, letters first, best first."""
    return (*GRADE_ORDER, *_NATIONAL)


def scale_of(grades: set[str]) -> GradeScale | None:
    """The registered scale that holds all the grades; ENG5 scales are preferred to the Swedish one."""
    for name in ("eng5_np_legacy_9_step", "eng5_np_national_9_step", "swedish_8_anchor"):
        scale = GRADE_SCALES[name]
        legal = {*scale.grades, *([scale.below_lowest] if scale.below_lowest else [])}
        if grades and grades <= legal:
            return scale
    return None


def qualities(grades: Mapping[str, str]) -> dict[str, float]:
    """Quality of each essay for the simulated judge: one unit per step of the grade scale, better is higher.

    Args:
        grades: Expert grade by essay id.
    """
    scale = scale_of(set(grades.values()))
    if scale is None:
        return {essay: -float(grade_rank(grade) or 0) for essay, grade in grades.items()}
    steps = {grade: float(index) for index, grade in enumerate(scale.grades)}
    return {essay: steps.get(grade, -1.0) for essay, grade in grades.items()}
