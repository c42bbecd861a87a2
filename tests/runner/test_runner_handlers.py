"""What holds for every handler, and what plan and dry-run do; both may not touch a socket."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_eng5.evidence import RunEnding, load_evidence, read_artefact, read_snapshot, verify
from pytest_eng5.runner import (
    HANDLER_MAP,
    OFFLINE,
    OFFLINE_MODES,
    DryRunHandler,
    InputError,
    ModeHandlerProtocol,
    PlanHandler,
    RunnerPaths,
    RunnerSettings,
    RunSpec,
    perform_offline,
    read_inputs,
    require_essays,
)
from pytest_eng5.runner.command import MODES
from pytest_eng5.scenario import Scenario, Variant

MakeScenario = Callable[..., Scenario]


@pytest.fixture
def inputs_of(make_scenario: MakeScenario) -> Callable[..., Variant]:
    """The only variant of a scenario whose folder has three students beside its anchors."""

    def make(students: int = 3, **keys: Any) -> Variant:
        variant = make_scenario(**keys).variants[0]
        folder = variant.inputs_dir / "students"
        folder.mkdir(exist_ok=True)
        for number in range(students):
            (folder / f"anna-svensson-{number}.txt").write_text(f"Student {number}.\n")
        return variant

    return make


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in this process can make a socket."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a socket was asked for")

    for name in ("socket", "create_connection", "socketpair", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


def settings_in(variant: Variant, mode: str, finalise: Any, **more: Any) -> RunnerSettings:
    return RunnerSettings(RunSpec(replace(variant, mode=mode)), OFFLINE, finalise, **more)


@pytest.fixture(params=sorted(HANDLER_MAP))
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestEveryHandler:
    """The contract of the protocol."""

    def test_it_is_a_handler_without_arguments(self, mode: str) -> None:
        assert isinstance(HANDLER_MAP[mode](), ModeHandlerProtocol)

    def test_it_performs_a_run_and_leaves_settings_and_inputs_alone(
        self,
        mode: str,
        inputs_of: Callable[..., Variant],
        finalise: Any,
        tmp_path: Path,
        request: pytest.FixtureRequest,
    ) -> None:
        variant = inputs_of()
        settings = settings_in(variant, mode, finalise, assignment_id="a-1", user_id="u")
        if mode not in OFFLINE_MODES:
            settings.environment = request.getfixturevalue("environment")
        before = {name: getattr(settings, name) for name in settings.__slots__}
        lying = {path: path.read_bytes() for path in variant.inputs_dir.rglob("*") if path.is_file()}
        session = tmp_path / "session"
        paths = settings.spec.paths(session)
        status = HANDLER_MAP[mode]().execute(settings, read_inputs(mode, variant.inputs_dir), paths)
        assert status == 0
        assert {name: getattr(settings, name) for name in settings.__slots__} == before
        assert {path: path.read_bytes() for path in lying} == lying
        assert verify(paths.run.root, paths.run.manifest) == []
        written = {path for path in tmp_path.rglob("*") if path.is_file()} - lying.keys()
        outside = [p for p in written if not p.is_relative_to(session) and "scenario" not in p.parts]
        assert outside == []

    def test_settings_are_restored_when_it_raises(
        self, mode: str, inputs_of: Callable[..., Variant], tmp_path: Path
    ) -> None:
        variant = inputs_of()

        def broken(root: Path, ending: RunEnding) -> None:
            raise RuntimeError("no space")

        settings = settings_in(variant, mode, broken, assignment_id="a-1")
        settings.environment = replace(OFFLINE, client_arguments={"bootstrap_servers": "127.0.0.1:1"})
        inventory = replace(read_inputs(mode, variant.inputs_dir), anchors=(), students=())
        if mode == "plan":
            assert PlanHandler().execute(settings, inventory, settings.spec.paths(tmp_path / "s")) == 1
        else:
            with pytest.raises(InputError):
                HANDLER_MAP[mode]().execute(settings, inventory, settings.spec.paths(tmp_path / "s"))
        assert settings.assignment_id == "a-1"

    def test_too_few_essays_are_told_with_folder_and_fix(
        self, mode: str, inputs_of: Callable[..., Variant]
    ) -> None:
        inventory = read_inputs("plan", inputs_of().inputs_dir)
        with pytest.raises(InputError) as caught:
            require_essays(mode, replace(inventory, anchors=(), students=()))
        assert all(problem.hint and problem.message for problem in caught.value.problems)
        assert str(inventory.root.name) in str(caught.value)


def test_paths_cannot_be_changed(inputs_of: Callable[..., Variant], tmp_path: Path) -> None:
    paths = RunSpec(inputs_of()).paths(tmp_path)
    assert isinstance(paths, RunnerPaths)
    with pytest.raises(FrozenInstanceError):
        paths.session = tmp_path  # type: ignore[misc]


def test_modes_that_reach_nothing_are_the_only_ones_offline() -> None:
    assert set(HANDLER_MAP) - {"anchor-align-test", "execute"} == OFFLINE_MODES
    assert set(HANDLER_MAP) == set(MODES)


@pytest.mark.usefixtures("no_sockets")
class TestPlan:
    """Mode ``plan``."""

    def snapshot(self, variant: Variant, session: Path, **more: Any) -> tuple[int, dict[str, Any]]:
        spec = RunSpec(replace(variant, mode="plan"), **more)
        settings = RunnerSettings(spec, OFFLINE, lambda root, ending: pytest.fail("finalised"))
        paths = spec.paths(session)
        status = PlanHandler().execute(settings, read_inputs("plan", variant.inputs_dir), paths)
        return status, json.loads(paths.run.inventory.read_bytes())

    def test_every_file_is_there_with_size_hash_id_and_grade(
        self, inputs_of: Callable[..., Variant], tmp_path: Path
    ) -> None:
        variant = inputs_of()
        _, found = self.snapshot(variant, tmp_path / "s")
        folder = variant.location.path.parent
        place = {"system_prompt": folder, "rubric": folder}
        for file in found["files"]:
            path = place.get(file["role"], variant.inputs_dir) / file["path"]
            content = path.read_bytes()
            assert file["bytes"] == len(content), path
            assert file["sha256"] == hashlib.sha256(content).hexdigest(), path
        rows = {(file["role"], file.get("id"), file.get("grade")) for file in found["files"]}
        grades = ("A", "B", "C+", "D+")
        assert rows == {
            *(("anchor", f"anna-svensson-{n}", grade) for n, grade in enumerate(grades)),
            *(("student", f"anna-svensson-{n}", None) for n in range(3)),
            *((role, None, None) for role in ("anchor_table", "instructions", "student_prompt")),
            *((role, None, None) for role in ("system_prompt", "rubric")),
        }
        assert len(found["files"]) == len(rows)

    def test_capacity_of_the_modes_that_compare(
        self, inputs_of: Callable[..., Variant], tmp_path: Path
    ) -> None:
        status, found = self.snapshot(inputs_of(), tmp_path / "s")
        counts = {m["mode"]: (m["essays"], m["comparisons"], m["round_robin"]) for m in found["modes"]}
        assert counts == {"anchor-align-test": (4, 6, 6), "execute": (7, 21, 21)}
        assert (status, found["valid"]) == (0, True)

    def test_thresholds_come_with_what_they_can_attain(
        self, inputs_of: Callable[..., Variant], tmp_path: Path
    ) -> None:
        variant = inputs_of(
            essays=4, thresholds={"kendall_tau": {"min": 0.9}, "zero_win_anchors": {"max": 1}}
        )
        _, found = self.snapshot(variant, tmp_path / "s", planned_mode="anchor-align-test")
        assert found["thresholds"] == [
            {"metric": "kendall_tau", "min": 0.9, "attainable": 1.0},
            {"metric": "zero_win_anchors", "max": 1.0},
        ]
        assert found["planned_mode"] == "anchor-align-test"

    def test_an_unreachable_threshold_makes_the_plan_invalid(
        self, inputs_of: Callable[..., Variant], tmp_path: Path
    ) -> None:
        variant = inputs_of(thresholds={"coverage": {"min": 1}}, comparisons={"max": 3})
        status, found = self.snapshot(variant, tmp_path / "s", planned_mode="anchor-align-test")
        assert "3 comparisons cover at most 0.500 of 6 pairs" in found["thresholds"][0]["problem"]
        assert (status, found["valid"]) == (1, False)

    def test_what_is_wrong_is_told_and_the_rest_is_there(
        self, inputs_of: Callable[..., Variant], tmp_path: Path
    ) -> None:
        variant = inputs_of()
        (variant.inputs_dir / "students" / "empty.txt").write_text(" \n")
        (variant.inputs_dir / "students" / "~$open.docx").write_text("lock")
        status, found = self.snapshot(variant, tmp_path / "s")
        (problem,) = found["problems"]
        assert problem["where"].endswith("students/empty.txt:1:1")
        assert problem["message"] == "the essay 'empty.txt' is empty"
        assert problem["fix"]
        (notice,) = found["notices"]
        assert "lock file" in notice["message"]
        assert len([file for file in found["files"] if file["role"] == "anchor"]) == 4
        assert (status, found["valid"]) == (1, False)

    def test_a_folder_without_essays_is_invalid(
        self, inputs_of: Callable[..., Variant], tmp_path: Path
    ) -> None:
        variant = inputs_of(students=0)
        shutil.rmtree(variant.inputs_dir / "anchors")
        (variant.inputs_dir / "anchors.csv").unlink()
        status, found = self.snapshot(variant, tmp_path / "s")
        assert [problem["message"] for problem in found["problems"]] == ["the inputs folder holds no essays"]
        assert status == 1

    def test_a_table_of_anchors_that_are_not_there_is_told(
        self, inputs_of: Callable[..., Variant], tmp_path: Path
    ) -> None:
        variant = inputs_of()
        shutil.rmtree(variant.inputs_dir / "anchors")
        status, found = self.snapshot(variant, tmp_path / "s")
        assert status == 1
        assert any("anchors" in problem["where"] for problem in found["problems"])

    def test_students_alone_can_be_planned(self, inputs_of: Callable[..., Variant], tmp_path: Path) -> None:
        variant = inputs_of()
        shutil.rmtree(variant.inputs_dir / "anchors")
        (variant.inputs_dir / "anchors.csv").unlink()
        (variant.inputs_dir / "instructions.md").unlink()
        status, found = self.snapshot(variant, tmp_path / "s")
        assert status == 0
        obstacles = {m["mode"]: [o["message"] for o in m.get("obstacles", [])] for m in found["modes"]}
        assert obstacles["anchor-align-test"] == ["the inputs folder holds no anchors; a comparison needs 2"]
        assert obstacles["execute"] == ["there are no instructions"]

    def test_the_obstacles_of_the_planned_mode_count(
        self, inputs_of: Callable[..., Variant], tmp_path: Path
    ) -> None:
        variant = inputs_of(essays=4, comparisons={"max": 1})
        status, found = self.snapshot(variant, tmp_path / "s", planned_mode="anchor-align-test")
        (obstacle,) = found["modes"][0]["obstacles"]
        assert obstacle["message"] == "1 comparisons reach at most 2 of 4 essays"
        assert status == 1
        assert self.snapshot(variant, tmp_path / "t")[0] == 0

    @pytest.mark.parametrize(("provider", "known"), [("mock", True), ("openai", False)])
    def test_cost_is_estimated_only_where_it_is_known(
        self, inputs_of: Callable[..., Variant], tmp_path: Path, provider: str, known: bool
    ) -> None:
        variant = inputs_of(judge={"provider": provider, "model": "m", "temperature": 0.0})
        _, found = self.snapshot(variant, tmp_path / "s")
        assert (found.get("cost") or {}).get("usd") == (0.0 if known else None)
        assert found["judge"]["temperature"] == 0.0
        assert ("mock" in found["judge"]) is known

    def test_no_text_of_an_essay_is_in_it(self, inputs_of: Callable[..., Variant], tmp_path: Path) -> None:
        _, found = self.snapshot(inputs_of(), tmp_path / "s")
        assert "Essay number" not in json.dumps(found)

    def test_it_can_be_read_back_and_satisfies_its_schema(
        self, inputs_of: Callable[..., Variant], tmp_path: Path
    ) -> None:
        _, found = self.snapshot(inputs_of(), tmp_path / "s")
        schema = json.loads((Path(__file__).parents[2] / "schemas" / "inventory.schema.json").read_bytes())
        jsonschema.Draft202012Validator(schema).validate(found)
        path = next((tmp_path / "s").rglob("inventory.json"))
        assert read_snapshot(path).model_dump(mode="json", exclude_none=True) == found


@pytest.mark.usefixtures("no_sockets")
class TestDryRun:
    """Mode ``dry-run``."""

    @pytest.fixture
    def root(self, inputs_of: Callable[..., Variant], finalise: Any, tmp_path: Path) -> Path:
        variant = inputs_of()
        settings = settings_in(variant, "dry-run", finalise)
        paths = settings.spec.paths(tmp_path / "s")
        assert DryRunHandler().execute(settings, read_inputs("dry-run", variant.inputs_dir), paths) == 0
        return paths.run.root

    def test_the_stub_satisfies_the_schema_beside_it(self, root: Path) -> None:
        schema = json.loads((root / "schemas" / "assessment_run.schema.json").read_bytes())
        document = json.loads((root / "assessment_run.dry-run.json").read_bytes())
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.Draft202012Validator(schema, format_checker=checker).validate(document)
        assert document["metadata"]["runner_mode"] == "dry-run"
        assert (len(document["inputs"]["anchors"]), len(document["inputs"]["students"])) == (4, 3)
        assert document["llm_comparisons"] == document["bt_summary"] == []
        assert document["costs"]["total_usd"] == 0

    def test_nothing_was_published(self, root: Path) -> None:
        ending = read_artefact(root / "assessment_run.dry-run.json").validation.runner_status.ending
        assert not ending.published
        assert not ending.partial
        assert not (root / "requests").exists()
        assert not (root / "events").exists()

    def test_all_essays_have_ids_of_their_own_that_tell_nothing(self, root: Path) -> None:
        essays = load_evidence(root).plan.essays
        assert len({essay.essay_id for essay in essays}) == len(essays) == 7
        assert all("anna" not in essay.essay_id for essay in essays)
        assert sum(essay.is_anchor for essay in essays) == 4

    def test_an_artefact_that_breaks_its_schema_is_no_success(
        self, inputs_of: Callable[..., Variant], finalise: Any, tmp_path: Path, monkeypatch: Any
    ) -> None:
        from pytest_eng5.reports import finalise as module

        def wrong(path: Path, artefact: Any) -> dict[str, Any]:
            path.write_text("{}")
            return {}

        monkeypatch.setattr(module, "write_artefact", wrong)
        variant = inputs_of()
        settings = settings_in(variant, "dry-run", finalise)
        inventory = read_inputs("dry-run", variant.inputs_dir)
        assert DryRunHandler().execute(settings, inventory, settings.spec.paths(tmp_path / "s")) == 1

    @pytest.mark.parametrize("missing", ["anchors", "students"])
    def test_it_needs_both_kinds_of_essays(self, inputs_of: Callable[..., Variant], missing: str) -> None:
        variant = inputs_of()
        shutil.rmtree(variant.inputs_dir / missing)
        with pytest.raises(InputError, match=missing):
            read_inputs("dry-run", variant.inputs_dir)


@pytest.mark.usefixtures("no_sockets")
class TestPerformingOffline:
    """What pytest's side calls."""

    @pytest.mark.parametrize("mode", sorted(OFFLINE_MODES))
    def test_it_completes(
        self, inputs_of: Callable[..., Variant], finalise: Any, tmp_path: Path, mode: str
    ) -> None:
        spec = RunSpec(replace(inputs_of(), mode=mode))
        ending = perform_offline(spec, tmp_path / "s", finalise)
        assert (ending.reason.value, ending.published) == ("completed", False)
        assert ending.detail == f"{mode}: nothing was uploaded or published"

    def test_unusable_inputs_are_an_ending_not_an_exception(
        self, inputs_of: Callable[..., Variant], finalise: Any, tmp_path: Path
    ) -> None:
        variant = inputs_of(students=0)
        ending = perform_offline(RunSpec(replace(variant, mode="dry-run")), tmp_path / "s", finalise)
        assert ending.reason.is_infrastructure
        assert "no students' essays" in ending.detail
        assert "fix: " in ending.detail

    def test_neither_is_anything_unexpected(self, inputs_of: Callable[..., Variant], tmp_path: Path) -> None:
        def broken(root: Path, ending: RunEnding) -> None:
            raise MemoryError("no more")

        ending = perform_offline(RunSpec(replace(inputs_of(), mode="dry-run")), tmp_path / "s", broken)
        assert ending.reason.is_infrastructure
        assert ending.detail == "unexpected MemoryError: no more"

    def test_a_mode_that_needs_a_pipeline_is_a_mistake(
        self, inputs_of: Callable[..., Variant], finalise: Any, tmp_path: Path
    ) -> None:
        with pytest.raises(AssertionError, match="anchor-align-test"):
            perform_offline(RunSpec(inputs_of()), tmp_path / "s", finalise)


def test_surroundings_of_an_offline_run_name_nothing() -> None:
    named = {name: value for name, value in asdict(OFFLINE).items() if value}
    assert named == {}
