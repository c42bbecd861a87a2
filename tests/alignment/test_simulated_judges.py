"""Judges whose statistics are known in advance (design section 10): the figures must find them."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_eng5.alignment import AlignmentData, AlignmentMetrics, alignment_metrics

GRADES = ["A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+"]
QUALITY = np.linspace(2.0, -2.0, 12)


def odds(discrimination: float, bias: float, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """P(essay A wins) = logistic(discrimination * (quality A - quality B) + position bias)."""
    return 1 / (1 + np.exp(-(discrimination * (QUALITY[first] - QUALITY[second]) + bias)))


def judged(
    make, discrimination: float, bias: float = 0.0, *, rounds: int = 1, swap: bool = False, seed: int = 0
) -> AlignmentData:
    """Round-robins in random orders; with ``swap`` every pair is shown in both."""
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(12, 1)
    games = []
    for _ in range(rounds):
        turned = rng.random(66) < 0.5
        shown = [np.where(turned, j, i), np.where(turned, i, j)]
        for first, second in (shown, shown[::-1]) if swap else (shown,):
            won = rng.random(66) < odds(discrimination, bias, first, second)
            games += [
                (int(a), int(b), "A") if a_won else (int(b), int(a), "B")
                for a, b, a_won in zip(first, second, won, strict=True)
            ]
    return make(GRADES, games)


def measured(make, *args: float, **kwargs: int) -> AlignmentMetrics:
    return alignment_metrics(judged(make, *args, **kwargs), bootstrap=0)


class TestScores:
    def test_they_find_the_qualities_up_to_the_discrimination(self, make) -> None:
        rows = measured(make, 1.0, rounds=300).anchors
        found = np.array([row.theta for row in sorted(rows, key=lambda row: int(row.id.split("-")[1]))])
        assert found == pytest.approx(QUALITY, abs=0.15)

    def test_standard_errors_cover_the_truth(self, make) -> None:
        """Over 40 runs the true score lies within 1.96 standard errors in about 95 % of cases."""
        hits = []
        for seed in range(40):
            rows = measured(make, 1.0, rounds=8, seed=seed).anchors
            for row in rows:
                truth = QUALITY[int(row.id.split("-")[1])]
                hits.append(abs((row.theta or 0) - truth) <= 1.96 * (row.standard_error or 0))
        assert 0.91 <= np.mean(hits) <= 0.99


class TestAgreement:
    @pytest.mark.parametrize("discrimination", [0.0, 0.5, 1.0, 3.0])
    def test_share_of_comparisons_as_computed_from_the_model(self, make, discrimination: float) -> None:
        i, j = np.triu_indices(12, 1)
        decidable = np.array([GRADES[a] != GRADES[b] for a, b in zip(i, j, strict=True)])
        expected = odds(discrimination, 0.0, i, j)[decidable].mean()
        values = measured(make, discrimination, rounds=150).values
        assert values["agreement"].value == pytest.approx(expected, abs=0.015)
        assert values["inversion_rate"].value == pytest.approx((1 - expected) * 63 / 66, abs=0.015)

    def test_the_interval_holds_what_the_model_says(self, make) -> None:
        i, j = np.triu_indices(12, 1)
        decidable = np.array([GRADES[a] != GRADES[b] for a, b in zip(i, j, strict=True)])
        truth = odds(1.0, 0.0, i, j)[decidable].mean()
        found = [measured(make, 1.0, seed=seed).values["agreement"] for seed in range(100)]
        hits = [(value.low or 0) <= truth <= (value.high or 1) for value in found]
        assert np.mean(hits) >= 0.9

    def test_tau_rises_with_discrimination(self, make) -> None:
        means = [
            np.mean([measured(make, d, seed=s).values["kendall_tau"].value for s in range(20)])
            for d in (0.0, 0.5, 1.0, 2.0, 8.0)
        ]
        assert abs(means[0]) < 0.2
        assert means == sorted(means)
        assert means[-1] > 0.95

    def test_a_coin_is_neither_right_nor_wrong(self, make) -> None:
        values = measured(make, 0.0, rounds=100).values
        assert values["agreement"].value == pytest.approx(0.5, abs=0.02)
        assert abs(values["position_bias"].value) < 0.02
        assert values["ssr"].value < 0.7


class TestPosition:
    @pytest.mark.parametrize("bias", [-1.0, -0.3, 0.0, 0.3, 1.0])
    def test_bias_as_computed_from_the_model(self, make, bias: float) -> None:
        i, j = np.triu_indices(12, 1)
        expected = (odds(1.0, bias, i, j).mean() + odds(1.0, bias, j, i).mean()) / 2 - 0.5
        found = measured(make, 1.0, bias, rounds=100, swap=True).values["position_bias"]
        assert found.value == pytest.approx(expected, abs=0.012)
        assert (found.low or 0) <= expected <= (found.high or 0)

    @pytest.mark.parametrize("bias", [0.0, 1.0, 4.0])
    def test_flips_as_computed_from_the_model(self, make, bias: float) -> None:
        i, j = np.triu_indices(12, 1)
        forward, back = odds(1.0, bias, i, j), odds(1.0, bias, j, i)
        expected = (forward * back + (1 - forward) * (1 - back)).mean()
        # One draw of each order per pair, many runs: the flip rate is unbiased for one run.
        found = [measured(make, 1.0, bias, swap=True, seed=s).values["flip_rate"].value for s in range(60)]
        assert np.mean(found) == pytest.approx(expected, abs=0.02)

    def test_repeats_alone_do_not_show_a_bias_but_swapped_orders_do(self, make) -> None:
        """A judge that always says A: perfectly repeatable, worthless."""
        games = [(i, j, "A") for i in range(4) for j in range(i + 1, 4)] * 5
        repeated = alignment_metrics(make(GRADES[::3], games), bootstrap=0).values
        assert np.isnan(repeated["flip_rate"].value)
        assert repeated["agreement"].value == 1.0
        swapped = games + [(j, i, "A") for i, j, _ in games]
        both = alignment_metrics(make(GRADES[::3], swapped), bootstrap=0).values
        assert both["flip_rate"].value == 1.0
        assert both["agreement"].value == 0.5
        assert both["position_bias"].value == 0.5


class TestZeroWins:
    def test_a_perfect_judge_leaves_what_is_expected(self, make) -> None:
        found = [measured(make, 100.0, seed=s).values for s in range(10)]
        assert {value["zero_win_anchors"].value for value in found} == {1.0}
        assert {value["expected_zero_win"].value for value in found} == {1.0}

    def test_the_model_interval_holds_repeats(self, make) -> None:
        """Zero wins of other runs of the same judge fall inside in at least nine of ten cases."""
        runs = [judged(make, 1.5, seed=s) for s in range(60)]
        counts = [alignment_metrics(run, bootstrap=0).values["zero_win_anchors"].value for run in runs]
        hits = []
        for run, other in zip(runs, [*counts[1:], counts[0]], strict=True):
            found = alignment_metrics(run, bootstrap=200).values["zero_win_anchors"]
            hits.append((found.low or 0) <= other <= (found.high or 0))
        assert np.mean(hits) >= 0.9
