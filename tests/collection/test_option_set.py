"""--eng5-set KEY=VALUE."""

from __future__ import annotations

from typing import Any

import pytest


def test_none_by_default_and_repeatable_in_order(project: Any) -> None:
    assert project.options().overrides == ()
    chosen = project.options("--eng5-set", "repeats=2", "--eng5-set", "repeats=3")
    assert chosen.overrides == ("repeats=2", "repeats=3")


def test_a_threshold_set_on_the_command_line_becomes_an_item(project: Any) -> None:
    project.scenario()
    assert "small.eng5.yaml::baseline::coverage" not in project.collect()
    ids = project.collect("--eng5-set", "thresholds.coverage.min=0.5")
    assert "small.eng5.yaml::baseline::coverage" in ids


def test_one_variant_alone_can_be_addressed(project: Any) -> None:
    project.scenario(variants=("baseline", "other"))
    ids = project.collect("--eng5-set", "variants.other.thresholds.coverage.min=0.5")
    assert [line for line in ids if "coverage" in line] == ["small.eng5.yaml::other::coverage"]


def test_an_unreachable_threshold_names_the_option_not_a_line(project: Any) -> None:
    project.scenario()
    error = project.collection_error("--eng5-set", "thresholds.kendall_tau.min=1.2")
    assert error[0].startswith("--eng5-set thresholds.kendall_tau.min=1.2: ")


def test_an_unknown_key_names_the_option_and_the_nearest_key(project: Any) -> None:
    project.scenario()
    error = project.collection_error("--eng5-set", "thresholds.kendall_tau.minn=0.5")
    assert error[0].startswith("--eng5-set thresholds.kendall_tau.minn=0.5: ")
    assert "did you mean 'min'?" in " ".join(error)


@pytest.mark.parametrize("text", ["repeats", "=2", ".repeats=2"])
def test_what_is_no_key_and_value_is_refused(project: Any, text: str) -> None:
    project.scenario()
    assert project.collection_error(f"--eng5-set={text}")[0].startswith("--eng5-set")


def test_an_override_for_a_variant_that_only_one_file_has(project: Any) -> None:
    project.scenario("first", variants=("baseline",))
    project.scenario("second", variants=("other",))
    ids = project.collect("--eng5-set", "variants.other.thresholds.coverage.min=0.5")
    assert [line for line in ids if "coverage" in line] == ["second.eng5.yaml::other::coverage"]
    assert "first.eng5.yaml::baseline::run" in ids


@pytest.mark.parametrize("more", [(), ("--collect-only",), ("-k", "first")])
def test_an_override_for_a_variant_that_no_file_has_is_refused(project: Any, more: tuple[str, ...]) -> None:
    project.scenario("first", variants=("baseline",))
    project.scenario("second", variants=("other",))
    text = project.refusal("--eng5-set", "variants.othr.repeats=2", *more)
    assert "--eng5-set variants.othr.repeats=2" in text
    assert "baseline, other" in text


def test_a_variant_that_is_only_deselected_is_no_mistake(project: Any) -> None:
    project.scenario("first", variants=("baseline",))
    project.scenario("second", variants=("other",))
    arguments = ("--eng5-set", "variants.other.repeats=2", "-k", "baseline")
    assert all("first" in line for line in project.collect(*arguments))


def test_a_file_that_cannot_be_read_hides_no_variant(project: Any) -> None:
    project.scenario("first", variants=("baseline",))
    broken = project.scenario("second", variants=("other",))
    broken.write_text(broken.read_text().replace("mode:", "mood:"))
    error = project.collection_error("--eng5-set", "variants.other.repeats=2")
    assert error[0].startswith("second.eng5.yaml:2:1: ")


def test_an_override_without_any_scenario_file_disturbs_nobody(project: Any) -> None:
    project.write("test_plain.py", "def test_plain(): pass\n")
    project.inprocess("--eng5-set", "variants.other.repeats=2").assert_outcomes(passed=1)
