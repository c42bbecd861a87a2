"""Prompt hashes within a run, and against stored prompts that name their essays in any place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from pytest_eng5.checks.hashes import check_hashes
from pytest_eng5.contracts import JSON_SUFFIX
from pytest_eng5.evidence import write_prompts

FIELD = "/data/request_metadata/prompt_sha256"
Found = list[tuple[str, str, str | None]]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def hashes(run: Any, *prompts: tuple[str, str]) -> Found:
    """Request, message and field of each finding; prompts as (storage id, text)."""
    evidence = run.held()
    if prompts:
        run.root.mkdir()
        write_prompts(run.folder.prompts, iter(prompts))
    found = check_hashes(evidence, evidence.distinct_comparisons)
    return [(f.request_id or "", f.message, f.field) for f in found]


def stored(run: Any, place: int, text: str, suffix: str = "") -> tuple[str, str]:
    """Keep this prompt for a callback, and give it the hash of it."""
    storage = f"{place:032x}"
    run.comparisons[place].metadata.update(prompt_storage_id=storage, prompt_sha256=sha256(text + suffix))
    return storage, text


ABOUT_OTHERS = "the stored prompt is about other essays"
ORDER = "the stored prompt names these essays in the other order"
TEXTS: dict[str, tuple[str, str | None]] = {
    "both in order": ("{a} against {b}", None),
    "both in order, later": ("Compare {a} with {b}", None),
    "the first again at the end": ("{a} against {b}, that is {a} or {b}: is it {a}?", None),
    "the second only quoted before": ("{b} against {a}, that is {b}?", ORDER),
    "the other order": ("{b} against {a}", ORDER),
    "the other order, later": ("Compare {b} with {a}", ORDER),
    "only the first": ("{a} alone", ABOUT_OTHERS),
    "only the second": ("{b} alone", ABOUT_OTHERS),
    "only the first, later": ("alone: {a}", ABOUT_OTHERS),
    "only the second, later": ("alone: {b}", ABOUT_OTHERS),
    "none of the two": ("two essays without a name", None),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS)
def test_whom_a_prompt_is_about(run: Any, text: str, expected: str | None) -> None:
    a, b = run.comparisons[7].pair
    prompt = stored(run, 7, text.format(a=a, b=b))
    request, field = run.comparisons[7].data["request_id"], "/data/request_metadata/essay_a_id"
    assert hashes(run, prompt) == ([] if expected is None else [(request, expected, field)])


@pytest.mark.parametrize(
    ("provider", "failed", "suffix", "right"),
    [
        ("openai", False, "", True),
        ("openai", False, JSON_SUFFIX, True),
        ("anthropic", False, "", True),
        ("anthropic", False, JSON_SUFFIX, False),
        ("anthropic", True, JSON_SUFFIX, True),
        ("anthropic", True, "", True),
        ("openai", True, JSON_SUFFIX, True),
    ],
)
def test_with_which_suffix_a_prompt_is_hashed(
    run: Any, make: Any, provider: str, failed: bool, suffix: str, right: bool
) -> None:
    """Contract 3.2 and 3.3: OpenAI's successes and all errors with the suffix; a mock without."""
    message = run.comparisons[7]
    if failed:
        make.fail(message)
    message.data["provider"] = provider
    text = "{} against {}".format(*message.pair)
    digest, plain = sha256(text + suffix), sha256(text)
    told = f"prompt hash {digest[:12]}.. is not that of the stored prompt, {plain[:12]}.."
    expected = [] if right else [(message.data["request_id"], told, FIELD)]
    assert hashes(run, stored(run, 7, text, suffix)) == expected


def test_prompts_and_callbacks_that_do_not_belong_together(run: Any) -> None:
    """A prompt that no callback names, and callbacks that cannot be held against their prompt."""
    first, second = (stored(run, place, "two essays") for place in (6, 7))
    run.comparisons[6].metadata["prompt_sha256"] = "no hash"
    run.comparisons[7].metadata["essay_a_id"] = "student::nobody"
    assert hashes(run, ("f" * 32, "of nobody"), first, second) == []


