"""Rules about prompt hashes (contract section 3.2).

Where the rendered prompt was kept, its hash is derived again, and it must be about the essays that the
callback names. The prompt holds both essays in their order, so that within a run an ordered pair and its hash
determine each other: that is judged of every callback.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from statistics import mode
from typing import TypeVar

from pytest_eng5.checks.drafting import about, essay_ids
from pytest_eng5.checks.views import is_of_run
from pytest_eng5.checks.wording import short_id
from pytest_eng5.contracts import PROMPT_HASH, prompt_sha256, text_sha256
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence, read_prompts

__all__ = ["check_hashes"]

_T = TypeVar("_T")
_FIELD = "/data/request_metadata/prompt_sha256"


def check_hashes(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> Iterator[Finding]:
    """META-HASH-COLLISION, META-HASH-MISMATCH: the hash of the prompt; one ordered pair, one hash.

    Callbacks whose ids or hash are missing, malformed or unknown are left to the rules about those, and one
    whose hash is proven wrong is not compared with others.
    """
    proven = list(check_prompts(evidence, callbacks))
    yield from proven
    wrong = {found.request_id for found in proven}
    usable = [
        (event, pair, digest)
        for event in callbacks
        if event.comparison.request_id not in wrong and (found := _pair_and_hash(evidence, event))
        for pair, digest in [found]
    ]
    for same_hash in _repeated((digest, (event, pair)) for event, pair, digest in usable):
        yield from _collisions(same_hash)
    prompts = (((*pair, _hashed_for(event)), (event, digest)) for event, pair, digest in usable)
    for same_prompt in _repeated(prompts):
        yield from _mismatches(same_prompt)


def _repeated(items: Iterable[tuple[Hashable, _T]]) -> list[list[_T]]:
    """What has the same key as something else, by key; nearly always there is no such thing."""
    first: dict[Hashable, _T] = {}
    groups: dict[Hashable, list[_T]] = {}
    for key, item in items:
        if key not in first:
            first[key] = item
        else:
            groups.setdefault(key, [first[key]]).append(item)
    return list(groups.values())


def check_prompts(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> Iterator[Finding]:
    """META-HASH-MISMATCH: the hash is that of the stored prompt, and the prompt is about the two essays."""
    named: dict[str, list[CapturedEvent]] = {}
    for event in callbacks:
        storage = event.comparison.metadata_text("prompt_storage_id")
        if storage is not None:
            named.setdefault(storage, []).append(event)
    for storage, prompt in read_prompts(evidence.folder.prompts) if named else ():
        for event in named.get(storage, ()):
            found = _pair_and_hash(evidence, event)
            problem = _against_prompt(event, prompt, *found) if found else None
            if problem is not None:
                text, hint, field = problem
                yield about(event, "META-HASH-MISMATCH", text, hint=hint, field=field)


def _against_prompt(
    event: CapturedEvent, prompt: str, pair: tuple[str, ...], digest: str
) -> tuple[str, str, str] | None:
    """What is wrong with a callback about this prompt, what to do about it, and with which field."""
    right = _possible_hashes(event, prompt)
    if digest not in right:
        hint = "the hash, the stored prompt or its id was altered: compare all three with the provider's log"
        return (
            f"prompt hash {digest[:12]}.. is not that of the stored prompt, {right[0][:12]}..",
            hint,
            _FIELD,
        )
    first, second = (prompt.find(essay) for essay in pair)
    if first < 0 and second < 0:  # a pipeline whose prompts name no essays
        return None
    if 0 <= first < second:
        return None
    kind = "names these essays in the other order" if 0 <= second < first else "is about other essays"
    hint = (
        "winner and loser are told about the wrong essays: compare the prompt with essay_a_id and essay_b_id"
    )
    return f"the stored prompt {kind}", hint, "/data/request_metadata/essay_a_id"


def _possible_hashes(event: CapturedEvent, prompt: str) -> list[str]:
    """With the suffix of the provider or without: a mock that stands in for it appends none (3.2).

    Errors are hashed for the provider that was asked for, or guessed (3.3).
    """
    callback = event.comparison
    suffixed = prompt_sha256(callback.provider if callback.is_success else "openai", prompt)
    return list(dict.fromkeys((text_sha256(prompt), suffixed)))


def _pair_and_hash(evidence: RunEvidence, event: CapturedEvent) -> tuple[tuple[str, ...], str] | None:
    pair, digest = essay_ids(event.comparison), event.comparison.metadata_text("prompt_sha256")
    if digest is None or not PROMPT_HASH.fullmatch(digest) or len(set(pair)) != 2:
        return None
    return (pair, digest) if is_of_run(evidence, pair[0]) and is_of_run(evidence, pair[1]) else None


def _hashed_for(event: CapturedEvent) -> str | None:
    """What else decides the hash: errors hash anew, with a suffix that depends on the provider (3.3)."""
    callback = event.comparison
    return None if callback.is_success else callback.provider


def _collisions(same_hash: Sequence[tuple[CapturedEvent, tuple[str, ...]]]) -> Iterator[Finding]:
    """META-HASH-COLLISION: no other pair, and not the same pair reversed, has this hash."""
    first, pair = same_hash[0]
    hint = "prompts differ, so hashes must: one of the callbacks carries the ids or the hash of another one"
    told = {pair}
    for event, other in same_hash[1:]:
        if other in told:
            continue
        told.add(other)
        kind = "the same essays reversed" if set(other) == set(pair) else "another pair"
        text = f"same prompt hash as request {short_id(first.comparison.request_id)}, but {kind}"
        yield about(event, "META-HASH-COLLISION", text, hint=hint, field=_FIELD)


def _mismatches(same_prompt: Sequence[tuple[CapturedEvent, str]]) -> Iterator[Finding]:
    """META-HASH-MISMATCH: callbacks about the same ordered pair have the hash that most of them have."""
    usual = mode(digest for _, digest in same_prompt)
    hint = "the essays' texts, the rubric or the instructions changed during the run, or the hash was altered"
    for event, digest in same_prompt:
        if digest != usual:
            text = f"prompt hash {digest[:12]}.. differs from {usual[:12]}.. of the same ordered pair"
            yield about(event, "META-HASH-MISMATCH", text, hint=hint, field=_FIELD)
