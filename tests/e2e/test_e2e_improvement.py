"""The shipped comparison on a Kafka: choosing it alone makes the runs that it needs, each once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_the_comparison_alone_makes_the_runs_of_both_variants(make_tree: Callable[..., Any]) -> None:
    tree = make_tree(shipped=True)
    session = tree.pytest(
        *("scenarios/improvement.eng5.yaml", "-k", "compare", "-p", "no:randomly", "-W", "error", "-n", "2"),
        *("--eng5-set", "compare.metrics={kendall_tau: {}, direct_inversions: {min_improvement: 5}}"),
        *("--junitxml", "junit.xml"),
    )
    assert session.code == 0, session.output
    assert session.outcomes() == {"proposed::kendall_tau": "passed", "proposed::direct_inversions": "passed"}
    folder = session.folder / "improvement"
    runs = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/run-*"))
    assert runs == ["current/run-1", "current/run-2", "proposed/run-1", "proposed/run-2"]
    report = json.loads((folder / "comparison_report.json").read_text())
    [candidate] = report["candidates"]
    assert (candidate["pairs"], candidate["baseline_comparisons"]) == (66, 132)
    assert [verdict["status"] for verdict in candidate["verdicts"]] == ["PASS", "PASS"]
    assert [change["what"] for change in candidate["changes"]] == [
        "system prompt",
        "rubric",
        "judge mock.discrimination",
    ]
    summary = json.loads((session.folder / "summary.json").read_text())
    assert [row["metric"] for row in summary["comparisons"]] == ["kendall_tau", "direct_inversions"]
    assert (session.folder / "junit" / "improvement.compare.xml").is_file()
    tree.assert_nothing_left()
