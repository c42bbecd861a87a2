"""The jars of Apache Kafka: from the cache, fetched into it, or from an unpacked distribution."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import ssl
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.brokers.cache import cache_root, clear_disk_errors, exclusive, require_space
from pytest_eng5.brokers.errors import (
    OTHER_WAYS,
    ChecksumMismatch,
    KafkaHomeInvalid,
    KafkaNotInstalled,
    NoNetwork,
)
from pytest_eng5.brokers.lockfile import Jar, LockedJars, file_sha256, locked_jars

__all__ = ["REPOSITORY_VARIABLE", "KafkaJars", "fetched_jars", "home_jars", "jar_folder", "jars_to_fetch"]

REPOSITORY_VARIABLE = "ENG5_MAVEN_REPOSITORY"
_DEFAULT_REPOSITORY = "https://repo.maven.apache.org/maven2"
_TRUST_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PARALLEL = 8
_ATTEMPTS = 2
_ROOM_FOR_AOT = 150_000_000


@dataclass(frozen=True)
class KafkaJars:
    """A whole Apache Kafka as a class path, its version, its place, and the folder for what is derived."""

    version: str
    class_path: tuple[Path, ...]
    origin: Path
    cache: Path

    @property
    def fingerprint(self) -> str:
        """Changes whenever a jar is replaced: paths, sizes and dates."""
        stamps = [f"{path}|{_stamp(path)}" for path in self.class_path]
        return hashlib.sha256("\n".join(stamps).encode()).hexdigest()


def jar_folder(locked: LockedJars | None = None) -> Path:
    """The folder of the cache that belongs to exactly this list of jars."""
    locked = locked or locked_jars()
    return cache_root() / f"kafka-{locked.kafka}-{locked.fingerprint[:8]}"


def fetched_jars(
    report: Callable[[str], None], *, verify: bool = False, locked: LockedJars | None = None
) -> KafkaJars:
    """The pinned jars, fetched into the cache unless they are there.

    Args:
        report: Told when a download begins.
        verify: Check the SHA-256 of every jar; otherwise only of those whose size or date has changed since
            the last check.
        locked: The list of jars; default is the one kept in the package.

    Raises:
        KafkaNotInstalled, NoNetwork, ChecksumMismatch, DiskFull: As their names say.
    """
    locked = locked or locked_jars()
    folder = jar_folder(locked)
    jars = KafkaJars(
        locked.kafka, tuple(folder / "jars" / jar.file_name for jar in locked.jars), folder, folder
    )
    if not verify and _all_known_good(folder, locked):
        return jars
    if _is_read_only(folder) and all(path.exists() for path in jars.class_path):
        _check_all(folder, locked)  # a cache baked into an image: nothing can be noted down there
        return jars
    with exclusive(folder):
        _complete(folder, locked, report, verify=verify)
    return jars


def jars_to_fetch(locked: LockedJars | None = None) -> list[Jar]:
    """The pinned jars that are not in the cache; those that are there are not checked, and none is fetched.

    Raises:
        KafkaNotInstalled: Some are missing, and so is the package that fetches them.
    """
    locked = locked or locked_jars()
    folder = jar_folder(locked) / "jars"
    missing = [jar for jar in locked.jars if not (folder / jar.file_name).exists()]
    if missing:
        _require_jgo()
    return missing


def home_jars(kafka_home: Path) -> KafkaJars:
    """The jars of an unpacked Apache Kafka distribution."""
    home = kafka_home.expanduser().absolute()
    jars = tuple(sorted(path for path in home.glob("libs/*.jar") if not _is_extra(path)))
    core = [found for path in jars if (found := re.fullmatch(r"kafka_2\.1[23]-(.+)\.jar", path.name))]
    if not core:
        raise KafkaHomeInvalid(
            "not an unpacked Apache Kafka: there is no libs/kafka_2.13-VERSION.jar in it",
            where=str(home),
            fix="give the folder made by unpacking kafka_2.13-VERSION.tgz, or leave --eng5-kafka-home out",
        )
    key = hashlib.sha256(str(home).encode()).hexdigest()[:8]
    return KafkaJars(core[0][1], jars, home, cache_root() / f"home-{core[0][1]}-{key}")


def _is_extra(path: Path) -> bool:
    return re.search(r"-(sources|javadoc|test|test-sources|scaladoc)\.jar$", path.name) is not None


# ---- what is known about the cached jars -----------------------------------------------------------------


def _stamp(path: Path) -> list[int]:
    """Size and date, [] for a missing file; whole seconds, all that an archive of a CI cache keeps."""
    try:
        stat = path.stat()
    except OSError:
        return []
    return [stat.st_size, int(stat.st_mtime)]


def _known_good(folder: Path) -> dict[str, list[int]]:
    """Jar name to the size and date it had when its SHA-256 was last found right."""
    try:
        known = json.loads((folder / "verified.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _all_known_good(folder: Path, locked: LockedJars) -> bool:
    known = _known_good(folder)
    return all(
        known.get(jar.file_name) == _stamp(folder / "jars" / jar.file_name) != [] for jar in locked.jars
    )


def _write_known_good(folder: Path, locked: LockedJars) -> None:
    known = {jar.file_name: _stamp(folder / "jars" / jar.file_name) for jar in locked.jars}
    temporary = folder / "verified.json.new"
    temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
    temporary.replace(folder / "verified.json")


# ---- fetching --------------------------------------------------------------------------------------------


def _complete(folder: Path, locked: LockedJars, report: Callable[[str], None], *, verify: bool) -> None:
    """Check what is there and fetch the rest; the caller holds the lock."""
    with clear_disk_errors(folder):
        (folder / "jars").mkdir(exist_ok=True)
        known = {} if verify else _known_good(folder)
        missing = []
        for jar in locked.jars:
            path = folder / "jars" / jar.file_name
            stamp = _stamp(path)
            if not stamp:
                missing.append(jar)
            elif known.get(jar.file_name) != stamp:
                _check_cached(jar, path)
        if missing:
            _fetch(missing, folder, locked, report)
        _write_known_good(folder, locked)


def _is_read_only(folder: Path) -> bool:
    return folder.is_dir() and not os.access(folder, os.W_OK)


def _check_all(folder: Path, locked: LockedJars) -> None:
    for jar in locked.jars:
        _check_cached(jar, folder / "jars" / jar.file_name)


def _check_cached(jar: Jar, path: Path) -> None:
    found = file_sha256(path)
    if found != jar.sha256:
        raise ChecksumMismatch(
            f"the cached jar is not {jar}: its SHA-256 is {found}, on record is {jar.sha256}",
            where=str(path),
            fix="find out who changed it, delete it, and run `eng5 kafka install` to fetch it again; "
            f"or {OTHER_WAYS}",
        )


def _fetch(missing: list[Jar], folder: Path, locked: LockedJars, report: Callable[[str], None]) -> None:
    _require_jgo()
    size = sum(jar.size for jar in missing)
    require_space(folder, 2 * size + _ROOM_FOR_AOT, f"fetching Apache Kafka {locked.kafka}")
    repository = os.environ.get(REPOSITORY_VARIABLE, _DEFAULT_REPOSITORY).rstrip("/")
    report(
        f"fetching Apache Kafka {locked.kafka} ({len(missing)} jars, {size / 1e6:.0f} MB, once) "
        f"from {repository} into {folder}"
    )
    for left_behind in folder.glob("staging-*"):  # whoever made it was killed: the lock is ours
        shutil.rmtree(left_behind, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix="staging-", dir=folder))
    try:
        with _system_trust(), ThreadPoolExecutor(_PARALLEL) as pool:
            running = [pool.submit(_fetch_one, jar, repository, staging, folder) for jar in missing]
            try:
                for future in as_completed(running):
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # the rest would fail the same way, slowly
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def _system_trust() -> Iterator[None]:
    """Let requests trust what the system trusts, for networks whose proxy has a certificate of its own.

    A bundle that the user has set wins; so does the one that comes with requests where the system has none.
    """
    system = ssl.get_default_verify_paths()
    bundle = system.cafile or system.capath
    if bundle is None or any(os.environ.get(name) for name in _TRUST_VARIABLES):
        yield
        return
    os.environ[_TRUST_VARIABLES[0]] = bundle
    try:
        yield
    finally:
        del os.environ[_TRUST_VARIABLES[0]]


def _require_jgo() -> None:
    if importlib.util.find_spec("jgo") is None:
        raise KafkaNotInstalled(
            "the package jgo, which fetches Apache Kafka, is not installed",
            fix=f"pip install 'pytest-eng5[embedded]'; or {OTHER_WAYS}",
        )


def _fetch_one(jar: Jar, repository: str, staging: Path, folder: Path) -> None:
    """Fetch one jar beside the others and move it there once its sum is right."""
    path = _download(jar, repository, staging)
    found = file_sha256(path)
    if found != jar.sha256:
        raise ChecksumMismatch(
            f"{repository} sent another {jar}: its SHA-256 is {found}, on record is {jar.sha256}",
            where=path.name,
            fix="see whether a proxy or a login page answers in its place, or choose another repository "
            f"({REPOSITORY_VARIABLE}); or {OTHER_WAYS}",
        )
    path.replace(folder / "jars" / jar.file_name)


def _download(jar: Jar, repository: str, staging: Path) -> Path:
    import requests

    error: Exception | None = None
    for attempt in range(_ATTEMPTS):
        try:
            return _resolve(jar, repository, staging / str(attempt))
        except requests.RequestException as failed:
            error = failed
        except RuntimeError as failed:  # what jgo raises when the repository does not have it
            error = failed
            break
    raise _no_network(jar, repository, error) from error


def _resolve(jar: Jar, repository: str, folder: Path) -> Path:
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=folder, remote_repos={"chosen": repository})
    return Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())


def _no_network(jar: Jar, repository: str, error: Exception | None) -> NoNetwork:
    return NoNetwork(
        f"{jar} cannot be fetched: {_short(error)}",
        where=repository,
        fix="run `eng5 kafka install` once where there is a network; behind a proxy set HTTPS_PROXY, "
        f"with a mirror of Maven Central set {REPOSITORY_VARIABLE}; or {OTHER_WAYS}",
    )


def _short(error: Exception | None) -> str:
    """The innermost reason of a message of requests, which wraps it several times."""
    text = str(error).split("\n")[0].rsplit("Caused by ", 1)[-1]
    return text if len(text) <= 200 else text[:200] + "..."
