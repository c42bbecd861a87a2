"""Infit, outfit, P(first), suspected grades and the record of them all."""

from __future__ import annotations

import json
import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.alignment import (
    AlignmentData,
    AlignmentDataError,
    first_rates,
    fit_statistics,
    fit_wins,
    flip_rates,
    judge_quality,
)

GRADES = ["A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+"]
NAMES = {
    *("first_rate", "position_effect", "circular_triads", "consistence", "judge_infit", "judge_outfit"),
    *("worst_infit", "worst_outfit", "misfitting_anchors", "suspect_grades", "split_half"),
}


def one_by_one(games: list[tuple[int, int]], theta: np.ndarray) -> tuple[list[float], list[float]]:
    """Infit and outfit from the residual of each comparison, as the formulas are written."""
    n = len(theta)
    infit, outfit = [math.nan] * n, [math.nan] * n
    for item in range(n):
        z2, weight = [], []
        for winner, loser in games:
            if item in (winner, loser):
                other = loser if item == winner else winner
                p = 1 / (1 + math.exp(theta[other] - theta[item]))
                z2.append(((item == winner) - p) ** 2 / (p * (1 - p)))
                weight.append(p * (1 - p))
        if z2:
            outfit[item] = sum(z2) / len(z2)
            infit[item] = sum(w * z for w, z in zip(weight, z2, strict=True)) / sum(weight)
    return infit, outfit


games_of_six = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda p: p[0] != p[1]), min_size=1, max_size=30
)


class TestFit:
    @given(games_of_six)
    @settings(deadline=None, max_examples=60)
    def test_comparison_by_comparison(self, games: list[tuple[int, int]]) -> None:
        wins = np.zeros((6, 6))
        for winner, loser in games:
            wins[winner, loser] += 1
        theta = fit_wins(wins)
        found = fit_statistics(wins, theta)
        infit, outfit = one_by_one(games, theta)
        assert found.infit == pytest.approx(infit, nan_ok=True)
        assert found.outfit == pytest.approx(outfit, nan_ok=True)
        moved = fit_statistics(wins, theta + 2.5)
        assert moved.infit == pytest.approx(found.infit, nan_ok=True)

    def test_where_the_model_holds_they_are_about_one(self) -> None:
        rng = np.random.default_rng(0)
        theta = np.linspace(1, -1, 8)
        upper = np.triu_indices(8, 1)
        won = rng.binomial(200, 1 / (1 + np.exp(theta[upper[1]] - theta[upper[0]])))
        wins = np.zeros((8, 8))
        wins[upper], wins[upper[::-1]] = won, 200 - won
        found = fit_statistics(wins, fit_wins(wins))
        assert found.judge_infit == pytest.approx(1, abs=0.03)
        assert found.judge_outfit == pytest.approx(1, abs=0.05)
        assert found.infit == pytest.approx(np.ones(8), abs=0.1)

    def test_an_anchor_that_upsets_both_ends_misfits(self) -> None:
        """It beats the best and loses to the worst; all else is as expected."""
        wins = np.triu(np.ones((12, 12)), 1) * 3
        odd = 6
        wins[odd, :3], wins[:3, odd] = 3, 0
        wins[9:, odd], wins[odd, 9:] = 3, 0
        found = fit_statistics(wins, fit_wins(wins))
        assert np.flatnonzero(found.misfit).tolist() == [odd]
        assert found.infit[odd] == np.nanmax(found.infit)

    def test_nothing(self) -> None:
        found = fit_statistics(np.zeros((3, 3)), np.zeros(3))
        assert np.isnan(found.infit).all()
        assert math.isnan(found.judge_infit)
        assert not found.misfit.any()

    def test_shapes_that_differ(self) -> None:
        with pytest.raises(AlignmentDataError, match="does not fit 2 scores"):
            fit_statistics(np.zeros((3, 3)), np.zeros(2))


class TestFirst:
    def test_by_hand(self, make) -> None:
        """0-1: essay A wins in both orders; 0-2: 0 wins both; 1-2 in one order only. P(first) = (1 + ½)/2."""
        games = [(0, 1, "A"), (1, 0, "A"), (0, 2, "A"), (0, 2, "B"), (1, 2, "A")]
        outcomes = make(["A", "B", "C"], games).outcomes()
        assert first_rates(outcomes) == 0.75
        assert flip_rates(outcomes) == 0.5

    def test_the_published_formula(self, make) -> None:
        """(#A in AB + #B in BA) / 2n over n pairs seen once in each order."""
        rng = np.random.default_rng(1)
        games, first = [], 0
        for i, j in combinations(range(6), 2):
            for a, b in ((i, j), (j, i)):
                won = bool(rng.random() < 0.6)
                first += won
                games.append((a, b, "A") if won else (b, a, "B"))
        assert first_rates(make(GRADES[::2], games).outcomes()) == pytest.approx(first / 30)

    def test_unbalanced_orders_do_not_matter(self, make) -> None:
        """The better essay is nearly always essay A, and wins: no bias, though A wins 10 of 12."""
        games = [(0, 1, "A")] * 10 + [(0, 1, "B")] * 2
        assert first_rates(make(["A", "B"], games).outcomes()) == 0.5

    def test_without_pairs_in_both_orders(self, make) -> None:
        assert np.isnan(first_rates(make(["A", "B"], [(0, 1, "A")] * 4).outcomes()))

    def test_many_at_once(self) -> None:
        tables = np.random.default_rng(0).poisson(0.6, (30, 5, 5, 2)) * (1 - np.eye(5))[:, :, None]
        for function in (first_rates, flip_rates):
            alone = [float(function(table)) for table in tables]
            assert function(tables) == pytest.approx(alone, nan_ok=True)


