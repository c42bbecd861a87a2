"""The start-up cache of the Java runtime: classes loaded and linked ahead of time, which halves the start.

Java 25 and newer write an AOT cache (JEP 514), older ones a class data archive (AppCDS, JEP 350); both are
written by a run that ends normally, and both are valid for one runtime, one class path and one set of flags
only. So a broker that finds no cache for its own combination runs as the training run: it starts as fast as
without, and takes some seconds longer to stop, once.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.brokers.jars import KafkaJars
from pytest_eng5.brokers.java import Java
from pytest_eng5.brokers.server import JVM_FLAGS

__all__ = ["StartupCache"]

_AOT_SINCE = 25


@dataclass(frozen=True)
class StartupCache:
    """The cache file of one combination of runtime, jars and flags, there or not."""

    path: Path
    java_version: int

    @classmethod
    def of(cls, java: Java, jars: KafkaJars) -> StartupCache:
        """The cache for this combination."""
        key = hashlib.sha256("|".join([java.fingerprint, jars.fingerprint, *JVM_FLAGS]).encode()).hexdigest()
        return cls(
            jars.cache / "aot" / f"{key[:16]}.{'aot' if java.version >= _AOT_SINCE else 'jsa'}", java.version
        )

    @property
    def ready(self) -> bool:
        """Whether a start can use it."""
        return self.path.exists()

    def use_flags(self) -> tuple[str, ...]:
        """Flags of a run that uses the cache; the runtime ignores one that does not fit."""
        if self.java_version >= _AOT_SINCE:
            return (f"-XX:AOTCache={self.path}",)
        return ("-Xshare:auto", f"-XX:SharedArchiveFile={self.path}")

    def training_flags(self, output: Path) -> tuple[str, ...]:
        """Flags of a run that writes the cache to ``output`` when it ends."""
        if self.java_version >= _AOT_SINCE:
            return (f"-XX:AOTCacheOutput={output}",)
        return (f"-XX:ArchiveClassesAtExit={output}",)

    def training_output(self) -> Path | None:
        """Where a training run should write, or None where the cache folder cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        if not os.access(self.path.parent, os.W_OK):
            return None
        return self.path.with_name(f"{self.path.name}.{os.getpid()}.new")

    def keep(self, output: Path) -> bool:
        """Put the result of a training run in place; False when the run left none."""
        if not output.exists():
            return False
        for other in self.path.parent.glob("*"):
            if other not in (self.path, output) and other.suffix != ".new":
                other.unlink(missing_ok=True)
        output.replace(self.path)
        return True
