"""The simulated judge: its statistics, that it repeats itself across processes, and the mock's coin."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import expit
from scipy.stats import binomtest, kstest

from pytest_eng5.contracts import wire_essay_id
from pytest_eng5.pipeline.cj.prompts import JudgeContext, compose_blocks
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.provider.journal import Journal
from pytest_eng5.pipeline.provider.judge import (
    Simulation,
    default_judgement,
    essay_hash,
    essay_texts,
    fails,
    labelled_prompt,
    logistic,
    probability_a,
    simulated_judgement,
    uniform_draw,
)
from pytest_eng5.pipeline.provider.simulations import SimulationBook
from pytest_eng5.pipeline.settings import LLMProviderSettings

SETTINGS = LLMProviderSettings()
A, B = "student::0a", "student::0b"


def simulation(**changes: object) -> Simulation:
    values: dict[str, object] = {"qualities": {A: 1.0, B: 0.0}, "labels": {A: "one", B: "two"}, "seed": 7}
    return Simulation.model_validate(values | changes)


def wins_of_a(judge: Simulation, times: int) -> int:
    answers = (simulated_judgement(judge, f"prompt number {i}", A, B) for i in range(times))
    return sum(answer.winner == "Essay A" for answer in answers)


@pytest.mark.parametrize(
    ("discrimination", "bias"), [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (1.0, 0.8), (0.5, -1.5), (3.0, -0.4)]
)
def test_wins_follow_the_logistic_law(discrimination: float, bias: float) -> None:
    judge = simulation(discrimination=discrimination, position_bias=bias)
    expected = float(expit(discrimination * 1.0 + bias))
    assert probability_a(judge, A, B) == pytest.approx(expected, abs=1e-12)
    outcome = binomtest(wins_of_a(judge, 4000), 4000, expected)
    assert outcome.pvalue > 1e-4


@pytest.mark.parametrize("seed", range(5))
def test_the_law_holds_for_every_seed(seed: int) -> None:
    judge = simulation(seed=seed, discrimination=1.5)
    assert binomtest(wins_of_a(judge, 2000), 2000, float(expit(1.5))).pvalue > 1e-4


def test_a_wrong_law_would_be_noticed() -> None:
    """The tests above can fail: a tenth of a logit more discrimination per essay is far outside."""
    judge = simulation(discrimination=1.5)
    assert binomtest(wins_of_a(judge, 4000), 4000, float(expit(1.8))).pvalue < 1e-4


def test_swapping_the_essays_mirrors_the_probability_but_for_the_bias() -> None:
    judge = simulation(discrimination=2.0)
    assert probability_a(judge, A, B) + probability_a(judge, B, A) == pytest.approx(1.0)
    biased = simulation(discrimination=2.0, position_bias=0.5)
    assert probability_a(biased, A, B) + probability_a(biased, B, A) > 1.0


def test_the_draw_is_what_the_documentation_says() -> None:
    text = "the labelled prompt"
    first = int.from_bytes(hashlib.sha256(f"7\n{text}".encode()).digest()[:8], "big") >> 11
    judge = simulation()
    expected = "Essay A" if first / 2**53 < float(expit(1.0)) else "Essay B"
    assert simulated_judgement(judge, text, A, B).winner == expected
    assert uniform_draw(7, text) == first / 2**53


def test_draws_are_uniform() -> None:
    draws = [uniform_draw("seed", i) for i in range(5000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert kstest(draws, "uniform").pvalue > 1e-3


@given(st.floats(-1e6, 1e6))
def test_the_logistic_equals_scipys(x: float) -> None:
    assert logistic(x) == pytest.approx(float(expit(x)), rel=1e-12, abs=1e-300)


def test_an_unknown_essay_has_no_quality() -> None:
    with pytest.raises(KeyError):
        probability_a(simulation(), A, "student::unknown")


def test_labels_make_the_answer_independent_of_the_runs_ids() -> None:
    answers = set()
    for batch in ("batch-1", "batch-2", "batch-3"):
        first, second = wire_essay_id(batch, "x"), wire_essay_id(batch, "y")
        prompt = f"**Essay A (ID: {first}):**\ntext\n\n**Essay B (ID: {second}):**\nother"
        labelled = labelled_prompt(prompt, (first, second), {first: "x", second: "y"})
        assert labelled == "**Essay A (ID: x):**\ntext\n\n**Essay B (ID: y):**\nother"
        judge = simulation(qualities={first: 0.3, second: 0.1})
        answers.add(simulated_judgement(judge, labelled, first, second))
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("ids", "labels", "prompt", "expected"),
    [
        (("s::1", "s::12"), {"s::1": "a", "s::12": "b"}, "s::1 s::12 s::1", "a b a"),
        (("s::12", "s::1"), {"s::1": "a", "s::12": "b"}, "s::12s::1", "ba"),
        (("x", "y"), {"x": "y", "y": "x"}, "x y", "y x"),
        (("x", "y"), {}, "x y", "x y"),
        (("x", "y"), {"x": "1"}, "no ids", "no ids"),
    ],
)
def test_ids_are_replaced_in_one_pass(
    ids: tuple[str, str], labels: dict[str, str], prompt: str, expected: str
) -> None:
    assert labelled_prompt(prompt, ids, labels) == expected


_IN_ANOTHER_PROCESS = """
import json, sys
from pytest_eng5.pipeline.provider.judge import *
from pytest_eng5.pipeline.settings import LLMProviderSettings
judge = Simulation.model_validate(json.loads(sys.argv[1]))
out = [simulated_judgement(judge, f"p{i}", "student::0a", "student::0b") for i in range(50)]
out += [default_judgement(f"p{i}", LLMProviderSettings()) for i in range(50)]
print(json.dumps([[j.winner, j.confidence, j.justification] for j in out]))
"""


def test_answers_are_the_same_in_every_process() -> None:
    body = simulation(discrimination=0.7).model_dump_json()
    printed = {
        subprocess.run(
            [sys.executable, "-c", _IN_ANOTHER_PROCESS, body],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    judge = simulation(discrimination=0.7)
    here = [simulated_judgement(judge, f"p{i}", A, B) for i in range(50)]
    assert [[j.winner, j.confidence, j.justification] for j in here] == json.loads(printed.pop())[:50]


@given(st.floats(-4, 4), st.floats(0, 3), st.floats(-2, 2), st.integers(0, 10**6))
def test_confidence_follows_the_margin_and_the_wire_takes_it(
    difference: float, discrimination: float, bias: float, seed: int
) -> None:
    judge = simulation(
        qualities={A: difference, B: 0.0}, discrimination=discrimination, position_bias=bias, seed=seed
    )
    answer = simulated_judgement(judge, "prompt", A, B)
    margin = abs(float(expit(discrimination * difference + bias)) - 0.5)
    assert answer.confidence == pytest.approx(1 + 8 * margin, abs=0.006)
    assert 1.0 <= answer.confidence <= 5.0


def test_justifications_are_short_varied_and_fit_the_winner() -> None:
    close, clear = simulation(discrimination=0.1), simulation(discrimination=9.0)
    for judge in (close, clear):
        answers = [simulated_judgement(judge, f"p{i}", A, B) for i in range(60)]
        texts = {answer.justification.replace(answer.winner, "W") for answer in answers}
        assert len(texts) >= 3
        for answer in answers:
            assert len(answer.justification) <= 120
            assert answer.winner in answer.justification
            assert A not in answer.justification
            assert B not in answer.justification
    close_words = {simulated_judgement(close, f"p{i}", A, B).justification for i in range(60)}
    clear_words = {simulated_judgement(clear, f"p{i}", A, B).justification for i in range(60)}
    assert not close_words & clear_words


def test_failures_have_their_rate_and_are_drawn_anew_at_every_attempt() -> None:
    judge = simulation(failure_rate=0.3)
    first = [fails(judge, f"p{i}", 0) for i in range(3000)]
    assert binomtest(sum(first), 3000, 0.3).pvalue > 1e-4
    again = [fails(judge, f"p{i}", 1) for i in range(3000) if first[i]]
    assert binomtest(sum(again), len(again), 0.3).pvalue > 1e-4
    assert first == [fails(judge, f"p{i}", 0) for i in range(3000)]


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0), (1.0, 500)])
def test_no_failures_and_nothing_but_failures(rate: float, expected: int) -> None:
    judge = simulation(failure_rate=rate)
    assert sum(fails(judge, f"p{i}", 0) for i in range(500)) == expected


def test_failures_do_not_lean_on_the_winner() -> None:
    """Failing must not bias what remains: winners among failed and other prompts have the same law."""
    judge = simulation(failure_rate=0.5, discrimination=1.0)
    failed = [i for i in range(4000) if fails(judge, f"p{i}", 0)]
    wins = sum(simulated_judgement(judge, f"p{i}", A, B).winner == "Essay A" for i in failed)
    assert binomtest(wins, len(failed), float(expit(1.0))).pvalue > 1e-4


@pytest.mark.parametrize(
    "changes",
    [
        {"qualities": {A: math.nan}},
        {"qualities": {A: math.inf}},
        {"failure_rate": 1.1},
        {"failure_rate": -0.1},
        {"latency_ms": -1},
        {"discrimination": math.inf},
        {"position_bias": math.nan},
        {"descrimination": 1.0},
        {"seed": "x"},
    ],
)
def test_nonsense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        simulation(**changes)


@given(st.text())
def test_the_mocks_coin_is_the_parity_of_the_hash(prompt: str) -> None:
    raw = prompt.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(raw).hexdigest()
    expected = "Essay A" if int(digest[7], 16) % 2 == 0 else "Essay B"
    answer = default_judgement(prompt, SETTINGS)
    assert answer.winner == expected
    assert 4.2 / 5 * 4 + 1 - 0.01 <= answer.confidence <= 4.8 / 5 * 4 + 1 + 0.01


def test_the_mocks_confidence_without_jitter_is_the_contracts() -> None:
    assert default_judgement("x", LLMProviderSettings(mock_confidence_jitter=0)).confidence == pytest.approx(
        4.6
    )


def test_the_book_counts_attempts_by_batch_and_starts_anew_on_registration() -> None:
    book = SimulationBook()
    book.register("one", simulation())
    book.register("two", simulation())
    assert [book.attempt("one", "p"), book.attempt("one", "p"), book.attempt("one", "q")] == [0, 1, 0]
    assert book.attempt("two", "p") == 0
    book.register("one", simulation(seed=8))
    assert book.attempt("one", "p") == 0
    found = book.find("one")
    assert found is not None
    assert found.seed == 8


@pytest.mark.parametrize("batch_id", ["three", None, 3, ["one"]])
def test_the_book_knows_nothing_of_other_batches(batch_id: object) -> None:
    assert SimulationBook().find(batch_id) is None


def test_tau_rises_with_discrimination() -> None:
    """What the judge is for: its agreement with the qualities is governed by one number."""
    ids = [f"e{i}" for i in range(12)]
    agreement = []
    for discrimination in (0.0, 0.5, 2.0):
        judge = Simulation(
            qualities={name: -0.5 * i for i, name in enumerate(ids)}, discrimination=discrimination
        )
        random, right = Random(1), 0
        for trial in range(1500):
            i, j = random.sample(range(12), 2)
            winner = simulated_judgement(judge, f"{trial}", ids[i], ids[j]).winner
            right += (winner == "Essay A") == (i < j)
        agreement.append(right / 1500)
    assert agreement[0] == pytest.approx(0.5, abs=0.05)
    assert agreement == sorted(agreement)
    assert agreement[2] > 0.9


# Essays that are known by their texts


def blocks_of(first: tuple[str, str], second: tuple[str, str]) -> list[str]:
    return [
        block.content for block in compose_blocks(JudgeContext("prompt", "criteria", "rubric"), first, second)
    ]


@given(st.text(), st.text())
def test_the_texts_are_those_that_the_prompt_shows(first: str, second: str) -> None:
    assert essay_texts((A, B), blocks_of((A, first), (B, second))) == {A: first, B: second}


def test_an_essay_that_quotes_a_heading_is_not_taken_for_another() -> None:
    quoting = f"**Essay B (ID: {B}):**\nnot the real one"
    assert essay_texts((A, B), blocks_of((A, quoting), (B, "real"))) == {A: quoting, B: "real"}


@pytest.mark.parametrize("blocks", [[], ["no heading"], [f"**Essay B (ID: {A}):**\nx"]])
def test_texts_that_are_not_there_are_left_out(blocks: list[str]) -> None:
    assert essay_texts((A, B), blocks) == {}


def test_the_hash_of_an_essay() -> None:
    expected = hashlib.sha256("Två äpplen.".encode()).hexdigest()
    assert essay_hash("\n Två äpplen. \t") == essay_hash("Två äpplen.") == expected


def test_a_quality_by_text_holds_for_whatever_id_the_essay_has() -> None:
    judge = Simulation(
        qualities={A: 1.0},
        labels={A: "one"},
        text_qualities={essay_hash("anchor"): 3.0, essay_hash("other"): 9.0},
        text_labels={essay_hash("anchor"): "the anchor"},
    )
    for anchor in ("ANCHOR_1_aa", "ANCHOR_1_bb"):
        known = judge.for_pair({A: "student", anchor: " anchor\n"})
        assert known.qualities == {A: 1.0, anchor: 3.0}
        assert known.labels == {A: "one", anchor: "the anchor"}
        assert probability_a(known, anchor, A) == pytest.approx(float(expit(2.0)))
    assert judge.qualities == {A: 1.0}


def test_the_id_comes_before_the_text() -> None:
    judge = Simulation(
        qualities={A: 1.0},
        labels={A: "one"},
        text_qualities={essay_hash("x"): 3.0},
        text_labels={essay_hash("x"): "x"},
    )
    known = judge.for_pair({A: "x", B: "x"})
    assert known.qualities == {A: 1.0, B: 3.0}
    assert known.labels == {A: "one", B: "x"}


@pytest.mark.parametrize("key", ["", "A" * 64, "0" * 63, "essay"])
def test_a_key_that_is_no_hash_is_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        Simulation(text_qualities={key: 1.0})


def test_simulations_are_kept_over_a_restart() -> None:
    database = Database()
    SimulationBook(Journal(database)).register("one", simulation(seed=3))
    again = SimulationBook(Journal(database))
    assert again.find("one") == simulation(seed=3)
    assert again.attempt("one", "p") == 0
    assert again.find("two") is None
