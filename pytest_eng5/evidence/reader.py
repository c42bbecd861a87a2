"""Reading a run folder back: what checks and reports work on.

Nothing here needs Kafka, HTTP or the pipeline: the same functions read a run that ended a second ago and one
that was recorded years ago.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from pytest_eng5.contracts import (
    AssessmentResultV1,
    CJAssessmentCompletedV1,
    CJAssessmentFailedV1,
    ELS_CJAssessmentRequestV1,
    EventEnvelope,
    LLMComparisonResultV1,
    ProcessingEvent,
    WireModel,
    compact,
    decode_event,
)
from pytest_eng5.evidence.artefact import read_ending
from pytest_eng5.evidence.assignment import AssignmentContext, anchors_on_the_wire, read_assignment
from pytest_eng5.evidence.document import ArtefactDocument, open_document
from pytest_eng5.evidence.ending import RunEnding
from pytest_eng5.evidence.faults import FaultsFile, read_faults
from pytest_eng5.evidence.layout import RunFolder, Stream
from pytest_eng5.evidence.plan import PlannedEssay, RunPlan, read_plan
from pytest_eng5.evidence.records import (
    CapturedRecord,
    EvidenceError,
    Rejection,
    decode_apart,
    decode_line,
)

__all__ = ["CapturedEvent", "RejectedRecord", "RunEvidence", "load_evidence", "read_stream", "uncollected"]

STREAM_EVENTS: dict[Stream, ProcessingEvent] = {
    Stream.COMPARISONS: ProcessingEvent.LLM_COMPARISON_RESULT,
    Stream.ASSESSMENT_RESULTS: ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED,
    Stream.COMPLETIONS: ProcessingEvent.CJ_ASSESSMENT_COMPLETED,
    Stream.FAILURES: ProcessingEvent.CJ_ASSESSMENT_FAILED,
}


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record of this run that could not be decoded or validated, when captured or when read back."""

    record: CapturedRecord
    rejection: Rejection
    evidence: str


@dataclass(frozen=True, slots=True)
class CapturedEvent:
    """A valid event: its record, its envelope, and ``file:line`` in the run folder.

    ``payload`` is the validated model of the stream, one of :data:`pytest_eng5.contracts.PAYLOADS`. The
    record's own bytes are not kept in memory: :meth:`value` reads them again.
    """

    record: CapturedRecord
    envelope: EventEnvelope
    evidence: str
    log: Path | None = None
    start: int = 0

    def value(self) -> bytes:
        """The bytes of the record's value, from the event log at byte ``start``.

        Raises:
            EvidenceError: The log was removed or altered since it was read.
        """
        if self.log is None:
            return self.record.value or b""
        try:
            with self.log.open("rb") as lines:
                lines.seek(self.start)
                record, _ = decode_line(lines.readline(), self.evidence)
        except OSError as error:
            raise EvidenceError(f"cannot be read any more: {error}", where=self.evidence) from error
        return record.value or b""

    def place(self) -> tuple[int, str, int, int]:
        """Broker timestamp, topic, partition, offset: an order that does not depend on the capture."""
        record = self.record
        return record.timestamp_ms, record.topic, record.partition, record.offset

    @property
    def payload(self) -> WireModel:
        """The event's data."""
        data: WireModel = self.envelope.data
        return data

    @property
    def comparison(self) -> LLMComparisonResultV1:
        """The payload of an event of the comparisons stream."""
        data: LLMComparisonResultV1 = self.envelope.data
        return data

    @property
    def result(self) -> AssessmentResultV1:
        """The payload of an event of the assessment results stream."""
        data: AssessmentResultV1 = self.envelope.data
        return data

    @property
    def completion(self) -> CJAssessmentCompletedV1:
        """The payload of an event of the completions stream."""
        data: CJAssessmentCompletedV1 = self.envelope.data
        return data

    @property
    def failure(self) -> CJAssessmentFailedV1:
        """The payload of an event of the failures stream."""
        data: CJAssessmentFailedV1 = self.envelope.data
        return data


