"""Questions to the admin API of the CJ service: is the token accepted, and is the assignment complete?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import httpx

from pytest_eng5.contracts import GRADE_SCALES, utc_now
from pytest_eng5.contracts.admin import AnchorSummary, AssessmentInstructions
from pytest_eng5.errors import Eng5Error, UsageError
from pytest_eng5.runner.authentication import distance, token_name
from pytest_eng5.runner.doctor.lines import Level, Line, failed, ok, warn
from pytest_eng5.runner.flags import RunFlags
from pytest_eng5.scenario.errors import shown_text
from pytest_eng5.services import AdminAuth, AdminClient, Retry, TokenDescription

__all__ = ["ask_admin"]

_PARTS = ("assignment", "anchors")


async def ask_admin(flags: RunFlags, http: httpx.AsyncClient, seconds: float) -> Iterable[Line]:
    """The token, then the assignment and its anchors if one is named."""
    assert flags.cj_url is not None
    auth, retry = AdminAuth(), Retry(attempts=2, total=seconds)
    admin = AdminClient(
        http, flags.cj_url, auth, retry=retry, timeout_seconds=seconds, option="--cj-service-url"
    )
    try:
        await admin.check_access()
    except Eng5Error as error:
        wrong = failed("token", error)
        if flags.assignment_id is None:
            text = f"{wrong.text}; only runs with an assignment need one"
            return [replace(wrong, level=Level.WARN, text=text)]
        return [wrong, *(_not_asked(part, "the admin API cannot be used") for part in _PARTS)]
    accepted = ok("token", _accepted(auth.token().description))
    if flags.assignment_id is None:
        return [accepted]
    return [accepted, *await _assignment(admin, str(flags.assignment_id), flags.expected_grade_scale)]


def _accepted(token: TokenDescription) -> str:
    until = "" if token.expires_at is None else f", expires {distance(token.expires_at, utc_now())}"
    return f"{token_name(token.source)}, accepted as {shown_text(token.subject or 'nobody')}{until}"


def _not_asked(what: str, why: str) -> Line:
    return Line(Level.FAIL, what, f"not asked for: {why}", "mend what stands above first", exit_code=2)


async def _assignment(admin: AdminClient, assignment_id: str, expected: str | None) -> list[Line]:
    try:
        record = await admin.instructions(assignment_id)
    except Eng5Error as error:
        return [failed("assignment", error), _not_asked("anchors", "the assignment cannot be read")]
    lines = list(_instructions(record, assignment_id, expected))
    try:
        return [*lines, *_anchors(await admin.anchors(assignment_id), assignment_id)]
    except Eng5Error as error:
        return [*lines, failed("anchors", error)]


def _instructions(record: AssessmentInstructions, assignment_id: str, expected: str | None) -> Iterator[Line]:
    scale = record.grade_scale
    if expected is not None and scale != expected:
        wrong = f"it has the grade scale {scale}, expected was {expected}"
        fix = "check --assignment-id; the scale of an assignment never changes once it exists"
        yield failed("assignment", UsageError(wrong, where=assignment_id, fix=fix))
    elif scale not in GRADE_SCALES:
        fix = f"known scales are {', '.join(GRADE_SCALES)}: projections cannot be checked"
        yield warn("assignment", f"{assignment_id} has the unknown grade scale {shown_text(scale)}", fix)
    else:
        yield ok("assignment", f"{assignment_id}, scale {scale}, origin {shown_text(record.context_origin)}")
    if record.student_prompt_storage_id is None:
        yield warn("student prompt", "none is bound to the assignment", "bind one, or keep prompt.md at hand")


def _anchors(found: AnchorSummary, assignment_id: str) -> Iterator[Line]:
    """Grades are projected from anchors in the assignment's scale, of at least two grades."""
    usable = [anchor for anchor in found.anchors if anchor.grade_scale == found.grade_scale]
    register = f"eng5 register-anchors {assignment_id} --anchor-dir DIR"
    if not found.anchor_count:
        other = f" ({found.anchor_count_total} in other scales)" if found.anchor_count_total else ""
        text = f"the assignment has none in its scale{other}"
        yield failed("anchors", UsageError(text, fix=f"register them: {register}"))
    elif len({anchor.grade for anchor in usable}) < 2:
        yield warn("anchors", "all have one grade, so that no grades can be projected", f"more: {register}")
    else:
        grades = ", ".join(sorted({anchor.grade for anchor in usable}))
        yield ok("anchors", f"{found.anchor_count} in the assignment's scale, grades {grades}")
