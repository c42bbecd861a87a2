"""The manifest names every file with its hash, and verification names every difference."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import (
    EvidenceError,
    ManifestProblem,
    RunFolder,
    hash_files,
    read_manifest,
    verify,
    write_manifest,
)


@pytest.fixture
def manifest(run_folder: Path) -> Path:
    """The manifest of a recorded run."""
    path = RunFolder(run_folder).manifest
    write_manifest(run_folder, path)
    return path


def _verify(run_folder: Path) -> list[tuple[str, str]]:
    return [(problem.kind, problem.path) for problem in verify(run_folder, run_folder / "manifest.json")]


def test_every_other_file_is_listed_with_its_hash(run_folder: Path, manifest: Path) -> None:
    document = json.loads(manifest.read_bytes())
    assert document["schema_version"] == "1.0.0"
    assert document["files"] == [
        {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for path, data in sorted(
            (file.relative_to(run_folder).as_posix(), file.read_bytes())
            for file in run_folder.rglob("*")
            if file.is_file() and file != manifest
        )
    ]
    assert [entry["path"] for entry in document["files"]] == [
        "events/assessment_results.jsonl",
        "events/comparisons.jsonl",
        "events/completions.jsonl",
        "plan.json",
        "requests/els_cj_assessment_request.json",
    ]


def test_an_untouched_run_has_no_problem(run_folder: Path, manifest: Path) -> None:
    assert verify(run_folder, manifest) == []


def test_writing_again_changes_nothing(run_folder: Path, manifest: Path) -> None:
    before = manifest.read_bytes()
    write_manifest(run_folder, manifest)
    assert manifest.read_bytes() == before
    assert read_manifest(manifest) == write_manifest(run_folder, manifest)


FILES = [
    "events/comparisons.jsonl",
    "events/assessment_results.jsonl",
    "events/completions.jsonl",
    "plan.json",
    "requests/els_cj_assessment_request.json",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("at", [0, 0.5, -1])
def test_one_changed_byte_names_the_file(name: str, at: float, run_folder: Path, manifest: Path) -> None:
    path = run_folder / name
    data = bytearray(path.read_bytes())
    data[int(at * len(data)) if at >= 0 else -1] ^= 1
    path.write_bytes(data)
    assert _verify(run_folder) == [("changed", name)]


@pytest.mark.parametrize("name", FILES)
def test_a_removed_file_is_missing(name: str, run_folder: Path, manifest: Path) -> None:
    (run_folder / name).unlink()
    assert _verify(run_folder) == [("missing", name)]


@pytest.mark.parametrize("name", ["events/extra.jsonl", "a.txt", "deep/down/b", ".hidden"])
def test_an_added_file_is_unlisted(name: str, run_folder: Path, manifest: Path) -> None:
    (run_folder / name).parent.mkdir(parents=True, exist_ok=True)
    (run_folder / name).touch()
    assert _verify(run_folder) == [("unlisted", name)]


def test_all_problems_are_reported_together(run_folder: Path, manifest: Path) -> None:
    (run_folder / FILES[0]).unlink()
    (run_folder / "z.txt").touch()
    (run_folder / "a.txt").touch()
    with (run_folder / "plan.json").open("ab") as file:
        file.write(b" ")
    assert _verify(run_folder) == [
        ("missing", FILES[0]),
        ("unlisted", "a.txt"),
        ("unlisted", "z.txt"),
        ("changed", "plan.json"),
    ]


def test_a_renamed_file_is_missing_and_unlisted(run_folder: Path, manifest: Path) -> None:
    (run_folder / "plan.json").rename(run_folder / "plan2.json")
    assert _verify(run_folder) == [("missing", "plan.json"), ("unlisted", "plan2.json")]


def test_a_change_is_told_with_both_hashes_and_sizes(run_folder: Path, manifest: Path) -> None:
    (run_folder / "plan.json").write_bytes(b"")
    (problem,) = verify(run_folder, manifest)
    assert isinstance(problem, ManifestProblem)
    assert "e3b0c44298fc" in problem.detail
    assert "(0 bytes)" in problem.detail
    assert "manifest says" in problem.detail


def test_a_changed_hash_in_the_manifest_is_seen(run_folder: Path, manifest: Path) -> None:
    document = json.loads(manifest.read_bytes())
    document["files"][0]["sha256"] = "0" * 64
    document["files"][1]["bytes"] += 1
    manifest.write_text(json.dumps(document))
    assert _verify(run_folder) == [("changed", FILES[1]), ("changed", FILES[0])]


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"files": [{"path": "a", "sha256": "short", "bytes": 1}]}',
        b'{"files": [{"path": "a", "sha256": "' + b"0" * 64 + b'", "bytes": -1}]}',
    ],
)
def test_an_unreadable_manifest_says_where(content: bytes | None, run_folder: Path, manifest: Path) -> None:
    manifest.unlink()
    if content is not None:
        manifest.write_bytes(content)
    with pytest.raises(EvidenceError) as caught:
        verify(run_folder, manifest)
    assert caught.value.where == str(manifest)
    assert caught.value.fix
    assert isinstance(caught.value, Eng5Error)


def test_a_large_file_is_hashed_in_blocks(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096 * 3 + b"rest"
    (tmp_path / "large").write_bytes(data)
    (entry,) = hash_files(tmp_path, [tmp_path / "large"])
    assert (entry.path, entry.bytes) == ("large", len(data))
    assert entry.sha256 == hashlib.sha256(data).hexdigest()


names = st.text("abcXYZ012-_.", min_size=1, max_size=6).filter(lambda name: name.strip("."))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(files=st.dictionaries(names, st.binary(max_size=30), min_size=1, max_size=6), data=st.data())
def test_any_folder_verifies_until_a_file_changes(
    files: dict[str, bytes], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("folder")
    for name, content in files.items():
        (root / f"f{name}").write_bytes(content)
    written = write_manifest(root, root / "manifest.json")
    assert [entry.path for entry in written.files] == sorted(f"f{name}" for name in files)
    assert verify(root, root / "manifest.json") == []
    victim = f"f{data.draw(st.sampled_from(sorted(files)))}"
    (root / victim).write_bytes((root / victim).read_bytes() + b"x")
    assert _verify(root) == [("changed", victim)]


def test_a_link_to_nothing_is_unlisted_and_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("x")
    write_manifest(tmp_path, tmp_path / "manifest.json")
    (tmp_path / "link").symlink_to("/nowhere/at/all")
    (tmp_path / "folder").symlink_to(tmp_path.parent, target_is_directory=True)
    problems = verify(tmp_path, tmp_path / "manifest.json")
    assert [(problem.kind, problem.path) for problem in problems] == [
        ("unlisted", "folder"),
        ("unlisted", "link"),
    ]


def test_a_listed_file_that_cannot_be_read_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept.txt").write_text("x")
    write_manifest(tmp_path, tmp_path / "manifest.json")
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name == "kept.txt":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    (problem,) = verify(tmp_path, tmp_path / "manifest.json")
    assert (problem.kind, problem.path) == ("changed", "kept.txt")
    assert problem.detail == "cannot be read: Permission denied"
