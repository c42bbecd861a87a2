"""Who may import whom: the table of the design, enforced on every import statement of the package.

Imports inside functions or under ``TYPE_CHECKING``, relative ones and ``import_module("...")`` count too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "pytest_eng5"
ROOT = Path(__file__).parents[1] / PACKAGE

# Foundation: the package root (version), the error root, the supervisor, what a session is, and the settings
# by which every Kafka client of the harness and of the reference pipeline connects. Everybody may use these.
FOUNDATION = frozenset({"", "errors", "kafka_config", "processes", "sessions"})

_LOW = frozenset({"contracts"})
_ALL = frozenset(
    {
        *("collection", "reports", "runner", "checks", "gates", "capture", "services", "brokers"),
        *("evidence", "scenario", "alignment", "contracts", "telemetry"),
    }
)

MAY: dict[str, frozenset[str]] = {
    "plugin": _ALL,
    "collection": _ALL - {"collection"},
    "cli": frozenset({"runner", "reports", "brokers", "scenario", "evidence", "contracts", "telemetry"}),
    "reports": frozenset({"gates", "checks", "alignment", "evidence", "contracts", "telemetry"}),
    "runner": frozenset(
        {"capture", "services", "brokers", "gates", "evidence", "scenario", "contracts", "telemetry"}
    ),
    "checks": frozenset({"evidence", "alignment", "contracts"}),
    "gates": frozenset({"evidence", "alignment", "contracts"}),
    "capture": frozenset({"evidence", "contracts", "telemetry"}),
    "services": frozenset({"contracts", "telemetry"}),
    "brokers": frozenset(),
    "evidence": _LOW,
    "scenario": _LOW,
    "alignment": frozenset(),
    "contracts": frozenset(),
    "pipeline": frozenset({"contracts", "telemetry"}),
    "telemetry": frozenset(),
    "": frozenset(),
    "errors": frozenset(),
    "kafka_config": frozenset(),
    "processes": frozenset(),
    "sessions": frozenset(),
}


# Imported only while a command runs, so that `eng5 --help` needs none of it.
LAZILY: dict[str, frozenset[str]] = {"cli": frozenset({"pipeline"})}

# Third parties imported only where they are needed, so that collecting ordinary scenarios stays light.
LAZY_PARTIES: dict[str, frozenset[str]] = {"scenario": frozenset({"openpyxl"})}

_KAFKA = frozenset({"aiokafka", "confluent_kafka", "kafka"})
_HTTP = frozenset({"httpx", "requests", "urllib3", "aiohttp", "starlette", "uvicorn"})
_PYTEST = frozenset({"pytest", "_pytest", "pluggy", "xdist"})

# Third parties a room never imports.
NEVER: dict[str, frozenset[str]] = {
    "plugin": _KAFKA | _HTTP,
    "cli": _KAFKA | _HTTP | _PYTEST,
    "reports": _KAFKA | _HTTP | _PYTEST,
    "runner": _PYTEST,
    "checks": _KAFKA | _HTTP | _PYTEST,
    "gates": _KAFKA | _HTTP | _PYTEST,
    "capture": _HTTP | _PYTEST,
    "services": _KAFKA | _PYTEST,
    "brokers": _PYTEST | frozenset({"httpx", "starlette", "pydantic", "numpy"}),
    "evidence": _KAFKA | _HTTP | _PYTEST,
    "pipeline": _PYTEST,
    "telemetry": _PYTEST,
}

# Rooms whose third parties are counted on one hand.
ONLY: dict[str, frozenset[str]] = {
    "alignment": frozenset({"numpy", "scipy"}),
    "contracts": frozenset({"pydantic", "typing_extensions"}),
    "scenario": frozenset({"pydantic", "yaml"}),
    "evidence": frozenset({"pydantic", "orjson"}),
    "": frozenset(),
    "kafka_config": frozenset({"yaml"}),
    "errors": frozenset(),
    "processes": frozenset(),
    "sessions": frozenset(),
}


@dataclass(frozen=True)
class Import:
    """One imported module, with the place that imports it."""

    module: str
    line: int
    lazy: bool


def _base(node: ast.ImportFrom, package: list[str]) -> str:
    if not node.level:
        return node.module or ""
    parents = package[: len(package) - node.level + 1]
    return ".".join([*parents, node.module] if node.module else parents)


def _targets(node: ast.AST, package: list[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _base(node, package)
        return [f"{base}.{alias.name}" for alias in node.names] if base == PACKAGE else [base]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if called in {"import_module", "__import__"}:
            return [str(node.args[0].value)]
    return []


def imports_of(source: str, package: list[str]) -> Iterator[Import]:
    """Every import of a module; ``package`` is the dotted package it lives in, as a list."""

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for target in _targets(node, package):
            yield Import(target, getattr(node, "lineno", 0), lazy)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    yield from walk(ast.parse(source), lazy=False)


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module below the package; the package's own ``__init__`` is the empty room."""
    return "" if not parts or parts[0] == "__init__" else parts[0]


