"""Performing one run: preflight, plan, upload, publish, capture, close; evidence is kept however it ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

import httpx

from pytest_eng5.capture import End, Published, RunChannel, wait_for_end
from pytest_eng5.contracts import utc_now
from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import EndReason, RunEnding, RunPlan, write_atomic, write_faults, write_plan
from pytest_eng5.runner.composition import compose_plan, compose_request, simulation
from pytest_eng5.runner.errors import LiveRunRefused, RunnerError
from pytest_eng5.runner.faults import PlantedFaults, plant_faults
from pytest_eng5.runner.inventory import Inventory
from pytest_eng5.runner.resources import Resources
from pytest_eng5.runner.settings import Environment, RunnerPaths, RunnerSettings, deadlines_for
from pytest_eng5.scenario import Variant
from pytest_eng5.services import ContentClient, ProviderClient, ServiceError

__all__ = ["perform_run"]


@dataclass(slots=True)
class _Progress:
    """How far a run came, for the ending that is written whatever happens."""

    started_at: datetime
    channel: RunChannel | None = None
    published: Published | None = None
    faults: PlantedFaults | None = None

    def ending(self, end: End) -> RunEnding:
        published = self.published
        return RunEnding(
            reason=end.reason,
            detail=end.detail,
            started_at=self.started_at,
            ended_at=utc_now(),
            published=published is not None,
            request_position=published.position if published else None,
            request_timestamp_ms=published.timestamp_ms if published else None,
            timeout_seconds=end.timeout_seconds,
        )


async def perform_run(
    resources: Resources, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths
) -> tuple[RunEnding, float]:
    """Perform one run and leave its folder complete; returns the ending and its cost in USD as reported.

    Never raises for what happens to the run: the ending says it. Cancelling ends the run as interrupted,
    with the folder finished just the same.
    """
    progress = _Progress(utc_now())
    plan = await asyncio.to_thread(compose_plan, settings, inventory)
    await asyncio.to_thread(write_plan, paths.run.plan, plan)
    try:
        end = await _publish_and_capture(resources, settings, inventory, paths, plan, progress)
    except Eng5Error as error:
        end = End(EndReason.INFRASTRUCTURE, str(error))
    except asyncio.CancelledError:
        end = End(EndReason.INTERRUPTED, "the session was interrupted")
    except Exception as error:
        end = End(EndReason.INFRASTRUCTURE, f"unexpected {type(error).__name__}: {error}")
    if progress.channel is not None:
        progress.channel.close()
    if progress.faults is not None:
        await asyncio.to_thread(write_faults, paths.run.faults, await progress.faults.count())
    ending = progress.ending(end)
    await asyncio.to_thread(resources.finalise, paths.run.root, ending)
    return ending, progress.channel.account.cost_usd if progress.channel else 0.0


async def _publish_and_capture(
    resources: Resources,
    settings: RunnerSettings,
    inventory: Inventory,
    paths: RunnerPaths,
    plan: RunPlan,
    progress: _Progress,
) -> End:
    environment, variant = settings.environment, settings.spec.variant
    await _refuse_unasked_cost(resources.http, environment, variant.judge.provider)
    progress.faults = await plant_faults(resources.http, environment, plan, variant)
    storage, prompt_id = await _upload(resources.http, environment, plan, inventory)
    if variant.judge.provider == "mock":
        await _register_simulation(resources.http, environment, plan, variant)
    request = compose_request(plan, settings, storage, prompt_id).to_wire()
    await asyncio.to_thread(write_atomic, paths.run.request, request)
    essays = frozenset(essay.essay_id for essay in plan.essays)
    progress.channel = RunChannel(paths.run, plan.batch_uuid, essays, plan.planned_comparisons)
    resources.hub.check()
    resources.hub.register(progress.channel)
    progress.published = await resources.publisher.publish(request, plan.batch_uuid)
    deadlines = deadlines_for(variant, plan.planned_comparisons)
    budgets = plan.budget_usd, settings.session_budget_usd
    return await wait_for_end(resources.hub, progress.channel, deadlines, *budgets)


async def _refuse_unasked_cost(http: httpx.AsyncClient, environment: Environment, provider: str) -> None:
    """Nothing that can cost money is called unless ``--eng5-live`` allows it."""
    if environment.reference_pipeline:
        if provider != "mock":
            raise RunnerError(
                f"the reference pipeline has no judge of provider {provider!r} yet",
                fix="use judge.provider mock, or a pipeline of your own with --eng5-pipeline external",
            )
        return
    if environment.live:
        return
    if environment.llm_url is not None and await ProviderClient(http, environment.llm_url).runs_a_mock():
        return
    why = "says that it calls real models" if environment.llm_url else "has no address, so nothing is known"
    raise LiveRunRefused(
        f"this run could cost money: the LLM provider service {why}",
        where=environment.llm_url,
        fix="allow it with --eng5-live, or point --eng5-llm-url at a service that runs a mock",
    )


async def _register_simulation(
    http: httpx.AsyncClient, environment: Environment, plan: RunPlan, variant: Variant
) -> None:
    """Say how the simulated judge behaves, to the reference pipeline and to any service that offers it.

    Raises:
        ServiceError: The service refuses; or the reference pipeline does not answer.
    """
    if environment.llm_url is None:
        return
    provider = ProviderClient(http, environment.llm_url)
    if environment.reference_pipeline:
        await provider.register_simulation(plan.batch_uuid, simulation(plan, variant))
        return
    try:
        path = await provider.simulations_path()
    except ServiceError:
        # Not reachable from here: its mode matters only where it must be a mock, and there it was asked.
        return
    if path is not None:
        await provider.register_simulation(plan.batch_uuid, simulation(plan, variant), path)


async def _upload(
    http: httpx.AsyncClient, environment: Environment, plan: RunPlan, inventory: Inventory
) -> tuple[dict[str, str], str | None]:
    """Store all texts at once; returns storage ids by essay id, and the student prompt's."""
    content = ContentClient(http, environment.content_url)
    texts = [essay.text for essay in inventory.anchors]
    if plan.prompt_reference is not None:
        texts.append(plan.prompt_reference.content)
    stored = await asyncio.gather(*(content.store(text) for text in texts))
    ids = {essay.essay_id: storage for essay, storage in zip(plan.essays, stored, strict=False)}
    return ids, stored[-1] if plan.prompt_reference is not None else None
