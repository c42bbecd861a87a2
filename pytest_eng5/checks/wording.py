"""How findings read: short ids and positions, values clipped, one line per code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_eng5.checks.registry import CODES
from pytest_eng5.evidence import Finding, Severity

__all__ = ["brief", "clip", "listed", "plural", "short_id", "short_position", "short_topic", "summarise"]

_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
_ID_LENGTH = 8
_LISTED = 5
_SHOWN = 3


def plural(count: int, noun: str) -> str:
    """``1 comparison``, ``66 comparisons``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def clip(value: object, limit: int = 80) -> str:
    """A foreign value in quotes, on one line, cut after ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 2]}.."


def brief(text: str, limit: int = 200) -> str:
    """A foreign sentence on one line, without characters that a terminal obeys, cut after ``limit``."""
    line = "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
    return line if len(line) <= limit else f"{line[: limit - 2]}.."


def short_id(identifier: str) -> str:
    """The first eight characters of an id, without the prefix of essay ids: ``3f9c0a12..``."""
    text = brief(identifier.removeprefix("student::"))
    return text if len(text) <= _ID_LENGTH else f"{text[:_ID_LENGTH]}.."


def short_topic(topic: str) -> str:
    """A topic without prefix, ``huleedu.``, the provider's name space and version: ``comparison_result``."""
    return topic.rpartition("huleedu.")[2].removeprefix("llm_provider.").removesuffix(".v1")


def short_position(position: str) -> str:
    """``topic[partition]@offset`` with the short topic: ``comparison_result[1]@41``."""
    topic, bracket, rest = position.rpartition("[")
    return f"{short_topic(topic)}{bracket}{rest}"


def listed(names: Sequence[str]) -> str:
    """Names separated by commas, at most five of them, then how many more."""
    head = ", ".join(names[:_LISTED])
    return f"{head} and {len(names) - _LISTED} more" if len(names) > _LISTED else head


def _place(finding: Finding) -> str:
    parts = []
    if finding.request_id:
        parts.append(f"request {short_id(finding.request_id)}")
    if finding.essay_ids:
        noun = "essay" if len(finding.essay_ids) == 1 else "essays"
        parts.append(f"{noun} {listed([short_id(essay) for essay in finding.essay_ids])}")
    if finding.position:
        parts.append(short_position(finding.position))
    return ", ".join(parts)


def _line(findings: Sequence[Finding]) -> str:
    first = findings[0]
    messages = list(dict.fromkeys(finding.message for finding in findings))
    same = sum(finding.message == first.message for finding in findings)
    text = first.message
    if len(messages) > 1 or (same > 1 and f"in {same} of " not in first.message):
        text += f" ({plural(len(findings), 'finding')})"
    place, more = _place(first), _next_places(findings[1:])
    return (
        f"{first.code} {text}" + (f"; first: {place}" if place else "") + (f"; then {more}" if more else "")
    )


def _next_places(findings: Sequence[Finding]) -> str:
    """Where the second and the third of many findings are."""
    places = [_position(finding) for finding in findings[: _SHOWN - 1]]
    return ", ".join(place for place in places if place)


def _position(finding: Finding) -> str:
    if finding.position:
        return short_position(finding.position)
    if finding.essay_ids:
        return f"essay {short_id(finding.essay_ids[0])}"
    return brief(finding.field or finding.evidence or "")


def summarise(findings: Iterable[Finding]) -> list[str]:
    """One line per code (and severity), errors first: what is wrong, how often, and the first three places.

    ``META-MISSING prompt_sha256 absent in 2 of 66 callbacks; first: request 3f9c0a12.., essays 0a1b2c3d..,
    4e5f6a7b.., comparison_result[1]@41; then comparison_result[0]@77``
    """
    groups: dict[tuple[int, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((_SEVERITIES.index(finding.severity), finding.code), []).append(finding)
    known = {code: place for place, code in enumerate(CODES)}
    order = sorted(groups, key=lambda group: (group[0], known.get(group[1], len(known)), group[1]))
    return [_line(groups[group]) for group in order]
