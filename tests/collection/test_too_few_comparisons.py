"""Too few comparisons: refused at collection if essays are left out, told if they cannot be connected."""

from __future__ import annotations

from typing import Any

import pytest

NO_GATES = {"thresholds": "{}"}


@pytest.fixture
def four(project: Any) -> Any:
    """Four anchors: 2 comparisons reach all, 3 connect them, 6 are a full round-robin."""
    project.inputs(grades=("A", "C+", "E+", "F+"))
    return project


def test_essays_that_would_never_be_compared(four: Any) -> None:
    four.scenario(more="comparisons: {max: 1}", **NO_GATES)
    error = four.collection_error()
    assert error[0] == "small.eng5.yaml:9:5: baseline: 1 comparisons reach at most 2 of 4 essays"
    assert error[1] == "  fix: allow at least 3 comparisons; a full round-robin has 6"


def test_every_variant_is_told(four: Any) -> None:
    four.scenario(more="comparisons: {max: 1}", variants=("one", "two"), **NO_GATES)
    error = "\n".join(four.collection_error())
    assert "small.eng5.yaml:9:5: one: " in error
    assert "small.eng5.yaml:10:5: two: " in error


def test_the_command_line_is_judged_like_the_file(four: Any) -> None:
    four.scenario(**NO_GATES)
    error = four.collection_error("--eng5-set", "comparisons.max=1")
    assert "1 comparisons reach at most 2 of 4 essays" in error[0]


def test_essays_that_cannot_be_connected_are_a_warning(four: Any) -> None:
    four.scenario(more="comparisons: {max: 2}", **NO_GATES)
    result = four.inprocess("--collect-only", "-q")
    assert result.ret == 0
    text = result.stdout.str()
    assert "TooFewComparisons: small.eng5.yaml:9:5: baseline: 2 comparisons cannot connect 4 essays" in text
    assert "fix: allow at least 3 comparisons" in text
    assert "small.eng5.yaml::baseline::run" in text


def test_the_warning_can_be_made_an_error(four: Any) -> None:
    four.scenario(more="comparisons: {max: 2}", **NO_GATES)
    result = four.inprocess("--collect-only", "-W", "error::pytest.PytestWarning")
    assert result.ret != 0
    assert "cannot connect 4 essays" in result.stdout.str()


@pytest.mark.parametrize("most", [3, 6, 60])
def test_enough_is_no_matter(four: Any, most: int) -> None:
    four.scenario(more=f"comparisons: {{max: {most}}}", **NO_GATES)
    result = four.inprocess("--collect-only", "-q")
    assert result.ret == 0
    assert "comparisons" not in result.stdout.str()


def test_a_plan_compares_nothing(four: Any) -> None:
    text = "scenario: p\nmode: plan\ninputs: inputs\ncomparisons: {max: 1}\nvariants: [{id: a}]\n"
    four.write("p.eng5.yaml", text)
    assert four.collect() == ["p.eng5.yaml::a::run"]
