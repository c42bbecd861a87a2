"""The block ``compare``: what it comes to, and where it is refused."""

from __future__ import annotations

from typing import Any

import pytest

THREE = """\
scenario: three
inputs: role_models
variants:
  - id: control
  - id: rubric_b
  - id: rubric_c
"""


def compare(workspace: Any, block: str, *overrides: str) -> Any:
    return workspace.load(f"{THREE}compare: {block}\n", *overrides).compare


def asked(found: Any) -> list[tuple[str, float]]:
    return [(metric.name, metric.min_improvement) for metric in found.metrics]


def test_without_the_block_nothing_is_compared(workspace: Any) -> None:
    assert workspace.load(THREE).compare is None
    assert compare(workspace, "~") is None


def test_the_defaults(workspace: Any) -> None:
    found = compare(workspace, "{baseline: rubric_b}")
    assert (found.baseline, found.candidates) == ("rubric_b", ("control", "rubric_c"))
    assert found.variants == ("rubric_b", "control", "rubric_c")
    assert asked(found) == [("kendall_tau", 0.0)]
    assert (found.confidence, found.undecided) == (0.95, "fail")
    assert (found.location.line, found.location.column) == (7, 1)


def test_everything_can_be_said(workspace: Any) -> None:
    block = (
        "{baseline: control, candidates: [rubric_c], min_improvement: 0.02, confidence: 0.9, "
        "undecided: warn, metrics: {agreement: {}, direct_inversions: {min_improvement: 2}, kendall_tau: }}"
    )
    found = compare(workspace, block)
    assert found.candidates == ("rubric_c",)
    assert asked(found) == [
        ("agreement", 0.02),
        ("direct_inversions", 2.0),
    ]  # null: as if it were not written
    assert (found.confidence, found.undecided) == (0.9, "warn")


def test_how_much_worse_it_may_be(workspace: Any) -> None:
    found = compare(workspace, "{baseline: control, min_improvement: -0.05}")
    assert asked(found) == [("kendall_tau", -0.05)]


def test_only_nulls_leave_the_default(workspace: Any) -> None:
    assert asked(compare(workspace, "{baseline: control, metrics: {agreement: ~}}")) == [("kendall_tau", 0.0)]


def test_options_reach_into_it(workspace: Any) -> None:
    overrides = ("compare.min_improvement=0.1", "compare.candidates=[rubric_b]", "compare.undecided=warn")
    found = compare(workspace, "{baseline: control, min_improvement: 0.02}", *overrides)
    assert (asked(found), found.candidates, found.undecided) == (
        [("kendall_tau", 0.1)],
        ("rubric_b",),
        "warn",
    )
    assert compare(workspace, "{baseline: control}", "compare=null") is None


def test_an_option_can_ask_for_it(workspace: Any) -> None:
    assert workspace.load(THREE, "compare.baseline=control").compare.candidates == ("rubric_b", "rubric_c")


@pytest.mark.parametrize(
    ("block", "column", "message", "hint"),
    [
        ("{baseline: contrl}", 21, "there is no variant 'contrl'", "did you mean 'control'?"),
        (
            "{baseline: x}",
            21,
            "there is no variant 'x'",
            "variants of this file: control, rubric_b, rubric_c",
        ),
        ("{}", 10, "the key 'baseline' is missing", "add 'baseline: ...'"),
        ("{baselin: control}", 11, "unknown key 'baselin'", "did you mean 'baseline'?"),
        ("{baseline: control, candidates: [rubric_d]}", 43, "there is no variant 'rubric_d'", "rubric_"),
        ("{baseline: control, candidates: []}", 42, "compare.candidates: expected at least one", "remove"),
        ("{baseline: control, candidates: [control]}", 43, "'control' is the baseline", "leave it out"),
        (
            "{baseline: control, candidates: [rubric_b, rubric_b]}",
            53,
            "'rubric_b' is named twice",
            "leave one",
        ),
        (
            "{baseline: control, metrics: {tau: {}}}",
            40,
            "unknown key 'tau'",
            "kendall_tau, direct_inversions",
        ),
        ("{baseline: control, metrics: [agreement]}", 39, "compare.metrics: expected a mapping", None),
        ("{baseline: control, min_improvement: 3}", 30, "no two variants differ by 3 in kendall_tau", "0.02"),
        ("{baseline: control, confidence: 95}", 42, "compare.confidence: expected a number above 0", None),
        ("{baseline: control, undecided: skip}", 41, "compare.undecided: expected one of fail, warn", None),
        (
            "{baseline: control, min_improvement: 0.02, metrics: {direct_inversions: {}}}",
            63,
            "direct_inversions counts pairs: 0.02 of a pair",
            "direct_inversions: {min_improvement: 1}",
        ),
    ],
)
def test_what_is_refused_where_it_stands(
    workspace: Any, block: str, column: int, message: str, hint: str | None
) -> None:
    error = workspace.error(f"{THREE}compare: {block}\n")
    problem = next(p for p in error.problems if p.message.startswith(message))
    assert (problem.location.line, problem.location.column) == (7, column), str(error)
    assert hint is None or hint in (problem.hint or "")


def test_a_single_variant_has_nothing_to_be_compared_with(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}compare: {{baseline: only}}\n")
    assert error.message == "there is nothing to compare: the file has a single variant"
    assert (error.line, error.column) == (5, 1)


def test_the_name_of_the_items_is_no_variant(workspace: Any) -> None:
    text = THREE.replace("rubric_c", "compare")
    assert workspace.load(text).variants[2].id == "compare"  # without the block it is a name like any other
    error = workspace.error(f"{text}compare: {{baseline: control}}\n")
    assert error.message.startswith("the variant id 'compare' is the name of the items")
    assert (error.line, error.column) == (6, 9)


def test_a_variant_has_no_such_block(workspace: Any) -> None:
    error = workspace.error(f"{THREE}    compare: {{baseline: control}}\n")
    assert error.message.startswith("unknown key 'compare'")
