"""A clean run in mode execute: students and the anchors of an assignment, with the grades they get."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.evidence import (
    AssignmentContext,
    RunEvidence,
    checksum_of,
    json_bytes,
    load_evidence,
    write_assignment,
)
from pytest_eng5.pipeline.cj.calibration import GradedAnchor
from pytest_eng5.pipeline.cj.projection import NORMALIZED_SCORES, Projection, project_students
from pytest_eng5.pipeline.cj.standard_errors import standard_errors

LEGACY = "eng5_np_legacy_9_step"
ASSIGNMENT, COURSE = "3c1c0e2a-7c55-4f0e-9d0e-0b6f0a9b8c7d", "7f1d3f0a-2b8e-4c55-8a53-2f4f3e1c9b10"
PROJECTED = ("letter_grade", "normalized_score", "confidence_score", "confidence_label", "is_anchor")
GRADES = ("F+", "E+", "D+", "C+", "B", "A")


def anchor_id(index: int) -> str:
    return f"ANCHOR_{10 + index}_{hashlib.sha256(str(index).encode()).hexdigest()[:8]}"


def student_id(index: int) -> str:
    return "student_" + hashlib.sha256(f"student {index}".encode()).hexdigest()[:28]


@dataclass
class Bound:
    """A recorded run whose last essays are the anchors of an assignment.

    Attributes:
        run: The run, of tests/checks; its essays carry the ids of students and anchors.
        grades: Expert grades of the anchors, in the order of the assignment.
        reference: Which anchor the service takes standard errors relative to.
    """

    run: Any
    grades: tuple[str, ...]
    scale: str = LEGACY
    reference: int = -1

    @property
    def students(self) -> list[str]:
        return [student_id(k) for k in range(self.run.n - len(self.grades))]

    @property
    def anchors(self) -> list[str]:
        return [anchor_id(k) for k in range(len(self.grades))]

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Rows of the rich result."""
        return {row["essay_id"]: row for row in self.run.assessment_results[0].data["essay_results"]}

    def play(self, outcome: Callable[[str, str], str]) -> None:
        """Let comparisons of ``(essay A, essay B)`` be won by whom ``outcome`` names."""
        for message in self.run.comparisons:
            a, b = message.pair
            message.data["winner"] = "Essay A" if outcome(a, b) == a else "Essay B"

    def project(self) -> dict[str, Projection]:
        """What the service projects, in the words of the reference pipeline."""
        rows, essays = self.rows, [*self.students, *self.anchors]
        theta = [rows[essay]["bt_score"] for essay in essays]
        games = [m.game for m in self.run.comparisons if m.game is not None]
        place = {essay: index for index, essay in enumerate(essays)}
        pairs = [(place[won], place[lost]) for won, lost in games]
        errors = standard_errors(theta, pairs, place[self.anchors[self.reference]]).tolist()
        graded = [
            GradedAnchor(essay, grade, rows[essay]["bt_score"])
            for essay, grade in zip(self.anchors, self.grades, strict=True)
        ]
        students = [(theta[place[essay]], errors[place[essay]]) for essay in self.students]
        found = project_students(self.scale, graded, students)
        return dict(zip(self.students, found, strict=True))

    def publish(self) -> None:
        """Score, rank and grade the essays as the service does."""
        self.run.score()
        for essay, projection in self.project().items():
            row = self.rows[essay]
            row["letter_grade"] = projection.grade if projection.grade in NORMALIZED_SCORES else "U"
            row["normalized_score"] = projection.normalized_score
            row["confidence_score"] = projection.confidence_score
            row["confidence_label"] = projection.confidence_label
        for essay in self.anchors:
            self.rows[essay]["is_anchor"] = True

    def load(self, *, assignment: bool = True) -> RunEvidence:
        self.run.ending, ending = None, self.run.made_ending()
        self.run.write()
        if assignment:
            write_assignment(self.run.root / "assignment.json", self.context())
        return load_evidence(self.run.root, ending)

    def context(self) -> AssignmentContext:
        anchors = [
            {
                "registration_id": essay.split("_")[1],
                "anchor_id": f"anchor-{k}",
                "grade": grade,
                "grade_scale": self.scale,
                "text_storage_id": "5e" * 16,
                "checksum": "ab" * 32,
                "file_name": f"anchor-{k}.txt",
                "source_path": f"anchors/anchor-{k}.txt",
            }
            for k, (essay, grade) in enumerate(zip(self.anchors, self.grades, strict=True))
        ]
        text = {"source_path": "x.md", "checksum": "cd" * 32, "content": "x"}
        return AssignmentContext.model_validate(
            {
                "assignment_id": ASSIGNMENT,
                "course_id": COURSE,
                "grade_scale": self.scale,
                "context_origin": "research_experiment",
                "read_at": "2026-03-01T09:00:00Z",
                "instructions": text,
                "student_prompt": text,
                "student_prompt_storage_id": "5e" * 16,
                "anchors": anchors,
            }
        )

    def write_document(self, document: dict[str, Any]) -> RunEvidence:
        """Put an artefact with a right checksum in place of the run's own."""
        self.load()
        path: Path = self.run.artefact
        document["validation"]["artefact_checksum"] = checksum_of(document)
        path.write_bytes(json_bytes(document))
        self.run.rewrite_manifest()
        return load_evidence(self.run.root, self.run.made_ending())


def upset(a: str, b: str) -> bool:
    """Whether the weaker essay wins: in one pair of five."""
    return hashlib.sha256(f"{sorted((a, b))}".encode()).digest()[0] % 5 == 0


def rename(run: Any, names: dict[str, str]) -> None:
    """Give essays other ids, everywhere in a run."""
    for kind in ("comparisons", "assessment_results", "completions"):
        for message in run.messages(kind):
            text = json.dumps(message.value)
            for old, new in names.items():
                text = text.replace(old, new)
            message.value = json.loads(text)
            message.pair = tuple(names.get(essay, essay) for essay in message.pair)


@pytest.fixture
def make_bound(make_run: Callable[..., Any], make: Any) -> Callable[..., Bound]:
    """A run of students and anchors of the given grades, lowest first; the stronger wins four of five."""

    def build(
        students: int = 4, grades: Sequence[str] = GRADES, scale: str = LEGACY, publish: bool = True
    ) -> Bound:
        run = make_run(students + len(grades))
        ids = [student_id(k) for k in range(students)] + [anchor_id(k) for k in range(len(grades))]
        rename(run, {make.essay_id(k): essay for k, essay in enumerate(ids)})
        run.plan["essays"] = run.plan["essays"][:students]
        for essay, own in zip(run.plan["essays"], ids, strict=False):
            essay.update(essay_id=own, is_anchor=False, grade=None)
        run.assigned = tuple(ids[students:])
        run.plan.update(mode="execute", assignment_id=ASSIGNMENT, course_id=COURSE, grade_scale=scale)
        bound = Bound(run, tuple(grades), scale)
        strength = {essay: (k + 0.5) / students for k, essay in enumerate(ids[:students])}
        strength |= {essay: k / len(grades) for k, essay in enumerate(ids[students:])}
        bound.play(lambda a, b: (min if upset(a, b) else max)(a, b, key=strength.__getitem__))
        if publish:
            bound.publish()
        return bound

    return build


@pytest.fixture
def bound(make_bound: Callable[..., Bound]) -> Bound:
    return make_bound()
