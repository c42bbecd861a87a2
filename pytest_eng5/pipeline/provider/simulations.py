"""The simulations that are registered, by batch, and how often each comparison was asked for."""

from __future__ import annotations

from collections import Counter

from pytest_eng5.contracts import text_sha256
from pytest_eng5.pipeline.provider.judge import Simulation

__all__ = ["SimulationBook"]


class SimulationBook:
    """One simulation per batch id; registering again starts the batch's counts anew."""

    def __init__(self) -> None:
        self._simulations: dict[str, Simulation] = {}
        self._asked: dict[str, Counter[str]] = {}

    def register(self, batch_id: str, simulation: Simulation) -> None:
        """Use a simulation for a batch from now on."""
        self._simulations[batch_id] = simulation
        self._asked[batch_id] = Counter()

    async def register_now(self, batch_id: str, simulation: Simulation) -> None:
        """The same for callers that would wait for others to learn of it."""
        self.register(batch_id, simulation)

    def find(self, batch_id: object) -> Simulation | None:
        """The simulation of a batch, ``None`` if there is none."""
        return self._simulations.get(batch_id) if isinstance(batch_id, str) else None

    def attempt(self, batch_id: str, labelled: str) -> int:
        """How often this comparison of the batch was asked for before; counts this time."""
        asked, key = self._asked[batch_id], text_sha256(labelled)
        asked[key] += 1
        return asked[key] - 1
