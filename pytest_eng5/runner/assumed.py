"""What a scenario says about its simulated judge, for a plan that rests on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.errors import UsageError
from pytest_eng5.scenario import Variant, load_scenario, read_anchors

__all__ = ["Assumed", "assumed_of"]


@dataclass(frozen=True)
class Assumed:
    """Anchors and judge of one variant.

    Attributes:
        grades: Of its anchors.
        discrimination: Of its simulated judge, logits per step of the grade scale.
        position_bias: Of its simulated judge, in logits.
        per_run: Comparisons of one run.
        origin: Which variant it is.
    """

    grades: tuple[str, ...]
    discrimination: float
    position_bias: float
    per_run: int
    origin: str


def assumed_of(path: Path, variant: str | None = None) -> Assumed:
    """Read it.

    Args:
        path: Scenario file.
        variant: Name of the variant; may be left out if all have the same anchors and judge.

    Raises:
        ScenarioError: The file or its anchors cannot be used.
        UsageError: There is no such variant, or it is not clear which.
    """
    found = {one.id: one for one in load_scenario(path).variants}
    if variant is not None and variant not in found:
        fix = f"choose one of {', '.join(found)}"
        raise UsageError(f"there is no variant {variant!r}", where=str(path), fix=fix)
    chosen = [_assumed(one) for name, one in found.items() if variant in (None, name)]
    if len({(a.grades, a.discrimination, a.position_bias, a.per_run) for a in chosen}) > 1:
        fix = f"choose one with --variant: {', '.join(found)}"
        raise UsageError("its variants have different anchors or judges", where=str(path), fix=fix)
    return chosen[0]


def _assumed(variant: Variant) -> Assumed:
    grades = tuple(anchor.grade for anchor in read_anchors(variant.inputs_dir))
    mock = variant.judge.mock
    return Assumed(
        grades,
        mock.discrimination,
        mock.position_bias,
        variant.planned_comparisons(len(grades)),
        f"the simulated judge of {variant.scenario}/{variant.id}",
    )