@dataclass(frozen=True)
class RunEvidence:
    """Everything recorded about one run.

    Attributes:
        plan: As written; the anchors of an assignment are added under the ids that they had in this batch.
        request: The request as published, or ``None`` if the run ended before.
        comparisons: Callbacks in the order of capture, duplicates included.
        ending: How the run ended; ``None`` if it was killed before it could say.
        faults: The faults that were planted in it, ``None`` if none were.
        assignment: The assignment that the request was bound to, ``None`` without one.
    """

    folder: RunFolder
    plan: RunPlan
    request: EventEnvelope | None
    comparisons: tuple[CapturedEvent, ...]
    results: tuple[CapturedEvent, ...]
    completions: tuple[CapturedEvent, ...]
    failures: tuple[CapturedEvent, ...]
    rejected: tuple[RejectedRecord, ...]
    ending: RunEnding | None = field(default=None)
    faults: FaultsFile | None = field(default=None)
    assignment: AssignmentContext | None = field(default=None)

    @property
    def request_data(self) -> ELS_CJAssessmentRequestV1 | None:
        """The request's payload."""
        data = self.request.data if self.request else None
        return data if isinstance(data, ELS_CJAssessmentRequestV1) else None

    @property
    def events(self) -> tuple[CapturedEvent, ...]:
        """All valid events of the run."""
        return (*self.comparisons, *self.results, *self.completions, *self.failures)

    @cached_property
    def document(self) -> ArtefactDocument | None:
        """The artefact as it lies on disk when it is first asked for; ``None`` if it cannot be read."""
        return open_document(self.folder.artefact(self.plan.mode))

    @cached_property
    def essays(self) -> dict[str, PlannedEssay]:
        """Planned essays by their id on the wire."""
        return {essay.essay_id: essay for essay in self.plan.essays}

    @cached_property
    def ordered_comparisons(self) -> tuple[CapturedEvent, ...]:
        """Callbacks by broker timestamp, then position: capture order between partitions is chance."""
        return tuple(sorted(self.comparisons, key=CapturedEvent.place))

    @cached_property
    def earliest_comparisons(self) -> tuple[CapturedEvent, ...]:
        """The earliest callback of every request id, in order."""
        first: dict[str, CapturedEvent] = {}
        for event in self.ordered_comparisons:
            first.setdefault(event.comparison.request_id, event)
        return tuple(first.values())

    @cached_property
    def distinct_comparisons(self) -> tuple[CapturedEvent, ...]:
        """The first callback of every request id: redeliveries count once (contract 1.4)."""
        first: dict[str, CapturedEvent] = {}
        for event in self.comparisons:
            first.setdefault(event.comparison.request_id, event)
        return tuple(first.values())

    @cached_property
    def succeeded(self) -> tuple[CapturedEvent, ...]:
        """Distinct comparisons in which the judge named a winner between two different essays of the plan."""
        essays, found = self.essays, []
        for event in self.distinct_comparisons:
            won, lost = event.comparison.outcome
            if won in essays and lost in essays and won != lost:
                found.append(event)
        return tuple(found)


def read_stream(
    folder: RunFolder, stream: Stream, *, killed: bool = False
) -> Iterator[tuple[CapturedRecord, Rejection | None, str]]:
    """Yield every line of a stream as (record, rejection, ``file:line``); a missing file has no lines.

    Args:
        folder: The run.
        stream: Which log.
        killed: The run was killed before it could end. A last line without its newline was being written
            then: its offset had not been committed, so it is not evidence yet and is left out.

    Raises:
        EvidenceError: A line is damaged.
    """
    for line, where, _ in _lines(folder, stream, killed):
        record, rejection = decode_line(line, where)
        yield record, rejection, where


