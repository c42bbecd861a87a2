"""Event names and the Kafka topics they travel on (contract section 1.1)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

__all__ = [
    "CAPTURED_EVENTS",
    "CJ_CONSUMER_GROUP",
    "PIPELINE_EVENTS",
    "ProcessingEvent",
    "topic_name",
    "topic_names",
]

CJ_CONSUMER_GROUP = "cj_assessment_consumer_group"
"""Group in which the CJ service consumes; the topic prefix goes before it too (contract section 1.5)."""


class ProcessingEvent(StrEnum):
    """Names of the events; the value is what ``data.event_name`` holds."""

    ELS_CJ_ASSESSMENT_REQUESTED = "els.cj_assessment.requested"
    LLM_COMPARISON_RESULT = "llm_provider.comparison_result"
    CJ_ASSESSMENT_COMPLETED = "cj_assessment.completed"
    CJ_ASSESSMENT_FAILED = "cj_assessment.failed"
    ASSESSMENT_RESULT_PUBLISHED = "assessment.result.published"
    RESOURCE_CONSUMPTION_REPORTED = "resource.consumption.reported"
    LLM_REQUEST_STARTED = "llm_provider.request.started"
    LLM_REQUEST_COMPLETED = "llm_provider.request.completed"
    LLM_PROVIDER_FAILURE = "llm_provider.failure"
    LLM_USAGE_ANALYTICS = "llm_provider.usage.analytics"
    LLM_COST_ALERT = "llm_provider.cost.alert"
    LLM_COST_TRACKING = "llm_provider.cost.tracking"
    BATCH_CJ_ASSESSMENT_INITIATE_COMMAND = "batch.cj_assessment.initiate.command"
    ELS_BATCH_PHASE_OUTCOME = "els.batch.phase.outcome"


_TOPICS: dict[ProcessingEvent, str] = {
    ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED: "huleedu.els.cj_assessment.requested.v1",
    ProcessingEvent.LLM_COMPARISON_RESULT: "huleedu.llm_provider.comparison_result.v1",
    ProcessingEvent.CJ_ASSESSMENT_COMPLETED: "huleedu.cj_assessment.completed.v1",
    ProcessingEvent.CJ_ASSESSMENT_FAILED: "huleedu.cj_assessment.failed.v1",
    ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED: "huleedu.assessment.result.published.v1",
    ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED: "huleedu.resource.consumption.v1",
    ProcessingEvent.LLM_REQUEST_STARTED: "huleedu.llm_provider.request_started.v1",
    ProcessingEvent.LLM_REQUEST_COMPLETED: "huleedu.llm_provider.request_completed.v1",
    ProcessingEvent.LLM_PROVIDER_FAILURE: "huleedu.llm_provider.failure.v1",
    ProcessingEvent.LLM_USAGE_ANALYTICS: "huleedu.llm_provider.usage_analytics.v1",
    ProcessingEvent.LLM_COST_ALERT: "huleedu.llm_provider.cost_alert.v1",
    ProcessingEvent.LLM_COST_TRACKING: "huleedu.llm_provider.cost_tracking.v1",
    ProcessingEvent.BATCH_CJ_ASSESSMENT_INITIATE_COMMAND: "huleedu.batch.cj_assessment.initiate.command.v1",
    ProcessingEvent.ELS_BATCH_PHASE_OUTCOME: "huleedu.els.batch.phase.outcome.v1",
}

CAPTURED_EVENTS: tuple[ProcessingEvent, ...] = (
    ProcessingEvent.LLM_COMPARISON_RESULT,
    ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED,
    ProcessingEvent.CJ_ASSESSMENT_COMPLETED,
    ProcessingEvent.CJ_ASSESSMENT_FAILED,
)
"""What the harness captures as evidence of a run."""

PIPELINE_EVENTS: tuple[ProcessingEvent, ...] = (
    ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED,
    *CAPTURED_EVENTS,
    ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED,
    ProcessingEvent.LLM_REQUEST_STARTED,
    ProcessingEvent.LLM_REQUEST_COMPLETED,
    ProcessingEvent.LLM_PROVIDER_FAILURE,
)
"""Every event that a CJ run causes; their topics are created before a run."""


def topic_name(event: ProcessingEvent | str, prefix: str = "") -> str:
    """The Kafka topic of an event.

    Args:
        event: The event, or its name as it stands in ``data.event_name``.
        prefix: Put before the topic, so that a private pipeline can share a cluster.

    Raises:
        ValueError: The name is no event of the pipeline.
    """
    return prefix + _TOPICS[ProcessingEvent(event)]


def topic_names(events: Iterable[ProcessingEvent], prefix: str = "") -> list[str]:
    """The topics of several events, in the same order."""
    return [topic_name(event, prefix) for event in events]
