"""Rule META-DROPPED: no key of ``request_metadata`` gets lost on the way (contract section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pytest_eng5.checks.drafting import Observation, tallied
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence

__all__ = ["check_dropped"]

_REQUIRED = frozenset({"essay_a_id", "essay_b_id", "prompt_sha256", "bos_batch_id"})
"""META-MISSING is about these."""

_ALWAYS = frozenset({"cj_batch_id", "cj_source", "cj_request_type"})
"""Set by the CJ service in every comparison."""

_HINTS = ("reasoning_effort", "output_verbosity")
"""Set by the CJ service if, and as, the request asks for them."""

_CJ_KEYS = _ALWAYS | {*_HINTS, "cj_llm_batching_mode", "preferred_bundle_size", "comparison_iteration"}
"""Set before the provider service sees the comparison: errors carry them as well as successes."""

_INCIDENTAL = frozenset(
    {
        "usage",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "streaming_simulated",
        "prompt_storage_id",
    }
)
"""Depend on what a provider answered, or on whether a copy could be stored."""


def check_dropped(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> list[Finding]:
    """META-DROPPED: hints of the request are in every callback, and what most callbacks have, all have.

    Keys of the queue (``resolved_provider`` and others) are asked for in successes only: an error may end a
    comparison before it reaches the queue.
    """
    seen = [*_unsent(evidence, callbacks), *_absent(evidence, callbacks)]
    hint = "look for the hop that rebuilds request_metadata instead of passing it on"
    return tallied("META-DROPPED", seen, callbacks, hint)


def _asked(evidence: RunEvidence) -> dict[str, Any]:
    overrides = evidence.request_data.overrides() if evidence.request_data else {}
    return {key: overrides[key] for key in _HINTS if key in overrides}


def _unsent(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> Iterator[Observation]:
    """Hints whose value is another than the request's."""
    for key, wanted in _asked(evidence).items():
        for event in callbacks:
            value = event.comparison.request_metadata.get(key)
            if value is not None and value != wanted:
                yield f"{key} is not {wanted!r} as requested", event, f"/data/request_metadata/{key}"


def _absent(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> Iterator[Observation]:
    """Keys that are null or absent though they must be, or mostly are, present."""
    always = _ALWAYS | _asked(evidence).keys()
    everyone = [(event, event.comparison.request_metadata) for event in callbacks]
    successes = [(event, metadata) for event, metadata in everyone if event.comparison.is_success]
    for key in sorted(always | _seen(callbacks) - _REQUIRED - _INCIDENTAL):
        group = everyone if key in _CJ_KEYS else successes
        lacking = [event for event, metadata in group if metadata.get(key) is None]
        if key in always or 2 * len(lacking) < len(group):
            for event in lacking:
                yield f"{key} absent", event, f"/data/request_metadata/{key}"


def _seen(callbacks: Sequence[CapturedEvent]) -> set[str]:
    """Keys that any callback carries."""
    return {key for event in callbacks for key in event.comparison.request_metadata}
