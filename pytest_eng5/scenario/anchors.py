"""The anchors of an inputs folder: essays whose expert grade is known, and where that grade was read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.contracts import grade_from_stem, grade_rank, known_grades
from pytest_eng5.scenario.anchor_table import AnchorRow, read_anchor_table
from pytest_eng5.scenario.errors import AnchorError, Location, Problem, ScenarioError, shown_path, shown_text
from pytest_eng5.scenario.essay_ids import EssayId, equal_ids
from pytest_eng5.scenario.essays import EssayFiles, essay_problem, list_essays, normal_name
from pytest_eng5.scenario.explain import closest
from pytest_eng5.scenario.textfile import reason_of

__all__ = ["ANCHOR_FOLDER", "ANCHOR_TABLE", "ANCHOR_TABLES", "Anchor", "has_anchors", "read_anchors"]

ANCHOR_FOLDER = "anchors"
ANCHOR_TABLE = "anchors.csv"
ANCHOR_TABLES = (ANCHOR_TABLE, "anchors.xlsx")
"""Names of the table, in any case; a folder has one of them or none."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One anchor essay; its text is not held.

    Attributes:
        anchor_id: Id in the table, else the file name without its suffix; composed letters (NFC). Never sent
            to the judge.
        path: The essay file.
        grade: Expert grade, one that `contracts.grade_rank` knows.
        csv_line: Line (of a worksheet: row) of the table that gave id and grade; None if the file name did.
    """

    anchor_id: str
    path: Path
    grade: str
    csv_line: int | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An anchor with the places that messages about it name."""

    anchor: Anchor
    id_location: Location
    grade_location: Location


def has_anchors(inputs_dir: Path) -> bool:
    """Whether an inputs folder says anything about anchors: it has their folder or their table."""
    return any((inputs_dir / name).exists() for name in (ANCHOR_FOLDER, *ANCHOR_TABLES))


def read_anchors(inputs_dir: Path) -> tuple[Anchor, ...]:
    """Return the anchors of ``inputs_dir``.

    With a table ``anchors.csv`` or ``anchors.xlsx`` its rows give ids, grades and order, and it must list
    every essay of the folder ``anchors/``. Without one the grade is the last ``_`` token of each file name
    (contract 10.4) and the order is that of the names. Hidden files and lock files (``~$...``) are passed
    over.

    Essays are checked as far as that needs no reader of Word or PDF files: their text is extracted later.

    Raises:
        AnchorError: No such folder or nothing in it, an essay that cannot be used, a table that does not fit
            the folder, an unknown grade, grades of two scales, or ids that are equal once normalised.
    """
    inputs_dir = inputs_dir.absolute()
    try:
        return _read(inputs_dir)
    except AnchorError:
        raise
    except ScenarioError as error:
        raise AnchorError(error.problems) from error


def _read(inputs_dir: Path) -> tuple[Anchor, ...]:
    essays = list_essays(inputs_dir / ANCHOR_FOLDER)
    tables, problems = _tables(inputs_dir)
    if len(tables) == 1:
        candidates, found = _from_table(tables[0], essays)
    else:
        # Of several tables none is right; grades of names would be wrong as well.
        candidates, found = ([], list(essays.problems)) if tables else _from_names(essays)
    problems += found
    problems += [problem for path in essays.paths if (problem := essay_problem(path))]
    problems += [*equal_ids("anchor", map(_essay_id, candidates)), *_mixed_scales(candidates)]
    if problems:
        raise AnchorError(problems)
    return tuple(candidate.anchor for candidate in candidates)


def _tables(inputs_dir: Path) -> tuple[list[Path], list[Problem]]:
    """The table of a folder, and what must not be taken for one; more than one table is a problem too."""
    try:
        alike = sorted(
            path for path in inputs_dir.iterdir() if path.stem.lower() == "anchors" and path.suffix
        )
    except OSError as error:
        what = f"cannot be listed: {reason_of(error)}"
        return [], [Problem(Location(inputs_dir), what, "check that it may be read")]
    tables = [path for path in alike if path.name.lower() in ANCHOR_TABLES]
    hint = f"save it as {' or '.join(ANCHOR_TABLES)}, or give it another name"
    problems = [
        Problem(Location(path), f"{path.name!r} looks like a table of anchors, but would not be read", hint)
        for path in alike
        if path not in tables and not path.is_dir()
    ]
    if len(tables) > 1:
        message = f"there are several tables of anchors: {', '.join(path.name for path in tables)}"
        problems.append(Problem(Location(tables[1]), message, "keep one of them"))
    return tables, problems


