"""What a comparison costs: list prices of models, and the flat rates of the wire (contract 6.3 and 6.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["FLAT_RATES", "LIST_PRICES", "ModelPrice", "flat_cost", "list_price"]

_DATE = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """Price of one model, USD per 1,000 tokens."""

    prompt: float
    completion: float

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Price of a number of tokens in USD."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1000


FLAT_RATES: dict[str, float] = {
    "anthropic": 0.01,
    "openai": 0.015,
    "google": 0.005,
    "openrouter": 0.02,
    "mock": 0.0,
}
"""USD per 1,000 tokens of ``cost_estimate``, whatever the model: never the real price."""

LIST_PRICES: dict[tuple[str, str], ModelPrice] = {
    ("anthropic", "claude-haiku-4-5-20251001"): ModelPrice(0.001, 0.005),
    ("anthropic", "claude-sonnet-4-5-20250929"): ModelPrice(0.003, 0.015),
    ("openai", "gpt-5-mini-2025-08-07"): ModelPrice(0.00025, 0.002),
    ("openai", "gpt-5-2025-08-07"): ModelPrice(0.00125, 0.010),
    ("openai", "gpt-5-nano-2025-08-07"): ModelPrice(0.00005, 0.0004),
    ("openai", "gpt-4.1-2025-04-14"): ModelPrice(0.002, 0.008),
    ("openai", "gpt-4.1-mini-2025-04-14"): ModelPrice(0.0004, 0.0016),
    ("openai", "gpt-4.1-nano-2025-04-14"): ModelPrice(0.0001, 0.0004),
    ("openai", "gpt-4o-2024-11-20"): ModelPrice(0.0025, 0.010),
    ("openai", "gpt-4o-mini-2024-07-18"): ModelPrice(0.00015, 0.0006),
    ("google", "gemini-2.5-flash-preview-05-20"): ModelPrice(0.0, 0.0),
    ("openrouter", "anthropic/claude-haiku-4-5-20251001"): ModelPrice(0.001, 0.005),
}
"""Models with a published price, by provider and name; ``gpt-5.1`` has none."""

_UNDATED = {(provider, _DATE.sub("", model)): price for (provider, model), price in LIST_PRICES.items()}
_FREE = ModelPrice(0.0, 0.0)


def list_price(provider: str, model: str) -> ModelPrice | None:
    """The price of a model, named with or without its date; ``None`` if it is not known.

    Another date than the listed one is another model. The mock is free whatever it calls itself.
    """
    if provider == "mock":
        return _FREE
    return LIST_PRICES.get((provider, model)) or _UNDATED.get((provider, model))


def flat_cost(provider: str, total_tokens: int) -> float:
    """What the provider service writes into ``cost_estimate``, in USD.

    Raises:
        KeyError: The provider has no rate.
    """
    return total_tokens / 1000 * FLAT_RATES[provider]
