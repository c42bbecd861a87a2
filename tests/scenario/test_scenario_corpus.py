"""Whole files with the mistakes that people make, and the whole message that they get."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

CORPUS = {
    "indentation of a variant": (
        """\
        scenario: anchors
        inputs: role_models
        variants:
          - id: baseline
           system_prompt: prompts/system/001_baseline.txt
        """,
        """\
        a.eng5.yaml:5:4: is not YAML: expected <block end>, but found '<block mapping start>' \
(while parsing a block collection from line 4, column 3)
          fix: check the indentation of this line
        """,
    ),
    "a missing dash": (
        """\
        scenario: anchors
        inputs: role_models
        variants:
          id: baseline
          system_prompt: prompts/system/001_baseline.txt
        """,
        """\
        a.eng5.yaml:4:3: variants: expected a list with at least one item, got a mapping
        """,
    ),
    "a missing space after a colon": (
        """\
        scenario: anchors
        inputs:role_models
        variants:
          - id: baseline
        """,
        """\
        a.eng5.yaml:2:1: is not YAML: could not find expected ':'
          fix: write a colon and a space after the key
        """,
    ),
    "an unclosed quote": (
        """\
        scenario: anchors
        inputs: "role_models
        variants:
          - id: baseline
        """,
        """\
        a.eng5.yaml:5:1: is not YAML: found unexpected end of stream \
