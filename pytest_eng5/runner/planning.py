"""From settings and inventory to the snapshot of mode ``plan``; reads files and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_eng5 import __version__
from pytest_eng5.contracts import grade_rank, scale_of, utc_now
from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import (
    CostEstimate,
    InventoryFile,
    InventorySnapshot,
    PlannedMode,
    PlannedThreshold,
    Remark,
    hash_files,
)
from pytest_eng5.evidence.snapshot import FileRole
from pytest_eng5.gates import attainable, contradictions, never_certain, unreachable
from pytest_eng5.runner.capacity import Capacity, Shortage, comparison_shortages, essay_shortages
from pytest_eng5.runner.inventory import Essay, Inventory
from pytest_eng5.runner.settings import RunnerSettings
from pytest_eng5.scenario import Problem, ScenarioError, Variant
from pytest_eng5.scenario.anchors import ANCHOR_TABLES

__all__ = ["PLANNED_MODES", "compose_snapshot", "refuse_unreachable"]

PLANNED_MODES = ("anchor-align-test", "execute")
"""Modes that compare essays."""

_SOURCES: tuple[tuple[FileRole, str], ...] = (
    ("instructions", "instructions.md"),
    ("student_prompt", "prompt.md"),
)


def compose_snapshot(settings: RunnerSettings, inventory: Inventory) -> InventorySnapshot:
    """Look at everything a run would use, and say what could be run; nothing is refused."""
    spec, variant = settings.spec, settings.spec.variant
    capacity = Capacity(len(inventory.anchors), len(inventory.students))
    scale = scale_of({essay.grade for essay in inventory.anchors if essay.grade})
    resolved = variant.to_dict()
    thresholds = tuple(_thresholds(variant, inventory))
    snapshot = InventorySnapshot(
        scenario=variant.scenario,
        variant=variant.id,
        planned_mode=spec.planned_mode,
        created_at=utc_now(),
        runner_version=__version__,
        inputs=resolved["inputs"],
        course_code=variant.course_code,
        language=variant.language,
        grade_scale=scale.id if scale else None,
        valid=True,
        files=tuple(_files(variant, inventory)),
        notices=tuple(map(_remark, inventory.notices)),
        problems=tuple(_problems(inventory, capacity)),
        modes=tuple(_mode(name, variant, capacity, inventory) for name in PLANNED_MODES),
        judge=_judge(resolved),
        thresholds=thresholds,
        cost=_cost(variant),
        budget_usd=settings.budget_usd if settings.budget_usd is not None else variant.budget_usd,
        resolved_scenario=resolved,
    )
    return snapshot.model_copy(update={"valid": not snapshot.obstacles})


def _problems(inventory: Inventory, capacity: Capacity) -> Iterator[Remark]:
    """What cannot be used; that there is no essay at all is told only if nothing else explains it."""
    yield from map(_remark, inventory.problems)
    if not inventory.problems:
        for shortage in essay_shortages("plan", capacity):
            yield _shortage(shortage)


def _remark(problem: Problem) -> Remark:
    return Remark(message=problem.message, where=str(problem.location), fix=problem.hint)


def _shortage(shortage: Shortage) -> Remark:
    return Remark(message=shortage.message, fix=shortage.fix)


def _files(variant: Variant, inventory: Inventory) -> Iterator[InventoryFile]:
    root = inventory.root
    for essay in inventory.anchors:
        yield _file("anchor", essay.path, root, essay)
    for essay in inventory.students:
        yield _file("student", essay.path, root, essay)
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.name.lower() in ANCHOR_TABLES and path.is_file():
            yield _file("anchor_table", path, root)
    present = {
        text.source_path: text for text in (inventory.instructions, inventory.prompt) if text is not None
    }
    for role, name in _SOURCES:
        if name in present:
            yield _file(role, root / name, root, text=present[name].content)
    folder = variant.location.path.parent
    prompts: tuple[tuple[FileRole, Path | None], ...] = (
        ("system_prompt", variant.system_prompt),
        ("rubric", variant.rubric),
    )
    for role, prompt in prompts:
        if prompt is not None:
            yield _file(role, prompt, folder)


def _file(
    role: FileRole, path: Path, root: Path, essay: Essay | None = None, text: str | None = None
) -> InventoryFile:
    """One file as it lies there; an anchor without a grade has no id either, because its table is in doubt.

    Raises:
        OSError: It vanished since it was read.
    """
    found = hash_files(path.parent, [path])[0]
    content = essay.text if essay else text
    return InventoryFile(
        role=role,
        path=path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name,
        bytes=found.bytes,
        sha256=found.sha256,
        text_sha256=essay.checksum if essay else None,
        characters=None if content is None else len(content),
        id=essay.local_id if essay and (essay.grade or role != "anchor") else None,
        grade=essay.grade if essay else None,
    )


def _mode(mode: str, variant: Variant, capacity: Capacity, inventory: Inventory) -> PlannedMode:
    """What a run would compare; the folder's anchors stand for those of an assignment."""
    essays = capacity.compared(mode)
    comparisons = variant.planned_comparisons(essays)
    known = capacity if mode != "execute" else Capacity(max(capacity.anchors, 1), capacity.students)
    shortages = [*essay_shortages(mode, known), *comparison_shortages(essays, comparisons)]
    obstacles = [_shortage(item) for item in shortages if item.refused]
    if mode == "execute" and inventory.instructions is None:
        obstacles.append(Remark(message="there are no instructions", fix="write them into instructions.md"))
    return PlannedMode(
        mode=mode,
        essays=essays,
        comparisons=comparisons,
        round_robin=essays * (essays - 1) // 2,
        obstacles=tuple(obstacles),
        remarks=tuple(_shortage(item) for item in shortages if not item.refused),
    )


