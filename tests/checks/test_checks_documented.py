"""docs/checks.md lists exactly the codes of the registry, each under its check, with its severity."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_eng5.checks import CHECKS, CODES

TEXT = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([A-Z0-9.-]+)` \| (\w+) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def test_every_code_is_listed_once_in_the_order_of_reports() -> None:
    assert [match[1] for match in ROW.finditer(TEXT)] == list(CODES)


def test_severity_and_section_are_those_of_the_registry() -> None:
    for section in TEXT.split("\n## ")[1:]:
        check = section.partition("\n")[0]
        assert check in CHECKS
        for match in ROW.finditer(section):
            assert CODES[match[1]].check == check
            assert CODES[match[1]].severity == match[2]


def test_each_says_what_to_do() -> None:
    for match in ROW.finditer(TEXT):
        assert match[3].rstrip(")").endswith((".", "derived"))
        assert len(match[4]) > 8
