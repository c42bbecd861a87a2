"""Fits from the literature: estimates and standard errors that others published.

Baseball, American League 1987, eastern division: Agresti (1990), *Categorical Data Analysis*, table 10.10;
the fits with and without home advantage as printed by the R package BradleyTerry2 (Turner and Firth 2012,
Journal of Statistical Software 48(9)), relative to Baltimore. They are maximum-likelihood estimates, so ours
are made with next to no regularisation.
"""

from __future__ import annotations

import numpy as np
import pytest

from pytest_eng5.alignment import fit_wins, fit_with_position, standard_errors
from pytest_eng5.alignment.reference_errors import reference_standard_errors

TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
# Rows: home team; in each column what it won and lost at home against that team.
AT_HOME = (
    ((0, 0), (4, 3), (4, 2), (4, 3), (6, 1), (4, 2), (6, 0)),
    ((3, 3), (0, 0), (4, 2), (4, 3), (6, 0), (6, 1), (4, 3)),
    ((2, 5), (4, 3), (0, 0), (2, 4), (4, 3), (4, 2), (6, 0)),
    ((3, 3), (5, 1), (2, 5), (0, 0), (4, 3), (4, 2), (6, 1)),
    ((5, 1), (2, 5), (3, 3), (4, 2), (0, 0), (5, 2), (6, 0)),
    ((2, 5), (3, 3), (3, 4), (4, 3), (4, 2), (0, 0), (2, 4)),
    ((2, 5), (1, 5), (1, 6), (2, 4), (1, 6), (3, 4), (0, 0)),
)
WITHOUT_HOME = {
    "Boston": (1.1077, 0.3339),
    "Cleveland": (0.6839, 0.3319),
    "Detroit": (1.4364, 0.3396),
    "Milwaukee": (1.5814, 0.3433),
    "New York": (1.2476, 0.3359),
    "Toronto": (1.2945, 0.3367),
}
WITH_HOME = {
    "Boston": 1.1438,
    "Cleveland": 0.7047,
    "Detroit": 1.4754,
    "Milwaukee": 1.6196,
    "New York": 1.2813,
    "Toronto": 1.3271,
}
HOME = (0.3023, 0.1309)
NEARLY_NONE = 1e-9


@pytest.fixture(scope="module")
def outcomes() -> np.ndarray:
    """The home team is essay A."""
    results = np.array(AT_HOME, dtype=float)
    table = np.zeros((7, 7, 2))
    table[..., 0] = results[..., 0]
    table[..., 1] = results[..., 1].T
    return table


def relative(theta: np.ndarray) -> dict[str, float]:
    return {team: float(score - theta[-1]) for team, score in zip(TEAMS, theta, strict=True)}


def test_the_data_are_the_published_table(outcomes: np.ndarray) -> None:
    wins = outcomes.sum(axis=-1)
    assert ((wins + wins.T)[~np.eye(7, dtype=bool)] == 13).all()
    assert wins.sum(axis=1).tolist() == [50, 47, 44, 43, 40, 31, 18]


def test_scores_without_home_advantage(outcomes: np.ndarray) -> None:
    found = relative(fit_wins(outcomes.sum(axis=-1), NEARLY_NONE))
    for team, (estimate, _) in WITHOUT_HOME.items():
        assert found[team] == pytest.approx(estimate, abs=6e-5), team


def test_their_standard_errors(outcomes: np.ndarray) -> None:
    wins = outcomes.sum(axis=-1)
    errors = reference_standard_errors(wins, fit_wins(wins, NEARLY_NONE), TEAMS.index("Baltimore"))
    found = dict(zip(TEAMS, errors, strict=True))
    for team, (_, error) in WITHOUT_HOME.items():
        assert found[team] == pytest.approx(error, abs=6e-5), team


def test_sum_to_zero_errors_are_smaller_and_alike(outcomes: np.ndarray) -> None:
    """Without a reference the noise of Baltimore's score is not added to every other's."""
    wins = outcomes.sum(axis=-1)
    errors = standard_errors(wins, fit_wins(wins, NEARLY_NONE))
    assert (errors < 0.26).all()
    assert (errors > 0.2).all()


def test_home_advantage_and_its_error(outcomes: np.ndarray) -> None:
    fit = fit_with_position(outcomes, NEARLY_NONE)
    assert (fit.eta, fit.eta_standard_error) == pytest.approx(HOME, abs=6e-5)


def test_scores_with_home_advantage(outcomes: np.ndarray) -> None:
    found = relative(fit_with_position(outcomes, NEARLY_NONE).theta)
    for team, estimate in WITH_HOME.items():
        assert found[team] == pytest.approx(estimate, abs=6e-5), team


def test_the_usual_regularisation_moves_them_by_less_than_a_tenth_of_an_error(outcomes: np.ndarray) -> None:
    wins = outcomes.sum(axis=-1)
    exact, usual = fit_wins(wins, NEARLY_NONE), fit_wins(wins)
    assert np.abs(exact - usual).max() < 0.1 * 0.2
