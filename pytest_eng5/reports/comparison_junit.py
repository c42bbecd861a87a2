"""What JUnit and ``summary.json`` say about comparisons of variants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pytest_eng5.gates.improvement import IMPROVEMENTS
from pytest_eng5.reports.comparison_model import ComparedCandidate, Comparison
from pytest_eng5.reports.junit import JUnitCase, junit_xml

__all__ = ["comparison_junit_path", "comparison_properties", "comparison_suite", "worst_verdict"]

_ORDER = ("PASS", "UNDECIDED", "FAIL", "ERROR")


def comparison_junit_path(session: Path, scenario: str) -> Path:
    """The file of a scenario's comparison."""
    return session / "junit" / f"{scenario}.compare.xml"


def comparison_suite(scenario: str, cases: Sequence[JUnitCase], comparison: Comparison | None) -> bytes:
    """The suite of a scenario's comparison, with what is true of all of its items."""
    properties = {"scenario": scenario}
    if comparison is not None:
        properties |= {"baseline": comparison.baseline, "verdict": worst_verdict([comparison])}
    return junit_xml(f"{scenario}.compare", cases, properties)


def worst_verdict(comparisons: Iterable[Comparison]) -> str:
    """The worst of all verdicts; ERROR if a run failed, FAIL if nothing could be compared, PASS of none."""
    found: list[str] = []
    for candidate in (candidate for comparison in comparisons for candidate in comparison.candidates):
        found += [verdict.status for verdict in candidate.verdicts]
        if candidate.problem is not None:
            found.append("ERROR" if candidate.run_failed else "FAIL")
    return max(found, key=_ORDER.index, default="PASS")


def comparison_properties(found: ComparedCandidate, metric: str) -> Iterator[tuple[str, object]]:
    """JUnit properties that an item has once the runs are over."""
    if found.problem is not None:
        return
    figure = found.figures[IMPROVEMENTS[metric]]
    verdict = next(verdict for verdict in found.verdicts if verdict.metric == metric)
    yield "status", verdict.status
    yield "gate", verdict.message
    yield "min_improvement", verdict.min_improvement
    for name, value in (
        ("baseline_value", figure.baseline),
        ("candidate_value", figure.candidate),
        ("improvement", verdict.improvement),
        ("improvement_low", verdict.low),
        ("improvement_high", verdict.high),
        ("p_value", figure.p_value),
        ("adjusted_p_value", figure.adjusted_p_value),
    ):
        yield name, "not measured" if value is None else round(value, 6)
    yield "common_pairs", found.pairs
    yield "differing_pairs", len(found.differing_pairs)
    yield "what_differs", "; ".join(change.what for change in found.changes) or "nothing"
