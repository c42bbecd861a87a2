"""Sizes the project keeps: short modules, short functions, and a word on top of every module."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1] / "pytest_eng5"
MODULES = sorted(ROOT.rglob("*.py"))
LONGEST_MODULE = 500
MEDIAN_FUNCTION = 12
LONGEST_COMMAND = 400


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code_lines(source: str) -> list[int]:
    """Length of every function in lines, from ``def`` to its end, without its docstring."""
    lengths = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            text = ast.get_docstring(node, clean=False) is not None
            documentation = (first.end_lineno or 0) - first.lineno + 1 if text else 0
            lengths.append((node.end_lineno or 0) - node.lineno + 1 - documentation)
    return lengths


def test_the_counting_of_lines_is_right() -> None:
    documented = 'def a():\n    """One.\n\n    Two.\n    """\n    return 1\n'
    source = f"{documented}\n\nasync def b(\n    x\n):\n    return x\n"
    assert code_lines(source) == [2, 4]


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_is_not_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


def test_the_command_is_thin() -> None:
    source = (ROOT / "cli.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= LONGEST_COMMAND
    tree = ast.parse(source)
    deep = (ast.For, ast.While, ast.Try, ast.If)
    busy = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and sum(isinstance(inner, deep) for inner in ast.walk(node)) > 2
    ]
    assert busy == [], "parse, build settings, dispatch: the rest belongs to the runner or the reports"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_says_what_it_is(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text, f"{_name(path)} has no docstring"
    assert len(text.splitlines()[0]) > 15


def test_functions_are_short_on_the_median() -> None:
    lengths = [length for path in MODULES for length in code_lines(path.read_text(encoding="utf-8"))]
    print(f"{len(lengths)} functions, median {median(lengths)} lines, longest {max(lengths)}")
    assert median(lengths) <= MEDIAN_FUNCTION


def test_modules_are_of_a_readable_size_on_the_median() -> None:
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES]
    print(f"{len(lengths)} modules, median {median(lengths)} lines, longest {max(lengths)}")
    assert median(lengths) <= 150