class TestSuspicion:
    def test_batch_108_doubts_the_anchor_that_lost_to_everything_below_it(
        self, batch108_games: AlignmentData
    ) -> None:
        """Contract 14.1: ANCHOR_7 (E-) lost to both F+; of ANCHOR_10 (A) only two losses are known."""
        assert judge_quality(batch108_games).suspected == {
            "ANCHOR_7": "graded too high",
            "ANCHOR_10": "graded too high",
        }

    def test_too_low(self, make) -> None:
        data = make(["A", "B", "C", "E"], [(3, 0), (3, 1), (3, 2), (0, 1), (0, 2), (1, 2)])
        assert judge_quality(data).suspected == {"anchor-3": "graded too low"}

    def test_one_comparison_is_no_suspicion(self, make) -> None:
        assert judge_quality(make(["A", "B", "C"], [(1, 0), (1, 2)])).suspected == {}

    def test_a_good_judge_suspects_nobody(self, make, full_round) -> None:
        found = judge_quality(make(GRADES, full_round(12)))
        assert found.suspected == {}
        assert found.values["suspect_grades"].value == 0
        assert found.values["consistence"].value == 1


class TestNothingToGoBy:
    def test_a_chain_has_no_fit_and_no_triad(self, make) -> None:
        found = judge_quality(make(GRADES[:6], [(k, k + 1) for k in range(5)] * 3)).values
        for name in ("judge_infit", "worst_outfit", "misfitting_anchors", "circular_triads", "consistence"):
            assert math.isnan(found[name].value), name

    def test_nobody_stands_out_of_five(self, make, full_round) -> None:
        """One of n lies at most (n - 1)/√n SD above the mean: 1.79 of 5, 2.04 of 6."""
        five, six = (judge_quality(make(GRADES[:n], full_round(n))).values for n in (5, 6))
        assert math.isnan(five["misfitting_anchors"].value)
        assert six["misfitting_anchors"].value == 0
        assert five["worst_infit"].value > 0

    def test_the_worst_is_the_greatest_of_the_rows(self, make) -> None:
        games = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (1, 3), (2, 0)]
        found = judge_quality(make(GRADES[:4], games))
        assert found.values["worst_infit"].value == max(row.infit for row in found.anchors)
        assert found.values["worst_outfit"].value == max(row.outfit for row in found.anchors)

    def test_two_halves_of_two_anchors_always_agree(self, make) -> None:
        assert math.isnan(judge_quality(make(["A", "B"], [(0, 1)] * 8)).values["split_half"].value)


class TestRecord:
    def test_names_and_json(self, make, full_round) -> None:
        found = judge_quality(make(GRADES, full_round(12)))
        assert set(found.values) == NAMES
        plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert set(plain["values"]) == NAMES
        assert len(plain["anchors"]) == 12

    def test_the_position_effect_has_an_interval(self, make) -> None:
        games = [(i, j, "A") for i in range(6) for j in range(6) if i != j]
        effect = judge_quality(make(GRADES[::2], games)).values["position_effect"]
        assert effect.method == "wald"
        assert effect.value > 2
        assert (effect.low or 0) < effect.value < (effect.high or 0)

    @pytest.mark.parametrize("n", [0, 1, 3])
    def test_nothing_measured_is_nan(self, make, n: int) -> None:
        found = judge_quality(make(GRADES[:n], []))
        assert all(math.isnan(value.value) for value in found.values.values())
        assert found.anchors == ()
        assert found.misfitting == ()

    def test_unknown_grades_are_left_out(self, make, full_round) -> None:
        known = judge_quality(make(["A", "B", "C"], full_round(3)))
        found = judge_quality(make(["A", "B", "C", None], [*full_round(3), (3, 0), (3, 1)]))
        assert found.to_dict() == known.to_dict()

    @pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
    def test_nonsense_is_refused(self, make, confidence: float) -> None:
        with pytest.raises(AlignmentDataError):
            judge_quality(make(["A", "B"], [(0, 1)]), confidence=confidence)

    @given(games_of_six, st.randoms(use_true_random=False))
    @settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_order_of_events(self, make, games: list[tuple[int, int]], shuffler) -> None:
        shuffled = list(games)
        shuffler.shuffle(shuffled)
        grades = ["A", "B", "C", "D", "E", "F"]
        assert judge_quality(make(grades, games)).to_dict() == judge_quality(make(grades, shuffled)).to_dict()
