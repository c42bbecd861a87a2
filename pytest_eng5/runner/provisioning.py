"""Providing an assignment on a pipeline that the session started itself, from the inputs folder.

Runs of one session may share an assignment, in one process or in several: the first one provides it, the
others find it as they would have provided it, or are refused.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from pytest_eng5.contracts import GRADE_SCALES, scale_of
from pytest_eng5.contracts.admin import ANCHOR_MINIMUM
from pytest_eng5.runner.assignments import admin_client
from pytest_eng5.runner.errors import AssignmentRefused, InputError
from pytest_eng5.runner.inventory import Inventory
from pytest_eng5.runner.operating import Operator
from pytest_eng5.runner.settings import Environment
from pytest_eng5.scenario import Location, Problem, Variant
from pytest_eng5.services import AnchorRegistrar, AnchorText

__all__ = ["Provision", "provide_assignment", "provision_of"]

_WAIT = 0.05


@dataclass(frozen=True, slots=True)
class Provision:
    """What an assignment is made of."""

    instructions: str
    student_prompt: str
    grade_scale: str
    anchors: tuple[AnchorText, ...]

    @property
    def digest(self) -> str:
        """The same for equal content only."""
        anchors = [[anchor.label, anchor.grade, anchor.text] for anchor in self.anchors]
        content = [self.instructions, self.student_prompt, self.grade_scale, anchors]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def provision_of(variant: Variant, inventory: Inventory) -> Provision:
    """The assignment that an inputs folder describes.

    Raises:
        InputError: Instructions, prompt or anchors are missing, or the anchors' grades fit no grade scale, or
            not the expected one.
    """
    grades = {essay.grade for essay in inventory.anchors if essay.grade}
    scale, complaint = _scale(variant.expected_grade_scale, grades)
    problems = list(_lacking(inventory))
    if inventory.anchors and complaint is not None:
        fix = "correct the grades, or expected_grade_scale"
        problems.append(Problem(Location(inventory.root), complaint, fix))
    if problems or inventory.instructions is None or inventory.prompt is None:
        raise InputError(tuple(problems))
    return Provision(
        instructions=inventory.instructions.content,
        student_prompt=inventory.prompt.content,
        grade_scale=scale,
        anchors=tuple(AnchorText(e.local_id, e.grade or "", e.text) for e in inventory.anchors),
    )


def _lacking(inventory: Inventory) -> Iterator[Problem]:
    """What the service wants of an assignment and the folder does not have."""
    place = Location(inventory.root)
    if inventory.instructions is None:
        yield Problem(place, "there are no instructions", "write them into instructions.md")
    if inventory.prompt is None:
        yield Problem(place, "there is no student prompt", "write it into prompt.md")
    if not inventory.anchors:
        message = "the inputs folder holds no anchors, so none can be registered for the assignment"
        yield Problem(place, message, "put anchor essays into anchors/")
    for essay in inventory.anchors:
        if len(essay.text) < ANCHOR_MINIMUM:
            what = f"the anchor {essay.path.name!r} has {len(essay.text)} characters, the CJ service wants"
            fix = "write the whole essay into the file"
            yield Problem(Location(essay.path), f"{what} {ANCHOR_MINIMUM}", fix)


def _scale(expected: str | None, grades: set[str]) -> tuple[str, str | None]:
    """The grade scale of an assignment with such anchors, and what is wrong with it."""
    if expected is None:
        found = scale_of(grades)
        if found is None:
            return "", f"no grade scale has all grades of the anchors: {', '.join(sorted(grades))}"
        return found.id, None
    scale = GRADE_SCALES[expected]
    foreign = sorted(grades - {*scale.grades, scale.below_lowest})
    if foreign:
        return expected, f"the anchors' grades {', '.join(foreign)} are none of grade scale {expected}"
    return expected, None


async def provide_assignment(
    http: httpx.AsyncClient,
    environment: Environment,
    operator: Operator,
    assignment_id: str,
    provision: Provision,
) -> None:
    """Make an assignment what it should be, unless a run of the session already has.

    Raises:
        AssignmentRefused: A run of the session gave it another content.
        ServiceError: The service refuses something, or does not keep it.
    """
    name = hashlib.sha256(assignment_id.encode()).hexdigest()[:32]
    async with _alone(operator.folder / f"{name}.assignment") as record:
        provided = os.pread(record, 64, 0).decode()
        if provided == provision.digest:
            return
        if provided:
            raise AssignmentRefused(
                f"assignment {assignment_id} already has the texts and anchors of another inputs folder",
                where="assignment_id",
                fix="give variants with other inputs, or another grade scale, an assignment_id of their own",
            )
        await _provide(http, environment, assignment_id, provision)
        os.pwrite(record, provision.digest.encode(), 0)


@asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[int]:
    """A file that no other run, in this process or another, has open in this way at the same time.

    A thread that waits for the lock could not be cancelled, so it is asked for again and again.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(descriptor):  # noqa: ASYNC110 - held by another process
            await asyncio.sleep(_WAIT)
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _provide(
    http: httpx.AsyncClient, environment: Environment, assignment_id: str, provision: Provision
) -> None:
    """Instructions, prompt, and the anchors one by one: the pairs depend on their order."""
    admin = admin_client(http, environment)
    await admin.upsert_instructions(
        assignment_id=assignment_id,
        instructions_text=provision.instructions,
        grade_scale=provision.grade_scale,
    )
    await admin.set_student_prompt(assignment_id, provision.student_prompt)
    registrar = AnchorRegistrar(http, environment.cj_url or "", admin, concurrency=1)
    report = await registrar.register(assignment_id, provision.anchors)
    for outcome in report.outcomes:
        if outcome.error is not None:
            raise outcome.error