def _inner(room: str, found: Import, rooms: set[str]) -> str | None:
    parts = found.module.split(".")[1:]
    target = parts[0] if parts and parts[0] in rooms else ""
    if target == room or target in FOUNDATION or target in MAY[room]:
        return None
    if target in LAZILY.get(room, frozenset()):
        return None if found.lazy else f"may import {target} only inside a function"
    return f"may not import {target}"


def _outer(room: str, top: str, lazy: bool) -> str | None:
    if top in sys.stdlib_module_names:
        return None
    if top in LAZY_PARTIES.get(room, frozenset()):
        return None if lazy else f"may import {top} only inside a function"
    if top in NEVER.get(room, frozenset()):
        return f"never imports {top}"
    if room in ONLY and top not in ONLY[room]:
        return f"imports {top}, but only {', '.join(sorted(ONLY[room])) or 'the standard library'} is allowed"
    return None


def violations(root: Path) -> list[str]:
    """All breaches of the table below a package folder, as ``file:line: room ...``."""
    modules = sorted(root.rglob("*.py"))
    rooms = {room_of(path.relative_to(root).with_suffix("").parts) for path in modules}
    found: list[str] = []
    for path in modules:
        relative = path.relative_to(root)
        room = room_of(relative.with_suffix("").parts)
        where = f"{relative.as_posix()}"
        if room not in MAY:
            found.append(f"{where}: room {room} is not in the table")
            continue
        package = [PACKAGE, *relative.parent.parts]
        for item in imports_of(path.read_text(encoding="utf-8"), package):
            top = item.module.split(".")[0]
            breach = _inner(room, item, rooms) if top == PACKAGE else _outer(room, top, item.lazy)
            if breach:
                found.append(f"{where}:{item.line}: {room or 'the package root'} {breach}")
    return found


def test_every_import_follows_the_table() -> None:
    assert violations(ROOT) == []


def test_the_package_was_really_read() -> None:
    modules = list(ROOT.rglob("*.py"))
    rooms = {room_of(path.relative_to(ROOT).with_suffix("").parts) for path in modules}
    assert {"contracts", "evidence", "alignment", "pipeline", "brokers", "plugin", "errors"} <= rooms
    assert len(modules) >= 40


def test_the_table_has_no_cycle() -> None:
    remaining = {room: set(targets) - {room} for room, targets in MAY.items()}
    while remaining:
        free = {room for room, targets in remaining.items() if not targets & remaining.keys()}
        assert free, f"rooms that import one another: {sorted(remaining)}"
        remaining = {room: targets for room, targets in remaining.items() if room not in free}


def test_only_the_command_line_may_reach_the_pipeline() -> None:
    assert [room for room, targets in MAY.items() if "pipeline" in targets] == []
    assert {room for room, targets in LAZILY.items() if "pipeline" in targets} == {"cli"}


