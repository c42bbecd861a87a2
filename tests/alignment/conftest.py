"""Ways to write a population down in a test, and the published reference runs (contract section 14)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from pytest_eng5.alignment import AlignmentData

# Contract section 11, best first; written out here rather than imported.
ORDER = ("A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "D-", "E+", "E", "E-", "F+", "F")

Game = tuple[int, int] | tuple[int, int, str]
Make = Callable[..., AlignmentData]


def rank(grade: str | None) -> int | None:
    if grade is None or grade not in (*ORDER, *"9876543210"):
        return None
    return ORDER.index(grade) if grade in ORDER else 9 - int(grade)


def make_population(
    grades: Sequence[str | None], games: Sequence[Game], ids: Sequence[str] | None = None
) -> AlignmentData:
    """Games are (winner, loser) or (winner, loser, position of the winner: "A" or "B")."""
    names = [f"anchor-{k}" for k in range(len(grades))] if ids is None else list(ids)
    rows = [(game[0], game[1], game[2] if len(game) == 3 else "A") for game in games]
    return AlignmentData.build(
        ids=names,
        grades=grades,
        grade_ranks=[rank(grade) for grade in grades],
        winners=[names[w] for w, _, _ in rows],
        losers=[names[loser] for _, loser, _ in rows],
        first=[names[w if position == "A" else loser] for w, loser, position in rows],
        request_id=[f"request-{k}" for k in range(len(rows))],
    )


@pytest.fixture(scope="session")
def make() -> Make:
    return make_population


def round_robin(n: int, upsets: Sequence[tuple[int, int]] = ()) -> list[tuple[int, int]]:
    """Everybody meets everybody once, the earlier one wins except in the upsets (winner, loser)."""
    upset = set(upsets)
    return [(j, i) if (j, i) in upset else (i, j) for i in range(n) for j in range(i + 1, n)]


@pytest.fixture(scope="session")
def full_round() -> Callable[..., list[tuple[int, int]]]:
    return round_robin


@dataclass(frozen=True)
class Published:
    """A reference run: what was published about it, and the games if these were."""

    ids: tuple[str, ...]
    grades: tuple[str, ...]
    theta: tuple[float, ...]
    wins: tuple[int, ...]
    losses: tuple[int, ...]
    ranks: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", tuple(ORDER.index(grade) for grade in self.grades))


@pytest.fixture(scope="session")
def batch108() -> Published:
    """Contract 14.1: anchors of batch 108, wins and losses include games against students."""
    rows = (
        ("ANCHOR_12", "A", 14, 3, 3.7212),
        ("ANCHOR_2", "B", 12, 5, 2.9503),
        ("ANCHOR_5", "B", 12, 5, 2.9353),
        ("ANCHOR_10", "A", 12, 5, 2.3140),
        ("ANCHOR_6", "C+", 7, 10, -0.0322),
        ("ANCHOR_9", "D+", 6, 10, -1.8802),
        ("ANCHOR_3", "C-", 4, 12, -1.9957),
        ("ANCHOR_11", "E+", 4, 12, -3.2394),
        ("ANCHOR_8", "D-", 3, 14, -4.0535),
        ("ANCHOR_4", "F+", 2, 15, -5.0355),
        ("ANCHOR_1", "F+", 1, 16, -6.3122),
        ("ANCHOR_7", "E-", 0, 17, -7.9908),
    )
    ids, grades, wins, losses, theta = zip(*rows, strict=True)
    return Published(ids, grades, theta, wins, losses)


@pytest.fixture(scope="session")
def batch108_games(batch108: Published) -> AlignmentData:
    """Contract 14.1: the anchor-against-anchor games that were published, and the five inversions."""
    beaten_by = {
        3: [2, 6],
        9: [12, 10, 2, 5, 6, 3],
        7: [2, 5, 6, 9, 8, 11, 4, 1],
        10: [2, 5],
        8: [3, 9, 11],
        11: [3, 9],
        1: [3, 9],
        4: [9],
    }
    first = {(11, 8): "A", (1, 7): "B", (4, 7): "A"}
    number = {int(name.split("_")[1]): k for k, name in enumerate(batch108.ids)}
    games = [
        (number[winner], number[loser], first.get((winner, loser), "A"))
        for loser, winners in beaten_by.items()
        for winner in winners
    ]
    return make_population(batch108.grades, games, batch108.ids)


@pytest.fixture(scope="session")
def run_a259() -> Published:
    """Contract 14.3: run a259881c, a fully transitive round-robin of 66 comparisons."""
    rows = (
        ("78DB411E", "A", 5.360),
        ("8DE763C1", "A", 4.645),
        ("71E159F0", "B", 3.846),
        ("426FE254", "B", 2.993),
        ("B8904D4E", "C+", 2.089),
        ("C579C625", "C-", 1.125),
        ("77B700CC", "D+", 0.089),
        ("EF692795", "D-", -1.040),
        ("50C4F68E", "E+", -2.292),
        ("73127661", "E-", -3.718),
        ("D298E687", "F+", -5.421),
        ("363940D5", "F+", -7.678),
    )
    ids, grades, theta = zip(*rows, strict=True)
    return Published(ids, grades, theta, tuple(range(11, -1, -1)), tuple(range(12)))


@pytest.fixture(scope="session")
def run_a259_data(run_a259: Published) -> AlignmentData:
    return make_population(run_a259.grades, round_robin(12), run_a259.ids)
