"""The runtime of a session: which runs are wanted, who performs them, what came out."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_eng5.collection.options import Options
from pytest_eng5.errors import Eng5Error, UsageError
from pytest_eng5.evidence import RunEnding
from pytest_eng5.runner import (
    Campaign,
    Claim,
    Claims,
    RunSpec,
    cj_service,
    inventory_of,
    perform_offline,
    unstarted,
)
from pytest_eng5.runner.backend import Backend, open_backend, shut_down
from pytest_eng5.scenario import Variant
from pytest_eng5.sessions import SessionIdentity, group_id, open_session_folder

if TYPE_CHECKING:
    from pytest_eng5.reports import VariantOutcome

__all__ = ["Runtime", "VariantRuns"]


class VariantRuns:
    """The runs of one variant.

    Args:
        variant: The merged variant.
        folder: Name of its folder, if it is not the variant's id.
    """

    def __init__(self, variant: Variant, folder: str = "") -> None:
        self.variant = variant
        self.specs = tuple(RunSpec(variant, k, folder) for k in range(1, variant.repeats + 1))

    @property
    def offline(self) -> bool:
        """Whether they need neither broker nor pipeline."""
        return self.specs[0].offline

    @property
    def key(self) -> str:
        """Identity within a session."""
        return self.specs[0].key.rsplit("/", 1)[0]


class Runtime:
    """Performs every run once per session and hands out outcomes; nothing is started before it is needed.

    Args:
        options: The session's options.
        identity: Whose session it is.
        report: Told in one line what takes long.
    """

    def __init__(self, options: Options, identity: SessionIdentity, report: Callable[[str], None]) -> None:
        self._report = report
        self.options = options
        self.identity = identity
        self.session = options.output / identity.name
        self._claims = Claims(identity.shared / "claims")
        self._wanted: dict[str, VariantRuns] = {}
        self._futures: dict[str, Future[RunEnding]] = {}
        self._endings: dict[str, RunEnding] = {}
        self._outcomes: dict[str, VariantOutcome] = {}
        self._backend: Backend | None = None
        self._backend_error: Eng5Error | None = None
        self._campaign: Campaign | None = None
        self._lock = threading.RLock()  # Python tests may wait for runs in several threads

    @property
    def outcomes(self) -> dict[str, VariantOutcome]:
        """Outcomes that this process has worked out, by variant key."""
        return self._outcomes

    @property
    def started(self) -> bool:
        """Whether the session has a folder: something was started, or at least tried."""
        return self.session.is_dir()

    def want(self, runs: Iterable[VariantRuns]) -> None:
        """Declare runs that will be needed, so that they all start together with the first.

        Raises:
            UsageError: Two variants of different files share scenario name and variant id.
        """
        for item in runs:
            with self._lock:
                known = self._wanted.setdefault(item.key, item)
            if known.variant.location.path != item.variant.location.path:
                raise UsageError(
                    f"scenario {item.variant.scenario!r} is also the name of {known.variant.location.path}",
                    where=str(item.variant.location.path),
                    fix="give each scenario file a name of its own: their evidence shares a folder",
                )

    def backend(self) -> Backend:
        """Broker and pipeline, started now if need be.

        Raises:
            Eng5Error: They cannot be started.
        """
        with self._lock:
            return self._opened_backend()

    def _opened_backend(self) -> Backend:
        if self._backend_error is not None:
            raise self._backend_error
        if self._backend is None:
            try:
                open_session_folder(self.options.output, self.identity.name)
                threading.Thread(target=_import_reports, name="eng5-imports", daemon=True).start()
                self._backend = open_backend(self.options, self.identity, self.session, self._report)
            except Eng5Error as error:
                self._backend_error = error
                raise
        return self._backend

    def campaign(self) -> Campaign:
        """The campaign of this process, connected.

        Raises:
            Eng5Error: Broker or pipeline cannot be reached.
        """
        with self._lock:
            return self._opened_campaign()

    def _opened_campaign(self) -> Campaign:
        if self._campaign is None:
            backend = self.backend()
            from pytest_eng5.reports import finalise_run

            campaign = Campaign(
                backend.environment(),
                self.session,
                finalise_run,
                group_id=group_id(backend.topic_prefix, self.identity),
                concurrency=self.options.concurrency,
                budget_usd=self.options.budget_usd,
            )
            try:
                campaign.start()
            except Eng5Error as error:
                campaign.close(cancel=True)
                self._backend_error = error
                raise
            backend.watch(campaign.abort)
            self._campaign = campaign
        return self._campaign

    def outcome(self, runs: VariantRuns) -> VariantOutcome:
        """Wait for the runs of a variant, wherever they are performed, and judge them once.

        Raises:
            Eng5Error: Broker or pipeline cannot be started.
        """
        if runs.key not in self._outcomes:
            self.want([runs])
            start = partial(self._perform_offline, runs) if runs.offline else self._start_wanted
            start()
            for spec in runs.specs:
                self._wait(spec, start)
            with self._lock:
                if runs.key not in self._outcomes:
                    self._outcomes[runs.key] = self._evaluate(runs)
        return self._outcomes[runs.key]

    def endings(self, runs: VariantRuns) -> list[RunEnding]:
        """How the runs of a variant ended; waits for them.

        Raises:
            Eng5Error: Broker or pipeline cannot be started.
        """
        self.outcome(runs)
        return [self._endings[spec.key] for spec in runs.specs]

    def _start_wanted(self) -> None:
        with self._lock:
            self._start_unclaimed()

    def _start_unclaimed(self) -> None:
        if self._backend_error is not None:
            raise self._backend_error
        for runs in self._wanted.values():
            for spec in runs.specs if not runs.offline else ():
                if spec.key not in self._futures and (claim := self._claims.take(spec.key)) is not None:
                    try:
                        self._start(spec, claim)
                    except BaseException:  # whatever it is: nobody must wait for a run that will not come
                        claim.abandon()
                        raise

    def _start(self, spec: RunSpec, claim: Claim) -> None:
        """Start a run; with inputs that cannot be used it has ended before anything is started for it."""
        try:
            inventory_of(spec.variant, cj_service(self.options))
        except Eng5Error as error:
            self._endings[spec.key] = ending = unstarted(error)
            claim.settle(ending)
            return
        self._futures[spec.key] = self.campaign().submit(spec, claim)

    def _perform_offline(self, runs: VariantRuns) -> None:
        """Perform runs that reach nothing here and now, unless another process has them."""
        from pytest_eng5.reports import finalise_run

        with self._lock:
            for spec in runs.specs:
                if (claim := self._claims.take(spec.key)) is None:
                    continue
                try:
                    open_session_folder(self.options.output, self.identity.name)
                    ending = perform_offline(spec, self.session, finalise_run)
                except BaseException:  # as Ctrl-C: nobody must wait for a run that will not come
                    claim.abandon()
                    raise
                self._endings[spec.key] = ending
                claim.settle(ending)

    def _wait(self, spec: RunSpec, start: Callable[[], None]) -> RunEnding:
        ending = self._endings.get(spec.key)
        while ending is None:
            future = self._futures.get(spec.key)
            ending = self._claims.wait(spec.key) if future is None else future.result()
            if ending is None:  # its process could not start it; then this one may, or fails the same way
                start()
                ending = self._endings.get(spec.key)
        self._endings[spec.key] = ending
        return ending

    def _evaluate(self, runs: VariantRuns) -> VariantOutcome:
        variant, paths = runs.variant, runs.specs[0].paths(self.session)
        from pytest_eng5.reports import evaluate_variant

        expected = frozenset(variant.expect.findings) if variant.expect else None
        return evaluate_variant(
            paths.variant.root, variant.thresholds, repeats=variant.repeats, expected_codes=expected
        )

    def close(self, *, cancel: bool) -> None:
        """End this process's part: wait for its runs, or cancel them."""
        if self._campaign is not None:
            self._campaign.close(cancel=cancel)

    def abandon(self) -> None:
        """Cancel and end whatever :meth:`close` and :meth:`shut_down` did not; harmless after them."""
        self.close(cancel=True)
        if self.identity.is_controller:
            self.shut_down()

    def shut_down(self) -> None:
        """End broker and pipeline of the whole session; the controller's task, after all workers."""
        shut_down(self.identity.shared)
        self.identity.forget()


def _import_reports() -> None:
    """Load the numerical libraries while broker and pipeline start."""
    importlib.import_module("pytest_eng5.reports")


def variant_folders(session: Path) -> list[Path]:
    """Folders of all variants that have a planned run, or only a plan of one, in order of name."""
    names = ("plan.json", "inventory.json")
    return sorted({path.parent.parent for name in names for path in session.glob(f"*/*/run-*/{name}")})
