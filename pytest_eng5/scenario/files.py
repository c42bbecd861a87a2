"""Files and folders that a scenario names: where they are, whether they can be used, what was meant."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from pathlib import Path

from pytest_eng5.scenario.anchors import Anchor, has_anchors, read_anchors
from pytest_eng5.scenario.errors import Problem, ScenarioError, shown_path
from pytest_eng5.scenario.nodes import Scalar
from pytest_eng5.scenario.student_grades import read_student_grades
from pytest_eng5.scenario.students import read_students
from pytest_eng5.scenario.textfile import read_text, reason_of

__all__ = ["NamedFiles", "near_names"]

_LEAST = {"dry-run": 1, "execute": 0}
_MAX_NAMES = 6


@dataclass(slots=True)
class NamedFiles:
    """Checks the paths of one scenario file; each file is read once however many variants name it.

    Attributes:
        folder: Folder of the scenario file; paths are relative to it.
        problems: What was found wrong so far.
    """

    folder: Path
    problems: list[Problem] = field(default_factory=list)
    _texts: dict[Path, str | None] = field(default_factory=dict)
    _inputs: dict[tuple[Path, str], str | None] = field(default_factory=dict)

    def text_file(self, node: Scalar, what: str) -> Path:
        """Return the path of a text file (``what`` says its role); note a problem if it cannot be used."""
        path = self._path(node)
        if path not in self._texts:
            self._texts[path] = _text_complaint(path)
        complaint = self._texts[path]
        if complaint:
            hint = near_names(path) if complaint == "does not exist" else None
            self.problems.append(Problem(node.location, f"{what} {shown_path(path)} {complaint}", hint))
        return path

    def student_grades(self, node: Scalar) -> Path:
        """Return the path of a table of students' grades; note what is wrong with it."""
        path = self.text_file(node, "the table of students' grades")
        if self._texts[path] is None:
            try:
                read_student_grades(path)
            except ScenarioError as error:
                self.problems.extend(error.problems)
        return path

    def inputs_dir(self, node: Scalar, mode: str) -> Path:
        """Return the path of the inputs folder; note a problem if it, or an essay in it, cannot be used.

        What is wrong with essays is for mode ``plan`` itself to say. The anchors of mode ``execute`` are
        those of its assignment; only if the folder has some must they be usable.
        """
        path = self._path(node)
        if not _is_dir(path):
            what = "is not a folder" if os.path.lexists(path) else "does not exist"
            message = f"the inputs folder {shown_path(path)} {what}"
            self.problems.append(Problem(node.location, message, near_names(path)))
            return path
        if mode == "plan":
            return path
        if mode in ("dry-run", "execute"):
            self._complain_of_students(node, path)
        if mode == "execute" and not has_anchors(path):
            return path
        if (path, mode) not in self._inputs:
            self._inputs[path, mode] = self._anchor_complaint(path, _LEAST.get(mode, 2))
        complaint = self._inputs[path, mode]
        if complaint:
            self.problems.append(Problem(node.location, complaint, "add essays to its folder anchors/"))
        return path

    def _complain_of_students(self, node: Scalar, path: Path) -> None:
        try:
            students = read_students(path)
        except ScenarioError as error:
            self.problems.extend(error.problems)
            return
        if not students:
            message = f"the inputs folder {shown_path(path)} holds no students' essays"
            self.problems.append(Problem(node.location, message, "add essays to its folder students/"))

    def _anchor_complaint(self, path: Path, least: int) -> str | None:
        anchors: tuple[Anchor, ...]
        try:
            anchors = read_anchors(path)
        except ScenarioError as error:
            self.problems.extend(error.problems)
            return None
        if len(anchors) >= least:
            return None
        held = "one anchor" if anchors else "no anchors"
        needed = "a comparison needs" if least > 1 else "an artefact needs"
        return f"the inputs folder {shown_path(path)} holds {held}; {needed} {least}"

    def _path(self, node: Scalar) -> Path:
        return Path(os.path.normpath(self.folder / node.text))


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _text_complaint(path: Path) -> str | None:
    try:
        text = read_text(path)
    except ScenarioError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return "does not exist"
        at = f" (line {error.line}, column {error.column})" if "UTF-8:" in error.message else ""
        return error.message + at
    return None if text.strip() else "is empty"


def near_names(path: Path) -> str:
    """Return a hint about a path that does not exist: similar names, or what is there instead.

    If folders of the path are missing, the hint is about the first of those.
    """
    folder = path.parent
    while not _is_dir(folder) and folder != folder.parent:
        path, folder = folder, folder.parent
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except (OSError, ValueError) as error:
        return f"{shown_path(folder)} cannot be listed: {reason_of(error)}"
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}? (in {shown_path(folder)})"
    listed = ", ".join(names[:_MAX_NAMES]) + (", ..." if len(names) > _MAX_NAMES else "")
    return f"{shown_path(folder)} has {listed}" if names else f"{shown_path(folder)} is empty"
