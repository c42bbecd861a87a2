"""How long do all checks take over a recorded run, and how much memory?

    python benchmarks/checks.py [--events 100000] [--rounds 3] [--profile]

Records a clean run of that many comparisons and one of twice as many with the package's own writers, then
reads and checks each in a process of its own, as ``eng5 check`` does, turn about and several times: other
work on the machine only adds time, so the least counts. Prints seconds, peak memory and the ratio of the
times; the target is under 10 s and 500 MB for 100,000 comparisons, and a ratio of at most 2.1.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import itertools
import json
import math
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from pytest_eng5.alignment import fit_wins
from pytest_eng5.checks import run_checks
from pytest_eng5.contracts import ProcessingEvent, topic_name
from pytest_eng5.evidence import (
    AppendOnlyLog,
    CapturedRecord,
    EndReason,
    RunEnding,
    RunFolder,
    RunPlan,
    Stream,
    encode_line,
    load_evidence,
    write_plan,
)
from pytest_eng5.reports import finalise_run

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
BATCH, CORRELATION = "b3a1f7de-0c54-4d0a-8a0f-6a1f0f7d2c10", "0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01"
MODEL = "gpt-5-mini-2025-08-07"
Pair = tuple[int, int]


def _hex(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _essay(index: int) -> str:
    return f"student::{_hex('essay', index)[:27]}"


def _stamp(second: float) -> str:
    return (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def _callback(number: int, pair: Pair, first_wins: bool) -> bytes:
    """A callback of about 1.4 KB, as the LLM provider service writes it."""
    correlation, at = str(UUID(_hex("correlation", number)[:32])), _stamp(5 + number / 1000)
    metadata = {
        **{"essay_a_id": _essay(pair[0]), "essay_b_id": _essay(pair[1]), "bos_batch_id": BATCH},
        **{"cj_batch_id": "151", "cj_source": "els", "cj_request_type": "cj_comparison"},
        **{"reasoning_effort": "low", "resolved_provider": "openai", "resolved_model": MODEL},
        **{"queue_processing_mode": "per_request", "prompt_sha256": _hex("prompt", number)},
    }
    data = {
        **{"request_id": str(UUID(_hex("request", number)[:32])), "correlation_id": correlation},
        **{"winner": "Essay A" if first_wins else "Essay B", "confidence": 4.2, "error_detail": None},
        **{
            "justification": "Clearer control of language and a richer vocabulary in context.",
            "model": MODEL,
        },
        **{"provider": "openai", "response_time_ms": 1840, "cost_estimate": 0.03222, "trace_id": None},
        "token_usage": {"prompt_tokens": 2110, "completion_tokens": 38, "total_tokens": 2148},
        **{"requested_at": at, "completed_at": at, "request_metadata": metadata},
    }
    return _envelope("LLMComparisonResultV1", "llm_provider_service", correlation, data, at)


def _envelope(kind: str, source: str, correlation: str, data: dict[str, Any], at: str) -> bytes:
    head = {"event_id": str(UUID(_hex(kind, correlation)[:32])), "event_type": kind, "event_timestamp": at}
    rest = {"source_service": source, "schema_version": 1, "correlation_id": correlation, "metadata": None}
    return orjson.dumps(head | rest | {"data": data})


def _pairs(essays: int, events: int) -> Iterator[Pair]:
    """Every pair once, each essay at either place about equally often."""
    pairs = ((b, a) if (a + b) % 2 else (a, b) for a, b in itertools.combinations(range(essays), 2))
    return itertools.islice(pairs, events)


def _end_events(essays: int, wins: np.ndarray, second: float) -> list[tuple[ProcessingEvent, bytes]]:
    theta = fit_wins(wins)
    order = sorted(range(essays), key=lambda index: -theta[index])
    base = {"entity_id": BATCH, "entity_type": "batch", "timestamp": _stamp(second)}
    rows = [
        {
            **{"essay_id": _essay(index), "normalized_score": 0.0, "letter_grade": "U", "rank": rank},
            **{"confidence_score": 0.0, "confidence_label": "LOW", "bt_score": float(theta[index])},
        }
        for rank, index in enumerate(order, start=1)
    ]
    rich = base | {"batch_id": BATCH, "cj_assessment_job_id": "151", "assessment_method": "cj_assessment"}
    rich |= {"model_used": MODEL, "model_provider": "openai", "essay_results": rows}
    system = {"entity_id": BATCH, "entity_type": "batch", "processing_stage": "completed"}
    thin = base | {
        "status": "completed_successfully",
        "system_metadata": system,
        "cj_assessment_job_id": "151",
    }
    done, result = ProcessingEvent.CJ_ASSESSMENT_COMPLETED, ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
    return [
        (event, _envelope(event.value, "cj_assessment_service", CORRELATION, data, _stamp(second)))
        for event, data in ((done, thin), (result, rich | {"event_name": result.value}))
    ]


def _record(event: ProcessingEvent, value: bytes, number: int, second: float) -> bytes:
    moment = START + timedelta(seconds=second)
    record = CapturedRecord(
        topic=topic_name(event),
        partition=number % 3,
        offset=number // 3,
        timestamp_ms=round(moment.timestamp() * 1000),
        received_at=moment,
        key=None,
        value=value,
    )
    return encode_line(record)


def record_run(root: Path, events: int) -> None:
    """Write the folder of a clean run with that many comparisons."""
    essays = math.ceil((1 + math.sqrt(1 + 8 * events)) / 2)
    folder, wins = RunFolder(root), np.zeros((essays, essays))
    folder.events.mkdir(parents=True)
    write_plan(folder.plan, _plan(essays, events))
    folder.request.parent.mkdir()
    folder.request.write_bytes(_request(essays, events))
    with AppendOnlyLog(folder.stream(Stream.COMPARISONS)) as log:
        for number, (a, b) in enumerate(_pairs(essays, events)):
            first_wins = (a < b) != (int(_hex(a, b)[:2], 16) < 40)
            wins[(a, b) if first_wins else (b, a)] += 1
            value = _callback(number, (a, b), first_wins)
            log.append(_record(ProcessingEvent.LLM_COMPARISON_RESULT, value, number, 5.001 + number / 1000))
    end = 6 + events / 1000
    streams = (Stream.COMPLETIONS, Stream.ASSESSMENT_RESULTS)
    for stream, (event, value) in zip(streams, _end_events(essays, wins, end), strict=True):
        with AppendOnlyLog(folder.stream(stream)) as log:
            log.append(_record(event, value, 0, end + 0.001))
    finalise_run(root, _ending(end))


def _plan(essays: int, events: int) -> RunPlan:
    rows = [
        {
            **{"essay_id": _essay(k), "local_id": f"essay-{k}", "file_name": f"{k}.txt", "grade": "C"},
            **{"source_path": f"anchors/{k}.txt", "checksum": _hex("text", k)},
        }
        for k in range(essays)
    ]
    return RunPlan.model_validate(
        {
            **{"scenario": "benchmark", "variant": "only", "repeat": 1, "mode": "anchor-align-test"},
            **{"batch_uuid": BATCH, "correlation_id": CORRELATION, "created_at": START, "essays": rows},
            **{"runner_version": "0", "course_code": "ENG5", "language": "en", "provider": "openai"},
            **{"model": MODEL, "planned_comparisons": events, "idle_seconds": 30, "total_seconds": 300},
        }
    )


def _request(essays: int, events: int) -> bytes:
    refs = [{"essay_id": _essay(k), "text_storage_id": "5e" * 16} for k in range(essays)]
    data = {
        **{"entity_id": BATCH, "entity_type": "batch", "essays_for_cj": refs, "language": "en"},
        **{"system_metadata": {"entity_id": BATCH, "entity_type": "batch"}, "course_code": "ENG5"},
        "llm_config_overrides": {"provider_override": "openai", "model_override": MODEL},
        "user_id": "benchmark",
    }
    return _envelope("huleedu.els.cj_assessment.requested.v1", "benchmark", CORRELATION, data, _stamp(0.5))


def _ending(second: float) -> RunEnding:
    facts = {"started_at": START, "ended_at": START + timedelta(seconds=second)}
    stamp = round(START.timestamp() * 1000) + 500
    return RunEnding(reason=EndReason.COMPLETED, detail="drained", request_timestamp_ms=stamp, **facts)


def _peak_megabytes() -> float:
    """Most memory that this program had resident; what ``getrusage`` says may be that of its parent."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(root: Path, profile: bool = False) -> dict[str, Any]:
    """Read and check a recorded run; seconds of processor time and of the clock, peak memory in MB."""
    profiler = cProfile.Profile() if profile else None
    begun, clock = time.process_time(), time.perf_counter()
    if profiler is not None:
        profiler.enable()
    evidence = load_evidence(root)
    read = time.process_time() - begun
    findings = run_checks(evidence)
    seconds, elapsed = time.process_time() - begun, time.perf_counter() - clock
    if profiler is not None:
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumulative").print_stats(45)
    peak = _peak_megabytes()
    codes = sorted({finding.code for finding in findings})
    return {
        "seconds": seconds,
        "reading": read,
        "elapsed": elapsed,
        "megabytes": peak,
        "comparisons": len(evidence.comparisons),
        "codes": codes,
    }


