"""Bradley-Terry with a position effect: against a general optimiser, simulated judges and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pytest_eng5.alignment import (
    ALPHA,
    AlignmentDataError,
    fit_bradley_terry,
    fit_outcomes,
    fit_wins,
    fit_with_position,
)

Games = list[tuple[int, int, bool]]
QUICK = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def table(n: int, games: Games) -> np.ndarray:
    """Games are (winner, loser, whether the winner was essay A)."""
    outcomes = np.zeros((n, n, 2))
    for winner, loser, first in games:
        outcomes[winner, loser, 0 if first else 1] += 1
    return outcomes


@st.composite
def populations(draw: st.DrawFn) -> tuple[int, Games]:
    n = draw(st.integers(2, 7))
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.booleans())
    return n, draw(st.lists(pair.filter(lambda p: p[0] != p[1]), min_size=1, max_size=30))


def simulated(rng: np.random.Generator, theta: np.ndarray, eta: float, times: int) -> np.ndarray:
    """Every ordered pair shown so often."""
    n = len(theta)
    p = 1 / (1 + np.exp(-(eta + theta[:, None] - theta[None, :])))
    won = rng.binomial(times, p)
    outcomes = np.zeros((n, n, 2))
    outcomes[..., 0] = won
    outcomes[..., 1] = (times - won).T
    outcomes[np.arange(n), np.arange(n)] = 0
    return outcomes


class TestEstimate:
    @given(populations())
    @QUICK
    def test_a_general_optimiser_finds_the_same(self, population: tuple[int, Games]) -> None:
        n, games = population

        def negative(x: np.ndarray) -> float:
            theta, eta = x[:n], x[n]
            total = ALPHA * n * np.sum(theta - np.exp(theta))
            total -= ALPHA / 2 * (np.logaddexp(0, -eta) + np.logaddexp(0, eta))
            for winner, loser, first in games:
                total -= np.logaddexp(0, -(theta[winner] - theta[loser] + (eta if first else -eta)))
            return float(-total)

        found = minimize(negative, np.zeros(n + 1), method="BFGS", options={"gtol": 1e-9})
        fit = fit_with_position(table(n, games))
        own = negative(np.append(fit.theta - np.log(np.exp(fit.theta).mean()), fit.eta))
        assert own <= found.fun + 1e-7

    def test_it_finds_what_the_judge_has(self) -> None:
        rng = np.random.default_rng(0)
        theta = np.linspace(1.5, -1.5, 8)
        fit = fit_with_position(simulated(rng, theta, 0.7, 400))
        assert fit.eta == pytest.approx(0.7, abs=0.06)
        assert fit.theta == pytest.approx(theta, abs=0.12)

    def test_the_errors_describe_the_spread_of_repeats(self) -> None:
        rng = np.random.default_rng(1)
        theta = np.linspace(1, -1, 6)
        tables = np.stack([simulated(rng, theta, 0.4, 20) for _ in range(600)])
        scores, eta = fit_outcomes(tables)
        fits = [fit_with_position(one) for one in tables[:100]]
        assert eta.std() == pytest.approx(np.mean([f.eta_standard_error for f in fits]), rel=0.1)
        assert scores.std(axis=0) == pytest.approx(
            np.mean([f.standard_error for f in fits], axis=0), rel=0.12
        )

    def test_without_a_bias_the_scores_are_the_plain_ones(self) -> None:
        """Every comparison mirrored in the other order: η is 0 and says nothing about the scores."""
        games: Games = [(0, 1, True), (0, 1, False), (1, 2, True), (1, 2, False), (2, 0, True), (2, 0, False)]
        outcomes = table(3, games)
        fit = fit_with_position(outcomes)
        plain = fit_bradley_terry(3, [w for w, _, _ in games], [x for _, x, _ in games])
        assert fit.eta == pytest.approx(0, abs=1e-9)
        assert fit.theta == pytest.approx(plain.theta, abs=1e-9)
        assert fit.standard_error == pytest.approx(plain.standard_error, rel=1e-6)

    def test_two_equal_essays_by_hand(self) -> None:
        """Both orders, the first wins 30 of 40: η = log 3 nearly, SE = 1/√(40·p·(1-p))."""
        outcomes = np.zeros((2, 2, 2))
        outcomes[0, 1] = outcomes[1, 0] = [15, 5]
        fit = fit_with_position(outcomes)
        assert fit.theta == pytest.approx([0, 0], abs=1e-9)
        assert fit.eta == pytest.approx(np.log(3), abs=1e-3)
        assert fit.eta_standard_error == pytest.approx(1 / np.sqrt(40 * 0.75 * 0.25), rel=1e-3)

    def test_numpys_pseudo_inverse_gives_the_same_errors(self) -> None:
        outcomes = simulated(np.random.default_rng(2), np.linspace(1, -1, 5), 0.5, 3)
        fit = fit_with_position(outcomes)
        rows, weights = [], []
        for i in range(5):
            for j in range(5):
                if i == j:
                    continue
                design = np.zeros(6)
                design[[i, j, 5]] = 1, -1, 1
                p = 1 / (1 + np.exp(-design @ np.append(fit.theta, fit.eta)))
                rows.append(design)
                weights.append(3 * p * (1 - p))
        design_matrix = np.array(rows)
        covariance = np.linalg.pinv(design_matrix.T @ np.diag(weights) @ design_matrix)
        assert fit.standard_error == pytest.approx(np.sqrt(np.diag(covariance)[:5]), rel=1e-6)
        assert fit.eta_standard_error == pytest.approx(np.sqrt(covariance[5, 5]), rel=1e-6)


class TestEdges:
    def test_essay_a_wins_everything(self) -> None:
        games: Games = [(i, j, True) for i in range(4) for j in range(4) if i != j] * 3
        fit = fit_with_position(table(4, games))
        assert np.isfinite(fit.eta)
        assert fit.eta > 4
        assert fit.theta == pytest.approx(np.zeros(4), abs=1e-8)

    def test_a_tree_says_nothing_about_it(self) -> None:
        fit = fit_with_position(table(3, [(0, 1, True), (1, 2, True)]))
        assert np.isnan(fit.eta_standard_error)
        assert np.isfinite(fit.theta).all()
        assert np.isfinite(fit.eta)

    def test_without_comparisons(self) -> None:
        fit = fit_with_position(np.zeros((3, 3, 2)))
        assert fit.theta.tolist() == [0, 0, 0]
        assert fit.eta == 0
        assert np.isnan(fit.standard_error).all()
        assert np.isnan(fit.eta_standard_error)

    def test_without_items(self) -> None:
        assert fit_with_position(np.zeros((0, 0, 2))).theta.shape == (0,)

    def test_disconnected_and_uncompared(self) -> None:
        games: Games = [(0, 1, True), (1, 0, True), (2, 3, True), (3, 2, False)]
        fit = fit_with_position(table(5, games))
        assert np.isfinite(fit.standard_error[:4]).all()
        assert np.isnan(fit.standard_error[4])
        assert np.isfinite(fit.eta_standard_error)

    @pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
    def test_no_regularisation_is_refused(self, alpha: float) -> None:
        with pytest.raises(AlignmentDataError, match="alpha"):
            fit_with_position(np.zeros((2, 2, 2)), alpha)


class TestInvariance:
    @given(populations())
    @QUICK
    def test_swapping_the_positions_turns_only_the_sign(self, population: tuple[int, Games]) -> None:
        n, games = population
        before = fit_with_position(table(n, games))
        after = fit_with_position(table(n, [(w, x, not first) for w, x, first in games]))
        assert after.eta == pytest.approx(-before.eta, abs=1e-7)
        assert after.theta == pytest.approx(before.theta, abs=1e-7)

    @given(populations(), st.randoms(use_true_random=False))
    @QUICK
    def test_relabelling_permutes_the_scores(self, population: tuple[int, Games], random) -> None:
        n, games = population
        new = list(range(n))
        random.shuffle(new)
        before = fit_with_position(table(n, games))
        after = fit_with_position(table(n, [(new[w], new[x], first) for w, x, first in games]))
        assert after.theta[new] == pytest.approx(before.theta, abs=1e-7)
        assert after.eta == pytest.approx(before.eta, abs=1e-7)

    def test_many_at_once_equal_one_by_one(self) -> None:
        rng = np.random.default_rng(4)
        tables = rng.poisson(0.6, (40, 5, 5, 2)) * (1 - np.eye(5))[:, :, None]
        theta, eta = fit_outcomes(tables, start=np.linspace(3, -3, 5))
        for k, one in enumerate(tables):
            alone = fit_with_position(one)
            assert theta[k] == pytest.approx(alone.theta, abs=1e-8)
            assert eta[k] == pytest.approx(alone.eta, abs=1e-8)
        assert fit_outcomes(tables.reshape(5, 8, 5, 5, 2))[1].shape == (5, 8)

    def test_ignoring_a_strong_bias_costs_accuracy(self) -> None:
        """With unbalanced orders the plain fit takes the position for quality; this one does not."""
        rng = np.random.default_rng(5)
        theta = np.zeros(6)
        outcomes = simulated(rng, theta, 1.5, 60)
        outcomes[1:, :, 0] *= np.tri(6, k=0)[1:] == 0  # drop half of the orders: the earlier is essay A
        outcomes[..., 1] *= np.tri(6) > 0
        plain = fit_wins(outcomes.sum(axis=-1))
        assert abs(fit_with_position(outcomes).theta).max() < 0.5 * abs(plain).max()
