"""Mode execute on the reference pipeline: as its operator, and as a guest who may only look."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import httpx
import jsonschema
import psutil
import pytest

from pytest_eng5.contracts import text_sha256
from pytest_eng5.evidence import (
    EndReason,
    RunEvidence,
    artefact_1_0_json_schema,
    artefact_json_schema,
    load_evidence,
    read_findings,
    verify,
)
from pytest_eng5.runner import Environment, ExecuteHandler, RunnerSettings, RunSpec, read_inputs
from pytest_eng5.runner.operating import Operator
from pytest_eng5.scenario import Scenario, Variant

COURSE = "8c4e2a10-5b7d-4f3e-9c61-0d2a7e5f4b19"
JUDGE = {"provider": "mock", "model": "m", "mock": {"discrimination": 6.0, "student_grades": "students.csv"}}
LEGACY = "eng5_np_legacy_9_step"


@dataclass
class Done:
    """A run that has ended."""

    code: int
    ending: Any
    root: Path
    settings: RunnerSettings

    @property
    def evidence(self) -> RunEvidence:
        return load_evidence(self.root)

    @property
    def artefact(self) -> dict[str, Any]:
        return dict(json.loads((self.root / "assessment_run.execute.json").read_bytes()))

    @property
    def request(self) -> dict[str, Any]:
        return dict(json.loads((self.root / "requests" / "els_cj_assessment_request.json").read_bytes()))


@pytest.fixture
def graded(make_scenario: Callable[..., Scenario]) -> Callable[..., Scenario]:
    """A scenario of mode execute with four anchors and three students, two of whom have a known quality."""

    def make(*ids: str, students: int = 3, assignment: str | None = None, **keys: Any) -> Scenario:
        scenario = make_scenario(*ids)  # for the folder
        folder = scenario.variants[0].inputs_dir
        (folder / "students").mkdir(exist_ok=True)
        for number in range(students):
            (folder / "students" / f"Bo_Ek_{number}.txt").write_text(f"Student {number} writes.\n")
        (folder.parent / "students.csv").write_text("file_name;grade\nBo_Ek_0.txt;A\nBo_Ek_1.txt;F+\n")
        bound = {"assignment_id": assignment, "course_id": COURSE} if assignment else {}
        return make_scenario(*ids, mode="execute", judge=JUDGE, **{**bound, **keys})

    return make


@pytest.fixture
def perform(finalise: Any, tmp_path: Path) -> Callable[..., Done]:
    """Run a variant through the handler's ``execute``."""

    def run(environment: Environment, variant: Variant, **more: Any) -> Done:
        spec = RunSpec(variant)
        settings = RunnerSettings(
            spec, environment, finalise, **{"assignment_id": variant.assignment_id, **more}
        )
        paths = spec.paths(tmp_path / f"session-{uuid4().hex[:6]}")
        inventory = read_inputs("execute", variant.inputs_dir)
        code = ExecuteHandler().execute(settings, inventory, paths)
        return Done(code, finalise.calls[-1][1], paths.run.root, settings)

    return run


Perform = Callable[..., Done]
Graded = Callable[..., Scenario]


def only(scenario: Scenario) -> Variant:
    (variant,) = scenario.variants
    return variant


