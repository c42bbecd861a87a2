"""Warnings, infos and the rarer faults, word for word; the common ones are pinned where they are planted.

After a deliberate change run this with ``--snapshot-update``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from pytest_eng5.checks import run_checks, summarise
from pytest_eng5.evidence import json_bytes, load_evidence, write_prompts

Alter = Callable[[Any, Any], object]
OTHER = "11111111-2222-4333-8444-555555555555"


def again(place: int, **changes: Any) -> Alter:
    def alter(run: Any, make: Any) -> None:
        copy = run.comparisons[place].again(second=run.comparisons[place].second + 0.02)
        copy.data.update(changes)
        run.comparisons.append(copy)

    return alter


def redelivered(kind: str) -> Alter:
    return lambda run, make: run.messages(kind).append(
        run.messages(kind)[0].again(second=run.messages(kind)[0].second + 0.2)
    )


def conflicts(run: Any, make: Any) -> None:
    """Three contents of one request id, one of them twice, with more differences than are listed."""
    again(3, confidence=1.0)(run, make)
    run.comparisons[-1].metadata.update(cj_source="x", more=1)
    del run.comparisons[-1].metadata["resolved_model"]
    again(3, **dict.fromkeys(("model", "justification"), "x"), response_time_ms=1, cost_estimate=1.0)(
        run, make
    )
    run.comparisons[-1].offset = 1001
    run.comparisons[-1].data["token_usage"] = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    again(3, confidence=1.0)(run, make)
    run.comparisons[-1].metadata.update(cj_source="x", more=1)
    del run.comparisons[-1].metadata["resolved_model"]
    run.comparisons[-1].offset = 1002


def backwards(run: Any, make: Any) -> None:
    run.comparisons[4].data.update(requested_at=make.stamp(5), completed_at=make.stamp(4))
    run.comparisons[5].data.update(completed_at=make.stamp(2_000))


def old(run: Any, make: Any) -> None:
    run.comparisons[4].second = -1_000
    run.completions[0].data["timestamp"] = make.stamp(-700)
    run.assessment_results[0].value["event_timestamp"] = make.stamp(-61)


def late(run: Any, make: Any) -> None:
    run.comparisons[4].second = run.completions[0].second + 700
    run.comparisons[5].second = run.completions[0].second + 1.5


def reversed_hash(run: Any, make: Any) -> None:
    run.plan["planned_comparisons"] = 17
    for number, winner in ((15, "Essay A"), (16, "Essay B")):
        copy = make.callback(number, 5, 0, winner)
        copy.metadata["prompt_sha256"] = run.comparisons[0].metadata["prompt_sha256"]
        run.comparisons.append(copy)


def elsewhere(kind: str, field: str, value: Any) -> Alter:
    return lambda run, make: run.messages(kind)[0].data.update({field: value})


def other_failure(run: Any, make: Any) -> None:
    run.failures.append(
        make.failed_event({"reason": "stuck", "details": {}}, 9.0, job="INITIALIZATION_FAILED")
    )
    run.failures[0].value["correlation_id"] = OTHER
    run.failures[0].data["entity_id"] = OTHER


def judges(run: Any, make: Any) -> None:
    """Nobody was asked for; one other provider, one other model, and the rich result names a third."""
    run.overrides.clear()
    run.comparisons[3].data["provider"] = "google"
    run.comparisons[4].data["model"] = "gpt-4"
    run.assessment_results[0].data.update(model_provider="google", model_used="gemini")
    run.assessment_results.append(run.assessment_results[0].again(second=90.0))


def asked_otherwise(run: Any, make: Any) -> None:
    run.overrides.update(provider_override="anthropic", model_override="claude")


def summary(run: Any, make: Any) -> None:
    run.completions[0].data["processing_summary"].update(
        failed_essay_ids=[make.essay_id(1), "nobody", 3], successful_essay_ids=[make.essay_id(0), "stranger"]
    )


def never_compared(run: Any, make: Any) -> None:
    silent = make.essay_id(5)
    run.comparisons = [message for message in run.comparisons if silent not in message.metadata.values()]


def lost_of_another_plan(run: Any, make: Any) -> None:
    run.plan["planned_comparisons"] = 16
    run.comparisons = run.comparisons[:12]


def mixed_errors(run: Any, make: Any) -> None:
    for place, code in enumerate(["TIMEOUT", "RATE_LIMIT", "TIMEOUT"]):
        make.fail(run.comparisons[place]).data["error_detail"]["error_code"] = code


def doubtful(run: Any, make: Any) -> None:
    """A lost callback: what is published cannot be proven wrong any more."""
    run.score()
    rows = run.assessment_results[0].data["essay_results"]
    rows[0]["bt_score"] += 3
    rows[1]["rank"], rows[2]["rank"] = rows[2]["rank"], rows[1]["rank"]
    run.comparisons.pop(7)


def budget(run: Any, make: Any) -> None:
    run.plan["budget_usd"] = 0.001
    for message in run.comparisons:
        message.data["cost_estimate"] = 0.03222


def tokens(run: Any, make: Any) -> None:
    run.comparisons[3].data["token_usage"].update(total_tokens=1)
    run.comparisons[4].data["cost_estimate"] = 1.0
    run.comparisons[5].data["token_usage"] = {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}


def unpriced(run: Any, make: Any) -> None:
    run.plan["model"] = run.overrides["model_override"] = "gpt-new"
    run.assessment_results[0].data["model_used"] = "gpt-new"
    for message in run.comparisons:
        message.data["model"] = "gpt-new"
    make.fail(run.comparisons[2])


def rejected(run: Any, make: Any) -> None:
    message = run.comparisons[7]
    run.reject(message, "comparisons", "schema", json.dumps(message.value).encode())
    record, rejection = run.rejected[0]
    more = (("/data/confidence", "too\nmuch"), ("", "no"), ("/data/x", "y"))
    run.rejected = [(record, type(rejection)("schema", (*more, *rejection.reasons), "text"))]
    other = run.comparisons[8]
    run.reject(other, "comparisons", "undecodable", b"\xff", "unattributed")
    record, rejection = run.rejected[1]
    run.rejected[1] = (record, type(rejection)("undecodable", (), "unattributed"))


def keys(run: Any, make: Any) -> None:
    for message in run.comparisons[1:]:
        message.metadata["new"] = 1
    run.comparisons[2].metadata["reasoning_effort"] = "high"
    run.comparisons[3].metadata["reasoning_effort"] = None


def types(run: Any, make: Any) -> None:
    for place, (key, value) in enumerate(
        [("essay_a_id", 7), ("essay_b_id", ""), ("prompt_sha256", "x"), ("bos_batch_id", OTHER)]
    ):
        run.comparisons[place].metadata[key] = value
    run.comparisons[5].metadata["cj_batch_id"] = 9
    run.comparisons[6].metadata["essay_a_id"] = run.comparisons[6].metadata["essay_b_id"]
    run.comparisons[8].metadata["essay_a_id"] = "student::nobody"


CASES: list[Alter] = [
    *(again(3), conflicts, backwards, old, late, reversed_hash, other_failure, judges, asked_otherwise),
    *(summary, never_compared, lost_of_another_plan, mixed_errors, doubtful, budget, tokens, unpriced),
    *(rejected, keys, types, redelivered("assessment_results"), redelivered("completions")),
    *(elsewhere("assessment_results", "batch_id", OTHER), elsewhere("completions", "entity_id", None)),
]


@pytest.mark.parametrize("alter", CASES, ids=[f"{k}-{case.__name__}" for k, case in enumerate(CASES)])
def test_what_is_said(run: Any, make: Any, alter: Alter, snapshot: SnapshotAssertion) -> None:
    alter(run, make)
    findings = run_checks(run.load())
    assert make.told(findings) == snapshot
    assert summarise(findings) == snapshot(name="in one line each")


def test_what_is_said_about_prompts(run: Any, make: Any, snapshot: SnapshotAssertion) -> None:
    """A wrong hash, swapped essays, another essay, a hash that others contradict."""
    texts = []
    for place, message in enumerate(run.comparisons):
        text = f"(ID: {message.pair[0]}) x (ID: {message.pair[1]}) y"
        message.metadata["prompt_storage_id"] = f"{place:032x}"
        message.metadata["prompt_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        texts.append((f"{place:032x}", text))
    first, second, third = (run.comparisons[place].metadata for place in (1, 2, 3))
    first["prompt_sha256"] = "ab" * 32
    second["essay_a_id"], second["essay_b_id"] = second["essay_b_id"], second["essay_a_id"]
    third["essay_b_id"] = next(
        essay["essay_id"] for essay in run.plan["essays"] if essay["essay_id"] not in run.comparisons[3].pair
    )
    evidence = run.load()
    write_prompts(run.folder.prompts, iter(texts))
    assert make.told(run_checks(evidence, ["metadata"])) == snapshot


def test_what_is_said_about_a_run_that_was_killed(run: Any, make: Any, snapshot: SnapshotAssertion) -> None:
    run.ending = None
    assert make.told(run_checks(run.load())) == snapshot


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"validation": {}}'], ids=repr)
def test_what_is_said_about_a_damaged_artefact(
    run: Any, make: Any, content: bytes | None, snapshot: SnapshotAssertion
) -> None:
    run.write()
    ending = load_evidence(run.root).ending
    run.artefact.unlink()
    if content is not None:
        run.artefact.write_bytes(content)
    assert make.told(run_checks(load_evidence(run.root, ending))) == snapshot


def _agree(document: dict[str, Any]) -> None:
    """The artefact disagrees in everything that can differ, with students among its inputs."""
    document["metadata"].update(planned_comparisons=3, runner_mode="execute", correlation_id=OTHER)
    document["inputs"]["students"] = [{**document["inputs"]["anchors"].pop(), "essay_id": "stranger"}]
    rows = document["llm_comparisons"]
    document["incomplete_comparisons"] = [{**rows.pop(4), "status": "failed", "provider": "x"}, rows[5]]
    rows[1].update(model="x", winner_id=None)
    rows[2]["request_id"] = "invented"
    document["bt_summary"][2]["comparison_count"] = 1
    document["costs"]["token_counts"].append({**document["costs"]["token_counts"][0], "model": "x"})


@pytest.mark.parametrize("indent", [True, False])
def test_what_is_said_about_an_artefact_that_disagrees(
    run: Any, make: Any, indent: bool, snapshot: SnapshotAssertion
) -> None:
    """The same in the writer's layout, of which parts are read, and in any other."""
    run.write()
    ending = load_evidence(run.root).ending
    document = json.loads(run.artefact.read_bytes())
    _agree(document)
    run.artefact.write_bytes(json_bytes(document) if indent else json.dumps(document).encode())
    run.rewrite_manifest()
    findings = run_checks(load_evidence(run.root, ending), ["schema", "costs", "manifest"])
    assert make.told(findings) == snapshot(name="either layout")


