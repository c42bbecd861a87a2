"""The simulations that are registered, by batch, and how often each comparison was asked for."""

from __future__ import annotations

from collections import Counter

from pytest_eng5.contracts import text_sha256
from pytest_eng5.pipeline.provider.journal import Journal
from pytest_eng5.pipeline.provider.judge import Simulation

__all__ = ["SimulationBook"]


class SimulationBook:
    """One simulation per batch id; registering again starts the batch's counts anew.

    Args:
        journal: Keeps them over a restart, if they are to be kept.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self._simulations: dict[str, Simulation] = {}
        self._asked: dict[str, Counter[str]] = {}

    def register(self, batch_id: str, simulation: Simulation) -> None:
        """Use a simulation for a batch from now on."""
        if self._journal is not None:
            self._journal.register(batch_id, simulation)
        self._use(batch_id, simulation)

    def _use(self, batch_id: str, simulation: Simulation) -> None:
        self._simulations[batch_id] = simulation
        self._asked[batch_id] = Counter()

    async def register_now(self, batch_id: str, simulation: Simulation) -> None:
        """The same for callers that would wait for others to learn of it."""
        self.register(batch_id, simulation)

    def find(self, batch_id: object) -> Simulation | None:
        """The simulation of a batch, ``None`` if there is none."""
        if not isinstance(batch_id, str):
            return None
        if batch_id not in self._simulations and self._journal is not None:
            kept = self._journal.simulation(batch_id)
            if kept is not None:
                self._use(batch_id, kept)
        return self._simulations.get(batch_id)

    def attempt(self, batch_id: str, labelled: str) -> int:
        """How often this comparison of the batch was asked for before; counts this time."""
        asked, key = self._asked[batch_id], text_sha256(labelled)
        asked[key] += 1
        return asked[key] - 1
