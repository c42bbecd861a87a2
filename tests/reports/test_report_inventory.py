"""What a terminal shows of modes that judge nothing, alone and beside those that do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.evidence import (
    CostEstimate,
    EvidenceError,
    InventoryFile,
    InventorySnapshot,
    PlannedMode,
    PlannedThreshold,
    Remark,
    VariantFolder,
    read_snapshot,
    write_snapshot,
)
from pytest_eng5.reports import (
    Outcome,
    evaluate_variant,
    finalise_run,
    inventory_text,
    session_text,
    terminal_table,
    write_session,
)

HASH = "0123456789abcdef" * 4


def file(role: Any, path: str, **more: Any) -> InventoryFile:
    return InventoryFile(role=role, path=path, bytes=len(path), sha256=HASH, **more)


def planned(**more: Any) -> InventorySnapshot:
    facts: dict[str, Any] = {
        "scenario": "s",
        "variant": "v",
        "created_at": datetime(2026, 3, 1, tzinfo=UTC),
        "runner_version": "0",
        "inputs": "in",
        "course_code": "ENG5",
        "language": "en",
        "valid": True,
        "files": (
            file("anchor", "anchors/a.txt", id="a", grade="C+"),
            file("anchor", "anchors/much_longer.txt", id="much_longer", grade="B"),
            file("student", "students/p.txt", id="p"),
        ),
    }
    return InventorySnapshot(**(facts | more))


@pytest.fixture
def outcome(tmp_path: Path) -> Any:
    """The outcome of a variant whose folder holds this snapshot."""

    def make(snapshot: InventorySnapshot, session: Path = tmp_path) -> Any:
        root = session / snapshot.scenario / snapshot.variant
        write_snapshot(VariantFolder(root).run(1).inventory, snapshot)
        return evaluate_variant(root, (), repeats=1)

    return make


class TestText:
    """The snapshot in words."""

    def test_columns_are_aligned(self) -> None:
        lines = [line for line in inventory_text(planned()) if "sha256" in line]
        assert len({line.index("sha256") for line in lines}) == 1
        assert [line.split()[0] for line in lines] == ["a", "much_longer", "p"]
        assert all("0123456789ab.." in line for line in lines)

    def test_the_first_line_is_the_verdict(self) -> None:
        assert inventory_text(planned())[0] == "plan of s / v: can be run"
        wrong = planned(valid=False, planned_mode="anchor-align-test")
        assert inventory_text(wrong)[0] == "plan of s / v as anchor-align-test: cannot be run"

    def test_nothing_is_possible_while_inputs_are_to_be_mended(self) -> None:
        modes = (PlannedMode(mode="execute", essays=3, comparisons=3, round_robin=3),)
        problem = Remark(message="is empty", where="x.txt:1:1", fix="write it")
        lines = inventory_text(planned(modes=modes, problems=(problem,), valid=False))
        assert "  execute  3 essays, 3 comparisons: not possible yet" in lines
        at = lines.index("to be mended:")
        assert lines[at + 1 : at + 3] == ["  x.txt:1:1: is empty", "    fix: write it"]

    def test_obstacles_and_remarks_stand_below_their_mode(self) -> None:
        mode = PlannedMode(
            mode="execute",
            essays=4,
            comparisons=2,
            round_robin=6,
            obstacles=(Remark(message="no instructions", fix="write them"),),
            remarks=(Remark(message="not on one scale"),),
        )
        lines = inventory_text(planned(modes=(mode,)))
        at = lines.index("  execute  4 essays, 2 comparisons (every pair once: 6): not possible yet")
        assert lines[at + 1 : at + 4] == [
            "    no instructions",
            "      fix: write them",
            "    not on one scale",
        ]

    @pytest.mark.parametrize(
        ("cost", "line"),
        [
            (None, "cost: not known before a run"),
            (CostEstimate(usd=0.5, basis="because"), "cost: $0.5000, because"),
        ],
    )
    def test_cost(self, cost: CostEstimate | None, line: str) -> None:
        assert line in inventory_text(planned(cost=cost))

    def test_thresholds(self) -> None:
        thresholds = (
            PlannedThreshold(metric="kendall_tau", min=0.9, attainable=0.977),
            PlannedThreshold(metric="coverage", min=0, max=1, problem="cannot be"),
        )
        assert inventory_text(planned(thresholds=thresholds))[-2:] == [
            "threshold: kendall_tau >= 0.9 (attainable 0.977)",
            "threshold: coverage >= 0 <= 1 - cannot be",
        ]

    def test_no_file_at_all(self) -> None:
        lines = inventory_text(planned(files=()))
        assert [line for line in lines if line.endswith(": none")] == [
            *("  anchors: none", "  students: none", "  instructions: none", "  student prompt: none"),
            "budget: none",
        ]

    def test_control_characters_do_not_reach_the_terminal(self) -> None:
        lines = inventory_text(planned(files=(file("student", "students/\x1b[31m.txt", id="\x07"),)))
        assert all(line.isprintable() for line in lines)


class TestOutcome:
    """What a snapshot is worth."""

    def test_a_valid_plan_is_done_not_passed(self, outcome: Any) -> None:
        found = outcome(planned())
        assert (found.verdict, found.judging, found.metrics) == (Outcome.DONE, False, {})
        assert found.essay_counts == (2, 1)
        assert found.reasons == ()

    def test_an_invalid_one_fails_with_its_reasons(self, outcome: Any) -> None:
        found = outcome(planned(valid=False, problems=(Remark(message="m", where="w", fix="f"),)))
        assert (found.verdict, found.reasons) == (Outcome.FAIL, ("w: m\n  fix: f",))

    def test_a_damaged_one_is_an_error(self, tmp_path: Path) -> None:
        path = VariantFolder(tmp_path / "s" / "v").run(1).inventory
        path.parent.mkdir(parents=True)
        path.write_text("{")
        found = evaluate_variant(tmp_path / "s" / "v", (), repeats=1)
        assert (found.verdict, found.scenario, found.variant) == (Outcome.ERROR, "s", "v")
        with pytest.raises(EvidenceError, match="no readable inventory"):
            read_snapshot(path)


class TestTable:
    """Modes that judge nothing beside those that do."""

    def test_words_stand_in_place_of_figures(
        self, record: Any, checks: Any, judged: Any, outcome: Any, tmp_path: Path
    ) -> None:
        run = record().complete()
        finalise_run(run.root, run.end())
        judged_one = judged(run, bootstrap=50)
        lines = terminal_table([judged_one, outcome(planned(scenario="plan", variant="a_long_name"))])
        assert len(lines) == 5
        head, _, figures, _, words = lines
        verdict = head.index("verdict")
        assert figures[verdict:] == "PASS"
        assert words[verdict:] == "DONE"
        assert words.split("  ")[1:3] == ["a_long_name", "plan of 2 anchors and 1 student, nothing judged"]

    def test_alone_they_have_no_head(self, outcome: Any) -> None:
        assert terminal_table([outcome(planned())]) == [
            "s",
            "  v  plan of 2 anchors and 1 student, nothing judged  DONE",
        ]

    def test_a_folder_that_cannot_be_read_still_has_a_line(self, outcome: Any) -> None:
        from dataclasses import replace

        broken = replace(outcome(planned()), snapshot=None, verdict=Outcome.ERROR)
        assert terminal_table([broken])[1] == "  v  plan, nothing judged  ERROR"


def test_a_session_of_plans_has_a_summary_and_no_alignment_report(outcome: Any, tmp_path: Path) -> None:
    found = outcome(planned())
    write_session(tmp_path, [found])
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"summary.json", "inventory.json"}
    lines = session_text(tmp_path, [found])
    assert lines[0] == "plan of s / v: can be run"
    assert lines[-1] == f"evidence and reports: {tmp_path}"


def test_the_text_of_a_session_says_why_a_verdict_is_no_pass(
    record: Any, checks: Any, judged: Any, limit: Any, tmp_path: Path
) -> None:
    checks.find("META-MISSING", message="absent in 2 of 66")
    limits = [limit("direct_inversions", max=1), limit("kendall_tau", min=0.5)]
    found = judged(record().complete(), limits=limits, bootstrap=50)
    text = session_text(tmp_path, [found])
    assert "baseline: META-MISSING absent in 2 of 66" in text
    assert not any("PASS kendall_tau" in line for line in text)
    assert any(
        line.startswith("baseline: PASS kendall_tau")
        for line in session_text(tmp_path, [found], verbose=True)
    )
