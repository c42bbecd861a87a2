"""A run folder read back: counts, duplicates, failures, rejected records, missing and damaged files."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.evidence import (
    EndReason,
    EvidenceError,
    Rejection,
    RunEnding,
    RunFolder,
    Stream,
    load_evidence,
    read_stream,
    write_artefact,
)

Make = Callable[..., Any]


def test_a_clean_run_reads_back(run_folder: Path) -> None:
    run = load_evidence(run_folder)
    assert (len(run.comparisons), len(run.results), len(run.completions)) == (66, 1, 1)
    assert (run.failures, run.rejected, run.ending) == ((), (), None)
    assert len(run.events) == 68
    assert len(run.distinct_comparisons) == len(run.succeeded) == 66
    assert run.request_data is not None
    assert [essay.essay_id for essay in run.request_data.essays_for_cj] == list(run.essays)
    assert run.plan.variant == "baseline"
    assert run.folder.root == run_folder


def test_every_event_knows_its_line_and_type(run_folder: Path) -> None:
    run = load_evidence(run_folder)
    assert [event.evidence for event in run.comparisons] == [
        f"events/comparisons.jsonl:{line}" for line in range(1, 67)
    ]
    assert [event.record.offset for event in run.comparisons] == list(range(66))
    assert run.comparisons[0].comparison.request_id == "request-0"
    assert run.comparisons[0].payload is run.comparisons[0].comparison
    assert run.results[0].result.essay_results[0].rank == 1
    assert run.completions[0].completion.status == "completed_successfully"


def test_wins_are_those_of_the_round_robin(run_folder: Path) -> None:
    run = load_evidence(run_folder)
    wins = Counter(event.comparison.winner_id for event in run.succeeded)
    # Essay A of pair (i, j), i < j, always wins: essay i has 11 - i wins.
    assert [wins[essay] for essay in run.essays] == [11 - index for index in range(12)]


def test_a_redelivery_counts_once(run_folder: Path, callback: Make, stream: Make) -> None:
    stream(run_folder, Stream.COMPARISONS, [callback(3), callback(5), callback(3, winner="Essay B")])
    run = load_evidence(run_folder)
    assert (len(run.comparisons), len(run.distinct_comparisons), len(run.succeeded)) == (69, 66, 66)
    first = next(event for event in run.distinct_comparisons if event.comparison.request_id == "request-3")
    assert (first.evidence, first.comparison.winner) == ("events/comparisons.jsonl:4", "Essay A")


def test_a_failed_comparison_is_never_a_win(run_folder: Path, failure: Make, stream: Make) -> None:
    # Contract 13, R13: error callbacks were once recorded as won by essay A.
    before = Counter(event.comparison.winner_id for event in load_evidence(run_folder).succeeded)
    stream(run_folder, Stream.COMPARISONS, [failure(100 + number) for number in range(20)])
    run = load_evidence(run_folder)
    assert (len(run.distinct_comparisons), len(run.succeeded)) == (86, 66)
    assert all(event.comparison.winner_id is None for event in run.distinct_comparisons[66:])
    assert Counter(event.comparison.winner_id for event in run.succeeded) == before


def test_a_run_of_failures_has_no_success(run_folder: Path, failure: Make, stream: Make) -> None:
    RunFolder(run_folder).stream(Stream.COMPARISONS).unlink()
    stream(run_folder, Stream.COMPARISONS, [failure(number) for number in range(66)])
    run = load_evidence(run_folder)
    assert (len(run.distinct_comparisons), run.succeeded) == (66, ())


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"essay_a_id": "student::stranger", "essay_b_id": f"student::{1:027x}"},
        {"essay_a_id": f"student::{1:027x}", "essay_b_id": "student::stranger"},
        {"essay_a_id": f"student::{1:027x}", "essay_b_id": f"student::{1:027x}"},
        {"essay_a_id": f"student::{1:027x}"},
        {"essay_a_id": None, "essay_b_id": 7},
    ],
)
def test_a_win_needs_two_different_essays_of_the_plan(
    metadata: dict[str, Any], run_folder: Path, callback: Make, stream: Make
) -> None:
    stream(run_folder, Stream.COMPARISONS, [callback(200, request_metadata=metadata)])
    run = load_evidence(run_folder)
    assert (len(run.distinct_comparisons), len(run.succeeded)) == (67, 66)


def test_both_orders_of_a_pair_count(run_folder: Path, callback: Make, stream: Make) -> None:
    essays = list(load_evidence(run_folder).essays)
    stream(run_folder, Stream.COMPARISONS, [callback(300, (essays[1], essays[0]))])
    assert load_evidence(run_folder).succeeded[-1].comparison.winner_id == essays[1]


def test_a_failed_batch_is_evidence(run_folder: Path, failed_event: dict[str, Any], stream: Make) -> None:
    stream(run_folder, Stream.FAILURES, [failed_event])
    run = load_evidence(run_folder)
    assert run.failures[0].failure.status == "failed_critically"
    assert run.events[-1] is run.failures[0]


def test_rejected_records_keep_their_bytes_and_reason(run_folder: Path, stream: Make) -> None:
    why = Rejection("undecodable", (("", "Invalid JSON"),), "text")
    stream(run_folder, Stream.REJECTED, [b"\xff\xfe not json", b'{"cut'], why)
    run = load_evidence(run_folder)
    assert [rejected.record.value for rejected in run.rejected] == [b"\xff\xfe not json", b'{"cut']
    assert {rejected.rejection for rejected in run.rejected} == {why}
    assert run.rejected[1].evidence == "events/rejected.jsonl:2"
    assert len(run.succeeded) == 66


def test_a_rejected_record_without_a_reason_is_still_kept(run_folder: Path, stream: Make) -> None:
    stream(run_folder, Stream.REJECTED, [b"x"])
    (rejected,) = load_evidence(run_folder).rejected
    assert rejected.rejection.attribution == "unknown"


def test_missing_logs_are_empty_streams(run_folder: Path) -> None:
    for kind in Stream:
        RunFolder(run_folder).stream(kind).unlink(missing_ok=True)
    RunFolder(run_folder).request.unlink()
    run = load_evidence(run_folder)
    assert (run.events, run.succeeded, run.request, run.request_data) == ((), (), None, None)


def test_a_folder_without_a_plan_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"no readable plan") as caught:
        load_evidence(tmp_path)
    assert "run-1" in str(caught.value.fix)


@pytest.mark.parametrize("kind", list(Stream))
def test_a_damaged_line_names_file_and_line(kind: Stream, run_folder: Path, stream: Make) -> None:
    path = RunFolder(run_folder).stream(kind)
    if not path.exists():
        stream(run_folder, kind, [])
        path.parent.mkdir(exist_ok=True)
        path.touch()
    number = len(path.read_bytes().splitlines()) + 1
    with path.open("ab") as log:
        log.write(b'{"topic": "t", "part\n')
    with pytest.raises(EvidenceError) as caught:
        load_evidence(run_folder)
    assert caught.value.where == f"events/{kind.value}.jsonl:{number}"
    assert str(caught.value).startswith(f"events/{kind.value}.jsonl:{number}: ")


def test_a_line_in_the_middle_is_named_too(run_folder: Path) -> None:
    path = RunFolder(run_folder).stream(Stream.COMPARISONS)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[40] = b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(EvidenceError, match=r"comparisons\.jsonl:41"):
        load_evidence(run_folder)


def test_an_event_that_no_longer_validates_is_rejected_where_it_stands(run_folder: Path) -> None:
    path = RunFolder(run_folder).stream(Stream.COMPARISONS)
    lines = path.read_bytes().splitlines(keepends=True)
    document = json.loads(lines[9])
    document["value"] = document["value"].replace("Essay A", "Essay Z")
    lines[9] = json.dumps(document).encode() + b"\n"
    path.write_bytes(b"".join(lines))
    run = load_evidence(run_folder)
    assert len(run.comparisons) == 65
    (rejected,) = run.rejected
    assert rejected.evidence == "events/comparisons.jsonl:10"
    assert rejected.record.value == document["value"].encode()
    assert (rejected.rejection.stage, rejected.rejection.attribution) == ("schema", "recorded")
    assert rejected.rejection.reasons[0][0] == "/data/winner"


def test_a_recorded_value_that_is_no_json_any_more_is_rejected_as_such(run_folder: Path) -> None:
    path = RunFolder(run_folder).stream(Stream.ASSESSMENT_RESULTS)
    document = json.loads(path.read_bytes())
    document["value"] = document["value"][:-5]
    path.write_text(json.dumps(document) + "\n")
    run = load_evidence(run_folder)
    assert run.results == ()
    assert [item.rejection.stage for item in run.rejected] == ["undecodable"]


def test_a_line_cut_off_by_a_kill_is_left_out(run_folder: Path) -> None:
    path = RunFolder(run_folder).stream(Stream.COMPARISONS)
    path.write_bytes(path.read_bytes()[:-40])
    assert len(load_evidence(run_folder).comparisons) == 65


def test_a_damaged_request_is_named(run_folder: Path) -> None:
    RunFolder(run_folder).request.write_bytes(b"{}")
    with pytest.raises(EvidenceError, match="the recorded request is damaged"):
        load_evidence(run_folder)


def test_the_ending_is_read_from_the_artefact(run_folder: Path, artefact: Make) -> None:
    write_artefact(RunFolder(run_folder).artefact("anchor-align-test"), artefact())
    ending = load_evidence(run_folder).ending
    assert ending is not None
    assert (ending.reason, ending.detail) == (EndReason.COMPLETED, "all in")


def test_the_ending_the_caller_knows_wins(run_folder: Path, artefact: Make) -> None:
    write_artefact(RunFolder(run_folder).artefact("anchor-align-test"), artefact())
    moment = "2026-03-01T09:00:00Z"
    fields = {"reason": "idle_deadline", "detail": "silence", "started_at": moment, "ended_at": moment}
    known = RunEnding.model_validate(fields)
    assert load_evidence(run_folder, known).ending is known


def test_a_stream_is_read_line_by_line(run_folder: Path, stream: Make) -> None:
    lines = read_stream(RunFolder(run_folder), Stream.COMPARISONS)
    record, rejection, where = next(lines)
    assert (record.offset, rejection, where) == (0, None, "events/comparisons.jsonl:1")
    assert sum(1 for _ in lines) == 65


def test_reading_changes_nothing(run_folder: Path) -> None:
    before = {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
    load_evidence(run_folder)
    assert {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()} == before


def _cost(root: Path) -> tuple[float, float, int]:
    """Seconds of processor time, and mebibytes held afterwards, of reading a run."""
    start = time.process_time()
    load_evidence(root)
    seconds = time.process_time() - start
    gc.collect()
    tracemalloc.start()
    run = load_evidence(root)
    count = len(run.succeeded)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return seconds, held / 2**20, count


def test_time_and_memory_are_linear_in_the_events(run_folder: Path, callback: Make, stream: Make) -> None:
    small, large = 500, 5_000
    RunFolder(run_folder).stream(Stream.COMPARISONS).unlink()
    stream(run_folder, Stream.COMPARISONS, (callback(number) for number in range(small)))
    few = _cost(run_folder)
    stream(run_folder, Stream.COMPARISONS, (callback(number) for number in range(small, large)))
    many = _cost(run_folder)
    for seconds, held, count in (few, many):
        each = held * 2**20 / count
        print(f"{count} comparisons: {seconds * 1e3:.0f} ms, {held:.1f} MiB, {each:.0f} bytes each")
    assert (few[2], many[2]) == (small, large)
    assert many[1] < 10 * few[1] * 1.5
    assert many[0] < 10 * few[0] * 4 + 0.2
