"""Prompts, rubrics and inputs folders that a scenario names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.scenario import ScenarioError, load_scenario
from pytest_eng5.scenario.files import near_names
from pytest_eng5.scenario.loading import MAX_SCENARIO_BYTES
from pytest_eng5.scenario.textfile import MAX_TEXT_BYTES, position_at, read_text


@pytest.mark.parametrize(("key", "what"), [("system_prompt", "the system prompt"), ("rubric", "the rubric")])
def test_a_missing_file_names_the_path_and_what_is_like_it(
    workspace: Any, minimal: str, key: str, what: str
) -> None:
    error = workspace.error(f"{minimal}    {key}: prompts/system/001_baselin.txt\n")
    assert error.message == f"{what} prompts/system/001_baselin.txt does not exist"
    assert error.hint == "did you mean 001_baseline.txt? (in prompts/system)"
    assert (error.line, error.column) == (5, 5 + len(key) + 2)


def test_a_missing_folder_is_what_the_hint_is_about(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}    rubric: promtps/rubric/001_baseline.txt\n")
    assert error.message == "the rubric promtps/rubric/001_baseline.txt does not exist"
    assert error.hint == "did you mean prompts? (in .)"


def test_a_name_like_nothing_gets_what_is_there(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}    rubric: prompts/rubric/zzz\n")
    assert error.hint == "prompts/rubric has 001_baseline.txt, 003_language_control.txt"


def test_a_file_where_a_folder_is_meant_does_not_exist(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}    rubric: prompts/rubric/001_baseline.txt/x\n")
    assert "does not exist" in error.message


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b" \n\t\r\n", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"good\ncaf\xe9\n", "is not UTF-8: byte 0xe9 cannot be decoded (line 2, column 4)"),
        ("über".encode("utf-16"), "is UTF-16 or UTF-32 text, not UTF-8"),
        (b"x" * (MAX_TEXT_BYTES + 1), "is larger than 1024 KiB"),
    ],
    ids=["empty", "blank", "only a mark", "latin-1", "utf-16", "huge"],
)
@pytest.mark.parametrize("key", ["system_prompt", "rubric"])
def test_a_text_that_cannot_be_used_is_refused_at_the_value(
    workspace: Any, minimal: str, key: str, content: bytes, complaint: str
) -> None:
    workspace.put("bad.txt", content)
    error = workspace.error(f"{minimal}    {key}: bad.txt\n")
    assert error.message.endswith(f"bad.txt {complaint}")
    assert error.path == workspace.root / "a.eng5.yaml"
    assert (error.line, error.column) == (5, 5 + len(key) + 2)


def test_a_folder_is_no_prompt(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}    rubric: prompts\n")
    assert error.message == "the rubric prompts is not a regular file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("key", ["rubric", "system_prompt"])
def test_a_pipe_is_refused_without_waiting(workspace: Any, minimal: str, key: str) -> None:
    os.mkfifo(workspace.root / "pipe")
    assert "is not a regular file" in workspace.error(f"{minimal}    {key}: pipe\n").message


def test_a_name_that_no_file_system_takes_is_refused(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}    rubric: {'x' * 900}\n")
    assert "cannot be read" in error.message


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "full.txt"
    path.write_bytes(b"x" * MAX_TEXT_BYTES)
    assert len(read_text(path)) == MAX_TEXT_BYTES


def test_an_inputs_name_that_no_file_system_takes_is_refused(workspace: Any, minimal: str) -> None:
    error = workspace.error(minimal.replace("role_models", "x" * 900))
    assert error.message.startswith("the inputs folder xxx")
    assert error.message.endswith(" does not exist")


def test_a_prompt_may_have_a_byte_order_mark_and_any_line_ends(workspace: Any, minimal: str) -> None:
    workspace.put("odd.txt", b"\xef\xbb\xbfCompare.\r\nThen decide.\r")
    assert workspace.load(f"{minimal}    rubric: odd.txt\n").variants[0].rubric == workspace.root / "odd.txt"


def test_one_bad_file_is_reported_at_every_place_that_names_it(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}    rubric: no.txt\n  - id: b\n    rubric: no.txt\n")
    assert [(p.location.line, p.message) for p in error.problems] == [
        (5, "the rubric no.txt does not exist"),
        (7, "the rubric no.txt does not exist"),
    ]


def test_a_bad_file_of_the_whole_scenario_is_reported_once(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}  - id: b\n  - id: c\nrubric: no.txt\n")
    assert len(error.problems) == 1
    assert error.line == 7


def test_a_missing_inputs_folder_suggests_one(workspace: Any, minimal: str) -> None:
    error = workspace.error(minimal.replace("role_models", "role_modles"))
    assert str(error) == (
        "a.eng5.yaml:2:9: the inputs folder role_modles does not exist\n"
        "  fix: did you mean role_models? (in .)"
    )


def test_a_file_is_no_inputs_folder(workspace: Any, minimal: str) -> None:
    error = workspace.error(minimal.replace("role_models", "a.eng5.yaml"))
    assert error.message == "the inputs folder a.eng5.yaml is not a folder"


@pytest.mark.parametrize(("names", "held"), [([], "no anchors"), (["x_A.txt"], "one anchor")])
def test_a_comparison_needs_two_anchors(workspace: Any, minimal: str, names: list[str], held: str) -> None:
    (workspace.root / "few/anchors").mkdir(parents=True)
    for name in names:
        workspace.put(f"few/anchors/{name}", "text")
    error = workspace.error(minimal.replace("role_models", "few"))
    assert error.message == f"the inputs folder few holds {held}; a comparison needs 2"
    assert (error.line, error.column) == (2, 9)


def test_problems_of_anchors_are_reported_where_they_are(workspace: Any, minimal: str) -> None:
    workspace.put("role_models/anchors.csv", "anchor_id,file_name,grade\nx,essay_01_A.txt,Q\n")
    error = workspace.error(f"{minimal}    rubric: no.txt\n")
    text = str(error)
    assert "role_models/anchors.csv:2:18: unknown grade 'Q'" in text
    assert "a.eng5.yaml:5:13: the rubric no.txt does not exist" in text


def test_inputs_shared_by_variants_are_read_once(
    workspace: Any, minimal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    from pytest_eng5.scenario import files

    real = files.read_anchors
    monkeypatch.setattr(files, "read_anchors", lambda path: calls.append(path) or real(path))
    workspace.load(minimal + "".join(f"  - id: v{i}\n" for i in range(20)))
    assert calls == [workspace.root / "role_models"]


def test_a_scenario_file_that_is_not_there(workspace: Any) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(Path("none.eng5.yaml"))
    assert str(caught.value) == (
        "none.eng5.yaml:1:1: cannot be read: No such file or directory\n"
        "  fix: check that it exists and may be read"
    )


def test_a_scenario_file_that_is_a_folder(workspace: Any) -> None:
    with pytest.raises(ScenarioError, match="is not a regular file"):
        load_scenario(workspace.root / "prompts")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user without all rights")
def test_a_scenario_file_that_may_not_be_read(workspace: Any, minimal: str) -> None:
    path = workspace.put("secret.eng5.yaml", minimal)
    path.chmod(0)
    with pytest.raises(ScenarioError, match="cannot be read: Permission denied"):
        load_scenario(path)


@pytest.mark.parametrize(
    ("content", "line", "column", "message"),
    [
        (b"", 1, 1, "the file is empty"),
        (b"# nothing\n", 1, 1, "the file is empty"),
        (b"\xef\xbb\xbf", 1, 1, "the file is empty"),
        (b"- a\n- b\n", 1, 1, "a scenario file is a mapping of keys to values"),
        (b"\n\njust text\n", 3, 1, "a scenario file is a mapping of keys to values"),
        (b"null\n", 1, 1, "a scenario file is a mapping of keys to values"),
        (b"scenario: x\ninputs: caf\xe9\n", 2, 12, "is not UTF-8: byte 0xe9 cannot be decoded"),
        ("scénario".encode() + b": \xff\n", 1, 11, "is not UTF-8: byte 0xff cannot be decoded"),
        (b"\xef\xbb\xbf\xff", 1, 1, "is not UTF-8: byte 0xff cannot be decoded"),
        ("scenario: x".encode("utf-16"), 1, 1, "is UTF-16 or UTF-32 text, not UTF-8"),
        ("scenario: x".encode("utf-32"), 1, 1, "is UTF-16 or UTF-32 text, not UTF-8"),
        (b"scenario: x\n\tinputs: y\n", 2, 1, "a tab cannot start a value or indent a line"),
        (b"scenario: x\n---\nscenario: y\n", 2, 1, "a second document starts here"),
        (b"#" * (MAX_SCENARIO_BYTES + 1), 1, 1, f"is larger than {MAX_SCENARIO_BYTES // 1024} KiB"),
    ],
)
def test_files_that_are_no_scenario_at_all(
    workspace: Any, content: bytes, line: int, column: int, message: str
) -> None:
    error = workspace.error(content)
    assert (error.message, error.line, error.column) == (message, line, column)


def test_a_byte_order_mark_and_windows_line_ends_do_not_move_positions(workspace: Any, example: str) -> None:
    windows = b"\xef\xbb\xbf" + example.replace("\n", "\r\n").encode()
    unix = workspace.load(example).variants
    assert [v.location for v in workspace.load(windows).variants] == [v.location for v in unix]
    wrong = windows.replace(b"temperature: 0.1", b"temperature: hot")
    error = workspace.error(wrong)
    assert (error.line, error.column) == (11, 16)


def test_positions_count_every_kind_of_line_end() -> None:
    text = "a\r\nb\rc\nde"
    assert [position_at(text, offset) for offset in (0, 3, 5, 7, 8)] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 1),
        (4, 2),
    ]


def test_text_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffå\r\nb\r".encode())
    assert read_text(path) == "å\r\nb\r"


def test_near_names_of_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "void").mkdir()
    assert near_names(tmp_path / "void" / "x.txt") == "void is empty"


def test_near_names_are_cut_when_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(9):
        (tmp_path / f"n{number}").touch()
    (tmp_path / ".hidden").touch()
    assert near_names(tmp_path / "zzz.txt") == ". has n0, n1, n2, n3, n4, n5, ..."
