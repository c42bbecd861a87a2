"""The alignment report: what it says, what it must not claim to know, and that nothing breaks it."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.evidence import EndReason, VariantFolder
from pytest_eng5.reports import alignment_markdown, finalise_run, write_alignment_report

WHEN = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def section(text: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |^---$|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1].strip()


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def summary(text: str) -> dict[str, str]:
    return {row[0]: row[1] for row in rows(section(text, "Summary Metrics"))}


def test_a_whole_report(record: Any, checks: Any, judged: Any, limit: Any, snapshot: Any) -> None:
    checks.find(
        "META-MISSING", "prompt_sha256 absent in 2 of 66 callbacks", "metadata", request_id="3f9c0a12-0"
    )
    checks.names = ("metadata",)
    run = record(system_prompt="Judge well.\n```\nexample\n```\n", rubric="1. Content\n2. Language\n")
    run.complete(upsets=((3, 0), (11, 9)))
    limits = [limit("kendall_tau", min=0.9), limit("direct_inversions", max=1), limit("flip_rate", max=0.1)]
    assert alignment_markdown(judged(run, limits=limits), WHEN) == snapshot


def test_a_report_on_nothing(record: Any, checks: Any, judged: Any, limit: Any, snapshot: Any) -> None:
    run = record(("A", "B", "C"))
    finalise_run(run.root, run.end(EndReason.IDLE_DEADLINE, "no event for 30 s; 3 comparisons missing"))
    outcome = judged(run, limits=[limit("kendall_tau", min=0.9)], repeats=2)
    assert alignment_markdown(outcome, WHEN) == snapshot


def test_per_anchor_rows_are_those_counted_by_hand(record: Any, checks: Any, judged: Any) -> None:
    run = record(("C", "A", "B", "A"))
    for first, second, a_wins in ((0, 1, False), (0, 2, True), (0, 3, False), (1, 2, True), (1, 3, True)):
        run.callback(first, second, a_wins)
    table = rows(section(alignment_markdown(judged(run), WHEN), "Per-Anchor Results"))
    assert [(row[0], row[1], row[5], row[6], row[7], row[8]) for row in table] == [
        ("anchor_02", "A", "1-2", "3", "0", "100.0 %"),
        ("anchor_04", "A", "1-2", "1", "1", "50.0 %"),
        ("anchor_03", "B", "3", "0", "2", "0.0 %"),
        ("anchor_01", "C", "4", "1", "2", "33.3 %"),
    ]
    assert [row[4] for row in table] == ["1", "2", "4", "3"]


def test_an_anchor_that_was_not_compared_keeps_its_place_by_grade(
    record: Any, checks: Any, judged: Any
) -> None:
    run = record((None, "C", "B", "A"))
    run.callback(1, 2, True)
    table = rows(section(alignment_markdown(judged(run), WHEN), "Per-Anchor Results"))
    assert [row[0] for row in table] == ["anchor_04", "anchor_03", "anchor_02", "anchor_01"]
    assert [row[4] for row in table] == ["not available", "2", "1", "not available"]


def test_figures_of_the_report_are_those_of_the_outcome(record: Any, checks: Any, judged: Any) -> None:
    outcome = judged(record().complete(upsets=((3, 0),)), bootstrap=100)
    said = summary(alignment_markdown(outcome, WHEN))
    assert said["Kendall's tau (tau-b)"] == f"{outcome.metrics['kendall_tau'].value:.3f}"
    assert said["Kendall's tau-a"] == f"{outcome.metrics['kendall_tau_a'].value:.3f}"
    assert said["Attainable tau-b"] == "0.977"
    assert said["Direct inversions (unique pairs)"] == "1"
    assert said["Zero-win anchors"] == "1"
    assert said["Expected zero-win anchors"] == "1.00"
    assert said["Total comparisons (successful)"] == "66"
    assert said["Cost (as reported)"] == "$0.0660"
    assert said["Comparisons connect all anchors"] == "yes"


def test_inversions_are_listed_with_where_the_winner_stood(record: Any, checks: Any, judged: Any) -> None:
    run = record(("A", "B", "C"))
    run.callback(0, 1, False, justification="x" * 51, confidence=4.25)
    run.callback(1, 0, False, justification="y" * 50)
    run.callback(0, 2, True)
    run.callback(2, 1, True, justification="one\nline | two `code`")
    table = rows(section(alignment_markdown(judged(run), WHEN), "Detected Inversions"))
    assert table == [
        ["anchor_01 (A)", "anchor_02 (B)", "anchor_02", "B", "1 of 2", "4.2", f"{'x' * 50}..."],
        ["anchor_02 (B)", "anchor_03 (C)", "anchor_03", "A", "1 of 1", "3.5", r"one line \| two \`code\`"],
    ]


def test_without_inversions_there_is_no_such_section(record: Any, checks: Any, judged: Any) -> None:
    text = alignment_markdown(judged(record().complete(discrimination=50)), WHEN)
    assert "## Detected Inversions" not in text


def test_nothing_unknown_gets_a_number(record: Any, checks: Any, judged: Any) -> None:
    said = summary(alignment_markdown(judged(record()), WHEN))
    for label in ("Kendall's tau (tau-b)", "Direct inversions (unique pairs)", "Zero-win anchors"):
        assert said[label] == "not available: no comparison between the 12 anchors succeeded"
    assert said["Cost (as reported)"] == "not available: no callback"
    assert said["Comparisons missing"] == "66"


def test_unknown_grades_are_named(record: Any, checks: Any, judged: Any) -> None:
    text = alignment_markdown(judged(record(("A", "B", None)).complete()), WHEN)
    warning = "**Not fit for a gate:** the grade of 1 of 3 anchors (anchor_03) is unknown"
    assert warning in text
    assert ["anchor_03", "unknown", *["not available"] * 4, "0", "0", "not available"] in rows(
        section(text, "Per-Anchor Results")
    )


def test_unconnected_groups_have_no_tau_but_keep_their_counts(record: Any, checks: Any, judged: Any) -> None:
    run = record(("A", "B", "C", "D"))
    run.callback(0, 1, False)
    run.callback(2, 3, True)
    outcome = judged(run)
    said = summary(alignment_markdown(outcome, WHEN))
    reason = "not available: the 2 comparisons leave the anchors in unconnected groups"
    assert [said[f"Kendall's tau{kind}"] for kind in (" (tau-b)", "-a")] == [reason, reason]
    assert said["Scale separation reliability"] == reason
    assert said["Direct inversions (unique pairs)"] == "1"
    assert said["Pairs compared"] == "0.333"
    assert said["Comparisons connect all anchors"] == "no"
    assert math.isnan(outcome.metrics["kendall_tau"].value)
    assert math.isfinite(outcome.metrics["coverage"].value)


def test_equal_grades_have_no_attainable_maximum(record: Any, checks: Any, judged: Any) -> None:
    said = summary(alignment_markdown(judged(record(("A", "A", "A")).complete()), WHEN))
    assert said["Attainable tau-b"].startswith("not available")
    assert said["Kendall's tau (tau-b)"] == "not available: all 3 anchors have the same grade"


def test_what_could_not_be_used_is_shown_apart(record: Any, checks: Any, judged: Any) -> None:
    run = record(("A", "B", "C"))
    run.callback(0, 1, True)
    run.callback(0, 2, True, metadata={"essay_b_id": "student::stranger"})
    run.callback(1, 2, None)
    run.callback(1, 2, True)
    run.callback(1, 2, True)
    said = summary(alignment_markdown(judged(run), WHEN))
    assert said["Total comparisons (successful)"] == "4"
    assert said["Comparisons between two essays of the plan"] == "3"
    assert said["Comparisons failed"] == "1"
    assert said["Comparisons beyond the plan"] == "2"


def test_findings_and_verdicts_say_so_when_there_are_none(record: Any, checks: Any, judged: Any) -> None:
    text = alignment_markdown(judged(record().complete()), WHEN)
    assert section(text, "Findings") == "none"
    assert section(text, "Verdicts") == "no thresholds"


def test_a_negative_test_says_what_it_expects(record: Any, checks: Any, judged: Any) -> None:
    checks.find("META-MISSING")
    outcome = judged(record().complete(), expected_codes=frozenset({"META-MISSING"}))
    assert "Negative test; expected findings: META-MISSING" in alignment_markdown(outcome, WHEN)


def test_prompts_are_given_in_full(record: Any, checks: Any, judged: Any) -> None:
    prompt = "Judge.\n\n````markdown\n```\n````\n## Not a heading of the report\n"
    text = alignment_markdown(judged(record(system_prompt=prompt)), WHEN)
    assert f"### System Prompt\n\n`````text\n{prompt}`````\n" in text
    assert text.endswith("### Judge Rubric\n\n(default)\n")


def test_provenance_names_what_was_run(record: Any, checks: Any, judged: Any) -> None:
    runs = [record(repeat=k, rubric="r").complete() for k in (1, 2)]
    text = alignment_markdown(judged(*runs), WHEN)
    for run in runs:
        assert f"| Run {run.plan.repeat} | batch `{run.plan.batch_uuid}`, ended: completed |" in text
        assert run.plan.rubric.checksum in text
    assert "**Generated:** 2026-03-01T10:00:00+00:00" in text


def test_the_files_are_written_beside_the_runs(record: Any, checks: Any, judged: Any) -> None:
    outcome = judged(record(rubric="be fair").complete())
    folder = VariantFolder(outcome.root)
    write_alignment_report(folder, outcome, generated=WHEN)
    document = json.loads(folder.report("json").read_bytes())
    assert document["generated_at"] == WHEN.isoformat()
    assert document["prompts"]["rubric"]["content"] == "be fair"
    assert document["prompts"]["system_prompt"] is None
    assert document["alignment"]["population"]["comparisons"] == 66
    assert folder.report("md").read_text() == alignment_markdown(outcome, WHEN)
    assert sorted(path.name for path in outcome.root.iterdir()) == [
        "alignment_report.json",
        "alignment_report.md",
        "run-1",
    ]


def test_a_report_can_be_written_without_any_run(tmp_path: Any) -> None:
    from pytest_eng5.reports import evaluate_variant

    outcome = evaluate_variant(tmp_path / "s" / "v", (), repeats=1)
    write_alignment_report(VariantFolder(outcome.root), outcome)
    text = VariantFolder(outcome.root).report("md").read_text()
    assert "No figures: no run can be read" in text
    assert "not available: no run can be read" in section(text, "Per-Anchor Results")


HEADINGS = [
    *("Summary Metrics", "Verdicts", "Findings", "Per-Anchor Results", "Judge and Anchor Quality"),
    *("Detected Inversions", "Prompts Used (for reproducibility)"),
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(st.one_of(st.sampled_from("|`\n\r<>#-*\\"), st.characters(codec="utf-8")), max_size=60))
@pytest.mark.parametrize("where", ["justification", "prompt"])
def test_no_text_breaks_the_report(record: Any, checks: Any, judged: Any, where: str, words: str) -> None:
    from markdown_it import MarkdownIt

    run = record(
        ("A", "B"), variant=f"v{crc32(words.encode()):x}", rubric=words if where == "prompt" else "r"
    )
    for path in (run.root / "manifest.json", run.root / "events" / "comparisons.jsonl"):
        path.unlink(missing_ok=True)
    run.callback(0, 1, False, justification=words if where == "justification" else "ok")
    tokens = MarkdownIt("commonmark").enable("table").parse(alignment_markdown(judged(run), WHEN))
    headings = [
        tokens[k + 1].content for k, t in enumerate(tokens) if t.type == "heading_open" and t.tag == "h2"
    ]
    assert headings == HEADINGS
    assert [t.type for t in tokens].count("table_open") == 6
    assert [t.type for t in tokens].count("fence") == 1
    assert not [t for t in tokens if t.type in ("html_block", "code_block")]
    last_table = max(k for k, token in enumerate(tokens) if token.type == "table_open")
    assert len([t for t in tokens[last_table:] if t.type == "td_open"]) == 7
