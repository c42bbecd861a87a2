"""The campaign: all runs of a process at once, on one event loop in a background thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from pytest_eng5.contracts import utc_now
from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import EndReason, RunEnding
from pytest_eng5.runner.claims import Claim
from pytest_eng5.runner.errors import RunnerError, reason_of
from pytest_eng5.runner.handlers import HANDLER_MAP
from pytest_eng5.runner.prerequisites import inventory_of, service_of
from pytest_eng5.runner.resources import Finalise, Resources, open_resources
from pytest_eng5.runner.settings import Environment, RunnerSettings, RunSpec

__all__ = ["Campaign", "unstarted"]

_T = TypeVar("_T")


class Campaign:
    """Performs runs concurrently and hands out their endings.

    Args:
        environment: The pipeline under test.
        session: The session folder; runs write below it.
        finalise: Completes a run folder, see :data:`pytest_eng5.runner.resources.Finalise`.
        group_id: Kafka group under which this process commits what it has captured.
        concurrency: Runs at once.
        budget_usd: Ceiling for all runs together.
        more: Further fields of all runs' `RunnerSettings`, where they are not its defaults.
        kafka: Whether the runs need it.
    """

    def __init__(
        self,
        environment: Environment,
        session: Path,
        finalise: Finalise,
        *,
        group_id: str,
        concurrency: int = 8,
        budget_usd: float | None = None,
        more: Mapping[str, Any] | None = None,
        kafka: bool = True,
    ) -> None:
        self.environment = environment
        self.session = session
        self._finalise = finalise
        self._group_id = group_id
        self._budget_usd = budget_usd
        self._more = dict(more or {})
        self._kafka = kafka
        self._service = service_of(environment)
        self._spent_usd = 0.0
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(concurrency)
        self._thread = threading.Thread(target=self._loop.run_forever, name="eng5-campaign", daemon=True)
        self._tasks: dict[str, asyncio.Task[RunEnding]] = {}
        self._stack = AsyncExitStack()
        self._resources: Resources | None = None
        self._closed = False

    def start(self) -> None:
        """Connect to Kafka and take positions on every topic, before any run is published.

        Raises:
            CaptureError, PublishError: The broker does not answer or lacks a topic.
        """
        self._thread.start()
        self._call(self._open())

    def submit(self, spec: RunSpec, claim: Claim | None = None) -> concurrent.futures.Future[RunEnding]:
        """Start a run as soon as a slot is free; the future never fails for what happens to the run.

        Args:
            spec: What to run.
            claim: Settled with the ending, for other processes that wait for it.
        """
        return asyncio.run_coroutine_threadsafe(self._tracked(spec, claim), self._loop)

    def abort(self, reason: str) -> None:
        """End all runs at once, from any thread: what they need is gone."""
        resources = self._resources
        if resources is not None and resources.hub is not None and not self._closed:
            asyncio.run_coroutine_threadsafe(resources.hub.abort(reason), self._loop)

    def close(self, *, cancel: bool = False) -> None:
        """Wait for all runs, or cancel them; their folders are complete afterwards. May be repeated."""
        if self._closed or not self._thread.is_alive():
            return
        self._call(self._finish(cancel))
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _open(self) -> None:
        opened = open_resources(
            self.environment, self.session, self._group_id, self._finalise, kafka=self._kafka
        )
        self._resources = await self._stack.enter_async_context(opened)

    async def _finish(self, cancel: bool) -> None:
        tasks = list(self._tasks.values())
        if cancel:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stack.aclose()

    async def _tracked(self, spec: RunSpec, claim: Claim | None) -> RunEnding:
        task = asyncio.create_task(self._bounded(spec), name=f"eng5-run {spec.key}")
        self._tasks[spec.key] = task
        ending = unstarted(RunnerError("the run was not performed"))
        try:
            ending = await asyncio.shield(task)
        except asyncio.CancelledError:
            ending = _interrupted()
        except Eng5Error as error:
            ending = unstarted(error)
        except Exception as error:
            ending = unstarted(RunnerError(f"unexpected {type(error).__name__}: {error}"))
        finally:
            if claim is not None:
                await asyncio.to_thread(claim.settle, ending)
        return ending

    async def _bounded(self, spec: RunSpec) -> RunEnding:
        async with self._slots:
            assert self._resources is not None
            if self._budget_usd is not None and self._spent_usd > self._budget_usd:
                return _over_budget(self._spent_usd, self._budget_usd)
            inventory = await asyncio.to_thread(inventory_of, spec.variant, self._service)
            settings = RunnerSettings(
                spec,
                self.environment,
                self._finalise,
                budget_usd=self._ceiling(spec),
                session_budget_usd=self._budget_usd,
                assignment_id=spec.variant.assignment_id,
                **self._more,
            )
            handler = HANDLER_MAP[spec.variant.mode]()
            paths = spec.paths(self.session)
            ending, cost = await handler.perform(self._resources, settings, inventory, paths)
            self._spent_usd += cost
            return ending

    def _ceiling(self, spec: RunSpec) -> float | None:
        left = None if self._budget_usd is None else self._budget_usd - self._spent_usd
        limits = [limit for limit in (left, spec.variant.budget_usd) if limit is not None]
        return min(limits) if limits else None


def _ended(reason: EndReason, detail: str) -> RunEnding:
    now = utc_now()
    return RunEnding(reason=reason, detail=detail, started_at=now, ended_at=now, published=False)


def unstarted(error: Eng5Error) -> RunEnding:
    """The ending of a run that an error kept from starting."""
    return _ended(reason_of(error), str(error))


def _interrupted() -> RunEnding:
    return _ended(EndReason.INTERRUPTED, "the session was interrupted")


def _over_budget(spent: float, ceiling: float) -> RunEnding:
    detail = f"not started: ${spent:.4f} of the session's ${ceiling:.4f} are spent; raise --eng5-budget-usd"
    return _ended(EndReason.BUDGET, detail)
