"""Outcomes: order of verdicts, sums over runs, what counts as an obstacle, and the decision itself."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.checks import Ledger
from pytest_eng5.evidence import EndReason, Finding, RunEnding
from pytest_eng5.gates import Status, Verdict
from pytest_eng5.reports import Outcome, RunOutcome, VariantOutcome
from pytest_eng5.reports.verdict import decide

WHEN = datetime(2026, 3, 1, tzinfo=UTC)


def ending(reason: EndReason = EndReason.COMPLETED) -> RunEnding:
    return RunEnding(reason=reason, detail="because", started_at=WHEN, ended_at=WHEN)


def run(reason: EndReason | None = EndReason.COMPLETED, *codes: str, **more: Any) -> RunOutcome:
    findings = tuple(Finding(code=code, severity="error", message="m", check="events") for code in codes)
    end = ending(reason) if reason else None
    return RunOutcome(**{"repeat": 1, "root": Path("run-1"), "ending": end, "findings": findings, **more})


def gate(status: Status) -> Verdict:
    return Verdict(
        metric="kendall_tau",
        status=status,
        message=f"{status.value} kendall_tau",
        hint=None,
        value=math.nan,
        low=None,
        high=None,
        minimum=0.9,
        maximum=None,
        attainable=None,
        comparisons=0,
    )


def variant(*runs: RunOutcome, **more: Any) -> VariantOutcome:
    facts: dict[str, Any] = {
        "scenario": "s",
        "variant": "v",
        "mode": "anchor-align-test",
        "root": Path("v"),
        "runs": runs,
        "alignment": None,
        "verdicts": (),
        "verdict": Outcome.PASS,
    }
    return VariantOutcome(**{**facts, **more})


@given(st.lists(st.sampled_from(list(Outcome))))
def test_the_worst_is_error_then_fail_then_undecided(outcomes: list[Outcome]) -> None:
    order = ("ERROR", "FAIL", "UNDECIDED", "PASS", "DONE")
    expected = next((o for o in order if o in outcomes), "PASS")
    assert Outcome.worst(outcomes) == expected


@pytest.mark.parametrize(
    ("verdict", "status"), [("DONE", 0), ("PASS", 0), ("FAIL", 1), ("UNDECIDED", 3), ("ERROR", 4)]
)
def test_exit_codes_are_those_of_the_design(verdict: str, status: int) -> None:
    assert Outcome(verdict).exit_code == status


@pytest.mark.parametrize(
    ("obstacle", "finding", "status"),
    list(itertools.product([True, False], [True, False], list(Status))),
)
def test_the_decision_table(obstacle: bool, finding: bool, status: Status) -> None:
    reason = EndReason.TOTAL_DEADLINE if obstacle else EndReason.COMPLETED
    outcome, reasons = decide([run(reason, *(["META-MISSING"] if finding else []))], [gate(status)])
    if obstacle:
        assert outcome is Outcome.ERROR
    elif finding or status is Status.FAIL:
        assert outcome is Outcome.FAIL
    else:
        assert outcome.value == status.value
    assert len(reasons) == obstacle + finding + (status is not Status.PASS)
    assert bool(reasons) == (outcome is not Outcome.PASS)


def test_reasons_come_worst_first_and_each_code_once() -> None:
    runs = [run(EndReason.COMPLETED, "B-CODE", "A-CODE", "B-CODE"), run(EndReason.BUDGET)]
    _, reasons = decide(runs, [gate(Status.UNDECIDED), gate(Status.FAIL)])
    assert reasons == (
        "run-1 ended with budget: because",
        "run-1: B-CODE m",
        "run-1: A-CODE m",
        "FAIL kendall_tau",
        "UNDECIDED kendall_tau",
    )


def test_no_run_never_passes() -> None:
    assert decide([], []) == (Outcome.ERROR, ("there is no run",))
    assert decide([], [], frozenset())[0] is Outcome.ERROR


def test_figures_that_could_not_be_computed_never_pass() -> None:
    outcome, reasons = decide([run()], [], None, "grades contradict each other")
    assert (outcome, reasons) == (Outcome.FAIL, ("no figures: grades contradict each other",))


def test_an_unreadable_run_is_an_error_even_if_partial_data_is_expected() -> None:
    unreadable = run(EndReason.IDLE_DEADLINE, "PARTIAL-DATA", problem="run-1 cannot be read")
    assert decide([unreadable], [], frozenset({"PARTIAL-DATA"}))[0] is Outcome.ERROR


@pytest.mark.parametrize("reason", [EndReason.IDLE_DEADLINE, EndReason.TOTAL_DEADLINE])
def test_a_deadline_is_an_error_unless_it_is_expected(reason: EndReason) -> None:
    codes = ("PARTIAL-DATA", "COUNT-MISSING")
    assert decide([run(reason, *codes)], [], frozenset(codes))[0] is Outcome.PASS
    assert decide([run(reason, *codes)], [], frozenset({"PARTIAL-DATA"}))[0] is Outcome.FAIL
    assert decide([run(reason, *codes)], [], frozenset({"COUNT-MISSING"}))[0] is Outcome.ERROR


def test_expected_codes_may_be_spread_over_runs() -> None:
    runs = [run(EndReason.COMPLETED, "A-CODE"), run(EndReason.COMPLETED, "B-CODE")]
    assert decide(runs, [], frozenset({"A-CODE", "B-CODE"})) == (Outcome.PASS, ())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (run(), None),
        (run(EndReason.PIPELINE_FAILED), None),
        (run(EndReason.INTERRUPTED), "run-1 ended with interrupted: because"),
        (run(None), "run-1 was killed before it could end"),
        (run(None, problem="gone"), "gone"),
    ],
)
def test_obstacles(found: RunOutcome, expected: str | None) -> None:
    assert found.obstacle == expected


counts = st.builds(Ledger, *(st.integers(0, 99) for _ in range(6)))


@given(st.lists(counts, min_size=1, max_size=4))
def test_ledgers_add_up(ledgers: list[Ledger]) -> None:
    total = variant(*(run(ledger=ledger, usable=1) for ledger in ledgers))
    for name, value in asdict(total.ledger).items():
        assert value == sum(getattr(ledger, name) for ledger in ledgers)
    assert total.usable == len(ledgers)


def test_costs_add_up_exactly_and_are_unknown_if_one_is() -> None:
    cents = [run(cost_usd=0.1) for _ in range(10)]
    assert variant(*cents).cost_usd == 1.0
    assert variant(*cents, run(cost_usd=None)).cost_usd is None
    assert variant().cost_usd is None


def test_judges_seen_are_sorted_and_distinct() -> None:
    runs = run(judges=(("openai", "b"), ("mock", "a"))), run(judges=(("mock", "a"),))
    assert variant(*runs).judges == (("mock", "a"), ("openai", "b"))


def test_only_errors_are_error_codes() -> None:
    warning = Finding(code="EVENT-LATE", severity="warning", message="m", check="events")
    outcome = variant(run(EndReason.COMPLETED, "A-CODE"), run(findings=(warning,)))
    assert outcome.error_codes == {"A-CODE"}
    assert [finding.code for finding in outcome.findings] == ["A-CODE", "EVENT-LATE"]


def test_without_a_plan_there_is_neither_batch_nor_provenance() -> None:
    outcome = variant(run(None, problem="gone"))
    assert (outcome.plan, outcome.batch_uuids, outcome.metrics) == (None, (), {})
    assert outcome.to_dict()["runs"][0]["batch_uuid"] is None


def test_a_fault_that_never_fired_fails_even_a_test_that_expects_nothing() -> None:
    idle = run(unfired=("fault 1 never fired: drop of result (f.eng5.yaml:3)",))
    for expected in (None, frozenset()):
        outcome, reasons = decide([idle], [], expected)
        assert outcome is Outcome.FAIL
        assert reasons == ("run-1: fault 1 never fired: drop of result (f.eng5.yaml:3)",)
    found = run(EndReason.COMPLETED, "A-CODE", unfired=("fault 1 never fired",))
    assert decide([found], [], frozenset({"A-CODE"}))[0] is Outcome.FAIL
    assert variant(runs=(idle,)).unfired == ("run-1: fault 1 never fired: drop of result (f.eng5.yaml:3)",)
