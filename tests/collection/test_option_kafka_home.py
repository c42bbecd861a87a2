"""--eng5-kafka-home, KAFKA_HOME, eng5_kafka_home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_unset_by_default(project: Any) -> None:
    assert project.options().kafka_home is None


def test_a_relative_folder_counts_from_where_pytest_was_called(project: Any) -> None:
    assert project.options("--eng5-kafka-home", "kafka_2.13").kafka_home == project.root / "kafka_2.13"


def test_option_before_environment_before_ini(
    project: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project.ini(f"eng5_kafka_home = {tmp_path / 'ini'}")
    assert project.options().kafka_home == tmp_path / "ini"
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path / "environment"))
    assert project.options().kafka_home == tmp_path / "environment"
    assert project.options("--eng5-kafka-home", str(tmp_path / "o")).kafka_home == tmp_path / "o"


def test_a_folder_without_kafka_is_an_error_of_the_run_that_names_it(project: Any) -> None:
    project.scenario()
    (project.root / "nothing").mkdir()
    result = project.subprocess("--eng5-kafka-home", "nothing")
    result.assert_outcomes(errors=1, skipped=9)
    text = result.stdout.str()
    assert str(project.root / "nothing") in text
    assert "fix:" in text


def test_a_folder_without_kafka_does_not_disturb_collection(project: Any) -> None:
    project.scenario()
    assert len(project.collect("--eng5-kafka-home", "nothing")) == 10
