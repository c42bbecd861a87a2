"""Settings of the services, with the production defaults, read from their environment variables.

Source: contract sections 6.6, 6.7, 6.8 and 7.1. Only what the reference pipeline acts on is here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_eng5.errors import UsageError

__all__ = ["CJSettings", "LLMProviderSettings"]


class _EnvironmentSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    prefix: ClassVar[str] = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, **fixed: Any) -> Self:
        """Defaults, overlaid by ``<prefix><FIELD>`` variables, overlaid by ``fixed`` values.

        Raises:
            UsageError: A variable's value does not fit; names the variable.
        """
        source = os.environ if environ is None else environ
        values: dict[str, Any] = {
            name: source[cls.prefix + name.upper()]
            for name in cls.model_fields
            if cls.prefix + name.upper() in source
        }
        try:
            return cls(**values | fixed)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = cls.prefix + str(first["loc"][0]).upper()
            raise UsageError(first["msg"], where=name, fix="correct or unset the variable") from None


class CJSettings(_EnvironmentSettings):
    """Settings of the CJ service (contract 7.1), environment prefix ``CJ_ASSESSMENT_SERVICE_``."""

    prefix: ClassVar[str] = "CJ_ASSESSMENT_SERVICE_"

    default_llm_provider: str = "openai"
    default_llm_model: str = "gpt-5.1"
    default_llm_temperature: float = Field(default=0.1, ge=0, le=2)
    llm_batching_mode: str = "serial_bundle"
    llm_batch_api_allowed_providers: tuple[str, ...] = ("openai", "anthropic")
    enable_llm_batching_metadata_hints: bool = False
    max_pairwise_comparisons: int = Field(default=120, gt=0)
    min_comparisons_for_stability_check: int = Field(default=12, ge=0)
    score_stability_threshold: float = Field(default=0.025, ge=0)
    min_success_rate_threshold: float = Field(default=0.8, ge=0, le=1)
    min_resampling_net_size: int = Field(default=3, ge=0)
    max_resampling_passes_for_small_net: int = Field(default=4, ge=0)
    max_resampling_passes_for_regular_batch: int = Field(default=1, ge=0)
    pair_generation_seed: int | None = None
    matching_weight_comparison_count: float = Field(default=1.0, ge=0)
    matching_weight_bt_proximity: float = Field(default=0.5, ge=0)
    batch_timeout_hours: float = Field(default=4.0, gt=0)
    batch_monitor_first_pass_seconds: float = Field(default=30.0, ge=0)
    batch_monitor_interval_minutes: float = Field(default=5.0, gt=0)
    content_timeout_seconds: float = Field(default=30.0, gt=0)
    content_attempts: int = Field(default=3, ge=1)
    llm_timeout_seconds: float = Field(default=60.0, gt=0)
    llm_attempts: int = Field(default=3, ge=1)
    llm_concurrency: int = Field(default=3, ge=1)
    session_timeout_ms: int = Field(default=10_000, gt=0)

    @property
    def regular_resampling_cap(self) -> int:
        """Resampling passes of a batch that is no small net: never above the small net's."""
        return min(self.max_resampling_passes_for_regular_batch, self.max_resampling_passes_for_small_net)


class LLMProviderSettings(_EnvironmentSettings):
    """Settings of the LLM provider service, environment prefix ``LLM_PROVIDER_SERVICE_``.

    ``queue``, ``queue_partitions`` and ``queue_session_timeout_ms`` are the reference pipeline's own.
    """

    prefix: ClassVar[str] = "LLM_PROVIDER_SERVICE_"

    queue: Literal["memory", "kafka"] = "memory"
    queue_max_size: int = Field(default=1000, gt=0)
    queue_workers: int = Field(default=128, gt=0)
    queue_partitions: int = Field(default=12, gt=0)
    queue_session_timeout_ms: int = Field(default=6000, gt=0)
    mock_tokens_per_word: float = Field(default=0.75, ge=0)
    mock_confidence_base: float = Field(default=4.5, ge=1, le=5)
    mock_confidence_jitter: float = Field(default=0.3, ge=0)
    mock_latency_ms: int = Field(default=0, ge=0)
    store_prompts: bool = True
