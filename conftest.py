"""What ``pytest scenarios/`` needs beside the plugin, which comes with the installed package."""

from __future__ import annotations

import sys

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let ``pyproject.toml`` set a key of pytest-asyncio also where that plugin is not loaded."""
    if "pytest_asyncio" not in sys.modules:
        help_ = "read by pytest-asyncio where it is loaded"
        parser.addini("asyncio_default_fixture_loop_scope", help=help_, default=None)
