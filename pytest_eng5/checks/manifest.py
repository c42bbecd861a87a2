"""Check ``manifest``: the run folder is, byte for byte, what was written (design section 6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_eng5.checks.drafting import finding
from pytest_eng5.evidence import (
    ArtefactDocument,
    EvidenceError,
    Finding,
    RunEvidence,
    read_document,
    verify,
)
from pytest_eng5.evidence.artefact import CHECKSUM_BLANKS, states_its_checksum

__all__ = ["check_manifest"]

_CODES = {"changed": "MANIFEST-HASH", "missing": "MANIFEST-MISSING", "unlisted": "MANIFEST-UNLISTED"}
_HINTS = {
    "changed": "the file was altered after the run: restore it, or run again",
    "missing": "the file was removed after the run: restore it, or run again",
    "unlisted": "keep notes outside the run folder; if the file belongs to the run, the manifest is outdated",
}


def check_manifest(evidence: RunEvidence) -> list[Finding]:
    """All findings about the integrity of the run folder."""
    return [*check_files(evidence), *check_checksum(evidence)]


def check_files(evidence: RunEvidence) -> Iterator[Finding]:
    """MANIFEST-HASH, MANIFEST-MISSING, MANIFEST-UNLISTED: manifest and folder hold the same files."""
    try:
        problems = verify(evidence.folder.root, evidence.folder.manifest)
    except (EvidenceError, OSError) as error:
        text = f"manifest.json {_state(evidence.folder.manifest, error)}, so that no file can be verified"
        hint = "without a readable manifest nothing is proven about the files: run again"
        yield finding("MANIFEST-MISSING", text, hint=hint, evidence=evidence.folder.manifest.name)
        return
    for problem in problems:
        text = f"{problem.path}: {problem.detail}"
        yield finding(_CODES[problem.kind], text, hint=_HINTS[problem.kind], evidence=problem.path)


def _state(manifest: Path, error: Exception) -> str:
    if not manifest.exists():
        return "is absent"
    return "is damaged" if isinstance(error, EvidenceError) else f"or a file cannot be read ({error})"


def check_checksum(evidence: RunEvidence) -> Iterator[Finding]:
    """ARTEFACT-CHECKSUM: the artefact carries the SHA-256 of itself, by either convention.

    An artefact that is absent or no JSON object is left to check ``schema``.
    """
    artefact = evidence.document
    validation = artefact.rest.get("validation") if artefact and isinstance(artefact.rest, dict) else None
    if artefact is None or not isinstance(validation, dict):
        return
    stored = validation.get("artefact_checksum")
    if isinstance(stored, str) and stored and _is_right(artefact, stored):
        return
    state = "has no checksum" if not stored else "does not have the checksum that it states"
    yield finding(
        "ARTEFACT-CHECKSUM",
        f"the artefact {state}",
        hint="the artefact was altered after the run; the event logs do not depend on it: judge them again",
        field="/validation/artefact_checksum",
        evidence=artefact.path.name,
    )


def _is_right(artefact: ArtefactDocument, stored: str) -> bool:
    """Whether a checksum is that of the file as it lies there, or of the same content written anew."""
    if any(artefact.has_checksum(stored, blank) for blank in CHECKSUM_BLANKS):
        return True
    document = read_document(artefact.path)
    return document is not None and states_its_checksum(document)
