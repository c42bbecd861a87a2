"""HTTP clients of the CJ service: for texts, and for comparisons (contract sections 4 and 6.7)."""

from __future__ import annotations

import httpx

from pytest_eng5.contracts import LLMComparisonRequest
from pytest_eng5.pipeline.attempts import with_attempts
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.settings import CJSettings

__all__ = ["ContentClient", "ProviderClient", "SubmissionRefused"]

_TEXT = {"content-type": "text/plain; charset=utf-8"}
_JSON = {"content-type": "application/json"}


class SubmissionRefused(ServiceError):
    """The LLM provider service will never accept this comparison, and so none of its batch."""


class ContentClient:
    """Fetches texts from the content service, and stores them there.

    Args:
        http: Client.
        url: URL of the collection, ``.../v1/content``.
        settings: Attempts, and the timeout of each.
    """

    def __init__(self, http: httpx.AsyncClient, url: str, settings: CJSettings) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._attempts = settings.content_attempts
        self._timeout = httpx.Timeout(settings.content_timeout_seconds, pool=None)

    async def text(self, storage_id: str) -> str:
        """The text of a storage id.

        Raises:
            ServiceError: It cannot be fetched (``CONTENT_SERVICE_ERROR``), or is blank or no UTF-8
                (``INVALID_RESPONSE``).
        """
        response = await with_attempts(
            lambda: self._http.get(f"{self._url}/{storage_id}", timeout=self._timeout),
            self._attempts,
            "CONTENT_SERVICE_ERROR",
        )
        if response.status_code != 200:
            raise ServiceError(
                "CONTENT_SERVICE_ERROR",
                f"the content service answered {response.status_code}",
                storage_id=storage_id,
            )
        try:
            text = response.content.decode()
        except UnicodeDecodeError:
            raise ServiceError("INVALID_RESPONSE", "the text is no UTF-8", storage_id=storage_id) from None
        if not text.strip():
            raise ServiceError("INVALID_RESPONSE", "the text is blank", storage_id=storage_id)
        return text

    async def store(self, text: str) -> str:
        """Store a text; returns its storage id.

        Raises:
            ServiceError: ``CONTENT_SERVICE_ERROR``.
        """
        response = await with_attempts(
            lambda: self._http.post(self._url, content=text.encode(), headers=_TEXT, timeout=self._timeout),
            self._attempts,
            "CONTENT_SERVICE_ERROR",
        )
        if response.status_code != 201:
            raise ServiceError(
                "CONTENT_SERVICE_ERROR", f"the content service answered {response.status_code}"
            )
        try:
            return str(response.json()["storage_id"])
        except (ValueError, KeyError, TypeError):
            raise ServiceError(
                "CONTENT_SERVICE_ERROR", "the content service answered no storage id"
            ) from None


class ProviderClient:
    """Submits comparisons to the LLM provider service; the answer comes later, over Kafka.

    Args:
        http: Client.
        url: Base URL of the service, without path.
        settings: Attempts, and the timeout of each.
    """

    def __init__(self, http: httpx.AsyncClient, url: str, settings: CJSettings) -> None:
        self._http = http
        self._url = f"{url.rstrip('/')}/api/v1/comparison"
        self._attempts = settings.llm_attempts
        self._timeout = httpx.Timeout(settings.llm_timeout_seconds, pool=None)

    async def submit(self, request: LLMComparisonRequest) -> None:
        """Queue one comparison.

        Raises:
            SubmissionRefused: The request is wrong and would be so again (4xx).
            ServiceError: ``LLM_PROVIDER_SERVICE_ERROR`` after all attempts.
        """
        body = request.model_dump_json(exclude_none=True)
        response = await with_attempts(
            lambda: self._http.post(self._url, content=body, headers=_JSON, timeout=self._timeout),
            self._attempts,
            "LLM_PROVIDER_SERVICE_ERROR",
        )
        if response.status_code != 202:
            raise SubmissionRefused(*_error_of(response))


def _error_of(response: httpx.Response) -> tuple[str, str]:
    try:
        error = response.json()["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return "LLM_PROVIDER_SERVICE_ERROR", f"the LLM provider service answered {response.status_code}"
