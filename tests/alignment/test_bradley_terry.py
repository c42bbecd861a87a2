"""Scores and standard errors against choix, a general optimiser, and the contract's golden vectors."""

from __future__ import annotations

import time

import choix
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pytest_eng5.alignment import (
    ALPHA,
    AlignmentDataError,
    fit_bradley_terry,
    fit_wins,
    information_matrix,
    standard_errors,
)

Games = list[tuple[int, int]]

TRANSITIVE = [(i, j) for i in range(12) for j in range(i + 1, 12)]
GOLDEN_12 = [5.360, 4.645, 3.846, 2.993, 2.089, 1.125, 0.089, -1.040, -2.292, -3.718, -5.421, -7.678]
FOUR = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (1, 0), (3, 2)]
GOLDEN_4 = [1.965913, 1.965913, -1.965913, -1.965913]


def fit(n: int, games: Games, alpha: float = ALPHA) -> np.ndarray:
    return fit_bradley_terry(n, [w for w, _ in games], [loser for _, loser in games], alpha).theta


def by_choix(n: int, games: Games, alpha: float = ALPHA, tol: float = 1e-13) -> np.ndarray:
    """The library of the pipeline, iterated until nothing moves any more."""
    theta = choix.ilsr_pairwise(n, games, alpha=alpha, max_iter=100_000, tol=tol)
    return np.asarray(theta - theta.mean())


def table(n: int, games: Games) -> np.ndarray:
    wins = np.zeros((n, n))
    for winner, loser in games:
        wins[winner, loser] += 1
    return wins


@st.composite
def populations(draw: st.DrawFn, max_items: int = 9, max_games: int = 40) -> tuple[int, Games]:
    n = draw(st.integers(2, max_items))
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] != p[1])
    return n, draw(st.lists(pair, min_size=1, max_size=max_games))


class TestGoldenVectors:
    def test_twelve_items_transitive(self) -> None:
        assert fit(12, TRANSITIVE) == pytest.approx(GOLDEN_12, abs=5e-4)

    def test_four_items(self) -> None:
        assert fit(4, FOUR) == pytest.approx(GOLDEN_4, abs=5e-7)

    def test_recorded_run(self, run_a259) -> None:
        assert fit(12, TRANSITIVE) == pytest.approx(run_a259.theta, abs=5e-4)

    @pytest.mark.parametrize(
        ("n", "games", "reference", "expected"),
        [
            (4, FOUR, 3, [2.0, 2.0, 1.388272, 0.0]),
            (4, FOUR, 1, [1.388272, 0.0, 2.0, 2.0]),
            (12, TRANSITIVE, 11, [2.0] * 11 + [0.0]),
            (12, TRANSITIVE, 0, [0.0, 1.5903, 1.6496, 1.7566, 1.8861] + [2.0] * 7),
        ],
    )
    def test_information_gives_the_contracts_reference_errors(
        self, n: int, games: Games, reference: int, expected: list[float]
    ) -> None:
        """Contract 8.1: information of all items but a reference, p clamped beyond 10 logits, cap 2.0."""
        wins = table(n, games)
        theta = fit_wins(wins)
        near = np.abs(theta[:, None] - theta[None, :]) <= 10
        information = information_matrix((wins + wins.T) * near, theta)
        others = [k for k in range(n) if k != reference]
        variance = np.diag(np.linalg.pinv(information[np.ix_(others, others)], rcond=1e-10))
        errors = np.zeros(n)
        errors[others] = np.minimum(np.sqrt(variance), 2.0)
        assert errors == pytest.approx(expected, abs=5e-5)


class TestAgainstChoix:
    @given(populations())
    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_same_estimate(self, population: tuple[int, Games]) -> None:
        n, games = population
        assert np.abs(fit(n, games) - by_choix(n, games)).max() < 1e-8

    @given(populations(), st.sampled_from([0.001, 0.01, 0.1, 1.0]))
    @settings(deadline=None, max_examples=50)
    def test_same_estimate_for_other_regularisations(
        self, population: tuple[int, Games], alpha: float
    ) -> None:
        n, games = population
        assert np.abs(fit(n, games, alpha) - by_choix(n, games, alpha)).max() < 1e-8

    @pytest.mark.parametrize("seed", range(20))
    def test_what_the_pipeline_stops_at_is_near(self, seed: int) -> None:
        """With choix's own stopping rule and its limit of 100 iterations, on full round-robins."""
        rng = np.random.default_rng(seed)
        quality = rng.normal(0, 2, 12)
        games = [
            (i, j) if rng.random() < 1 / (1 + np.exp(quality[j] - quality[i])) else (j, i)
            for i in range(12)
            for j in range(i + 1, 12)
        ]
        theta = choix.ilsr_pairwise(12, games, alpha=0.01)
        assert np.abs(fit(12, games) - (theta - theta.mean())).max() < 1e-7

    def test_golden_round_robin_to_1e_8(self) -> None:
        theta = choix.ilsr_pairwise(12, TRANSITIVE, alpha=0.01)
        assert np.abs(fit(12, TRANSITIVE) - (theta - theta.mean())).max() < 1e-8


