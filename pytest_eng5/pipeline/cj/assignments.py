"""What the CJ service keeps about assignments: instructions, prompt, rubric, anchors (contract 5.2, 5.3)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pytest_eng5.contracts import GRADE_SCALES, utc_now
from pytest_eng5.contracts.admin import AssessmentInstructionsUpsert
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.errors import ServiceError

__all__ = ["CANONICAL_NATIONAL", "Anchor", "AssignmentStore", "Instructions", "legal_grades"]

CANONICAL_NATIONAL = "canonical_national"
"""Origin of instructions whose rubric no request may override."""

_PUBLIC = (
    *("id", "assignment_id", "course_id", "instructions_text", "grade_scale", "context_origin"),
    *("student_prompt_storage_id", "created_at"),
)


@dataclass(frozen=True, slots=True)
class Instructions:
    """One record, of an assignment or of a course; the storage ids name texts of the content service."""

    id: int
    assignment_id: str | None
    course_id: str | None
    instructions_text: str
    grade_scale: str
    context_origin: str
    student_prompt_storage_id: str | None
    judge_rubric_storage_id: str | None
    created_at: str

    def public(self) -> dict[str, Any]:
        """What the admin API tells; never the rubric's storage id."""
        return {name: getattr(self, name) for name in _PUBLIC}


