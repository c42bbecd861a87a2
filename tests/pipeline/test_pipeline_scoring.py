"""Bradley-Terry scores: the contract's golden vectors, and its written-out iteration as an oracle."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import LinAlgWarning

from pytest_eng5.pipeline.cj import scoring
from pytest_eng5.pipeline.cj.scoring import bradley_terry, max_score_change, ranking
from pytest_eng5.pipeline.errors import ServiceError

ROUND_ROBIN = [5.360, 4.645, 3.846, 2.993, 2.089, 1.125, 0.089, -1.040, -2.292, -3.718, -5.421, -7.678]


def iterated(n: int, data: list[tuple[int, int]]) -> np.ndarray:
    """The iteration as contract 8.1 words it, written without choix."""
    theta = np.zeros(n)
    for _ in range(100):
        weights = np.exp(theta - theta.mean())
        weights *= n / weights.sum()
        matrix = np.full((n, n), 0.01)
        for winner, loser in data:
            matrix[loser, winner] += 1 / (weights[winner] + weights[loser])
        np.fill_diagonal(matrix, 0)
        np.fill_diagonal(matrix, -matrix.sum(axis=1))
        system = np.vstack([matrix.T, np.ones(n)])
        stationary = np.linalg.lstsq(system, np.append(np.zeros(n), 1.0), rcond=None)[0]
        new = np.log(stationary)
        new -= new.mean()
        done = np.abs(new - theta).sum() <= 1e-8 * n
        theta = new
        if done:
            return theta
    raise AssertionError("the oracle did not settle")


def test_golden_transitive_round_robin() -> None:
    theta = bradley_terry(12, list(itertools.combinations(range(12), 2)))
    assert theta.tolist() == pytest.approx(ROUND_ROBIN, abs=5e-4)


def test_golden_four_items() -> None:
    data = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (1, 0), (3, 2)]
    assert bradley_terry(4, data).tolist() == pytest.approx([1.965913] * 2 + [-1.965913] * 2, abs=1e-6)


@st.composite
def outcomes(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    n = draw(st.integers(2, 7))
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] != p[1])
    return n, draw(st.lists(pair, min_size=1, max_size=30))


@given(outcomes())
def test_scores_equal_the_written_out_iteration(situation: tuple[int, list[tuple[int, int]]]) -> None:
    n, data = situation
    assert bradley_terry(n, data).tolist() == pytest.approx(iterated(n, data).tolist(), abs=1e-5)


@given(outcomes(), st.randoms(use_true_random=False))
def test_scores_are_centred_and_follow_the_items(
    situation: tuple[int, list[tuple[int, int]]], random: object
) -> None:
    n, data = situation
    theta = bradley_terry(n, data)
    assert theta.sum() == pytest.approx(0, abs=1e-9)
    order = list(range(n))
    random.shuffle(order)  # type: ignore[attr-defined]
    renamed = bradley_terry(n, [(order[winner], order[loser]) for winner, loser in data])
    assert [renamed[order[item]] for item in range(n)] == pytest.approx(theta.tolist(), abs=1e-6)


def test_an_item_without_comparisons_gets_a_score_too() -> None:
    theta = bradley_terry(3, [(0, 1)])
    assert theta[0] > theta[2] > theta[1]


def test_nothing_compared_is_said_by_its_code() -> None:
    with pytest.raises(ServiceError) as caught:
        bradley_terry(3, [])
    assert caught.value.code == "CJ_INSUFFICIENT_COMPARISONS"


def test_scores_that_do_not_settle_are_said_by_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise RuntimeError("Did not converge after 100 iterations")

    monkeypatch.setattr(scoring.load_choix(), "ilsr_pairwise", never)
    with pytest.raises(ServiceError, match="Did not converge") as caught:
        bradley_terry(2, [(0, 1)])
    assert caught.value.code == "CJ_SCORE_CONVERGENCE_FAILED"


@pytest.mark.filterwarnings("error")
def test_a_generator_that_is_exactly_singular_is_nothing_to_warn_of(monkeypatch: pytest.MonkeyPatch) -> None:
    choix = scoring.load_choix()
    exact = choix.ilsr_pairwise

    def rounded(*arguments: Any, **more: Any) -> Any:
        warnings.warn("Diagonal number 4 is exactly zero. Singular matrix.", LinAlgWarning, stacklevel=1)
        return exact(*arguments, **more)

    monkeypatch.setattr(choix, "ilsr_pairwise", rounded)
    assert ranking(bradley_terry(3, [(0, 1), (1, 2), (0, 2)]).tolist()) == [0, 1, 2]


def test_change_is_the_largest_of_any_essay() -> None:
    before, after = np.array([0.0, 1.0, -1.0]), np.array([0.1, 0.5, -0.6])
    assert max_score_change(after, before) == pytest.approx(0.5)
    assert max_score_change(after, None) is None


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20))
def test_ranking_is_best_first_and_ties_keep_the_requests_order(theta: list[float]) -> None:
    order = ranking(theta)
    assert sorted(order) == list(range(len(theta)))
    for better, worse in itertools.pairwise(order):
        assert theta[better] > theta[worse] or (theta[better] == theta[worse] and better < worse)
