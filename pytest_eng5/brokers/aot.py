"""The start-up cache of the Java runtime: classes loaded and linked ahead of time, which halves the start.

Java 25 and newer write an AOT cache (JEP 514), older ones a class data archive (AppCDS, JEP 350); both are
written by a run that ends normally, and both are valid for one runtime, one class path and one set of flags
only. So a broker that finds no cache for its own combination runs as the training run: it starts as fast as
without, and takes some seconds longer to stop, once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.brokers.jars import KafkaJars
from pytest_eng5.brokers.java import Java
from pytest_eng5.brokers.server import JVM_FLAGS, java_command, java_environment

__all__ = ["StartupCache", "Training"]

_AOT_SINCE = 25
_ROOM = 400_000_000
_KEPT = 4
_CHECK_SECONDS = 30.0
_STALE_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Training:
    """A run that writes a start-up cache to ``output`` when it ends; plain JSON by ``dataclasses.asdict``.

    ``check`` is a command that succeeds if the runtime accepts what was written.
    """

    output: str
    target: str
    check: list[str]

    def keep(self) -> bool:
        """Put the cache in place if the run has left one that works; False when it has not."""
        output, target = Path(self.output), Path(self.target)
        try:
            if not output.exists() or not self._works():
                return False
            output.replace(target)
            _make_room(target)
        except OSError:
            return False
        finally:
            self.drop()
        return True

    def drop(self) -> None:
        """Remove whatever the run has written."""
        with contextlib.suppress(OSError):
            Path(self.output).unlink(missing_ok=True)

    def _works(self) -> bool:
        # A cache cut short by a full disk could crash every later start, so it is tried once.
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            answer = subprocess.run(
                self.check, env=java_environment(), capture_output=True, timeout=_CHECK_SECONDS, check=False
            )
            return answer.returncode == 0
        return False


def _make_room(newest: Path) -> None:
    """Keep the few newest caches (several runtimes may take turns), and no output of a run long dead."""
    files = sorted(newest.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    caches = [path for path in files if path.suffix in (".aot", ".jsa")]
    stale = [path for path in files if path not in caches and _age(path) > _STALE_SECONDS]
    for path in [*caches[_KEPT:], *stale]:
        path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


@dataclass(frozen=True)
class StartupCache:
    """The cache file of one combination of runtime, jars and flags, there or not."""

    path: Path
    java: Java
    jars: KafkaJars

    @classmethod
    def of(cls, java: Java, jars: KafkaJars) -> StartupCache:
        """The cache for this combination."""
        key = hashlib.sha256("|".join([java.fingerprint, jars.fingerprint, *JVM_FLAGS]).encode()).hexdigest()
        suffix = "aot" if java.version >= _AOT_SINCE else "jsa"
        return cls(jars.cache / "startup" / f"{key[:16]}.{suffix}", java, jars)

    @property
    def ready(self) -> bool:
        """Whether a start can use it."""
        return self.path.exists()

    def use_flags(self) -> tuple[str, ...]:
        """Flags of a run that uses the cache; the runtime ignores one that does not fit."""
        if self.java.version >= _AOT_SINCE:
            return (f"-XX:AOTCache={self.path}",)
        return ("-Xshare:auto", f"-XX:SharedArchiveFile={self.path}")

    def discard(self) -> None:
        """Remove the file, so that the next run trains anew."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def training(self) -> tuple[Training, tuple[str, ...]] | None:
        """A training run and its flags, or None where the folder cannot be written or has too little room."""
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < _ROOM:
                return None
        except OSError:
            return None
        output = self.path.with_name(f"{self.path.name}.{os.getpid()}.{time.monotonic_ns()}.new")
        return Training(str(output), str(self.path), self._check(output)), self._write_flags(output)

    def _write_flags(self, output: Path) -> tuple[str, ...]:
        if self.java.version >= _AOT_SINCE:
            return (f"-XX:AOTCacheOutput={output}",)
        return (f"-XX:ArchiveClassesAtExit={output}",)

    def _check(self, output: Path) -> list[str]:
        """``java -version`` that fails unless the cache is accepted."""
        if self.java.version >= _AOT_SINCE:
            flags = [f"-XX:AOTCache={output}", "-XX:AOTMode=on"]
        else:
            flags = ["-Xshare:on", f"-XX:SharedArchiveFile={output}"]
        return java_command(self.java, self.jars, ["-version"], flags)
