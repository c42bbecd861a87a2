"""What is said about what came back, word for word, rule by rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import choix
import pytest

from pytest_eng5.checks import ledger
from pytest_eng5.checks.completeness import (
    check_completeness,
    check_completions,
    check_count,
    check_failed,
    check_partial,
    check_results,
    check_success_rate,
)
from pytest_eng5.checks.views import distinct
from pytest_eng5.evidence import Finding, RunEvidence

Alter = Callable[[Any, Any], object]
LOST = (
    "look in the provider service's log for requests without a callback; a service whose "
    "MAX_PAIRWISE_COMPARISONS is below the plan stops there"
)
FAILED = "see error_detail in events/comparisons.jsonl; failed comparisons are left out of scores and metrics"
TOO_MANY = "comparisons beyond the plan cost money: does the pipeline honour max_comparisons of the request?"
BATCH_FAILED = "the CJ service's log tells more; nothing else is expected of a batch that failed"
CUT_SHORT = (
    "what is there was captured faithfully; raise the deadline or mend what stopped the run, then repeat"
)
TWICE = "the batch was finished twice; it is unknown which of the two is right"


def said(findings: Iterable[Finding]) -> list[tuple[str, str, str | None]]:
    return [(f"{found.code} {found.severity}", found.message, found.hint) for found in findings]


def count(evidence: RunEvidence) -> list[Finding]:
    return list(check_count(evidence, distinct(evidence), ledger(evidence)))


def success_rate(evidence: RunEvidence) -> list[Finding]:
    return list(check_success_rate(distinct(evidence), ledger(evidence)))


def test_all_rules_are_asked(run: Any, make: Any) -> None:
    """One fault for each, all in one run."""
    for message in run.comparisons[:5]:
        make.fail(message)
    run.comparisons.pop()
    run.assessment_results[0].data["essay_results"].pop(2)
    more = run.assessment_results[0].again(second=90.0)
    more.data["batch_id"] = "11111111-2222-4333-8444-555555555555"
    run.assessment_results.append(more)
    run.completions[0].data["status"] = "completed_with_failures"
    run.completions.append(run.completions[0].again(second=90.0))
    run.completions[1].data["cj_assessment_job_id"] = "152"
    run.ending.update(reason="interrupted", detail="Ctrl-C")
    findings = check_completeness(run.load())
    assert [found.code for found in findings] == [
        *("PARTIAL-DATA", "PIPELINE-FAILED", "PIPELINE-FAILED", "COUNT-MISSING", "SUCCESS-RATE"),
        *("RESULT-DUPLICATE", "COMPLETION-DUPLICATE", "ESSAY-MISSING"),
    ]


@pytest.mark.parametrize(
    ("detail", "quoted"),
    [
        ("nothing for 30 s\n  fix: wait longer", "nothing for 30 s fix: wait longer"),
        ("x" * 400, "x" * 400),
        ("x" * 401, "x" * 398 + ".."),
    ],
    ids=["short", "long", "too long"],
)
def test_why_capturing_was_cut_short(run: Any, detail: str, quoted: str) -> None:
    run.ending.update(reason="idle_deadline", detail=detail)
    assert said(check_partial(run.load())) == [
        ("PARTIAL-DATA error", f"capturing was cut short (idle_deadline): {quoted}", CUT_SHORT)
    ]


def test_a_run_that_ended_as_it_should(run: Any) -> None:
    assert list(check_partial(run.load())) == []


def test_a_run_that_was_killed(run: Any) -> None:
    run.ending = None
    text = "the run did not record how it ended: it was killed, or its artefact is gone"
    assert said(check_partial(run.load())) == [("PARTIAL-DATA error", text, CUT_SHORT)]


@pytest.mark.parametrize(
    ("message", "quoted"),
    [("x" * 292, "code: " + "x" * 292), ("x" * 295, "code: " + "x" * 292 + "..")],
    ids=["long", "too long"],
)
def test_why_the_batch_failed(run: Any, make: Any, message: str, quoted: str) -> None:
    """At most 300 characters of the reason, and each reason once, however often it is delivered."""
    first = make.failed_event({"error_code": "code", "error_message": message}, 9.0)
    run.failures += [make.failed_event({"reason": "stuck"}, 10.0), first.again(second=11.0), first]
    run.failures[0].offset = 7
    evidence = run.load()
    findings = list(check_failed(evidence, ledger(evidence)))
    reasons = [quoted, "stuck"]
    assert said(findings) == [
        (
            "PIPELINE-FAILED error",
            f"the pipeline failed the batch: {reason} (15 planned: 15 succeeded)",
            BATCH_FAILED,
        )
        for reason in reasons
    ]
    assert {found.field for found in findings} == {"/data/system_metadata/error_info"}


def test_what_the_completion_says(run: Any) -> None:
    evidence = run.load()
    assert list(check_failed(evidence, ledger(evidence))) == []
    run.completions[0].data["status"] = "failed_critically"
    evidence = run.load()
    (found,) = findings = list(check_failed(evidence, ledger(evidence)))
    text = "the completion says failed_critically (15 planned: 15 succeeded)"
    assert said(findings) == [("PIPELINE-FAILED error", text, BATCH_FAILED)]
    assert found.field == "/data/status"


@pytest.mark.parametrize(
    ("planned", "lost", "text"),
    [
        (15, [7], "1 of 15 planned comparisons did not come back; {}anchor-2 (4 of 5), anchor-4 (4 of 5)"),
        (
            15,
            [0, 1, 2, 3],
            "4 of 15 planned comparisons did not come back; {}anchor-0 (3 of 5), anchor-1 (4 of 5), "
            "anchor-2 (4 of 5), anchor-3 (4 of 5), anchor-4 (3 of 5) and 1 more",
        ),
        # Of a plan that is no full round nobody knows how often each essay was to come: most count.
        (16, [], "1 of 16 planned comparisons did not come back"),
        (16, [7], "2 of 16 planned comparisons did not come back; {}anchor-2 (4 of 5), anchor-4 (4 of 5)"),
    ],
    ids=["one", "some", "another plan", "one of another plan"],
)
def test_which_comparisons_are_missing(run: Any, planned: int, lost: list[int], text: str) -> None:
    run.plan["planned_comparisons"] = planned
    run.comparisons = [message for place, message in enumerate(run.comparisons) if place not in lost]
    findings = count(run.load())
    text = text.format("fewer comparisons than others: ")
    assert said(findings) == [("COUNT-MISSING error", text, LOST)]
    named = [essay["essay_id"] for essay in run.plan["essays"] if f"{essay['local_id']} (" in text]
    assert set(named) <= set(findings[0].essay_ids)


def test_all_essays_with_fewer_comparisons_are_told(run: Any, make: Any) -> None:
    run.comparisons = run.comparisons[3:]
    assert set(count(run.load())[0].essay_ids) == {make.essay_id(k) for k in range(6)}


def test_a_plan_without_essays_and_without_callbacks(run: Any) -> None:
    run.plan["essays"], run.plan["planned_comparisons"] = [], 1
    for kind in ("comparisons", "assessment_results"):
        run.messages(kind).clear()
    run.ending = None
    text = "1 of 1 planned comparison did not come back"
    assert said(count(run.load())) == [("COUNT-MISSING error", text, LOST)]


def test_nothing_is_missing_of_a_batch_that_failed(run: Any, make: Any) -> None:
    run.comparisons.clear()
    run.failures.append(make.failed_event({"reason": "stuck"}, 9.0))
    assert count(run.load()) == []


def test_comparisons_beyond_the_plan(run: Any) -> None:
    """The place is that of the first one too many."""
    run.plan["planned_comparisons"] = 14
    findings = count(run.load())
    text = "15 distinct callbacks for 14 planned comparisons"
    assert said(findings) == [("COUNT-EXTRA error", text, TOO_MANY)]
    assert findings[0].request_id == run.comparisons[14].data["request_id"]
    run.plan["planned_comparisons"] = 1
    text = "15 distinct callbacks for 1 planned comparison"
    assert said(count(run.load())) == [("COUNT-EXTRA error", text, TOO_MANY)]


def test_an_early_stop_says_how_stable_the_scores_are(
    make_run: Callable[..., Any], make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve comparisons of two essays, where whatever change counts as stable; oracle: choix."""
    run = make_run(2)
    won = [k % 3 != 1 for k in range(12)]
    run.comparisons = [make.callback(k, 0, 1, "Essay A" if a else "Essay B") for k, a in enumerate(won)]
    run.plan["planned_comparisons"] = 40
    evidence = run.load()
    assert [(f.code, f.severity) for f in count(evidence)] == [("COUNT-MISSING", "error")]
    monkeypatch.setattr("pytest_eng5.checks.stability.STABLE_CHANGE", 100.0)
    games = [(0, 1) if a else (1, 0) for a in won]
    before, after = (choix.ilsr_pairwise(2, part, alpha=0.01) for part in (games[:-1], games))
    change = abs((after - after.mean()) - (before - before.mean())).max()
    assert said(count(evidence)) == [
        (
            "COUNT-MISSING info",
            "stopped early, stable: 12 of 40 comparisons, last wave moved no score by more than "
            f"{change:.4f}",
            "legal: the CJ service finishes when a wave moves no score by more than 0.025",
        )
    ]


