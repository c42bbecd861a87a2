"""Percentile and BCa intervals of every figure, the jackknife behind them, and scores at their true scale."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from pytest_eng5.alignment import (
    AlignmentData,
    AlignmentDataError,
    alignment_metrics,
    attainable_tau_b,
    bca_interval,
    bootstrap_intervals,
    calibrated_scores,
    fisher_interval,
    fit_wins,
    kendall_tau_b,
    leave_one_out,
    predictive_scale,
    resamples,
    simulated_wins,
)
from pytest_eng5.alignment.figures import FIGURES, anchors_of, figures

GRADES = ["A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+"]
RANKS = [0, 0, 3, 3, 5, 7, 8, 10, 11, 13, 14, 14]


def judged(make, discrimination: float, seed: int, rounds: int = 1) -> AlignmentData:
    rng = np.random.default_rng(seed)
    quality = np.linspace(2, -2, 12) * discrimination
    games = []
    for i, j in [*combinations(range(12), 2)] * rounds:
        first = "A" if rng.random() < 0.5 else "B"
        upper_won = rng.random() < 1 / (1 + math.exp(quality[j] - quality[i]))
        games.append((i, j, first) if upper_won else (j, i, first))
    return make(GRADES, games)


class TestJackknife:
    TABLE = np.array([[0, 2, 1], [1, 0, 0], [0, 3, 0]], dtype=float)

    def test_pairs(self) -> None:
        tables, alike = leave_one_out(self.TABLE)
        assert alike.tolist() == [1, 1, 1]
        assert [table.tolist() for table in tables] == [
            [[0, 0, 1], [0, 0, 0], [0, 3, 0]],
            [[0, 2, 0], [1, 0, 0], [0, 3, 0]],
            [[0, 2, 1], [1, 0, 0], [0, 0, 0]],
        ]

    def test_comparisons(self) -> None:
        tables, alike = leave_one_out(self.TABLE, "comparisons")
        assert alike.tolist() == [2, 1, 1, 3]
        assert (tables.sum(axis=(1, 2)) == self.TABLE.sum() - 1).all()

    def test_by_position_too(self) -> None:
        outcomes = np.stack([self.TABLE, self.TABLE.T], axis=-1)
        tables, _ = leave_one_out(outcomes)
        plain, _ = leave_one_out(outcomes.sum(axis=-1))
        assert (tables.sum(axis=-1) == plain).all()

    def test_nothing(self) -> None:
        assert leave_one_out(np.zeros((3, 3)))[0].shape == (0, 3, 3)

    def test_unknown_unit(self) -> None:
        with pytest.raises(AlignmentDataError, match="anchors"):
            leave_one_out(self.TABLE, "anchors")  # type: ignore[arg-type]


def test_resamples_by_position_are_those_without(make) -> None:
    outcomes = judged(make, 1.0, 0, rounds=2).outcomes()
    by_position = next(resamples(outcomes, 50, 3))
    plain = next(resamples(outcomes.sum(axis=-1), 50, 3))
    assert (by_position.sum(axis=-1) == plain).all()


class TestBca:
    @pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
    def test_equal_to_scipys(self, share: float) -> None:
        """For a mean; the same resamples, so that only the formula is compared."""
        rng = np.random.default_rng(0)
        sample = (rng.random(40) < share) * rng.gamma(2, size=40)
        theirs = scipy_bootstrap((sample,), np.mean, n_resamples=4000, rng=np.random.default_rng(1))
        left = np.array([np.delete(sample, k).mean() for k in range(40)])
        ours = bca_interval(
            theirs.bootstrap_distribution, float(sample.mean()), left, np.ones(40, dtype=np.int64), 0.95
        )
        assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.01)

    def test_without_bias_or_skew_it_is_the_percentile_interval(self) -> None:
        values = np.linspace(-1, 1, 2001)
        left = np.array([-1.0, 1.0])
        found = bca_interval(values, 0.0, left, np.ones(2, dtype=np.int64), 0.9)
        assert found == pytest.approx((-0.9, 0.9), abs=2e-3)

    def test_a_figure_that_never_changes(self) -> None:
        found = bca_interval(np.full(50, 2.0), 2.0, np.full(5, 2.0), np.ones(5, dtype=np.int64), 0.95)
        assert found == (2.0, 2.0)

    def test_undefined(self) -> None:
        ones = np.ones(2, dtype=np.int64)
        assert bca_interval(np.full(50, np.nan), 1.0, np.zeros(2), ones, 0.95) is None
        assert bca_interval(np.arange(50.0), float("nan"), np.zeros(2), ones, 0.95) is None

    def test_all_resamples_on_one_side(self) -> None:
        values = np.linspace(1, 2, 100)
        low, high = bca_interval(values, 0.5, np.array([0.4, 0.6]), np.ones(2, dtype=np.int64), 0.95)  # type: ignore[misc]
        assert 1 <= low <= high <= 2


class TestEveryFigure:
    @pytest.mark.parametrize("method", ["percentile", "bca"])
    @pytest.mark.parametrize("unit", ["pairs", "comparisons"])
    def test_has_an_interval(self, make, method: str, unit: str) -> None:
        data = judged(make, 0.7, 1, rounds=3)
        found = bootstrap_intervals(
            anchors_of(data),
            data.outcomes(),
            400,
            5,
            method=method,
            unit=unit,  # type: ignore[arg-type]
        )
        assert list(found) == list(FIGURES)
        points = figures(anchors_of(data), data.outcomes())
        for name, interval in found.items():
            assert interval is not None, name
            assert interval[0] <= interval[1], name
            assert points[name] == points[name]

    def test_the_mean_of_independent_comparisons_is_held(self, make) -> None:
        """Where the textbook intervals are meant to work they do: the share of wins at the first place."""
        hits = {"percentile": 0, "bca": 0}
        for seed in range(30):
            data = judged(make, 1.0, seed, rounds=2)
            for method in ("percentile", "bca"):
                found = bootstrap_intervals(
                    anchors_of(data), data.outcomes(), 300, seed, method=method, unit="comparisons"
                )["position_bias"]
                assert found is not None
                hits[method] += found[0] <= 0 <= found[1]
        assert all(count >= 25 for count in hits.values()), hits

    @pytest.mark.parametrize("method", ["percentile", "bca"])
    def test_they_can_be_asked_for(self, make, method: str) -> None:
        data = judged(make, 1.0, 2)
        metrics = alignment_metrics(data, bootstrap=200, intervals=method)  # type: ignore[arg-type]
        assert {metrics.values[name].method for name in FIGURES if metrics.values[name].low is not None} == {
            method
        }
        again = alignment_metrics(data, bootstrap=200, intervals=method)  # type: ignore[arg-type]
        assert again.to_dict() == metrics.to_dict()
        chosen = alignment_metrics(data, bootstrap=200)
        points, others = ({n: v.value for n, v in one.values.items()} for one in (chosen, metrics))
        assert others == pytest.approx(points, rel=0, abs=0, nan_ok=True)

    def test_of_nothing_there_is_none(self, make) -> None:
        data = make(GRADES, [])
        assert all(
            interval is None
            for interval in bootstrap_intervals(
                anchors_of(data), data.outcomes(), 50, 0, method="bca"
            ).values()
        )

    def test_an_unknown_kind_is_refused(self, make) -> None:
        with pytest.raises(AlignmentDataError, match="studentised"):
            alignment_metrics(make(GRADES, [(0, 1)]), intervals="studentised")  # type: ignore[arg-type]


class TestPredictiveScale:
    def test_brute_force(self, make) -> None:
        """Every comparison left out in turn, refitted, predicted; the factor from a fine grid."""
        wins = judged(make, 0.6, 4).wins()
        differences, counts = [], []
        for i, j in zip(*np.nonzero(wins), strict=True):
            table = wins.copy()
            table[i, j] -= 1
            theta = fit_wins(table)
            differences.append(theta[i] - theta[j])
            counts.append(wins[i, j])
        grid = np.linspace(0, 1.25, 1251)
        loss = np.logaddexp(0, -grid[:, None] * np.array(differences)) @ np.array(counts)
        assert predictive_scale(wins) == pytest.approx(grid[loss.argmin()], abs=2e-3)

    def test_it_tends_to_one(self, make) -> None:
        found = [
            np.mean([predictive_scale(judged(make, 1.0, s, r).wins()) for s in range(5)]) for r in (1, 4, 30)
        ]
        assert found == sorted(found)
        assert 0.3 < found[0] < 0.8
        assert found[2] == pytest.approx(1, abs=0.05)

    def test_scores_at_that_scale_are_as_far_apart_as_the_truth(self, make) -> None:
        spread, plain = [], []
        for seed in range(20):
            wins = judged(make, 1.0, seed).wins()
            theta = fit_wins(wins)
            plain.append(theta.std())
            spread.append(calibrated_scores(wins, theta).std())
        truth = np.linspace(2, -2, 12).std()
        assert np.mean(plain) > 1.3 * truth
        assert np.mean(spread) < 1.15 * truth

    def test_a_coin_predicts_nothing(self) -> None:
        rng = np.random.default_rng(0)
        upper = np.triu_indices(12, 1)
        found = []
        for _ in range(10):
            won = rng.random(66) < 0.5
            wins = np.zeros((12, 12))
            wins[upper], wins[upper[::-1]] = won, ~won
            found.append(predictive_scale(wins))
        assert np.median(found) < 0.15

    def test_nothing(self) -> None:
        assert predictive_scale(np.zeros((3, 3))) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("discrimination", "repeats"),
    [
        (1.0, 1),
        pytest.param(0.5, 1, marks=pytest.mark.thorough),
        pytest.param(2.0, 1, marks=pytest.mark.thorough),
        pytest.param(1.0, 2, marks=pytest.mark.thorough),
    ],
)
def test_the_interval_of_tau_holds_the_mean_of_repeats(make, discrimination: float, repeats: int) -> None:
    """In nine of ten simulated runs at the least; ``make calibration`` measures it to one in a hundred."""
    quality = np.linspace(2, -2, 12) * discrimination
    design = np.triu(np.full((12, 12), float(repeats)), 1)
    many = np.concatenate([fit_wins(t) for t in simulated_wins(design, quality, 3000, 0)])
    truth = float(kendall_tau_b(RANKS, many).mean())
    hits = []
    for seed, wins in enumerate(next(simulated_wins(design, quality, 100, 1))):
        theta = fit_wins(wins)
        drawn = kendall_tau_b(RANKS, fit_wins(next(resamples(wins, 200, seed)), start=theta))
        true_scale = calibrated_scores(wins, theta)
        simulated = kendall_tau_b(RANKS, fit_wins(next(simulated_wins(wins, true_scale, 200, seed))))
        interval = fisher_interval(
            [drawn, simulated],
            float(kendall_tau_b(RANKS, theta)),
            0.95,
            pairs=66,
            attainable=attainable_tau_b(RANKS),
            degrees_of_freedom=11,
        )
        assert interval is not None
        hits.append(interval[0] <= truth <= interval[1])
    assert np.mean(hits) >= 0.89
