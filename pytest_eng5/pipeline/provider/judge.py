"""The simulated judge: a Bradley-Terry judge with a position effect, and the plain mock without qualities.

P(A wins) = logistic(discrimination × (quality A − quality B) + position_bias). The draw hangs on the seed and
the prompt alone, with the ids of the two essays replaced by stable labels, so that the same pair shown in the
same order gets the same answer in every run and every process.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, model_validator

from pytest_eng5.contracts import Winner, text_sha256, wire_confidence
from pytest_eng5.pipeline.settings import LLMProviderSettings

__all__ = [
    "Judgement",
    "Simulation",
    "default_judgement",
    "essay_hash",
    "essay_texts",
    "fails",
    "labelled_prompt",
    "logistic",
    "probability_a",
    "simulated_judgement",
    "uniform_draw",
]

TextHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Simulation(BaseModel):
    """How the simulated judge behaves in one batch; body of ``PUT /admin/simulations/{batch_id}``.

    The anchors of an assignment get their ids in the CJ service, so that nobody else can name them: what is
    said of a text holds for any essay with it. The id comes first where both are given.

    Attributes:
        qualities: Quality of each essay in logits, by wire id.
        labels: A name for each wire id that is the same in every run; ids without one stand for themselves.
        text_qualities: Quality in logits by text: 64 lower-case hexadecimal digits, the SHA-256 of the essay
            without white space around it, in UTF-8.
        text_labels: The names, by text as above.
        discrimination: Factor on the difference of qualities.
        position_bias: Logits in favour of the essay that is shown first.
        failure_rate: Share of comparisons that fail.
        latency_ms: How long an answer takes.
        seed: Of all draws.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    qualities: dict[str, FiniteFloat] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    text_qualities: dict[TextHash, FiniteFloat] = Field(default_factory=dict)
    text_labels: dict[TextHash, str] = Field(default_factory=dict)
    discrimination: FiniteFloat = 1.0
    position_bias: FiniteFloat = 0.0
    failure_rate: float = Field(default=0.0, ge=0, le=1)
    latency_ms: int = Field(default=0, ge=0)
    seed: int = 0

    @model_validator(mode="after")
    def _some_qualities(self) -> Self:
        if not self.model_fields_set & {"qualities", "text_qualities"}:
            raise ValueError("qualities or text_qualities is required")
        return self

    def for_pair(self, texts: Mapping[str, str]) -> Simulation:
        """The simulation with what is known of two texts said of their ids.

        Args:
            texts: The essays of a comparison by id; one whose text is not known is left out.
        """
        if not (self.text_qualities or self.text_labels):
            return self
        hashes = {essay_id: essay_hash(text) for essay_id, text in texts.items()}
        said = {i: self.text_qualities[h] for i, h in hashes.items() if h in self.text_qualities}
        named = {i: self.text_labels[h] for i, h in hashes.items() if h in self.text_labels}
        return self.model_copy(update={"qualities": said | self.qualities, "labels": named | self.labels})


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


def essay_hash(text: str) -> str:
    """The key of an essay in ``text_qualities`` and ``text_labels``."""
    return text_sha256(text.strip())


def essay_texts(ids: tuple[str, str], blocks: Sequence[str]) -> dict[str, str]:
    """The essays that a comparison shows, by id, as far as its blocks have them (contract section 9).

    Args:
        ids: Of Essay A and of Essay B.
        blocks: Contents of the prompt blocks; an essay begins below its heading.
    """
    found: dict[str, str] = {}
    for letter, essay_id in zip("AB", ids, strict=True):
        heading = f"**Essay {letter} (ID: {essay_id}):**\n"
        text = next((block[len(heading) :] for block in blocks if block.startswith(heading)), None)
        if text is not None:
            found[essay_id] = text
    return found


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
