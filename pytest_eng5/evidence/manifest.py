"""The manifest: SHA-256 and size of every other file of a run, and its verification."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_eng5.evidence.files import write_json
from pytest_eng5.evidence.records import EvidenceError

__all__ = [
    "Manifest",
    "ManifestEntry",
    "ManifestProblem",
    "hash_files",
    "read_manifest",
    "verify",
    "write_manifest",
]

_BLOCK = 1 << 20


class ManifestEntry(BaseModel):
    """One file of a run; the path is relative to the run folder, with forward slashes."""

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(BaseModel):
    """The shape of ``manifest.json``."""

    schema_version: str = "1.0.0"
    files: tuple[ManifestEntry, ...]


class ManifestProblem(BaseModel):
    """A difference between a manifest and the folder: ``changed``, ``missing`` or ``unlisted``."""

    model_config = ConfigDict(frozen=True)

    kind: str
    path: str
    detail: str


def _hash(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def hash_files(root: Path, paths: Iterable[Path]) -> list[ManifestEntry]:
    """Hash files below ``root``, sorted by relative path; each file is read once."""
    entries = []
    for path in paths:
        digest, size = _hash(path)
        entries.append(ManifestEntry(path=path.relative_to(root).as_posix(), sha256=digest, bytes=size))
    return sorted(entries, key=lambda entry: entry.path)


def _files(root: Path, manifest: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path != manifest]


def _entries(root: Path, paths: Iterable[Path]) -> Iterator[ManifestEntry | ManifestProblem]:
    """What is really there; a file that cannot be read differs from whatever the manifest says."""
    for path in paths:
        try:
            yield from hash_files(root, [path])
        except OSError as error:
            name, detail = path.relative_to(root).as_posix(), f"cannot be read: {error.strerror or error}"
            yield ManifestProblem(kind="changed", path=name, detail=detail)


def write_manifest(root: Path, path: Path) -> Manifest:
    """Hash every other file below ``root`` and write the manifest atomically."""
    manifest = Manifest(files=tuple(hash_files(root, _files(root, path))))
    write_json(path, manifest.model_dump(mode="json"))
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        EvidenceError: The file is missing or damaged.
    """
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        where, fix = str(path), "name the folder of a finished run, such as .../baseline/run-1"
        raise EvidenceError(f"no readable manifest: {error}", where=where, fix=fix) from error


def verify(root: Path, path: Path) -> list[ManifestProblem]:
    """Compare the folder with its manifest; an empty list means that every byte is as written.

    Raises:
        EvidenceError: There is no readable manifest.
    """
    listed = {entry.path: entry for entry in read_manifest(path).files}
    links = [link for link in root.rglob("*") if link.is_symlink() and not link.is_file()]
    present = {found.path: found for found in _entries(root, [*_files(root, path), *links])}
    problems = [
        ManifestProblem(kind="missing", path=name, detail="listed in the manifest but not in the folder")
        for name in sorted(listed.keys() - present.keys())
    ]
    problems += [
        ManifestProblem(kind="unlisted", path=name, detail="in the folder but not listed in the manifest")
        for name in sorted(present.keys() - listed.keys())
    ]
    for name in sorted(listed.keys() & present.keys()):
        expected, actual = listed[name], present[name]
        if isinstance(actual, ManifestProblem):
            problems.append(actual)
        elif expected != actual:
            detail = (
                f"SHA-256 {actual.sha256[:12]}.. ({actual.bytes} bytes), "
                f"manifest says {expected.sha256[:12]}.. ({expected.bytes} bytes)"
            )
            problems.append(ManifestProblem(kind="changed", path=name, detail=detail))
    return problems
