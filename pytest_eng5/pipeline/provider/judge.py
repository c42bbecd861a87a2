"""The simulated judge: a Bradley-Terry judge with a position effect, and the plain mock without qualities.

P(A wins) = logistic(discrimination × (quality A − quality B) + position_bias). The draw hangs on the seed and
the prompt alone, with the ids of the two essays replaced by stable labels, so that the same pair shown in the
same order gets the same answer in every run and every process.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from pytest_eng5.contracts import Winner, text_sha256, wire_confidence
from pytest_eng5.pipeline.settings import LLMProviderSettings

__all__ = [
    "Judgement",
    "Simulation",
    "default_judgement",
    "fails",
    "labelled_prompt",
    "logistic",
    "probability_a",
    "simulated_judgement",
    "uniform_draw",
]


class Simulation(BaseModel):
    """How the simulated judge behaves in one batch; body of ``PUT /admin/simulations/{batch_id}``.

    Attributes:
        qualities: Quality of each essay in logits, by wire id.
        labels: A name for each wire id that is the same in every run; ids without one stand for themselves.
        discrimination: Factor on the difference of qualities.
        position_bias: Logits in favour of the essay that is shown first.
        failure_rate: Share of comparisons that fail.
        latency_ms: How long an answer takes.
        seed: Of all draws.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    qualities: dict[str, FiniteFloat]
    labels: dict[str, str] = Field(default_factory=dict)
    discrimination: FiniteFloat = 1.0
    position_bias: FiniteFloat = 0.0
    failure_rate: float = Field(default=0.0, ge=0, le=1)
    latency_ms: int = Field(default=0, ge=0)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """An answer: ``confidence`` is on the wire's scale, 1 to 5."""

    winner: Winner
    confidence: float
    justification: str


_CLOSE = (
    "The two are almost level; {winner} is a shade more consistent.",
    "Hardly anything separates them, but {winner} keeps its line of thought a little better.",
    "A narrow decision: {winner} makes slightly fewer distracting slips.",
)
_NOTICEABLE = (
    "{winner} develops its points further and is easier to follow.",
    "{winner} has the better control of language, though {loser} is not without merit.",
    "The structure of {winner} is firmer, and its examples carry more weight.",
)
_CLEAR = (
    "{winner} is clearly stronger in language, structure and content.",
    "{winner} is in another class; {loser} struggles with basic sentence control.",
    "No doubt here: {winner} is richer, more accurate and better organised.",
)


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow for any finite x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def uniform_draw(*parts: object) -> float:
    """A number in [0, 1) from the SHA-256 of the parts joined by line feeds: its first 53 bits."""
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
    return int(int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def labelled_prompt(prompt: str, ids: tuple[str, str], labels: Mapping[str, str]) -> str:
    """The prompt with two wire ids replaced by their labels, in one pass."""
    shorter, longer = sorted(ids, key=len)
    pieces = (piece.replace(shorter, labels.get(shorter, shorter)) for piece in prompt.split(longer))
    return labels.get(longer, longer).join(pieces)


def probability_a(simulation: Simulation, first: str, second: str) -> float:
    """Probability that the essay shown first wins.

    Raises:
        KeyError: The simulation knows no quality of an essay.
    """
    difference = simulation.qualities[first] - simulation.qualities[second]
    return logistic(simulation.discrimination * difference + simulation.position_bias)


def fails(simulation: Simulation, labelled: str, attempt: int) -> bool:
    """Whether this attempt at a comparison fails; another attempt at the same one is another draw."""
    return uniform_draw(simulation.seed, "failure", attempt, labelled) < simulation.failure_rate


def simulated_judgement(simulation: Simulation, labelled: str, first: str, second: str) -> Judgement:
    """The answer of the simulated judge; A wins if ``uniform_draw(seed, labelled)`` is below P(A)."""
    p_a = probability_a(simulation, first, second)
    winner: Winner = "Essay A" if uniform_draw(simulation.seed, labelled) < p_a else "Essay B"
    margin = 2 * abs(p_a - 0.5)
    choice = int(8 * uniform_draw(simulation.seed, "words", labelled))
    return Judgement(winner, round(wire_confidence(margin), 2), _justification(winner, margin, choice))


def default_judgement(prompt: str, settings: LLMProviderSettings) -> Judgement:
    """The mock's ``default`` mode (contract 6.8): a coin made of the prompt hash, without any meaning."""
    digest = text_sha256(prompt)
    winner: Winner = "Essay A" if int(digest[:8], 16) % 2 == 0 else "Essay B"
    jitter = settings.mock_confidence_jitter * (2 * uniform_draw("confidence", digest) - 1)
    fraction = min(max((settings.mock_confidence_base + jitter) / 5, 0.0), 1.0)
    words = _justification(winner, 0.5, int(digest[8:12], 16))
    return Judgement(winner, wire_confidence(round(fraction, 3)), words)


def _justification(winner: Winner, margin: float, choice: int) -> str:
    templates = _CLOSE if margin < 1 / 3 else _NOTICEABLE if margin < 0.8 else _CLEAR
    loser = "Essay B" if winner == "Essay A" else "Essay A"
    return templates[choice % len(templates)].format(winner=winner, loser=loser)
