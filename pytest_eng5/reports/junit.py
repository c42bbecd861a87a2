"""JUnit XML in the ``xunit2`` form that pytest writes, one file per variant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from xml.etree import ElementTree

__all__ = ["JUnitCase", "junit_xml"]

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"failed": "failure", "error": "error", "skipped": "skipped"}


@dataclass(frozen=True, slots=True)
class JUnitCase:
    """One item.

    Attributes:
        time: Seconds.
        outcome: ``failed`` is a verdict on the system under test, ``error`` a fault around it.
        message: First line of a failure, error or skip.
        details: The rest.
        properties: Name and value, in order.
        sections: Heading and text of captured output and report sections.
    """

    classname: str
    name: str
    time: float = 0.0
    outcome: Literal["passed", "failed", "error", "skipped"] = "passed"
    message: str = ""
    details: str = ""
    properties: Sequence[tuple[str, object]] = field(default=())
    sections: Sequence[tuple[str, str]] = field(default=())


def junit_xml(
    suite_name: str,
    cases: Iterable[JUnitCase],
    properties: Mapping[str, object] | None = None,
    *,
    timestamp: datetime | None = None,
) -> bytes:
    """The file as UTF-8 with an XML declaration.

    Characters that XML 1.0 cannot hold are left out.

    Args:
        suite_name: Name of the test suite.
        cases: In the order of the file.
        properties: Of the suite.
        timestamp: When it started; left out if unknown.
    """
    items = list(cases)
    counts = Counter(case.outcome for case in items)
    root = ElementTree.Element("testsuites", name=_clean(suite_name))
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=_clean(suite_name),
        errors=str(counts["error"]),
        failures=str(counts["failed"]),
        skipped=str(counts["skipped"]),
        tests=str(len(items)),
        time=f"{sum(case.time for case in items):.3f}",
    )
    if timestamp is not None:
        suite.set("timestamp", timestamp.isoformat())
    _add_properties(suite, (properties or {}).items())
    for case in items:
        _add_case(suite, case)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add_case(suite: ElementTree.Element, case: JUnitCase) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", classname=_clean(case.classname), name=_clean(case.name), time=f"{case.time:.3f}"
    )
    _add_properties(element, case.properties)
    if case.outcome != "passed":
        result = ElementTree.SubElement(element, _TAGS[case.outcome], message=_clean(case.message))
        result.text = _clean(case.details or case.message)
        if case.outcome == "skipped":
            result.set("type", "pytest.skip")
    if case.sections:
        output = ElementTree.SubElement(element, "system-out")
        output.text = _clean("\n".join(f"{f' {head} ':-^80}\n{text}" for head, text in case.sections))


def _add_properties(parent: ElementTree.Element, properties: Iterable[tuple[str, object]]) -> None:
    pairs = list(properties)
    if not pairs:
        return
    holder = ElementTree.SubElement(parent, "properties")
    for name, value in pairs:
        ElementTree.SubElement(holder, "property", name=_clean(name), value=_clean(str(value)))


def _clean(text: str) -> str:
    return _ILLEGAL.sub("", text)
