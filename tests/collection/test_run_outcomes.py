"""What a session shows and leaves behind, on a real broker with four anchors."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Items = Callable[[Path], dict[str, tuple[str, dict[str, list[str]]]]]
COIN = "variants.coin.judge.mock.discrimination=0"
VERDICT = r"FAIL kendall_tau -?\d\.\d+ < 0\.90 \(95 % CI .+, attainable 1(\.0+)?, 6 comparisons\)"
UNUSABLE = ("--eng5-broker", "container")


def _cache(*arguments: str) -> tuple[str, ...]:
    return ("-p", "cacheprovider", "-p", "no:randomly", *arguments)


@pytest.mark.slow
def test_a_session_with_a_good_and_a_bad_judge(
    project: Any, on_kafka: tuple[str, ...], junit_items: Items
) -> None:
    project.scenario(variants=("sound", "coin"))
    result = project.subprocess(*on_kafka, "--eng5-set", COIN, "--junitxml=report.xml")
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED, text

    items = junit_items(project.root / "report.xml")
    failed = {name for name, (outcome, _) in items.items() if outcome != "passed"}
    assert "coin::kendall_tau" in failed
    assert failed <= {"coin::kendall_tau", "coin::direct_inversions"}

    # the verdict is the first line below the title, in one sentence, without a traceback
    lines = text.splitlines()
    title = next(n for n, line in enumerate(lines) if re.match(r"_+ .*coin::kendall_tau.* _+$", line))
    assert re.match(VERDICT, lines[title + 1]), lines[title : title + 5]
    assert "Traceback" not in text
    assert "eng5 gate" in text

    # the table has a line per variant
    table = text[text.index("= eng5 alignment =") :]
    assert re.search(
        r"^  variant +tau-b \(95 % CI\) +inversions +zero wins +compared +cost +verdict$", table, re.M
    )
    assert re.search(r"^small$", table, re.M)
    assert re.search(r"^  sound +1\.0+ .* 6/6 +\$0\.0000 +PASS$", table, re.M), table
    assert re.search(r"^  coin +.* 6/6 +\$0\.0000 +FAIL$", table, re.M), table

    # the properties are those of the variant's own file, each once
    [session] = project.sessions()
    assert f"evidence and reports: .eng5/{session.name}" in table
    assert (project.root / ".eng5/latest").resolve() == session
    for variant in ("sound", "coin"):
        own = junit_items(session / f"junit/small.{variant}.xml")
        assert {name for name in items if name.startswith(f"{variant}::")} == set(own)
        for name, (outcome, properties) in own.items():
            assert items[name][0] == outcome
            assert {k: sorted(v) for k, v in items[name][1].items()} == {
                k: sorted(v) for k, v in properties.items()
            }
            assert all(len(values) == 1 for values in properties.values()), (name, properties)
            assert {"scenario", "batch_uuid", "system_prompt_sha256", "rubric_sha256"} <= properties.keys()
            assert {"provider", "model", "comparisons", "cost_usd", "kendall_tau"} <= properties.keys()
    summary = json.loads((session / "summary.json").read_text())
    verdicts = {v["variant"]: v["verdict"] for s in summary["scenarios"] for v in s["variants"]}
    assert verdicts == {"sound": "PASS", "coin": "FAIL"}


def test_items_are_the_checks_that_there_are() -> None:
    from pytest_eng5.checks import checks_for
    from pytest_eng5.collection.items import CHECKS

    assert checks_for("anchor-align-test") == CHECKS


@pytest.mark.slow
def test_fail_fast_judges_nothing_after_a_failure_and_overrides_keep_off_the_variants_file(
    project: Any, on_kafka: tuple[str, ...], junit_items: Items
) -> None:
    project.scenario(variants=("coin",), thresholds="{kendall_tau: {min: 0.90}, direct_inversions: {max: 6}}")
    file = next(project.root.rglob("*.eng5.yaml"))
    (project.root / "test_override.py").write_text(
        "def test_override(eng5_run):\n"
        f"    result = eng5_run({str(file)!r}, 'coin', overrides=['judge.mock.discrimination=50'])\n"
        "    assert result.verdict == 'PASS'\n"
    )
    arguments = ("--eng5-set", COIN, "--eng5-set", "fail_fast=true", "--junitxml=report.xml")
    result = project.subprocess(*on_kafka, "-p", "no:randomly", *arguments)
    items = junit_items(project.root / "report.xml")
    assert items["coin::kendall_tau"][0] == "failure", result.stdout.str()
    assert items["coin::direct_inversions"][0] == "skipped"
    assert items["coin::run"][0] == "passed"
    [session] = project.sessions()
    suite = ET.parse(session / "junit/small.coin.xml").getroot().find("testsuite")
    assert suite is not None
    own = {found.get("name"): found.get("value") for found in suite.findall("properties/property")}
    assert own["verdict"] == "FAIL"


@pytest.mark.slow
def test_last_failed_runs_again_in_a_new_folder(project: Any, on_kafka: tuple[str, ...]) -> None:
    project.scenario(variants=("coin",), thresholds="{kendall_tau: {min: 0.90}}")
    run = project.pytester.runpytest_subprocess
    first = run(*_cache(*on_kafka, "--eng5-set", COIN))
    first.assert_outcomes(passed=8, failed=1)
    again = run(*_cache(*on_kafka, "--eng5-set", COIN, "--lf", "-v"))
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*coin::kendall_tau FAILED*"])
    older, newer = project.sessions()
    assert (project.root / ".eng5/latest").resolve() == newer
    assert (older / "summary.json").exists()
    assert (newer / "small/coin/run-1/manifest.json").exists()


@pytest.mark.slow
def test_reruns_judge_again_but_run_once(project: Any, on_kafka: tuple[str, ...], junit_items: Items) -> None:
    project.scenario(variants=("coin",), thresholds="{kendall_tau: {min: 0.90}}")
    result = project.subprocess(*on_kafka, "--eng5-set", COIN, "--reruns", "2", "--junitxml=report.xml")
    assert "2 rerun" in result.stdout.str()
    outcome, properties = junit_items(project.root / "report.xml")["coin::kendall_tau"]
    assert outcome == "failure"
    assert {name for name, values in properties.items() if len(values) > 1} == set()
    assert result.stdout.str().count("Captured eng5 gate") == 1
    [session] = project.sessions()
    assert [path.name for path in (session / "small/coin").glob("run-*")] == ["run-1"]
    events = (session / "small/coin/run-1/events/comparisons.jsonl").read_text().splitlines()
    assert len(events) == 6


@pytest.mark.slow
def test_exit_first_stops_at_the_first_verdict_that_fails(project: Any, on_kafka: tuple[str, ...]) -> None:
    project.scenario(variants=("coin", "sound"), thresholds="{kendall_tau: {min: 0.90}}")
    result = project.subprocess(*on_kafka, "--eng5-set", COIN, "-x")
    result.assert_outcomes(passed=8, failed=1)
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    assert re.search(r"^  coin .* FAIL$", result.stdout.str(), re.M)


def test_an_infrastructure_fault_is_an_error_of_run_and_skips_the_rest(
    project: Any, junit_items: Items
) -> None:
    project.scenario()
    result = project.subprocess(*UNUSABLE, "-rs", "--junitxml=report.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1, skipped=9)
    items = junit_items(project.root / "report.xml")
    assert items["baseline::run"][0] == "error"
    assert {outcome for name, (outcome, _) in items.items() if name != "baseline::run"} == {"skipped"}
    assert "run failed: " in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize("wanted", ["kendall_tau", "events", "kendall_tau or manifest"])
def test_without_run_selected_a_fault_is_an_error_and_never_only_a_skip(project: Any, wanted: str) -> None:
    project.scenario(variants=("one", "two"))
    result = project.subprocess(*UNUSABLE, "-k", wanted)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    outcomes = result.parseoutcomes()
    assert outcomes["errors"] == 2 * len(wanted.split(" or "))
    assert "skipped" not in outcomes


def test_a_run_that_is_deselected_by_its_mark_does_not_hide_the_fault(project: Any) -> None:
    project.scenario()
    result = project.subprocess(*UNUSABLE, "small.eng5.yaml::baseline::kendall_tau")
    result.assert_outcomes(errors=1)