def test_the_pipeline_shares_nothing_with_its_verifier_but_the_contracts() -> None:
    verifier = {"runner", "checks", "capture", "collection", "evidence", "gates", "alignment", "reports"}
    assert not MAY["pipeline"] & verifier


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package tree in which every room exists and nothing is wrong."""
    root = tmp_path / PACKAGE
    for room in ("alignment", "brokers", "capture", "checks", "contracts", "evidence", "pipeline", "runner"):
        (root / room).mkdir(parents=True)
        (root / room / "__init__.py").write_text("import json\n", encoding="utf-8")
    for module in ("__init__", "errors", "processes", "plugin", "cli"):
        (root / f"{module}.py").write_text("from __future__ import annotations\n", encoding="utf-8")
    return root


def _plant(package: Path, module: str, source: str) -> list[str]:
    path = package / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return violations(package)


LEGAL = {
    "the room below": ("checks/a.py", "from pytest_eng5.evidence import load_evidence"),
    "its own room": ("checks/a.py", "from pytest_eng5.checks.b import c"),
    "its own room, relative": ("checks/a.py", "from .b import c\nfrom . import b"),
    "the error root": ("brokers/a.py", "from pytest_eng5.errors import Eng5Error"),
    "the supervisor": ("brokers/a.py", "from pytest_eng5.processes import SupervisedProcess"),
    "the version": ("contracts/a.py", "from pytest_eng5 import __version__"),
    "a library of the room": ("alignment/a.py", "import numpy.typing\nfrom scipy import special"),
    "the pipeline, lazily": ("cli.py", "def serve():\n    from pytest_eng5.pipeline.serve import main\n"),
    "workbooks, lazily": ("scenario/a.py", "def read():\n    import openpyxl\n"),
    "a name that looks alike": ("contracts/a.py", "text = 'import pytest_eng5.runner'"),
}

ILLEGAL = {
    "a room above": ("evidence/a.py", "from pytest_eng5.checks import run_checks", "may not import checks"),
    "a room as attribute": ("evidence/a.py", "from pytest_eng5 import checks", "may not import checks"),
    "a plain import": ("contracts/a.py", "import pytest_eng5.evidence.files", "may not import evidence"),
    "inside a function": (
        "checks/a.py",
        "def f():\n    from pytest_eng5.capture import hub\n",
        "may not import capture",
    ),
    "for types only": (
        "alignment/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pytest_eng5.contracts import X\n",
        "may not import contracts",
    ),
    "relative": ("checks/deep/a.py", "from ...capture import hub", "may not import capture"),
    "relative room": ("checks/a.py", "from .. import capture", "may not import capture"),
    "by name": (
        "runner/a.py",
        "import importlib\nimportlib.import_module('pytest_eng5.pipeline.serve')",
        "may not import pipeline",
    ),
    "the verifier's code": (
        "pipeline/a.py",
        "from pytest_eng5.alignment import fit",
        "may not import alignment",
    ),
    "the pipeline, eagerly": (
        "cli.py",
        "from pytest_eng5.pipeline import serve",
        "may import pipeline only inside a function",
    ),
    "the pipeline from the plugin": ("plugin.py", "import pytest_eng5.pipeline", "may not import pipeline"),
    "Kafka in checks": ("checks/a.py", "from aiokafka import AIOKafkaConsumer", "never imports aiokafka"),
    "HTTP in evidence": ("evidence/a.py", "import httpx", "never imports httpx"),
    "pytest in the runner": ("runner/a.py", "def f():\n    import pytest\n", "never imports pytest"),
    "workbooks, eagerly": (
        "scenario/a.py",
        "import openpyxl",
        "may import openpyxl only inside a function",
    ),
    "another library": ("alignment/a.py", "import choix", "only numpy, scipy is allowed"),
    "a library in the foundation": ("errors.py", "import pydantic", "only the standard library is allowed"),
    "a heavy package root": ("__init__.py", "import pytest_eng5.contracts", "may not import contracts"),
    "a room nobody knows": ("helpers/a.py", "import json", "room helpers is not in the table"),
}


@pytest.mark.parametrize("case", LEGAL)
def test_what_the_table_allows_is_no_violation(package: Path, case: str) -> None:
    module, source = LEGAL[case]
    assert _plant(package, module, source) == []


@pytest.mark.parametrize("case", ILLEGAL)
def test_a_planted_import_is_found_with_its_line(package: Path, case: str) -> None:
    module, source, expected = ILLEGAL[case]
    found = _plant(package, module, source)
    assert len(found) == 1
    assert expected in found[0]
    assert found[0].startswith(f"{module}:")
    if "not in the table" not in expected:
        line = source.splitlines()[int(found[0].split(":")[1]) - 1]
        assert "pytest_eng5" in line or "import" in line