class TestBound:
    """With an assignment that the session provides itself."""

    @pytest.fixture
    def done(self, environment: Environment, graded: Graded, perform: Perform) -> Done:
        variant = only(graded(assignment=str(uuid4()), expected_grade_scale=LEGACY))
        return perform(environment, variant, batching_mode="serial")

    def test_everything_about_a_run(self, done: Done, pipeline: Any, operator: Operator) -> None:
        """One run, because each costs seconds."""
        assert (done.code, done.ending.reason) == (0, EndReason.COMPLETED)
        assert [finding.code for finding in read_findings(done.root / "findings.json")] == []
        assert verify(done.root, done.root / "manifest.json") == []
        self.the_request_names_students_only(done)
        self.anchors_are_known_again(done)
        self.the_artefact_satisfies_both_schemas(done)
        self.better_students_get_better_grades(done)
        self.the_key_is_nowhere(done, pipeline, operator)

    def the_request_names_students_only(self, done: Done) -> None:
        data, metadata = done.request["data"], done.request["metadata"]
        assert len(data["essays_for_cj"]) == 3
        assert all(essay["essay_id"].startswith("student_") for essay in data["essays_for_cj"])
        assert data["assignment_id"] == done.settings.assignment_id is not None
        assert data["student_prompt_ref"] is None
        assert metadata["max_comparisons"] == 7 * 6 // 2
        assert metadata["llm_batching_mode_hint"] == "serial"
        assert "Bo_Ek" not in json.dumps(done.request)

    def anchors_are_known_again(self, done: Done) -> None:
        evidence = done.evidence
        assert evidence.assignment is not None
        assert evidence.assignment.grade_scale == evidence.plan.grade_scale == LEGACY
        assert evidence.assignment.projection is not None
        assert evidence.assignment.student_prompt.content == "Describe the sea."
        essays = evidence.plan.essays
        assert [essay.is_anchor for essay in essays] == [False] * 3 + [True] * 4
        assert [essay.grade for essay in essays[3:]] == ["A", "B", "C+", "D+"]
        assert [essay.source_path for essay in essays[3:]] == [
            f"anchors/Anna_Svensson_{number}.txt" for number in range(4)
        ]
        assert len(evidence.succeeded) == 21
        reported = {row.essay_id for row in evidence.results[0].result.essay_results}
        assert reported == set(evidence.essays)

    def the_artefact_satisfies_both_schemas(self, done: Done) -> None:
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        for schema in (artefact_1_0_json_schema(), artefact_json_schema()):
            jsonschema.Draft202012Validator(schema, format_checker=checker).validate(done.artefact)
        assert done.artefact["conforms_to"] == ["1.0.0", "1.1.0"]
        sent = {essay["essay_id"] for essay in done.request["data"]["essays_for_cj"]}
        assert {essay["essay_id"] for essay in done.artefact["inputs"]["students"]} == sent
        assert {row["essay_id"] for row in done.artefact["grade_projections"]} == sent
        text = json.dumps(done.artefact)
        assert "UNKNOWN" not in text
        assert "null" not in text

    def better_students_get_better_grades(self, done: Done) -> None:
        names = {essay["essay_id"]: essay["local_id"] for essay in done.artefact["inputs"]["students"]}
        theta = {names.get(row["essay_id"]): row["theta"] for row in done.artefact["bt_summary"]}
        assert theta["Bo_Ek_0"] > theta["Bo_Ek_2"] > theta["Bo_Ek_1"]

    def the_key_is_nowhere(self, done: Done, pipeline: Any, operator: Operator) -> None:
        key = operator.variables["JWT_SECRET_KEY"].encode()
        assert len(key) >= 32
        session = done.root.parents[2]
        files = [path for path in session.rglob("*") if path.is_file()] + [pipeline.log]
        assert [path for path in files if key in path.read_bytes()] == []
        supervisor = psutil.Process(pipeline.process.pid)
        lines = [" ".join(p.cmdline()) for p in (supervisor, *supervisor.children(recursive=True))]
        assert not any(key.decode() in line for line in lines)
        assert key.decode() not in repr(done.settings)

    def test_variants_and_repeats_share_it(self, campaign: Any, graded: Graded) -> None:
        scenario = graded("a", "b", assignment=str(uuid4()), comparisons={"max": 8})
        running = campaign()
        specs = [RunSpec(variant, repeat) for variant in scenario.variants for repeat in (1, 2)]
        futures = [running.submit(spec) for spec in specs]
        assert [future.result(60).reason for future in futures] == [EndReason.COMPLETED] * 4
        found = [load_evidence(spec.paths(running.session).run.root) for spec in specs]
        stored = [[a.text_storage_id for a in f.assignment.anchors] for f in found if f.assignment]
        assert len(stored) == 4
        assert all(ids == stored[0] for ids in stored)
        assert len({e.essay_id for f in found for e in f.plan.essays}) == 4 * 7

    def test_other_inputs_need_another_assignment(
        self, environment: Environment, graded: Graded, perform: Perform
    ) -> None:
        assignment = str(uuid4())
        perform(environment, only(graded(assignment=assignment)), await_completion=False)
        changed = only(graded(assignment=assignment))
        (changed.inputs_dir / "instructions.md").write_text("Something else is asked for here.")
        done = perform(environment, changed)
        assert (done.code, done.ending.reason) == (2, EndReason.REFUSED)
        assert "texts and anchors of another inputs folder" in done.ending.detail
        assert not done.ending.published


