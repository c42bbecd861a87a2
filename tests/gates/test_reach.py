"""Thresholds that nothing can satisfy: refused exactly where all possible data say so."""

from __future__ import annotations

import functools
import itertools
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.alignment import attainable_tau_a, attainable_tau_b
from pytest_eng5.gates import (
    METRICS,
    Contradiction,
    UnknownMetricError,
    attainable,
    contradictions,
    judge,
    metric_info,
    unreachable,
)

Games = tuple[tuple[int, int], ...]
LETTER = {0: "A", 3: "B", 6: "C", 9: "D", 12: "E"}


def tournaments(n: int) -> Iterator[Games]:
    """Every outcome of one full round-robin."""
    for flips in itertools.product((False, True), repeat=n * (n - 1) // 2):
        pairs = itertools.combinations(range(n), 2)
        yield tuple((j, i) if flip else (i, j) for (i, j), flip in zip(pairs, flips, strict=True))


class TestSoundAndTight:
    """Against every possible round-robin of three or four anchors."""

    @staticmethod
    @functools.cache
    def _values(measured, ranks: tuple[int, ...]) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {name: [] for name in METRICS}
        for games in tournaments(len(ranks)):
            metrics = measured([LETTER[rank] for rank in ranks], games, bootstrap=0)
            for name, value in metrics.values.items():
                if not math.isnan(value.value):
                    found[name].append(value.value)
        return found

    RANKS = ((0, 3, 6), (0, 3, 3), (0, 0, 3), (0, 3, 6, 9), (0, 3, 6, 6), (0, 0, 3, 3), (0, 3, 3, 3))

    @pytest.mark.parametrize("ranks", RANKS, ids=str)
    def test_what_some_outcome_gives_is_not_refused(self, measured, limit, ranks: tuple[int, ...]) -> None:
        for name, values in self._values(measured, ranks).items():
            best = attainable(name, ranks) or math.inf  # beyond it only with equal scores, see below
            for value in {value for value in values if abs(value) <= best + 1e-12}:
                for bounds in ({"min": value}, {"max": value}, {"min": value, "max": value}):
                    assert unreachable(limit(name, **bounds), ranks) is None, (name, bounds)

    @pytest.mark.parametrize("ranks", RANKS, ids=str)
    @pytest.mark.parametrize(
        "name", ["kendall_tau", "kendall_tau_a", "direct_inversions", "majority_inversions"]
    )
    def test_what_no_outcome_gives_is_refused(
        self, measured, limit, name: str, ranks: tuple[int, ...]
    ) -> None:
        best = attainable(name, ranks) or math.inf
        values = [value for value in self._values(measured, ranks)[name] if abs(value) <= best + 1e-12]
        assert unreachable(limit(name, min=max(values) + 0.001), ranks) is not None
        assert unreachable(limit(name, max=min(values) - 0.001), ranks) is not None

    @pytest.mark.parametrize("ranks", RANKS, ids=str)
    def test_tau_is_beyond_the_attainable_only_with_equal_scores(
        self, measured, limit, ranks: tuple[int, ...]
    ) -> None:
        for games in tournaments(len(ranks)):
            metrics = measured([LETTER[rank] for rank in ranks], games, bootstrap=0)
            if abs(metrics.values["kendall_tau"].value) > metrics.attainable_tau_b + 1e-12:
                by_grade = [(row.grade, row.rank) for row in metrics.anchors]
                assert len(set(by_grade)) < len(by_grade)

    @pytest.mark.parametrize("name", sorted(METRICS))
    def test_ranges_hold_for_all_outcomes(self, measured, name: str) -> None:
        info = METRICS[name]
        for ranks in self.RANKS:
            for value in self._values(measured, ranks)[name]:
                assert info.low <= value <= (math.inf if info.high is None else info.high)


class TestSentences:
    @pytest.mark.parametrize(
        ("metric", "bounds", "expected"),
        [
            (
                "kendall_tau",
                {"min": 0.98},
                "kendall_tau >= 0.98 cannot be reached: grade ties limit it to 0.977 "
                "(3 of 66 pairs have equal grades)",
            ),
            (
                "kendall_tau_a",
                {"min": 0.96},
                "kendall_tau_a >= 0.96 cannot be reached: grade ties limit it to 0.955 "
                "(3 of 66 pairs have equal grades)",
            ),
            (
                "kendall_tau",
                {"max": -0.98},
                "kendall_tau <= -0.98 cannot be reached: it is at least -0.977",
            ),
            ("direct_inversions", {"max": -1}, "direct_inversions <= -1 cannot be reached: it is at least 0"),
            (
                "direct_inversions",
                {"min": 64},
                "direct_inversions >= 64 cannot be reached: only 63 of 66 pairs can be inverted",
            ),
            (
                "zero_win_anchors",
                {"min": 12},
                "zero_win_anchors >= 12 cannot be reached: of 12 anchors at least one wins",
            ),
            ("ssr", {"min": 1}, "ssr >= 1.00 cannot be reached: it is always below 1"),
            ("agreement", {"min": 1.01}, "agreement >= 1.01 cannot be reached: it is at most 1.00"),
            ("position_bias", {"min": 0.6}, "position_bias >= 0.60 cannot be reached: it is at most 0.50"),
            ("flip_rate", {"max": -0.1}, "flip_rate <= -0.10 cannot be reached: it is at least 0.00"),
            (
                "direct_inversions",
                {"min": 0.2, "max": 0.8},
                "direct_inversions: there is no whole number from 0.20 to 0.80",
            ),
            ("ssr", {"min": 0.9, "max": 0.8}, "ssr: min 0.90 is above max 0.80"),
            ("connected", {"min": 2}, "connected >= 2 cannot be reached: it is at most 1"),
            ("connected", {"max": -1}, "connected <= -1 cannot be reached: it is at least 0"),
            (
                "connected",
                {"min": 0.25, "max": 0.75},
                "connected: there is no whole number from 0.25 to 0.75",
            ),
            ("ssr", {}, "the threshold of ssr has neither min nor max"),
            ("ssr", {"min": math.nan}, "the threshold of ssr is not a number"),
        ],
    )
    def test_exactly(
        self, limit, role_model_ranks, metric: str, bounds: dict[str, Any], expected: str
    ) -> None:
        assert unreachable(limit(metric, **bounds), role_model_ranks) == expected

    @pytest.mark.parametrize(
        ("metric", "bounds"),
        [
            ("kendall_tau", {"min": 0.977}),
            ("kendall_tau", {"min": 0.90}),
            ("direct_inversions", {"max": 0}),
            ("direct_inversions", {"max": 1.5}),
            ("zero_win_anchors", {"max": 0}),
            ("zero_win_anchors", {"min": 11}),
            ("upper_grade_inversions", {"max": 0}),
            ("worst_infit", {"min": 100}),
            ("ssr", {"min": 0.999}),
            ("ssr", {"min": -50}),
            ("connected", {"min": 1}),
        ],
    )
    def test_what_is_possible(self, limit, role_model_ranks, metric: str, bounds: dict[str, float]) -> None:
        assert unreachable(limit(metric, **bounds), role_model_ranks) is None

    def test_a_metric_that_does_not_exist(self, limit, role_model_ranks) -> None:
        found = unreachable(limit("direct_inversion", max=1), role_model_ranks)
        assert found is not None
        assert found.startswith("unknown metric 'direct_inversion'; did you mean 'direct_inversions'?")

    def test_equal_grades(self, limit) -> None:
        found = unreachable(limit("kendall_tau", min=0.1), [3, 3, 3])
        assert found == "kendall_tau cannot be measured: all 3 anchors have the same grade"
        upper = unreachable(limit("upper_grade_inversions", max=0), [3, 3, 3, 3])
        assert upper == "upper_grade_inversions cannot be measured: all 4 anchors have the same grade"
        assert unreachable(limit("zero_win_anchors", max=1), [3, 3, 3]) is None

    def test_the_least_tau_is_shown_with_three_decimals(self, limit) -> None:
        """The root of two thirds: one of three pairs is tied."""
        assert unreachable(limit("kendall_tau", max=-0.9), [0, 3, 3]) == (
            "kendall_tau <= -0.90 cannot be reached: it is at least -0.816"
        )

    @pytest.mark.parametrize(
        ("metric", "bound"),
        [("zero_win_anchors", 2), ("direct_inversions", 2), ("circular_triads", 1), ("suspect_grades", 3)],
    )
    def test_an_unknown_grade_may_belong_to_an_anchor_that_counts(
        self, limit, metric: str, bound: int
    ) -> None:
        """More than two anchors can give, yet there are three."""
        assert unreachable(limit(metric, min=bound), [0, 3, None]) is None

    @pytest.mark.parametrize("ranks", [[], [0], [0, None], [None, None, 3]])
    def test_what_depends_on_the_grades_waits_until_they_are_known(
        self, limit, ranks: list[int | None]
    ) -> None:
        assert unreachable(limit("kendall_tau", min=0.99), ranks) is None
        assert unreachable(limit("kendall_tau", min=1.01), ranks) is not None
        assert unreachable(limit("direct_inversions", max=-1), ranks) is not None


@given(st.lists(st.integers(0, 9), min_size=2, max_size=15))
def test_attainable_is_that_of_alignment(ranks: list[int]) -> None:
    if len(set(ranks)) == 1:
        assert attainable("kendall_tau", ranks) is None
    else:
        assert attainable("kendall_tau", ranks) == pytest.approx(attainable_tau_b(ranks), abs=1e-15)
        assert attainable("kendall_tau_a", ranks) == pytest.approx(attainable_tau_a(ranks), abs=1e-15)
    assert attainable("ssr", ranks) is None


@pytest.mark.parametrize(
    ("anchors", "most"),
    [(3, 1), (4, 2), (5, 5), (6, 8), (7, 14), (8, 20), (9, 30), (10, 40), (11, 55), (12, 70)],
)
def test_most_circular_triads(limit, anchors: int, most: int) -> None:
    """The maxima of Kendall and Babington Smith (1940), OEIS A006918; small ones are also counted here."""
    ranks = list(range(anchors))
    if anchors < 6:
        counted = 0
        for games in tournaments(anchors):
            won = set(games)
            triads = itertools.permutations(ranks, 3)
            counted = max(counted, sum({(i, j), (j, k), (k, i)} <= won for i, j, k in triads) // 3)
        assert counted == most
    assert unreachable(limit("circular_triads", min=most), ranks) is None
    assert unreachable(limit("circular_triads", min=most + 1), ranks) == (
        f"circular_triads >= {most + 1} cannot be reached: "
        f"of {anchors} anchors at most {most} triads are circular (Kendall and Babington Smith)"
    )


def zero_win_thresholds(limit, **others: dict[str, float]) -> list[Any]:
    every = {"direct_inversions": {"max": 0}, "zero_win_anchors": {"max": 0}, **others}
    return [limit(name, **bounds) for name, bounds in every.items() if bounds]


class TestZeroWinTrap:
    """Contract 14.3: in a single round-robin no inversions force a zero-win anchor."""

    @pytest.mark.parametrize("ranks", [(0, 3), *TestSoundAndTight.RANKS, (0, 3, 3, 3, 6)], ids=str)
    def test_refused_exactly_if_no_round_robin_meets_both(
        self, measured, limit, ranks: tuple[int, ...]
    ) -> None:
        thresholds = zero_win_thresholds(limit)
        possible = False
        for games in tournaments(len(ranks)):
            inverted = any(ranks[w] > ranks[x] for w, x in games)
            winless = set(range(len(ranks))) - {w for w, _ in games}
            possible = possible or not (inverted or winless)
        assert bool(contradictions(thresholds, ranks)) is not possible

    def test_the_sentence(self, limit, role_model_ranks) -> None:
        (found,) = contradictions(zero_win_thresholds(limit), role_model_ranks, 66)
        assert isinstance(found, Contradiction)
        assert found.metrics == ("direct_inversions", "zero_win_anchors")
        assert str(found) == (
            "direct_inversions without any inversion and zero_win_anchors <= 0 exclude each other: without "
            "inversions one of the two anchors of the lowest grade never wins; "
            "allow zero_win_anchors: {max: 1}"
        )
        (found,) = contradictions(zero_win_thresholds(limit), [0, 3, 6])
        assert "without inversions the one anchor of the lowest grade never wins; allow" in str(found)

    @pytest.mark.parametrize("zero", [{"max": 0}, {"min": 0, "max": 0}, {"max": 0.5}])
    def test_however_it_is_written(self, limit, role_model_ranks, zero: dict[str, float]) -> None:
        assert contradictions(zero_win_thresholds(limit, zero_win_anchors=zero), role_model_ranks)

    def test_equal_grades_are_refused_as_such(self, limit) -> None:
        """Nothing is an inversion among them, and that is what the reader is told."""
        thresholds = zero_win_thresholds(limit)
        assert contradictions(thresholds, [3, 3]) == []
        assert "all 2 anchors have the same grade" in (unreachable(thresholds[0], [3, 3]) or "")

    def test_the_thresholds_of_the_design_go_together(self, limit, role_model_ranks) -> None:
        thresholds = [
            limit("kendall_tau", min=0.9),
            limit("direct_inversions", max=1),
            limit("zero_win_anchors", max=1),
            limit("upper_grade_inversions", max=0),
        ]
        assert contradictions(thresholds, role_model_ranks, 66) == []

    def test_repeated_pairs_resolve_it_for_two_lowest_anchors_but_not_for_one(self, limit) -> None:
        thresholds = zero_win_thresholds(limit)
        assert contradictions(thresholds, [0, 3, 6, 6], 6)
        assert contradictions(thresholds, [0, 3, 6, 6], 7) == []
        assert contradictions(thresholds, [0, 3, 6], 30)

    @pytest.mark.parametrize(
        "others",
        [
            {"direct_inversions": {"max": 1}},
            {"zero_win_anchors": {"max": 1}},
            {"zero_win_anchors": {"max": 0, "min": 1}},
            {"direct_inversions": {}},
            {"zero_win_anchors": {}},
            {"direct_inversions": {"min": 0}},
        ],
    )
    def test_not_without_both_demands(self, limit, role_model_ranks, others: dict[str, Any]) -> None:
        assert contradictions(zero_win_thresholds(limit, **others), role_model_ranks) == []

    @pytest.mark.parametrize("other", [("inversion_rate", {"max": 0}), ("agreement", {"min": 1.0})])
    def test_other_ways_to_demand_no_inversion(self, limit, role_model_ranks, other: tuple[str, Any]) -> None:
        thresholds = zero_win_thresholds(limit, direct_inversions={}, **{other[0]: other[1]})
        (found,) = contradictions(thresholds, role_model_ranks)
        assert found.metrics == (other[0], "zero_win_anchors")

    def test_it_does_happen_in_a_run(self, perfect, limit) -> None:
        """The demand that is refused fails on the very best run there can be."""
        first, second = zero_win_thresholds(limit)
        assert judge(first, perfect).passed
        assert not judge(second, perfect).passed


class TestTooFewComparisons:
    def test_to_join_the_anchors(self, limit, role_model_ranks) -> None:
        (found,) = contradictions([limit("kendall_tau", min=0.5)], role_model_ranks, 10)
        assert found.reason == (
            "10 comparisons cannot join 12 anchors, and no gate passes on a disconnected graph; "
            "allow at least 11"
        )
        assert found.metrics == ("kendall_tau",)
        (found,) = contradictions([limit("ssr", min=0.5), limit("connected", min=1)], role_model_ranks, 10)
        assert found.metrics == ("ssr", "connected")
        assert contradictions([limit("kendall_tau", min=0.5)], role_model_ranks, 11) == []
        assert contradictions([], role_model_ranks, 10) == []

    def test_to_cover_the_pairs(self, limit, role_model_ranks) -> None:
        (found,) = contradictions([limit("coverage", min=1.0)], role_model_ranks, 65)
        assert found.reason == "65 comparisons cover at most 0.985 of 66 pairs"
        assert found.metrics == ("coverage",)
        (found,) = contradictions([limit("coverage", min=1.5)], role_model_ranks)
        assert found.reason == "66 comparisons cover at most 1.000 of 66 pairs"
        assert contradictions([limit("coverage", min=1.0)], role_model_ranks, 66) == []
        assert contradictions([limit("coverage", min=1.0)], role_model_ranks) == []

    def test_to_see_a_pair_in_both_orders(self, limit, role_model_ranks) -> None:
        (found,) = contradictions([limit("flip_rate", max=0.1)], role_model_ranks)
        assert found.reason == (
            "up to 66 comparisons no pair is seen in both orders, so flip_rate cannot be measured"
        )
        assert found.metrics == ("flip_rate",)
        assert contradictions([limit("flip_rate", max=0.1)], role_model_ranks, 66) == [found]
        assert contradictions([limit("flip_rate", max=0.1)], role_model_ranks, 67) == []

    @pytest.mark.parametrize("ranks", [[], [0], [0, None, 3]])
    def test_nothing_is_said_about_anchors_that_are_not_known(self, limit, ranks: list[int | None]) -> None:
        assert contradictions([*zero_win_thresholds(limit), limit("flip_rate", max=0)], ranks, 0) == []


class TestRegistry:
    def test_it_lists_exactly_what_is_measured(self, perfect) -> None:
        assert list(METRICS) == list(perfect.values)

    def test_every_entry_is_described(self) -> None:
        for name, info in METRICS.items():
            assert info.name == name
            assert len(info.description) > 10
            assert not info.description.endswith(".")
            assert info.low < (math.inf if info.high is None else info.high)

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("kendal_tau", "kendall_tau"),
            ("kendall-tau", "kendall_tau"),
            ("zero_wins", "zero_win_anchors"),
            ("SSR", None),
        ],
    )
    def test_the_nearest_name_is_suggested(self, written: str, meant: str | None) -> None:
        with pytest.raises(UnknownMetricError) as caught:
            metric_info(written)
        assert (f"did you mean {meant!r}?" in str(caught.value)) == (meant is not None)
        assert "known: kendall_tau, " in str(caught.value)

    def test_a_known_name(self) -> None:
        assert metric_info("ssr").description == "scale separation reliability"


def test_collection_can_afford_this_room() -> None:
    """No numerical library, no models, no network: only the standard library is loaded."""
    code = (
        "import sys, pytest_eng5.gates as g;"
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'numpy', 'scipy', 'pydantic', 'aiokafka', 'httpx', 'choix', 'pytest', 'yaml'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
