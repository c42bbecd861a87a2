"""Client of the side channel on which the services of the reference pipeline take fault plans."""

from __future__ import annotations

import httpx
from pydantic import ValidationError

from pytest_eng5.contracts import FaultCounts, FaultPlan
from pytest_eng5.services.errors import ServiceError
from pytest_eng5.services.http import send
from pytest_eng5.services.wording import answer_text

__all__ = ["FaultClient"]

_PATH = "/admin/faults"


class FaultClient:
    """Plants faults in the batches of one service, and asks how often they fired.

    Args:
        client: The HTTP client.
        url: Address of the service without a path.
        service: Its name for messages.
        option: Where its address is configured, for messages.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, *, service: str, option: str) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._service, self._option = service, option

    async def register(self, batch_id: str, plan: FaultPlan) -> None:
        """Plant the faults of a batch, before its request is published.

        Raises:
            ServiceError: The service takes no fault plan, or not this one.
        """
        response = await self._ask("PUT", batch_id, content=plan.model_dump_json(exclude_unset=True))
        if response.status_code == 204:
            return
        if response.status_code in (404, 405):
            raise ServiceError(
                f"{self._service} takes no fault plan, so 'faults' cannot be planted",
                where=self._url,
                fix="remove the key 'faults', or use the reference pipeline: --eng5-pipeline embedded",
            )
        raise ServiceError(
            f"{self._service} refused the fault plan ({response.status_code}): {answer_text(response)}",
            where=self._url,
            fix="change the key 'faults' as it says",
        )

    async def counts(self, batch_id: str) -> FaultCounts:
        """How often each fault of a batch fired in this service.

        Raises:
            ServiceError: It does not say.
        """
        response = await self._ask("GET", batch_id)
        if response.status_code != 200:
            raise ServiceError(
                f"{self._service} no longer knows the fault plan ({response.status_code})",
                where=self._url,
                fix="run again; a service that was restarted has forgotten it",
            )
        try:
            return FaultCounts.model_validate_json(response.content)
        except ValidationError as error:
            problem = f"{self._service} answered what are no counts of faults"
            raise ServiceError(problem, where=self._url, fix="run again") from error

    async def _ask(self, method: str, batch_id: str, content: str | None = None) -> httpx.Response:
        url, headers = f"{self._url}{_PATH}/{batch_id}", {"content-type": "application/json"}
        return await send(
            self._client,
            method,
            url,
            service=self._service,
            option=self._option,
            content=content,
            headers=headers if content else None,
        )
