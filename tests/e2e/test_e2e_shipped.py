"""The shipped scenario as a user runs it; every fact is worked out anew from the bytes on disk."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import choix
import jsonschema
import numpy as np
import pytest

pytestmark = pytest.mark.slow

SCENARIO = "anchor_align"
VARIANTS = ("baseline", "language_control", "usage_content_parity")
REPEATS = tuple(("repeats", "same_prompt", repeat) for repeat in (1, 2, 3, 4))
RUNS = (*((SCENARIO, variant, 1) for variant in VARIANTS), ("execute", "twelve_students", 1), *REPEATS)
ITEMS = ("run", "events", "metadata", "completeness", "schema", "scoring", "costs", "manifest")
GATES = ("kendall_tau", "direct_inversions", "zero_win_anchors", "upper_grade_inversions")
SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
CALLBACKS = "huleedu.llm_provider.comparison_result.v1"
REQUESTS = "huleedu.els.cj_assessment.requested.v1"


@pytest.fixture(scope="module")
def session(make_tree: Callable[..., Any]) -> Any:
    """One session over everything shipped but faults and a comparison, warnings being errors."""
    tree = make_tree(shipped=True, spy=True)
    return tree.pytest(
        *("scenarios/", "--ignore=scenarios/faults", "--ignore=scenarios/improvement.eng5.yaml"),
        *("-p", "no:xdist", "-p", "no:randomly", "-W", "error"),
        *("--junitxml", "junit.xml"),
    )


def lines(path: Path) -> list[dict[str, Any]]:
    """An event log, read with nothing but json."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def raw(line: dict[str, Any]) -> bytes:
    """The bytes that a line holds."""
    return base64.b64decode(line["value_base64"]) if "value_base64" in line else line["value"].encode()


def callbacks(run: Path) -> list[dict[str, Any]]:
    """Payloads of all captured callbacks."""
    return [json.loads(raw(line))["data"] for line in lines(run / "events" / "comparisons.jsonl")]


def artefact(run: Path) -> dict[str, Any]:
    """The artefact of a run."""
    return dict(json.loads((run / "assessment_run.anchor-align-test.json").read_text()))


@pytest.fixture(params=VARIANTS)
def run(request: pytest.FixtureRequest, session: Any) -> Path:
    """The run folder of each variant."""
    return Path(session.run(SCENARIO, request.param))


def test_everything_passes(session: Any) -> None:
    assert session.code == 0, session.output
    outcomes = session.outcomes()
    quiet = {f"role_models::{item}" for item in ("run", "schema", "manifest")}  # of plan and dry_run
    gates = [gate for gate in GATES if gate != "zero_win_anchors"]
    graded = {f"twelve_students::{item}" for item in (*ITEMS, *gates)}
    judged = {f"{v}::{item}" for v in VARIANTS for item in (*ITEMS, *GATES)}
    repeated = {f"same_prompt::{item}" for item in (*ITEMS, "kendall_tau", "inversion_rate")}
    assert set(outcomes) == quiet | graded | judged | repeated
    assert set(outcomes.values()) == {"passed"}
    assert "61 passed" in session.output


def test_header_table_and_place_are_shown(session: Any) -> None:
    assert "eng5: broker embedded, pipeline embedded, judge scenario" in session.output
    for variant in VARIANTS:
        line = next(
            line for line in session.output.splitlines() if line.split()[:1] == [variant] and "66/66" in line
        )
        assert line.endswith("PASS")
    assert f".eng5/{session.folder.name}" in session.output


def test_latest_names_the_session(session: Any) -> None:
    assert (session.tree.output / "latest").is_symlink()
    folders = [path for path in session.tree.output.iterdir() if path.is_dir() and not path.is_symlink()]
    assert folders == [session.folder]


def test_nothing_is_left_running(session: Any) -> None:
    session.tree.assert_nothing_left()


def test_every_pair_was_compared_once(run: Path) -> None:
    found = callbacks(run)
    assert len(found) == len({data["request_id"] for data in found}) == 66
    pairs = [
        frozenset((data["request_metadata"]["essay_a_id"], data["request_metadata"]["essay_b_id"]))
        for data in found
    ]
    assert len(set(pairs)) == 66
    assert all(len(pair) == 2 for pair in pairs)
    assert len(frozenset().union(*pairs)) == 12


