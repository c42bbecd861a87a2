"""The topics a process needs, by the services that run in it."""

from __future__ import annotations

from collections.abc import Collection

from pytest_eng5.contracts import ProcessingEvent, topic_names
from pytest_eng5.pipeline.kafka import TopicSpec

__all__ = ["event_topics"]

_EVENTS: dict[str, tuple[ProcessingEvent, ...]] = {
    "content": (),
    "cj": (
        ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED,
        ProcessingEvent.LLM_COMPARISON_RESULT,
        ProcessingEvent.CJ_ASSESSMENT_COMPLETED,
        ProcessingEvent.CJ_ASSESSMENT_FAILED,
        ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED,
        ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED,
    ),
    "llm": (
        ProcessingEvent.LLM_COMPARISON_RESULT,
        ProcessingEvent.LLM_REQUEST_STARTED,
        ProcessingEvent.LLM_REQUEST_COMPLETED,
        ProcessingEvent.LLM_PROVIDER_FAILURE,
    ),
}


def event_topics(services: Collection[str], prefix: str, partitions: int) -> list[TopicSpec]:
    """The topics of the events that the services consume and publish.

    Args:
        services: Names of the services.
        prefix: Of all topics.
        partitions: Of topics that are created.
    """
    events = dict.fromkeys(event for name in services for event in _EVENTS[name])
    return [TopicSpec(name, partitions) for name in topic_names(events, prefix)]
