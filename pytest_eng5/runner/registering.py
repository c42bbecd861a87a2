"""``eng5 register-anchors``: from a folder of graded essays to the anchors of an assignment, read back.

Everything about the inputs is told together before anything is sent. Registering needs no token by itself,
but what the service says it kept does, so a token is asked for first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from pytest_eng5.contracts import GRADE_SCALES
from pytest_eng5.contracts.admin import AnchorSummary, AssessmentInstructions
from pytest_eng5.errors import Eng5Error, UsageError
from pytest_eng5.runner.errors import InputError, RunnerError
from pytest_eng5.runner.inventory import Essay, read_inventory
from pytest_eng5.scenario import ANCHOR_FOLDER, Location, Problem
from pytest_eng5.services import (
    AdminAuth,
    AdminClient,
    AnchorOutcome,
    AnchorRegistrar,
    AnchorReport,
    AnchorStatus,
    AnchorText,
)

__all__ = ["Registration", "register_anchors"]

_OPTION = "--cj-service-url"
_SHORTEST_ESSAY = 100
_LONGEST_LABEL = 255
_HTTP_SECONDS = 30.0
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Registration:
    """What is to be registered where.

    Attributes:
        assignment_id: The assignment, which the CJ service must know.
        folder: An inputs folder with ``anchors/`` in it, or the folder of the essays itself; a table
            ``anchors.csv`` or ``anchors.xlsx`` beside the essays' folder gives labels and grades.
        cj_url: Address of the CJ service.
        expected_grade_scale: Refuse an assignment that has another one.
        dry_run: Send nothing; tell what would be sent.
    """

    assignment_id: UUID
    folder: Path
    cj_url: str
    expected_grade_scale: str | None = None
    dry_run: bool = False


def register_anchors(wanted: Registration, report: Report, progress: Report) -> int:
    """Register, and tell line by line what became of each anchor; returns the exit code.

    Args:
        wanted: What and where.
        report: Told the outcome.
        progress: Told which files were passed over, and how far it has come.

    Raises:
        InputError: Anchors that cannot be registered, with every problem found.
        UsageError: An unknown scale, or the assignment has another one.
        Eng5Error: The service cannot be asked, or refuses.
        RunnerError: Interrupted.
    """
    essays = _essays(wanted, progress)
    answered: list[AnchorOutcome] = []

    def tell(outcome: AnchorOutcome) -> None:
        answered.append(outcome)
        progress(f"{len(answered)}/{len(essays)} {outcome.label}")

    try:
        return asyncio.run(_register(wanted, essays, report, tell))
    except KeyboardInterrupt:
        taken = sum(outcome.answer is not None for outcome in answered)
        raise RunnerError(
            f"interrupted: the service had taken {taken} of {len(essays)} anchors, nothing was read back",
            where=f"assignment {wanted.assignment_id}",
            fix="start it again: anchors of the same label are replaced, not doubled",
        ) from None


async def _register(
    wanted: Registration,
    essays: Sequence[Essay],
    report: Report,
    answered: Callable[[AnchorOutcome], object],
) -> int:
    assignment = str(wanted.assignment_id)
    async with httpx.AsyncClient(timeout=_HTTP_SECONDS, trust_env=False) as http:
        admin = AdminClient(http, wanted.cj_url, AdminAuth(), option=_OPTION)
        try:
            record, there = await _preflight(admin, wanted)
        except Eng5Error:
            if wanted.dry_run:
                _tell_all(report, (_row(essay, "not compared with the service") for essay in essays))
            raise
        _refuse_grades(essays, record.grade_scale)
        so_far = "1 anchor" if there.anchor_count == 1 else f"{there.anchor_count} anchors"
        report(f"assignment {assignment}: scale {record.grade_scale}, {so_far} so far")
        if wanted.dry_run:
            _tell_all(report, (_row(essay, _plan(essay, there)) for essay in essays))
            _tell_all(report, _others(essays, there))
            report(f"dry run: {len(essays)} anchors would be registered, nothing was sent")
            return 0
        registrar = AnchorRegistrar(http, wanted.cj_url, admin, option=_OPTION, answered=answered)
        found = await registrar.register(
            assignment, [AnchorText(essay.local_id, essay.grade or "", essay.text) for essay in essays]
        )
    statuses = {outcome.label: outcome.status.value for outcome in found.outcomes}
    _tell_all(report, (_row(essay, statuses[essay.local_id]) for essay in essays))
    _tell_all(report, _result(found, essays))
    return _exit_code(found)


async def _preflight(
    admin: AdminClient, wanted: Registration
) -> tuple[AssessmentInstructions, AnchorSummary]:
    """The assignment and its anchors; refuses one with another scale than expected."""
    record = await admin.instructions(str(wanted.assignment_id))
    expected = wanted.expected_grade_scale
    if expected is not None and record.grade_scale != expected:
        raise UsageError(
            f"the assignment has the grade scale {record.grade_scale}, expected was {expected}",
            where=f"assignment {wanted.assignment_id}",
            fix="check the assignment id; the scale of an assignment never changes once it exists",
        )
    return record, await admin.anchors(str(wanted.assignment_id))


# ---- inputs ----------------------------------------------------------------------------------------------


def _essays(wanted: Registration, notice: Report) -> tuple[Essay, ...]:
    """The anchors with their texts; every problem of folder, table and texts is told at once."""
    _refuse_scale(wanted.expected_grade_scale)
    folder, name = _place(wanted.folder)
    inventory = read_inventory(folder, anchor_folder=name, refuse=False)
    problems = [*inventory.problems, *_unfit(inventory.anchors)]
    if not problems and not inventory.anchors:
        hint = "put one file per anchor into it: .docx, .pdf, .txt or .md"
        problems.append(Problem(Location(folder / name), "the folder holds no anchors", hint))
    if problems:
        raise InputError(problems)
    for passed_over in inventory.notices:
        notice(f"notice: {passed_over}")
    return inventory.anchors


def _refuse_scale(scale: str | None) -> None:
    if scale is not None and scale not in GRADE_SCALES:
        fix = f"use one of {', '.join(GRADE_SCALES)}"
        raise UsageError(f"unknown grade scale {scale!r}", where="--expected-grade-scale", fix=fix)


def _place(folder: Path) -> tuple[Path, str]:
    """The folder that a table would lie in, and the name of the essays' folder in it."""
    given = folder.absolute()
    if not given.is_dir():
        what = "is not a folder" if given.exists() else "does not exist"
        fix = "name the folder of the anchor essays, or the one that holds anchors/"
        raise UsageError(what, where=f"--anchor-dir {folder}", fix=fix)
    if (given / ANCHOR_FOLDER).is_dir():
        return given, ANCHOR_FOLDER
    given = given.resolve()
    return given.parent, given.name


