"""META-HASH-MISMATCH with the prompts at hand: hashes derived again, and whom a prompt is about."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from pytest_eng5.checks import run_checks
from pytest_eng5.contracts import JSON_SUFFIX
from pytest_eng5.evidence import EvidenceError, write_prompts

NAMES = ("events", "metadata", "completeness", "scoring", "costs")
CODE = "META-HASH-MISMATCH"


def rendered(message: Any) -> str:
    a, b = message.pair
    return f"**Judge Instructions**\nå\n\n**Essay A (ID: {a})**\nx\n\n**Essay B (ID: {b})**\ny"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def keep(run: Any) -> Callable[..., list[Any]]:
    """Give every callback a stored prompt and its hash; errors of a run with the prompts that were kept."""

    def prepare(suffix: str = JSON_SUFFIX, provider: str = "openai") -> None:
        for place, message in enumerate(run.comparisons):
            message.metadata["prompt_storage_id"] = f"{place:032x}"
            message.metadata["prompt_sha256"] = sha256(rendered(message) + suffix)
            message.data["provider"] = message.metadata["resolved_provider"] = provider

    def load(prompts: dict[int, str] | None = None) -> list[Any]:
        evidence = run.load()
        texts = {place: rendered(message) for place, message in enumerate(run.comparisons)} | (prompts or {})
        write_prompts(run.folder.prompts, ((f"{place:032x}", text) for place, text in texts.items()))
        return [finding for finding in run_checks(evidence, NAMES) if finding.severity == "error"]

    prepare()
    load.prepare = prepare  # type: ignore[attr-defined]
    return load


def test_right_hashes_are_no_finding(keep: Any) -> None:
    assert keep() == []


def test_a_mock_that_stands_in_appends_no_suffix(keep: Any) -> None:
    keep.prepare("")
    assert keep() == []


def test_other_providers_append_no_suffix(run: Any, keep: Any) -> None:
    run.plan["provider"] = run.overrides["provider_override"] = "anthropic"
    run.assessment_results[0].data["model_provider"] = "anthropic"
    keep.prepare("", "anthropic")
    assert {f.code for f in keep()} <= {"COST-MISMATCH"}
    keep.prepare(JSON_SUFFIX, "anthropic")
    assert {f.code for f in keep()} - {"COST-MISMATCH"} == {CODE}


def test_a_wrong_hash_is_named_and_nothing_else(run: Any, keep: Any) -> None:
    run.comparisons[7].metadata["prompt_sha256"] = "ab" * 32
    (finding,) = keep()
    right = sha256(rendered(run.comparisons[7]))
    assert (finding.code, finding.field) == (CODE, "/data/request_metadata/prompt_sha256")
    assert finding.message == f"prompt hash abababababab.. is not that of the stored prompt, {right[:12]}.."
    assert finding.request_id == run.comparisons[7].data["request_id"]


def test_a_stolen_hash_is_no_collision_once_it_is_proven_wrong(run: Any, keep: Any) -> None:
    run.comparisons[7].metadata["prompt_sha256"] = run.comparisons[6].metadata["prompt_sha256"]
    assert [f.code for f in keep()] == [CODE]


def test_swapped_essays_are_noticed(run: Any, keep: Any) -> None:
    metadata = run.comparisons[7].metadata
    metadata["essay_a_id"], metadata["essay_b_id"] = metadata["essay_b_id"], metadata["essay_a_id"]
    (finding,) = keep()
    assert finding.code == CODE
    assert finding.message == "the stored prompt names these essays in the other order"
    assert finding.field == "/data/request_metadata/essay_a_id"


def test_another_essay_of_the_run_is_noticed(run: Any, make: Any, keep: Any) -> None:
    message = run.comparisons[7]
    other = next(e["essay_id"] for e in run.plan["essays"] if e["essay_id"] not in message.pair)
    message.metadata["essay_b_id"] = other
    (finding,) = keep()
    assert finding.message == "the stored prompt is about other essays"


def test_an_altered_prompt_is_noticed(keep: Any) -> None:
    assert [f.code for f in keep({3: "something else"})] == [CODE]


def test_prompts_that_name_no_essays_prove_the_hash_only(run: Any, keep: Any) -> None:
    run.comparisons[3].metadata["prompt_sha256"] = sha256("text of both" + JSON_SUFFIX)
    assert keep({3: "text of both"}) == []


@pytest.mark.parametrize("suffix", ["", JSON_SUFFIX])
def test_errors_are_hashed_either_way(run: Any, make: Any, keep: Any, suffix: str) -> None:
    make.fail(run.comparisons[4])
    run.comparisons[4].metadata["prompt_sha256"] = sha256(rendered(run.comparisons[4]) + suffix)
    assert keep() == []
    run.comparisons[4].metadata["prompt_sha256"] = "cd" * 32
    assert [f.code for f in keep()] == [CODE]


def test_a_prompt_that_was_not_kept_proves_nothing(run: Any, keep: Any) -> None:
    run.comparisons[7].metadata["prompt_sha256"] = "ab" * 32
    run.comparisons[7].metadata["prompt_storage_id"] = "f" * 32
    assert keep() == []


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"storage_id": 3}', b"3"])
def test_damaged_prompts_are_said(run: Any, keep: Any, line: bytes) -> None:
    evidence = run.load()
    run.folder.prompts.write_bytes(line + b"\n")
    with pytest.raises(EvidenceError) as caught:
        run_checks(evidence, ["metadata"])
    assert "prompts.jsonl:1" in str(caught.value)
