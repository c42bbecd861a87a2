"""What each grade of a scale means in logits, learnt from the anchors (contract section 8.3, steps 1 to 5).

A grade with three anchors or more is where its anchors are. With fewer, its mean is drawn towards an equal
spacing of the grades on 0..1, as the production service does it, although θ spans about ±8 (contract 13.2,
P18): compare grades with it, not probabilities.

Where the contract is silent:

* An anchor whose grade is missing or foreign to the scale is dropped and named in
  :attr:`Calibration.dropped`.
* An anchor with the grade below the lowest is legal: it counts for the pooled variance and as one of the two
  distinct grades that are needed, but that grade has no place on the scale, so nothing is learnt for it.
* Scores are summed smallest first, so that the order of the anchors cannot change a boundary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pytest_eng5.contracts import GRADE_SCALES, GradeScale
from pytest_eng5.pipeline.errors import ServiceError

__all__ = [
    "Calibration",
    "GradeBand",
    "GradedAnchor",
    "calibrate",
    "grade_scale",
    "increasing",
    "pooled_variance",
    "resolve_grade",
]

_ENOUGH_ANCHORS = 3
_VARIANCE_FLOOR = 0.01
_DEFAULT_VARIANCE = 0.1


@dataclass(frozen=True, slots=True)
class GradedAnchor:
    """An anchor of the batch: its grade as resolved (``None`` if it has none) and its θ in logits."""

    id: str
    grade: str | None
    theta: float


@dataclass(frozen=True, slots=True)
class GradeBand:
    """One grade of the scale.

    Attributes:
        mean: Centre in logits, never below that of a lower grade.
        variance: In squared logits, at least 0.01.
        lower: Where the band begins, minus infinity for the lowest grade.
        upper: Where it ends, infinity for the highest grade.
        prior: Prior probability.
        anchors: How many anchors it was learnt from.
    """

    grade: str
    mean: float
    variance: float
    lower: float
    upper: float
    prior: float
    anchors: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """The bands of a scale, lowest grade first, and the ids of the anchors that could not be used."""

    scale: GradeScale
    pooled_variance: float
    bands: tuple[GradeBand, ...]
    dropped: tuple[str, ...]


def grade_scale(scale_id: str) -> GradeScale:
    """The registered scale.

    Raises:
        ServiceError: ``VALIDATION_ERROR`` for an id that is not registered. (The production service projects
            on the Swedish scale then, without a word.)
    """
    if scale_id in GRADE_SCALES:
        return GRADE_SCALES[scale_id]
    known = ", ".join(sorted(GRADE_SCALES))
    raise ServiceError(
        "VALIDATION_ERROR", f"unknown grade scale {scale_id!r}; known are {known}", known=known
    )


def resolve_grade(
    *,
    explicit: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    text_storage_id: str | None = None,
    by_storage_id: Mapping[str, str] | None = None,
    by_anchor_id: Mapping[str, str] | None = None,
) -> str | None:
    """The grade of an anchor from the first source that has one (step 1), ``None`` if none has.

    Args:
        explicit: ``anchor_grade`` of the ranking row.
        metadata: The essay's metadata: ``anchor_grade``, ``known_grade``, ``anchor_ref_id`` are read.
        text_storage_id: Where its text is stored.
        by_storage_id: Grades of the assignment's anchors by the storage id of their text.
        by_anchor_id: The same by anchor id, as ``anchor_ref_id`` names it (compared as text).
    """
    known = metadata or {}
    candidates = (
        explicit,
        known.get("anchor_grade"),
        known.get("known_grade"),
        (by_storage_id or {}).get(text_storage_id or ""),
        (by_anchor_id or {}).get(str(known.get("anchor_ref_id", ""))),
    )
    return next((str(grade) for grade in candidates if grade), None)


def calibrate(scale: GradeScale, anchors: Sequence[GradedAnchor]) -> Calibration | None:
    """Learn where the grades of a scale are.

    Args:
        scale: A registered scale.
        anchors: The anchors of the batch, in any order.

    Returns:
        The calibration, or ``None`` where there are fewer than two distinct grades among usable anchors: then
        no grade can be projected and every student gets U.

    Raises:
        ServiceError: ``VALIDATION_ERROR`` for a θ that is not finite.
    """
    _refuse_broken_scores(anchors)
    usable = [anchor for anchor in anchors if _is_legal(scale, anchor.grade)]
    if len({anchor.grade for anchor in usable}) < 2:
        return None
    scores: dict[str, list[float]] = {grade: [] for grade in scale.grades}
    for anchor in usable:
        scores.setdefault(str(anchor.grade), []).append(anchor.theta)
    pooled = pooled_variance([anchor.theta for anchor in usable])
    learnt = [_learn(scores[grade], i, len(scale.grades), pooled) for i, grade in enumerate(scale.grades)]
    means = increasing([mean for mean, _ in learnt])
    edges = [-math.inf, *((low + high) / 2 for low, high in pairwise(means)), math.inf]
    bands = tuple(
        GradeBand(
            grade=grade,
            mean=means[i],
            variance=learnt[i][1],
            lower=edges[i],
            upper=edges[i + 1],
            prior=scale.priors[i],
            anchors=len(scores[grade]),
        )
        for i, grade in enumerate(scale.grades)
    )
    dropped = tuple(sorted(anchor.id for anchor in anchors if not _is_legal(scale, anchor.grade)))
    return Calibration(scale, pooled, bands, dropped)


def pooled_variance(scores: Sequence[float]) -> float:
    """Population variance of all graded anchors' θ (step 2); 0.1 for one score or none."""
    return float(np.var(np.sort(scores))) if len(scores) > 1 else _DEFAULT_VARIANCE


def increasing(values: Sequence[float]) -> list[float]:
    """The nearest non-decreasing sequence in least squares, by pooling adjacent violators (step 4)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        total, size = float(value), 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / size:
            previous, count = blocks.pop()
            total, size = total + previous, size + count
        blocks.append((total, size))
    return [total / size for total, size in blocks for _ in range(size)]


def _learn(scores: list[float], index: int, grades: int, pooled: float) -> tuple[float, float]:
    """Mean and variance of one grade from its own anchors and what is expected of its place (step 3)."""
    expected = (index + 0.5) / grades
    found = len(scores)
    if not found:
        return expected, max(2 * pooled, _VARIANCE_FLOOR)
    own = np.sort(scores)
    if found >= _ENOUGH_ANCHORS:
        return float(own.mean()), max(float(own.var()), _VARIANCE_FLOOR)
    weight = found / _ENOUGH_ANCHORS
    mean = weight * float(own.mean()) + (1 - weight) * expected
    return mean, max(pooled * _ENOUGH_ANCHORS / found, _VARIANCE_FLOOR)


def _is_legal(scale: GradeScale, grade: str | None) -> bool:
    return grade is not None and (grade in scale.grades or grade == scale.below_lowest)


def _refuse_broken_scores(anchors: Sequence[GradedAnchor]) -> None:
    broken = sorted(anchor.id for anchor in anchors if not math.isfinite(anchor.theta))
    if broken:
        raise ServiceError("VALIDATION_ERROR", f"anchors without a finite score: {', '.join(broken)}")
