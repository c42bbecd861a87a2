"""Planting the faults of a run in the reference pipeline, and learning afterwards which of them fired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import httpx

from pytest_eng5.contracts import FaultCounts, FaultPlan, ProcessingEvent
from pytest_eng5.evidence import FaultRecord, FaultsFile, RunPlan
from pytest_eng5.runner.errors import RunnerError
from pytest_eng5.runner.settings import Environment
from pytest_eng5.scenario import PlannedFault, Variant
from pytest_eng5.services import FaultClient, ProviderClient, ServiceError

__all__ = ["PlantedFaults", "plant_faults"]

_FIX = "remove the key 'faults', or use the reference pipeline: --eng5-pipeline embedded"
_OF_PROVIDER = {ProcessingEvent.LLM_COMPARISON_RESULT}
_ENDS_THE_BATCH = ("early_completion", "fail")
"""Actions that concern the CJ service's events, whatever they hit."""


@dataclass(frozen=True, slots=True)
class PlantedFaults:
    """The faults of one run, and whom to ask about them."""

    batch_id: str
    faults: tuple[PlannedFault, ...]
    clients: tuple[FaultClient, ...]

    async def count(self) -> FaultsFile:
        """How often each fault fired; says so if that cannot be learned."""
        try:
            told = [await client.counts(self.batch_id) for client in self.clients]
        except ServiceError as error:
            return self.uncounted(str(error).splitlines()[0])
        return self._file(told)

    def uncounted(self, problem: str) -> FaultsFile:
        """What is noted when it cannot be learned how often the faults fired."""
        return self._file((), problem)

    def _file(self, told: Sequence[FaultCounts], problem: str | None = None) -> FaultsFile:
        records = []
        for number, planned in enumerate(self.faults):
            counts = [counts.faults[number] for counts in told if number < len(counts.faults)]
            where = planned.location
            records.append(
                FaultRecord(
                    fault=str(planned.fault),
                    where=where.option or f"{where.path.name}:{where.line}",
                    seen=sum(count.seen for count in counts),
                    fired=sum(count.fired for count in counts),
                )
            )
        return FaultsFile(faults=tuple(records), problem=problem)


async def plant_faults(
    http: httpx.AsyncClient, environment: Environment, plan: RunPlan, variant: Variant
) -> PlantedFaults | None:
    """Tell the services what to do wrong in this run; ``None`` if nothing is planned.

    Raises:
        RunnerError: The pipeline under test is not the reference pipeline, or cannot be told.
        ServiceError: A service refuses.
    """
    if not variant.faults:
        return None
    if not environment.reference_pipeline:
        await _refuse_foreign(http, environment)
    told = FaultPlan(
        faults=tuple(planned.fault for planned in variant.faults),
        correlation_id=UUID(plan.correlation_id),
        essay_ids=tuple(essay.essay_id for essay in plan.essays),
    )
    clients = tuple(_clients(http, environment, variant.faults))
    for client in clients:
        await client.register(plan.batch_uuid, told)
    return PlantedFaults(plan.batch_uuid, variant.faults, clients)


async def _refuse_foreign(http: httpx.AsyncClient, environment: Environment) -> None:
    """A pipeline that does not simulate its judge is not asked to misbehave."""
    if environment.llm_url is None:
        raise RunnerError("faults are for the reference pipeline, and nothing is known of this one", fix=_FIX)
    if await ProviderClient(http, environment.llm_url).simulations_path() is None:
        raise RunnerError(
            "faults are for the reference pipeline, and this is another one",
            where=environment.llm_url,
            fix=_FIX,
        )


def _clients(
    http: httpx.AsyncClient, environment: Environment, planned: Sequence[PlannedFault]
) -> list[FaultClient]:
    """The services that publish what the faults are about."""
    hit = {event for each in planned for event in each.fault.events}
    ends = any(each.fault.action in _ENDS_THE_BATCH for each in planned)
    wanted = (
        (hit & _OF_PROVIDER, "the LLM provider service", "--eng5-llm-url", environment.llm_url),
        (hit - _OF_PROVIDER or ends, "the CJ service", "--eng5-cj-url", environment.cj_url),
    )
    clients = []
    for needed, service, option, url in wanted:
        if needed and url is None:
            raise RunnerError(
                f"faults of this plan concern {service}, whose address is unknown",
                where=option,
                fix=f"give {option}, or remove the faults",
            )
        if needed and url is not None:
            clients.append(FaultClient(http, url, service=service, option=option))
    return clients
