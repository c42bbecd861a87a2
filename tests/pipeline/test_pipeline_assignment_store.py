"""The assignment store against a model in plain dictionaries, and its API against any JSON at all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import SecretStr

from pytest_eng5.contracts import GRADE_SCALES
from pytest_eng5.contracts.admin import AssessmentInstructionsUpsert
from pytest_eng5.pipeline.cj.admin import admin_routes, anchor_routes
from pytest_eng5.pipeline.cj.admin_auth import AdminAccess
from pytest_eng5.pipeline.cj.assignments import AssignmentStore, legal_grades
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.http import service_app
from pytest_eng5.pipeline.metrics import ServiceMetrics

SECRET = "a secret of the tests, long enough for HS256"
TEXTS = ["Judge how well the writer argues.", "Judge the language."]
owners = st.sampled_from([("assignment_id", "a"), ("assignment_id", "b"), ("course_id", "a")])
scales = st.sampled_from(list(GRADE_SCALES))
Owner = tuple[str, str]


class Assignments(RuleBasedStateMachine):
    """Any order of writes; the store says what the dictionaries say."""

    def __init__(self) -> None:
        super().__init__()
        self.store = AssignmentStore(Database())
        self.records: dict[Owner, dict[str, Any]] = {}
        self.anchors: dict[tuple[str, str, str], tuple[str, str]] = {}

    @rule(owner=owners, text=st.sampled_from(TEXTS), scale=scales, prompt=st.sampled_from([None, "p1", "p2"]))
    def write(self, owner: Owner, text: str, scale: str, prompt: str | None) -> None:
        wanted = AssessmentInstructionsUpsert.model_validate(
            {
                owner[0]: owner[1],
                "instructions_text": text,
                "grade_scale": scale,
                "student_prompt_storage_id": prompt,
            }
        )
        there = self.records.get(owner)
        if there is not None and there["grade_scale"] != scale:
            with pytest.raises(ServiceError, match="cannot be changed"):
                self.store.upsert(wanted)
            return
        kept = None if there is None else there["student_prompt_storage_id"]
        rubric = None if there is None else there["judge_rubric_storage_id"]
        self.records[owner] = {
            "instructions_text": text,
            "grade_scale": scale,
            "student_prompt_storage_id": prompt or kept,
            "judge_rubric_storage_id": rubric,
        }
        self.store.upsert(wanted)

    @rule(owner=owners)
    def delete(self, owner: Owner) -> None:
        if self.records.pop(owner, None) is None:
            with pytest.raises(ServiceError, match="no instructions"):
                self.store.delete(*owner)
        else:
            self.store.delete(*owner)

    @rule(name=st.sampled_from("ab"), storage_id=st.sampled_from(["r1", "r2"]))
    def bind(self, name: str, storage_id: str) -> None:
        owner = ("assignment_id", name)
        if owner in self.records:
            self.records[owner]["judge_rubric_storage_id"] = storage_id
            self.store.bind(name, "judge_rubric_storage_id", storage_id)

    @rule(
        name=st.sampled_from("ab"),
        label=st.sampled_from("xyz"),
        grade=st.integers(0, 7),
        text=st.text(max_size=3),
    )
    def register(self, name: str, label: str, grade: int, text: str) -> None:
        found = self.store.find(name)
        assert (found is not None) == (("assignment_id", name) in self.records)
        if found is not None:
            chosen = legal_grades(found.grade_scale)[grade]
            self.anchors[name, label, found.grade_scale] = (chosen, text)
            self.store.register_anchor(found, label, chosen, text)

    @invariant()
    def the_store_agrees(self) -> None:
        page, total = self.store.page(1, 200, None)
        assert total == len(page) == len(self.records)
        for record in page:
            owner = (
                ("assignment_id", record.assignment_id)
                if record.course_id is None
                else ("course_id", record.course_id)
            )
            expected = self.records[owner[0], str(owner[1])]
            assert {name: getattr(record, name) for name in expected} == expected
        for name in "ab":
            by_scale = self.store.anchors_by_scale(name)
            for scale in GRADE_SCALES:
                found = self.store.anchors(name, scale)
                model = {k[1]: v for k, v in self.anchors.items() if (k[0], k[2]) == (name, scale)}
                assert {a.anchor_label: (a.grade, a.text_storage_id) for a in found} == model
                assert by_scale[scale] == len(found)
                assert [a.id for a in found] == sorted(a.id for a in found)


TestAssignments = Assignments.TestCase
TestAssignments.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


class Texts:
    """A content service that forgets nothing."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    async def store(self, text: str) -> str:
        self.kept.append(text)
        return f"{len(self.kept) - 1:032x}"

    async def text(self, storage_id: str) -> str:
        return self.kept[int(storage_id, 16)]


ROUTES = [
    ("POST", "/admin/v1/assessment-instructions"),
    ("POST", "/admin/v1/student-prompts"),
    ("POST", "/admin/v1/judge-rubrics"),
    ("POST", "/api/v1/anchors/register"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=120),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
known = st.sampled_from(["a", "b", TEXTS[0], *GRADE_SCALES, "B", "x" * 120, None, 3])
fields = st.sampled_from(
    [
        *("assignment_id", "course_id", "instructions_text", "grade_scale", "context_origin", "prompt_text"),
        *("student_prompt_storage_id", "rubric_text", "grade", "essay_text", "anchor_label"),
    ]
)
bodies = json_values | st.dictionaries(fields, known | json_values, max_size=8)


@settings(deadline=None, max_examples=120)
@given(route=st.sampled_from(ROUTES), body=bodies)
def test_no_body_makes_the_api_fail(route: tuple[str, str], body: Any) -> None:
    """Whatever is sent is taken or refused: never a 500, and what is refused changes nothing."""
    database, texts = Database(), Texts()
    store = AssignmentStore(database)
    store.upsert(
        AssessmentInstructionsUpsert(
            assignment_id="a", instructions_text=TEXTS[0], grade_scale="eng5_np_legacy_9_step"
        )
    )
    access = AdminAccess(key=SecretStr(SECRET))
    routes = [*admin_routes(store, texts, access), *anchor_routes(store, texts)]  # type: ignore[arg-type]
    app = service_app("cj_assessment_service", routes, ServiceMetrics("cj_fuzz"))
    claims = {"exp": 4_000_000_000, "roles": ["admin"], "iss": "huleedu-identity-service"}
    signed = jwt.encode({**claims, "aud": "huleedu-platform"}, SECRET, algorithm="HS256")
    before = list(database._connection.iterdump())

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://cj") as client:
            content = json.dumps(body).encode("utf-8", "replace")
            return await client.request(
                *route, content=content, headers={"authorization": f"Bearer {signed}"}
            )

    answer = asyncio.run(ask())
    assert answer.status_code in (200, 201, 400, 404), answer.text
    if answer.status_code >= 400:
        assert answer.json()["error"]
        assert list(database._connection.iterdump()) == before
