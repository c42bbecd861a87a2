"""--eng5-kafka-log, eng5_kafka_log: where the log of an embedded or container broker goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_unset_by_default(project: Any) -> None:
    assert project.options().kafka_log is None


def test_option_before_ini(project: Any, tmp_path: Path) -> None:
    project.ini(f"eng5_kafka_log = {tmp_path / 'ini.log'}")
    assert project.options().kafka_log == tmp_path / "ini.log"
    assert project.options("--eng5-kafka-log", "mine.log").kafka_log == project.root / "mine.log"


STARTS = "def test_broker(eng5_broker): assert eng5_broker.log_path.is_file()"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("--eng5-kafka-log", "logs/of/kafka.log"), pytest.param((), marks=pytest.mark.thorough)]
)
def test_the_log_lies_where_it_was_asked_for(project: Any, arguments: tuple[str, ...]) -> None:
    project.write("test_broker.py", STARTS)
    project.subprocess(*arguments).assert_outcomes(passed=1)
    ordinary = list(project.root.glob(".eng5/*T*/kafka.log"))
    asked = list(project.root.glob("logs/of/kafka.log"))
    assert (len(ordinary), len(asked)) == ((0, 1) if arguments else (1, 0))


def test_a_log_that_cannot_be_written_is_an_error_that_names_it(project: Any) -> None:
    project.scenario()
    project.write("taken", "this is a file, not a folder")
    result = project.subprocess("--eng5-kafka-log", "taken/kafka.log")
    result.assert_outcomes(errors=1, skipped=9)
    text = result.stdout.str()
    assert str(project.root / "taken") in text
    assert "fix:" in text