@pytest.mark.parametrize(
    ("failures", "text"),
    [
        (1, "info: 14 of 15 comparisons succeeded (93%): TIMEOUT 1"),
        (3, "info: 12 of 15 comparisons succeeded (80%): RATE_LIMIT 1, TIMEOUT 2"),
        (4, "error: 11 of 15 comparisons succeeded (73%): RATE_LIMIT 2, TIMEOUT 2"),
        (15, "error: 0 of 15 comparisons succeeded (0%): RATE_LIMIT 7, TIMEOUT 8"),
    ],
)
def test_four_of_five_comparisons_are_to_succeed(run: Any, make: Any, failures: int, text: str) -> None:
    for place, message in enumerate(run.comparisons[-failures:]):
        make.fail(message).data["error_detail"]["error_code"] = ("TIMEOUT", "RATE_LIMIT")[place % 2]
    findings = success_rate(run.load())
    severity, _, message = text.partition(": ")
    assert said(findings) == [(f"SUCCESS-RATE {severity}", message, FAILED)]
    assert findings[0].request_id == run.comparisons[-failures].data["request_id"]
    assert findings[0].field == "/data/error_detail"


def test_one_comparison_that_failed(make_run: Callable[..., Any], make: Any) -> None:
    run = make_run(2)
    assert success_rate(run.load()) == []
    make.fail(run.comparisons[0])
    text = "0 of 1 comparison succeeded (0%): EXTERNAL_SERVICE_ERROR 1"
    assert said(success_rate(run.load())) == [("SUCCESS-RATE error", text, FAILED)]