class TestTheRegularisation:
    """The docstring claims that the fixed point maximises a named penalised likelihood."""

    @pytest.mark.parametrize("games", [FOUR, [(0, 1)], [(0, 1), (1, 2), (2, 3)], [(3, 0)] * 5], ids=str)
    def test_a_general_optimiser_finds_the_same(self, games: Games) -> None:
        n = 4

        def negative(theta: np.ndarray) -> float:
            likelihood = sum(-np.log1p(np.exp(theta[loser] - theta[w])) for w, loser in games)
            return float(-likelihood - ALPHA * n * np.sum(theta - np.exp(theta)))

        found = minimize(negative, np.zeros(n), method="BFGS", options={"gtol": 1e-10}).x
        assert fit(n, games) == pytest.approx(found - found.mean(), abs=1e-4)

    def test_balance_of_the_fixed_point(self) -> None:
        """Wins equal expected wins plus the pull of the regularisation, item by item."""
        wins = table(12, TRANSITIVE)
        theta = fit_wins(wins)
        weight = np.exp(theta) / np.exp(theta).mean()
        p = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
        expected = ((wins + wins.T) * p).sum(axis=1)
        assert wins.sum(axis=1) - expected + ALPHA * 12 * (1 - weight) == pytest.approx(0, abs=1e-9)

    def test_without_any_comparison_all_scores_are_zero(self) -> None:
        result = fit_bradley_terry(5, [], [])
        assert result.theta.tolist() == [0.0] * 5
        assert np.isnan(result.standard_error).all()

    def test_without_items(self) -> None:
        result = fit_bradley_terry(0, [], [])
        assert result.theta.shape == result.standard_error.shape == (0,)

    def test_one_item(self) -> None:
        assert fit_bradley_terry(1, [], []).theta.tolist() == [0.0]

    def test_an_item_that_always_wins_has_a_finite_score(self) -> None:
        theta = fit(3, [(0, 1), (0, 2), (1, 2), (2, 1)] * 50)
        assert np.isfinite(theta).all()
        assert theta[0] > theta[1] == pytest.approx(theta[2])

    def test_an_item_that_never_wins_is_last(self) -> None:
        theta = fit(3, [(0, 2), (1, 2), (0, 1), (1, 0)])
        assert theta.argmin() == 2
        assert np.isfinite(theta).all()

    def test_more_of_the_same_moves_an_unbeaten_item_further(self) -> None:
        once, often = fit(2, [(0, 1)]), fit(2, [(0, 1)] * 100)
        assert often[0] - often[1] > once[0] - once[1]

    def test_disconnected_groups_are_placed_by_the_regularisation_alone(self) -> None:
        theta = fit(4, [(0, 1), (2, 3)])
        assert theta[0] == pytest.approx(theta[2])
        assert theta[1] == pytest.approx(theta[3])
        assert theta == pytest.approx(by_choix(4, [(0, 1), (2, 3)]), abs=1e-8)

    def test_a_hundred_thousand_one_sided_comparisons(self) -> None:
        theta = fit(2, [(0, 1)] * 100_000)
        assert np.isfinite(theta).all()
        assert theta[0] - theta[1] > 10

    def test_a_long_chain(self) -> None:
        games = [(k, k + 1) for k in range(59)]
        theta = fit(60, games)
        assert (np.diff(theta) < 1e-12).all()
        assert theta == pytest.approx(by_choix(60, games), abs=1e-7)

    @pytest.mark.parametrize("alpha", [0.0, -0.01, float("nan")])
    def test_no_regularisation_is_refused(self, alpha: float) -> None:
        with pytest.raises(AlignmentDataError, match="alpha"):
            fit_bradley_terry(2, [0], [1], alpha)


