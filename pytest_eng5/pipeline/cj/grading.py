"""The grades of an assignment's students, as they go into the rich result (contract 2.4, 7.8 and 8.3).

GUEST batches have none. National digits have no place in the event's ``letter_grade``, whose pattern knows
letters only; production publishes no rich result then, although it has said that the batch is complete
(contract 13.2, P6). Here the result goes out with U, and the digits are in
``assessment_metadata.grade_projection_summary``, the optional extension of contract 2.4, which no other
batch has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_eng5.contracts import GRADE_ORDER
from pytest_eng5.pipeline.cj.batch import Batch
from pytest_eng5.pipeline.cj.calibration import Calibration, GradedAnchor, calibrate, grade_scale
from pytest_eng5.pipeline.cj.projection import Projection, project
from pytest_eng5.pipeline.cj.standard_errors import reference_item, standard_errors

__all__ = ["NO_GRADES", "Grades", "grade_students"]

_INFINITY = 1e10


@dataclass(frozen=True, slots=True)
class Grades:
    """Projections of students by index of the essay, and what the metadata says besides them."""

    projections: Mapping[int, Projection] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def letter(self, essay: int) -> str:
        """``letter_grade`` of an essay: U where there is no grade, or none that the event can hold."""
        found = self.projections.get(essay)
        return found.grade if found is not None and found.grade in GRADE_ORDER else "U"


NO_GRADES = Grades()
"""Of a GUEST batch, and of one with nothing to calibrate with."""


def grade_students(batch: Batch, theta: Sequence[float]) -> Grades:
    """Project the students of a batch.

    Args:
        batch: The batch, all its comparisons settled.
        theta: θ of each essay in logits.
    """
    outcomes = batch.outcomes
    if batch.grade_scale is None or not outcomes:
        return NO_GRADES
    essays = batch.essays
    anchors = [
        GradedAnchor(essay.id, essay.grade, theta[i]) for i, essay in enumerate(essays) if essay.is_anchor
    ]
    calibration = calibrate(grade_scale(batch.grade_scale), anchors)
    if calibration is None:
        return NO_GRADES
    reference = reference_item([essay.id for essay in essays], [essay.is_anchor for essay in essays])
    errors = standard_errors(theta, outcomes, reference).tolist()
    projections = {
        i: project(calibration, theta[i], errors[i]) for i, essay in enumerate(essays) if not essay.is_anchor
    }
    if all(grade in GRADE_ORDER for grade in calibration.scale.grades):
        return Grades(projections)
    summary = _summary(batch, calibration, projections, theta, errors)
    return Grades(projections, {"grade_projection_summary": summary})


def _summary(
    batch: Batch,
    calibration: Calibration,
    projections: Mapping[int, Projection],
    theta: Sequence[float],
    errors: Sequence[float],
) -> dict[str, Any]:
    named = {batch.essays[i].id: projection for i, projection in projections.items()}
    return {
        "projections_available": True,
        "primary_grades": {name: projection.grade for name, projection in named.items()},
        "confidence_labels": {name: projection.confidence_label for name, projection in named.items()},
        "confidence_scores": {name: projection.confidence_score for name, projection in named.items()},
        "grade_probabilities": {name: dict(projection.probabilities) for name, projection in named.items()},
        "calibration_info": _calibration_info(batch, calibration, errors),
        "bt_stats": {batch.essays[i].id: {"bt_mean": theta[i], "bt_se": errors[i]} for i in projections},
    }


def _calibration_info(batch: Batch, calibration: Calibration, errors: Sequence[float]) -> dict[str, Any]:
    anchors = [i for i, essay in enumerate(batch.essays) if essay.is_anchor]
    students = [i for i, essay in enumerate(batch.essays) if not essay.is_anchor]
    everyone = range(len(batch.essays))
    groups = {"all": everyone, "anchors": anchors, "students": students}
    return {
        "grade_centers": {band.grade: band.mean for band in calibration.bands},
        "grade_boundaries": {
            band.grade: [_finite(band.lower), _finite(band.upper)] for band in calibration.bands
        },
        "context_source": "assignment",
        "grade_scale": calibration.scale.id,
        "anchor_count": len(anchors),
        "anchor_grades": [batch.essays[i].grade for i in anchors],
        "bt_se_summary": {name: _error_summary([errors[i] for i in group]) for name, group in groups.items()},
    }


def _error_summary(errors: Sequence[float]) -> dict[str, Any]:
    count = len(errors)
    mean = sum(errors) / count if count else 0.0
    return {
        "mean_se": mean,
        "max_se": max(errors, default=0.0),
        "min_se": min(errors, default=0.0),
        "item_count": count,
    }


def _finite(edge: float) -> float:
    return edge if math.isfinite(edge) else math.copysign(_INFINITY, edge)
