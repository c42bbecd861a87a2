"""The ini key eng5_files: which files are scenario files."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("name", ["a.eng5.yaml", "a.eng5.yml", "deep/er/a.eng5.yaml"])
def test_the_default_globs(project: Any, name: str) -> None:
    project.scenario("small", file=name)
    if "/" in name:
        path = project.root / name
        path.write_text(
            path.read_text().replace("prompts/", "../../prompts/").replace(": inputs", ": ../../inputs")
        )
    assert f"{name}::baseline::run" in project.collect()


@pytest.mark.parametrize("name", ["compose.yaml", "eng5.yaml", "a.eng5.json", "a.eng5.yaml.bak", "aeng5.yml"])
def test_other_files_are_left_alone(project: Any, name: str) -> None:
    project.write(name, "services: [this is: {no scenario")
    result = project.inprocess("--collect-only")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_the_ini_key_replaces_the_globs(project: Any) -> None:
    project.ini("eng5_files = judge_*.yaml campaigns/*.yml")
    project.scenario("one", file="judge_one.yaml")
    project.scenario("two", file="two.eng5.yaml")
    assert {line.partition("::")[0] for line in project.collect()} == {"judge_one.yaml"}


def test_a_glob_may_name_a_folder(project: Any) -> None:
    project.ini("eng5_files = campaigns/*.yml")
    project.scenario("two", file="campaigns/two.yml")
    path = project.root / "campaigns/two.yml"
    path.write_text(path.read_text().replace("prompts/", "../prompts/").replace(": inputs", ": ../inputs"))
    project.scenario("three", file="three.yml")
    assert {line.partition("::")[0] for line in project.collect()} == {"campaigns/two.yml"}


def test_a_yaml_file_named_on_the_command_line_is_collected_whatever_its_name(project: Any) -> None:
    project.scenario("small", file="draft.yaml")
    assert project.collect() == []
    assert "draft.yaml::baseline::run" in project.collect("draft.yaml")
    assert project.collect("draft.yaml::baseline::kendall_tau") == ["draft.yaml::baseline::kendall_tau"]


def test_other_yaml_beside_the_named_file_is_left_alone(project: Any) -> None:
    project.scenario("small", file="draft.yaml")
    project.write("compose.yaml", "services: {}")
    assert {line.partition("::")[0] for line in project.collect("draft.yaml")} == {"draft.yaml"}
