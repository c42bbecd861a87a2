"""Findings do not depend on how the wire delivered: any order between partitions, any legal redelivery."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.checks import ledger, run_checks, summarise
from pytest_eng5.evidence import CapturedEvent, RunEvidence

NAMES = ("events", "metadata", "completeness", "scoring", "costs")
RELAXED = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FAULTS: dict[str, Callable[[Any, Any], object]] = {
    "nothing": lambda run, make: None,
    "hash gone": lambda run, make: run.comparisons[3].metadata.pop("prompt_sha256"),
    "essay unknown": lambda run, make: run.comparisons[4].metadata.update(essay_a_id="student::nobody"),
    "key dropped": lambda run, make: run.comparisons[5].metadata.pop("cj_source"),
    "cost altered": lambda run, make: run.comparisons[6].data.update(cost_estimate=1.0),
    "lost": lambda run, make: run.comparisons.pop(),
    "failed": lambda run, make: [make.fail(message) for message in run.comparisons[:4]],
    "no result": lambda run, make: run.assessment_results.clear(),
    "wrong score": lambda run, make: _wrong_score(run),
    "unreadable": lambda run, make: run.reject(run.comparisons[7], "comparisons", "undecodable", b"\xff"),
}


def _wrong_score(run: Any) -> None:
    run.score()
    run.assessment_results[0].data["essay_results"][2]["bt_score"] = 0.5


def interleaved(events: Sequence[CapturedEvent], chance: random.Random) -> tuple[CapturedEvent, ...]:
    """Events in another legal order of capture: partitions mixed anew, each in the order of its offsets."""
    partitions: defaultdict[tuple[str, int], list[CapturedEvent]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.record.offset):
        partitions[event.record.topic, event.record.partition].append(event)
    turns = [key for key, queue in partitions.items() for _ in queue]
    chance.shuffle(turns)
    return tuple(partitions[key].pop(0) for key in turns)


def delivered(evidence: RunEvidence, chance: random.Random) -> RunEvidence:
    """The same records, captured in another legal order."""
    return replace(
        evidence,
        comparisons=interleaved(evidence.comparisons, chance),
        results=interleaved(evidence.results, chance),
        completions=interleaved(evidence.completions, chance),
        failures=interleaved(evidence.failures, chance),
        rejected=tuple(chance.sample(evidence.rejected, len(evidence.rejected))),
    )


@RELAXED
@given(faults=st.sets(st.sampled_from(sorted(FAULTS)), max_size=3), seed=st.integers(0, 10**6))
def test_any_legal_order_gives_the_same_findings(
    make_run: Callable[..., Any], make: Any, faults: set[str], seed: int
) -> None:
    run = make_run(6)
    for fault in sorted(faults, reverse=True):
        FAULTS[fault](run, make)
    evidence = run.load()
    other = delivered(evidence, random.Random(seed))
    before, after = run_checks(evidence, NAMES), run_checks(other, NAMES)
    assert before == after
    assert summarise(before) == summarise(after)
    assert ledger(evidence) == ledger(other)


@RELAXED
@given(
    faults=st.sets(st.sampled_from(sorted(FAULTS)), max_size=2),
    copies=st.lists(st.tuples(st.integers(0, 10), st.floats(0, 0.9)), max_size=6),
)
def test_legal_redeliveries_add_nothing_but_warnings(
    make_run: Callable[..., Any], make: Any, faults: set[str], copies: list[tuple[int, float]]
) -> None:
    """Copies of any callback, before the completion: what was found before is found, and the copies."""
    runs = [make_run(6), make_run(6)]
    for run in runs:
        for fault in sorted(faults, reverse=True):
            FAULTS[fault](run, make)
    end = min(message.second for message in runs[0].completions)
    for number, (place, share) in enumerate(copies):
        original = runs[1].comparisons[place]
        second = original.second + share * (end - original.second)
        runs[1].comparisons.append(original.again(second=second, offset=900 + number))
    plain, repeated = (run_checks(run.load(), NAMES) for run in runs)
    duplicates = [finding for finding in repeated if finding.code == "EVENT-DUPLICATE"]
    assert len(duplicates) == len(copies)
    assert {finding.severity for finding in duplicates} <= {"warning"}
    assert tuple(finding for finding in repeated if finding.code != "EVENT-DUPLICATE") == plain


@RELAXED
@given(
    planned=st.integers(1, 30),
    lost=st.integers(0, 15),
    failed=st.integers(0, 5),
    rejected=st.integers(0, 5),
    copies=st.integers(0, 5),
    seed=st.integers(0, 10**6),
)
def test_the_ledger_sums(
    make_run: Callable[..., Any],
    make: Any,
    planned: int,
    lost: int,
    failed: int,
    rejected: int,
    copies: int,
    seed: int,
) -> None:
    """Whatever came back, every planned comparison stands in exactly one column."""
    chance, run = random.Random(seed), make_run(6)
    run.plan["planned_comparisons"] = planned
    for message in chance.sample(run.comparisons, lost):
        run.comparisons.remove(message)
    for message in chance.sample(run.comparisons, min(rejected, len(run.comparisons))):
        run.reject(message, "comparisons", "undecodable", b"\xff" + str(message.offset).encode())
    there = len(run.comparisons)
    for message in chance.sample(run.comparisons, min(failed, there)):
        make.fail(message)
    for number in range(copies if there else 0):
        run.comparisons.append(chance.choice(run.comparisons).again(offset=900 + number))
    counts = ledger(run.load())
    columns = asdict(counts)
    total = columns.pop("planned") + columns.pop("unexpected")
    assert total == sum(columns.values())
    assert all(count >= 0 for count in columns.values())
    assert counts.callbacks == there
    assert counts.failed == min(failed, there)
    assert counts.missing == 0 or counts.unexpected == 0
    if counts.callbacks + counts.unreadable + counts.missing + counts.unexpected:
        assert str(counts).startswith(f"{planned} planned: ")