@pytest.mark.parametrize(("length", "quoted"), [(60, "x" * 60), (61, "x" * 58 + "..")])
def test_codes_of_errors_are_cut_after_60_characters(run: Any, make: Any, length: int, quoted: str) -> None:
    make.fail(run.comparisons[0]).data["error_detail"]["error_code"] = "x" * length
    (found,) = success_rate(run.load())
    assert found.message.endswith(f" (93%): {quoted} 1")


def test_nothing_is_said_where_nothing_came_back(run: Any) -> None:
    run.comparisons.clear()
    run.ending = None
    assert success_rate(run.load()) == []


RESULT = (
    "RESULT",
    check_results,
    "assessment_results",
    "rich result",
    "the CJ service publishes it after the completion; its log tells whether it broke its own schema",
    "assessment.result.published",
)
COMPLETION = (
    "COMPLETION",
    check_completions,
    "completions",
    "completion",
    "the CJ service neither completed nor failed the batch: look in its log and in its outbox",
    "cj_assessment.completed",
)


@pytest.mark.parametrize(("code", "check", "kind", "name", "hint", "topic"), [RESULT, COMPLETION])
def test_the_batch_is_finished_once(
    run: Any, make: Any, code: str, check: Any, kind: str, name: str, hint: str, topic: str
) -> None:
    assert list(check(run.load())) == []
    (message,) = messages = run.messages(kind)
    same, other, third = (message.again(second=90.0 + k, offset=5 + k) for k in range(3))
    other.data["cj_assessment_job_id"] = third.data["cj_assessment_job_id"] = "152"
    messages[:] = [third, other, same, message]
    text = f"another {name} than the one at {topic}[0]@0"
    (found,) = findings = list(check(run.load()))
    assert said(findings) == [(f"{code}-DUPLICATE error", text, TWICE)]
    assert (found.position or "").endswith(f"{topic}.v1[0]@6")


@pytest.mark.parametrize(("code", "check", "kind", "name", "hint", "topic"), [RESULT, COMPLETION])
def test_the_batch_is_finished_at_all(
    run: Any, code: str, check: Any, kind: str, name: str, hint: str, topic: str
) -> None:
    run.messages(kind).clear()
    assert said(check(run.load())) == [(f"{code}-MISSING error", f"no {name} was captured", hint)]


def unreadable(run: Any, make: Any, kind: str) -> None:
    run.reject(run.messages(kind)[0], kind, "undecodable", b"\xff")


def failed(run: Any, make: Any, kind: str) -> None:
    run.messages(kind).clear()
    run.failures.append(make.failed_event({"reason": "stuck"}, 9.0))


@pytest.mark.parametrize(("check", "kind"), [RESULT[1:3], COMPLETION[1:3]])
@pytest.mark.parametrize("spoil", [unreadable, failed])
def test_what_explains_that_it_is_absent(
    run: Any, make: Any, check: Any, kind: str, spoil: Callable[[Any, Any, str], None]
) -> None:
    spoil(run, make, kind)
    assert list(check(run.load())) == []
