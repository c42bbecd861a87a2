"""Workers, reruns and neighbours: a run happens once per session, and the verdicts are the same."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytestmark = pytest.mark.slow

REQUESTS = "huleedu.els.cj_assessment.requested.v1"
CALLBACKS = "huleedu.llm_provider.comparison_result.v1"
PER_RUN = {"batch_uuid", "run_dirs"}
VARIANTS = """  - id: good
  - id: twice
    repeats: 2
  - id: coin
    judge: {mock: {discrimination: 0, seed: 5}}
    thresholds: {direct_inversions: {max: 0}}"""
ITEMS_EACH = 7
FAILING = {"coin::kendall_tau", "coin::direct_inversions"}
PYTHON_TEST = """
def test_shares_the_run(eng5_run, eng5_broker):
    result = eng5_run("crowd.eng5.yaml", "good")
    assert len(result.evidence.succeeded) == 15
    assert result.verdict == "PASS"
"""
HTML = ("--html", "report.html", "--self-contained-html")
MODES = {
    "plain": ("-p", "no:xdist"),
    "both": ("-n", "2", "--reruns", "1", *HTML),
    "workers": ("-n", "2", "--dist", "worksteal"),
    "reruns": ("--reruns", "1", "-p", "no:randomly"),
}
WAYS = [
    pytest.param(("plain", "both"), id="plain and both"),
    pytest.param(("workers", "reruns"), id="either", marks=pytest.mark.thorough),
]


@pytest.fixture(scope="module", params=WAYS)
def sessions(request: pytest.FixtureRequest, make_tree: Callable[..., Any]) -> dict[str, Any]:
    """The same scenarios in two ways at once."""

    trees = {mode: make_tree(spy=True) for mode in request.param}
    for tree in trees.values():
        tree.scenario("crowd", VARIANTS, essays=6)
        tree.write("test_python.py", PYTHON_TEST)

    def perform(mode: str) -> Any:
        return trees[mode].pytest(*MODES[mode], "--junitxml", "junit.xml")

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(trees, pool.map(perform, trees), strict=True))


@pytest.fixture(params=[0, 1])
def session(request: pytest.FixtureRequest, sessions: dict[str, Any]) -> Any:
    """Each of the ways."""
    return list(sessions.values())[request.param]


def test_verdicts(session: Any) -> None:
    assert session.code == 1, session.output
    outcomes = session.outcomes()
    assert len(outcomes) >= 3 * ITEMS_EACH + 1
    assert {key for key, value in outcomes.items() if value == "failure"} == FAILING
    assert {value for key, value in outcomes.items() if key not in FAILING} == {"passed"}


def test_each_run_was_published_once(session: Any) -> None:
    published = [record for record in session.topics()["records"] if record["topic"] == REQUESTS]
    labels = Counter(
        json.loads(base64.b64decode(record["value"]))["metadata"]["batch_label"] for record in published
    )
    assert labels == {"crowd.good.1": 1, "crowd.twice.1": 1, "crowd.twice.2": 1, "crowd.coin.1": 1}
    assert sum(record["topic"] == CALLBACKS for record in session.topics()["records"]) == 4 * 15


def test_one_broker_and_one_pipeline(session: Any) -> None:
    seen = session.topics()
    assert len(seen["servers"]) == 1
    kafka = [line for line in seen["processes"] if "kafka.Kafka" in line and "--watch" not in line]
    pipelines = [
        line for line in seen["processes"] if "-m pytest_eng5.pipeline" in line and "--watch" not in line
    ]
    assert (len(kafka), len(pipelines)) == (1, 1)


def test_reruns_repeat_the_verdict_and_nothing_else(sessions: dict[str, Any]) -> None:
    for mode, session in sessions.items():
        if mode in ("reruns", "both"):
            assert "2 rerun" in session.output
        else:
            assert "rerun" not in session.output.splitlines()[-1]


def test_properties_are_the_same_with_and_without_workers(sessions: dict[str, Any]) -> None:
    def stable(session: Any) -> dict[str, dict[str, str]]:
        return {
            name: {key: value for key, value in found.items() if key not in PER_RUN}
            for name, found in session.properties().items()
        }

    one, other = sessions.values()
    assert stable(one) == stable(other)


def test_first_line_of_a_failure_is_the_verdict(session: Any) -> None:
    text = session.cases()["coin::direct_inversions"][1]
    assert text.startswith("FAIL direct_inversions ")
    assert "> 0" in text.splitlines()[0]
    assert "Traceback" not in text


def test_reports_are_written_once_by_the_controller(session: Any) -> None:
    summary = json.loads((session.folder / "summary.json").read_text())
    rows = summary["scenarios"][0]["variants"]
    assert [(row["variant"], row["verdict"]) for row in rows] == [
        ("good", "PASS"),
        ("twice", "PASS"),
        ("coin", "FAIL"),
    ]
    assert [len(row["run_dirs"]) for row in rows] == [1, 2, 1]
    junit = {path.name for path in (session.folder / "junit").iterdir()}
    assert junit == {"crowd.good.xml", "crowd.twice.xml", "crowd.coin.xml"}
    folders = [path for path in session.tree.output.iterdir() if path.is_dir() and not path.is_symlink()]
    assert len(folders) == 1


def test_repeats_are_independent_draws(session: Any) -> None:
    hashes = []
    for repeat in (1, 2):
        log = session.run("crowd", "twice", repeat) / "events" / "comparisons.jsonl"
        hashes.append({json.loads(json.loads(line)["value"])["data"]["request_id"] for line in log.open()})
    assert hashes[0].isdisjoint(hashes[1])


def test_html_report_shows_the_verdicts(sessions: dict[str, Any]) -> None:
    if "both" not in sessions:
        pytest.skip("the other session writes it")
    page = (sessions["both"].tree.root / "report.html").read_text()
    assert "FAIL direct_inversions" in page
    assert "crowd.eng5.yaml::good::kendall_tau" in page


def test_nothing_is_left(session: Any) -> None:
    session.tree.assert_nothing_left()


@pytest.mark.thorough
def test_two_sessions_at_once(make_tree: Callable[..., Any]) -> None:
    tree = make_tree()
    tree.scenario("pair", essays=6)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda name: tree.pytest("--junitxml", name), ("one.xml", "two.xml")))
    for session, name in zip(both, ("one.xml", "two.xml"), strict=True):
        assert session.code == 0, session.output
        assert set(session.outcomes(name).values()) == {"passed"}
    batches = [
        session.properties(name)["only::run"]
        for session, name in zip(both, ("one.xml", "two.xml"), strict=True)
    ]
    assert batches[0]["batch_uuid"] != batches[1]["batch_uuid"]
    assert batches[0]["run_dirs"] != batches[1]["run_dirs"]
    folders = [path for path in tree.output.iterdir() if path.is_dir() and not path.is_symlink()]
    assert len(folders) == 2
    for folder in folders:
        assert (folder / "summary.json").is_file()
    assert (tree.output / "latest").resolve() in folders
    tree.assert_nothing_left()
