"""The page about mutants: sums, survivors with their explanation, and what was not run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "mutation_report.py"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("mutation_report", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "mutation_report", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "change", lambda mutant: ("a < b", "a <= b | c"))
    monkeypatch.setattr(module, "EXPLANATIONS", tmp_path / "why.toml")
    return module


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "mutants" / "pytest_eng5" / "checks"
    folder.mkdir(parents=True)
    names = ("x_f__mutmut_1", "x_f__mutmut_2", "x\u01c1K\u01c1g__mutmut_1", "x_f__mutmut_3", "x_f__mutmut_4")
    codes = (1, 0, 0, None, 36)
    record = {f"pytest_eng5.checks.timing.{name}": code for name, code in zip(names, codes, strict=True)}
    (folder / "timing.py.meta").write_text(json.dumps({"exit_code_by_key": record}))
    return tmp_path / "mutants"


def test_the_page(script: Any, results: Path, tmp_path: Path) -> None:
    text = script.page(script.modules(results))
    assert "**2 of 4 mutants killed (50.0 %)**; 1 were not run yet." in text
    assert "| `pytest_eng5/checks/timing.py` | 5 | 2 | 2 | 1 |" in text
    assert "| `timing.f` | `a < b` | `a <= b \\| c` | **open** |" in text
    assert "| `timing.K.g` |" in text
    (tmp_path / "why.toml").write_text('[[survivor]]\nafter = "a <= b | c"\nwhy = "never equal"\n')
    assert script.page(script.modules(results)).count("| never equal |") == 2
    (tmp_path / "why.toml").write_text('[[survivor]]\nwhere = "timing.f"\nwhy = "a guess"\n')
    assert script.page(script.modules(results)).count("| a guess |") == 1


def test_a_function_that_no_test_reaches_has_no_killed_mutant(script: Any, results: Path) -> None:
    path = results / "pytest_eng5" / "checks" / "timing.py.meta"
    path.write_text(path.read_text().replace("36", "33"))
    assert "**1 of 4 mutants killed (25.0 %)**" in script.page(script.modules(results))


def test_what_a_mutant_changes(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a" / "b.py"
    source.parent.mkdir()
    functions = {"orig": "a < b", "1": "a <= b", "2": "None"}
    source.write_text(
        "".join(f"def x_f__mutmut_{k}(a, b):\n    return {v}\n\n" for k, v in functions.items())
    )
    monkeypatch.undo()
    monkeypatch.setattr(script, "MUTANTS", tmp_path)
    assert script.change("a.b.x_f__mutmut_1") == ("return a < b", "return a <= b")
    assert script.change("a.b.x_f__mutmut_2") == ("return a < b", "return None")


def test_without_results_it_says_so(script: Any, tmp_path: Path) -> None:
    assert script.modules(tmp_path) == {}
    assert "nothing" in script.page({})
