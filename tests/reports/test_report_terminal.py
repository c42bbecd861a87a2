"""The table at the end of a session."""

from __future__ import annotations

from typing import Any

from pytest_eng5.evidence import EndReason
from pytest_eng5.reports import finalise_run, terminal_table


def many(record: Any, judged: Any) -> list[Any]:
    runs = [
        record(variant="baseline"),
        record(variant="usage_content_parity_system"),
        record(scenario="other", variant="x"),
        record(variant="silent"),
    ]
    runs[0].complete(seed=3, discrimination=0.4)
    runs[1].complete()
    runs[2].judge(pairs=[(0, 1), (1, 2)])
    for run, reason in zip(runs, [EndReason.COMPLETED] * 3 + [EndReason.IDLE_DEADLINE], strict=True):
        finalise_run(run.root, run.end(reason, "over"))
    return [judged(run, bootstrap=50) for run in runs]


def test_the_table(record: Any, checks: Any, judged: Any, snapshot: Any) -> None:
    assert "\n".join(terminal_table(many(record, judged))) == snapshot


def test_columns_are_aligned_and_fit(record: Any, checks: Any, judged: Any) -> None:
    lines = terminal_table(many(record, judged))
    verdicts = [line for line in lines if line.startswith("  ")]
    start = verdicts[0].index("verdict")
    assert {line[start:].split()[0] for line in verdicts[1:]} <= {"PASS", "FAIL", "UNDECIDED", "ERROR"}
    assert all(line[start - 2 : start] == "  " for line in verdicts)
    assert max(map(len, lines)) <= 100
    assert all(line == line.rstrip() and line.isprintable() for line in lines)


def test_variants_stand_below_their_scenario_once(record: Any, checks: Any, judged: Any) -> None:
    first, second, third, fourth = many(record, judged)
    lines = terminal_table([first, third, second, fourth])
    assert [line for line in lines if not line.startswith("  ")] == ["anchor_align", "other"]
    assert [line.split()[0] for line in lines] == [
        *("variant", "anchor_align", "baseline", "usage_content_parity..", "silent", "other", "x")
    ]


def test_the_figures_are_those_of_the_outcome(record: Any, checks: Any, judged: Any) -> None:
    outcome = judged(record().complete(upsets=((3, 0),)), bootstrap=50)
    found = outcome.metrics["kendall_tau"]
    cells = terminal_table([outcome])[2].split()
    assert cells[:3] == ["baseline", f"{found.value:.3f}", f"({found.low:.2f}..{found.high:.2f})"]
    assert cells[3:] == ["1", "1", "66/66", "$0.0660", "PASS"]


def test_what_is_unknown_is_not_a_number(record: Any, checks: Any, judged: Any) -> None:
    (line,) = [row for row in terminal_table([judged(record(variant="nothing"))]) if "nothing" in row]
    assert line.split() == ["nothing", "n/a", "n/a", "n/a", "0/66", "n/a", "PASS"]


def test_nothing_makes_no_table() -> None:
    assert terminal_table([]) == []


def test_control_characters_do_not_reach_the_terminal(record: Any, checks: Any, judged: Any) -> None:
    from dataclasses import replace

    outcome = replace(judged(record().complete()), scenario="s\x1b[31m", variant="v\x07\nw")
    assert all(line.isprintable() for line in terminal_table([outcome]))
