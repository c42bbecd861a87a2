"""The key ``faults``: what is accepted, what is refused and where, and what a variant makes of it."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from pytest_eng5.contracts import FAULT_ACTIONS, FAULT_TOPICS, Fault, FaultAction, FaultTopic, ProcessingEvent

CALLBACK = "topic: comparison_result"


def test_faults_are_typed_and_know_their_line(workspace: Any, minimal: str) -> None:
    variant = workspace.load(
        f"{minimal}faults:\n"
        f"  - {{action: drop, {CALLBACK}, nth: 3}}\n"
        f"  - action: set\n    {CALLBACK}\n    fraction: 0.5\n    seed: 4\n"
        "    field: /data/request_metadata/prompt_sha256\n    value: '00'\n"
        "  - {action: silence}\n"
    ).variants[0]
    assert [planned.location.line for planned in variant.faults] == [6, 7, 13]
    drop, altered, silence = (planned.fault for planned in variant.faults)
    assert drop == Fault(action="drop", topic="comparison_result", nth=3)
    assert (altered.fraction, altered.seed, altered.value) == (0.5, 4, "00")
    assert len(silence.events) == 4
    assert str(drop) == "drop of comparison_result, nth 3"
    assert str(silence) == "silence of all topics"


def test_no_faults_is_the_default(workspace: Any, minimal: str) -> None:
    assert workspace.load(minimal).variants[0].faults == ()


def test_a_list_of_a_variant_replaces_the_scenarios(workspace: Any, minimal: str) -> None:
    text = (
        f"{minimal}    faults: [{{action: missing_result}}]\n  - id: clean\n    faults: null\n"
        "  - id: other\nfaults: [{action: second_completion}, {action: fail}]\n"
    )
    found = [[p.fault.action for p in variant.faults] for variant in workspace.load(text).variants]
    assert found == [["missing_result"], [], ["second_completion", "fail"]]


def test_an_option_plants_them_too(workspace: Any, minimal: str) -> None:
    variant = workspace.load(minimal, "faults=[{action: fail}]").variants[0]
    assert [planned.fault.action for planned in variant.faults] == ["fail"]


@pytest.mark.parametrize("value", ["null", "text", "1.5", "[1, {a: null}]", "{a: [b]}", "true"])
def test_any_json_value_can_be_set(workspace: Any, minimal: str, value: str) -> None:
    text = f"{minimal}faults: [{{action: set, {CALLBACK}, field: /data/x, value: {value}}}]\n"
    expected = {"null": None, "text": "text", "1.5": 1.5, "true": True}
    expected |= {"[1, {a: null}]": [1, {"a": None}], "{a: [b]}": {"a": ["b"]}}
    assert workspace.load(text).variants[0].faults[0].fault.value == expected[value]


def test_the_merged_settings_keep_what_was_written(workspace: Any, minimal: str) -> None:
    variant = workspace.load(f"{minimal}faults: [{{action: delay, topic: result, seconds: 2}}]\n").variants[0]
    assert variant.to_dict()["faults"] == [{"action": "delay", "topic": "result", "seconds": 2}]


@pytest.mark.parametrize(
    ("fault", "at", "message", "hint"),
    [
        ("{topic: result}", "{topic", "the key 'action' is missing in 'faults.item 1'", "add 'action: ...'"),
        (
            "{action: dropp, topic: result}",
            "dropp",
            "faults.item 1.action: expected one of drop",
            "did you mean 'drop'?",
        ),
        (
            "{action: drop, topic: results}",
            "results}",
            "faults.item 1.topic: expected one of",
            "did you mean 'result'?",
        ),
        (
            f"{{action: drop, {CALLBACK}, nht: 3}}",
            "nht",
            "unknown key 'nht' in 'faults.item 1'",
            "did you mean 'nth'?",
        ),
        (f"{{action: drop, {CALLBACK}, nth: 0}}", "0}", "faults.item 1.nth: expected a whole number", None),
        ("{action: drop}", "action", "the action 'drop' needs the key 'topic'", "one of comparison_result"),
        (
            f"{{action: delay, {CALLBACK}}}",
            "action",
            "the action 'delay' needs the key 'seconds'",
            "add 'seconds: ...'",
        ),
        (
            f"{{action: set, {CALLBACK}, field: /a}}",
            "action",
            "the action 'set' needs the key 'value'",
            "add",
        ),
        (f"{{action: set, {CALLBACK}, field: a.b, value: 1}}", "a.b", "expected a JSON pointer", None),
        (
            "{action: drop, topic: result, seconds: 1}",
            "seconds",
            "the action 'drop' has no key 'seconds'",
            "remove it",
        ),
        (
            "{action: fail, topic: result}",
            "topic: result",
            "the action 'fail' hits only completed",
            "change or remove",
        ),
        ("{action: silence, nth: 2}", "nth", "'nth' counts the events of a topic", "add 'topic: ...'"),
        (
            f"{{action: drop, {CALLBACK}, nth: 2, every: 2}}",
            "every",
            "'nth' and 'every' exclude each other",
            "remove",
        ),
        (
            "{action: drop, topic: result, outcome: failed}",
            "outcome",
            "'outcome' belongs to the topic",
            "remove it",
        ),
        (
            "{action: drop, topic: result, reaches_cj: true}",
            "reaches_cj",
            "'reaches_cj' belongs to",
            "remove it",
        ),
        (f"{{action: swap, {CALLBACK}, field: /data/x}}", "action", "needs both 'field' and 'other'", "add"),
        ("{action: swap, topic: result}", "action", "needs both 'field' and 'other'", "add"),
        (f"{{action: truncate, {CALLBACK}, keep: 1}}", "keep", "keep is a share", "write 0.5"),
        (f"{{action: drop, {CALLBACK}, fraction: 0}}", "fraction", "a fraction of 0 never hits", "raise it"),
        ("{action: retarget, topic: result, value: 3}", "value", "a batch id is a text", "quotes"),
        (
            "{action: set, topic: result, field: /a, value: [.nan]}",
            "value",
            "neither .nan nor .inf",
            "another",
        ),
    ],
)
def test_a_wrong_fault_is_refused_where_it_stands(
    workspace: Any, minimal: str, fault: str, at: str, message: str, hint: str | None
) -> None:
    line = f"faults: [{fault}]"
    error = workspace.error(f"{minimal}{line}\n")
    assert len(error.problems) == 1, str(error)
    assert message in error.message
    assert (error.line, error.column) == (5, line.index(at) + 1)
    if hint is not None:
        assert hint in (error.hint or "")


def test_faults_are_refused_where_nothing_is_published(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}mode: plan\nfaults: [{{action: fail}}]\n")
    assert error.message == "mode plan publishes nothing, so no fault would ever be planted"
    assert (error.line, error.column) == (6, 1)


@pytest.mark.parametrize("action", get_args(FaultAction))
def test_every_action_is_described_and_can_be_planted(
    workspace: Any, minimal: str, action: FaultAction
) -> None:
    rule = FAULT_ACTIONS[action]
    assert rule.text.endswith(".")
    values = {"seconds": "1", "field": "/data/x", "value": "a", "other": "/data/y"}
    needed = (*rule.needs, "field", "other") if action == "swap" else rule.needs
    for topic in rule.topics:
        keys = "".join(f", {key}: {values[key]}" for key in needed)
        text = f"{minimal}faults: [{{action: {action}, topic: {topic}{keys}}}]\n"
        planned = workspace.load(text).variants[0].faults[0]
        assert planned.fault.events == (FAULT_TOPICS[topic],)


def test_the_short_names_stand_for_all_topics_that_are_captured() -> None:
    assert set(get_args(FaultTopic)) == set(FAULT_TOPICS)
    assert set(FAULT_TOPICS.values()) == {
        ProcessingEvent.LLM_COMPARISON_RESULT,
        ProcessingEvent.CJ_ASSESSMENT_COMPLETED,
        ProcessingEvent.CJ_ASSESSMENT_FAILED,
        ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED,
    }