@dataclass(frozen=True, slots=True)
class Anchor:
    """An anchor essay of an assignment, with its expert grade."""

    id: int
    assignment_id: str
    anchor_label: str
    grade: str
    grade_scale: str
    text_storage_id: str
    created_at: str

    def public(self) -> dict[str, Any]:
        """What the admin API tells."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class AssignmentStore:
    """Instructions and anchors in the state of the process.

    Args:
        database: The state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.define(
            "CREATE TABLE IF NOT EXISTS instructions (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " assignment_id TEXT UNIQUE, course_id TEXT UNIQUE, instructions_text TEXT NOT NULL,"
            " grade_scale TEXT NOT NULL, context_origin TEXT NOT NULL, student_prompt_storage_id TEXT,"
            " judge_rubric_storage_id TEXT, created_at TEXT NOT NULL)",
            "CREATE TABLE IF NOT EXISTS anchors (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " assignment_id TEXT NOT NULL, anchor_label TEXT NOT NULL, grade TEXT NOT NULL,"
            " grade_scale TEXT NOT NULL, text_storage_id TEXT NOT NULL, created_at TEXT NOT NULL,"
            " UNIQUE (assignment_id, anchor_label, grade_scale))",
        )

    def find(self, assignment_id: str) -> Instructions | None:
        """The instructions of an assignment, ``None`` if it is unknown."""
        return self._one("assignment_id", assignment_id)

    def instructions(self, assignment_id: str) -> Instructions:
        """The instructions of an assignment.

        Raises:
            ServiceError: ``RESOURCE_NOT_FOUND``.
        """
        found = self.find(assignment_id)
        if found is None:
            raise _unknown("assignment_id", assignment_id)
        return found

    def page(self, number: int, size: int, grade_scale: str | None) -> tuple[list[Instructions], int]:
        """One page of all instructions, oldest first, and how many there are on all pages."""
        where, values = ("", ()) if grade_scale is None else (" WHERE grade_scale = ?", (grade_scale,))
        total = self._database.value(f"SELECT COUNT(*) FROM instructions{where}", *values)
        found = self._database.rows(
            f"SELECT * FROM instructions{where} ORDER BY id LIMIT ? OFFSET ?",
            *(*values, size, (number - 1) * size),
        )
        return [Instructions(**dict(row)) for row in found], int(total)

    def upsert(self, wanted: AssessmentInstructionsUpsert) -> Instructions:
        """Create or change instructions; a missing prompt id keeps the one there is.

        Raises:
            ServiceError: ``VALIDATION_ERROR`` where grade scale or origin would change.
        """
        owner = "course_id" if wanted.assignment_id is None else "assignment_id"
        value = str(getattr(wanted, owner))
        there = self._one(owner, value)
        if there is None:
            self._insert(wanted)
        else:
            _refuse_change(there, wanted)
            self._database.run(
                "UPDATE instructions SET instructions_text = ?, student_prompt_storage_id ="
                " COALESCE(?, student_prompt_storage_id) WHERE id = ?",
                *(wanted.instructions_text, wanted.student_prompt_storage_id, there.id),
            )
        written = self._one(owner, value)
        assert written is not None
        return written

    def _insert(self, wanted: AssessmentInstructionsUpsert) -> None:
        self._database.run(
            "INSERT INTO instructions (assignment_id, course_id, instructions_text, grade_scale,"
            " context_origin, student_prompt_storage_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(wanted.assignment_id, wanted.course_id, wanted.instructions_text, wanted.grade_scale),
            *(wanted.context_origin, wanted.student_prompt_storage_id, utc_now().isoformat()),
        )

    def delete(self, owner: str, value: str) -> None:
        """Forget the instructions of an ``assignment_id`` or ``course_id``; anchors stay.

        Raises:
            ServiceError: ``RESOURCE_NOT_FOUND``.
        """
        if self._one(owner, value) is None:
            raise _unknown(owner, value)
        self._database.run(f"DELETE FROM instructions WHERE {owner} = ?", value)

    def bind(self, assignment_id: str, column: str, storage_id: str) -> Instructions:
        """Set ``student_prompt_storage_id`` or ``judge_rubric_storage_id`` of an assignment."""
        self._database.run(
            f"UPDATE instructions SET {column} = ? WHERE assignment_id = ?", storage_id, assignment_id
        )
        return self.instructions(assignment_id)

    def anchors(self, assignment_id: str, grade_scale: str) -> list[Anchor]:
        """The anchors of an assignment in one scale, in the order of their registration."""
        found = self._database.rows(
            "SELECT * FROM anchors WHERE assignment_id = ? AND grade_scale = ? ORDER BY id",
            *(assignment_id, grade_scale),
        )
        return [Anchor(**dict(row)) for row in found]

    def anchors_by_scale(self, assignment_id: str) -> Counter[str]:
        """How many anchors an assignment has in each scale."""
        found = self._database.rows("SELECT grade_scale FROM anchors WHERE assignment_id = ?", assignment_id)
        return Counter(row["grade_scale"] for row in found)

    def register_anchor(self, record: Instructions, label: str, grade: str, storage_id: str) -> Anchor:
        """Register an anchor in the scale of its assignment; equal labels replace text and grade."""
        self._database.run(
            "INSERT INTO anchors (assignment_id, anchor_label, grade, grade_scale, text_storage_id,"
            " created_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (assignment_id, anchor_label, grade_scale)"
            " DO UPDATE SET grade = excluded.grade, text_storage_id = excluded.text_storage_id",
            *(record.assignment_id, label, grade, record.grade_scale, storage_id, utc_now().isoformat()),
        )
        found = self._database.row(
            "SELECT * FROM anchors WHERE assignment_id = ? AND anchor_label = ? AND grade_scale = ?",
            *(record.assignment_id, label, record.grade_scale),
        )
        assert found is not None
        return Anchor(**dict(found))

    def _one(self, owner: str, value: str) -> Instructions | None:
        found = self._database.row(f"SELECT * FROM instructions WHERE {owner} = ?", value)
        return None if found is None else Instructions(**dict(found))


def legal_grades(scale_id: str) -> tuple[str, ...]:
    """The grades that an anchor of a scale may have, the one below the lowest among them."""
    scale = GRADE_SCALES[scale_id]
    return scale.grades if scale.below_lowest is None else (scale.below_lowest, *scale.grades)


def _unknown(owner: str, value: str) -> ServiceError:
    kind = owner.removesuffix("_id")
    return ServiceError(
        "RESOURCE_NOT_FOUND", f"there are no instructions for {kind} {value}", **{owner: value}
    )


def _refuse_change(there: Instructions, wanted: AssessmentInstructionsUpsert) -> None:
    for name in ("grade_scale", "context_origin"):
        kept, asked = getattr(there, name), getattr(wanted, name)
        if kept != asked:
            raise ServiceError(
                "VALIDATION_ERROR", f"{name} is {kept} and cannot be changed to {asked}", field=name
            )
