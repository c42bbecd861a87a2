"""The admin API through the project's own clients, which were written against the contract by others."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pytest_eng5.errors import UsageError
from pytest_eng5.pipeline.cj.admin import admin_routes, anchor_routes
from pytest_eng5.pipeline.cj.admin_auth import AdminAccess
from pytest_eng5.pipeline.cj.assignments import AssignmentStore, legal_grades
from pytest_eng5.pipeline.cj.clients import ContentClient
from pytest_eng5.pipeline.content.app import content_app
from pytest_eng5.pipeline.content.store import DatabaseStore
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.http import service_app
from pytest_eng5.pipeline.metrics import ServiceMetrics
from pytest_eng5.pipeline.settings import CJSettings
from pytest_eng5.services import (
    AdminAuth,
    AdminClient,
    AnchorRegistrar,
    AnchorStatus,
    AnchorText,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
)

pytestmark = pytest.mark.asyncio

SECRET = "a secret of the tests, long enough for HS256"
URL = "http://cj"
LEGACY = "eng5_np_legacy_9_step"
TEXT = "Judge how well the writer argues."
ESSAY = "An essay about a journey. " * 8


class CJ:
    """The routes over a state and a content service, all in this process."""

    def __init__(self, environ: dict[str, str] | None = None, path: Path | None = None) -> None:
        self.database = Database(path)
        self.store = AssignmentStore(self.database)
        content = httpx.AsyncClient(
            transport=httpx.ASGITransport(content_app(DatabaseStore(self.database))),
            base_url="http://content",
        )
        texts = ContentClient(content, "http://content/v1/content", CJSettings(content_attempts=1))
        access = AdminAccess.from_environment({"JWT_SECRET_KEY": SECRET} if environ is None else environ)
        routes = [*admin_routes(self.store, texts, access), *anchor_routes(self.store, texts)]
        app = service_app("cj_assessment_service", routes, ServiceMetrics("cj_test"))
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=URL
        )

    def client(self, environ: dict[str, str] | None = None) -> AdminClient:
        return AdminClient(self.http, URL, AdminAuth(environ or {"JWT_SECRET_KEY": SECRET}))

    async def assignment(self, **changes: Any) -> str:
        assignment_id = str(uuid4())
        fields = {"instructions_text": TEXT, "grade_scale": LEGACY, **changes}
        await self.client().upsert_instructions(assignment_id=assignment_id, **fields)
        return assignment_id

    async def raw(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token()}"}
        return await self.http.request(method, path, headers=headers, **more)


def token(secret: str = SECRET, **claims: Any) -> str:
    usual = {"sub": "x", "exp": 4_000_000_000, "iss": "huleedu-identity-service", "aud": "huleedu-platform"}
    merged = {**usual, "roles": ["admin"], **claims}
    return jwt.encode({k: v for k, v in merged.items() if v is not None}, secret, algorithm="HS256")


@pytest.fixture
def cj() -> CJ:
    return CJ()


# Who is let in


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("", 401, "AUTHENTICATION_ERROR"),
        ("Basic abc", 401, "AUTHENTICATION_ERROR"),
        ("Bearer nonsense", 401, "AUTHENTICATION_ERROR"),
        (f"Bearer {token('another secret that is long enough')}", 401, "AUTHENTICATION_ERROR"),
        (f"Bearer {token(exp=1)}", 401, "AUTHENTICATION_ERROR"),
        (f"Bearer {token(exp=None)}", 401, "AUTHENTICATION_ERROR"),
        (f"Bearer {token(aud='somebody else')}", 401, "AUTHENTICATION_ERROR"),
        (f"Bearer {token(iss='somebody else')}", 401, "AUTHENTICATION_ERROR"),
        (f"Bearer {token(roles=['teacher'])}", 403, "AUTHORIZATION_ERROR"),
        (f"Bearer {token(roles='admin')}", 403, "AUTHORIZATION_ERROR"),
        (f"Bearer {token(roles=None)}", 403, "AUTHORIZATION_ERROR"),
        (f"Bearer {token()}", 200, None),
        (f"bearer {token(roles=['teacher', 'admin'])}", 200, None),
    ],
)
async def test_who_is_let_in(header: str, status: int, code: str | None, cj: CJ) -> None:
    answer = await cj.http.get(
        "/admin/v1/assessment-instructions", headers={"authorization": header, "x-correlation-id": "run 1"}
    )
    assert answer.status_code == status
    if code is not None:
        error = answer.json()["error"]
        assert error["code"] == code
        assert error["service"] == "cj_assessment_service"
        assert datetime.fromisoformat(error["timestamp"]).tzinfo is not None
        assert header.rpartition(" ")[2] not in answer.text or not header


async def test_an_unsigned_token_is_refused(cj: CJ) -> None:
    unsigned = jwt.encode({"roles": ["admin"], "exp": 4_000_000_000}, "", algorithm="none")
    answer = await cj.http.get(
        "/admin/v1/assessment-instructions", headers={"authorization": f"Bearer {unsigned}"}
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_a_key_nobody_is_let_in(method: str) -> None:
    cj = CJ({})
    answer = await cj.raw(method, "/admin/v1/assessment-instructions", json={})
    assert answer.status_code == 401
    with pytest.raises(NotAuthenticated):
        await cj.client().all_instructions()


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"ENVIRONMENT": "production"}, 404),
        ({"ENVIRONMENT": "production", "CJ_ASSESSMENT_SERVICE_ENABLE_ADMIN_ENDPOINTS": "true"}, 200),
        ({"CJ_ASSESSMENT_SERVICE_ENABLE_ADMIN_ENDPOINTS": "false"}, 404),
    ],
)
async def test_the_routes_exist_unless_they_are_turned_off(environ: dict[str, str], status: int) -> None:
    cj = CJ({"JWT_SECRET_KEY": SECRET, **environ})
    assert (await cj.raw("GET", "/admin/v1/assessment-instructions")).status_code == status


async def test_the_key_may_be_in_a_file(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET + "\n")
    assert (
        AdminAccess.from_environment({}, key).key
        == AdminAccess.from_environment({"JWT_SECRET_KEY": SECRET}).key
    )
    with pytest.raises(UsageError):
        AdminAccess.from_environment({}, tmp_path / "none")
    with pytest.raises(UsageError):
        AdminAccess.from_environment({"JWT_ALGORITHM": "none", "JWT_SECRET_KEY": SECRET})
    assert SECRET not in repr(AdminAccess.from_environment({}, key))


@pytest.mark.parametrize("given", ["JWT_PUBLIC_KEY", "JWT_PUBLIC_KEY_PATH"])
async def test_tokens_may_be_signed_with_a_private_key(given: str, tmp_path: Path) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "public.pem").write_bytes(public)
    value = public.decode() if given == "JWT_PUBLIC_KEY" else str(tmp_path / "public.pem")
    cj = CJ({"JWT_ALGORITHM": "RS256", given: value, "JWT_SECRET_KEY": SECRET})
    claims = {"sub": "x", "exp": 4_000_000_000, "roles": ["admin"]}
    claims |= {"iss": "huleedu-identity-service", "aud": "huleedu-platform"}
    for signed, status in (
        (jwt.encode(claims, private, algorithm="RS256"), 200),
        (token(), 401),
        (jwt.encode(claims, SECRET, algorithm="HS256"), 401),
    ):
        headers = {"authorization": f"Bearer {signed}"}
        answer = await cj.http.get("/admin/v1/assessment-instructions", headers=headers)
        assert answer.status_code == status


async def test_a_key_pair_needs_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt.algorithms, "get_default_algorithms", lambda: {"HS256": None})
    with pytest.raises(UsageError, match="cryptography"):
        AdminAccess.from_environment({"JWT_ALGORITHM": "RS256"})


# Instructions


async def test_instructions_are_created_changed_and_kept(cj: CJ) -> None:
    client = cj.client()
    assignment = await cj.assignment(student_prompt_storage_id="p" * 32)
    created = await client.instructions(assignment)
    changed = await client.upsert_instructions(
        assignment_id=assignment, instructions_text=f"  {TEXT} More. ", grade_scale=LEGACY
    )
    assert (changed.id, changed.created_at) == (created.id, created.created_at)
    assert changed.instructions_text == f"{TEXT} More."
    assert changed.student_prompt_storage_id == "p" * 32
    assert created.context_origin == "research_experiment"


async def test_a_record_is_told_as_the_contract_has_it(cj: CJ) -> None:
    assignment = await cj.assignment()
    await cj.client().set_judge_rubric(assignment, "Weigh language control first.")
    record = (await cj.raw("GET", f"/admin/v1/assessment-instructions/assignment/{assignment}")).json()
    assert set(record) == {
        *("id", "assignment_id", "course_id", "instructions_text", "grade_scale", "context_origin"),
        *("student_prompt_storage_id", "created_at"),
    }
    assert datetime.fromisoformat(record["created_at"]).tzinfo is not None


@pytest.mark.parametrize(
    "change", [{"grade_scale": "swedish_8_anchor"}, {"context_origin": "canonical_national"}]
)
async def test_scale_and_origin_never_change(change: dict[str, str], cj: CJ) -> None:
    assignment = await cj.assignment()
    with pytest.raises(Refused):
        await cj.client().upsert_instructions(
            **{"assignment_id": assignment, "instructions_text": TEXT, "grade_scale": LEGACY, **change}
        )
    assert (await cj.client().instructions(assignment)).grade_scale == LEGACY


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"assignment_id": "a", "course_id": "c", "instructions_text": TEXT, "grade_scale": LEGACY},
        {"assignment_id": "a", "instructions_text": "         x ", "grade_scale": LEGACY},
        {"assignment_id": "a", "instructions_text": TEXT, "grade_scale": "no such scale"},
        {"assignment_id": "a" * 101, "instructions_text": TEXT, "grade_scale": LEGACY},
    ],
)
async def test_a_bad_body_is_a_400(body: dict[str, str], cj: CJ) -> None:
    answer = await cj.raw("POST", "/admin/v1/assessment-instructions", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert cj.store.page(1, 10, None) == ([], 0)


async def test_the_list_has_pages_and_a_filter(cj: CJ) -> None:
    wanted = [await cj.assignment(grade_scale=[LEGACY, "swedish_8_anchor"][i % 2]) for i in range(7)]
    everything = await cj.client().all_instructions()
    assert [record.assignment_id for record in everything] == wanted
    legacy = await cj.client().all_instructions(grade_scale=LEGACY)
    assert [record.assignment_id for record in legacy] == wanted[::2]
    page = (await cj.raw("GET", "/admin/v1/assessment-instructions?page=2&page_size=3")).json()
    assert [item["assignment_id"] for item in page["items"]] == wanted[3:6]
    assert (page["total"], page["page"], page["page_size"]) == (7, 2, 3)


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "page_size=201", "page_size=-1", "page=99999999999999999999"]
)
async def test_a_bad_page_is_a_400(query: str, cj: CJ) -> None:
    assert (await cj.raw("GET", f"/admin/v1/assessment-instructions?{query}")).status_code == 400


async def test_deleting(cj: CJ) -> None:
    client, assignment = cj.client(), await cj.assignment()
    await client.upsert_instructions(course_id="c1", instructions_text=TEXT, grade_scale=LEGACY)
    await client.delete_instructions(assignment_id=assignment)
    await client.delete_instructions(course_id="c1")
    assert await client.all_instructions() == ()
    for path in (f"assignment/{assignment}", "course/c1"):
        answer = await cj.raw("DELETE", f"/admin/v1/assessment-instructions/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "RESOURCE_NOT_FOUND")


async def test_unknown_assignments_are_404(cj: CJ) -> None:
    client = cj.client()
    for asking in (
        client.instructions("none"),
        client.student_prompt("none"),
        client.judge_rubric("none"),
        client.anchors("none"),
        client.set_judge_rubric("none", "Weigh language control first."),
    ):
        with pytest.raises(NotFound):
            await asking


async def test_a_token_without_the_role_is_told_so(cj: CJ) -> None:
    with pytest.raises(NotPermitted):
        await cj.client({"HULEEDU_ADMIN_TOKEN": token(roles=["teacher"])}).all_instructions()


# Prompts and rubrics


async def test_prompt_and_rubric_are_bound_and_read_back(cj: CJ) -> None:
    client, assignment = cj.client(), await cj.assignment()
    for path in ("student-prompts", "judge-rubrics"):
        assert (await cj.raw("GET", f"/admin/v1/{path}/assignment/{assignment}")).status_code == 404
    prompt = await client.set_student_prompt(assignment, "  Write about a journey.\n")
    rubric = await client.set_judge_rubric(assignment, "Weigh language control first.")
    assert (
        prompt.prompt_text
        == (await client.student_prompt(assignment)).prompt_text
        == "Write about a journey."
    )
    assert rubric.rubric_text == (await client.judge_rubric(assignment)).rubric_text
    record = cj.store.instructions(assignment)
    assert record.student_prompt_storage_id == prompt.student_prompt_storage_id
    assert record.judge_rubric_storage_id == rubric.judge_rubric_storage_id
    assert record.student_prompt_storage_id != record.judge_rubric_storage_id


# Anchors


async def test_anchors_are_registered_and_summed_up(cj: CJ) -> None:
    client, assignment = cj.client(), await cj.assignment()
    registrar = AnchorRegistrar(cj.http, URL, client)
    anchors = [AnchorText(f"a{i}", grade, f"{ESSAY} {i}") for i, grade in enumerate(["A", "B", "F+", "F"])]
    report = await registrar.register(assignment, anchors)
    assert report.all_confirmed
    again = await registrar.register(assignment, [AnchorText("a0", "B", f"{ESSAY} other")])
    assert again.all_confirmed
    assert again.summary is not None
    assert again.summary.anchor_count == again.summary.anchor_count_total == 4
    assert again.summary.anchor_count_by_scale == {LEGACY: 4}
    replaced = {anchor.anchor_label: anchor for anchor in again.summary.anchors}["a0"]
    assert replaced.grade == "B"
    assert report.outcomes[0].answer is not None
    assert replaced.id == report.outcomes[0].answer.anchor_id
    assert replaced.text_storage_id != report.outcomes[0].answer.storage_id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grade": "C"}, "not in the scale"),
        ({"assignment_id": "none"}, "Unknown assignment"),
        ({"essay_text": "short"}, "essay_text"),
        ({"grade": None}, "grade"),
    ],
)
async def test_an_anchor_that_does_not_fit_is_refused(change: dict[str, Any], words: str, cj: CJ) -> None:
    body = {"assignment_id": await cj.assignment(), "grade": "B", "essay_text": ESSAY, **change}
    answer = await cj.http.post("/api/v1/anchors/register", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert cj.database.value("SELECT COUNT(*) FROM anchors") == 0


async def test_a_label_is_the_grade_by_default_and_no_token_is_needed(cj: CJ) -> None:
    body = {"assignment_id": await cj.assignment(), "grade": "B", "essay_text": ESSAY}
    answer = await cj.http.post("/api/v1/anchors/register", json=body)
    assert answer.status_code == 201
    assert set(answer.json()) == {"anchor_id", "storage_id", "grade_scale", "status"}
    assert [anchor.anchor_label for anchor in cj.store.anchors(body["assignment_id"], LEGACY)] == ["B"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_a_registration_that_is_no_object_is_refused(body: bytes, cj: CJ) -> None:
    answer = await cj.http.post("/api/v1/anchors/register", content=body)
    assert (answer.status_code, type(answer.json()["error"])) == (400, str)


async def test_anchors_of_another_scale_are_counted_but_not_used(cj: CJ) -> None:
    assignment = await cj.assignment()
    registrar = AnchorRegistrar(cj.http, URL, cj.client())
    await registrar.register(assignment, [AnchorText("a", "B", ESSAY)])
    await cj.client().delete_instructions(assignment_id=assignment)
    await cj.client().upsert_instructions(
        assignment_id=assignment, instructions_text=TEXT, grade_scale="eng5_np_national_9_step"
    )
    report = await registrar.register(assignment, [AnchorText("a", "7", ESSAY), AnchorText("b", "B", ESSAY)])
    assert [outcome.status for outcome in report.outcomes] == [AnchorStatus.CONFIRMED, AnchorStatus.FAILED]
    assert report.summary is not None
    assert (report.summary.anchor_count, report.summary.anchor_count_total) == (1, 2)


async def test_the_grade_below_the_lowest_is_legal() -> None:
    assert legal_grades("eng5_np_national_9_step") == tuple("0123456789")
    assert legal_grades("swedish_8_anchor")[0] == "F"


async def test_records_are_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    first = CJ(path=path)
    assignment = await first.assignment()
    await first.client().set_judge_rubric(assignment, "Weigh language control first.")
    await AnchorRegistrar(first.http, URL, first.client()).register(assignment, [AnchorText("a", "B", ESSAY)])
    first.database.close()
    second = CJ(path=path)
    assert (await second.client().judge_rubric(assignment)).rubric_text == "Weigh language control first."
    assert (await second.client().anchors(assignment)).anchor_count == 1
