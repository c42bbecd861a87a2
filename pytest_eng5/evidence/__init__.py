"""The run folder: append-only event logs, plan, artefact, findings, manifest; written once, read later."""

from __future__ import annotations

from pytest_eng5.evidence.artefact import (
    Artefact,
    ArtefactMetadata,
    BtEntry,
    Comparison,
    Costs,
    EssayInput,
    Inputs,
    ObservedEvents,
    RunnerStatus,
    TokenCount,
    Validation,
    artefact_json_schema,
    checksum_of,
    read_artefact,
    write_artefact,
)
from pytest_eng5.evidence.ending import EndReason, RunEnding
from pytest_eng5.evidence.files import AppendOnlyLog, json_bytes, write_atomic, write_json
from pytest_eng5.evidence.findings import Finding, FindingsFile, Severity, read_findings, write_findings
from pytest_eng5.evidence.layout import RunFolder, Stream, VariantFolder
from pytest_eng5.evidence.manifest import (
    Manifest,
    ManifestEntry,
    ManifestProblem,
    hash_files,
    read_manifest,
    verify,
    write_manifest,
)
from pytest_eng5.evidence.plan import PlannedEssay, RunPlan, SourceText, read_plan, write_plan
from pytest_eng5.evidence.reader import (
    CapturedEvent,
    RejectedRecord,
    RunEvidence,
    load_evidence,
    read_stream,
)
from pytest_eng5.evidence.records import (
    CapturedRecord,
    EvidenceError,
    Rejection,
    decode_line,
    encode_line,
)

__all__ = [
    "AppendOnlyLog",
    "Artefact",
    "ArtefactMetadata",
    "BtEntry",
    "CapturedEvent",
    "CapturedRecord",
    "Comparison",
    "Costs",
    "EndReason",
    "EssayInput",
    "EvidenceError",
    "Finding",
    "FindingsFile",
    "Inputs",
    "Manifest",
    "ManifestEntry",
    "ManifestProblem",
    "ObservedEvents",
    "PlannedEssay",
    "RejectedRecord",
    "Rejection",
    "RunEnding",
    "RunEvidence",
    "RunFolder",
    "RunPlan",
    "RunnerStatus",
    "Severity",
    "SourceText",
    "Stream",
    "TokenCount",
    "Validation",
    "VariantFolder",
    "artefact_json_schema",
    "checksum_of",
    "decode_line",
    "encode_line",
    "hash_files",
    "json_bytes",
    "load_evidence",
    "read_artefact",
    "read_findings",
    "read_manifest",
    "read_plan",
    "read_stream",
    "verify",
    "write_artefact",
    "write_atomic",
    "write_findings",
    "write_json",
    "write_manifest",
    "write_plan",
]