def _lines(folder: RunFolder, stream: Stream, killed: bool) -> Iterator[tuple[bytes, str, int]]:
    """Every complete line of a stream with its ``file:line`` and its place in bytes."""
    path, start = folder.stream(stream), 0
    if not path.exists():
        return
    name = path.relative_to(folder.root).as_posix()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if killed and not line.endswith(b"\n"):
                return
            yield line, f"{name}:{number}", start
            start += len(line)


def _valid(
    folder: RunFolder, stream: Stream, killed: bool, altered: list[RejectedRecord]
) -> tuple[CapturedEvent, ...]:
    """The events of a stream; those that do not validate any more are added to ``altered``."""
    event, log = STREAM_EVENTS[stream], folder.stream(stream)
    captured = []
    for line, where, start in _lines(folder, stream, killed):
        record, value, _ = decode_apart(line, where)
        try:
            envelope = compact(decode_event(event, value or b""))
            captured.append(CapturedEvent(record, envelope, where, log, start))
        except ValidationError as error:
            rejection = Rejection.because(error, "recorded")
            altered.append(RejectedRecord(replace(record, value=value), rejection, where))
    return tuple(captured)


def _request(folder: RunFolder) -> EventEnvelope | None:
    if not folder.request.exists():
        return None
    try:
        return decode_event(ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED, folder.request.read_bytes())
    except ValidationError as error:
        where = str(folder.request)
        raise EvidenceError("the recorded request is damaged", where=where, fix="run again") from error


_VERY_MANY = 200_000
"""New objects from which a look at each costs more than counting what is frozen."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Many objects are made and none becomes garbage: the collector would look at all of them many times.

    Nor does it look at them afterwards if they are very many: freezing and unfreezing puts them where old
    objects are. A process that has frozen some itself keeps them frozen.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled and gc.get_count()[0] > _VERY_MANY and not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        if enabled:
            gc.enable()


def load_evidence(root: Path, ending: RunEnding | None = None) -> RunEvidence:
    """Read a run folder.

    Args:
        root: The run folder (``.../<variant>/run-1``).
        ending: How the run ended, if the caller knows; otherwise it is read from the artefact.

    Raises:
        EvidenceError: The folder is no run, or a file of it is damaged.
    """
    with uncollected():
        return _load(RunFolder(root), ending)


def _load(folder: RunFolder, ending: RunEnding | None) -> RunEvidence:
    plan = read_plan(folder.plan)
    ending = ending or _ending(folder.artefact(plan.mode))
    killed = ending is None
    rejected = [
        RejectedRecord(record, rejection or Rejection("undecodable", (), "unknown"), where)
        for record, rejection, where in read_stream(folder, Stream.REJECTED, killed=killed)
    ]
    comparisons, results, completions, failures = (
        _valid(folder, stream, killed, rejected) for stream in STREAM_EVENTS
    )
    assignment = read_assignment(folder.assignment)
    if assignment is not None:
        anchors = anchors_on_the_wire(assignment, _essay_ids(results, comparisons))
        plan = plan.model_copy(update={"essays": (*plan.essays, *anchors)})
    return RunEvidence(
        folder=folder,
        plan=plan,
        request=_request(folder),
        comparisons=comparisons,
        results=results,
        completions=completions,
        failures=failures,
        rejected=tuple(rejected),
        ending=ending,
        faults=read_faults(folder.faults),
        assignment=assignment,
    )


def _essay_ids(results: Iterable[CapturedEvent], comparisons: Iterable[CapturedEvent]) -> Iterator[str]:
    """Every essay id of the rich results, then of the callbacks."""
    for event in results:
        yield from (row.essay_id for row in event.result.essay_results)
    for event in comparisons:
        named = (event.comparison.metadata_text(key) for key in ("essay_a_id", "essay_b_id"))
        yield from (essay_id for essay_id in named if essay_id is not None)


def _ending(artefact: Path) -> RunEnding | None:
    return read_ending(artefact) if artefact.exists() else None
