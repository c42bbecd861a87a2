"""The lines that a user reads, and the registry behind them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pytest_eng5.checks as checks
from pytest_eng5.checks import CHECKS, CODES, UnknownCheckError, checks_for, run_checks, summarise
from pytest_eng5.checks.wording import brief, clip, listed, plural, short_id, short_position
from pytest_eng5.evidence import Finding

SOURCES = sorted(Path(checks.__file__).parent.glob("*.py"))


def test_the_line_of_the_design(run: Any) -> None:
    for place in (9, 4):
        del run.comparisons[place].metadata["prompt_sha256"]
    lines = summarise(run_checks(run.load()))
    first = run.comparisons[4]
    request = first.data["request_id"][:8]
    a, b = (first.metadata[key].removeprefix("student::")[:8] for key in ("essay_a_id", "essay_b_id"))
    assert lines == [
        f"META-MISSING prompt_sha256 absent in 2 of 15 callbacks; "
        f"first: request {request}.., essays {a}.., {b}.., comparison_result[1]@1; "
        "then comparison_result[0]@3"
    ]


def test_the_first_three_of_many_are_shown() -> None:
    def made(**place: object) -> Finding:
        facts = {"code": "META-MISSING", "severity": "error", "message": "m in 5 of 9", "check": "metadata"}
        return Finding.model_validate(facts | place)

    topic = "huleedu.llm_provider.comparison_result.v1"
    many = [made(position=f"{topic}[0]@{offset}") for offset in range(5)]
    (line,) = summarise(many)
    assert line == (
        "META-MISSING m in 5 of 9; first: comparison_result[0]@0; "
        "then comparison_result[0]@1, comparison_result[0]@2"
    )
    (line,) = summarise([made(), made(essay_ids=("student::0123456789",)), made(field="/x")])
    assert line == "META-MISSING m in 5 of 9 (3 findings); then essay 01234567.., /x"
    assert summarise([made(), made()]) == ["META-MISSING m in 5 of 9 (2 findings)"]


def test_errors_come_before_warnings_and_unknown_codes_last() -> None:
    def made(code: str, severity: str, message: str = "m") -> Finding:
        return Finding(code=code, severity=severity, message=message, check="x")  # type: ignore[arg-type]

    lines = summarise(
        [
            made("EVENT-LATE", "warning"),
            made("ZZZ-NEW", "error"),
            made("COUNT-MISSING", "info"),
            made("META-MISSING", "error"),
            made("EVENT-STALE", "error", "one"),
            made("EVENT-STALE", "error", "two"),
        ]
    )
    assert lines == [
        "EVENT-STALE one (2 findings)",
        "META-MISSING m",
        "ZZZ-NEW m",
        "EVENT-LATE m",
        "COUNT-MISSING m",
    ]
    assert summarise([]) == []


def test_two_fields_of_one_code_are_counted(run: Any) -> None:
    del run.comparisons[4].metadata["prompt_sha256"], run.comparisons[5].metadata["essay_a_id"]
    (line,) = summarise(run_checks(run.load(), ["metadata"]))
    assert line.startswith(
        "META-MISSING prompt_sha256 absent in 1 of 15 callbacks (2 findings); first: request"
    )


@pytest.mark.parametrize(
    ("position", "short"),
    [
        ("huleedu.llm_provider.comparison_result.v1[1]@41", "comparison_result[1]@41"),
        ("my.prefix.huleedu.cj_assessment.completed.v1[0]@2", "cj_assessment.completed[0]@2"),
        ("huleedu.assessment.result.published.v1[2]@0", "assessment.result.published[2]@0"),
        ("own-topic[0]@0", "own-topic[0]@0"),
        ("private.huleedu.huleedu.cj_assessment.failed.v1[0]@0", "cj_assessment.failed[0]@0"),
    ],
)
def test_positions_are_short(position: str, short: str) -> None:
    assert short_position(position) == short


def test_small_words() -> None:
    assert (plural(1, "essay"), plural(0, "essay")) == ("1 essay", "0 essays")
    assert (short_id("short"), short_id("student::0123456789")) == ("short", "01234567..")
    assert (short_id("12345678"), short_id("123456789")) == ("12345678", "12345678..")
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert (listed(list("abcde")), listed([])) == ("a, b, c, d, e", "")
    assert clip("a\nb") == r"'a\nb'"
    assert len(clip("x" * 500)) == 80


def test_a_foreign_value_never_fills_the_screen(run: Any) -> None:
    run.comparisons[4].metadata["essay_a_id"] = "x\n" * 10_000
    findings = run_checks(run.load(), ["metadata"])
    assert all(len(f.message) < 300 and "\n" not in f.message for f in findings)
    assert all(len(line) < 400 for line in summarise(findings))


def test_modes() -> None:
    assert checks_for("anchor-align-test") == checks_for("execute") == tuple(CHECKS)
    expected = ("events", "metadata", "completeness", "schema", "scoring", "costs", "manifest")
    assert tuple(CHECKS) == expected
    assert checks_for("plan") == ()


def test_checks_run_by_name_in_the_order_of_items(run: Any) -> None:
    run.plan["mode"] = "anchor-align-test"
    run.comparisons[3].value["schema_version"] = 2
    del run.comparisons[4].metadata["prompt_sha256"]
    evidence = run.load()
    assert [f.check for f in run_checks(evidence, ["metadata", "events"])] == ["events", "metadata"]
    assert run_checks(evidence, []) == ()
    with pytest.raises(UnknownCheckError, match="unknown check 'scores'") as caught:
        run_checks(evidence, ["scores"])
    assert "events, metadata" in str(caught.value)


def test_codes_of_the_source_are_those_of_the_registry() -> None:
    """Whatever looks like a code in a string of the room is registered, and the other way round."""
    shape = re.compile(
        r"(?:EVENT|META|COUNT|RESULT|COMPLETION|SCHEMA|SCORE|RANK|PROJECTION|COST|MANIFEST|ARTEFACT|PIPELINE)"
        r"-[A-Z-]+|ESSAY-MISSING|PARTIAL-DATA|SUCCESS-RATE|SCHEMA-1\.0"
    )
    used = set()
    for path in SOURCES:
        if path.name != "registry.py":
            strings = (n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant))
            used |= {s for s in strings if isinstance(s, str) and shape.fullmatch(s)}
    assert used == set(CODES)


def test_the_registry_is_consistent() -> None:
    for code, info in CODES.items():
        assert info.code == code
        assert info.check in CHECKS
        assert info.rule.endswith(".")
    order = [info.check for info in CODES.values()]
    assert order == sorted(order, key=list(CHECKS).index)


def test_the_room_stays_away_from_kafka_http_and_pytest() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, pytest_eng5.checks; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    forbidden = ("aiokafka", "httpx", "pytest", "pytest_eng5.pipeline", "pytest_eng5.scenario", "choix")
    assert not [m for m in loaded if m in forbidden or m.startswith(tuple(f"{f}." for f in forbidden))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_only_the_allowed_rooms_are_imported(path: Path) -> None:
    allowed = ("checks", "evidence", "alignment", "contracts", "errors")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_eng5"):
            assert (node.module or "").split(".")[1] in allowed


def test_texts_are_cut_where_they_are_too_long_and_not_before() -> None:
    assert clip("x" * 78) == f"'{'x' * 78}'"
    assert clip("x" * 79) == f"'{'x' * 77}.."
    assert brief("x" * 200) == "x" * 200
    assert brief("x" * 201) == "x" * 198 + ".."
    assert brief("abcdef", 6) == "abcdef"
    assert brief("abcdefg", 6) == "abcd.."
