"""Client of the LLM provider service: is it a mock, and how does the simulated judge behave?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx

from pytest_eng5.services.errors import ServiceError
from pytest_eng5.services.http import send

__all__ = ["ProviderClient"]

_SERVICE, _OPTION = "the LLM provider service", "--eng5-llm-url"
_SIMULATIONS = "/admin/simulations"
_PATH = re.compile(r"(/[\w.~-]+)+/?")


class ProviderClient:
    """Asks the LLM provider service for its status.

    Args:
        client: The HTTP client.
        url: Address without a path, such as ``http://localhost:8090``.
    """

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url.rstrip("/")

    async def runs_a_mock(self) -> bool:
        """Whether every comparison is answered by a mock, so that nothing can cost money (contract 6.2).

        Raises:
            ServiceError: The service does not answer.
        """
        return (await self._mock_mode()).get("use_mock_llm") is True

    async def simulations_path(self) -> str | None:
        """Where the service takes the behaviour of a simulated judge; ``None`` if it offers none.

        Raises:
            ServiceError: The service does not answer.
        """
        path = (await self._mock_mode()).get("simulations")
        return path.rstrip("/") if isinstance(path, str) and _PATH.fullmatch(path) else None

    async def _mock_mode(self) -> dict[str, Any]:
        url = f"{self._url}/admin/mock-mode"
        response = await send(self._client, "GET", url, service=_SERVICE, option=_OPTION)
        try:
            said = response.json() if response.status_code == 200 else None
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    async def register_simulation(
        self, batch_id: str, simulation: Mapping[str, Any], path: str = _SIMULATIONS
    ) -> None:
        """Tell a simulated judge how to decide in one batch.

        Args:
            batch_id: The batch it is for.
            simulation: ``qualities`` and ``labels`` by essay id, ``discrimination``, ``position_bias``,
                ``failure_rate``, ``latency_ms``, ``seed``.
            path: Where the service takes it, from `simulations_path`.

        Raises:
            ServiceError: The service refuses, or is no reference pipeline.
        """
        url = f"{self._url}{path}/{batch_id}"
        response = await send(self._client, "PUT", url, service=_SERVICE, option=_OPTION, json=simulation)
        if response.status_code != 204:
            raise ServiceError(
                f"{_SERVICE} refused the simulated judge ({response.status_code}): {response.text[:200]}",
                where=url,
                fix="judge.mock needs the reference pipeline; use --eng5-pipeline embedded",
            )