def measured_apart(root: Path, *options: str) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(root), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    sys.stderr.write(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000, help="comparisons of the smaller run")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each")
    parser.add_argument("--profile", action="store_true", help="print where the time of the smaller run goes")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure, options.profile)))
        return
    with tempfile.TemporaryDirectory() as folder:
        roots = [Path(folder) / str(factor) for factor in (1, 2)]
        for factor, root in enumerate(roots, 1):
            record_run(root, factor * options.events)
        if options.profile:
            measured_apart(roots[0], "--profile")
        rounds = [[measured_apart(root) for root in roots] for _ in range(options.rounds)]
    for alike in zip(*rounds, strict=True):
        best = min(alike, key=lambda found: float(found["seconds"]))
        every = " ".join(f"{found['seconds']:.2f}" for found in alike)
        print(
            f"{best['comparisons']} comparisons: {best['seconds']:.2f} s of processor "
            f"({best['reading']:.2f} s to read), {best['elapsed']:.2f} s elapsed, "
            f"{best['megabytes']:.0f} MB, findings: {best['codes'] or 'none'}; of {every} s"
        )
    least = [min(float(found["seconds"]) for found in alike) for alike in zip(*rounds, strict=True)]
    print(f"ratio of the least times: {least[1] / least[0]:.2f}")


if __name__ == "__main__":
    main()