@pytest.mark.parametrize("key", ["essay_a_id", "essay_b_id"])
def test_ids_that_are_not_of_the_run_are_left_to_their_own_rule(run: Any, key: str) -> None:
    run.comparisons[7].metadata[key] = "student::nobody"
    run.comparisons[7].metadata["prompt_sha256"] = run.comparisons[6].metadata["prompt_sha256"]
    assert hashes(run) == []


def collision(first: Any, other: Any, kind: str) -> tuple[str, str, str]:
    text = f"same prompt hash as request {first.data['request_id'][:8]}.., but {kind}"
    return other.data["request_id"], text, FIELD


def test_each_collision_names_the_request_that_had_the_hash_first(run: Any) -> None:
    """Two hashes, each of two pairs."""
    expected = []
    for first, other in ((2, 9), (4, 11)):
        digest = run.comparisons[first].metadata["prompt_sha256"]
        run.comparisons[other].metadata["prompt_sha256"] = digest
        expected.append(collision(run.comparisons[first], run.comparisons[other], "another pair"))
    assert hashes(run) == expected


def test_a_pair_that_comes_again_hides_no_other_one(run: Any, make: Any) -> None:
    """One hash: of a pair, of that pair again, of it reversed, twice, and of another pair."""
    numbers = [(0, 5), (0, 5), (5, 0), (5, 0), (1, 2)]
    run.comparisons = [make.callback(k, a, b) for k, (a, b) in enumerate(numbers)]
    for message in run.comparisons:
        message.metadata["prompt_sha256"] = "ab" * 32
    first, reverse, other = (run.comparisons[place] for place in (0, 2, 4))
    assert hashes(run) == [
        collision(first, reverse, "the same essays reversed"),
        collision(first, other, "another pair"),
    ]


def mismatch(message: Any, digest: str, usual: str) -> tuple[str, str, str]:
    text = f"prompt hash {digest[:12]}.. differs from {usual[:12]}.. of the same ordered pair"
    return message.data["request_id"], text, FIELD


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_the_hash_that_most_callbacks_of_a_pair_have_is_the_right_one(run: Any, make: Any, odd: int) -> None:
    run.comparisons = [make.callback(k, 0, 5) for k in range(3)]
    usual = run.comparisons[0].metadata["prompt_sha256"]
    run.comparisons[odd].metadata["prompt_sha256"] = "ab" * 32
    assert hashes(run) == [mismatch(run.comparisons[odd], "ab" * 32, usual)]


def alike(message: Any, make: Any) -> None:
    pass


def failed(message: Any, make: Any) -> None:
    make.fail(message)


def failed_elsewhere(message: Any, make: Any) -> None:
    make.fail(message).data["provider"] = "google"


def elsewhere(message: Any, make: Any) -> None:
    message.data["provider"] = "google"


@pytest.mark.parametrize(
    ("first", "second", "comparable"),
    [
        (alike, alike, True),
        (alike, elsewhere, True),
        (alike, failed, False),
        (failed, failed, True),
        (failed, failed_elsewhere, False),
    ],
)
def test_errors_are_compared_with_errors_of_their_provider(
    run: Any,
    make: Any,
    first: Callable[[Any, Any], None],
    second: Callable[[Any, Any], None],
    comparable: bool,
) -> None:
    """Contract 3.3: one ordered pair has one hash among successes, and among the errors of a provider."""
    run.comparisons = [make.callback(k, 0, 5) for k in range(2)]
    one, two = run.comparisons
    first(one, make)
    second(two, make)
    usual = one.metadata["prompt_sha256"]
    two.metadata["prompt_sha256"] = "ab" * 32
    assert hashes(run) == ([mismatch(two, "ab" * 32, usual)] if comparable else [])
