"""The second line of a verdict, to the letter, and where there is nothing to add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_eng5.alignment import AlignmentMetrics
from pytest_eng5.alignment.judge_quality import AnchorQuality
from pytest_eng5.gates import judge

CLOSE = "the threshold lies inside the interval: a repeat of the same judge might pass"
LEFT = "a judge without any inversion would leave 1.00 on these comparisons"
TIED = "same-grade anchors have exactly equal scores, so tau-b exceeds what untied scores could attain"
CONTRADICT = "its verdicts contradict each other; look at its inversions"


def anchor(name: str, infit: float, outfit: float, **others: Any) -> AnchorQuality:
    """An anchor with grade C that met three lower and three higher ones."""
    numbers = {"lower_lost": 0, "lower_met": 3, "higher_won": 0, "higher_met": 3, "misfit": False}
    return AnchorQuality(name, "C", infit, outfit, **{**numbers, **others})


def with_anchors(metrics: AlignmentMetrics, *anchors: AnchorQuality) -> AlignmentMetrics:
    return replace(metrics, quality=replace(metrics.quality, anchors=anchors))


class TestCloseToTheThreshold:
    @pytest.mark.parametrize(
        ("bounds", "hint"),
        [
            ({"min": 0.85}, CLOSE),
            ({"min": 0.9}, CLOSE),  # the upper end itself
            ({"min": 0.901}, None),
            ({"max": 0.6}, CLOSE),  # the lower end itself
            ({"max": 0.599}, None),
            ({"min": 0.85, "max": 0.99}, CLOSE),
            ({"min": 0.1, "max": 0.7}, CLOSE),
            ({"min": 0.1, "max": 0.2}, None),
            ({"min": 0.8}, None),  # passes: nobody asks how far it was
        ],
    )
    def test_both_ends_count(self, stated, limit, bounds: dict[str, float], hint: str | None) -> None:
        assert judge(limit("agreement", **bounds), stated("agreement", 0.8, 0.6, 0.9)).hint == hint

    def test_an_interval_that_was_judged_is_not_repeated(self, stated, limit) -> None:
        metrics = stated("agreement", 0.8, 0.6, 0.9)
        assert judge(limit("agreement", min=0.95, confidence=0.95), metrics).hint is None
        assert judge(limit("agreement", min=0.5, confidence=0.95), metrics).hint is None


@pytest.mark.parametrize("name", ["coverage", "connected", "judge_infit"])
@pytest.mark.parametrize("bounds", [{"max": 0.2}, {"max": 5}], ids=["fails", "passes"])
def test_without_an_interval_the_value_was_judged(perfect, stated, limit, name: str, bounds: Any) -> None:
    metrics = stated(name, 1.0)
    assert judge(limit(name, **bounds), metrics).hint is None
    assert judge(limit(name, **bounds, confidence=0.95), metrics).hint == (
        f"{name} has no interval, so its value was judged"
    )


class TestZeroWins:
    @pytest.mark.parametrize(
        ("value", "expected", "bounds", "hint"),
        [
            (1.0, 1.0, {"max": 0}, LEFT),
            (2.0, 1.0, {"max": 1}, None),  # a judge without inversions would meet it
            (0.0, 1.0, {"max": 0}, None),  # met
            (0.0, 1.0, {"min": 2}, LEFT),
            (1.0, 0.5, {"max": 0}, LEFT.replace("1.00", "0.50")),
            (1.0, None, {"max": 0}, None),
        ],
    )
    def test_what_the_best_judge_would_leave(
        self, stated, limit, value: float, expected: float | None, bounds: Any, hint: str | None
    ) -> None:
        metrics = stated("zero_win_anchors", value)
        known = {name: found for name, found in metrics.values.items() if name != "expected_zero_win"}
        if expected is not None:
            known["expected_zero_win"] = replace(metrics.values["expected_zero_win"], value=expected)
        assert judge(limit("zero_win_anchors", **bounds), replace(metrics, values=known)).hint == hint


@pytest.mark.parametrize(
    ("value", "bounds", "hint"),
    [
        (0.0, {"max": 0.1}, "bias towards essay B is not looked at; add min: -0.10"),
        (0.0, {"min": -0.05}, "bias towards essay A is not looked at; add max: 0.05"),
        (-0.3, {"max": 0}, "bias towards essay B is not looked at; add min: 0.00"),
        (0.3, {"min": 0}, "bias towards essay A is not looked at; add max: 0.00"),
        (0.0, {"min": -0.1, "max": 0.1}, None),
        (0.3, {"max": 0.1}, None),
    ],
)
def test_bias_to_one_side(stated, limit, value: float, bounds: dict[str, float], hint: str | None) -> None:
    assert judge(limit("position_bias", **bounds), stated("position_bias", value)).hint == hint


@pytest.mark.parametrize("beyond", [-1e-6, -1e-14, 0.0, 1e-14, 1e-6])
def test_tau_above_what_untied_scores_attain(perfect, stated, limit, beyond: float) -> None:
    """Beyond the rounding of numbers only."""
    value = perfect.attainable_tau_b + beyond
    hint = judge(limit("kendall_tau", min=0.9), stated("kendall_tau", value)).hint
    assert hint == (TIED if beyond == 1e-6 else None)


class TestAnchors:
    """Seven anchors: the further down the list, the worse by infit and the better by outfit."""

    @pytest.fixture
    def seven(self, perfect) -> AlignmentMetrics:
        return with_anchors(perfect, *(anchor(f"a{k}", 1 + k / 10, 2 - k / 10) for k in range(7)))

    @pytest.fixture
    def hint(self, seven, limit) -> Callable[..., str | None]:
        def of(metric: str, value: float, *anchors: AnchorQuality, **bounds: float) -> str | None:
            metrics = with_anchors(seven, *(anchors or seven.quality.anchors))
            changed = replace(metrics.values[metric], value=value)
            return judge(
                limit(metric, **bounds), replace(metrics, values={**metrics.values, metric: changed})
            ).hint

        return of

    def test_the_worst_is_named(self, hint) -> None:
        assert hint("worst_infit", 1.6, max=1.3) == f"a6 (C) has infit 1.60: {CONTRADICT}"
        assert hint("worst_outfit", 2.0, max=1.3) == f"a0 (C) has outfit 2.00: {CONTRADICT}"

    def test_misfits_are_named_worst_first(self, hint) -> None:
        odd = [anchor(f"a{k}", 1 + k / 10, 9.0, misfit=k != 6) for k in range(7)]
        assert hint("misfitting_anchors", 2.0, *odd[4:], max=0) == (
            f"a5 (C) has infit 1.50, a4 (C) has infit 1.40: {CONTRADICT}"
        )
        assert hint("misfitting_anchors", 6.0, *odd, max=0) == (
            "a5 (C) has infit 1.50, a4 (C) has infit 1.40, a3 (C) has infit 1.30, "
            f"a2 (C) has infit 1.20, a1 (C) has infit 1.10: {CONTRADICT}"
        )

    def test_suspects_are_named_with_the_suspicion(self, hint) -> None:
        high, low = anchor("a1", 1, 1, lower_lost=2), anchor("a2", 1, 1, higher_won=2)
        sound = anchor("a0", 1, 1, lower_lost=1, higher_won=1)
        assert hint("suspect_grades", 2.0, sound, high, low, max=0) == (
            "a1 (C) may be graded too high, a2 (C) may be graded too low: ask an expert"
        )
        many = [anchor(f"a{k}", 1, 1, lower_lost=3) for k in range(6)]
        assert hint("suspect_grades", 6.0, *many, max=0) == (
            f"{', '.join(f'a{k} (C) may be graded too high' for k in range(5))}: ask an expert"
        )

    @pytest.mark.parametrize("metric", ["suspect_grades", "misfitting_anchors"])
    def test_nobody_is_named_where_too_few_stand_out(self, hint, metric: str) -> None:
        assert hint(metric, 0.0, min=1) is None

    @pytest.mark.parametrize("metric", ["suspect_grades", "misfitting_anchors", "worst_infit"])
    def test_nobody_is_named_where_it_passes(self, hint, metric: str) -> None:
        odd = anchor("a1", 1.6, 1.6, misfit=True, lower_lost=3)
        assert hint(metric, 1.0, odd, odd, max=2) is None