def _from_names(essays: EssayFiles) -> tuple[list[_Candidate], list[Problem]]:
    candidates: list[_Candidate] = []
    problems = list(essays.problems)
    for path in essays.paths:
        where = Location(path)
        grade = _grade_of_name(path)
        if grade_rank(grade) is None:
            message = (
                f"the file name {path.name!r} ends in no known grade ({grade!r})"
                if grade
                else (f"the file name {path.name!r} has no grade at its end")
            )
            hint = f"name it like essay_01_B.txt, or write {ANCHOR_TABLE}; {_grades_hint()}"
            problems.append(Problem(where, message, hint))
        else:
            candidates.append(_Candidate(Anchor(normal_name(path.stem), path, grade), where, where))
    return candidates, problems


def _grade_of_name(path: Path) -> str:
    try:
        return grade_from_stem(path.stem)
    except ValueError:
        return ""


def _grades_hint() -> str:
    return f"known grades: {', '.join(known_grades())}"


def _from_table(table: Path, essays: EssayFiles) -> tuple[list[_Candidate], list[Problem]]:
    problems = list(essays.problems)
    listed: dict[Path, AnchorRow] = {}
    candidates: list[_Candidate] = []
    try:
        rows = read_anchor_table(table)
    except ScenarioError as error:
        return [], [*problems, *error.problems]
    for row in rows:
        path = essays.find(row.file_name.text)
        problem = _row_problem(row, path, listed, essays)
        if problem:
            problems.append(problem)
        if path:
            listed.setdefault(path, row)
        if path and not problem:
            anchor = Anchor(normal_name(row.anchor_id.text), path, row.grade.text.upper(), row.line)
            candidates.append(_Candidate(anchor, row.anchor_id.location, row.grade.location))
    problems += _not_listed(table, essays, listed)
    return candidates, problems


def _row_problem(
    row: AnchorRow, path: Path | None, listed: dict[Path, AnchorRow], essays: EssayFiles
) -> Problem | None:
    name, grade = row.file_name, row.grade
    if missing := row.missing():
        where = Location(name.location.path, row.line)
        return Problem(where, f"the row has no {', '.join(missing)}", "fill in the cell or remove the row")
    if not row.anchor_id.text.isprintable():
        where, shown = row.anchor_id.location, shown_text(row.anchor_id.text)
        return Problem(where, f"the anchor id '{shown}' holds characters that cannot be printed", "retype it")
    if path is None:
        if essays.is_refused(name.text):
            return None
        near = closest(name.text, (known.name for known in essays.paths))
        hint = f"did you mean {near!r}?" if near else f"put the essay into {shown_path(essays.folder)}"
        return Problem(
            name.location, f"the file {shown_text(name.text)!r} is not in {shown_path(essays.folder)}", hint
        )
    if path in listed:
        first = listed[path].line
        return Problem(
            name.location, f"the file {path.name!r} is already listed in line {first}", "remove one row"
        )
    if grade_rank(grade.text) is None:
        near = closest(grade.text, known_grades())
        hint = f"did you mean {near!r}? {_grades_hint()}" if near else _grades_hint()
        return Problem(grade.location, f"unknown grade {shown_text(grade.text)!r}", hint)
    return None


def _not_listed(table: Path, essays: EssayFiles, listed: Iterable[Path]) -> list[Problem]:
    missing = sorted(set(essays.paths) - set(listed))
    hint = f"add a row for it to {table.name}, or take it out of {ANCHOR_FOLDER}/"
    return [
        Problem(Location(table), f"the essay {path.name!r} is not listed, so its grade is unknown", hint)
        for path in missing
    ]


def _essay_id(candidate: _Candidate) -> EssayId:
    return EssayId(candidate.anchor.anchor_id, candidate.anchor.path.name, candidate.id_location)


def _mixed_scales(candidates: Sequence[_Candidate]) -> list[Problem]:
    digits = [candidate for candidate in candidates if candidate.anchor.grade.isdigit()]
    letters = [candidate for candidate in candidates if not candidate.anchor.grade.isdigit()]
    if not digits or not letters:
        return []
    odd, usual = (digits, letters) if len(digits) <= len(letters) else (letters, digits)
    message = (
        f"the grade {odd[0].anchor.grade!r} of {odd[0].anchor.path.name} is of another scale than "
        f"{usual[0].anchor.grade!r} of {usual[0].anchor.path.name}"
    )
    return [
        Problem(odd[0].grade_location, message, "grade all anchors with letters or all with national digits")
    ]
