"""JUnit XML per variant, read back with a parser and compared with what pytest itself writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.reports import JUnitCase, junit_xml

CASES = (
    JUnitCase(
        "scenarios.anchor_align.eng5.yaml::baseline", "run", 1.25, properties=(("batch", "b"), ("n", 66))
    ),
    JUnitCase(
        *("scenarios.anchor_align.eng5.yaml::baseline", "kendall_tau", 0.001, "failed"),
        message="FAIL kendall_tau 0.791 < 0.90",
        details="FAIL kendall_tau 0.791 < 0.90\nhint: more comparisons",
        sections=(("findings", "none"), ("inversions", "a | b")),
    ),
    JUnitCase("c", "events", 0, "error", "run-1 ended with idle_deadline"),
    JUnitCase("c", "costs", 0, "skipped", "run failed"),
)


def read(content: bytes) -> Any:
    root = ElementTree.fromstring(content)
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.tag == "testsuite"
    return suite


def test_the_file(snapshot: Any) -> None:
    content = junit_xml(
        "anchor_align.baseline",
        CASES,
        {"eng5.scenario": "anchor_align", "cost_usd": 0.066},
        timestamp=datetime(2026, 3, 1, 9, tzinfo=UTC),
    )
    assert content.decode() == snapshot


def test_counts_and_times() -> None:
    suite = read(junit_xml("s", CASES))
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
        "time": "1.251",
    }


def test_failures_are_not_counted_as_errors() -> None:
    failed, error = JUnitCase("c", "a", outcome="failed"), JUnitCase("c", "b", outcome="error")
    suite = read(junit_xml("s", [failed, failed, failed, error, error]))
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("3", "2", "0")


def test_failure_error_and_skip_are_apart() -> None:
    suite = read(junit_xml("s", CASES))
    found = [[child.tag for child in case if child.tag not in ("properties", "system-out")] for case in suite]
    assert found == [[], ["failure"], ["error"], ["skipped"]]
    assert suite.find(".//failure").get("message") == "FAIL kendall_tau 0.791 < 0.90"
    assert suite.find(".//failure").text.endswith("hint: more comparisons")
    assert suite.find(".//error").text == "run-1 ended with idle_deadline"


def test_properties_of_cases_and_suite() -> None:
    suite = read(junit_xml("s", CASES, {"a": 1, "b": None}))
    pairs = [(p.get("name"), p.get("value")) for p in suite.findall("./properties/property")]
    assert pairs == [("a", "1"), ("b", "None")]
    own = [(p.get("name"), p.get("value")) for p in suite.findall("./testcase/properties/property")]
    assert own == [("batch", "b"), ("n", "66")]


def test_sections_are_in_system_out() -> None:
    text = read(junit_xml("s", CASES)).find(".//system-out").text
    assert [line.strip("- ") for line in text.splitlines()] == ["findings", "none", "inversions", "a | b"]


def test_an_empty_suite_is_well_formed() -> None:
    suite = read(junit_xml("s", []))
    assert (suite.get("tests"), len(suite)) == ("0", 0)
    assert suite.get("timestamp") is None


@given(
    text=st.text(st.one_of(st.sampled_from('\x00\x1b\x0b]]>&<"\ufffe\ud800\n'), st.characters()), max_size=40)
)
def test_any_text_gives_xml_that_parses(text: str) -> None:
    case = JUnitCase(text, text, 0, "failed", text, text, ((text, text),), ((text, text),))
    suite = read(junit_xml(text, [case], {text: text}))
    legal = "".join(
        c for c in text if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
    )
    assert suite.find("testcase").get("name") == legal
    assert suite.find(".//failure").get("message") == legal
    assert (suite.find(".//failure").text or "").replace("\r\n", "\n") == legal.replace("\r\n", "\n").replace(
        "\r", "\n"
    )


def test_elements_and_attributes_are_those_of_pytest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        def test_pass(record_testsuite_property, request):
            record_testsuite_property("a", 1)
            request.node.user_properties.append(("b", "2"))
            print("said")
        def test_fail(): assert 0
        def test_skip(): pytest.skip("no")
        @pytest.fixture
        def broken(): raise ValueError("x")
        def test_error(broken): pass
        """
    )
    pytester.runpytest_inprocess(
        "--junitxml=theirs.xml", "-p", "no:randomly", "-o", "junit_family=xunit2", "-o", "junit_logging=all"
    )
    theirs = ElementTree.parse(pytester.path / "theirs.xml").getroot()
    ours = ElementTree.fromstring(junit_xml("s", CASES, {"a": 1}, timestamp=datetime.now(UTC)))
    for element in ours.iter():
        known = list(theirs.iter(element.tag))
        assert known, element.tag
        assert set(element.attrib) <= {name for other in known for name in other.attrib}, element.tag
        allowed = {child.tag for other in known for child in other}
        assert {child.tag for child in element} <= allowed | {"system-out", "properties"}
