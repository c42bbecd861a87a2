"""Repeats of a run are draws of one judge: the same probabilities, independent answers, the first as ever."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_eng5.pipeline.provider.judge import (
    Simulation,
    fails,
    labelled_prompt,
    probability_a,
    simulated_judgement,
)
from pytest_eng5.runner import RunSpec, read_inventory
from pytest_eng5.runner.composition import compose_plan, simulation

REPEATS = 60


@pytest.fixture
def simulations(make_variant: Any, settings_of: Any) -> list[tuple[Simulation, dict[str, str]]]:
    """What the judge is told in each repeat, and the ids on the wire by the anchors' own."""
    variant = make_variant(repeats=REPEATS)
    inventory = read_inventory(variant.inputs_dir)
    found = []
    for repeat in range(1, REPEATS + 1):
        settings = settings_of(variant)
        settings.spec = RunSpec(variant, repeat)
        plan = compose_plan(settings, inventory)
        told = Simulation.model_validate(simulation(plan, variant)).model_copy(
            update={"discrimination": 0.5, "failure_rate": 0.3}
        )
        found.append((told, {essay.local_id: essay.essay_id for essay in plan.essays}))
    return found


def asked(told: Simulation, first: str, second: str, wording: int) -> tuple[bool, bool]:
    """Whether essay A wins, and whether the comparison fails; each wording stands for a pair of its own."""
    prompt = f"Which is better? {wording}\nA: {first}\nB: {second}"
    labelled = labelled_prompt(prompt, (first, second), told.labels)
    return simulated_judgement(told, labelled, first, second).winner == "Essay A", fails(told, labelled, 1)


def drawn(simulations: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Wins of essay A and failures, shape (repeats, questions), and the probabilities of the wins."""
    own = sorted(simulations[0][1])
    questions = [(a, b, wording) for a, b in combinations(own, 2) for wording in range(120 // len(own))]
    answers = np.array(
        [[asked(told, ids[a], ids[b], w) for a, b, w in questions] for told, ids in simulations], dtype=float
    )
    told, ids = simulations[0]
    p = np.array([probability_a(told, ids[a], ids[b]) for a, b, _ in questions])
    return answers[..., 0], answers[..., 1], p


def test_the_first_repeat_has_the_seed_of_the_scenario(simulations: Any, make_variant: Any) -> None:
    assert simulations[0][0].seed == make_variant().judge.mock.seed
    assert len({told.seed for told, _ in simulations}) == REPEATS


def test_the_ids_on_the_wire_do_not_matter(simulations: Any) -> None:
    told, ids = simulations[0]
    a, b = sorted(ids)[:2]
    other = {ids[a]: "x-1", ids[b]: "x-2"}
    renamed = told.model_copy(
        update={
            "qualities": {other[ids[name]]: told.qualities[ids[name]] for name in (a, b)},
            "labels": {other[ids[name]]: told.labels[ids[name]] for name in (a, b)},
        }
    )
    for wording in range(50):
        assert asked(told, ids[a], ids[b], wording) == asked(renamed, "x-1", "x-2", wording)


def test_two_repeats_agree_as_often_as_independent_answers_do(simulations: Any) -> None:
    wins, _, p = drawn(simulations)
    together = [(wins[i] == wins[j]).mean() for i, j in combinations(range(REPEATS), 2)]
    assert np.mean(together) == pytest.approx((p**2 + (1 - p) ** 2).mean(), abs=0.01)
    assert wins.mean(axis=0) == pytest.approx(p, abs=4.5 * 0.5 / np.sqrt(REPEATS))


def test_the_spread_between_repeats_is_that_of_the_judge(simulations: Any) -> None:
    wins, failures, p = drawn(simulations)
    assert wins.sum(axis=1).std(ddof=1) == pytest.approx(np.sqrt((p * (1 - p)).sum()), rel=0.3)
    assert failures.sum(axis=1).std(ddof=1) == pytest.approx(np.sqrt(0.21 * len(p)), rel=0.3)
