"""Client of the CJ service's admin API (contract section 5.2).

Written for what the service is meant to do and for what it does: it may answer 500 to everything, then what
was meant is worked out by asking in another way; and it may report success for a write and forget it, so
every write is read back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import BaseModel

from pytest_eng5.contracts.admin import (
    CONTEXT_ORIGIN,
    AnchorSummary,
    AssessmentInstructions,
    AssessmentInstructionsDeleted,
    AssessmentInstructionsPage,
    AssessmentInstructionsUpsert,
    JudgeRubric,
    JudgeRubricUpload,
    StudentPrompt,
    StudentPromptUpload,
)
from pytest_eng5.services.admin_http import AdminHttp
from pytest_eng5.services.auth import AdminAuth
from pytest_eng5.services.classify import checked
from pytest_eng5.services.errors import (
    AmbiguousFailure,
    NotFound,
    Refused,
    ServiceError,
    ServiceFailed,
    WriteDidNotStick,
)
from pytest_eng5.services.http import Retry

__all__ = ["AdminClient"]

M = TypeVar("M", bound=BaseModel)
_PAGE_SIZE = 200
# A list that is longer than any is the doing of a broken server.
_MOST_PAGES = 500
_Known = Callable[[AssessmentInstructions], ServiceError]


class AdminClient:
    """Instructions, student prompts, judge rubrics and anchors of assignments.

    Args:
        client: The HTTP client.
        url: Address of the CJ service, such as ``http://localhost:9095``; ``/admin/v1`` is added if missing.
        auth: Where the token comes from.
        correlation_id: Sent with every request; a new one for each by default.
        retry: How often a GET is tried again after a 5xx, a timeout or a lost connection.
        timeout_seconds: Seconds that one request may wait for the service.
        option: Where the address is configured, for messages.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        auth: AdminAuth,
        *,
        correlation_id: UUID | None = None,
        retry: Retry | None = None,
        timeout_seconds: float = 15.0,
        option: str = "CJ_SERVICE_URL",
    ) -> None:
        self._http = AdminHttp(
            client, url, auth, correlation_id, retry or Retry(total=60), timeout_seconds, option
        )

    async def instructions(self, assignment_id: str) -> AssessmentInstructions:
        """The instructions of an assignment.

        Raises:
            NotFound: The service knows no such assignment.
            ServiceError: Anything else that went wrong; so in all methods.
        """
        path = f"/assessment-instructions/assignment/{_quoted(assignment_id)}"
        return await self._read(path, AssessmentInstructions, assignment_id)

    async def check_access(self) -> int:
        """Whether the service accepts the token for its admin API; returns its number of instructions.

        Raises:
            NotAuthenticated: It does not accept the token.
            NotPermitted: The token has not the role admin.
            ServiceError: Anything else that went wrong.
        """
        return (await self._page(1, 1, None)).total

    async def all_instructions(self, *, grade_scale: str | None = None) -> tuple[AssessmentInstructions, ...]:
        """All instructions, page by page, each record once."""
        records: dict[int | str, AssessmentInstructions] = {}
        number, total = 1, 1
        while len(records) < total and number <= _MOST_PAGES:
            page = await self._page(number, _PAGE_SIZE, grade_scale)
            fresh = {record.id: record for record in page.items if record.id not in records}
            if not fresh:
                break
            records.update(fresh)
            number, total = number + 1, page.total
        return tuple(records.values())

    async def upsert_instructions(
        self,
        *,
        instructions_text: str,
        grade_scale: str,
        assignment_id: str | None = None,
        course_id: str | None = None,
        context_origin: str = CONTEXT_ORIGIN,
        student_prompt_storage_id: str | None = None,
    ) -> AssessmentInstructions:
        """Create or change the instructions of an assignment or of a course, and read them back.

        Args:
            grade_scale: A registered id; never changes once the record exists, like ``context_origin``.
            student_prompt_storage_id: ``None`` keeps the one there is.

        Raises:
            Refused: The service would not take this, or the record exists with another scale or origin.
            WriteDidNotStick: The service reported success and forgot the write.
        """
        wanted = checked(
            AssessmentInstructionsUpsert,
            "assessment instructions",
            assignment_id=assignment_id,
            course_id=course_id,
            instructions_text=instructions_text,
            grade_scale=grade_scale,
            context_origin=context_origin,
            student_prompt_storage_id=student_prompt_storage_id,
        )
        body = wanted.model_dump(exclude_none=True)
        try:
            await self._http.ask("POST", "/assessment-instructions", AssessmentInstructions, body)
        except ServiceFailed as failure:
            raise await self._why_not_written(failure, wanted) from None
        reading = self._record(assignment_id, course_id)
        return await self._confirmed("the instructions", "/assessment-instructions", reading, body)

    async def delete_instructions(
        self, *, assignment_id: str | None = None, course_id: str | None = None
    ) -> None:
        """Delete the instructions of an assignment or of a course, and see that they are gone.

        Raises:
            NotFound: There are none.
            WriteDidNotStick: The service reported success, and they are still there.
        """
        if (assignment_id is None) == (course_id is None):
            raise Refused(
                "nothing, or two things, to delete",
                where="assessment instructions",
                fix="give either assignment_id or course_id",
            )
        kind, owner = ("assignment", assignment_id) if assignment_id is not None else ("course", course_id)
        path = f"/assessment-instructions/{kind}/{_quoted(owner or '')}"
        try:
            await self._http.ask("DELETE", path, AssessmentInstructionsDeleted)
        except AmbiguousFailure as failure:
            raise await self._meant(failure, assignment_id, course_id, _still_failing(failure)) from None
        try:
            await self._record(assignment_id=assignment_id, course_id=course_id)
        except NotFound:
            return
        what = f"the deletion of the instructions of {kind} {owner}"
        raise self._did_not_stick(what, path, "they are still there")

    async def student_prompt(self, assignment_id: str) -> StudentPrompt:
        """The student prompt of an assignment.

        Raises:
            NotFound: No such assignment, or no prompt bound to it.
        """

        def known(record: AssessmentInstructions) -> ServiceError:
            if record.student_prompt_storage_id is not None:
                return self._fails_for(assignment_id, "its student prompt")
            return NotFound(
                f"assignment {assignment_id} has no student prompt",
                where=self._http.where(path),
                fix="bind a student prompt to the assignment",
            )

        path = f"/student-prompts/assignment/{_quoted(assignment_id)}"
        return await self._read(path, StudentPrompt, assignment_id, known)

    async def set_student_prompt(self, assignment_id: str, text: str) -> StudentPrompt:
        """Bind a student prompt to an assignment, and read it back.

        Raises:
            NotFound: No such assignment.
            WriteDidNotStick: The service reported success and forgot the write.
        """
        wanted = checked(StudentPromptUpload, "student prompt", assignment_id=assignment_id, prompt_text=text)
        answer = await self._write("/student-prompts", wanted, StudentPrompt, assignment_id)
        reading = self.student_prompt(assignment_id)
        return await self._confirmed(
            "the student prompt", "/student-prompts", reading, _comparable(answer, wanted)
        )

    async def judge_rubric(self, assignment_id: str) -> JudgeRubric:
        """The judge rubric of an assignment.

        Raises:
            NotFound: No such assignment, or no rubric bound to it.
            AmbiguousFailure: The service says neither.
        """

        def known(_: AssessmentInstructions) -> ServiceError:
            return AmbiguousFailure(
                f"the CJ service answered 500 for the judge rubric of assignment {assignment_id}, which it"
                " knows: either no rubric is bound to it, or the rubric cannot be read",
                where=self._http.where(path),
                fix="bind a rubric to the assignment, or look at the service's logs",
            )

        path = f"/judge-rubrics/assignment/{_quoted(assignment_id)}"
        return await self._read(path, JudgeRubric, assignment_id, known)

    async def set_judge_rubric(self, assignment_id: str, text: str) -> JudgeRubric:
        """Bind a judge rubric to an assignment, and read it back.

        Raises:
            NotFound: No such assignment.
            WriteDidNotStick: The service reported success and forgot the write.
        """
        wanted = checked(JudgeRubricUpload, "judge rubric", assignment_id=assignment_id, rubric_text=text)
        answer = await self._write("/judge-rubrics", wanted, JudgeRubric, assignment_id)
        reading = self.judge_rubric(assignment_id)
        return await self._confirmed(
            "the judge rubric", "/judge-rubrics", reading, _comparable(answer, wanted)
        )

    async def anchors(self, assignment_id: str) -> AnchorSummary:
        """The anchors of an assignment, and how many of them are in its grade scale.

        Raises:
            NotFound: No such assignment.
        """
        return await self._read(f"/anchors/assignment/{_quoted(assignment_id)}", AnchorSummary, assignment_id)

    async def _page(self, number: int, size: int, grade_scale: str | None) -> AssessmentInstructionsPage:
        scale = {} if grade_scale is None else {"grade_scale": grade_scale}
        params = {"page": str(number), "page_size": str(size), **scale}
        try:
            path = "/assessment-instructions"
            return await self._http.ask("GET", path, AssessmentInstructionsPage, params=params)
        except AmbiguousFailure as failure:
            raise await self._http.everything_fails(failure) from None

    async def _record(
        self, assignment_id: str | None = None, course_id: str | None = None
    ) -> AssessmentInstructions:
        """The instructions of an assignment or of a course; for courses there is only the list."""
        if assignment_id is not None:
            return await self.instructions(assignment_id)
        records = await self.all_instructions()
        found = next((each for each in records if each.course_id == course_id), None)
        if found is None:
            raise self._unknown("course", course_id)
        return found

    async def _read(self, path: str, model: type[M], assignment_id: str, known: _Known | None = None) -> M:
        try:
            return await self._http.ask("GET", path, model)
        except AmbiguousFailure as failure:
            raise await self._meant(failure, assignment_id, None, known or _still_failing(failure)) from None

    async def _write(self, path: str, wanted: BaseModel, model: type[M], assignment_id: str) -> M:
        try:
            return await self._http.ask("POST", path, model, wanted.model_dump())
        except AmbiguousFailure as failure:
            raise await self._meant(failure, assignment_id, None, _still_failing(failure)) from None

    async def _meant(
        self, failure: AmbiguousFailure, assignment_id: str | None, course_id: str | None, known: _Known
    ) -> ServiceError:
        """What an ambiguous 500 meant: the list tells whether the token is accepted and the record exists."""
        try:
            records = await self.all_instructions()
        except ServiceError as error:
            return error
        for record in records:
            if (record.assignment_id, record.course_id) == (assignment_id, course_id):
                return known(record)
        if assignment_id is not None:
            return self._unknown("assignment", assignment_id)
        return self._unknown("course", course_id)

    async def _why_not_written(
        self, failure: ServiceFailed, wanted: AssessmentInstructionsUpsert
    ) -> ServiceError:
        """Why instructions were not taken; that there are none yet is no reason."""
        if not isinstance(failure, AmbiguousFailure):
            return failure
        meant = await self._meant(
            failure,
            wanted.assignment_id,
            wanted.course_id,
            lambda record: _immutable(record, wanted) or failure,
        )
        if not isinstance(meant, NotFound) and meant is not failure:
            return meant
        return AmbiguousFailure(
            f"{failure.what}; the token is accepted, so either the service refuses a field"
            " or its database fails",
            where=failure.where,
            fix="check the texts and ids that were sent, and look at the service's logs",
        )

    async def _confirmed(self, what: str, path: str, reading: Awaitable[M], wanted: Mapping[str, Any]) -> M:
        """What was written, as it is read back."""
        try:
            found = await reading
        except NotFound:
            seen = "nothing is there"
        except AmbiguousFailure as failure:
            seen = f"it answers with an error that can mean it is missing ({failure.what})"
        else:
            differing = [name for name in wanted if _plain(getattr(found, name)) != _plain(wanted[name])]
            if not differing:
                return found
            seen = f"there is another {', another '.join(differing)}"
        raise self._did_not_stick(what, path, seen)

    def _did_not_stick(self, what: str, path: str, seen: str) -> WriteDidNotStick:
        return WriteDidNotStick(
            f"the CJ service reported success for {what}, but when read back, {seen}",
            where=self._http.where(path),
            fix="the service does not commit this write: upgrade it, or write to its database directly",
        )

    def _unknown(self, kind: str, owner: str | None) -> NotFound:
        return NotFound(
            f"the CJ service knows no instructions for {kind} {owner}",
            where=self._http.where("/assessment-instructions"),
            fix=f"check the {kind} id, or create its instructions first",
        )

    def _fails_for(self, assignment_id: str, what: str) -> ServiceFailed:
        return ServiceFailed(
            f"the CJ service knows assignment {assignment_id} but cannot read {what}",
            where=self._http.where("/assessment-instructions"),
            fix="look at the service's logs; the content service that keeps the text may be the cause",
        )


def _quoted(segment: str) -> str:
    return quote(segment, safe="")


def _still_failing(failure: AmbiguousFailure) -> _Known:
    """The record exists and the token is accepted: so the service did fail, and the 500 says so."""
    return lambda _: ServiceFailed(
        failure.what, where=failure.where, fix="look at the logs of the CJ service"
    )


def _immutable(record: AssessmentInstructions, wanted: AssessmentInstructionsUpsert) -> ServiceError | None:
    for name in ("grade_scale", "context_origin"):
        there, asked = getattr(record, name), getattr(wanted, name)
        if there != asked:
            return Refused(
                f"the instructions exist with {name} {there}, and it cannot be changed to {asked}",
                where="assessment instructions",
                fix=f"use {name} {there}, or delete the instructions first",
            )
    return None


def _comparable(answer: BaseModel, wanted: BaseModel) -> dict[str, Any]:
    """What must be found again: what was sent, under the storage id that was answered."""
    stored = {name: value for name, value in answer.model_dump().items() if name.endswith("_storage_id")}
    return {**wanted.model_dump(), **stored}


def _plain(value: object) -> object:
    """Texts are compared as the service keeps them, without space around."""
    return value.strip() if isinstance(value, str) else value
