"""``eng5 run`` in modes plan, dry-run and anchor-align-test."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from syrupy.assertion import SnapshotAssertion

from pytest_eng5.evidence import read_artefact, verify

Folder = Callable[..., Path]
ALIGN = "scenarios/anchor_align.eng5.yaml"


CONTRACT_FLAGS = """
    mode assignment-id course-id expected-grade-scale batch-id user-id org-id course-code language no-kafka
    output-dir kafka-bootstrap kafka-client-id cj-service-url content-service-url force-reupload llm-provider
    llm-model llm-temperature llm-max-tokens cj-system-prompt no-cj-system-prompt max-comparisons
    await-completion auto-extract-eng5-db completion-timeout llm-batching-mode anchor-align-provider
    anchor-align-model anchor-align-reasoning-effort anchor-align-output-verbosity system-prompt
    rubric verbose
"""


class TestPlan:
    """Mode plan: nothing is reached."""

    def test_a_scenario(self, shell: Any, snapshot: SnapshotAssertion) -> None:
        said = shell.eng5("run", "--mode", "plan", "--scenario", ALIGN, "--variant", "baseline", guarded=True)
        assert (said.code, said.err) == (0, "")
        assert shell.settled(said.out) == snapshot
        assert not (shell.folder / "touched.txt").exists()

    def test_a_folder(self, shell: Any, folder: Folder, snapshot: SnapshotAssertion) -> None:
        said = shell.eng5("run", "--inputs", folder("A", "B", "C+"), guarded=True)
        assert (said.code, said.err) == (0, "")
        assert shell.settled(said.out) == snapshot
        found = json.loads((shell.session / "command_line/plan/run-1/inventory.json").read_text())
        assert found["valid"] is True
        assert {path.name for path in shell.session.rglob("*") if path.is_file()} == {
            *("inventory.json", "log.jsonl", "manifest.json", "summary.json", "command_line.plan.xml")
        }

    def test_addresses_in_the_environment_are_not_used(self, shell: Any, folder: Folder) -> None:
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": "kafka.invalid:9092",
            "CONTENT_SERVICE_URL": "http://content.invalid",
            "CJ_SERVICE_URL": "http://cj.invalid",
        }
        assert shell.eng5("run", "--inputs", folder("A", "B"), guarded=True, **variables).code == 0

    def test_every_variant_of_a_file(self, shell: Any) -> None:
        said = shell.eng5("run", "--mode", "plan", "--scenario", ALIGN, guarded=True)
        assert said.code == 0
        assert [line.split(":")[0] for line in said.out.splitlines() if line.startswith("plan of")] == [
            f"plan of anchor_align / {id_} as anchor-align-test"
            for id_ in ("baseline", "language_control", "usage_content_parity")
        ]

    def test_unusable_inputs_fail_with_every_problem(
        self, shell: Any, folder: Folder, snapshot: SnapshotAssertion
    ) -> None:
        root = folder("A", "B")
        (root / "anchors" / "essay_3_Q.txt").write_text("Of an unknown grade.\n")
        (root / "anchors" / "essay_4.odt").write_bytes(b"x")
        (root / "students" / "pupil_2.txt").write_text("")
        (root / "students" / "~$pupil_1.docx").write_text("lock")
        said = shell.eng5("run", "--inputs", root, guarded=True)
        assert (said.code, said.err) == (1, "")
        assert shell.settled(said.out) == snapshot


class TestDryRun:
    """Mode dry-run: a stub of the artefact."""

    def test_the_shipped_scenario(self, shell: Any, snapshot: SnapshotAssertion) -> None:
        arguments = ("--mode", "dry-run", "--scenario", "scenarios/dry_run.eng5.yaml")
        said = shell.eng5("run", *arguments, guarded=True)
        assert (said.code, said.err) == (0, "")
        assert shell.settled(said.out) == snapshot
        run = shell.session / "dry_run" / "role_models" / "run-1"
        assert str(run / "assessment_run.dry-run.json") in said.out
        assert read_artefact(run / "assessment_run.dry-run.json").metadata.runner_mode == "dry-run"
        assert not (shell.folder / "touched.txt").exists()

    def test_the_run_can_be_verified_and_a_change_is_named(
        self, shell: Any, eng5: Any, folder: Folder
    ) -> None:
        assert shell.eng5("run", "--mode", "dry-run", "--inputs", folder("A")).code == 0
        run = shell.session / "command_line" / "dry-run" / "run-1"
        assert verify(run, run / "manifest.json") == []
        assert eng5("verify", run).code == 0
        with (run / "assessment_run.dry-run.json").open("ab") as stream:
            stream.write(b" ")
        said = eng5("verify", run)
        assert said.code == 1
        assert "assessment_run.dry-run.json" in said.out

    @pytest.mark.parametrize(
        ("grades", "students", "message"),
        [((), 1, "holds no anchors"), (("A",), 0, "holds no students' essays")],
    )
    def test_too_few_essays(
        self, eng5: Any, folder: Folder, grades: tuple[str, ...], students: int, message: str
    ) -> None:
        root = folder(*grades, students=students)
        said = eng5("run", "--mode", "dry-run", "--inputs", root)
        assert said.code == 2
        assert message in said.err
        assert "fix: " in said.err
        assert "Traceback" not in said.err
        assert not Path(".eng5").exists()


def without_names(path: Path) -> str:
    """A JUnit file without what differs from session to session."""
    root = ElementTree.parse(path).getroot()
    for element in root.iter():
        element.attrib.pop("time", None)
        if element.attrib.get("name") in ("batch_uuid", "run_dirs"):
            element.set("value", "differs")
        if element.tag == "system-out":
            element.text = re.sub(r"\S*/\d{8}T\d{6}Z-[0-9a-f]{4}/", "SESSION/", element.text or "")
    return ElementTree.tostring(root, encoding="unicode")


@pytest.mark.parametrize("name", ["dry_run", pytest.param("plan", marks=pytest.mark.thorough)])
def test_the_junit_file_is_that_of_pytest(shell: Any, name: str) -> None:
    scenario = f"scenarios/{name}.eng5.yaml"
    assert shell.eng5("run", "--scenario", scenario).code == 0
    ours = {path.name: without_names(path) for path in (shell.session / "junit").iterdir()}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", ".", "-p", "no:randomly", scenario],
        cwd=shell.folder,
        env=dict(shell.environment),
        check=True,
        capture_output=True,
    )
    theirs = {path.name: without_names(path) for path in (shell.session / "junit").iterdir()}
    assert ours
    assert ours == theirs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode", "execute"), "compares nothing for a single one"),
        (("--mode", "guess"), "unknown value 'guess'"),
        (("--max-comparisons", "1"), "--max-comparisons"),
        (("--llm-temperature", "3"), "--llm-temperature"),
        (("--llm-max-tokens", "0"), "--llm-max-tokens"),
        (("--assignment-id", "12"), "--assignment-id"),
        (
            ("--assignment-id", "0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01"),
            "--assignment-id: belongs to --mode execute",
        ),
        (("--no-cj-system-prompt",), "--cj-system-prompt: belongs to --mode execute"),
        (("--rubric", "nowhere.txt"), "--rubric: belongs to --mode execute or anchor-align-test"),
        (("--mode", "anchor-align-test", "--no-kafka"), "--no-kafka: nothing can be compared"),
        (("--mode", "anchor-align-test", "--rubric", "nowhere.txt"), "nowhere.txt"),
        (("--verbosely",), "No such option"),
    ],
)
def test_wrong_usage_ends_with_two_and_says_what(
    eng5: Any, folder: Folder, arguments: tuple[str, ...], message: str
) -> None:
    said = eng5("run", "--inputs", folder("A", "B"), *arguments)
    assert said.code == 2, said
    assert message in " ".join(said.err.split())
    assert "Traceback" not in said.err
    assert not Path(".eng5").exists()


def test_nothing_to_run_is_wrong_usage(eng5: Any) -> None:
    said = eng5("run")
    assert said.code == 2
    assert "fix: name a scenario file with --scenario, or a folder of essays with --inputs" in said.err


def test_a_damaged_scenario_is_refused_at_its_place(eng5: Any) -> None:
    Path("bad.eng5.yaml").write_text("scenario: bad\nmode: plan\ninput: x\nvariants: [{id: a}]\n")
    said = eng5("run", "--scenario", "bad.eng5.yaml")
    assert said.code == 2
    assert said.err.startswith("eng5: bad.eng5.yaml:3:1: ")
    assert "inputs" in said.err


def test_thresholds_of_a_plan_are_refused_at_their_place(eng5: Any, folder: Folder) -> None:
    folder("A", "B")
    text = "scenario: bad\nmode: plan\ninputs: mine\nthresholds: {ssr: {min: 0}}\nvariants: [{id: a}]\n"
    Path("bad.eng5.yaml").write_text(text)
    said = eng5("run", "--scenario", "bad.eng5.yaml")
    assert said.code == 2
    assert said.err.startswith("eng5: bad.eng5.yaml:4:14: mode plan compares nothing")


def test_help_lists_every_flag_of_the_contract(eng5: Any) -> None:
    said = eng5("run", "--help", COLUMNS="80")
    wanted = CONTRACT_FLAGS.split()
    assert [name for name in wanted if f"--{name}" not in said.out] == []


def test_every_flag_is_in_the_document_of_changes() -> None:
    text = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
    assert [name for name in CONTRACT_FLAGS.split() if f"--{name}" not in text] == []


def test_messages_name_the_flags_of_the_command() -> None:
    from pytest_eng5.runner.flags import in_flags

    text = (
        "fix: give --eng5-content-url URL, --eng5-live or --eng5-broker external --eng5-bootstrap-servers H"
    )
    assert in_flags(text) == "fix: give --content-service-url URL, --live or --kafka-bootstrap H"


@pytest.mark.slow
class TestAnchorAlign:
    """Mode anchor-align-test, on the embedded broker and the reference pipeline."""

    def test_a_scenario_passes_its_gates(self, shell: Any) -> None:
        said = shell.eng5("run", "--scenario", ALIGN, "--variant", "baseline", "--verbose")
        assert said.code == 0, said
        lines = said.out.splitlines()
        assert lines[2].split()[0] == "baseline"
        assert lines[2].endswith("66/66  $0.0000  PASS")
        assert sum(line.startswith("baseline: PASS ") for line in lines) == 4
        run = shell.session / "anchor_align" / "baseline" / "run-1"
        assert verify(run, run / "manifest.json") == []
        assert (run.parent / "alignment_report.md").exists()
        cases = ElementTree.parse(shell.session / "junit" / "anchor_align.baseline.xml").iter("testcase")
        assert [case.attrib["name"] for case in cases][:2] == ["run", "events"]

    @pytest.mark.thorough
    def test_a_judge_that_guesses_fails_with_the_gate(self, shell: Any, folder: Folder) -> None:
        folder("A", "B", "C+", "D+", "E+", "F+")
        text = """
            scenario: coin
            inputs: mine
            judge: {provider: mock, mock: {discrimination: 0, seed: 5}}
            thresholds: {kendall_tau: {min: 0.9}}
            variants: [{id: only}]
        """
        (shell.folder / "coin.eng5.yaml").write_text(text.replace("\n            ", "\n"))
        said = shell.eng5("run", "--scenario", "coin.eng5.yaml")
        assert said.code == 1, said
        assert "only: FAIL kendall_tau" in said.out

    def test_flags_alone_reach_the_request(self, shell: Any, folder: Folder) -> None:
        root = folder("A", "B", "C+", students=0)
        (shell.folder / "system.txt").write_text("Judge fairly.\n")
        said = shell.eng5(
            *("run", "--mode", "anchor-align-test", "--inputs", root, "--system-prompt", "system.txt"),
            *("--batch-id", "my-label", "--user-id", "me", "--org-id", "us", "--course-code", "eng6"),
            *("--llm-temperature", "0.0", "--max-comparisons", "3", "--await-completion"),
        )
        assert said.code == 0, said
        run = shell.session / "command_line" / "anchor-align-test" / "run-1"
        request = json.loads((run / "requests" / "els_cj_assessment_request.json").read_bytes())
        data, overrides = request["data"], request["data"]["llm_config_overrides"]
        assert (data["user_id"], data["org_id"], data["course_code"]) == ("me", "us", "ENG6")
        assert data["assignment_id"] is None
        assert overrides["temperature_override"] == 0.0
        assert overrides["system_prompt_override"] == "Judge fairly.\n"
        assert request["metadata"]["batch_label"] == "my-label"
        assert request["metadata"]["max_comparisons"] == 3

    def test_a_broker_that_is_not_there_ends_with_four(self, shell: Any) -> None:
        said = shell.eng5(
            *("run", "--scenario", ALIGN, "--variant", "baseline", "--kafka-bootstrap", "127.0.0.1:1"),
            *("--topic-prefix", "x."),
        )
        assert said.code == 4, said
        assert "--eng5-" not in said.err
        assert "Traceback" not in said.err

    def test_an_interrupted_run_leaves_a_whole_folder(self, shell: Any, folder: Folder) -> None:
        folder("A", "B", "C+")
        text = (
            "scenario: slow\ninputs: mine\njudge: {provider: mock, mock: {latency_ms: 30000}}\n"
            "variants: [{id: only}]\n"
        )
        (shell.folder / "slow.eng5.yaml").write_text(text)
        run = _interrupted(shell, "slow", "run", "--scenario", "slow.eng5.yaml")
        status = read_artefact(run / "assessment_run.anchor-align-test.json").validation.runner_status
        assert (status.partial_data, status.ending.reason.value) == (True, "interrupted")


@pytest.mark.slow
class TestExecute:
    """Mode execute, on the embedded broker and the reference pipeline."""

    @pytest.mark.thorough
    def test_a_deadline_ends_with_four_and_what_is_there_is_whole(self, shell: Any) -> None:
        said = shell.eng5(*EXECUTE, "--await-completion", "--completion-timeout", "4", *SLOW)
        assert said.code == 4, said
        assert "total_deadline" in said.out
        run = shell.session / "slow_grades" / "only" / "run-1"
        assert verify(run, run / "manifest.json") == []
        status = read_artefact(run / "assessment_run.execute.json").validation.runner_status
        assert (status.partial_data, status.ending.timeout_seconds) == (True, 4.0)

    def test_a_failed_event_ends_with_one_and_its_reason(self, shell: Any) -> None:
        said = shell.eng5(*EXECUTE, "--await-completion", *FAILED)
        assert said.code == 1, said
        run = shell.session / "failed_grades" / "only" / "run-1"
        [failure] = (run / "events" / "failures.jsonl").read_text().splitlines()
        reason = json.loads(json.loads(failure)["value"])["data"]["system_metadata"]["error_info"]
        assert next(str(value) for value in reason.values()) in said.out
        assert verify(run, run / "manifest.json") == []

    @pytest.mark.thorough
    def test_ctrl_c_leaves_a_whole_folder(self, shell: Any) -> None:
        run = _interrupted(shell, "slow_grades", *EXECUTE, "--await-completion", *SLOW)
        artefact = read_artefact(run / "assessment_run.execute.json")
        assert artefact.validation.runner_status.ending.reason.value == "interrupted"
        assert artefact.validation.runner_status.partial_data


EXECUTE = ("run", "--mode", "execute")
SLOW, FAILED = ("--scenario", "slow_grades.eng5.yaml"), ("--scenario", "failed_grades.eng5.yaml")


@pytest.fixture(autouse=True)
def _graded(request: pytest.FixtureRequest) -> None:
    """For mode execute, the shipped scenario with a slow judge, and with a pipeline that fails its batch."""
    if request.cls is not TestExecute:
        return
    shell = request.getfixturevalue("shell")
    shipped = (shell.folder / "scenarios" / "execute.eng5.yaml").read_text()
    shipped = shipped.replace("inputs: role_models", "inputs: scenarios/role_models")
    shipped = shipped.replace(" role_models/students.csv", " scenarios/role_models/students.csv")
    shipped = shipped.replace("prompts/", "scenarios/prompts/").replace("id: twelve_students", "id: only")
    slow = shipped.replace("seed: 7", "seed: 7\n    latency_ms: 30000")
    (shell.folder / "slow_grades.eng5.yaml").write_text(
        slow.replace("scenario: execute", "scenario: slow_grades")
    )
    failed = f"{shipped}    faults: [{{action: fail}}]\n".replace(
        "scenario: execute", "scenario: failed_grades"
    )
    (shell.folder / "failed_grades.eng5.yaml").write_text(failed)


def _interrupted(shell: Any, scenario: str, *words: str) -> Path:
    """The folder of a run that Ctrl-C ended after its request was composed; it is whole."""

    def composed() -> bool:
        return bool(list(shell.folder.glob(f".eng5/*Z-*/{scenario}/only/run-1/requests/*.json")))

    said = shell.interrupted(*words, when=composed)
    assert said.code == 4, said
    assert "interrupted" in said.out
    run: Path = shell.session / scenario / "only" / "run-1"
    assert verify(run, run / "manifest.json") == []
    return run
