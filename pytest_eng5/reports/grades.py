"""The grades of a run in words: what whoever executed it wants to know first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pytest_eng5.evidence import Artefact, EvidenceError, RunFolder, read_artefact
from pytest_eng5.reports.markdown import one_line

__all__ = ["grade_lines"]


def grade_lines(root: Path, *, every: bool = True) -> Iterator[str]:
    """How many students got which grade, and each student's grade, best score first.

    Args:
        root: Folder of a run of mode ``execute``; nothing is said of one whose artefact cannot be read.
        every: List each student.
    """
    try:
        artefact = read_artefact(RunFolder(root).artefact("execute"))
    except EvidenceError:
        return
    students = {student.essay_id: student for student in artefact.inputs.students}
    grades = {row.essay_id: row for row in artefact.grade_projections}
    counts = Counter(row.grade for row in artefact.grade_projections)
    told = ", ".join(f"{count} {grade}" for grade, count in counts.items()) or "nobody"
    yield f"graded {len(grades)} of {len(students)} students: {told}"
    for essay_id, theta in _scores(artefact) if every else ():
        row, name = grades.get(essay_id), students[essay_id].file_name
        grade = f"{row.grade} ({row.confidence_label})" if row else "no grade"
        yield f"  {one_line(name)}: {grade}, theta {theta:.2f}"


def _scores(artefact: Artefact) -> Iterator[tuple[str, float]]:
    for entry in artefact.bt_summary:
        if not entry.is_anchor:
            yield entry.essay_id, entry.theta