class TestInvariance:
    @given(populations())
    @settings(deadline=None, max_examples=60)
    def test_scores_are_centred(self, population: tuple[int, Games]) -> None:
        assert abs(fit(*population).mean()) < 1e-12

    @given(populations(), st.randoms(use_true_random=False))
    @settings(deadline=None, max_examples=60)
    def test_order_of_events_changes_nothing(self, population: tuple[int, Games], random) -> None:
        n, games = population
        shuffled = list(games)
        random.shuffle(shuffled)
        assert (fit(n, games) == fit(n, shuffled)).all()

    @given(populations(), st.randoms(use_true_random=False))
    @settings(deadline=None, max_examples=60)
    def test_relabelling_permutes_the_scores(self, population: tuple[int, Games], random) -> None:
        n, games = population
        new = list(range(n))
        random.shuffle(new)
        renamed = fit(n, [(new[w], new[loser]) for w, loser in games])
        assert renamed[new] == pytest.approx(fit(n, games), abs=1e-9)

    @given(populations(max_items=6))
    @settings(deadline=None, max_examples=60)
    def test_one_more_win_never_lowers_the_winner_against_the_loser(
        self, population: tuple[int, Games]
    ) -> None:
        n, games = population
        winner, loser = games[0]
        before, after = fit(n, games), fit(n, [*games, (winner, loser)])
        assert after[winner] - after[loser] > before[winner] - before[loser] - 1e-12

    @given(populations(max_items=6))
    @settings(deadline=None, max_examples=60)
    def test_items_with_equal_records_against_equal_opponents_tie(
        self, population: tuple[int, Games]
    ) -> None:
        """Item n is given the same games as item 0, so their scores must be equal."""
        n, games = population
        others = [(w, loser) for w, loser in games if 0 not in (w, loser)]
        own = [(w, loser) for w, loser in games if 0 in (w, loser)]
        twin = [(n if w == 0 else w, n if loser == 0 else loser) for w, loser in own]
        theta = fit(n + 1, [*others, *own, *twin])
        assert theta[0] == pytest.approx(theta[n], abs=1e-10)


class TestBatches:
    @pytest.mark.parametrize("n", [2, 5, 12])
    def test_many_at_once_equal_one_by_one(self, n: int) -> None:
        rng = np.random.default_rng(n)
        wins = rng.poisson(0.7, (200, n, n)) * (1 - np.eye(n))
        together = fit_wins(wins)
        alone = np.stack([fit_wins(one) for one in wins])
        assert together.shape == (200, n)
        assert np.abs(together - alone).max() < 1e-10

    def test_the_start_does_not_matter(self) -> None:
        rng = np.random.default_rng(1)
        wins = rng.poisson(0.7, (50, 8, 8)) * (1 - np.eye(8))
        far = rng.normal(0, 8, (50, 8))
        assert np.abs(fit_wins(wins) - fit_wins(wins, start=far)).max() < 1e-9
        assert np.abs(fit_wins(wins) - fit_wins(wins, start=far[0])).max() < 1e-9

    def test_the_start_is_not_written_to(self) -> None:
        start = np.array([1.0, -1.0])
        fit_wins(np.array([[0.0, 1.0], [3.0, 0.0]]), start=start)
        assert start.tolist() == [1.0, -1.0]

    def test_several_leading_axes(self) -> None:
        wins = np.random.default_rng(2).poisson(1, (3, 4, 5, 5)) * (1 - np.eye(5))
        theta = fit_wins(wins)
        assert theta.shape == (3, 4, 5)
        assert theta[1, 2] == pytest.approx(fit_wins(wins[1, 2]), abs=1e-10)

    def test_an_empty_batch(self) -> None:
        assert fit_wins(np.zeros((0, 4, 4))).shape == (0, 4)

    def test_weights_need_not_be_whole(self) -> None:
        """Half the weight of everything is not the same data: the regularisation stays."""
        wins = table(4, FOUR)
        assert fit_wins(wins * 0.5) != pytest.approx(fit_wins(wins))
        assert fit_wins(wins * 1.0) == pytest.approx(fit_wins(wins))


