"""--eng5-content-url, CONTENT_SERVICE_URL."""

from __future__ import annotations

from typing import Any

import pytest


def test_unset_by_default(project: Any) -> None:
    assert project.options().content_url is None


def test_option_before_environment(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTENT_SERVICE_URL", "http://environment.example")
    assert project.options().content_url == "http://environment.example"
    assert (
        project.options("--eng5-content-url", "http://option.example").content_url == "http://option.example"
    )


def test_an_empty_variable_counts_as_unset(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTENT_SERVICE_URL", "")
    assert project.options().content_url is None


@pytest.mark.parametrize("value", ["content.example:8001", "ftp://content.example", "http://"])
def test_what_is_no_web_address_is_a_usage_error(project: Any, value: str) -> None:
    text = project.refusal("--eng5-content-url", value)
    assert f"--eng5-content-url {value}" in text
    assert "http://" in text
