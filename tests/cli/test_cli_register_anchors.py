"""``eng5 register-anchors``: inputs told together, what was forgotten told, nothing sent in a dry run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from syrupy.assertion import SnapshotAssertion

A = "0f8fad5b-d9cb-469f-a165-70867728950e"
KEY = {"JWT_SECRET_KEY": "a secret of the tests, long enough for HS256"}
ESSAY = "A place I know well is the harbour, where my grandfather mended nets. " * 3
GRADES = ("A", "B", "C+", "E-")
Make = Callable[..., Path]


@pytest.fixture
def essays(tmp_path: Path) -> Make:
    """Makes a folder of anchors, graded by their names."""

    def make(*grades: str, name: str = "anchor_essays") -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for number, grade in enumerate(grades or GRADES, start=1):
            (folder / f"essay_{number}_{grade}.txt").write_text(f"{ESSAY}({number})\n")
        return folder

    return make


def posts(cj: Any) -> list[Any]:
    return [seen for seen in cj.seen if seen.method == "POST"]


class TestRegistered:
    """Anchors that arrive."""

    @pytest.mark.parametrize("answers", ["intended", "actual"])
    def test_all_are_confirmed(
        self, eng5: Any, cj: Any, essays: Make, shell: Any, answers: str, snapshot: SnapshotAssertion
    ) -> None:
        cj.catch_all = cj.rfc_dates = answers == "actual"
        cj.add(A)
        said = eng5("register-anchors", A, "--anchor-dir", essays(), CJ_SERVICE_URL=cj.url, **KEY)
        assert said.code == 0, said
        assert shell.settled(said.out) == snapshot(name="all_are_confirmed")
        assert sorted(said.err.split()[0::2]) == ["1/4", "2/4", "3/4", "4/4"]
        assert {(each["anchor_label"], each["grade"]) for each in cj.tables.anchors} == {
            (f"essay_{number}_{grade}", grade) for number, grade in enumerate(GRADES, start=1)
        }

    def test_a_table_beside_the_folder_gives_labels_and_grades(
        self, eng5: Any, cj: Any, essays: Make, tmp_path: Path
    ) -> None:
        cj.add(A)
        folder = essays("A", "B", name="anchors")
        table = "ANCHOR-ID;FILE-NAME;pred_mode_grade\nfirst;essay_1_A.txt;C-\nsecond;essay_2_B.txt;F+\n"
        (tmp_path / "anchors.csv").write_text(f"\ufeff{table}")
        for given in (folder, tmp_path):
            cj.tables.anchors.clear()
            said = eng5("register-anchors", A, "--anchor-dir", given, CJ_SERVICE_URL=cj.url, **KEY)
            assert said.code == 0, said
            assert [(each["anchor_label"], each["grade"]) for each in cj.tables.anchors] == [
                ("first", "C-"),
                ("second", "F+"),
            ]

    def test_a_workbook(self, eng5: Any, cj: Any, essays: Make, tmp_path: Path) -> None:
        cj.add(A)
        essays("A", name="anchors")
        book = Workbook()
        book.active.append(["anchor_id", "file_name", "grade"])
        book.active.append(["from the sheet", "essay_1_A.txt", "E+"])
        book.save(tmp_path / "anchors.xlsx")
        said = eng5("register-anchors", A, "--anchor-dir", tmp_path, CJ_SERVICE_URL=cj.url, **KEY)
        assert said.code == 0, said
        assert [(each["anchor_label"], each["grade"]) for each in cj.tables.anchors] == [
            ("from the sheet", "E+")
        ]

    def test_anchors_that_were_there_before_are_told(self, eng5: Any, cj: Any, essays: Make) -> None:
        cj.add(A)
        cj.register({"assignment_id": A, "anchor_label": "old", "grade": "D+", "essay_text": ESSAY})
        said = eng5("register-anchors", A, "--anchor-dir", essays(), CJ_SERVICE_URL=cj.url, **KEY)
        assert said.code == 0
        assert "note: the assignment has further anchors, which runs use as well: old (D+)" in said.out

    def test_lock_files_are_passed_over_and_told(self, eng5: Any, cj: Any, essays: Make) -> None:
        cj.add(A)
        folder = essays("A")
        (folder / "~$essay_1_A.docx").write_text("lock")
        said = eng5("register-anchors", A, "--anchor-dir", folder, CJ_SERVICE_URL=cj.url, **KEY)
        assert said.code == 0
        assert said.err.startswith("notice: anchor_essays/~$essay_1_A.docx:1:1: ")
        assert len(cj.tables.anchors) == 1

    @pytest.mark.slow
    def test_on_the_reference_pipeline(self, eng5: Any, stack: Any, essays: Make) -> None:
        assignment, folder = stack.assignment(), essays()
        for before in (0, 4):
            said = eng5("register-anchors", assignment, "--anchor-dir", folder, **stack.variables, **KEY)
            assert said.code == 0, said
            assert f"{before} anchors so far" in said.out
            assert said.out.splitlines()[-1] == "4 confirmed; the assignment now has 4"


class TestDryRun:
    """``--dry-run``."""

    def test_what_would_be_registered(
        self, eng5: Any, cj: Any, essays: Make, shell: Any, snapshot: SnapshotAssertion
    ) -> None:
        cj.add(A)
        cj.register({"assignment_id": A, "anchor_label": "essay_2_B", "grade": "C-", "essay_text": ESSAY})
        said = eng5(
            "register-anchors", A, "--anchor-dir", essays(), "--dry-run", CJ_SERVICE_URL=cj.url, **KEY
        )
        assert (said.code, said.err) == (0, "")
        assert shell.settled(said.out) == snapshot
        assert posts(cj) == []

    def test_the_essays_are_told_although_nobody_answers(self, eng5: Any, essays: Make) -> None:
        arguments = ("--anchor-dir", essays("A"), "--dry-run", "--cj-service-url", "http://127.0.0.1:1")
        said = eng5("register-anchors", A, *arguments, **KEY)
        assert said.code == 4
        assert "A   essay_1_A  " in said.out
        assert "not compared with the service" in said.out
        assert "--cj-service-url" in said.err


class TestRefused:
    """What cannot be registered is told before anything is sent."""

    def test_every_problem_of_the_inputs(
        self, eng5: Any, cj: Any, essays: Make, shell: Any, snapshot: SnapshotAssertion
    ) -> None:
        folder = essays("A", "Q")
        (folder / "short_B.txt").write_text("A few words.\n")
        (folder / "essay.odt").write_bytes(b"x")
        (folder / "broken_C+.docx").write_bytes(b"no document")
        (folder / "~$essay_1_A.docx").write_text("lock")
        said = eng5("register-anchors", A, "--anchor-dir", folder, CJ_SERVICE_URL=cj.url, **KEY)
        assert (said.code, said.out) == (2, "")
        assert shell.settled(said.err) == snapshot
        assert "A few words" not in said.err
        assert cj.seen == []

    def test_two_ids_that_are_one(self, eng5: Any, cj: Any, essays: Make, tmp_path: Path) -> None:
        essays("A", "B", name="anchors")
        (tmp_path / "anchors.csv").write_text(
            "anchor_id,file_name,grade\nE+1,essay_1_A.txt,A\nE-1,essay_2_B.txt,B\n"
        )
        said = eng5("register-anchors", A, "--anchor-dir", tmp_path, CJ_SERVICE_URL=cj.url, **KEY)
        assert said.code == 2
        assert "anchors.csv:3:1: " in said.err
        assert cj.seen == []

    def test_grades_that_the_assignment_does_not_have(self, eng5: Any, cj: Any, essays: Make) -> None:
        cj.add(A, "swedish_8_anchor")
        said = eng5("register-anchors", A, "--anchor-dir", essays(), CJ_SERVICE_URL=cj.url, **KEY)
        assert said.code == 2
        assert "essay_4_E-: swedish_8_anchor has no grade E-" in said.err
        assert "fix: the scale has A, B, C+, C, D+, D, E, F" in said.err
        assert posts(cj) == []

    def test_another_scale_than_expected(self, eng5: Any, cj: Any, essays: Make) -> None:
        cj.add(A)
        arguments = ("--anchor-dir", essays(), "--expected-grade-scale", "swedish_8_anchor")
        said = eng5("register-anchors", A, *arguments, CJ_SERVICE_URL=cj.url, **KEY)
        assert said.code == 2
        assert "has the grade scale eng5_np_legacy_9_step, expected was swedish_8_anchor" in said.err
        assert posts(cj) == []

    @pytest.mark.parametrize("answers", ["intended", "actual"])
    def test_an_unknown_assignment(self, eng5: Any, cj: Any, essays: Make, answers: str) -> None:
        cj.catch_all = answers == "actual"
        said = eng5("register-anchors", A, "--anchor-dir", essays(), CJ_SERVICE_URL=cj.url, **KEY)
        assert said.code == 2
        assert A in said.err
        assert "fix: " in said.err
        assert posts(cj) == []

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ({}, "there is no token"),
            ({"JWT_SECRET_KEY": "another secret that is long enough"}, "AUTHENTICATION_ERROR"),
            ({**KEY, "ENVIRONMENT": "production"}, "production"),
        ],
        ids=["none", "foreign", "production"],
    )
    def test_a_token_that_reads_nothing_back(
        self, eng5: Any, cj: Any, essays: Make, variables: dict[str, str], message: str
    ) -> None:
        cj.add(A)
        said = eng5("register-anchors", A, "--anchor-dir", essays(), CJ_SERVICE_URL=cj.url, **variables)
        assert said.code == 2, said
        assert message in said.err
        assert posts(cj) == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("no-uuid", "--anchor-dir", "."), "ASSIGNMENT_ID"),
            ((A,), "--anchor-dir"),
            ((A, "--anchor-dir", "nowhere"), "--anchor-dir nowhere: does not exist"),
            ((A, "--anchor-dir", "empty"), "the folder holds no anchors"),
            (
                (A, "--anchor-dir", "empty", "--expected-grade-scale", "school"),
                "unknown grade scale 'school'",
            ),
        ],
    )
    def test_wrong_usage(self, eng5: Any, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
        (tmp_path / "empty").mkdir()
        said = eng5("register-anchors", *arguments)
        assert said.code == 2, said
        assert message in " ".join(said.err.split())


class TestNotKept:
    """The service does not do what it says."""

    def test_forgotten_anchors(
        self, eng5: Any, cj: Any, essays: Make, shell: Any, snapshot: SnapshotAssertion
    ) -> None:
        cj.add(A)
        cj.forgets = True
        said = eng5("register-anchors", A, "--anchor-dir", essays("A"), CJ_SERVICE_URL=cj.url, **KEY)
        assert said.code == 4
        assert shell.settled(said.out) == snapshot

    def test_a_service_that_fails_from_the_start(self, eng5: Any, cj: Any, essays: Make) -> None:
        cj.add(A)
        cj.broken = True
        said = eng5("register-anchors", A, "--anchor-dir", essays(), CJ_SERVICE_URL=cj.url, **KEY)
        assert said.code == 4
        assert "the database is away" in said.err
        assert posts(cj) == []

    def test_ctrl_c_tells_how_far_it_came(self, shell: Any, cj: Any, essays: Make) -> None:
        cj.add(A)
        cj.hold = 4.0
        said = shell.interrupted(
            *("register-anchors", A, "--anchor-dir", essays()),
            when=lambda: len(posts(cj)) == 4,
            CJ_SERVICE_URL=cj.url,
            **KEY,
        )
        assert said.code == 4, said
        assert "interrupted: the service had taken 0 of 4 anchors" in said.err
        assert "fix: start it again" in said.err
        assert "Traceback" not in said.err