def _judge(resolved: dict[str, Any]) -> dict[str, Any]:
    """The judge's settings that are set; the simulated judge's only where it judges."""
    judge = {key: value for key, value in resolved["judge"].items() if value is not None}
    mock = judge.pop("mock")
    if judge.get("provider") == "mock":
        judge["mock"] = {key: value for key, value in mock.items() if value is not None}
    return judge


def _thresholds(variant: Variant, inventory: Inventory) -> Iterator[PlannedThreshold]:
    """Thresholds with what they can attain; what excludes another one is told at the first of both."""
    ranks = [grade_rank(essay.grade or "") for essay in inventory.anchors]
    known = [rank for rank in ranks if rank is not None]
    planned = variant.planned_comparisons(len(ranks)) * variant.repeats
    clashes = contradictions(variant.thresholds, ranks, planned)
    first = {clash.metrics[0]: str(clash) for clash in reversed(clashes)}
    for threshold in variant.thresholds:
        try:
            most = attainable(threshold.metric, known)
        except Eng5Error:
            most = None
        yield PlannedThreshold(
            metric=threshold.metric,
            min=threshold.min,
            max=threshold.max,
            attainable=most,
            confidence=threshold.confidence,
            problem=unreachable(threshold, ranks)
            or never_certain(threshold, ranks, planned)
            or first.get(threshold.metric),
        )


def refuse_unreachable(variant: Variant, inventory: Inventory) -> None:
    """Refuse thresholds that no data could satisfy, at their place in the file, where anchors are known.

    Raises:
        ScenarioError: One problem per such threshold.
    """
    if not inventory.anchors:
        return
    planned = zip(variant.thresholds, _thresholds(variant, inventory), strict=True)
    problems = [Problem(own.location, found.problem) for own, found in planned if found.problem]
    if problems:
        raise ScenarioError(problems)


def _cost(variant: Variant) -> CostEstimate | None:
    """The simulated judge is free; what real ones charge is not known here."""
    if variant.judge.provider != "mock":
        return None
    return CostEstimate(usd=0.0, basis="the simulated judge costs nothing")
