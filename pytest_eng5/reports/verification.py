"""Is a recorded run still what was written? Manifest, checksum and schema, without judging anything anew.

Four witnesses: the manifest lists every file with its SHA-256; the artefact holds the SHA-256 of itself; it
lists what was recorded before it was written; and it satisfies the schemas that stand beside it and those of
this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from pytest_eng5.checks.schema import breaches, validator
from pytest_eng5.errors import UsageError
from pytest_eng5.evidence import (
    EvidenceError,
    Manifest,
    ManifestProblem,
    RunFolder,
    artefact_1_0_json_schema,
    artefact_json_schema,
    read_document,
    read_manifest,
    verify,
)
from pytest_eng5.evidence.artefact import states_its_checksum

__all__ = ["PACKAGE_SCHEMAS", "Verified", "verify_recorded", "verify_run"]

Schema = Mapping[str, Any]
PACKAGE_SCHEMAS: Mapping[str, Schema] = {
    "1.0": artefact_1_0_json_schema(),
    "1.1": artefact_json_schema(),
}
"""Schemas of artefacts by the first two parts of their version."""

_MARKS = ("manifest.json", "plan.json", "inventory.json")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found about one run folder.

    Attributes:
        root: The folder.
        problems: What is not as it was written, by kind: of the manifest ``changed``, ``missing`` and
            ``unlisted``, of the artefact ``checksum``, ``recorded`` and ``schema``.
        files: Number of files that the manifest lists.
        artefacts: Names of the artefacts looked at; mode ``plan`` has none.
    """

    root: Path
    problems: tuple[ManifestProblem, ...]
    files: int = 0
    artefacts: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """For people."""
        for problem in self.problems:
            yield f"{problem.kind:9} {problem.path}: {problem.detail}"
        if not self.problems:
            also = f", {', '.join(self.artefacts)} with checksum and schema" if self.artefacts else ""
            files = "1 file is as it was" if self.files == 1 else f"{self.files} files are as they were"
            yield f"{files} written{also}"


def verify_recorded(path: Path, schemas: Mapping[str, Schema] = PACKAGE_SCHEMAS) -> list[Verified]:
    """Verify a run folder, or every run below a variant's, a session's or the output folder.

    Raises:
        UsageError: There is no such folder, or no run in it.
    """
    fix = "name the folder of a run, such as .../baseline/run-1, or of a session, such as .eng5/latest"
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise UsageError(what, where=str(path), fix=fix)
    folders = _run_folders(path.resolve())
    if not folders:
        raise UsageError("holds no recorded run", where=str(path), fix=fix)
    return [verify_run(folder, schemas) for folder in folders]


def _run_folders(path: Path) -> list[Path]:
    if any((path / mark).exists() for mark in _MARKS):
        return [path]
    return sorted({found.parent for mark in _MARKS for found in path.rglob(mark)})


def verify_run(root: Path, schemas: Mapping[str, Schema] = PACKAGE_SCHEMAS) -> Verified:
    """Verify one run folder.

    Args:
        root: The folder.
        schemas: Of artefacts by version, beside those that stand in the folder itself.
    """
    folder = RunFolder(root)
    artefacts = sorted(root.glob("assessment_run.*.json"))
    names = tuple(artefact.name for artefact in artefacts)
    try:
        manifest = read_manifest(folder.manifest)
        problems = verify(root, folder.manifest)
    except EvidenceError:
        state = "is damaged" if folder.manifest.exists() else "is not there"
        detail = f"it {state}, so that no file can be verified: the run was killed, or somebody removed it"
        problem = ManifestProblem(kind="missing", path=folder.manifest.name, detail=detail)
        return Verified(root, (problem, *_artefacts(artefacts, None, schemas)), artefacts=names)
    found = _artefacts(artefacts, manifest, schemas)
    return Verified(root, (*problems, *found), len(manifest.files), names)


def _artefacts(
    paths: Iterable[Path], manifest: Manifest | None, schemas: Mapping[str, Schema]
) -> Iterator[ManifestProblem]:
    for path in paths:
        document = read_document(path)
        if not isinstance(document, dict) or not isinstance(document.get("validation"), dict):
            yield ManifestProblem(kind="schema", path=path.name, detail="is no JSON document of an artefact")
            continue
        if not states_its_checksum(document):
            detail = "its content is not what its validation.artefact_checksum was computed over"
            yield ManifestProblem(kind="checksum", path=path.name, detail=detail)
        if manifest is not None:
            yield from _recorded(document, manifest, path.name)
        yield from _shape(document, path, schemas)


def _recorded(document: Schema, manifest: Manifest, name: str) -> Iterator[ManifestProblem]:
    """What the artefact lists must be in the manifest with the same sums, whoever wrote that anew."""
    sums = {entry.path: entry.sha256 for entry in manifest.files}
    listed = document["validation"].get("manifest")
    for entry in listed if isinstance(listed, list) else ():
        path = entry.get("path") if isinstance(entry, dict) else None
        if path is not None and sums.get(path) != entry.get("sha256"):
            state = "has another SHA-256 in" if path in sums else "is not in"
            detail = f"{name} lists it as recorded, but it {state} manifest.json: that was written anew"
            yield ManifestProblem(kind="recorded", path=str(path), detail=detail)


def _shape(document: Schema, artefact: Path, schemas: Mapping[str, Schema]) -> Iterator[ManifestProblem]:
    """Where it breaks the schemas that stand beside it, and those of this package for its versions."""
    against = _against(document, artefact.parent, schemas)
    if not against:
        detail = f"no schema is known for version {document.get('schema_version')!r}"
        yield ManifestProblem(kind="schema", path=artefact.name, detail=detail)
    told: set[tuple[str, str]] = set()
    for name, schema in against.items():
        try:
            Draft202012Validator.check_schema(schema)
            wrong = [found for found in breaches(document, validator(schema)) if found not in told]
        except (SchemaError, Unresolvable):
            yield ManifestProblem(kind="schema", path=name, detail="is no JSON Schema that can be used")
            continue
        told.update(wrong)
        yield from (_broken(artefact.name, name, pointer, what) for pointer, what in wrong[:_SHOWN])
        if len(wrong) > _SHOWN:
            detail = f"breaks {name} in {len(wrong) - _SHOWN} more places"
            yield ManifestProblem(kind="schema", path=artefact.name, detail=detail)


def _broken(artefact: str, schema: str, pointer: str, what: str) -> ManifestProblem:
    detail = f"breaks {schema} at {pointer or 'its root'}: {what}"
    return ManifestProblem(kind="schema", path=artefact, detail=detail)


def _against(document: Schema, root: Path, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """Schemas by name; one that stands beside the artefact as it is in this package is taken once."""
    beside = {f"schemas/{path.name}": read_document(path) for path in _schema_files(root)}
    ours = {f"schema {version}": schemas[version] for version in _versions(document) if version in schemas}
    found: dict[str, Any] = {}
    for name, schema in (*beside.items(), *ours.items()):
        if schema not in found.values():
            found[name] = schema
    return found


def _schema_files(root: Path) -> list[Path]:
    return sorted((root / "schemas").glob("assessment_run*.schema.json"))


def _versions(document: Schema) -> list[str]:
    """The versions that the artefact is written for, as ``1.1``."""
    named = document.get("conforms_to")
    versions = [document.get("schema_version"), *(named if isinstance(named, list) else ())]
    return list(dict.fromkeys(".".join(str(version).split(".")[:2]) for version in versions))
