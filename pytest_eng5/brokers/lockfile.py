"""The list of jars that make Apache Kafka, with their SHA-256 sums, kept in the package.

``python -m pytest_eng5.brokers.lockfile`` resolves the pinned version anew with jgo, fetches every jar into
a temporary folder and writes the list; review the difference before committing it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

__all__ = ["KAFKA_VERSION", "Jar", "LockedJars", "file_sha256", "locked_jars"]

KAFKA_VERSION = "4.3.0"
LOCK_PATH = Path(__file__).with_name("kafka_jars.json")

_ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    # Kafka logs through SLF4J 1.7 and brings no binding: without one its errors would be lost.
    "org.slf4j:slf4j-simple:1.7.36",
)


@dataclass(frozen=True)
class Jar:
    """One jar by its Maven coordinates, its SHA-256 (hexadecimal) and its size in bytes."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


@dataclass(frozen=True)
class LockedJars:
    """The pinned Apache Kafka: version and jars, in class path order."""

    kafka: str
    jars: tuple[Jar, ...]

    @property
    def size(self) -> int:
        """Bytes of all jars together."""
        return sum(jar.size for jar in self.jars)

    @property
    def fingerprint(self) -> str:
        """Changes whenever any jar does."""
        return hashlib.sha256("".join(jar.sha256 for jar in self.jars).encode()).hexdigest()


@cache
def locked_jars() -> LockedJars:
    """The list kept in the package."""
    data = json.loads(LOCK_PATH.read_text(encoding="utf-8"))
    return LockedJars(data["kafka"], tuple(Jar(**entry) for entry in data["jars"]))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve_jars(repo_cache: Path) -> LockedJars:
    """Resolve the pinned version over the network and fetch every jar into ``repo_cache``."""
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=repo_cache)
    inputs, transitive = context.resolver.resolve([context.create_dependency(root) for root in _ROOTS])
    runtime = [each for each in transitive if each.scope in ("compile", "runtime")]
    jars = []
    for artifact in (each.artifact for each in [*inputs, *runtime]):
        path = artifact.resolve()
        jar = Jar(
            artifact.groupId, artifact.artifactId, artifact.version, file_sha256(path), path.stat().st_size
        )
        jars.append(jar)
    return LockedJars(KAFKA_VERSION, tuple(sorted(jars, key=lambda jar: (jar.group, jar.artifact))))


def main(argv: Sequence[str] | None = None) -> int:
    """Write the list (or, with ``--check``, only compare it)."""
    parser = argparse.ArgumentParser(prog="python -m pytest_eng5.brokers.lockfile", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if the list on record differs")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="eng5-lock-") as folder:
        fresh = resolve_jars(Path(folder))
    if arguments.check:
        return 0 if fresh == locked_jars() else 1
    data = {"kafka": fresh.kafka, "jars": [asdict(jar) for jar in fresh.jars]}
    LOCK_PATH.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
