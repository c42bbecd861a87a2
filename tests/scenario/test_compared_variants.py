"""Which variants can be compared, and what is said if more than their prompts differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.scenario import Scenario, ScenarioError
from pytest_eng5.scenario.compared_variants import more_than_prompts, refuse_incomparable

HEAD = "scenario: two\ninputs: role_models\ncompare: {baseline: control}\nvariants:\n"
PROMPTS = [
    f"system_prompt: prompts/system/{name}.txt, rubric: prompts/rubric/{name}.txt"
    for name in ("001_baseline", "003_language_control")
]


def two(workspace: Any, control: str = "", other: str = "") -> Scenario:
    """A scenario with two variants and what each of them sets."""
    scenario: Scenario = workspace.load(f"{HEAD}  - {{id: control, {control}}}\n  - {{id: other, {other}}}\n")
    return scenario


def anchors(workspace: Any, folder: str, **changes: str) -> None:
    """A second folder of the same anchors, but for some files; an empty text leaves one out."""
    for path in sorted((workspace.root / "role_models" / "anchors").iterdir()):
        text = changes.pop(path.stem.split("_")[1], path.read_text())
        if text:
            workspace.put(f"{folder}/anchors/{path.name}", text)
    for name, text in changes.items():
        workspace.put(f"{folder}/anchors/{name}.txt", text)


def refusal(scenario: Scenario) -> ScenarioError:
    with pytest.raises(ScenarioError) as caught:
        refuse_incomparable(scenario)
    return caught.value


class TestRefused:
    def test_nothing_is_asked_of_variants_that_are_not_compared(self, workspace: Any, minimal: str) -> None:
        refuse_incomparable(workspace.load(minimal))
        assert more_than_prompts(workspace.load(minimal)) == []

    def test_variants_over_the_same_anchors_can_be_compared(self, workspace: Any) -> None:
        anchors(workspace, "copy")
        refuse_incomparable(two(workspace, PROMPTS[0], f"{PROMPTS[1]}, inputs: copy"))

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("mode: plan", "other is to be compared, but mode plan judges nothing"),
            ("mode: execute", "without an assignment there are no anchors"),
            ("expect: {findings: [COUNT-MISSING]}", "other is to be compared, but it is a negative test"),
            ("faults: [{action: drop, topic: comparison_result, nth: 3}]", "but it is a negative test"),
        ],
    )
    def test_a_variant_that_judges_nothing_or_is_made_wrong(
        self, workspace: Any, setting: str, message: str
    ) -> None:
        workspace.put("role_models/instructions.md", "Write.\n")
        workspace.put("role_models/students/a.txt", "I write.\n")
        error = refusal(two(workspace, "", setting))
        assert message in error.message
        assert (error.line, error.column) == (6, 5)
        assert "compare.candidates" in (error.hint or "")

    def test_one_that_is_not_compared_may_be_anything(self, workspace: Any) -> None:
        text = HEAD.replace("control}", "control, candidates: [other]}")
        scenario = workspace.load(f"{text}  - id: control\n  - id: other\n  - {{id: quiet, mode: plan}}\n")
        refuse_incomparable(scenario)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"02": ""}, "essay_02_A is only in one of them"),
            ({"03": "Another text.\n"}, "essay_03_B is another text"),
            (
                {"essay_13_B": "New.\n", "01": ""},
                "essay_01_A is only in one of them; essay_13_B is only in one",
            ),
        ],
    )
    def test_other_anchors(self, workspace: Any, changes: dict[str, str], message: str) -> None:
        anchors(workspace, "copy", **changes)
        error = refusal(two(workspace, "", "inputs: copy"))
        assert error.message.startswith("other and control do not have the same anchors: ")
        assert message in error.message

    def test_other_grades(self, workspace: Any) -> None:
        anchors(workspace, "copy")
        rows = [f"essay_{n:02}_{g},essay_{n:02}_{g}.txt,{g}" for n, g in enumerate(_grades(workspace), 1)]
        rows[2] = rows[2].replace(",B", ",C-")
        workspace.put("copy/anchors.csv", "\n".join(["anchor_id,file_name,grade", *rows]) + "\n")
        error = refusal(two(workspace, "", "inputs: copy"))
        assert "essay_03_B has grade B in one and C- in the other" in error.message

    def test_very_many_differences_are_counted(self, workspace: Any) -> None:
        anchors(workspace, "copy", **{f"{n:02}": f"Text {n}, new.\n" for n in range(1, 8)})
        assert "; and 4 more" in refusal(two(workspace, "", "inputs: copy")).message


def _grades(workspace: Any) -> list[str]:
    folder: Path = workspace.root / "role_models" / "anchors"
    return [path.stem.split("_")[2] for path in sorted(folder.iterdir())]


class TestRemarks:
    def test_other_prompts_alone_need_none(self, workspace: Any) -> None:
        assert more_than_prompts(two(workspace, PROMPTS[0], PROMPTS[1])) == []

    def test_another_judge_besides(self, workspace: Any) -> None:
        judge = "judge: {model: gpt-5.1, temperature: 0.3}"
        [remark] = more_than_prompts(two(workspace, PROMPTS[0], f"{PROMPTS[1]}, {judge}"))
        assert remark == (
            "a.eng5.yaml:6:5: control and other differ besides their prompts in judge.model (none and "
            "gpt-5.1), judge.temperature (none and 0.3): what is compared is all of that together"
        )

    def test_one_other_thing_is_what_is_compared(self, workspace: Any) -> None:
        assert more_than_prompts(two(workspace, "", "judge: {temperature: 0.3}")) == []
        [remark] = more_than_prompts(two(workspace, "", "judge: {temperature: 0.3}, language: sv"))
        assert "control and other differ in judge.temperature (none and 0.3), language (en and sv)" in remark

    def test_what_plays_a_prompt_is_not_meant(self, workspace: Any) -> None:
        mock = "judge: {mock: {discrimination: 4.0}}"
        assert more_than_prompts(two(workspace, PROMPTS[0], f"{PROMPTS[1]}, {mock}")) == []
