"""Performing one run: preflight, plan, upload, publish, capture, close; evidence is kept however it ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

import httpx

from pytest_eng5.capture import End, Published, RunChannel, wait_for_end
from pytest_eng5.contracts import utc_now
from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import (
    EndReason,
    RunEnding,
    RunPlan,
    write_assignment,
    write_atomic,
    write_faults,
    write_plan,
)
from pytest_eng5.runner.assignments import Assignment, examine_assignment
from pytest_eng5.runner.composition import (
    bind_plan,
    compose_plan,
    compose_request,
    sent_essays,
    simulation,
)
from pytest_eng5.runner.errors import LiveRunRefused, RunnerError, reason_of
from pytest_eng5.runner.faults import PlantedFaults, plant_faults
from pytest_eng5.runner.inventory import Inventory
from pytest_eng5.runner.prompts import keep_prompts
from pytest_eng5.runner.provisioning import provide_assignment, provision_of
from pytest_eng5.runner.resources import Resources
from pytest_eng5.runner.settings import Environment, RunnerPaths, RunnerSettings, deadlines_for
from pytest_eng5.runner.telling import begin_log, tell_ending, tell_uploaded
from pytest_eng5.scenario import Variant
from pytest_eng5.services import ContentClient, ProviderClient, ServiceError, UploadCache
from pytest_eng5.telemetry import current_log

__all__ = ["perform_run"]

UPLOAD_CACHE = "content_upload_cache.json"


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

    Its request is bound to the assignment of the settings; without one it is a GUEST's. Never raises for what
    happens to the run: the ending says it. Cancelling ends the run as interrupted, with the folder finished
    just the same.
    """
    progress = _Progress(utc_now())
    plan = await asyncio.to_thread(compose_plan, settings, inventory)
    await asyncio.to_thread(write_plan, paths.run.plan, plan)
    log = begin_log(settings, paths, plan)
    try:
        end = await _publish_and_capture(resources, settings, inventory, paths, plan, progress)
    except Eng5Error as error:
        end = End(reason_of(error), str(error))
    except asyncio.CancelledError:
        end = End(EndReason.INTERRUPTED, "the session was interrupted")
    except Exception as error:
        end = End(EndReason.INFRASTRUCTURE, f"unexpected {type(error).__name__}: {error}")
        log.error("runner_failed", detail=end.detail, exc_info=error)
    if progress.channel is not None:
        progress.channel.close()
        if not end.reason.is_infrastructure:
            await _keep_prompts(resources.http, settings.environment, paths)
    if progress.faults is not None:
        await _count_faults(progress.faults, paths)
    ending = progress.ending(end)
    cost_usd = progress.channel.account.cost_usd if progress.channel else 0.0
    tell_ending(log, ending, progress.channel, cost_usd)
    try:
        await asyncio.to_thread(resources.finalise, paths.run.root, ending)
    finally:
        log.close()
    return ending, cost_usd


async def _keep_prompts(http: httpx.AsyncClient, environment: Environment, paths: RunnerPaths) -> None:
    """Keep the rendered prompts; whatever happens, the run is finished without them."""
    try:
        await keep_prompts(http, environment.content_url, paths.run)
    except (Eng5Error, OSError, asyncio.CancelledError) as error:
        current_log().warning("prompts_not_kept", problem=str(error) or "interrupted")


async def _count_faults(faults: PlantedFaults, paths: RunnerPaths) -> None:
    """Note which faults fired; whatever happens, the run is finished."""
    try:
        counted = await faults.count()
    except asyncio.CancelledError:
        counted = faults.uncounted("the session was interrupted")
    await asyncio.to_thread(write_faults, paths.run.faults, counted)


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
    assignment = await _assignment(resources.http, settings, inventory, plan)
    if assignment is not None:
        plan = bind_plan(plan, variant, assignment.context)
        await asyncio.to_thread(write_plan, paths.run.plan, plan)
        await asyncio.to_thread(write_assignment, paths.run.assignment, assignment.context)
    progress.faults = await plant_faults(resources.http, environment, plan, variant)
    storage, prompt_id = await _upload(resources.http, settings, paths, plan, inventory)
    if variant.judge.provider == "mock":
        await _register_simulation(resources.http, environment, plan, variant, assignment)
    request = compose_request(plan, settings, storage, prompt_id).to_wire()
    tell_uploaded(storage, prompt_id)
    await asyncio.to_thread(write_atomic, paths.run.request, request)
    if not settings.publish:
        return End(EndReason.NOT_PUBLISHED, "the request was composed and not published, as was asked for")
    return await _published(resources, settings, paths, plan, request, progress)


