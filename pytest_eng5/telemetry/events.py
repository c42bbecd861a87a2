"""The events of a run's log: their names, and the words in which people read them.

Names of contract section 10.8 are kept wherever the event still exists; the others are ours.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["EVENTS", "Event", "words"]


@dataclass(frozen=True, slots=True)
class Event:
    """How an event is told.

    Attributes:
        text: Words with ``{field}`` places; a field that is absent is left out with a question mark.
        told: Whether ``eng5 run`` tells it without being asked for more.
        file_only: It stands in run logs alone, because it concerns all runs and is told once elsewhere.
    """

    text: str
    told: bool = False
    file_only: bool = False


EVENTS: Mapping[str, Event] = {
    # The runner
    "runner_invocation": Event("mode {mode}, judge {provider} {model}, batch {batch_uuid}"),
    "runner_plan_inventory": Event("{anchors} anchors, {students} students, {problems} problems"),
    "runner_dry_run_stub_created": Event("stub of the artefact written: {artefact}"),
    "runner_max_comparisons_requested": Event("at most {max_comparisons} comparisons asked for"),
    "essays_uploaded": Event("{essays} essays uploaded"),
    "prompt_uploaded": Event("student prompt uploaded as {storage_id}"),
    "runner_request_skipped": Event("nothing was published: {mode}"),
    "runner_publish_skipped": Event("{detail}", told=True),
    "runner_completion_not_awaited": Event("{detail}", told=True),
    "runner_request_published": Event("request published at {position}", told=True),
    "runner_publish_failed": Event("request not published: {detail}", told=True),
    "runner_execution_complete": Event("ended after {seconds} s: {reason}"),
    "anchor_align_test_complete": Event("ended after {seconds} s: {reason}"),
    "runner_failed": Event("{detail}", told=True),
    "run_not_performed": Event("{run} not performed: {detail}", told=True),
    "run_interrupted": Event("{detail}", told=True),
    "run_budget_exceeded": Event("{detail}", told=True),
    "using_development_jwt_generation": Event("the token for the admin API is made here"),
    "prompts_not_kept": Event("prompts not kept: {problem}"),
    "service_retried": Event("{service}: attempt {attempt} failed ({why}), {count} in all"),
    # Publishing and capturing
    "kafka_publish_started": Event("publishing {bytes} bytes to {topic}"),
    "kafka_publish_success": Event("acknowledged at {position}"),
    "collector_started": Event("capturing, {expected} comparisons expected"),
    "collector_progress": Event(
        "{comparisons} of {expected} comparisons, {failed} failed, {rejected} rejected, ${cost_usd}",
        told=True,
    ),
    "collector_llm_comparison_applied": Event("comparison at {position}"),
    "collector_completion_applied": Event("completed event at {position}"),
    "collector_assessment_result_applied": Event("rich result at {position}"),
    "collector_failure_applied": Event("failed event at {position}: {detail}", told=True),
    "collector_llm_comparison_deserialization_failed": Event(
        "comparison at {position} rejected ({stage}: {why}), {count} in all", told=True
    ),
    "collector_completion_deserialization_failed": Event(
        "completed event at {position} rejected ({stage}: {why}), {count} in all", told=True
    ),
    "collector_assessment_result_deserialization_failed": Event(
        "rich result at {position} rejected ({stage}: {why}), {count} in all", told=True
    ),
    "collector_failure_deserialization_failed": Event(
        "failed event at {position} rejected ({stage}: {why}), {count} in all", told=True
    ),
    "duplicate_llm_comparison_skipped": Event("comparison at {position} is a repetition, {count} in all"),
    "collector_late_event": Event("event at {position} came after completion, {count} in all"),
    "comparison_event_skipped": Event("comparison at {position} came after the run's end, {count} in all"),
    "completion_event_skipped": Event("completion at {position} came after the run's end, {count} in all"),
    "assessment_result_skipped": Event("rich result at {position} came after the run's end, {count} in all"),
    "failure_event_skipped": Event("failed event at {position} came after the run's end, {count} in all"),
    "collector_completed": Event("everything is in: {comparisons} comparisons, {failed} of them failed"),
    "collector_timeout": Event("{detail}", told=True),
    "collector_error": Event("{detail}", told=True),
    "collector_stopped": Event("capturing ended"),
    "pipeline_failed": Event("{detail}", told=True),
    "broker_away": Event("the broker does not answer: {problem}", file_only=True),
    "broker_returned": Event("the broker answers again", file_only=True),
    # What is derived from the evidence
    "hydrator_initialized": Event("evidence read: {comparisons} comparisons, {rejected} rejected records"),
    "hydrator_timeout_marked": Event("evidence is partial: {reason}"),
    "llm_comparison_hydrated": Event("{count} comparisons in the artefact"),
    "assessment_result_hydrated": Event("{count} rich results in the artefact"),
    "completion_event_recorded": Event("{count} completed events in the artefact"),
    "artefact_manifest_updated": Event("artefact {artefact} lists {files} recorded files"),
    "validation_load_failed": Event("the evidence cannot be read: {detail}", told=True),
    "runner_validation_state": Event("valid: {valid}, {errors} errors, {warnings} warnings: {codes}"),
    "run_summary": Event(
        "{reason}: {succeeded}/{planned} comparisons, tau-b {kendall_tau}, ${cost_usd}, {errors} errors",
        told=True,
    ),
}
"""Every event by name. Fields of each: ``docs/logs.md``."""


class _Lenient(string.Formatter):
    """Fills places; one without a value becomes a question mark, for a log never fails."""

    def get_value(self, key: int | str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        value = kwargs.get(str(key))
        return "?" if value is None else value

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Mapping):
            return ", ".join(f"{name} {count}" for name, count in value.items())
        return str(super().format_field(value, format_spec))


_FORMATTER = _Lenient()


def words(fields: Mapping[str, Any]) -> str:
    """An event as one line for people, with the run it is about; control characters are escaped."""
    event = EVENTS.get(fields["event"])
    text = _FORMATTER.vformat(event.text, (), fields) if event else str(fields["event"])
    if "batch_uuid" in fields or "scenario" in fields:
        run = f"{fields.get('scenario')}/{fields.get('variant')}/run-{fields.get('repeat', 1)}"
        text = f"{run}: {text}"
    if "exception" in fields:
        text = f"{text} ({str(fields['exception']).splitlines()[-1]})"
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))
