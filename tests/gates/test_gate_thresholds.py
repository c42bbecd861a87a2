"""What a gate reads off a threshold, and what it says of a metric that does not exist."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from pytest_eng5.gates import METRICS, UnknownMetricError, metric_info
from pytest_eng5.gates.threshold import bounds_of, confidence_of, tolerates_undecided


@dataclass(frozen=True)
class Bare:
    """As little as a threshold can be: neither confidence nor what to do undecided."""

    metric: str = "ssr"
    min: float | None = None
    max: float | None = None


def test_a_threshold_without_confidence_judges_the_value_and_fails(limit) -> None:
    for threshold in (Bare(min=0.8), limit("ssr", min=0.8)):
        assert confidence_of(threshold) is None
        assert not tolerates_undecided(threshold)


@pytest.mark.parametrize(("undecided", "tolerated"), [("warn", True), ("fail", False), (None, False)])
def test_undecided(limit, undecided: str | None, tolerated: bool) -> None:
    assert tolerates_undecided(limit("ssr", confidence=0.9, undecided=undecided)) is tolerated


def test_confidence_is_a_number(limit) -> None:
    assert confidence_of(limit("ssr", confidence=0.9)) == 0.9
    assert isinstance(confidence_of(limit("ssr", confidence=1)), float)


@pytest.mark.parametrize(
    ("bounds", "ends"),
    [
        ({}, (-math.inf, math.inf)),
        ({"min": 0}, (0.0, math.inf)),
        ({"max": 0}, (-math.inf, 0.0)),
        ({"min": -0.1, "max": 0.1}, (-0.1, 0.1)),
    ],
)
def test_bounds(limit, bounds: dict[str, float], ends: tuple[float, float]) -> None:
    assert bounds_of(limit("position_bias", **bounds)) == ends


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("kendal_tau", "did you mean 'kendall_tau'? "),
        ("Agreement", "did you mean 'agreement'? "),
        ("flips", "did you mean 'flip_rate'? "),
        ("reliability", ""),
        ("", ""),
    ],
)
def test_an_unknown_metric(name: str, hint: str) -> None:
    with pytest.raises(UnknownMetricError) as caught:
        metric_info(name)
    assert caught.value.what == f"unknown metric {name!r}"
    assert caught.value.fix == f"{hint}known: {', '.join(METRICS)}"


@pytest.mark.parametrize("name", METRICS)
def test_a_known_metric(name: str) -> None:
    assert metric_info(name).name == name
