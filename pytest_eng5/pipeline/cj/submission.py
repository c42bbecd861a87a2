"""Sending a wave of comparisons to the LLM provider service (contract sections 3.1, 6.7 and 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pytest_eng5.contracts import LLMComparisonRequest, ProcessingEvent, ProviderOverrides, topic_name
from pytest_eng5.pipeline.cj.batch import Batch, Comparison
from pytest_eng5.pipeline.cj.clients import ProviderClient, SubmissionRefused
from pytest_eng5.pipeline.cj.metrics import CJMetrics
from pytest_eng5.pipeline.cj.prompts import compose_blocks, join_blocks
from pytest_eng5.pipeline.cj.records import BatchStore
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.settings import CJSettings

__all__ = ["WaveSender", "effective_batching_mode"]

_MAX_BUNDLE = 64
_log = service_logger("cj_assessment_service")


def effective_batching_mode(settings: CJSettings, hint: str | None, provider: str | None) -> str:
    """The batching mode of a batch: the request's hint, else the setting.

    ``provider_batch_api`` falls back to ``per_request`` for providers that have no such API.
    """
    mode = hint or settings.llm_batching_mode
    if mode == "provider_batch_api" and provider not in settings.llm_batch_api_allowed_providers:
        return "per_request"
    return mode


class WaveSender:
    """Sends the comparisons of one batch, a few at a time.

    Args:
        batch: The batch.
        client: Client of the LLM provider service.
        overrides: The judge's settings, the same for all comparisons of the batch.
        settings: Concurrency and hints.
        mode: Effective batching mode.
        metrics: Counts what is sent.
        topic_prefix: Prefix of the callback topic.
        store: Keeps what was sent.
    """

    def __init__(
        self,
        batch: Batch,
        client: ProviderClient,
        overrides: ProviderOverrides,
        settings: CJSettings,
        *,
        mode: str,
        topic_prefix: str,
        metrics: CJMetrics,
        store: BatchStore,
    ) -> None:
        self._batch = batch
        self._client = client
        self._overrides = overrides
        self._settings = settings
        self._mode = mode
        self._metrics = metrics
        self._callback_topic = topic_name(ProcessingEvent.LLM_COMPARISON_RESULT, topic_prefix)
        self._slots = asyncio.Semaphore(settings.llm_concurrency)
        self._store = store

    async def send(self, wave: Sequence[Comparison]) -> None:
        """Send a wave; a comparison that cannot be sent counts as failed.

        Raises:
            SubmissionRefused: The provider service refuses the batch's comparisons for good.
        """
        if self._batch.wave == 1:
            self._metrics.batch_started(self._mode)
        shared = self._shared_metadata(len(wave))
        sending = (self._send(comparison, shared) for comparison in wave)
        for result in await asyncio.gather(*sending, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _send(self, comparison: Comparison, shared: dict[str, Any]) -> None:
        try:
            async with self._slots:
                await self._client.submit(self._request(comparison, shared))
            self._store.sent(comparison)
            self._metrics.submitted(self._mode)
        except SubmissionRefused:
            raise
        except ServiceError as error:
            _log.warning("comparison not sent", batch_id=self._batch.batch_id, problem=error.what)
            self._batch.settle(comparison, None)
            self._store.settled(comparison, None)

    def _request(self, comparison: Comparison, shared: dict[str, Any]) -> LLMComparisonRequest:
        first, second = (self._batch.essays[i] for i in (comparison.first, comparison.second))
        blocks = compose_blocks(self._batch.context, (first.id, first.text), (second.id, second.text))
        return LLMComparisonRequest(
            user_prompt=join_blocks(blocks),
            prompt_blocks=blocks,
            callback_topic=self._callback_topic,
            llm_config_overrides=self._overrides,
            correlation_id=comparison.correlation_id,
            user_id=self._batch.request.user_id,
            metadata={"essay_a_id": first.id, "essay_b_id": second.id, **shared},
        )

    def _shared_metadata(self, wave_size: int) -> dict[str, Any]:
        """Keys of ``request_metadata`` that all comparisons of a wave share (contract 3.1)."""
        metadata: dict[str, Any] = {
            "bos_batch_id": self._batch.batch_id,
            "cj_batch_id": str(self._batch.job_id),
            "cj_source": "els",
            "cj_request_type": "cj_retry" if self._batch.wave > 1 else "cj_comparison",
            "reasoning_effort": self._overrides.reasoning_effort,
            "output_verbosity": self._overrides.output_verbosity,
        }
        if self._settings.enable_llm_batching_metadata_hints:
            metadata["cj_llm_batching_mode"] = self._mode
            metadata["preferred_bundle_size"] = min(wave_size, _MAX_BUNDLE)
            if self._mode != "per_request":
                metadata["comparison_iteration"] = self._batch.wave - 1
        return {key: value for key, value in metadata.items() if value is not None}
