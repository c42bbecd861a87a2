"""Ids: what the previous runner derived from file names, and the opaque ids that go on the wire.

Essay ids are a global primary key in the CJ service and the judge reads them (contract 9 and 13, P5 and
R29): ours are unique per run and carry neither grade nor name.
"""

from __future__ import annotations

import hashlib
import re

__all__ = [
    "ANCHOR_PREFIX",
    "ESSAY_ID_LIMIT",
    "PLAIN_PREFIX",
    "STUDENT_PREFIX",
    "generate_essay_id",
    "grade_from_stem",
    "make_anchor_key",
    "sanitize_identifier",
    "wire_essay_id",
]

ESSAY_ID_LIMIT = 36
STUDENT_PREFIX = "student::"
PLAIN_PREFIX = "student_"
ANCHOR_PREFIX = "ANCHOR_"
_OTHER = re.compile(r"[^A-Za-z0-9]+")


def sanitize_identifier(raw: str) -> str:
    """Runs of other characters become one underscore, stripped, upper case; never empty (contract 10.4)."""
    return _OTHER.sub("_", raw).strip("_").upper() or "ESSAY"


def generate_essay_id(stem: str, max_length: int = ESSAY_ID_LIMIT) -> str:
    """A sanitised id of at most ``max_length`` characters; longer ones end in 8 hash digits."""
    text = sanitize_identifier(stem)
    if len(text) <= max_length:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8].upper()
    return f"{text[: max_length - 9]}_{digest}"


def make_anchor_key(raw: str, max_length: int = ESSAY_ID_LIMIT - len(STUDENT_PREFIX)) -> str:
    """An id that still fits when it is prefixed with ``student::``."""
    return generate_essay_id(raw, max_length)


def grade_from_stem(stem: str) -> str:
    """The grade in a file name: last token after an underscore, without trailing digits, upper case.

    Raises:
        ValueError: Nothing is left.
    """
    grade = stem.rsplit("_", 1)[-1].rstrip("0123456789").upper()
    if not grade:
        raise ValueError(f"no grade in the file name {stem!r}")
    return grade


def wire_essay_id(batch_id: str, local_id: str, prefix: str = STUDENT_PREFIX) -> str:
    """The opaque id of an essay in one run: ``student::`` and 27 hexadecimal digits.

    Derived from the batch id and the local id, so that it is unique per run and can be made again from the
    evidence, but tells a judge nothing.

    Args:
        prefix: Another beginning; `PLAIN_PREFIX` for ids that go into an artefact of schema 1.0, whose
            students have no colons.
    """
    digest = hashlib.sha256(f"{batch_id}\n{local_id}".encode()).hexdigest()
    return prefix + digest[: ESSAY_ID_LIMIT - len(prefix)]
