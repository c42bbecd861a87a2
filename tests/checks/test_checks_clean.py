"""Clean runs have no finding, and what the wire may legally do to them is no error."""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.checks import CHECKS, ledger, run_checks, summarise
from pytest_eng5.evidence import EvidenceError, Stream, load_evidence


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7, 12])
def test_a_clean_run_has_no_finding_at_all(make_run: Callable[..., Any], n: int) -> None:
    evidence = make_run(n).load()
    assert len(evidence.comparisons) == n * (n - 1) // 2
    assert run_checks(evidence, CHECKS) == ()


def test_every_check_has_something_to_look_at(run: Any) -> None:
    """The clean run is not clean by being empty."""
    evidence = run.load()
    assert evidence.request_data is not None
    assert len(evidence.succeeded) == 15
    assert (len(evidence.results), len(evidence.completions)) == (1, 1)
    assert evidence.folder.manifest.exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), copies=st.integers(0, 10), failures=st.integers(0, 3))
def test_order_redelivery_and_lateness_are_legal(
    make_run: Callable[..., Any], make: Any, seed: int, copies: int, failures: int
) -> None:
    chance = random.Random(seed)
    run = make_run(6)
    for message in chance.sample(run.comparisons, failures):
        make.fail(message, processed=chance.random() < 0.5)
    for k in range(copies):
        kind = chance.choice(["comparisons", "comparisons", "assessment_results", "completions"])
        original = chance.choice(run.messages(kind))
        run.messages(kind).append(
            original.again(second=original.second + 60 * chance.random(), offset=900 + k)
        )
    for message in chance.sample(run.comparisons, 3):
        message.second += 10 * chance.random()
    chance.shuffle(run.comparisons)
    evidence = run.load()
    findings = run_checks(evidence)
    assert make.codes(findings) == []
    assert set(make.codes(findings, "warning")) <= {"EVENT-DUPLICATE", "EVENT-LATE"}
    assert sum(f.code == "EVENT-DUPLICATE" for f in findings) == copies
    assert make.codes(findings, "info") == (["SUCCESS-RATE"] if failures else [])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_findings_do_not_depend_on_the_order_of_capture(
    make_run: Callable[..., Any], make: Any, seed: int
) -> None:
    """A damaged run reads the same however its lines are ordered, down to which finding comes first."""
    chance = random.Random(seed)
    run = make_run(6)
    _damage(run, make)
    evidence = run.load()
    shuffled = replace(
        evidence,
        comparisons=tuple(chance.sample(evidence.comparisons, len(evidence.comparisons))),
        results=tuple(chance.sample(evidence.results, len(evidence.results))),
        rejected=tuple(chance.sample(evidence.rejected, len(evidence.rejected))),
    )
    names = ("events", "metadata", "completeness")
    before, after = run_checks(evidence, names), run_checks(shuffled, names)
    assert before == after
    assert len(make.codes(before, None)) >= 8
    assert summarise(before) == summarise(after)
    assert ledger(evidence) == ledger(shuffled)


def _damage(run: Any, make: Any) -> None:
    c = run.comparisons
    del c[0].metadata["prompt_sha256"]
    c[1].metadata["essay_a_id"] = "student::somebody"
    c[2].metadata["prompt_sha256"] = c[3].metadata["prompt_sha256"]
    c[4].value["schema_version"] = 2
    other = c[5].again(second=c[5].second + 1, offset=901)
    other.data["winner"] = "Essay B" if other.data["winner"] == "Essay A" else "Essay A"
    c += [other, c[6].again(second=c[6].second + 1, offset=902)]
    run.reject(c[7], "comparisons", "schema", b'{"data": {"request_id": "x"}}')
    run.reject(c[8], "comparisons", "undecodable", b"\xff")
    del c[9].metadata["cj_source"]
    second = run.assessment_results[0].again(second=run.assessment_results[0].second + 1, offset=5)
    second.data["essay_results"][0]["bt_score"] = 9.0
    run.assessment_results.append(second)


@pytest.mark.slow
def test_cost_is_linear(make_run: Callable[..., Any], record_property: Any) -> None:
    """Four times the comparisons, about four times the time; `benchmarks/checks.py` measures 100,000."""
    seconds, grown = {}, {}
    for n in (81, 161):
        run = make_run(n)
        run.write()
        tracemalloc.start()
        evidence = load_evidence(run.root)
        grown[n * (n - 1) // 2] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        took = []
        for _ in range(3):  # what else the machine does now and then is not the checks' cost
            begun = time.process_time()
            assert run_checks(evidence) == ()
            took.append(time.process_time() - begun)
        seconds[n * (n - 1) // 2] = min(took)
    small, large = sorted(seconds)
    ratio = seconds[large] / seconds[small]
    record_property("ratio", ratio)
    print(f"{small}: {seconds[small]:.2f} s, {large}: {seconds[large]:.2f} s, ratio {ratio:.2f}")
    assert ratio < 2 * large / small
    per_comparison = (grown[large] - grown[small]) / (large - small)
    assert per_comparison < 3_500, f"{per_comparison:.0f} bytes of evidence per comparison"


def test_values_are_read_again_from_the_log(run: Any) -> None:
    """They are not kept in memory, and what was altered since is not taken for what was recorded."""
    evidence = run.load()
    for event, message in zip(evidence.comparisons, run.comparisons, strict=True):
        assert event.record.value is None
        assert json.loads(event.value()) == message.value
    run.folder.stream(Stream.COMPARISONS).unlink()
    with pytest.raises(EvidenceError, match="cannot be read any more"):
        evidence.comparisons[0].value()


def test_an_assignment_brings_its_own_anchors(run: Any) -> None:
    """Contract 7.2: ids that start with ANCHOR_ appear without having been planned."""
    anchor = "ANCHOR_12_0a1b2c3d"
    run.plan["assignment_id"] = "3c1c0e2a-7c55-4f0e-9d0e-0b6f0a9b8c7d"
    run.comparisons[0].metadata["essay_a_id"] = anchor
    run.assessment_results[0].data["essay_results"].append(
        {**run.assessment_results[0].data["essay_results"][0], "essay_id": anchor, "is_anchor": True}
    )
    assert run_checks(run.load(), ["metadata", "completeness"]) == ()


def test_dates_in_rfc_822_and_without_offset_are_read(run: Any) -> None:
    run.comparisons[0].data["requested_at"] = "Sun, 01 Mar 2026 09:00:03 GMT"
    run.comparisons[1].data["requested_at"] = "2026-03-01T09:00:03"
    assert run_checks(run.load()) == ()
