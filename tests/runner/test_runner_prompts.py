"""Keeping rendered prompts: what callbacks name and the content service has, never at the cost of a run."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_eng5.evidence import AppendOnlyLog, CapturedRecord, RunFolder, Stream, encode_line, read_prompts
from pytest_eng5.runner import prompts
from pytest_eng5.runner.prompts import keep_prompts
from pytest_eng5.telemetry import LOGGER

URL = "http://content.invalid/v1/content"


def record(folder: RunFolder, *metadata: Any) -> None:
    """Callbacks with this request_metadata."""
    folder.events.mkdir(parents=True, exist_ok=True)
    with AppendOnlyLog(folder.stream(Stream.COMPARISONS)) as log:
        for offset, given in enumerate(metadata):
            value = json.dumps({"data": {"request_metadata": given}}).encode()
            moment = datetime(2026, 3, 1, tzinfo=UTC)
            log.append(encode_line(CapturedRecord("t", 0, offset, 0, moment, None, value)))


def storage(number: int) -> str:
    return f"{number:032x}"


class Content:
    """A content service: bodies by storage id, and what was asked for."""

    def __init__(self, bodies: dict[str, bytes], status: int = 200) -> None:
        self.bodies, self.status, self.asked = bodies, status, []  # type: ignore[var-annotated]

    def answer(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rsplit("/", 1)[-1]
        self.asked.append(name)
        if self.status != 200:
            return httpx.Response(self.status)
        body = self.bodies.get(name)
        return httpx.Response(404) if body is None else httpx.Response(200, content=body)

    def keep(self, folder: RunFolder) -> dict[str, str]:
        async def run() -> None:
            async with httpx.AsyncClient(transport=httpx.MockTransport(self.answer)) as http:
                await keep_prompts(http, URL, folder)

        asyncio.run(run())
        return dict(read_prompts(folder.prompts))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_each_named_prompt_is_kept_once(folder: RunFolder) -> None:
    record(folder, *({"prompt_storage_id": storage(k % 3)} for k in range(6)))
    content = Content({storage(k): f"prompt {k} å".encode() for k in range(3)})
    assert content.keep(folder) == {storage(k): f"prompt {k} å" for k in range(3)}
    assert sorted(content.asked) == [storage(k) for k in range(3)]


@pytest.mark.parametrize(
    "metadata", [[], [{}], [None], [{"prompt_storage_id": 7}], [{"prompt_storage_id": "../../etc/passwd"}]]
)
def test_a_pipeline_that_names_none_is_not_asked(folder: RunFolder, metadata: list[Any]) -> None:
    record(folder, *metadata)
    content = Content({})
    assert content.keep(folder) == {}
    assert (content.asked, folder.prompts.exists()) == ([], False)


def test_what_is_gone_or_no_text_is_left_out(folder: RunFolder) -> None:
    record(folder, *({"prompt_storage_id": storage(k)} for k in range(3)))
    assert Content({storage(0): b"x", storage(1): b"\xff"}).keep(folder) == {storage(0): "x"}


def test_a_service_that_fails_costs_the_prompts_only(folder: RunFolder) -> None:
    record(folder, {"prompt_storage_id": storage(0)})
    assert Content({}, status=500).keep(folder) == {}
    assert not folder.prompts.exists()


def test_the_first_of_many_are_kept(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "MOST_PROMPTS", 2)
    record(folder, *({"prompt_storage_id": storage(k)} for k in range(5)))
    assert set(Content({storage(k): b"x" for k in range(5)}).keep(folder)) == {storage(0), storage(1)}


def test_no_more_than_so_many_bytes(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "MOST_BYTES", 10)
    record(folder, *({"prompt_storage_id": storage(k)} for k in range(60)))
    kept = Content({storage(k): b"x" * 10 for k in range(60)}).keep(folder)
    assert 1 <= len(kept) <= 11


def test_a_damaged_log_costs_the_prompts_only(folder: RunFolder) -> None:
    folder.events.mkdir()
    folder.stream(Stream.COMPARISONS).write_bytes(b"{\n")
    assert Content({}).keep(folder) == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (Content({}, status=503), "0 of 1 were fetched: "),
        (Content({storage(0): b"\xff"}), f"prompt {storage(0)} is no UTF-8"),
    ],
    ids=["unavailable", "no text"],
)
def test_what_is_not_kept_is_in_the_log_of_the_run(
    folder: RunFolder, content: Content, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    record(folder, {"prompt_storage_id": storage(0)})
    assert content.keep(folder) == {}
    [told] = [each for each in caplog.records if each.name == LOGGER]
    assert (told.eng5["event"], told.levelname) == ("prompts_not_kept", "WARNING")
    assert told.eng5["problem"].startswith(problem)
