"""Errors relative to one item: golden vectors of contract 8.1; grounded inversion, simulation as oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.alignment import AlignmentDataError, fit_bradley_terry, fit_wins
from pytest_eng5.alignment.reference_errors import reference_standard_errors


def table(n: int, games: list[tuple[int, int]]) -> np.ndarray:
    wins = np.zeros((n, n))
    for winner, loser in games:
        wins[winner, loser] += 1
    return wins


def grounded(wins: np.ndarray, theta: np.ndarray, reference: int) -> list[float]:
    """Pseudo-inverse without the reference's row and column, comparison by comparison, as 8.1 words it."""
    n = len(theta)
    information = np.zeros((n, n))
    for i, j in np.ndindex(n, n):
        p = 1 / (1 + np.exp(theta[j] - theta[i]))
        v = wins[i, j] * (p * (1 - p) if abs(theta[i] - theta[j]) <= 10 else 0)
        information += v * np.outer(np.eye(n)[i] - np.eye(n)[j], np.eye(n)[i] - np.eye(n)[j])
    others = [i for i in range(n) if i != reference]
    covariance = np.linalg.pinv(information[np.ix_(others, others)], rcond=1e-10)
    errors = np.zeros(n)
    errors[others] = np.minimum(np.sqrt(np.maximum(covariance.diagonal(), 0)), 2.0)
    return errors.tolist()


def test_golden_round_robin() -> None:
    wins = np.triu(np.ones((12, 12)), 1)
    theta = fit_wins(wins)
    assert reference_standard_errors(wins, theta, 11).tolist() == [2.0] * 11 + [0.0]
    expected = [0, 1.5903, 1.6496, 1.7566, 1.8861, *[2.0] * 7]
    assert reference_standard_errors(wins, theta, 0).tolist() == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("reference", "expected"), [(3, [2.0, 2.0, 1.388272, 0]), (1, [1.388272, 0, 2.0, 2.0])]
)
def test_golden_four_items(reference: int, expected: list[float]) -> None:
    wins = table(4, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (1, 0), (3, 2)])
    assert reference_standard_errors(wins, fit_wins(wins), reference).tolist() == pytest.approx(
        expected, abs=5e-7
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    n = draw(st.integers(2, 7))
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] != p[1])
    wins = table(n, draw(st.lists(pair, min_size=1, max_size=30)))
    theta = draw(st.lists(st.integers(-900, 900), min_size=n, max_size=n))
    return wins, np.array(theta) / 100, draw(st.integers(0, n - 1))


@given(situations())
def test_component_by_component_equals_the_grounded_inverse(
    situation: tuple[np.ndarray, np.ndarray, int],
) -> None:
    wins, theta, reference = situation
    found = reference_standard_errors(wins, theta, reference)
    assert found.tolist() == pytest.approx(grounded(wins, theta, reference), abs=1e-6)


def test_errors_foretell_the_spread_of_repeated_fits() -> None:
    """400 repetitions of 25 comparisons per pair: the spread of θi − θr is its error, within 15 %."""
    rng = np.random.default_rng(5)
    truth = np.array([0.9, 0.3, -0.2, -1.0])
    p = 1 / (1 + np.exp(truth[None, :] - truth[:, None]))
    upper = np.triu(rng.binomial(25, p, size=(400, 4, 4)), 1).astype(float)
    wins = upper + np.swapaxes(np.triu(25 - upper, 1), -1, -2)
    fitted = fit_wins(wins)
    spread = (fitted - fitted[:, [3]]).std(axis=0)
    expected = reference_standard_errors(np.triu(25 * p, 1) + np.tril(25 * p, -1), truth, 3)
    assert spread[:3].tolist() == pytest.approx(expected[:3].tolist(), rel=0.15)
    assert spread[3] == expected[3] == 0


def test_errors_depend_on_the_reference_where_sum_to_zero_errors_do_not() -> None:
    fit = fit_bradley_terry(3, [0, 0, 1, 1, 2], [1, 2, 2, 0, 0])
    errors = {tuple(reference_standard_errors(fit.wins, fit.theta, r).round(6)) for r in range(3)}
    assert len(errors) == 3


@pytest.mark.parametrize(
    ("wins", "theta", "expected"),
    [
        (np.zeros((0, 0)), [], []),
        ([[0]], [0.3], [0]),
        (np.zeros((3, 3)), [0, 0, 0], [0.5, 0.5, 0.5]),
        ([[0, 0, 0], [4, 0, 0], [0, 0, 0]], [0, 0, 0], [0, 1, 0]),
        ([[0, 1], [0, 0]], [5.01, -5], [0, 0]),
        ([[0, 1], [0, 0]], [5.0, -5], [0, 2]),
    ],
    ids=["no items", "one item", "nothing compared", "an isolated item", "certain", "nearly certain"],
)
def test_without_information_errors_have_fixed_values(
    wins: object, theta: list[float], expected: list[float]
) -> None:
    assert reference_standard_errors(wins, theta, 0).tolist() == pytest.approx(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("theta", "reference", "message"),
    [([0.0, 1.0, 2.0], 0, "does not fit 3 scores"), ([0.0, 1.0], 2, "none of the 2"), ([0.0, 1.0], -1, "-1")],
)
def test_what_does_not_fit_is_refused(theta: list[float], reference: int, message: str) -> None:
    with pytest.raises(AlignmentDataError, match=message):
        reference_standard_errors(np.ones((2, 2)) - np.eye(2), theta, reference)
