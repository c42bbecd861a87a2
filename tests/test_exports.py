"""What every room offers: names pinned by a snapshot, importable, documented, and light to import.

After a deliberate change of a public interface: ``pytest tests/test_exports.py --snapshot-update``.
"""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

import pytest_eng5

ROOT = Path(pytest_eng5.__file__).parent
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
# The pipeline is a process and collection belongs to pytest: nobody imports names from either.
LIBRARIES = [room for room in ROOMS if room not in {"pipeline", "collection"}]
MODULES = ["pytest_eng5", "pytest_eng5.errors", *(f"pytest_eng5.{room}" for room in LIBRARIES)]
HEAVY = ("numpy", "scipy", "aiokafka", "httpx", "starlette", "uvicorn", "choix", "networkx", "jsonschema")
HEAVY += ("docx", "lxml", "openpyxl", "pypdf", "jwt", "prometheus_client", "testcontainers", "docker")


def _module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_exported_names_are_pinned(name: str, snapshot: SnapshotAssertion) -> None:
    assert sorted(_module(name).__all__) == snapshot


@pytest.mark.parametrize("name", MODULES)
def test_exported_names_exist_once(name: str) -> None:
    module = _module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [export for export in module.__all__ if not hasattr(module, export)] == []


def _is_documented(export: str, value: Any) -> bool:
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return True
    text = value.__doc__ or ""
    written_by_dataclass = text.startswith(f"{export}(")
    return bool(text.strip()) and not written_by_dataclass and text != "An enumeration."


@pytest.mark.parametrize("name", MODULES)
def test_exported_classes_and_functions_are_documented(name: str) -> None:
    module = _module(name)
    assert [item for item in module.__all__ if not _is_documented(item, getattr(module, item))] == []


@pytest.mark.parametrize("name", MODULES)
def test_public_members_of_exported_classes_are_documented(name: str) -> None:
    module = _module(name)
    bare = [
        f"{export}.{member}"
        for export in module.__all__
        if inspect.isclass(value := getattr(module, export)) and not getattr(value, "_is_protocol", False)
        for member, body in vars(value).items()
        if not member.startswith("_") and isinstance(body, property | staticmethod | classmethod)
        if not (body.fget if isinstance(body, property) else body.__func__).__doc__
    ]
    assert bare == []


@pytest.mark.parametrize("name", MODULES)
def test_exports_are_our_own(name: str) -> None:
    module = _module(name)
    foreign = [
        export
        for export in module.__all__
        if (inspect.isclass(value := getattr(module, export)) or inspect.isfunction(value))
        and not value.__module__.startswith("pytest_eng5")
    ]
    assert foreign == []


def test_a_missing_docstring_would_be_seen() -> None:
    from dataclasses import dataclass

    @dataclass
    class Bare:
        value: int

    def bare() -> None: ...

    def documented() -> None:
        """Says so."""

    assert not _is_documented("Bare", Bare)
    assert not _is_documented("bare", bare)
    assert _is_documented("documented", documented)
    assert _is_documented("LIMIT", 36)


def _loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return {module.split(".")[0] for module in json.loads(run.stdout)}


def test_the_package_root_loads_nothing_heavy() -> None:
    loaded = _loaded_by("import pytest_eng5, pytest_eng5.errors")
    assert not loaded & {*HEAVY, "pydantic", "yaml", "orjson", "pytest"}


def test_the_supervisor_of_processes_is_standard_library_only() -> None:
    before = _loaded_by("pass")
    loaded = _loaded_by("import pytest_eng5.processes") - before - {"pytest_eng5"}
    assert loaded <= sys.stdlib_module_names


@pytest.mark.parametrize("module", ["pytest_eng5.plugin", "pytest_eng5.scenario", "pytest_eng5.contracts"])
def test_collection_loads_no_numbers_kafka_or_http(module: str) -> None:
    assert not _loaded_by(f"import {module}") & set(HEAVY)


@pytest.mark.parametrize("module", ["pytest_eng5.evidence", "pytest_eng5.checks", "pytest_eng5.gates"])
def test_verification_loads_no_kafka_or_http(module: str) -> None:
    assert not _loaded_by(f"import {module}") & {"aiokafka", "httpx", "starlette", "uvicorn"}


def test_the_oracle_sees_what_a_module_loads() -> None:
    assert {"numpy", "scipy"} <= _loaded_by("import pytest_eng5.alignment")