def _unfit(essays: Sequence[Essay]) -> Iterator[Problem]:
    """What the service would refuse, whatever the assignment."""
    for essay in essays:
        length = len(essay.text.strip())
        if length < _SHORTEST_ESSAY:
            message = f"the essay has {length} characters, an anchor needs {_SHORTEST_ESSAY}"
            yield Problem(Location(essay.path), message, "check that this is the whole essay")
        if len(essay.local_id) > _LONGEST_LABEL:
            message = f"the label {essay.local_id[:30]}... is longer than {_LONGEST_LABEL} characters"
            yield Problem(Location(essay.path), message, "give it a shorter id or file name")


def _refuse_grades(essays: Sequence[Essay], scale_id: str) -> None:
    """Refuse grades that the assignment's scale does not have; a scale unknown here is the service's matter.

    Raises:
        InputError: One problem per anchor.
    """
    scale = GRADE_SCALES.get(scale_id)
    if scale is None:
        return
    legal = {*scale.grades, *([scale.below_lowest] if scale.below_lowest else [])}
    hint = f"the scale has {', '.join(reversed(scale.grades))}"
    wrong = [
        Problem(Location(essay.path), f"{essay.local_id}: {scale_id} has no grade {essay.grade}", hint)
        for essay in essays
        if essay.grade not in legal
    ]
    if wrong:
        raise InputError(wrong)


# ---- words -----------------------------------------------------------------------------------------------


def _tell_all(report: Report, lines: Iterator[str]) -> None:
    for line in lines:
        report(line)


def _row(essay: Essay, status: str) -> str:
    return f"  {essay.grade or '?':3} {essay.local_id}  {len(essay.text)} characters  {status}"


def _plan(essay: Essay, there: AnchorSummary) -> str:
    for anchor in there.anchors:
        if (anchor.anchor_label, anchor.grade_scale) == (essay.local_id, there.grade_scale):
            return f"replaces the one of grade {anchor.grade}"
    return "new"


def _others(essays: Sequence[Essay], there: AnchorSummary) -> Iterator[str]:
    """Anchors that the assignment has besides: runs use them, too."""
    ours = {essay.local_id for essay in essays}
    others = [
        f"{anchor.anchor_label} ({anchor.grade})"
        for anchor in there.anchors
        if anchor.grade_scale == there.grade_scale and anchor.anchor_label not in ours
    ]
    if others:
        yield f"note: the assignment has further anchors, which runs use as well: {', '.join(others)}"


def _result(found: AnchorReport, essays: Sequence[Essay]) -> Iterator[str]:
    """Why anchors are not confirmed, each reason once, and the sum."""
    reasons: dict[str, list[str]] = {}
    for outcome in found.outcomes:
        if outcome.error is not None:
            reasons.setdefault(str(outcome.error), []).append(outcome.label)
    for reason, labels in reasons.items():
        yield f"not confirmed: {', '.join(labels)}\n  {reason}"
    if found.summary is not None:
        yield from _others(essays, found.summary)
    counts = ", ".join(f"{number} {status.value}" for status, number in found.counts().items() if number)
    now = "" if found.summary is None else f"; the assignment now has {found.summary.anchor_count}"
    yield f"{counts}{now}"


def _exit_code(found: AnchorReport) -> int:
    """0 if every anchor was read back, else the worst of what was in the way."""
    wrong = [outcome for outcome in found.outcomes if outcome.status is not AnchorStatus.CONFIRMED]
    return max((outcome.error.exit_code if outcome.error else 4 for outcome in wrong), default=0)
