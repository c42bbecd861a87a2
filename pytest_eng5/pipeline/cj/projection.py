"""From θ to a grade: the projection of assignment-bound batches (contract section 8.3, steps 6 to 9).

A student is weighed between the grades whose band holds θ. That is one grade, except exactly on a boundary,
so probabilities are nearly always {grade: 1.0} and confidence depends on the standard error alone, as in
production (contract 13.2, P18). Differences below 1e-9 are taken for rounding: such probabilities are tied,
and such a band has no width. Letters reach Kafka; the national digits cannot, the rich result refuses
them (P6).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pytest_eng5.pipeline.cj.calibration import Calibration, GradeBand, GradedAnchor, calibrate, grade_scale
from pytest_eng5.pipeline.errors import ServiceError

__all__ = [
    "CALIBRATION_METHOD",
    "NORMALIZED_SCORES",
    "UNAVAILABLE",
    "Projection",
    "project",
    "project_students",
]

CALIBRATION_METHOD = "gaussian_mixture"

_SIGNED_SCALE = "swedish_8_anchor"
_MAY_LOSE_A_STEP = frozenset("EDCBA")
_MAY_GAIN_A_STEP = frozenset("EB")
_TIE = 1e-9

NORMALIZED_SCORES: Mapping[str, float] = MappingProxyType(
    {
        **{"A": 1.0, "A-": 0.93, "B+": 0.87, "B": 0.80, "B-": 0.73, "C+": 0.67, "C": 0.60, "C-": 0.53},
        **{"D+": 0.47, "D": 0.40, "D-": 0.33, "E+": 0.27, "E": 0.20, "E-": 0.13, "F+": 0.07, "F": 0.0},
        "U": 0.0,
    }
)
"""``normalized_score`` of a grade; any grade that is not here scores 0."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What is said of one student.

    Attributes:
        grade: The final grade, with sign or below the lowest where that applies; U if unavailable.
        primary: The grade of the scale it comes from.
        confidence_score: 0 to 1.
        probabilities: Of the grades that were weighed; they sum to 1.
    """

    grade: str
    primary: str
    confidence_score: float
    confidence_label: Literal["HIGH", "MID", "LOW"]
    probabilities: Mapping[str, float] = field(default_factory=dict)

    @property
    def normalized_score(self) -> float:
        """The grade as a number between 0 and 1 (step 9)."""
        return NORMALIZED_SCORES.get(self.grade, 0.0)


UNAVAILABLE = Projection("U", "U", 0.0, "LOW")
"""What every student gets where there is nothing to calibrate with."""


def project_students(
    scale_id: str, anchors: Sequence[GradedAnchor], students: Sequence[tuple[float, float]]
) -> list[Projection]:
    """Project every student of a batch.

    Args:
        scale_id: Grade scale of the assignment.
        anchors: The anchors of the batch with their grades.
        students: (θ, standard error) of each student.

    Returns:
        One projection per student, in the same order; all :data:`UNAVAILABLE` without two distinct grades.

    Raises:
        ServiceError: ``VALIDATION_ERROR`` for an unknown scale or numbers that cannot be used.
    """
    calibration = calibrate(grade_scale(scale_id), anchors)
    if calibration is None:
        return [UNAVAILABLE for _ in students]
    return [project(calibration, theta, error) for theta, error in students]


def project(calibration: Calibration, theta: float, standard_error: float) -> Projection:
    """The grade of one student.

    Args:
        calibration: The bands of the scale.
        theta: The student's θ in logits.
        standard_error: Of θ, as the service computes it (contract 8.1), in logits.

    Raises:
        ServiceError: ``VALIDATION_ERROR`` if either is not finite or the standard error is negative.
    """
    if not (math.isfinite(theta) and math.isfinite(standard_error) and standard_error >= 0):
        raise ServiceError(
            "VALIDATION_ERROR", f"no grade for score {theta} with standard error {standard_error}"
        )
    probabilities = _weigh(calibration, theta, standard_error)
    primary = _most_probable(calibration, probabilities)
    score = _confidence(probabilities, len(calibration.bands), standard_error)
    return Projection(
        grade=_final_grade(calibration, primary, theta),
        primary=primary.grade,
        confidence_score=score,
        confidence_label=_label(score, standard_error),
        probabilities=probabilities,
    )


def _weigh(calibration: Calibration, theta: float, standard_error: float) -> dict[str, float]:
    candidates = [band for band in calibration.bands if band.lower <= theta <= band.upper]
    logs = [_log_posterior(band, theta, standard_error) for band in candidates]
    top = max(logs)
    weights = [math.exp(log - top) for log in logs]
    total = sum(weights)
    return {band.grade: weight / total for band, weight in zip(candidates, weights, strict=True)}


def _log_posterior(band: GradeBand, theta: float, standard_error: float) -> float:
    variance = band.variance + standard_error**2
    return math.log(band.prior) - (math.log(2 * math.pi * variance) + (theta - band.mean) ** 2 / variance) / 2


def _most_probable(calibration: Calibration, probabilities: Mapping[str, float]) -> GradeBand:
    """The band with the highest probability; the lower grade where two are equal but for rounding."""
    enough = max(probabilities.values()) - _TIE
    return next(band for band in calibration.bands if probabilities.get(band.grade, -1.0) >= enough)


def _final_grade(calibration: Calibration, band: GradeBand, theta: float) -> str:
    """Step 7: a sign on the Swedish scale, a grade below the lowest on the others."""
    below = calibration.scale.below_lowest
    if calibration.scale.id == _SIGNED_SCALE:
        return band.grade + _sign(band, _position(band, theta))
    lowest = band is calibration.bands[0]
    return below if below and lowest and theta < band.mean - 2 * math.sqrt(band.variance) else band.grade


def _position(band: GradeBand, theta: float) -> float:
    """How far up in its band θ is, 0 to 1; a half in a band without two ends or without width."""
    width = band.upper - band.lower
    return (theta - band.lower) / width if _TIE < width < math.inf else 0.5


def _sign(band: GradeBand, position: float) -> str:
    if position < 0.25 and band.grade in _MAY_LOSE_A_STEP:
        return "-"
    return "+" if position > 0.75 and band.grade in _MAY_GAIN_A_STEP else ""


def _confidence(probabilities: Mapping[str, float], grades: int, standard_error: float) -> float:
    entropy = -sum(p * math.log(p) for p in probabilities.values() if p > 0)
    certainty = 1 - entropy / math.log(grades)
    return math.sqrt(max(certainty, 0.0) * _error_factor(standard_error))


def _error_factor(standard_error: float) -> float:
    steps = ((1.5, 0.3), (1.0, 0.6), (0.5, 0.8))
    return next((factor for limit, factor in steps if standard_error >= limit), 1.0)


def _label(score: float, standard_error: float) -> Literal["HIGH", "MID", "LOW"]:
    if standard_error >= 1.5 or score < 0.4:
        return "LOW"
    return "MID" if standard_error >= 1.0 or score < 0.7 else "HIGH"
