"""What the integrity of a run folder is said to be: every sentence, and both conventions of a checksum."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.checks.manifest import check_checksum, check_files, check_manifest
from pytest_eng5.evidence import Finding, RunEvidence, checksum_of, json_bytes, load_evidence

ARTEFACT = "assessment_run.anchor-align-test.json"
ALTERED = "the artefact was altered after the run; the event logs do not depend on it: judge them again"


def said(findings: list[Finding]) -> list[tuple[str, str, str | None, str | None]]:
    return [(f"{f.code} {f.severity}", f.message, f.hint, f.evidence) for f in findings]


@pytest.mark.parametrize("blank", ["", "0" * 64], ids=["our checksum", "the old stub writer's"])
@pytest.mark.parametrize("again", [False, True], ids=["as written", "written anew"])
def test_a_folder_that_nobody_touched(run: Any, blank: str, again: bool) -> None:
    """The checksum is that of the bytes or, where a tool wrote them anew, that of the content."""
    run.write()
    document = json.loads(run.artefact.read_bytes())
    document["validation"]["artefact_checksum"] = checksum_of(document, blank)
    run.artefact.write_bytes(json.dumps(document).encode() if again else json_bytes(document))
    run.rewrite_manifest()
    assert check_manifest(load_evidence(run.root)) == []


def test_both_parts_are_told(run: Any) -> None:
    evidence = altered(run, lambda text: text.replace('"theta": 0.0', '"theta": 0.1'))
    assert [found.code for found in check_manifest(evidence)] == ["MANIFEST-HASH", "ARTEFACT-CHECKSUM"]


def test_each_file_that_differs_from_the_manifest_is_named(run: Any) -> None:
    evidence = run.load()
    run.folder.plan.write_bytes(run.folder.plan.read_bytes() + b" ")
    run.folder.findings.unlink()
    (run.root / "notes.txt").write_text("x")
    sizes = run.folder.plan.stat().st_size
    lost, more, changed = said(list(check_files(evidence)))
    assert lost == (
        "MANIFEST-MISSING error",
        "findings.json: listed in the manifest but not in the folder",
        "the file was removed after the run: restore it, or run again",
        "findings.json",
    )
    assert more == (
        "MANIFEST-UNLISTED error",
        "notes.txt: in the folder but not listed in the manifest",
        "keep notes outside the run folder; if the file belongs to the run, the manifest is outdated",
        "notes.txt",
    )
    assert (changed[0], changed[2:]) == (
        "MANIFEST-HASH error",
        ("the file was altered after the run: restore it, or run again", "plan.json"),
    )
    assert changed[1].startswith("plan.json: SHA-256 ")
    assert f".. ({sizes} bytes), manifest says " in changed[1]
    assert changed[1].endswith(f".. ({sizes - 1} bytes)")


def remove(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    path.write_text("{")


@pytest.mark.parametrize(("spoil", "state"), [(remove, "is absent"), (damage, "is damaged")])
def test_nothing_is_verified_without_a_manifest(run: Any, spoil: Callable[[Path], None], state: str) -> None:
    evidence = run.load()
    spoil(run.folder.manifest)
    assert said(list(check_files(evidence))) == [without_a_manifest(state)]


def test_what_the_system_says_is_quoted(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails while the folder is read."""

    def fails(root: Path, manifest: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pytest_eng5.checks.manifest.verify", fails)
    state = "or a file cannot be read ([Errno 5] Input/output error)"
    assert said(list(check_files(run.load()))) == [without_a_manifest(state)]


def without_a_manifest(state: str) -> tuple[str, str, str, str]:
    return (
        "MANIFEST-MISSING error",
        f"manifest.json {state}, so that no file can be verified",
        "without a readable manifest nothing is proven about the files: run again",
        "manifest.json",
    )


def altered(run: Any, change: Callable[[str], str]) -> RunEvidence:
    """Edit the text of the artefact."""
    run.write()
    ending = load_evidence(run.root).ending
    run.artefact.write_text(change(run.artefact.read_text()))
    return load_evidence(run.root, ending)


def stating(checksum: str) -> Callable[[str], str]:
    """Put something else in the place of the checksum."""

    def change(text: str) -> str:
        own = json.loads(text)["validation"]["artefact_checksum"]
        return text.replace(f'"{own}"', checksum)

    return change


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (stating('""'), "has no checksum"),
        (stating("null"), "has no checksum"),
        (lambda text: text.replace('"artefact_checksum"', '"other"'), "has no checksum"),
        (stating(f'"{"0" * 64}"'), "does not have the checksum that it states"),
        (stating('"x"'), "does not have the checksum that it states"),
        (stating("3"), "does not have the checksum that it states"),
        (
            lambda text: text.replace('"theta": 0.0', '"theta": 0.1'),
            "does not have the checksum that it states",
        ),
        # Damage inside of the list of comparisons: the parts around it can be read, the whole cannot.
        (
            lambda text: text.replace('"sequence": 3', '"sequence": ?'),
            "does not have the checksum that it states",
        ),
    ],
    ids=["empty", "null", "left out", "zeros", "a word", "a number", "a figure altered", "a row damaged"],
)
def test_an_artefact_that_is_not_what_was_written(run: Any, change: Callable[[str], str], state: str) -> None:
    (found,) = check_checksum(altered(run, change))
    assert (found.code, found.severity, found.check) == ("ARTEFACT-CHECKSUM", "error", "manifest")
    assert (found.message, found.hint) == (f"the artefact {state}", ALTERED)
    assert (found.field, found.evidence) == ("/validation/artefact_checksum", ARTEFACT)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"validation": 3}', '{"validation": []}'])
def test_what_is_no_artefact_is_left_to_another_check(run: Any, text: str) -> None:
    assert list(check_checksum(altered(run, lambda _: text))) == []


def test_an_artefact_that_is_gone_has_no_checksum_to_check(run: Any) -> None:
    run.write()
    ending = load_evidence(run.root).ending
    run.artefact.unlink()
    assert list(check_checksum(load_evidence(run.root, ending))) == []