async def _published(
    resources: Resources,
    settings: RunnerSettings,
    paths: RunnerPaths,
    plan: RunPlan,
    request: bytes,
    progress: _Progress,
) -> End:
    """Publish the request, and wait for what comes of it unless that was not asked for."""
    hub, publisher = resources.kafka
    hub.check()
    if not settings.await_completion:
        progress.published = await publisher.publish(request, plan.batch_uuid)
        told = f"published at {progress.published.position} and not waited for, as was asked for"
        return End(EndReason.NOT_AWAITED, told)
    essays = frozenset(essay.essay_id for essay in plan.essays)
    progress.channel = RunChannel(paths.run, plan.batch_uuid, essays, plan.planned_comparisons)
    hub.register(progress.channel)
    progress.published = await publisher.publish(request, plan.batch_uuid)
    deadlines = deadlines_for(settings.spec.variant, plan.planned_comparisons)
    budgets = plan.budget_usd, settings.session_budget_usd
    return await wait_for_end(hub, progress.channel, deadlines, *budgets)


async def _assignment(
    http: httpx.AsyncClient, settings: RunnerSettings, inventory: Inventory, plan: RunPlan
) -> Assignment | None:
    """What the run is bound to: provided first on a pipeline of ours, only looked at on any other."""
    environment, variant, wanted = settings.environment, settings.spec.variant, plan.assignment_id
    if wanted is None:
        return None
    if environment.operator is not None:
        provision = provision_of(variant, inventory)
        await provide_assignment(http, environment, environment.operator, wanted, provision)
    return await examine_assignment(http, environment, variant, wanted, inventory, plan.correlation_id)


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
    http: httpx.AsyncClient,
    environment: Environment,
    plan: RunPlan,
    variant: Variant,
    assignment: Assignment | None,
) -> None:
    """Say how the simulated judge behaves, to the reference pipeline and to any service that offers it.

    Raises:
        ServiceError: The service refuses; or the reference pipeline does not answer.
    """
    if environment.llm_url is None:
        return
    provider = ProviderClient(http, environment.llm_url)
    body = simulation(plan, variant, assignment)
    if environment.reference_pipeline:
        await provider.register_simulation(plan.batch_uuid, body)
        return
    try:
        path = await provider.simulations_path()
    except ServiceError:
        # Not reachable from here: its mode matters only where it must be a mock, and there it was asked.
        return
    if path is not None:
        await provider.register_simulation(plan.batch_uuid, body, path)


async def _upload(
    http: httpx.AsyncClient,
    settings: RunnerSettings,
    paths: RunnerPaths,
    plan: RunPlan,
    inventory: Inventory,
) -> tuple[dict[str, str], str | None]:
    """Store all texts at once; returns storage ids by essay id, and that of a prompt that goes along.

    What a service that outlives the session has already is remembered in the output folder. The prompt of an
    assignment is the service's own.
    """
    url, ours = settings.environment.content_url, settings.environment.reference_pipeline
    cache = None if ours else UploadCache(paths.session.parent / UPLOAD_CACHE, url)
    content = ContentClient(http, url, cache=cache, force_reupload=settings.force_reupload)
    texts = [essay.text for essay in sent_essays(plan.mode, inventory)]
    prompt = plan.prompt_reference if plan.assignment_id is None else None
    if prompt is not None:
        texts.append(prompt.content)
    stored = await content.store_all(texts)
    ids = {essay.essay_id: storage for essay, storage in zip(plan.essays, stored, strict=False)}
    return ids, stored[-1] if prompt is not None else None
