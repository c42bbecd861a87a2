"""Which faults leave it open what the pipeline scored, and what is said about scores then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_eng5.checks.doubts import doubts, softened
from pytest_eng5.checks.drafting import finding

OTHER = "11111111-2222-4333-8444-555555555555"
Alter = Callable[[Any, Any], object]


def meta(key: str, value: Any) -> Alter:
    return lambda run, make: run.comparisons[7].metadata.update({key: value})


def rejected(kind: str, stage: str) -> Alter:
    return lambda run, make: run.reject(run.messages(kind)[0], kind, stage, b"{}")


def conflict(run: Any, make: Any) -> None:
    run.comparisons.append(run.comparisons[7].again(second=run.comparisons[7].second + 0.01))
    run.comparisons[-1].data["confidence"] = 1.0


def same_hash(run: Any, make: Any) -> None:
    run.comparisons[7].metadata["prompt_sha256"] = run.comparisons[6].metadata["prompt_sha256"]


def failing(count: int) -> Alter:
    return lambda run, make: [make.fail(message) for message in run.comparisons[:count]]


def failed(run: Any, make: Any) -> None:
    run.failures.append(make.failed_event({"reason": "stuck"}, 9.0))


def lost_and_failed(run: Any, make: Any) -> None:
    run.comparisons.pop(7)
    run.ending.update(reason="idle_deadline", detail="nothing came")


CASES: list[tuple[str, Alter, tuple[str, ...]]] = [
    ("nothing", lambda run, make: None, ()),
    ("a lost callback", lambda run, make: run.comparisons.pop(7), ("COUNT-MISSING",)),
    ("two of the run", lost_and_failed, ("COUNT-MISSING", "PARTIAL-DATA")),
    ("a failed batch", failed, ("PIPELINE-FAILED",)),
    ("one too many", lambda run, make: run.plan.update(planned_comparisons=14), ("COUNT-EXTRA",)),
    ("an error that is an info", failing(1), ()),
    ("errors", failing(4), ()),
    ("contradicting callbacks", conflict, ("EVENT-CONFLICT",)),
    ("an old record", lambda run, make: setattr(run.comparisons[7], "second", -900), ("EVENT-STALE",)),
    ("a late callback", lambda run, make: setattr(run.comparisons[7], "second", 900), ("EVENT-LATE",)),
    ("an unreadable result", rejected("assessment_results", "undecodable"), ()),
    ("an invalid completion", rejected("completions", "schema"), ()),
    ("an unreadable callback", rejected("comparisons", "undecodable"), ("EVENT-UNDECODABLE",)),
    ("an invalid callback", rejected("comparisons", "schema"), ("EVENT-SCHEMA",)),
    ("no essay A", meta("essay_a_id", None), ("META-MISSING",)),
    ("no hash", meta("prompt_sha256", None), ()),
    ("no batch", meta("bos_batch_id", None), ()),
    ("essay B is no text", meta("essay_b_id", 7), ("META-MALFORMED",)),
    ("another hash", meta("prompt_sha256", "x"), ()),
    ("another batch", meta("bos_batch_id", OTHER), ()),
    ("another number of the batch", meta("cj_batch_id", "9"), ()),
    ("an unknown essay", meta("essay_a_id", "student::nobody"), ("META-UNKNOWN-ESSAY",)),
    ("one hash of two pairs", same_hash, ("META-HASH-COLLISION",)),
    (
        "a callback of another comparison",
        lambda run, make: run.comparisons[7].value.update(correlation_id=OTHER),
        ("META-CORRELATION",),
    ),
    (
        "a result of another request",
        lambda run, make: run.assessment_results[0].value.update(correlation_id=OTHER),
        (),
    ),
    ("another judge", lambda run, make: run.comparisons[7].data.update(model="x"), ()),
    ("another version", lambda run, make: run.comparisons[7].value.update(schema_version=2), ()),
    ("a lost key", lambda run, make: run.comparisons[7].metadata.pop("cj_source"), ()),
]


@pytest.mark.parametrize(("alter", "codes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_leaves_it_open_what_was_scored(
    run: Any, make: Any, alter: Alter, codes: tuple[str, ...]
) -> None:
    """Losses and faults of callbacks do; other events, and keys that scoring does not need, do not."""
    alter(run, make)
    assert doubts(run.held()) == codes


def test_a_topic_prefix_changes_nothing(run: Any, make: Any) -> None:
    run.plan["topic_prefix"] = "private."
    run.comparisons[7].metadata["essay_a_id"] = None
    assert doubts(run.held()) == ("META-MISSING",)


def test_a_legal_early_stop_is_no_doubt(
    make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four whole waves of six essays, after which no score counts as having moved."""
    run = make_run(6, waves=4)
    assert doubts(run.held()) == ("COUNT-MISSING",)
    monkeypatch.setattr("pytest_eng5.checks.stability.STABLE_CHANGE", 100.0)
    assert doubts(run.held()) == ()


def drafts() -> list[Any]:
    return [
        finding("SCORE-MISMATCH", "a is wrong", hint="h", field="/a"),
        finding("RANK-MISMATCH", "b is wrong", hint="h", field="/b"),
        finding("SCORE-MISMATCH", "c is wrong", hint="h", field="/c"),
    ]


def test_without_doubt_findings_stand_as_they_are(run: Any) -> None:
    assert softened(run.held(), iter(drafts())) == drafts()


def test_in_doubt_there_is_one_info_for_each_code(run: Any) -> None:
    run.comparisons.pop(7)
    run.comparisons[7].metadata["essay_a_id"] = None
    found = softened(run.held(), iter(drafts()))
    because = "not provable because of COUNT-MISSING, META-MISSING"
    assert [(f.code, f.severity, f.message, f.field) for f in found] == [
        ("SCORE-MISMATCH", "info", f"{because}: 2 differences, the first: a is wrong", "/a"),
        ("RANK-MISMATCH", "info", f"{because}: 1 difference, the first: b is wrong", "/b"),
    ]
    hint = "mend what is named first: which comparisons the pipeline scored is not known until then"
    assert {f.hint for f in found} == {hint}


def test_nothing_to_soften_stays_nothing(run: Any) -> None:
    run.comparisons.pop(7)
    assert softened(run.held(), iter(())) == []
