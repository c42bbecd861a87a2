"""Judges that toss coins, fail, or never answer: one session, a scenario file for each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

GATES = "{kendall_tau: {min: 0.9}, direct_inversions: {max: 0}}"
NOT_RUN = (
    "events",
    "metadata",
    "completeness",
    "schema",
    "scoring",
    "costs",
    "manifest",
    "kendall_tau",
    "direct_inversions",
)


def judge(**mock: float) -> str:
    """The YAML of a simulated judge."""
    keys = {"discrimination": 12, "seed": 7} | mock
    inside = ", ".join(f"{key}: {value}" for key, value in keys.items())
    return f"{{provider: mock, model: simulated-judge, mock: {{{inside}}}}}"


@pytest.fixture(scope="module")
def session(make_tree: Callable[..., Any]) -> Any:
    """All judges at once."""
    tree = make_tree()
    common = {"essays": 6, "thresholds": GATES}
    tree.scenario("coin", judge=judge(discrimination=0), **common)
    tree.scenario("failing", judge=judge(failure_rate=0.5), **common)
    tree.scenario("flaky", judge=judge(failure_rate=0.1, seed=2), **common)
    tree.scenario("silent", judge=judge(latency_ms=30000), timeout="{idle: 3, total: 40}", **common)
    tree.scenario("endless", judge=judge(latency_ms=2200), timeout="{idle: 20, total: 9}", **common)
    tree.scenario("biased", judge=judge(discrimination=0, position_bias=20), **common)
    return tree.pytest("-p", "no:randomly", "--junitxml", "junit.xml")


def cases(session: Any, scenario: str) -> dict[str, tuple[str, str]]:
    """Outcome and message by item of a scenario; the file's name is part of the class name."""
    import xml.etree.ElementTree as ET

    found = {}
    for case in ET.parse(session.tree.root / "junit.xml").iter("testcase"):
        if str(case.get("classname")).startswith(f"{scenario}."):
            bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
            text = "" if bad is None else f"{bad.get('message')}\n{bad.text}"
            found[str(case.get("name"))] = ("passed" if bad is None else bad.tag, text)
    return found


def test_the_session_ends_soon_and_clean(session: Any) -> None:
    assert session.code == 1
    assert session.seconds < 120
    session.tree.assert_nothing_left()


def test_coin_fails_the_gates_and_only_them(session: Any) -> None:
    found = cases(session, "coin")
    assert {item for item, (outcome, _) in found.items() if outcome == "failure"} == {
        "kendall_tau",
        "direct_inversions",
    }
    assert found["kendall_tau"][1].startswith("FAIL kendall_tau ")
    assert "< 0.9" in found["kendall_tau"][1].splitlines()[0]
    assert "15 comparisons" in found["kendall_tau"][1].splitlines()[0]


def test_failed_batch_fails_the_run_and_skips_the_rest(session: Any) -> None:
    found = cases(session, "failing")
    outcome, text = found["run"]
    assert outcome == "failure"
    assert "PIPELINE-FAILED" in text
    assert "low_success_rate" in text
    assert {found[item][0] for item in NOT_RUN} == {"skipped"}
    assert all("run failed" in found[item][1] for item in NOT_RUN)


def test_failed_batch_is_kept_as_evidence(session: Any) -> None:
    run = session.run("failing", "only")
    assert len((run / "events" / "failures.jsonl").read_text().splitlines()) == 1
    codes = {finding["code"] for finding in session.findings("failing", "only")}
    assert "PIPELINE-FAILED" in codes
    assert (run / "manifest.json").exists()


def test_a_few_failures_are_an_info_and_gates_still_judge(session: Any) -> None:
    found = cases(session, "flaky")
    log = session.run("flaky", "only") / "events" / "comparisons.jsonl"
    data = [json.loads(json.loads(line)["value"])["data"] for line in log.open()]
    failed = [item for item in data if item["error_detail"] is not None]
    assert failed, "the seed must make at least one comparison fail"
    findings = session.findings("flaky", "only")
    (rate,) = [finding for finding in findings if finding["code"] == "SUCCESS-RATE"]
    assert rate["severity"] == "info"
    assert f"{len(data) - len(failed)} of {len(data)}" in rate["message"]
    assert found["run"][0] == found["completeness"][0] == "passed"
    assert {found[gate][0] for gate in ("kendall_tau", "direct_inversions")} <= {"passed", "failure"}
    rows = {row["scenario"]: row["variants"][0] for row in summary(session)}
    assert rows["flaky"]["comparisons"] == len(data) - len(failed)


def test_silence_is_an_error_that_says_what_is_missing(session: Any) -> None:
    found = cases(session, "silent")
    outcome, text = found["run"]
    assert outcome == "error"
    assert "no event for 3 s (idle deadline)" in text
    assert "0 of 15 comparisons seen" in text
    assert "the completed event" in text
    assert {found[item][0] for item in NOT_RUN} == {"skipped"}


def test_total_deadline_keeps_what_was_seen(session: Any) -> None:
    outcome, text = cases(session, "endless")["run"]
    assert outcome == "error"
    assert "total deadline of 9 s passed" in text
    log = session.run("endless", "only") / "events" / "comparisons.jsonl"
    assert f"{len(log.read_text().splitlines())} of 15 comparisons seen" in text
    assert "PARTIAL-DATA" in {finding["code"] for finding in session.findings("endless", "only")}


def test_position_bias_shows(session: Any) -> None:
    rows = {row["scenario"]: row["variants"][0] for row in summary(session)}
    assert rows["biased"]["metrics"]["position_bias"]["value"] == pytest.approx(0.5)
    assert rows["biased"]["verdict"] == "FAIL"


def test_verdicts_in_the_summary(session: Any) -> None:
    verdicts = {row["scenario"]: row["variants"][0]["verdict"] for row in summary(session)}
    assert {name: verdicts[name] for name in ("coin", "failing", "silent", "endless")} == {
        "coin": "FAIL",
        "failing": "FAIL",
        "silent": "ERROR",
        "endless": "ERROR",
    }


def summary(session: Any) -> list[dict[str, Any]]:
    """Scenarios of the summary."""
    return list(json.loads((session.folder / "summary.json").read_text())["scenarios"])
