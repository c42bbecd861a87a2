"""Grades re-derived from θ, to check the grades that a pipeline publishes (contract section 8.3).

The same definition as the service's, worked out another way: the moments of all grades at once from a table
of memberships, the isotonic means from their max-min formula, the candidate grades by searching the
boundaries, the probabilities as a softmax. Grade scales are arguments; those of :mod:`pytest_eng5.contracts`
fit.

Nothing here is a statement about quality. With fewer than three anchors for a grade its centre is shrunk
towards a 0..1 scale, and probabilities are {grade: 1} nearly always (contract 13.2, P18).

What the contract leaves open is settled thus: an anchor whose grade is missing or foreign to the scale is
dropped; one with the grade below the lowest counts in the pooled variance and as a distinct grade, and for
nothing else; fewer than two distinct grades mean that nothing can be projected; two probabilities within
1e-9 of each other are a tie, which the lower grade wins; a band narrower than that has no width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import entr, softmax

from pytest_eng5.alignment.data import AlignmentDataError, FloatArray

__all__ = [
    "GradeCalibration",
    "GradeProjections",
    "ProjectionScale",
    "calibrate_grades",
    "find_scale",
    "isotonic_means",
    "possible_grades",
    "project_grades",
]

_FULL_WEIGHT = 3
_FLOOR = 0.01
_TIE = 1e-9
_WITH_SIGNS = "swedish_8_anchor"
_MINUS = np.array(list("ABCDE"))
_PLUS = np.array(list("BE"))
_UNGRADED = "U"


class ProjectionScale(Protocol):
    """What is needed of a grade scale: grades and priors lowest first, and the grade under them if any."""

    @property
    def id(self) -> str:
        """Registered name; ``swedish_8_anchor`` refines grades with signs."""

    @property
    def grades(self) -> tuple[str, ...]:
        """Lowest to highest."""

    @property
    def priors(self) -> tuple[float, ...]:
        """Prior probability of each grade, same order."""

    @property
    def below_lowest(self) -> str | None:
        """A legal grade below the lowest, without a place of its own."""


_Scale = TypeVar("_Scale", bound=ProjectionScale)


@dataclass(frozen=True, eq=False)
class GradeCalibration:
    """Where the G grades of a scale are, in logits.

    Attributes:
        scale: The scale, lowest grade first.
        means: Non-decreasing centres, shape (G,).
        variances: Squared logits, at least 0.01, shape (G,).
        boundaries: Between neighbouring grades, non-decreasing, shape (G - 1,).
        pooled_variance: Population variance of θ over the anchors used.
        used: Whether each anchor was used, shape (m,).
    """

    scale: ProjectionScale
    means: FloatArray
    variances: FloatArray
    boundaries: FloatArray
    pooled_variance: float
    used: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GradeProjections:
    """Grades of k students; all ``U``, score 0 and LOW where nothing could be calibrated.

    Attributes:
        grades: Final grades, length k.
        primary: The grades of the scale they come from, length k.
        probabilities: Of each grade of the scale, rows sum to 1, shape (k, G); (k, 0) without calibration.
        confidence: 0 to 1, shape (k,).
        labels: HIGH, MID or LOW, length k.
    """

    grades: tuple[str, ...]
    primary: tuple[str, ...]
    probabilities: FloatArray
    confidence: FloatArray
    labels: tuple[str, ...]


def find_scale(scales: Mapping[str, _Scale], scale_id: str) -> _Scale:
    """The scale of that name.

    Raises:
        AlignmentDataError: There is none; the message names those there are.
    """
    if scale_id not in scales:
        known = ", ".join(sorted(scales)) or "none"
        raise AlignmentDataError(f"unknown grade scale {scale_id!r}", fix=f"use one of: {known}")
    return scales[scale_id]


def isotonic_means(values: npt.ArrayLike) -> FloatArray:
    """Least-squares isotonic (increasing) regression with equal weights.

    The i-th value is the maximum over a <= i of the minimum over b >= i of the mean of values a..b
    (Robertson, Wright and Dykstra 1988, Theorem 1.4.4).

    Args:
        values: Shape (G,).

    Returns:
        Non-decreasing values, shape (G,).
    """
    y = np.asarray(values, dtype=np.float64)
    fitted = np.full(len(y), -np.inf)
    for start in range(len(y)):
        means = np.cumsum(y[start:]) / np.arange(1, len(y) - start + 1)
        lowest_ahead = np.minimum.accumulate(means[::-1])[::-1]
        fitted[start:] = np.maximum(fitted[start:], lowest_ahead)
    return fitted


def calibrate_grades(
    scale: ProjectionScale, grades: Sequence[str | None], theta: npt.ArrayLike
) -> GradeCalibration | None:
    """Learn the grades of a scale from anchors.

    Args:
        scale: The scale of the assignment.
        grades: Grade of each anchor, ``None`` where unknown, length m.
        theta: Score of each anchor in logits, shape (m,).

    Returns:
        The calibration, or ``None`` with fewer than two distinct legal grades.

    Raises:
        AlignmentDataError: Lengths that differ, scores that are not finite, or a scale that is malformed.
    """
    scores = np.asarray(theta, dtype=np.float64).reshape(-1)
    _check(scale, grades, scores)
    legal = {*scale.grades, scale.below_lowest} - {None}
    used = np.array([grade in legal for grade in grades], dtype=bool)
    if len({grade for grade in grades if grade in legal}) < 2:
        return None
    pooled = float(scores[used].var())
    member = np.array([[grade == own for grade in grades] for own in scale.grades], dtype=np.float64)
    means, variances = _moments(member, scores, pooled)
    fitted = isotonic_means(means)
    return GradeCalibration(scale, fitted, variances, (fitted[1:] + fitted[:-1]) / 2, pooled, used)


def _moments(member: FloatArray, scores: FloatArray, pooled: float) -> tuple[FloatArray, FloatArray]:
    """Shrunken means and floored variances, both (G,), from the membership table (G, m)."""
    count = member.sum(axis=1)
    at_least_one = np.maximum(count, 1)
    own = member @ scores / at_least_one
    spread = (member * (scores - own[:, None]) ** 2).sum(axis=1) / at_least_one
    weight = np.minimum(count / _FULL_WEIGHT, 1)
    even = (np.arange(len(count)) + 0.5) / len(count)
    borrowed = np.where(count == 0, 2 * pooled, pooled * _FULL_WEIGHT / at_least_one)
    variance = np.where(count >= _FULL_WEIGHT, spread, borrowed)
    return weight * own + (1 - weight) * even, np.maximum(variance, _FLOOR)


def project_grades(
    calibration: GradeCalibration | None, theta: npt.ArrayLike, standard_error: npt.ArrayLike
) -> GradeProjections:
    """Grades and confidence of k students.

    Args:
        calibration: From :func:`calibrate_grades`; ``None`` makes every grade ``U``.
        theta: Scores in logits, shape (k,).
        standard_error: Of the scores, relative to the reference item, as contract 8.1 has them, shape (k,).

    Raises:
        AlignmentDataError: Lengths that differ, or numbers that are not finite, or a negative error.
    """
    scores = np.asarray(theta, dtype=np.float64).reshape(-1)
    errors = np.asarray(standard_error, dtype=np.float64).reshape(-1)
    if len(scores) != len(errors):
        raise AlignmentDataError(f"{len(scores)} scores but {len(errors)} standard errors")
    if not (np.isfinite(scores).all() and np.isfinite(errors).all() and (errors >= 0).all()):
        raise AlignmentDataError("scores must be finite, standard errors finite and not negative")
    if calibration is None:
        none = (_UNGRADED,) * len(scores)
        return GradeProjections(
            none, none, np.empty((len(scores), 0)), np.zeros(len(scores)), ("LOW",) * len(scores)
        )
    probabilities = _probabilities(calibration, scores, errors)
    chosen = np.argmax(probabilities >= probabilities.max(axis=1, keepdims=True) - _TIE, axis=1)
    confidence = _confidence(probabilities, errors)
    return GradeProjections(
        grades=_final(calibration, chosen, scores),
        primary=tuple(calibration.scale.grades[i] for i in chosen),
        probabilities=probabilities,
        confidence=confidence,
        labels=_labels(confidence, errors),
    )


def possible_grades(
    calibration: GradeCalibration | None,
    theta: npt.ArrayLike,
    standard_error: npt.ArrayLike,
    tolerance: float = 1e-6,
) -> tuple[frozenset[str], ...]:
    """The final grades that a score within a tolerance could have got.

    A check compares a published grade with these, so that rounding near a boundary is not reported.

    Args:
        calibration: The grades of the scale; ``None`` makes every grade ``U``.
        theta: Scores in logits, shape (k,).
        standard_error: Of the scores, shape (k,).
        tolerance: In logits, for θ and boundaries together.
    """
    scores = np.asarray(theta, dtype=np.float64).reshape(-1)
    rounds = [
        project_grades(calibration, scores + step, standard_error).grades
        for step in (-tolerance, 0.0, tolerance)
    ]
    return tuple(frozenset(grades) for grades in zip(*rounds, strict=True))


def _probabilities(calibration: GradeCalibration, scores: FloatArray, errors: FloatArray) -> FloatArray:
    """Posterior of each grade, 0 outside the bands that hold the score, shape (k, G)."""
    first = np.searchsorted(calibration.boundaries, scores, side="left")
    last = np.searchsorted(calibration.boundaries, scores, side="right")
    position = np.arange(len(calibration.means))
    held = (position >= first[:, None]) & (position <= last[:, None])
    variance = calibration.variances + errors[:, None] ** 2
    distance = (scores[:, None] - calibration.means) ** 2 / variance
    log_density = -0.5 * (distance + np.log(variance)) + np.log(np.asarray(calibration.scale.priors))
    posterior: FloatArray = softmax(np.where(held, log_density, -np.inf), axis=1)
    return posterior


def _final(
    calibration: GradeCalibration, chosen: npt.NDArray[np.intp], scores: FloatArray
) -> tuple[str, ...]:
    scale = calibration.scale
    grades = np.array(scale.grades)[chosen]
    if scale.id == _WITH_SIGNS:
        share = _share_of_band(calibration.boundaries, chosen, scores)
        minus = (share < 0.25) & np.isin(grades, _MINUS)
        plus = (share > 0.75) & np.isin(grades, _PLUS)
        signs = np.where(minus, "-", np.where(plus, "+", ""))
        return tuple(str(grade) + str(sign) for grade, sign in zip(grades, signs, strict=True))
    floor = calibration.means[0] - 2 * calibration.variances[0] ** 0.5
    under = (chosen == 0) & (scores < floor) & (scale.below_lowest is not None)
    return tuple(str(scale.below_lowest if low else grade) for grade, low in zip(grades, under, strict=True))


def _share_of_band(boundaries: FloatArray, chosen: npt.NDArray[np.intp], scores: FloatArray) -> FloatArray:
    """Where in its band each score is, 0 at the lower end; a half without two ends or without width."""
    edges = np.concatenate([[-np.inf], boundaries, [np.inf]])
    width = edges[chosen + 1] - edges[chosen]
    open_or_empty = ~np.isfinite(width) | (width <= _TIE)
    above = np.where(open_or_empty, 0.5, scores - edges[chosen])
    share: FloatArray = above / np.where(open_or_empty, 1.0, width)
    return share


def _confidence(probabilities: FloatArray, errors: FloatArray) -> FloatArray:
    doubt = entr(probabilities).sum(axis=1) / np.log(probabilities.shape[1])
    factor = np.array([1.0, 0.8, 0.6, 0.3])[np.digitize(errors, [0.5, 1.0, 1.5])]
    root: FloatArray = np.sqrt(np.maximum(1 - doubt, 0) * factor)
    return root


def _labels(confidence: FloatArray, errors: FloatArray) -> tuple[str, ...]:
    by_score = np.digitize(confidence, [0.4, 0.7])
    allowed = 2 - np.digitize(errors, [1.0, 1.5])
    return tuple(("LOW", "MID", "HIGH")[level] for level in np.minimum(by_score, allowed))


def _check(scale: ProjectionScale, grades: Sequence[str | None], scores: FloatArray) -> None:
    if len(grades) != len(scores):
        raise AlignmentDataError(f"{len(grades)} grades but {len(scores)} scores of anchors")
    if not np.isfinite(scores).all():
        raise AlignmentDataError("scores of anchors must be finite")
    distinct = len(set(scale.grades))
    if distinct < 2 or not distinct == len(scale.grades) == len(scale.priors) or min(scale.priors) <= 0:
        raise AlignmentDataError(
            f"grade scale {scale.id!r} is malformed",
            fix="give two or more distinct grades, one prior above 0 each",
        )