def test_one_result_one_completion_nothing_else(run: Path) -> None:
    events = run / "events"
    assert len(lines(events / "assessment_results.jsonl")) == 1
    assert len(lines(events / "completions.jsonl")) == 1
    for name in ("failures", "rejected"):
        path = events / f"{name}.jsonl"
        assert not path.exists() or path.read_bytes() == b""


def test_essay_ids_are_opaque_and_differ_between_runs(session: Any) -> None:
    ids: list[str] = []
    for variant in VARIANTS:
        request = json.loads(
            (session.run(SCENARIO, variant) / "requests" / "els_cj_assessment_request.json").read_text()
        )
        ids += [essay["essay_id"] for essay in request["data"]["essays_for_cj"]]
    assert len(ids) == len(set(ids)) == 36
    assert all(len(essay) <= 36 and essay.startswith("student::") for essay in ids)
    assert not any("rm_" in essay for essay in ids)


def test_request_carries_prompts_and_budget_in_full(session: Any, run: Path) -> None:
    request = json.loads((run / "requests" / "els_cj_assessment_request.json").read_text())
    overrides, number = request["data"]["llm_config_overrides"], {"b": "001", "l": "003", "u": "006"}
    variant = run.parent.name
    prompts = session.tree.root / "scenarios" / "prompts"
    stem = f"{number[variant[0]]}_{variant}.txt"
    assert overrides["system_prompt_override"] == (prompts / "system" / stem).read_text()
    assert overrides["judge_rubric_override"] == (prompts / "rubric" / stem).read_text()
    assert request["metadata"]["max_comparisons"] == 66
    assert request["data"]["assignment_id"] is None


def test_no_findings(run: Path) -> None:
    document = json.loads((run / "findings.json").read_text())
    assert document["findings"] == []
    jsonschema.validate(document, json.loads((SCHEMAS / "findings.schema.json").read_text()))


def test_artefact_satisfies_both_schemas(run: Path) -> None:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for schema in (SCHEMAS / "assessment_run.schema.json", run / "schemas" / "assessment_run.schema.json"):
        validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()), format_checker=checker)
        assert list(validator.iter_errors(artefact(run))) == []


