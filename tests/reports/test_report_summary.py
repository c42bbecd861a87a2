"""``summary.json``, the file that outside tools read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_eng5.reports import Summary, summary_document, write_summary


def test_the_shape_is_the_documented_one(record: Any, checks: Any, judged: Any, tmp_path: Any) -> None:
    outcome = judged(record().complete(), bootstrap=50)
    write_summary(tmp_path / "summary.json", "20260301T090000Z-1f3a", [outcome])
    document = json.loads((tmp_path / "summary.json").read_bytes())
    assert set(document) == {"schema_version", "session", "scenarios", "comparisons"}
    assert document["comparisons"] == []
    assert document["session"] == "20260301T090000Z-1f3a"
    (scenario,) = document["scenarios"]
    assert set(scenario) == {"scenario", "variants"}
    (variant,) = scenario["variants"]
    documented = {"variant", "verdict", "metrics", "comparisons", "cost_usd", "run_dirs"}
    assert set(variant) == documented | {"gates", "repeats"}
    assert (variant["verdict"], variant["comparisons"]) == ("PASS", 66)
    assert variant["cost_usd"] == pytest.approx(0.066)
    found = outcome.metrics["kendall_tau"]
    assert variant["metrics"]["kendall_tau"] == {"value": found.value, "low": found.low, "high": found.high}


def test_gates_are_kept_apart(record: Any, checks: Any, judged: Any, limit: Any, tmp_path: Any) -> None:
    limits = [
        limit("kendall_tau", min=0.75, confidence=0.95, undecided="warn"),
        limit("agreement", min=0.1, confidence=0.9),
        limit("direct_inversions", max=0),
    ]
    outcome = judged(record().complete(discrimination=0.3), limits=limits, bootstrap=200)
    gates = summary_document("s", [outcome], tmp_path)["scenarios"][0]["variants"][0]["gates"]
    assert {name: gate["status"] for name, gate in gates.items()} == {
        "kendall_tau": "UNDECIDED",
        "agreement": "PASS",
        "direct_inversions": "FAIL",
    }
    assert [gate["confidence"] for gate in gates.values()] == [0.95, 0.9, None]
    assert [gate["tolerated"] for gate in gates.values()] == [True, False, False]
    assert gates["kendall_tau"]["needed"] > 66
    assert gates["agreement"]["needed"] is None


def test_run_folders_are_relative_and_exist(record: Any, checks: Any, judged: Any, tmp_path: Any) -> None:
    outcome = judged(record().complete(), record(repeat=2).complete(), repeats=3)
    document = summary_document("s", [outcome], tmp_path)
    folders = document["scenarios"][0]["variants"][0]["run_dirs"]
    assert folders == ["anchor_align/baseline/run-1", "anchor_align/baseline/run-2"]
    assert all((tmp_path / folder / "manifest.json").exists() for folder in folders)
    assert document["scenarios"][0]["variants"][0]["verdict"] == "ERROR"


def test_what_is_undefined_is_null(record: Any, checks: Any, judged: Any, tmp_path: Any) -> None:
    outcome = judged(record())
    write_summary(tmp_path / "summary.json", "s", [outcome])
    text = (tmp_path / "summary.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    metrics = json.loads(text)["scenarios"][0]["variants"][0]["metrics"]
    assert metrics["kendall_tau"] == {"value": None, "low": None, "high": None}
    assert metrics["coverage"]["value"] == 0.0


def test_scenarios_and_variants_keep_the_order_of_the_session(
    record: Any, checks: Any, judged: Any, tmp_path: Any
) -> None:
    names = [("b", "2"), ("a", "1"), ("b", "1")]
    outcomes = [judged(record(("A", "B"), scenario=s, variant=v).complete()) for s, v in names]
    document = summary_document("s", outcomes, tmp_path)
    assert [
        (scenario["scenario"], [variant["variant"] for variant in scenario["variants"]])
        for scenario in document["scenarios"]
    ] == [("b", ["2", "1"]), ("a", ["1"])]


def test_a_session_without_variants_has_a_summary(tmp_path: Any) -> None:
    write_summary(tmp_path / "summary.json", "s", [])
    assert json.loads((tmp_path / "summary.json").read_bytes())["scenarios"] == []


def test_another_verdict_is_refused() -> None:
    variant = {
        "variant": "v",
        "verdict": "GREEN",
        "metrics": {},
        "comparisons": 0,
        "cost_usd": None,
        "run_dirs": [],
    }
    document = {"session": "s", "scenarios": [{"scenario": "x", "variants": [variant]}]}
    with pytest.raises(ValidationError, match="verdict"):
        Summary.model_validate(document)