class TestStandardErrors:
    @given(populations())
    @settings(deadline=None, max_examples=80)
    def test_equal_to_numpys_pseudo_inverse(self, population: tuple[int, Games]) -> None:
        n, games = population
        wins = table(n, games)
        theta = fit_wins(wins)
        p = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
        off = (wins + wins.T) * p * (1 - p)
        information = np.diag(off.sum(axis=1)) - off
        variance = np.diag(np.linalg.pinv(information, rcond=1e-13, hermitian=True))
        compared = (wins + wins.T).sum(axis=1) > 0
        found = standard_errors(wins, theta)
        assert np.isnan(found[~compared]).all()
        assert found[compared] == pytest.approx(np.sqrt(variance[compared]), rel=1e-5)

    def test_two_items_by_hand(self) -> None:
        """Two items, 4 draws each way: I = 2 [[1, -1], [-1, 1]], pinv = I / 16, SE = sqrt(1/8)."""
        result = fit_bradley_terry(2, [0] * 4 + [1] * 4, [1] * 4 + [0] * 4)
        assert result.theta == pytest.approx([0, 0], abs=1e-12)
        assert result.standard_error == pytest.approx([np.sqrt(1 / 8)] * 2)

    def test_four_times_the_data_halves_them(self) -> None:
        wins = table(4, FOUR)
        theta = fit_wins(wins)
        assert standard_errors(4 * wins, theta) == pytest.approx(standard_errors(wins, theta) / 2)

    def test_no_item_is_a_reference(self) -> None:
        """Relative to a reference item one error would be 0 (contract P16)."""
        errors = fit_bradley_terry(12, *zip(*TRANSITIVE, strict=True)).standard_error
        assert errors.min() > 0.5

    def test_symmetric_data_give_symmetric_errors(self) -> None:
        errors = fit_bradley_terry(4, *zip(*FOUR, strict=True)).standard_error
        assert errors == pytest.approx(errors[::-1], abs=1e-9)

    def test_shifting_the_scores_changes_nothing(self) -> None:
        wins = table(12, TRANSITIVE)
        theta = fit_wins(wins)
        assert standard_errors(wins, theta + 3.5) == pytest.approx(standard_errors(wins, theta), rel=1e-9)

    def test_groups_are_treated_apart(self) -> None:
        """A second, unconnected group changes nothing in the first one's information."""
        alone = standard_errors(table(2, [(0, 1), (1, 0)]), np.zeros(2))
        both = standard_errors(table(4, [(0, 1), (1, 0), (2, 3), (3, 2)]), np.zeros(4))
        assert both[:2] == pytest.approx(alone)

    def test_an_uncompared_item_has_none(self) -> None:
        errors = fit_bradley_terry(3, [0, 1], [1, 0]).standard_error
        assert np.isfinite(errors[:2]).all()
        assert np.isnan(errors[2])

    def test_they_describe_the_spread_of_repeats(self) -> None:
        """Simulated judges: the spread of the scores agrees with the standard errors to a tenth."""
        rng = np.random.default_rng(3)
        quality = np.linspace(1, -1, 6)
        p = 1 / (1 + np.exp(quality[None, :] - quality[:, None]))
        upper = np.triu_indices(6, 1)
        won = rng.binomial(60, p[upper], size=(2000, 15))
        wins = np.zeros((2000, 6, 6))
        wins[:, upper[0], upper[1]] = won
        wins[:, upper[1], upper[0]] = 60 - won
        theta = fit_wins(wins)
        assert theta.std(axis=0) == pytest.approx(standard_errors(wins, theta).mean(axis=0), rel=0.1)


class TestRefusals:
    def test_lengths_that_differ(self) -> None:
        with pytest.raises(AlignmentDataError, match="2 winners but 1 losers"):
            fit_bradley_terry(3, [0, 1], [1])

    @pytest.mark.parametrize(("winner", "loser"), [(3, 0), (0, 3), (-1, 0)])
    def test_positions_outside(self, winner: int, loser: int) -> None:
        with pytest.raises(AlignmentDataError, match=r"0\.\.2"):
            fit_bradley_terry(3, [winner], [loser])

    def test_an_item_against_itself(self) -> None:
        with pytest.raises(AlignmentDataError, match="itself"):
            fit_bradley_terry(3, [1], [1])


def test_ten_thousand_fits_take_about_a_second() -> None:
    rng = np.random.default_rng(0)
    quality = np.linspace(2, -2, 12)
    p = 1 / (1 + np.exp(quality[None, :] - quality[:, None]))
    upper = np.triu_indices(12, 1)
    won = rng.binomial(1, p[upper], size=(10_000, 66))
    wins = np.zeros((10_000, 12, 12))
    wins[:, upper[0], upper[1]] = won
    wins[:, upper[1], upper[0]] = 1 - won
    begin = time.process_time()  # wall time would measure the machine's other work
    fit_wins(wins)
    took = time.process_time() - begin
    print(f"10,000 Bradley-Terry fits of 12 items: {took:.2f} s")
    assert took < 10
