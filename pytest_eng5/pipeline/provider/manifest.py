"""The models the production service knows, as ``GET /api/v1/models`` lists them (contract section 6.3).

Prices in USD per 1,000 tokens; ``None`` where no price is published.
"""

from __future__ import annotations

from typing import Any

__all__ = ["DEFAULT_MODELS", "FLAT_RATES", "MOCK_MODEL", "PROVIDERS", "model_list"]

PROVIDERS = ("anthropic", "openai", "google", "openrouter", "mock")
MOCK_MODEL = "mock-model-v1"

FLAT_RATES = {"anthropic": 0.01, "openai": 0.015, "google": 0.005, "openrouter": 0.02, "mock": 0.0}
"""USD per 1,000 tokens of ``cost_estimate``: a flat rate, never the real price (contract 6.4)."""

DEFAULT_MODELS: dict[str, str] = {
    "anthropic": "claude-haiku-4-5-20251001",
    "openai": "gpt-5.1",
    "google": "gemini-2.5-flash-preview-05-20",
    "openrouter": "anthropic/claude-haiku-4-5-20251001",
    "mock": MOCK_MODEL,
}

_MODELS: tuple[tuple[str, str, float | None, float | None], ...] = (
    ("anthropic", "claude-haiku-4-5-20251001", 0.001, 0.005),
    ("anthropic", "claude-sonnet-4-5-20250929", 0.003, 0.015),
    ("openai", "gpt-5-mini-2025-08-07", 0.00025, 0.002),
    ("openai", "gpt-5.1", None, None),
    ("openai", "gpt-5-2025-08-07", 0.00125, 0.010),
    ("openai", "gpt-5-nano-2025-08-07", 0.00005, 0.0004),
    ("openai", "gpt-4.1-2025-04-14", 0.002, 0.008),
    ("openai", "gpt-4.1-mini-2025-04-14", 0.0004, 0.0016),
    ("openai", "gpt-4.1-nano-2025-04-14", 0.0001, 0.0004),
    ("openai", "gpt-4o-2024-11-20", 0.0025, 0.010),
    ("openai", "gpt-4o-mini-2024-07-18", 0.00015, 0.0006),
    ("google", "gemini-2.5-flash-preview-05-20", 0.0, 0.0),
    ("openrouter", "anthropic/claude-haiku-4-5-20251001", 0.001, 0.005),
)


def model_list(provider: str | None) -> dict[str, list[dict[str, Any]]]:
    """Models by provider, of one provider or of all that have any."""
    listed: dict[str, list[dict[str, Any]]] = {}
    for name, model, price_in, price_out in _MODELS:
        if provider in (None, name):
            listed.setdefault(name, []).append(
                {
                    "model_id": model,
                    "provider": name,
                    "is_default": model == DEFAULT_MODELS[name],
                    "is_deprecated": False,
                    "cost_per_1k_input_tokens": price_in,
                    "cost_per_1k_output_tokens": price_out,
                }
            )
    return listed