def test_without_an_assignment_nobody_is_graded(
    environment: Environment, graded: Graded, perform: Perform
) -> None:
    done = perform(environment, only(graded()))
    assert (done.code, done.ending.reason) == (0, EndReason.COMPLETED)
    data = done.request["data"]
    assert (len(data["essays_for_cj"]), data["assignment_id"]) == (3, None)
    assert data["student_prompt_ref"]["references"]["student_prompt_text"]["path"] == "prompt.md"
    assert done.evidence.assignment is None
    assert len(done.evidence.succeeded) == 3
    assert done.artefact["schema_version"] == "1.1.0"
    assert done.artefact["inputs"]["anchors"] == done.artefact["grade_projections"] == []
    assert [f.code for f in read_findings(done.root / "findings.json")] == []


class TestNotWaiting:
    """Runs that end early because that was asked for; nothing is judged, nothing is green."""

    def test_published_and_left_alone(
        self, environment: Environment, graded: Graded, perform: Perform
    ) -> None:
        done = perform(environment, only(graded()), await_completion=False)
        assert (done.code, done.ending.reason) == (0, EndReason.NOT_AWAITED)
        assert done.ending.published
        status = done.artefact["validation"]["runner_status"]
        assert status["partial_data"]
        assert "not waited for" in status["ending"]["detail"]
        assert verify(done.root, done.root / "manifest.json") == []
        self.is_not_judged(done)

    def test_everything_but_published(
        self, environment: Environment, graded: Graded, perform: Perform
    ) -> None:
        without = replace(environment, client_arguments={"bootstrap_servers": "127.0.0.1:1"})
        done = perform(without, only(graded(assignment=str(uuid4()))), publish=False)
        assert (done.code, done.ending.reason) == (0, EndReason.NOT_PUBLISHED)
        assert not done.ending.published
        assert len(done.request["data"]["essays_for_cj"]) == 3
        assert done.evidence.assignment is not None
        self.is_not_judged(done)

    def is_not_judged(self, done: Done) -> None:
        from pytest_eng5.reports import evaluate_variant

        outcome = evaluate_variant(done.root.parent, (), repeats=1)
        assert (outcome.verdict.value, outcome.reasons) == ("DONE", ())
        assert not outcome.judging


