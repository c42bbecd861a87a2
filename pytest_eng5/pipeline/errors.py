"""What can go wrong in the pipeline process, and the HTTP status each error code becomes."""

from __future__ import annotations

from typing import Any

from pytest_eng5.errors import Eng5Error, InfrastructureError

__all__ = ["BrokerLost", "NotYet", "PipelineError", "PublishRefused", "ServiceError", "StartupFailed"]


class PipelineError(InfrastructureError):
    """The pipeline process cannot go on."""


class StartupFailed(PipelineError):
    """The pipeline did not get as far as being ready."""


class NotYet(StartupFailed):
    """Something that the pipeline needs is not there; it may come up later."""


class BrokerLost(PipelineError):
    """The Kafka broker has been unreachable for longer than the pipeline waits."""


class PublishRefused(Eng5Error):
    """The broker will never take this one event; the pipeline goes on without it."""


_STATUS: dict[str, int] = {
    "VALIDATION_ERROR": 400,
    "INVALID_REQUEST": 400,
    "PARSING_ERROR": 400,
    "MISSING_REQUIRED_FIELD": 400,
    "LLM_INVALID_CALLBACK_TOPIC": 400,
    "LLM_CALLBACK_TOPIC_MISSING": 400,
    "AUTHENTICATION_ERROR": 401,
    "INVALID_API_KEY": 401,
    "AUTHORIZATION_ERROR": 403,
    "RESOURCE_NOT_FOUND": 404,
    "RATE_LIMIT": 429,
    "QUOTA_EXCEEDED": 429,
    "EXTERNAL_SERVICE_ERROR": 502,
    "CONTENT_SERVICE_ERROR": 502,
    "INVALID_RESPONSE": 502,
    "CONNECTION_ERROR": 503,
    "SERVICE_UNAVAILABLE": 503,
    "CIRCUIT_BREAKER_OPEN": 503,
    "KAFKA_PUBLISH_ERROR": 503,
    "LLM_QUEUE_FULL": 503,
    "TIMEOUT": 504,
}


class ServiceError(Eng5Error):
    """A service refuses or fails; ``code`` is one of the error codes of contract section 2.3.

    Args:
        code: The error code.
        what: What is wrong; becomes the message on the wire, so it never holds essay or prompt text.
        details: Facts for the reader of the error.
    """

    def __init__(self, code: str, what: str, **details: Any) -> None:
        super().__init__(what)
        self.code = code
        self.details = details

    @property
    def status(self) -> int:
        """The HTTP status of the code, by the services' shared map (contract 5.4)."""
        return _STATUS.get(self.code, 500)
