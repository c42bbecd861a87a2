"""What is said of repeats: beside a gate, in a terminal, in the report, in JUnit files and the summary."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_eng5.alignment import repeated_figure
from pytest_eng5.gates import Status, Verdict
from pytest_eng5.reports import (
    alignment_markdown,
    check_text,
    evaluate_recorded,
    session_text,
    summary_document,
)
from pytest_eng5.reports.judgement import judge_named, outcome_properties
from pytest_eng5.reports.noise import noise_lines, noise_text, repeats_hint, repeats_markdown
from pytest_eng5.reports.repeats import Repeats

FIVE = (0.90, 0.95, 1.0, 0.85, 1.0)


def repeats_with(metric: str, values: tuple[float, ...], simulated: float = math.nan, **more: Any) -> Repeats:
    found = repeated_figure(values, more.pop("pooled", 0.94), simulated)
    missing = {k: "lost" for k, value in enumerate(values, 1) if math.isnan(value)}
    return Repeats(len(values), missing, {metric: found}, 200, 0)


def gate(metric: str = "kendall_tau", value: float = 0.94, **bounds: Any) -> Verdict:
    low, high = bounds.get("min"), bounds.get("max")
    inside = (low is None or value >= low) and (high is None or value <= high)
    status = Status.PASS if inside else Status.FAIL
    reason = bounds.get("reason")
    return Verdict(metric, status, "said", None, value, 0.8, 1.0, low, high, None, 66, reason)


def test_from_four_runs_the_sentence_names_the_spread_and_the_distance() -> None:
    spread = np.std(FIVE, ddof=1)
    text = noise_text(gate(min=0.90), repeats_with("kendall_tau", FIVE, 0.03))
    assert spread == pytest.approx(0.065, abs=0.001)
    assert text == "same-prompt SD 0.065 (5 runs, 95 % CI 0.039-0.19); your gate is 0.6 SD away"


@pytest.mark.parametrize(
    ("bound", "away"), [(0.90, "0.6"), (0.94, "0.0"), (0.98, "0.6"), (0.1, "more than 10")]
)
def test_the_distance_is_told_for_passes_and_failures_alike(bound: float, away: str) -> None:
    text = noise_text(gate(min=bound), repeats_with("kendall_tau", FIVE))
    assert text is not None
    assert text.endswith(f"; your gate is {away} SD away")


@pytest.mark.parametrize("count", [2, 3])
def test_of_few_runs_the_spread_is_very_uncertain_and_the_distance_simulated(count: int) -> None:
    text = noise_text(gate(min=0.90), repeats_with("kendall_tau", FIVE[:count], 0.02))
    assert text is not None
    assert f"very uncertain with {count} runs (95 % CI " in text
    assert text.endswith(", simulated 0.02; your gate is 2.0 simulated SD away")


def test_of_one_run_nothing_was_measured() -> None:
    text = noise_text(gate(min=0.90), repeats_with("kendall_tau", (0.94,), 0.08))
    assert (
        text == "same-prompt SD not measured with one run, simulated 0.08; your gate is 0.5 simulated SD away"
    )


def test_of_runs_that_do_not_differ_the_spread_is_unknown() -> None:
    text = noise_text(gate(min=0.90), repeats_with("kendall_tau", (0.94,) * 6, 0.02))
    assert text == (
        "the 6 runs do not differ, so that the same-prompt SD is unknown, simulated 0.02; "
        "your gate is 2.0 simulated SD away"
    )


def test_without_any_noise_floor_there_is_no_distance() -> None:
    text = noise_text(gate(min=0.90), repeats_with("kendall_tau", (0.9, 0.95)))
    assert text is not None
    assert "away" not in text
    assert "very uncertain" in text


@pytest.mark.parametrize(
    ("verdict", "repeats"),
    [
        (gate(min=0.9), None),
        (gate(min=0.9, reason="nothing was compared"), repeats_with("kendall_tau", FIVE)),
        (gate("coverage", 1.0, min=1.0), repeats_with("coverage", (1.0, 1.0))),
        (gate("ssr", 0.9, min=0.8), repeats_with("kendall_tau", FIVE)),
        (gate(min=0.9), repeats_with("kendall_tau", (math.nan, math.nan), 0.1)),
        (gate(min=0.9), repeats_with("kendall_tau", (0.9,))),
    ],
)
def test_nothing_is_said_where_nothing_is_known(verdict: Verdict, repeats: Repeats | None) -> None:
    assert noise_text(verdict, repeats) is None


def test_a_count_over_all_runs_is_told_beside_single_runs() -> None:
    repeats = repeats_with("direct_inversions", (0, 1, 0, 2), 1.0, pooled=3.0)
    verdict = gate("direct_inversions", 3.0, max=1)
    text = noise_text(verdict, repeats)
    assert text is not None
    assert text.endswith(
        "; your gate, which judges all together, is 0.3 SD away from the 0.75 of single runs"
    )
    hint = repeats_hint(verdict, repeats)
    assert hint is not None
    assert "majority_inversions and inversion_rate do not grow" in hint


@pytest.mark.parametrize(
    ("verdict", "values"),
    [
        (gate("direct_inversions", 1.0, max=1), (0, 1, 0, 1)),
        (gate("direct_inversions", 9.0, max=1), (4, 3, 0, 2)),
        (gate("direct_inversions", 3.0, max=1), (3,)),
        (gate("zero_win_anchors", 3.0, max=1), (0, 1, 0, 1)),
    ],
    ids=["passed", "fails anyway", "one run", "no inversions"],
)
def test_no_hint_where_single_runs_are_no_better(verdict: Verdict, values: tuple[float, ...]) -> None:
    assert repeats_hint(verdict, repeats_with(verdict.metric, values)) is None


@pytest.fixture
def five(record: Any, checks: Any, judged: Any, limit: Any) -> Any:
    """A variant with five runs, one gate passed and one broken."""
    runs = [record(repeat=k).complete(seed=k, discrimination=0.15) for k in range(1, 6)]
    return judged(
        *runs, limits=[limit("kendall_tau", min=0.5), limit("direct_inversions", max=2)], bootstrap=50
    )


def test_the_terminal_shows_each_run_and_the_noise_floor(five: Any) -> None:
    tau = five.repeats.figures["kendall_tau"]
    lines = noise_lines([five])
    assert lines[0] == f"{five.scenario} / {five.variant}, 5 runs:"
    assert lines[1] == f"  kendall_tau {' '.join(f'{v:.3f}' for v in tau.values)}, together {tau.pooled:.3f}"
    assert lines[2] == f"    {noise_text(five.verdicts[0], five.repeats)}"
    assert lines[3].startswith("  direct_inversions ")
    assert len(lines) == 5
    for text in (session_text(Path("s"), [five]), check_text([five])):
        assert [line for line in text if line in lines] == lines


def test_without_a_gate_the_terminal_shows_tau(record: Any, checks: Any, judged: Any) -> None:
    runs = [record(repeat=k).complete(seed=k, discrimination=0.15) for k in (1, 2)]
    _, values, spread = noise_lines([judged(*runs, bootstrap=50)])
    assert values.startswith("  kendall_tau ")
    assert spread.startswith("    same-prompt SD ")


def test_variants_that_ran_once_share_a_line(record: Any, checks: Any, judged: Any, limit: Any) -> None:
    once = [
        judged(
            record(variant=name).complete(discrimination=strength),
            limits=[limit("kendall_tau", min=0.5)],
            bootstrap=50,
        )
        for name, strength in (("a", 0.15), ("b", 0.5))
    ]
    [line] = noise_lines(once)
    assert line.startswith("variants that ran once: same-prompt SD of tau not measured, simulated ")
    assert " to " in line
    assert "repeats: 4 would measure it" in line
    assert noise_lines(once[:1]) != [line]


def test_a_lost_run_is_told(five: Any, judged: Any) -> None:
    more = evaluate_recorded(five.root)
    (five.root / "run-3" / "plan.json").unlink()
    less = evaluate_recorded(five.root)
    assert not any("not counted" in line for line in noise_lines([more]))
    assert any(line.startswith("  not counted: run-3 cannot be read") for line in noise_lines([less]))
    report = alignment_markdown(less, datetime(2026, 3, 1, tzinfo=UTC))
    assert "- Not counted in the spread: run-3 cannot be read" in report


def test_a_broken_gate_says_it_below_its_verdict(five: Any) -> None:
    [tau, inversions] = (judge_named(v.metric, five, None) for v in five.verdicts)
    assert tau.wrong is None
    noise = noise_text(five.verdicts[1], five.repeats)
    assert inversions.wrong is not None
    assert inversions.wrong.splitlines()[0] == five.verdicts[1].message
    assert inversions.wrong.splitlines()[-1] == f"  noise: {noise}"
    assert dict(tau.properties) == {
        "gate": five.verdicts[0].message,
        "status": "PASS",
        "noise_floor": noise_text(five.verdicts[0], five.repeats),
    }


def test_junit_has_the_values_of_each_run(five: Any) -> None:
    found = dict(outcome_properties(five, Path("/")))
    tau = five.repeats.figures["kendall_tau"]
    assert found["repeats"] == 5
    assert [float(text) for text in str(found["kendall_tau_repeats"]).split(",")] == pytest.approx(
        tau.values, abs=1e-6
    )
    assert found["kendall_tau_sd"] == pytest.approx(tau.spread, abs=1e-6)
    assert "flip_rate_sd" not in found  # in no run was a pair shown in both orders


def test_a_single_run_has_no_such_properties(record: Any, checks: Any, judged: Any) -> None:
    found = dict(outcome_properties(judged(record().complete()), Path("/")))
    assert found["repeats"] == 1
    assert not [name for name in found if name.endswith(("_sd", "_repeats"))]


def test_the_report_has_a_table_and_says_what_to_know(five: Any) -> None:
    text = alignment_markdown(five, datetime(2026, 3, 1, tzinfo=UTC))
    section = text.split("## Repeats and Noise Floor")[1].split("\n## ")[0]
    assert "| Metric | Run 1 | Run 2 | Run 3 | Run 4 | Run 5 | Mean | Same-prompt SD |" in section
    assert "| Comparisons (successful) | 66 | 66 | 66 | 66 | 66 |  |  |  |  | 330 |" in section
    tau = five.repeats.figures["kendall_tau"]
    assert (
        f"| Kendall's tau (tau-b) | {' | '.join(f'{v:.3f}' for v in tau.values)} | {tau.mean:.3f} |"
        in section
    )
    assert "very uncertain" not in section
    assert "Together, a pair counts as inverted" in section
    assert f"  - {noise_text(five.verdicts[0], five.repeats)}" in text


@pytest.mark.parametrize(
    ("runs", "said"),
    [(1, "There is one run to go by"), (2, "A standard deviation of 2 values is very uncertain")],
)
def test_what_a_reader_of_few_runs_has_to_know(
    record: Any, checks: Any, judged: Any, limit: Any, runs: int, said: str
) -> None:
    made = [record(repeat=k).complete(seed=k, discrimination=0.15) for k in range(1, runs + 1)]
    outcome = judged(*made, limits=[limit("kendall_tau", min=0.5)], bootstrap=50)
    text = alignment_markdown(outcome, datetime(2026, 3, 1, tzinfo=UTC))
    assert said in text
    assert ("No pair was shown in both orders" in text) == (
        runs > 1 and not outcome.alignment.population.pairs_in_both_orders
    )


@pytest.mark.parametrize(
    ("simulated", "said"),
    [(0.001, "differ more in tau than"), (0.5, "differ less in tau than"), (0.06, None), (math.nan, None)],
)
def test_runs_are_held_against_simulated_ones(five: Any, simulated: float, said: str | None) -> None:
    outcome = replace(five, repeats=repeats_with("kendall_tau", FIVE, simulated))
    found = [text for text in repeats_markdown(outcome) if "in tau than" in text]
    assert found == [] if said is None else said in found[0]


def test_the_summary_has_the_repeats(five: Any, tmp_path: Path) -> None:
    [scenario] = summary_document("s", [five], tmp_path)["scenarios"]
    [variant] = scenario["variants"]
    tau = five.repeats.figures["kendall_tau"]
    low, high = tau.spread_interval()
    assert variant["repeats"]["kendall_tau"] == {
        "values": list(tau.values),
        "mean": tau.mean,
        "sd": tau.spread,
        "sd_low": low,
        "sd_high": high,
        "noise_floor": tau.spread,
        "measured": True,
    }
    assert variant["metrics"]["kendall_tau"]["value"] == tau.pooled
    assert variant["comparisons"] == 330


def test_findings_are_told_by_run(record: Any, checks: Any, judged: Any) -> None:
    runs = [record(repeat=k).complete(seed=k) for k in (1, 2, 3)]
    checks.find("META-MISSING", "prompt_sha256 absent in 2 of 66 callbacks", check="events")
    outcome = judged(*runs)
    found = judge_named("events", outcome, None)
    assert found.wrong is not None
    assert found.wrong.splitlines() == [
        f"run-{k}: META-MISSING prompt_sha256 absent in 2 of 66 callbacks" for k in (1, 2, 3)
    ]
    assert found.section.splitlines()[0].startswith("run-1: error   META-MISSING ")
    assert outcome.reasons == ("run-1, run-2, run-3: META-MISSING prompt_sha256 absent in 2 of 66 callbacks",)
    report = alignment_markdown(outcome, datetime(2026, 3, 1, tzinfo=UTC))
    assert "- run-2: META-MISSING prompt" in report
