"""Admin API of the CJ service, and the registration of anchors (contract sections 5.2 and 5.3).

What the API is meant to do: intended error codes, writes that stick, dates in ISO 8601. Texts live in the
content service; here are their storage ids.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pytest_eng5.contracts import validation_reasons
from pytest_eng5.contracts.admin import (
    AnchorRegistration,
    AssessmentInstructionsUpsert,
    JudgeRubricUpload,
    StudentPromptUpload,
)
from pytest_eng5.pipeline.cj.admin_auth import AdminAccess
from pytest_eng5.pipeline.cj.assignments import AssignmentStore, Instructions, legal_grades
from pytest_eng5.pipeline.cj.clients import ContentClient
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.http import read_body, route
from pytest_eng5.pipeline.logs import service_logger

__all__ = ["admin_routes", "anchor_routes"]

_PREFIX = "/admin/v1"
_LARGEST_PAGE = 200
_log = service_logger("cj_assessment_service")

Answer = Callable[[Request], Awaitable[Any]]


def admin_routes(store: AssignmentStore, content: ContentClient, access: AdminAccess) -> list[Route]:
    """The routes under ``/admin/v1``; none where they are not enabled.

    Args:
        store: Where records are kept.
        content: Where texts are kept.
        access: Who is let in.
    """
    if not access.enabled:
        return []
    api = _Admin(store, content)
    instructions, prompts, rubrics = "/assessment-instructions", "/student-prompts", "/judge-rubrics"
    table: list[tuple[str, str, Answer]] = [
        ("POST", instructions, api.write_instructions),
        ("GET", instructions, api.list_instructions),
        ("GET", f"{instructions}/assignment/{{id}}", api.read_instructions),
        ("DELETE", f"{instructions}/assignment/{{id}}", lambda request: api.delete("assignment_id", request)),
        ("DELETE", f"{instructions}/course/{{id}}", lambda request: api.delete("course_id", request)),
        ("POST", prompts, api.write_prompt),
        ("GET", f"{prompts}/assignment/{{id}}", api.read_prompt),
        ("POST", rubrics, api.write_rubric),
        ("GET", f"{rubrics}/assignment/{{id}}", api.read_rubric),
        ("GET", "/anchors/assignment/{id}", api.anchors),
    ]
    return [route(method, _PREFIX + path, _guarded(access, answer)) for method, path, answer in table]


def _guarded(access: AdminAccess, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        subject = access.check(request)
        body = await answer(request)
        if request.method != "GET":
            _log.info("admin change", subject=subject, method=request.method, path=request.url.path)
        return JSONResponse(body)

    return endpoint


class _Admin:
    """The answers, as JSON values."""

    def __init__(self, store: AssignmentStore, content: ContentClient) -> None:
        self._store = store
        self._content = content

    async def write_instructions(self, request: Request) -> dict[str, Any]:
        return self._store.upsert(await read_body(request, AssessmentInstructionsUpsert)).public()

    async def list_instructions(self, request: Request) -> dict[str, Any]:
        number = _whole(request, "page", 1, None)
        size = _whole(request, "page_size", 50, _LARGEST_PAGE)
        records, total = self._store.page(number, size, request.query_params.get("grade_scale"))
        items = [record.public() for record in records]
        return {"items": items, "total": total, "page": number, "page_size": size}

    async def read_instructions(self, request: Request) -> dict[str, Any]:
        return self._store.instructions(request.path_params["id"]).public()

    async def delete(self, owner: str, request: Request) -> dict[str, Any]:
        self._store.delete(owner, request.path_params["id"])
        return {"status": "deleted", owner: request.path_params["id"]}

    async def write_prompt(self, request: Request) -> dict[str, Any]:
        body = await read_body(request, StudentPromptUpload)
        record = await self._bind(body.assignment_id, "student_prompt_storage_id", body.prompt_text)
        return _bound(record, "student_prompt_storage_id", "prompt_text", body.prompt_text)

    async def read_prompt(self, request: Request) -> dict[str, Any]:
        return await self._read(request, "student_prompt_storage_id", "prompt_text")

    async def write_rubric(self, request: Request) -> dict[str, Any]:
        body = await read_body(request, JudgeRubricUpload)
        record = await self._bind(body.assignment_id, "judge_rubric_storage_id", body.rubric_text)
        return _bound(record, "judge_rubric_storage_id", "rubric_text", body.rubric_text)

    async def read_rubric(self, request: Request) -> dict[str, Any]:
        return await self._read(request, "judge_rubric_storage_id", "rubric_text")

    async def anchors(self, request: Request) -> dict[str, Any]:
        record = self._store.instructions(request.path_params["id"])
        found = self._store.anchors(str(record.assignment_id), record.grade_scale)
        by_scale = self._store.anchors_by_scale(str(record.assignment_id))
        return {
            "assignment_id": record.assignment_id,
            "grade_scale": record.grade_scale,
            "anchor_count": len(found),
            "anchors": [anchor.public() for anchor in found],
            "anchor_count_total": by_scale.total(),
            "anchor_count_by_scale": dict(by_scale),
        }

    async def _bind(self, assignment_id: str, column: str, text: str) -> Instructions:
        self._store.instructions(assignment_id)
        return self._store.bind(assignment_id, column, await self._content.store(text))

    async def _read(self, request: Request, column: str, name: str) -> dict[str, Any]:
        record = self._store.instructions(request.path_params["id"])
        storage_id = getattr(record, column)
        if storage_id is None:
            what = column.removesuffix("_storage_id").replace("_", " ")
            raise ServiceError(
                "RESOURCE_NOT_FOUND",
                f"assignment {record.assignment_id} has no {what}",
                assignment_id=record.assignment_id,
            )
        return _bound(record, column, name, await self._content.text(storage_id))


def _bound(record: Instructions, column: str, name: str, text: str) -> dict[str, Any]:
    """A text with the assignment it is bound to."""
    shared = ("assignment_id", "instructions_text", "grade_scale", "created_at")
    return {column: getattr(record, column), name: text, **{key: getattr(record, key) for key in shared}}


def _whole(request: Request, name: str, default: int, largest: int | None) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if value < 1 or (largest is not None and value > largest):
        limits = "at least 1" if largest is None else f"between 1 and {largest}"
        raise ServiceError("VALIDATION_ERROR", f"{name} is a whole number, {limits}", field=name)
    return value


class _Refused(Exception):
    """A registration that is not taken; the text is the answer."""


def anchor_routes(store: AssignmentStore, content: ContentClient) -> list[Route]:
    """``POST /api/v1/anchors/register``: without authentication, and with error bodies of its own."""

    async def register(request: Request) -> Response:
        try:
            wanted = _registration(await request.body())
            record = store.find(wanted.assignment_id)
            if record is None:
                raise _Refused(f"Unknown assignment: {wanted.assignment_id}")
            if wanted.grade not in legal_grades(record.grade_scale):
                raise _Refused(f"Grade {wanted.grade!r} is not in the scale {record.grade_scale}")
        except _Refused as refusal:
            return JSONResponse({"error": str(refusal)}, status_code=400)
        storage_id = await content.store(wanted.essay_text)
        anchor = store.register_anchor(record, wanted.anchor_label, wanted.grade, storage_id)
        answer = {
            "anchor_id": anchor.id,
            "storage_id": storage_id,
            "grade_scale": anchor.grade_scale,
            "status": "registered",
        }
        return JSONResponse(answer, status_code=201)

    return [route("POST", "/api/v1/anchors/register", register)]


def _registration(body: bytes) -> AnchorRegistration:
    """The registration in a body; a missing label is the grade.

    Raises:
        _Refused: It is none.
    """
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _Refused("The body is no JSON") from None
    if not isinstance(fields, dict):
        raise _Refused("The body is no JSON object")
    try:
        label = fields.get("anchor_label") or fields.get("grade") or "-"
        return AnchorRegistration.model_validate({**fields, "anchor_label": label})
    except ValidationError as error:
        pointer, message = validation_reasons(error)[0]
        raise _Refused(f"{pointer.strip('/') or 'body'}: {message}") from None
