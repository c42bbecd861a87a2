"""--eng5-output, eng5_output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_default_is_a_hidden_folder_in_the_root_folder(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("sub/conftest.py", "")
    assert project.options().output == project.root / ".eng5"
    monkeypatch.chdir(project.root / "sub")
    assert project.options().output == project.root / ".eng5"


def test_a_relative_folder_counts_from_where_pytest_was_called(project: Any) -> None:
    assert project.options("--eng5-output", "evidence").output == project.root / "evidence"
    assert "output evidence" in project.header("--eng5-output", "evidence")


def test_option_before_ini(project: Any, tmp_path: Path) -> None:
    project.ini(f"eng5_output = {tmp_path / 'ini'}")
    assert project.options().output == tmp_path / "ini"
    assert project.options("--eng5-output", str(tmp_path / "option")).output == tmp_path / "option"


def test_the_folder_is_not_made_before_it_is_needed(project: Any) -> None:
    project.scenario()
    project.collect("--eng5-output", "evidence")
    assert not (project.root / "evidence").exists()


def test_a_file_in_its_place_is_an_error_that_names_it(project: Any) -> None:
    project.scenario()
    project.write("evidence", "a file, not a folder")
    result = project.subprocess("--eng5-output", "evidence")
    text = result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in text
    assert "Traceback" not in text
    result.assert_outcomes(errors=1, skipped=9)
    assert str(project.root / "evidence") in text
