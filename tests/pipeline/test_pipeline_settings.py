"""Settings: production's defaults, environment variables, and words for a bad one."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pytest_eng5.errors import UsageError
from pytest_eng5.pipeline.cj.submission import effective_batching_mode
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.settings import CJSettings, LLMProviderSettings


def test_the_defaults_are_productions() -> None:
    settings = CJSettings.from_environment({})
    assert settings.default_llm_provider == "openai"
    assert settings.default_llm_model == "gpt-5.1"
    assert settings.default_llm_temperature == 0.1
    assert settings.llm_batching_mode == "serial_bundle"
    assert settings.max_pairwise_comparisons == 120
    assert settings.min_comparisons_for_stability_check == 12
    assert settings.score_stability_threshold == 0.025
    assert settings.min_success_rate_threshold == 0.8
    assert settings.min_resampling_net_size == 3
    assert settings.max_resampling_passes_for_small_net == 4
    assert settings.max_resampling_passes_for_regular_batch == settings.regular_resampling_cap == 1
    assert settings.pair_generation_seed is None
    assert (settings.matching_weight_comparison_count, settings.matching_weight_bt_proximity) == (1.0, 0.5)
    assert settings.batch_timeout_hours == 4
    assert (settings.batch_monitor_first_pass_seconds, settings.batch_monitor_interval_minutes) == (30, 5)
    assert (settings.content_timeout_seconds, settings.content_attempts) == (30, 3)
    assert (settings.llm_timeout_seconds, settings.llm_attempts, settings.llm_concurrency) == (60, 3, 3)
    assert not settings.enable_llm_batching_metadata_hints
    assert LLMProviderSettings.from_environment({}).queue_max_size == 1000


def test_the_environment_overlays_the_defaults_and_options_overlay_the_environment() -> None:
    environ = {
        "CJ_ASSESSMENT_SERVICE_MAX_PAIRWISE_COMPARISONS": "200",
        "CJ_ASSESSMENT_SERVICE_PAIR_GENERATION_SEED": "3",
        "CJ_ASSESSMENT_SERVICE_ENABLE_LLM_BATCHING_METADATA_HINTS": "true",
        "LLM_PROVIDER_SERVICE_QUEUE_MAX_SIZE": "5",
        "MAX_PAIRWISE_COMPARISONS": "1",
    }
    settings = CJSettings.from_environment(environ, pair_generation_seed=9)
    assert settings.max_pairwise_comparisons == 200
    assert settings.pair_generation_seed == 9
    assert settings.enable_llm_batching_metadata_hints
    assert LLMProviderSettings.from_environment(environ).queue_max_size == 5


def test_the_real_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_PROVIDER_SERVICE_STORE_PROMPTS", "false")
    assert not LLMProviderSettings.from_environment().store_prompts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CJ_ASSESSMENT_SERVICE_MAX_PAIRWISE_COMPARISONS", "many"),
        ("CJ_ASSESSMENT_SERVICE_MAX_PAIRWISE_COMPARISONS", "0"),
        ("CJ_ASSESSMENT_SERVICE_MIN_SUCCESS_RATE_THRESHOLD", "1.5"),
        ("CJ_ASSESSMENT_SERVICE_BATCH_TIMEOUT_HOURS", "-1"),
    ],
)
def test_a_bad_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        CJSettings.from_environment({name: value})
    assert caught.value.where == name
    assert caught.value.exit_code == 2


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(ValidationError):
        CJSettings(max_pairwise_comparison=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("hint", "setting", "provider", "expected"),
    [
        (None, "serial_bundle", "mock", "serial_bundle"),
        ("per_request", "serial_bundle", "mock", "per_request"),
        ("provider_batch_api", "serial_bundle", "openai", "provider_batch_api"),
        ("provider_batch_api", "serial_bundle", "mock", "per_request"),
        (None, "provider_batch_api", None, "per_request"),
    ],
)
def test_effective_batching_mode(hint: str | None, setting: str, provider: str | None, expected: str) -> None:
    settings = CJSettings(llm_batching_mode=setting)
    assert effective_batching_mode(settings, hint, provider) == expected


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("VALIDATION_ERROR", 400),
        ("INVALID_REQUEST", 400),
        ("PARSING_ERROR", 400),
        ("MISSING_REQUIRED_FIELD", 400),
        ("AUTHENTICATION_ERROR", 401),
        ("INVALID_API_KEY", 401),
        ("AUTHORIZATION_ERROR", 403),
        ("RESOURCE_NOT_FOUND", 404),
        ("RATE_LIMIT", 429),
        ("QUOTA_EXCEEDED", 429),
        ("EXTERNAL_SERVICE_ERROR", 502),
        ("CONTENT_SERVICE_ERROR", 502),
        ("INVALID_RESPONSE", 502),
        ("CONNECTION_ERROR", 503),
        ("SERVICE_UNAVAILABLE", 503),
        ("CIRCUIT_BREAKER_OPEN", 503),
        ("KAFKA_PUBLISH_ERROR", 503),
        ("TIMEOUT", 504),
        ("CONFIGURATION_ERROR", 500),
        ("PROCESSING_ERROR", 500),
        ("INITIALIZATION_FAILED", 500),
        ("SOMETHING_ELSE", 500),
    ],
)
def test_status_of_an_error_code(code: str, status: int) -> None:
    assert ServiceError(code, "x").status == status
