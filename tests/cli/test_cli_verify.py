"""``eng5 verify``: a run is what was written, and the file that is not is named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from pytest_eng5.evidence import checksum_of, json_bytes, write_manifest

Change = Callable[[Path], None]
ARTEFACT = "assessment_run.dry-run.json"
FILES = (ARTEFACT, "findings.json", "log.jsonl", "plan.json", "schemas/assessment_run.schema.json")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded session with one dry run and its plan, made once."""
    from pytest_eng5.cli import main

    folder = tmp_path_factory.mktemp("recorded")
    for name, grades in (("anchors", "AB"), ("students", "x")):
        (folder / name).mkdir()
        for grade in grades:
            (folder / name / f"essay_{grade}.txt").write_text(f"An essay, {grade}.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["eng5", "run", "--mode", "dry-run", "--inputs", "."])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code
    return (folder / ".eng5" / "latest").resolve()


@pytest.fixture
def session(recorded: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(recorded, tmp_path / "session", symlinks=True))


@pytest.fixture
def run(session: Path) -> Path:
    return session / "command_line" / "dry-run" / "run-1"


def one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


class TestAsWritten:
    """Exit status 0."""

    def test_a_run(self, eng5: Any, run: Path) -> None:
        said = eng5("verify", run)
        assert (said.code, said.err) == (0, "")
        assert (
            said.out == f"{run}:\n  5 files are as they were written, {ARTEFACT} with checksum and schema\n"
        )

    @pytest.mark.parametrize("levels", [0, 1, 2])
    def test_whatever_folder_above_it(self, eng5: Any, run: Path, levels: int) -> None:
        said = eng5("verify", run.parents[levels])
        assert said.code == 0
        assert str(run) in said.out

    def test_through_a_link(self, eng5: Any, session: Path) -> None:
        (session.parent / "latest").symlink_to(session)
        assert eng5("verify", session.parent / "latest").code == 0

    def test_a_plan_has_no_artefact(self, eng5: Any, session: Path) -> None:
        run = session / "command_line" / "plan" / "run-1"
        run.mkdir(parents=True)
        (run / "inventory.json").write_text("{}\n")
        write_manifest(run, run / "manifest.json")
        said = eng5("verify", session)
        assert said.code == 0
        assert "1 file is as it was written\n" in said.out


class TestChanged:
    """Exit status 1, and the name of the file."""

    @pytest.mark.parametrize("name", FILES)
    def test_one_byte_of_any_listed_file(self, eng5: Any, run: Path, name: str) -> None:
        listed = {entry["path"] for entry in json.loads((run / "manifest.json").read_text())["files"]}
        assert listed == set(FILES)
        one_byte(run / name)
        said = eng5("verify", run)
        assert said.code == 1
        assert f"changed   {name}: SHA-256 " in said.out

    @pytest.mark.parametrize("name", FILES)
    def test_any_listed_file_removed(self, eng5: Any, run: Path, name: str) -> None:
        (run / name).unlink()
        said = eng5("verify", run)
        assert said.code == 1
        assert f"missing   {name}: listed in the manifest but not in the folder" in said.out

    @pytest.mark.parametrize("name", ["notes.txt", ".hidden", "events/comparisons.jsonl"])
    def test_a_file_added(self, eng5: Any, run: Path, name: str) -> None:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("x")
        said = eng5("verify", run)
        assert said.code == 1
        assert f"unlisted  {name}: in the folder but not listed in the manifest" in said.out

    def test_a_link_to_nothing_is_a_file_added(self, eng5: Any, run: Path) -> None:
        (run / "link").symlink_to("/nowhere")
        assert "unlisted  link: " in eng5("verify", run).out

    def test_a_file_in_whose_place_is_a_folder(self, eng5: Any, run: Path) -> None:
        (run / "findings.json").unlink()
        (run / "findings.json").mkdir()
        assert "missing   findings.json: " in eng5("verify", run).out

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_a_file_that_may_not_be_read(self, eng5: Any, run: Path) -> None:
        (run / "findings.json").chmod(0)
        said = eng5("verify", run)
        assert said.code == 1
        assert "changed   findings.json: cannot be read: Permission denied" in said.out

    @pytest.mark.parametrize(("content", "state"), [(None, "is not there"), ("{", "is damaged")])
    def test_without_a_manifest(self, eng5: Any, run: Path, content: str | None, state: str) -> None:
        (run / "manifest.json").unlink()
        if content is not None:
            (run / "manifest.json").write_text(content)
        said = eng5("verify", run)
        assert said.code == 1
        assert f"missing   manifest.json: it {state}, so that no file can be verified" in said.out

    def test_one_run_of_many(self, eng5: Any, session: Path, run: Path) -> None:
        other = Path(shutil.copytree(run, run.with_name("run-2")))
        one_byte(other / "plan.json")
        said = eng5("verify", session)
        assert said.code == 1
        assert f"{run}:\n  5 files are as they were written" in said.out
        assert f"{other}:\n  changed   plan.json: " in said.out


class TestForged:
    """Whoever changes a file and writes the manifest anew is told by the artefact."""

    @pytest.fixture
    def forge(self, run: Path) -> Callable[..., Path]:
        """Changes the artefact, with or without a checksum that fits, and writes the manifest anew."""

        def change(edit: Callable[[dict[str, Any]], object], *, checksum: bool = True) -> Path:
            document = json.loads((run / ARTEFACT).read_text())
            edit(document)
            if checksum:
                document["validation"]["artefact_checksum"] = checksum_of(document)
            (run / ARTEFACT).write_bytes(json_bytes(document))
            write_manifest(run, run / "manifest.json")
            return run

        return change

    def test_the_checksum(self, eng5: Any, forge: Any) -> None:
        run = forge(lambda document: document["metadata"].update(language="sv"), checksum=False)
        said = eng5("verify", run)
        assert said.code == 1
        (line,) = said.out.splitlines()[1:]
        assert line.startswith(f"  checksum  {ARTEFACT}: its content is not what ")

    def test_the_checksum_of_the_old_stub_writer_counts(self, eng5: Any, forge: Any) -> None:
        def edit(document: dict[str, Any]) -> None:
            zeros = {**document["validation"], "artefact_checksum": "0" * 64}
            text = json.dumps({**document, "validation": zeros}, indent=2)
            document["validation"]["artefact_checksum"] = hashlib.sha256(text.encode()).hexdigest()

        assert eng5("verify", forge(edit, checksum=False)).code == 0

    def test_the_schema(self, eng5: Any, forge: Any, shell: Any, snapshot: SnapshotAssertion) -> None:
        def edit(document: dict[str, Any]) -> None:
            document["metadata"]["runner_mode"] = "guess"
            document["costs"]["total_usd"] = -1
            del document["inputs"]

        said = eng5("verify", forge(edit))
        assert said.code == 1
        assert shell.settled(said.out) == snapshot

    def test_a_schema_that_was_weakened_does_not_help(self, eng5: Any, forge: Any) -> None:
        run = forge(lambda document: document["costs"].update(total_usd=-1))
        (run / "schemas" / "assessment_run.schema.json").write_text("true\n")
        write_manifest(run, run / "manifest.json")
        said = eng5("verify", run)
        assert said.code == 1
        assert f"schema    {ARTEFACT}: breaks schema 1.1 at /costs/total_usd" in said.out

    def test_a_further_schema_in_the_folder_counts(self, eng5: Any, forge: Any, run: Path) -> None:
        schema = {"properties": {"metadata": {"required": ["git_sha", "school"]}}}
        (run / "schemas" / "assessment_run.1.0.schema.json").write_bytes(json_bytes(schema))
        said = eng5("verify", forge(lambda document: None))
        assert said.code == 1
        assert "breaks schemas/assessment_run.1.0.schema.json at /metadata: 'school'" in said.out

    @pytest.mark.parametrize("schema", ['{"type": 5}', "[", '{"$ref": "http://127.0.0.1:1/schema.json"}'])
    def test_a_schema_that_is_none(self, eng5: Any, forge: Any, run: Path, schema: str) -> None:
        (run / "schemas" / "assessment_run.1.0.schema.json").write_text(schema)
        said = eng5("verify", forge(lambda document: None))
        assert said.code == 1
        assert "schema    schemas/assessment_run.1.0.schema.json: is no JSON Schema" in said.out

    def test_a_version_that_nobody_knows(self, eng5: Any, forge: Any, run: Path) -> None:
        def edit(document: dict[str, Any]) -> None:
            document.pop("conforms_to", None)
            document["schema_version"] = "7.0.0"

        shutil.rmtree(run / "schemas")
        said = eng5("verify", forge(edit))
        assert "no schema is known for version '7.0.0'" in said.out

    @pytest.mark.parametrize("content", ["", "[]", '{"validation": 5}', '{"a":' * 5000])
    def test_what_is_no_artefact(self, eng5: Any, run: Path, content: str) -> None:
        (run / ARTEFACT).write_text(content)
        write_manifest(run, run / "manifest.json")
        said = eng5("verify", run)
        assert said.code == 1
        assert f"schema    {ARTEFACT}: is no JSON document of an artefact" in said.out

    def test_an_event_log_changed_with_its_manifest(self, eng5: Any, forge: Any, run: Path) -> None:
        log = run / "events" / "comparisons.jsonl"
        log.parent.mkdir()
        log.write_text('{"offset": 1}\n')
        entry = {
            "path": "events/comparisons.jsonl",
            "sha256": hashlib.sha256(log.read_bytes()).hexdigest(),
            "bytes": log.stat().st_size,
        }
        forge(lambda document: document["validation"].update(manifest=[entry]))
        assert eng5("verify", run).code == 0
        one_byte(log)
        write_manifest(run, run / "manifest.json")
        said = eng5("verify", run)
        assert said.code == 1
        assert "recorded  events/comparisons.jsonl: " in said.out
        log.unlink()
        write_manifest(run, run / "manifest.json")
        assert "it is not in manifest.json" in eng5("verify", run).out


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "does not exist"), ("file.txt", "is not a folder"), ("empty", "holds no recorded run")],
)
def test_where_no_run_is(eng5: Any, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    said = eng5("verify", name)
    assert (said.code, said.out) == (2, "")
    assert f"{name}: {message}" in said.err
    assert "fix: name the folder of a run" in said.err