def test_manifest_lists_every_file_with_its_hash(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    listed = {entry["path"]: (entry["sha256"], entry["bytes"]) for entry in manifest["files"]}
    present = {
        path.relative_to(run).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in run.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert listed == present
    assert [entry["path"] for entry in manifest["files"]] == sorted(listed)


def test_the_log_tells_this_run_alone_and_its_figures(run: Path, session: Any) -> None:
    plan, found = json.loads((run / "plan.json").read_text()), lines(run / "log.jsonl")
    assert {(line["batch_uuid"], line["correlation_id"], line["variant"]) for line in found} == {
        (plan["batch_uuid"], plan["correlation_id"], plan["variant"])
    }
    assert {line["level"] for line in found} == {"info"}
    assert (found[0]["event"], found[-1]["event"]) == ("runner_invocation", "run_summary")
    [entry] = [
        v for s in summary(session)["scenarios"] for v in s["variants"] if v["variant"] == run.parent.name
    ]
    assert found[-1]["kendall_tau"] == pytest.approx(entry["metrics"]["kendall_tau"]["value"], abs=1e-6)
    assert found[-1]["succeeded"] == len(callbacks(run)) == 66


def test_repeats_are_draws_of_one_judge_with_a_spread(session: Any) -> None:
    folders = [session.run(*place) for place in REPEATS]
    plans = [json.loads((folder / "plan.json").read_text()) for folder in folders]
    assert len({plan["batch_uuid"] for plan in plans}) == 4
    answers = []
    for plan, folder in zip(plans, folders, strict=True):
        own = {essay["essay_id"]: essay["local_id"] for essay in plan["essays"]}
        asked = {
            tuple(own[data["request_metadata"][name]] for name in ("essay_a_id", "essay_b_id")): (
                data["winner"],
                data["justification"],
            )
            for data in callbacks(folder)
        }
        assert len(asked) == 66
        answers.append(asked)
    shared = set(answers[0]) & set(answers[1])
    assert sum(answers[0][pair] != answers[1][pair] for pair in shared) > len(shared) / 4
    [scenario] = [found for found in summary(session)["scenarios"] if found["scenario"] == "repeats"]
    tau = scenario["variants"][0]["repeats"]["kendall_tau"]
    assert tau["sd"] == pytest.approx(np.std(tau["values"], ddof=1))
    assert tau["sd"] > 0
    assert f"same-prompt SD {tau['sd']:.2g} (4 runs, 95 % CI " in session.output


def summary(session: Any) -> dict[str, Any]:
    """``summary.json`` of the session."""
    return dict(json.loads((session.folder / "summary.json").read_text()))


def test_theta_is_what_choix_gets_from_the_raw_lines(run: Path) -> None:
    found = callbacks(run)
    essays = sorted(
        {data["request_metadata"][name] for data in found for name in ("essay_a_id", "essay_b_id")}
    )
    games = []
    for data in found:
        first, second = (
            essays.index(data["request_metadata"][name]) for name in ("essay_a_id", "essay_b_id")
        )
        games.append((first, second) if data["winner"] == "Essay A" else (second, first))
    theta = choix.ilsr_pairwise(len(essays), games, alpha=0.01)
    theta -= theta.mean()
    rows = {row["essay_id"]: row for row in artefact(run)["bt_summary"]}
    assert set(rows) == set(essays)
    for essay, value in zip(essays, theta, strict=True):
        assert math.isclose(rows[essay]["theta"], value, abs_tol=1e-6)
        assert math.isclose(rows[essay]["reported_score"], value, abs_tol=1e-6)
        assert rows[essay]["comparison_count"] == 11
    ranks = np.argsort(np.argsort(-theta)) + 1
    distinct = len(np.unique(theta.round(9))) == len(theta)
    assert not distinct or [rows[essay]["rank"] for essay in essays] == ranks.tolist()


def test_artefact_tells_each_comparison_as_it_was(run: Path) -> None:
    told = {row["request_id"]: row for row in artefact(run)["llm_comparisons"]}
    for data in callbacks(run):
        row, metadata = told.pop(data["request_id"]), data["request_metadata"]
        winner = metadata["essay_a_id" if data["winner"] == "Essay A" else "essay_b_id"]
        assert (row["essay_a_id"], row["essay_b_id"]) == (metadata["essay_a_id"], metadata["essay_b_id"])
        assert row["winner_id"] == winner
        assert row["prompt_hash"] == metadata["prompt_sha256"]
        assert row["cost_usd"] == data["cost_estimate"]
    assert told == {}


def test_no_silent_placeholders_in_the_artefact(run: Path) -> None:
    text = json.dumps(artefact(run))
    assert '"UNKNOWN"' not in text
    assert '"None"' not in text


def test_summary_has_the_shape_that_tools_read(session: Any) -> None:
    summary = json.loads((session.folder / "summary.json").read_text())
    jsonschema.validate(summary, json.loads((SCHEMAS / "summary.schema.json").read_text()))
    assert summary["session"] == session.folder.name
    scenario, *quiet = summary["scenarios"]
    assert scenario["scenario"] == SCENARIO
    verdicts = {row["scenario"]: row["variants"][0]["verdict"] for row in quiet}
    assert verdicts == {"plan": "DONE", "dry_run": "DONE", "execute": "PASS", "repeats": "PASS"}
    assert [row["variant"] for row in scenario["variants"]] == list(VARIANTS)
    for row in scenario["variants"]:
        assert (row["verdict"], row["comparisons"], row["cost_usd"]) == ("PASS", 66, 0)
        assert {"value", "low", "high"} <= row["metrics"]["kendall_tau"].keys()
        assert [(session.folder / folder).is_dir() for folder in row["run_dirs"]] == [True]


def test_each_variant_has_its_junit_file(session: Any) -> None:
    for variant in VARIANTS:
        suite = ET.parse(session.folder / "junit" / f"{SCENARIO}.{variant}.xml").getroot()
        cases = list(suite.iter("testcase"))
        assert sorted(str(case.get("name")) for case in cases) == sorted((*ITEMS, *GATES))
        assert not [case for case in cases if case.find("failure") is not None]
        named = {item.get("name"): item.get("value") for case in cases[:1] for item in case.iter("property")}
        assert (named["scenario"], named["variant"], named["comparisons"]) == (SCENARIO, variant, "66")


def test_junit_properties_name_what_was_run(session: Any) -> None:
    for name, found in session.properties().items():
        variant = name.split("::")[0]
        if variant not in VARIANTS:
            continue
        request = session.run(SCENARIO, variant) / "requests" / "els_cj_assessment_request.json"
        data = json.loads(request.read_text())["data"]
        prompt = data["llm_config_overrides"]["system_prompt_override"]
        assert found["batch_uuid"] == data["entity_id"]
        assert found["system_prompt_sha256"] == hashlib.sha256(prompt.encode()).hexdigest()
        assert (found["provider"], found["model"]) == ("mock", "simulated-judge")
        assert float(found["kendall_tau"]) >= 0.9
        assert float(found["cost_usd"]) == 0


@pytest.mark.parametrize("suffix", ["md", "json"])
def test_alignment_report_has_both_prompts_in_full(session: Any, run: Path, suffix: str) -> None:
    text = (run.parent / f"alignment_report.{suffix}").read_text()
    overrides = json.loads((run / "requests" / "els_cj_assessment_request.json").read_text())["data"][
        "llm_config_overrides"
    ]
    for prompt in (overrides["system_prompt_override"], overrides["judge_rubric_override"]):
        found = prompt if suffix == "md" else json.dumps(prompt, ensure_ascii=False)[1:-1]
        assert found.strip() in text or json.dumps(prompt)[1:-1].strip() in text


def test_bytes_on_disk_are_the_bytes_on_kafka(session: Any) -> None:
    on_kafka = {
        (record["topic"], record["partition"], record["offset"]): record
        for record in session.topics()["records"]
    }
    seen = 0
    for place in RUNS:
        for log in (session.run(*place) / "events").glob("*.jsonl"):
            for line in lines(log):
                record = on_kafka[line["topic"], line["partition"], line["offset"]]
                assert raw(line) == base64.b64decode(record["value"])
                assert line["timestamp_ms"] == record["timestamp"]
                assert line["key"] == record["key"]
                seen += 1
    assert seen == 3 * 68 + 278 + 4 * 68


def test_published_request_is_the_file_byte_for_byte(session: Any) -> None:
    published = [record for record in session.topics()["records"] if record["topic"] == REQUESTS]
    files = {
        (session.run(*place) / "requests" / "els_cj_assessment_request.json").read_bytes() for place in RUNS
    }
    assert {base64.b64decode(record["value"]) for record in published} == files
    assert len(published) == len(RUNS)
    for record in published:
        assert record["key"] == json.loads(base64.b64decode(record["value"]))["data"]["entity_id"]


def test_no_callback_on_kafka_is_missing_on_disk(session: Any) -> None:
    on_kafka = [record for record in session.topics()["records"] if record["topic"] == CALLBACKS]
    assert len(on_kafka) == 3 * 66 + 276 + 4 * 66
    assert not (session.folder / "stray.jsonl").exists() or not (session.folder / "stray.jsonl").read_bytes()


def test_prompt_hash_is_that_of_the_prompt_that_was_stored(run: Path) -> None:
    """The reference pipeline names the stored prompt; here only form and stability can be told from disk."""
    hashes: dict[tuple[str, str], str] = {}
    for data in callbacks(run):
        metadata = data["request_metadata"]
        digest = metadata["prompt_sha256"]
        assert len(bytes.fromhex(digest)) == 32
        assert digest == digest.lower()
        assert hashes.setdefault((metadata["essay_a_id"], metadata["essay_b_id"]), digest) == digest
    assert len(set(hashes.values())) == 66


def test_the_execute_artefact_is_of_both_schema_versions(session: Any) -> None:
    run = session.run("execute", "twelve_students")
    document = json.loads((run / "assessment_run.execute.json").read_text())
    for name in ("assessment_run.1.0.schema.json", "assessment_run.schema.json"):
        schema = json.loads((SCHEMAS / name).read_text())
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.Draft202012Validator(schema, format_checker=checker).validate(document)
    assert (len(document["inputs"]["anchors"]), len(document["inputs"]["students"])) == (12, 12)
    assert len(document["grade_projections"]) == 12
    assert {row["grade"] for row in document["grade_projections"]} > {"A", "F+"}


def test_junit_properties_of_execute(session: Any) -> None:
    found = session.properties()["twelve_students::run"]
    assert (found["mode"], found["anchors"], found["students"]) == ("execute", "12", "12")
    assert found["assignment_id"] == "3f0b6c52-9d1e-4c7a-8a55-2e6f1d9b7c04"
    assert (found["grade_scale"], found["comparisons"]) == ("eng5_np_legacy_9_step", "276")