(while scanning a quoted scalar from line 2, column 9)
          fix: close the quote
        """,
    ),
    "an unclosed bracket": (
        """\
        scenario: anchors
        inputs: role_models
        timeout: {idle: 30, total: 300
        variants:
          - id: baseline
        """,
        """\
        a.eng5.yaml:4:9: is not YAML: expected ',' or '}', but got ':' \
(while parsing a flow mapping from line 3, column 10)
          fix: close the bracket
        """,
    ),
    "tabs": (
        """\
        scenario: anchors
        inputs: role_models
        variants:
        \t- id: baseline
        """,
        """\
        a.eng5.yaml:4:1: a tab cannot start a value or indent a line
          fix: use spaces
        """,
    ),
    "judge settings at the top": (
        """\
        scenario: anchors
        inputs: role_models
        provider: openai
        model: gpt-5.1
        variants:
          - id: baseline
            temperature: 0.3
        """,
        """\
        a.eng5.yaml:3:1: unknown key 'provider'
          fix: write it under 'judge:'; keys allowed here: scenario, description, mode, inputs, course_code, \
language, assignment_id, course_id, expected_grade_scale, system_prompt, rubric, judge, comparisons, \
repeats, timeout, budget, thresholds, marks, expect, fail_fast, faults, compare, variants
        a.eng5.yaml:4:1: unknown key 'model'
          fix: write it under 'judge:'; keys allowed here: scenario, description, mode, inputs, course_code, \
language, assignment_id, course_id, expected_grade_scale, system_prompt, rubric, judge, comparisons, \
repeats, timeout, budget, thresholds, marks, expect, fail_fast, faults, compare, variants
        a.eng5.yaml:7:5: unknown key 'temperature' in 'variants.baseline'
          fix: write it under 'judge:'; keys allowed here: id, mode, inputs, course_code, language, \
assignment_id, course_id, expected_grade_scale, system_prompt, rubric, judge, comparisons, repeats, timeout, \
budget, thresholds, marks, expect, fail_fast, faults
        """,
    ),
    "thresholds as bare numbers": (
        """\
        scenario: anchors
        inputs: role_models
        thresholds:
          kendall_tau: 0.9
          direct_inversions: {max: one}
        variants:
          - id: baseline
        """,
        """\
        a.eng5.yaml:4:16: thresholds.kendall_tau: expected a mapping (key: value), got 0.9
        a.eng5.yaml:5:28: thresholds.direct_inversions.max: expected a number, got 'one'
        """,
    ),
    "the variant copied without a new id": (
        """\
        scenario: anchors
        inputs: role_models
        variants:
          - id: baseline
            rubric: prompts/rubric/001_baseline.txt
          - id: baseline
            rubric: prompts/rubric/003_language_control.txt
        """,
        """\
        a.eng5.yaml:6:9: the variant id 'baseline' is already used in line 4, column 9
          fix: give each variant an id of its own
        """,
    ),
    "prompts that were renamed": (
        """\
        scenario: anchors
        inputs: role_models
        variants:
          - id: baseline
            system_prompt: prompts/system/001_baseline.md
            rubric: prompts/rubrics/001_baseline.txt
        """,
        """\
        a.eng5.yaml:5:20: the system prompt prompts/system/001_baseline.md does not exist
          fix: did you mean 001_baseline.txt? (in prompts/system)
        a.eng5.yaml:6:13: the rubric prompts/rubrics/001_baseline.txt does not exist
          fix: did you mean rubric? (in prompts)
        """,
    ),
    "the prompt's text instead of its file": (
        """\
        scenario: anchors
        inputs: role_models
        variants:
          - id: baseline
            system_prompt: You compare two essays.
        """,
        """\
        a.eng5.yaml:5:20: the system prompt You compare two essays. does not exist
          fix: . has a.eng5.yaml, prompts, role_models
        """,
    ),
    "capital letters and blanks in names": (
        """\
        scenario: Anchor align
        inputs: role_models
        variants:
          - id: Base line
        """,
        """\
        a.eng5.yaml:1:11: scenario: expected a name of lower-case letters, digits and '_' that starts with a \
letter, got 'Anchor align'
        a.eng5.yaml:4:9: variants.Base line.id: expected an id of lower-case letters, digits, '_', '.', '-' \
that starts with a letter or digit, got 'Base line'
        """,
    ),
    "an assignment without its course": (
        """\
        scenario: graded
        mode: execute
        inputs: role_models
        assignment_id: 0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01
        variants: [{id: baseline}]
        """,
        """\
        a.eng5.yaml:4:1: an assignment needs the key 'course_id'
          fix: add 'course_id: ...'
        """,
    ),
    "an empty file list": (
        """\
        scenario: anchors
        inputs: role_models
        variants:
        """,
        """\
        a.eng5.yaml:3:10: variants: expected a list with at least one item, got nothing
        """,
    ),
    "another tool's file": (
        """\
        version: "3"
        services:
          kafka: {image: apache/kafka}
        """,
        """\
        a.eng5.yaml:1:1: unknown key 'version'
          fix: keys allowed here: scenario, description, mode, inputs, course_code, language, assignment_id, \
course_id, expected_grade_scale, system_prompt, rubric, judge, comparisons, repeats, timeout, budget, \
thresholds, marks, expect, fail_fast, faults, compare, variants
        a.eng5.yaml:1:1: the key 'scenario' is missing
          fix: add 'scenario: ...'
        a.eng5.yaml:1:1: the key 'variants' is missing
          fix: add 'variants: ...'
        a.eng5.yaml:2:1: unknown key 'services'
          fix: keys allowed here: scenario, description, mode, inputs, course_code, language, assignment_id, \
course_id, expected_grade_scale, system_prompt, rubric, judge, comparisons, repeats, timeout, budget, \
thresholds, marks, expect, fail_fast, faults, compare, variants
        """,
    ),
}


@pytest.mark.parametrize("name", CORPUS)
def test_the_whole_message(workspace: Any, name: str) -> None:
    content, message = CORPUS[name]
    assert str(workspace.error(content)) == dedent(message).rstrip("\n")


GOOD = {
    "anchors and merge keys": """\
        scenario: shared
        inputs: role_models
        judge: &judge {provider: openai, model: gpt-5.1, temperature: 0.2}
        variants:
          - &first
            id: first
            marks: [slow]
          - <<: *first
            id: second
            judge: {<<: *judge, temperature: 0.9}
        """,
    "flow style": """\
        {scenario: shared, inputs: role_models,
         judge: {provider: openai, model: gpt-5.1, temperature: 0.2},
         variants: [{id: first, marks: [slow]}, {id: second, marks: [slow], judge: {temperature: 0.9}}]}
        """,
    "quoted keys and explicit document": """\
        %YAML 1.1
        ---
        "scenario": 'shared'
        "inputs": "role_models"
        judge:
          provider: "openai"
          model: >-
            gpt-5.1
          temperature: 2e-1
        variants:
        - marks: [ "slow" ]
          id: first
        - marks:
          - slow
          id: !!str second
          judge:
            temperature: 0.90
        ...
        """,
}


@pytest.mark.parametrize("name", GOOD)
def test_the_same_scenario_in_many_styles(workspace: Any, name: str) -> None:
    first, second = workspace.load(GOOD[name]).variants
    assert (first.id, second.id) == ("first", "second")
    assert first.judge.temperature == 0.2
    assert second.judge.temperature == 0.9
    for variant in (first, second):
        assert (variant.judge.provider, variant.judge.model) == ("openai", "gpt-5.1")
        assert variant.marks == ("slow",)
