"""A file that remembers what was uploaded where, so that unchanged texts need not go up again.

The shape is that of the previous runner (contract section 10.5). Several processes may use one file: each
write merges with what is there, under a lock, and replaces the file in one step.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_eng5.contracts import utc_now
from pytest_eng5.services.http import shown_url

__all__ = ["STORAGE_ID", "UploadCache"]

SCHEMA_VERSION = 1
STORAGE_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger(__name__)


class UploadCache:
    """Storage ids by the SHA-256 of the stored bytes, for one content service.

    A file that cannot be used is ignored with a warning that names the reason; a file that cannot be written
    is a warning too: a run never fails for its cache.

    Args:
        path: The file, such as ``content_upload_cache.json`` in the output folder; created when needed.
        url: Address of the content service; entries of another one do not count.
    """

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self._url = shown_url(url).rstrip("/")
        self._new: dict[str, str] = {}
        self._entries: dict[str, str] | None = None

    def get(self, digest: str) -> str | None:
        """The storage id remembered for a SHA-256 in hexadecimal digits; it may no longer exist."""
        if self._entries is None:
            self._entries = self._read(warn=True)
        return self._entries.get(digest)

    def put(self, digest: str, storage_id: str) -> None:
        """Remember an upload; :meth:`save` makes it durable."""
        self.get(digest)
        self._new[digest] = storage_id
        if self._entries is not None:
            self._entries[digest] = storage_id

    def save(self) -> None:
        """Merge what was put since the last call into the file; waits while another process does so."""
        new, self._new = self._new, {}
        if not new:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self._replace({**self._read(warn=False), **new})
        except OSError as error:
            _warn(self.path, "cache_file_not_writable", str(error))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # A file of its own: the cache file is replaced, so a lock on it would be a lock on the old one.
        with self.path.with_name(f".{self.path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _replace(self, entries: dict[str, str]) -> None:
        document = {
            "schema_version": SCHEMA_VERSION,
            "content_service_url": self._url,
            "updated_at": utc_now().isoformat(),
            "entries": entries,
        }
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(document, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def _read(self, *, warn: bool) -> dict[str, str]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            if warn:
                _warn(self.path, "cache_file_not_readable", str(error))
            return {}
        document, reason = _parse(content, self._url)
        if reason is not None and warn:
            _warn(self.path, reason)
        return document


def _parse(content: bytes, url: str) -> tuple[dict[str, str], str | None]:
    """The usable entries, and why there are none."""
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError):
        return {}, "cache_file_invalid_json"
    if not isinstance(document, dict):
        return {}, "cache_file_invalid_format"
    version = document.get("schema_version")
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        return {}, "cache_file_schema_mismatch"
    entries, written_for = document.get("entries"), document.get("content_service_url")
    if not isinstance(entries, dict):
        return {}, "cache_file_missing_entries"
    if not isinstance(written_for, str) or written_for.rstrip("/") != url:
        return {}, "content_service_url_changed"
    return {digest: entry for digest, entry in entries.items() if _is_entry(digest, entry)}, None


def _is_entry(digest: str, entry: object) -> bool:
    known = isinstance(entry, str) and STORAGE_ID.fullmatch(entry)
    return bool(known and _SHA256.fullmatch(digest))


def _warn(path: Path, reason: str, detail: str = "") -> None:
    shown = f" ({detail})" if detail else ""
    _log.warning(
        "the upload cache %s is not used: %s%s",
        path,
        reason,
        shown,
        extra={"reason": reason, "path": str(path)},
    )
