"""The fault cases, made once for all tests: without a broker, and some of them in one session on Kafka."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import structlog

HERE = Path(__file__).parent


def _load(name: str) -> ModuleType:
    """A module beside this one, which tests cannot import."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


LAB = _load("lab")
MATRIX = _load("matrix")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that take ``case`` run for every case, those that take ``shown`` for those shown on Kafka."""
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", LAB.load_cases(), ids=lambda case: case.id)
    if "shown" in metafunc.fixturenames:
        metafunc.parametrize("shown", MATRIX.representative(LAB.load_cases()), ids=lambda case: case.id)


@pytest.fixture(scope="session")
def lab() -> ModuleType:
    """Cases, and running them without a broker."""
    return LAB


@pytest.fixture(scope="session")
def matrix() -> ModuleType:
    """The command behind ``make faults``."""
    return MATRIX


@pytest.fixture(scope="session")
def quick() -> Iterator[None]:
    """Neither log lines nor waiting for the disk: thousands of small files are written."""
    before, fsync = structlog.get_config(), os.fsync
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    os.fsync = lambda _: None  # type: ignore[assignment]
    yield
    os.fsync = fsync  # type: ignore[assignment]
    structlog.configure(**before)


@pytest.fixture(scope="session")
def offline(quick: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What all cases look like without a broker."""
    return dict(MATRIX.offline(tmp_path_factory.mktemp("offline"), LAB.load_cases()))
