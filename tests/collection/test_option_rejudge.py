"""--eng5-rejudge: not supported yet, and said so at once."""

from __future__ import annotations

from typing import Any


def test_the_option_is_refused_with_another_way(project: Any) -> None:
    text = project.refusal("--eng5-rejudge", ".eng5/latest")
    assert "--eng5-rejudge is not supported yet" in text
    assert "--eng5-output" in text


def test_nothing_is_collected_or_written_then(project: Any) -> None:
    project.scenario()
    result = project.inprocess("--eng5-rejudge", ".eng5/latest")
    assert "collected" not in result.stdout.str()
    assert not (project.root / ".eng5").exists()
