"""Every planted fault is found under exactly the right codes, and clean runs have no finding at all.

The runs are made by the reference pipeline's own code with lists in the place of Kafka; `make faults` makes
the same ones on a broker as well, and `test_fault_session.py` some of them.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.checks import CODES
from pytest_eng5.contracts import FAULT_ACTIONS


def test_exactly_the_right_codes_appear(case: Any, offline: dict[str, Any]) -> None:
    assert offline[case.id].problem(case) is None


def test_every_action_has_a_case_in_every_message_type_it_hits(lab: Any) -> None:
    topics = {
        "callback": "comparison_result",
        "completion": "completed",
        "result": "result",
        "failure": "failed",
    }
    found = {(case.kind, fault["action"]) for case in lab.load_cases() for fault in case.faults}
    missing = {
        (kind, action)
        for action, rule in FAULT_ACTIONS.items()
        for kind, topic in topics.items()
        if topic in rule.topics and (kind, action) not in found
    }
    assert missing == {
        ("result", "reorder"),  # nothing that is captured comes after it
        ("failure", "reorder"),
        ("failure", "swap"),
        ("failure", "copy"),
        ("completion", "swap"),
    }


def test_there_are_enough_cases_and_their_ids_are_unique(lab: Any) -> None:
    cases = lab.load_cases()
    assert len(cases) >= 150
    assert [id_ for id_, count in Counter(case.id for case in cases).items() if count > 1] == []


def test_every_code_about_events_is_provoked(lab: Any) -> None:
    cases = lab.load_cases()
    provoked = frozenset().union(*(case.codes | case.warnings for case in cases))
    assert provoked <= set(CODES)
    assert all(CODES[code].severity == "error" for case in cases for code in case.codes)
    named = {code for code, info in CODES.items() if info.check in ("events", "metadata", "completeness")}
    assert named <= provoked


@pytest.mark.usefixtures("quick")
def test_clean_runs_have_no_finding(matrix: Any, tmp_path: Path) -> None:
    assert matrix.clean_offline(tmp_path, 30) == []


@pytest.mark.usefixtures("quick")
def test_a_fault_hits_nobody_else(lab: Any, matrix: Any, tmp_path: Path) -> None:
    """Clean runs side by side with runs that have the same numbers and faults."""
    cases = [case for case in lab.load_cases() if case.id in ("callback-drop", "callback-without-hash")]
    clean = [lab.Case(f"clean-{n}", "callback", [], frozenset(), frozenset()) for n in range(4)]
    found = matrix.offline(tmp_path, [clean[0], cases[0], clean[1], cases[1], *clean[2:]])
    assert all(found[case.id].problem(case) is None for case in (*cases, *clean))


@pytest.mark.usefixtures("quick")
def test_a_repetition_gives_the_same_again(lab: Any, matrix: Any, tmp_path: Path) -> None:
    some = [
        case for case in lab.load_cases() if case.faults[0].get("fraction") or case.id == "callback-corrupt"
    ]
    first, second = (matrix.offline(tmp_path / name, some) for name in ("a", "b"))
    assert first == second


def test_the_page_says_what_the_cases_say(lab: Any, matrix: Any) -> None:
    page = matrix.PAGE.read_text()
    assert page == matrix.page_with(matrix.tables(lab.load_cases()), page), "run `make faults`"


def test_a_difference_is_told(lab: Any, matrix: Any) -> None:
    case = lab.Case("x", "callback", [], frozenset({"COUNT-MISSING"}), frozenset())
    outcome = matrix.Outcome
    assert outcome(case.codes, frozenset()).problem(case) is None
    assert outcome(frozenset(), frozenset()).problem(case) == "errors [], not ['COUNT-MISSING']"
    assert "warnings ['EVENT-LATE']" in str(outcome(case.codes, frozenset({"EVENT-LATE"})).problem(case))
    assert outcome(case.codes, frozenset(), ("fault 1 never fired",)).problem(case) == "fault 1 never fired"