def test_comparisons_that_schema_1_0_cannot_hold_stand_apart(run: Any, make: Any) -> None:
    """They count like the others; of a callback without usable ids the artefact may leave the winner out."""
    del run.comparisons[4].metadata["essay_a_id"]
    run.write()
    ending = load_evidence(run.root).ending
    document = json.loads(run.artefact.read_bytes())
    rows = document["llm_comparisons"]
    apart = rows.pop(4)
    document["incomplete_comparisons"] = [apart]
    document["inputs"]["students"] = [document["inputs"]["anchors"].pop()]

    def agreement() -> list[tuple[str, str | None]]:
        run.artefact.write_bytes(json_bytes(document))
        found = run_checks(load_evidence(run.root, ending), ["schema"])
        return [(finding.message, finding.field) for finding in found]

    assert agreement() == []
    apart.pop("winner_id", None)
    apart.pop("loser_id", None)
    assert agreement() == []
    apart["winner_id"] = "somebody"
    assert [field for _, field in agreement()] == ["/incomplete_comparisons/0/winner_id"]
    apart.pop("winner_id")
    rows[6].pop("winner_id")
    assert [field for _, field in agreement()] == ["/llm_comparisons/6/winner_id"]
    del document["inputs"]["anchors"]
    assert [field for _, field in agreement()] == ["/inputs", "/llm_comparisons/6/winner_id"]
