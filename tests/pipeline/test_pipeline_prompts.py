"""The prompt's blocks: order, headings, hashes, and the guard for judge's instructions in the wrong place."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.contracts import prompt_sha256
from pytest_eng5.pipeline.cj.prompts import (
    SYSTEM_PROMPT,
    JudgeContext,
    compose_blocks,
    guard_legacy_prompt,
    join_blocks,
)

FIRST, SECOND = ("student::aa", "The first text."), ("student::bb", "The second text.")
FULL = JudgeContext(student_prompt="Write about travel.", criteria="Language first.", rubric="Be strict.")


def test_order_and_headings_of_a_full_prompt() -> None:
    blocks = compose_blocks(FULL, FIRST, SECOND)
    assert [block.content for block in blocks[:3]] == [
        "**Student Assignment:**\nWrite about travel.\n\n"
        "**Assessment Criteria:**\nLanguage first.\n\n"
        "**Judge Instructions:**\nBe strict.",
        "**Essay A (ID: student::aa):**\nThe first text.",
        "**Essay B (ID: student::bb):**\nThe second text.",
    ]
    assert [block.cacheable for block in blocks] == [True, False, False, True]
    assert {block.ttl for block in blocks} == {"5m"}
    assert {block.target for block in blocks} == {"user_content"}


def test_the_last_block_asks_for_a_decision_in_json() -> None:
    last = compose_blocks(JudgeContext(), FIRST, SECOND)[-1].content
    for word in ("JSON", "winner", "Essay A", "Essay B", "justification", "confidence", "1", "5"):
        assert word in last


@pytest.mark.parametrize("empty", [None, "", " \n"])
def test_an_empty_context_leaves_no_block(empty: str | None) -> None:
    blocks = compose_blocks(JudgeContext(empty, empty, empty), FIRST, SECOND)
    assert len(blocks) == 3
    assert blocks[0].content.startswith("**Essay A ")


@pytest.mark.parametrize(
    ("context", "headings"),
    [
        (JudgeContext(rubric="r"), ["Judge Instructions"]),
        (JudgeContext(student_prompt="p", rubric="r"), ["Student Assignment", "Judge Instructions"]),
        (JudgeContext(criteria="c"), ["Assessment Criteria"]),
    ],
)
def test_missing_parts_are_left_out(context: JudgeContext, headings: list[str]) -> None:
    lines = compose_blocks(context, FIRST, SECOND)[0].content.splitlines()
    assert [line for line in lines if line.startswith("**")] == [f"**{heading}:**" for heading in headings]


@given(st.text(min_size=1), st.text(min_size=1))
def test_the_user_prompt_is_the_blocks_joined_by_a_blank_line(first: str, second: str) -> None:
    blocks = compose_blocks(FULL, ("a", first), ("b", second))
    prompt = join_blocks(blocks)
    assert prompt == "\n\n".join(block.content for block in blocks)
    assert prompt_sha256("mock", prompt) == prompt_sha256("anthropic", "", [b.content for b in blocks])
    for block in blocks:
        expected = hashlib.sha256(block.content.encode("utf-8", "surrogatepass")).hexdigest()
        assert block.content_hash == expected


def test_swapping_the_essays_changes_the_prompt() -> None:
    assert join_blocks(compose_blocks(FULL, FIRST, SECOND)) != join_blocks(
        compose_blocks(FULL, SECOND, FIRST)
    )


@pytest.mark.parametrize(
    "text",
    [
        "You are an impartial Comparative Judgement assessor. Compare.",
        "Call the tool comparison_result with your choice.",
        "Read both. RESPOND WITH JSON only.",
        "# Judge Instructions\nWeigh language first.",
    ],
)
def test_judges_instructions_stored_as_a_prompt_become_the_rubric(text: str) -> None:
    guarded = guard_legacy_prompt(JudgeContext(student_prompt=text))
    assert guarded == JudgeContext(student_prompt=None, rubric=text)


def test_a_rubric_that_is_there_is_kept_when_the_guard_strikes() -> None:
    guarded = guard_legacy_prompt(JudgeContext(student_prompt="judge instructions: x", rubric="mine"))
    assert guarded == JudgeContext(rubric="mine")


@pytest.mark.parametrize("text", [None, "", "Write an essay about a judge who gives instructions."])
def test_an_ordinary_prompt_is_left_alone(text: str | None) -> None:
    context = JudgeContext(student_prompt=text, rubric="mine")
    assert guard_legacy_prompt(context) is context


def test_the_system_prompt_is_neutral_about_ids_and_asks_for_brevity() -> None:
    assert "50 words" in SYSTEM_PROMPT
    assert "ID" not in SYSTEM_PROMPT