class TestLooking:
    """On a pipeline that is not ours nothing is written; whatever does not fit is told with its fix."""

    @pytest.fixture
    def external(
        self, environment: Environment, operator: Operator, monkeypatch: pytest.MonkeyPatch
    ) -> Environment:
        """The shared pipeline as somebody else's, whose key the user has."""
        for name in ("HULEEDU_SERVICE_ACCOUNT_TOKEN", "HULEEDU_ADMIN_TOKEN", "ENVIRONMENT", "JWT_ALGORITHM"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv("HULEEDU_ENVIRONMENT", raising=False)
        monkeypatch.setenv("JWT_SECRET_KEY", operator.variables["JWT_SECRET_KEY"])
        return replace(environment, operator=None)

    @pytest.fixture
    def admin(self, external: Environment, operator: Operator) -> Iterator[httpx.Client]:
        """The admin API, as the operator of that pipeline uses it."""
        from pytest_eng5.services import AdminAuth

        url = f"{external.cj_url}"
        with httpx.Client(base_url=url, auth=AdminAuth(operator.variables), trust_env=False) as client:
            yield client

    def assignment(
        self, admin: httpx.Client, *, prompt: bool = True, anchors: bool = True, **more: Any
    ) -> str:
        name = str(uuid4())
        body = {"assignment_id": name, "instructions_text": "Write about the sea.", "grade_scale": LEGACY}
        admin.post("/admin/v1/assessment-instructions", json=body | more).raise_for_status()
        if prompt:
            body = {"assignment_id": name, "prompt_text": "Describe the sea, please."}
            admin.post("/admin/v1/student-prompts", json=body).raise_for_status()
        for grade in ("A", "F+") if anchors else ():
            body = {"assignment_id": name, "grade": grade, "anchor_label": f"held_{grade}"}
            text = f"An anchor of grade {grade}. " * 8
            admin.post("/api/v1/anchors/register", json=body | {"essay_text": text}).raise_for_status()
        return name

    def refused(self, done: Done, *words: str) -> None:
        assert (done.code, done.ending.reason) == (2, EndReason.REFUSED), done.ending.detail
        assert not done.ending.published
        assert not (done.root / "requests").exists()
        assert "fix: " in done.ending.detail
        for word in words:
            assert word in done.ending.detail
        assert verify(done.root, done.root / "manifest.json") == []

    def test_an_assignment_that_is_there_is_used_as_it_is(
        self, external: Environment, admin: httpx.Client, graded: Graded, perform: Perform
    ) -> None:
        name = self.assignment(admin)
        before = admin.get(f"/admin/v1/anchors/assignment/{name}").json()
        done = perform(external, only(graded(assignment=name)), await_completion=False)
        assert done.ending.reason is EndReason.NOT_AWAITED
        context = done.evidence.assignment
        assert context is not None
        assert [anchor.anchor_id for anchor in context.anchors] == ["held_A", "held_F+"]
        assert context.anchors[0].checksum == text_sha256("An anchor of grade A. " * 8)
        assert context.anchors[0].source_path == f"content/{context.anchors[0].text_storage_id}"
        assert context.student_prompt.source_path.startswith("content/")
        assert done.request["metadata"]["max_comparisons"] == 5 * 4 // 2
        assert admin.get(f"/admin/v1/anchors/assignment/{name}").json() == before

    def test_unknown(self, external: Environment, graded: Graded, perform: Perform) -> None:
        name = str(uuid4())
        done = perform(external, only(graded(assignment=name)))
        self.refused(done, f"knows no assignment {name}", "POST /admin/v1/assessment-instructions")

    def test_no_anchors(
        self, external: Environment, admin: httpx.Client, graded: Graded, perform: Perform
    ) -> None:
        name = self.assignment(admin, anchors=False)
        done = perform(external, only(graded(assignment=name)))
        self.refused(done, "has no anchors in its grade scale", f"eng5 register-anchors {name}")

    def test_no_prompt(
        self, external: Environment, admin: httpx.Client, graded: Graded, perform: Perform
    ) -> None:
        done = perform(external, only(graded(assignment=self.assignment(admin, prompt=False))))
        self.refused(done, "has no student prompt", "POST /admin/v1/student-prompts")

    def test_another_grade_scale(
        self, external: Environment, admin: httpx.Client, graded: Graded, perform: Perform
    ) -> None:
        variant = only(graded(assignment=self.assignment(admin)))
        done = perform(external, replace(variant, expected_grade_scale="eng5_np_national_9_step"))
        self.refused(done, f"is {LEGACY}, expected was eng5_np_national_9_step")

    def test_a_rubric_where_none_is_allowed(
        self, external: Environment, admin: httpx.Client, graded: Graded, perform: Perform
    ) -> None:
        name = self.assignment(admin, context_origin="canonical_national")
        variant = only(graded(assignment=name))
        self.refused(perform(external, variant), "its rubric is fixed")
        again = perform(external, replace(variant, rubric=None), await_completion=False)
        assert again.ending.reason is EndReason.NOT_AWAITED

    @pytest.mark.parametrize(("key", "words"), [("x" * 32, "token"), (None, "there is no token")])
    def test_nobody_is_let_in(
        self,
        external: Environment,
        graded: Graded,
        perform: Perform,
        monkeypatch: pytest.MonkeyPatch,
        key: str | None,
        words: str,
    ) -> None:
        monkeypatch.setenv("JWT_SECRET_KEY", key) if key else monkeypatch.delenv("JWT_SECRET_KEY")
        self.refused(perform(external, only(graded(assignment=str(uuid4())))), words)

    def test_a_service_that_does_not_answer_is_a_fault(
        self, external: Environment, graded: Graded, perform: Perform
    ) -> None:
        gone = replace(external, cj_url="http://127.0.0.1:1")
        done = perform(gone, only(graded(assignment=str(uuid4()))))
        assert (done.code, done.ending.reason) == (4, EndReason.INFRASTRUCTURE)


def test_nothing_of_the_session_s_key_is_readable_by_others(tmp_path: Path, lab: ModuleType) -> None:
    first, second = Operator.appoint(tmp_path / "private"), Operator.appoint(tmp_path / "private")
    assert first == second
    (file,) = (tmp_path / "private").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert Operator.appoint(tmp_path / "other").variables != first.variables
    users = {"JWT_ALGORITHM": "RS256", "JWT_PUBLIC_KEY": "k", "JWT_SECRET_KEY": "mine", "PATH": "/bin"}
    child = first.environment_of_pipeline(users)
    assert {name for name in child if name.startswith("JWT_")} == {"JWT_SECRET_KEY"}
    assert child["JWT_SECRET_KEY"] == first.variables["JWT_SECRET_KEY"]
    assert child["PATH"] == "/bin"
