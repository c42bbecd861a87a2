"""--eng5-rejudge: checks and gates of today over recorded runs; nothing is started, no evidence changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

Items = Callable[[Path], dict[str, tuple[str, dict[str, list[str]]]]]

GUARD = """
    import sys

    import pytest

    def hook(event, args):
        harmless = event == "subprocess.Popen" and str(args[0]).rsplit("/", 1)[-1] == "git"
        if (event.startswith("socket.") or event == "subprocess.Popen") and not harmless:
            raise RuntimeError(f"{event} while recorded runs are judged again")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop():
        sys.addaudithook(hook)
"""


def _content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def recorded(project: Any, recorded_session: Path) -> Any:
    """A project with a recorded session of two variants in ``old/``."""
    project.scenario(variants=("baseline", "other"))
    shutil.copytree(recorded_session, project.root / "old")
    return project


def test_all_items_pass_again_without_a_socket_and_leave_the_evidence_alone(
    recorded: Any, junit_items: Items
) -> None:
    recorded.write("conftest.py", GUARD)
    before = _content(recorded.root / "old")
    result = recorded.subprocess("--eng5-rejudge", "old", "--junitxml=report.xml")
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.OK, text
    assert "eng5: judging again old, output .eng5" in text
    assert _content(recorded.root / "old") == before
    [session] = recorded.sessions()
    assert (session / "small/baseline/alignment_report.md").is_file()
    assert json.loads((session / "small/baseline/run-1/findings.json").read_text())["findings"] == []
    summary = json.loads((session / "summary.json").read_text())
    variants = summary["scenarios"][0]["variants"]
    assert [(v["variant"], v["verdict"], v["comparisons"]) for v in variants] == [
        ("baseline", "PASS", 6),
        ("other", "PASS", 6),
    ]
    assert (session / variants[0]["run_dirs"][0]).resolve() == recorded.root / "old/small/baseline/run-1"
    items = junit_items(recorded.root / "report.xml")
    assert {outcome for outcome, _ in items.values()} == {"passed"}
    assert items["baseline::run"][1]["comparisons"] == ["6"]


def latest(recorded: Any) -> str:
    """The link to the recorded session, which the next session turns upon itself."""
    (recorded.root / ".eng5").mkdir()
    (recorded.root / ".eng5/latest").symlink_to("../old")
    return ".eng5/latest"


def test_the_latest_session_is_what_it_was_at_the_start(recorded: Any) -> None:
    result = recorded.inprocess("--eng5-rejudge", latest(recorded))
    assert result.ret == pytest.ExitCode.OK, result.stdout.str()
    [session] = recorded.sessions()
    assert (recorded.root / ".eng5/latest").resolve() == session


@pytest.mark.thorough
def test_thresholds_of_today_count_also_in_workers(recorded: Any) -> None:
    arguments = (
        "--eng5-rejudge",
        latest(recorded),
        "--eng5-set",
        "variants.baseline.thresholds.direct_inversions.min=1",
    )
    result = recorded.subprocess(*arguments, "-n", "2")
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED, text
    assert "direct_inversions" in text
    [session] = recorded.sessions()
    variants = json.loads((session / "summary.json").read_text())["scenarios"][0]["variants"]
    assert [(v["variant"], v["verdict"]) for v in variants] == [("baseline", "FAIL"), ("other", "PASS")]


def test_an_altered_run_is_found_out(recorded: Any) -> None:
    log = recorded.root / "old/small/other/run-1/events/comparisons.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))
    result = recorded.inprocess("--eng5-rejudge", "old")
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED, text
    assert "COUNT-MISSING" in text
    assert "MANIFEST-HASH" in text
    assert "small.eng5.yaml::baseline" not in text.split("short test summary")[1]


def test_only_what_is_asked_for_is_judged(recorded: Any) -> None:
    recorded.inprocess("--eng5-rejudge", "old", "-k", "other")
    [session] = recorded.sessions()
    variants = json.loads((session / "summary.json").read_text())["scenarios"][0]["variants"]
    assert [variant["variant"] for variant in variants] == ["other"]


def test_a_variant_that_was_not_recorded_is_no_pass(recorded: Any) -> None:
    shutil.rmtree(recorded.root / "old/small/other")
    result = recorded.inprocess("--eng5-rejudge", "old")
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED, text
    assert result.parseoutcomes()["errors"] == 1
    assert "no run of small / other is recorded there" in text
    assert "leave it out with -k" in text


def test_what_changed_since_is_told(recorded: Any) -> None:
    recorded.write("prompts/system.txt", "Judge otherwise.\n")
    result = recorded.inprocess("--eng5-rejudge", "old", "-k", "baseline")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["*small / baseline: the system prompt has changed since the run was recorded*"]
    )


def test_nothing_is_started_for_a_fixture(recorded: Any) -> None:
    recorded.write("test_it.py", "def test_it(eng5_broker): pass\n")
    result = recorded.inprocess("--eng5-rejudge", "old", "test_it.py")
    assert result.parseoutcomes() == {"errors": 1}
    assert "nothing is started when recorded runs are judged again" in result.stdout.str()


def test_a_run_of_another_format_is_refused_with_its_version(recorded: Any) -> None:
    plan = recorded.root / "old/small/baseline/run-1/plan.json"
    plan.write_text(plan.read_text().replace('"schema_version": "1.0.0"', '"schema_version": "2.3.0"'))
    result = recorded.inprocess("--eng5-rejudge", "old", "-k", "baseline")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "the run was written in format 2.3.0; this release reads 1.x" in result.stdout.str()


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("nowhere", "there is no such folder\n  fix: name the folder of one session"),
        ("old/small/nowhere", "there is no such folder\n  fix: name the folder of one session"),
        ("prompts", "there are no recorded runs"),
        ("old/small", "name {root}/old"),
        ("old/small/baseline/run-1", "name {root}/old"),
    ],
)
def test_a_folder_without_runs_is_refused(recorded: Any, folder: str, told: str) -> None:
    text = recorded.refusal("--eng5-rejudge", folder)
    assert text.startswith(f"--eng5-rejudge {recorded.root / folder}")
    assert told.format(root=recorded.root) in text
