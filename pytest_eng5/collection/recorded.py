"""``--eng5-rejudge``: the items of today over runs that were recorded earlier; nothing is started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pytest_eng5.collection.runtime import Runtime, VariantRuns
from pytest_eng5.errors import InfrastructureError, UsageError
from pytest_eng5.evidence import RunEnding, write_json
from pytest_eng5.reports import Criteria, evaluate_recorded
from pytest_eng5.runner import Campaign, read_source
from pytest_eng5.sessions import open_session_folder

if TYPE_CHECKING:
    from pytest_eng5.reports import VariantOutcome
    from pytest_eng5.runner.backend import Backend

__all__ = ["RecordedRuntime", "differences"]


class RecordedRuntime(Runtime):
    """Hands out outcomes of recorded runs, judged by the thresholds that the scenario files have now.

    What is recorded is not touched: reports go into a session folder of their own.
    """

    @property
    def evidence(self) -> Path:
        """The folder of the recorded session."""
        assert self.options.rejudge is not None
        return self.options.rejudge

    def own_folders(self) -> list[Path]:
        """None: what no item asked for is not judged again."""
        return []

    def want(self, runs: Iterable[VariantRuns]) -> None:
        """Nothing will be performed."""

    def backend(self) -> Backend:
        """Refuse.

        Raises:
            UsageError: Always.
        """
        raise _nothing_is_started()

    def campaign(self) -> Campaign:
        """Refuse.

        Raises:
            UsageError: Always.
        """
        raise _nothing_is_started()

    def outcome(self, runs: VariantRuns) -> VariantOutcome:
        """Judge the recorded runs of a variant, once.

        Raises:
            UsageError: Nothing is recorded for it.
        """
        with self._lock:
            if runs.key not in self._outcomes:
                self._outcomes[runs.key] = self._judge_again(runs)
            return self._outcomes[runs.key]

    def _judge_again(self, runs: VariantRuns) -> VariantOutcome:
        variant = runs.variant
        folder = self.evidence / runs.key
        if not folder.is_dir():
            raise UsageError(
                f"no run of {variant.scenario} / {variant.id} is recorded there",
                where=f"--eng5-rejudge {self.evidence}",
                fix="name the session that has it, or leave it out with -k",
            )
        expected = frozenset(variant.expect.findings) if variant.expect else None
        criteria = Criteria(variant.thresholds, expected)
        open_session_folder(self.options.output, self.identity.name)
        write_json(self._criteria(runs.key), criteria.to_dict())  # for the controller, if this is a worker
        return evaluate_recorded(folder, criteria, findings=self.session / runs.key)

    def _criteria(self, key: str) -> Path:
        return self.identity.shared / "criteria" / f"{key}.json"

    def outcome_of(self, folder: Path) -> VariantOutcome:
        """The outcome of a variant's folder, judged as its items did it, in whatever process they ran."""
        key = folder.relative_to(self.evidence).as_posix()
        if key not in self._outcomes:
            path = self._criteria(key)
            criteria = Criteria.from_dict(orjson.loads(path.read_bytes())) if path.exists() else None
            self._outcomes[key] = evaluate_recorded(folder, criteria)
        return self._outcomes[key]

    def endings(self, runs: VariantRuns) -> list[RunEnding]:
        """How the recorded runs ended.

        Raises:
            InfrastructureError: One of them cannot be read, or was killed.
        """
        found = []
        for run in self.outcome(runs).runs:
            if run.ending is None:
                raise InfrastructureError(run.obstacle or f"run-{run.repeat} has no end", where=str(run.root))
            found.append(run.ending)
        return found


def _nothing_is_started() -> UsageError:
    return UsageError(
        "nothing is started when recorded runs are judged again",
        where="--eng5-rejudge",
        fix="leave out the tests that need a broker, a pipeline or new runs, or the option",
    )


def differences(runs: VariantRuns, outcome: VariantOutcome) -> Iterator[str]:
    """What a scenario file says now that the recorded runs were not made with, one sentence each."""
    plan, variant = outcome.plan, runs.variant
    if plan is None:
        return
    sources: tuple[tuple[str, Path | None, Any], ...] = (
        ("system prompt", variant.system_prompt, plan.system_prompt),
        ("rubric", variant.rubric, plan.rubric),
    )
    for name, path, recorded in sources:
        now = None if path is None else read_source(path, path.parent).checksum
        if now != (None if recorded is None else recorded.checksum):
            yield f"the {name} has changed since the run was recorded"
    asked = {"provider": variant.judge.provider, "model": variant.judge.model}
    for name, value in asked.items():
        if value != getattr(plan, name):
            yield f"the {name} was {getattr(plan, name)} when the run was recorded, and is {value} now"
