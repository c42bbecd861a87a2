"""The user prompt of one comparison, in blocks (contract section 9).

Order and headings are the contract's, the wording of the fixed texts is this service's own. The legacy guard
keeps a judge's instructions that were once stored as a student prompt from being shown as the assignment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_eng5.contracts import PromptBlock, text_sha256

__all__ = ["SYSTEM_PROMPT", "JudgeContext", "compose_blocks", "guard_legacy_prompt", "join_blocks"]

SYSTEM_PROMPT = (
    "You are an experienced and neutral assessor who compares two student essays at a time. "
    "Decide which essay is better as a whole, by the criteria you are given, and never by length, topic or "
    "the order in which the essays are shown. Justify the decision in at most 50 words and state your "
    "confidence as a number from 0 to 5."
)

_INSTRUCTION = (
    "**Your Decision:**\n"
    "Compare the two essays against everything said above and choose the better one; a draw is not allowed. "
    'Answer with one JSON object with the keys "winner" ("Essay A" or "Essay B"), "justification" (one or '
    'two short sentences) and "confidence" (1 = a guess, 5 = certain).'
)

_LEGACY_MARKERS = (
    "impartial comparative judgement assessor",
    "comparison_result",
    "respond with json",
    "judge instructions",
)


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """What the judge is told besides the essays; empty parts are left out of the prompt."""

    student_prompt: str | None = None
    criteria: str | None = None
    rubric: str | None = None


def guard_legacy_prompt(context: JudgeContext) -> JudgeContext:
    """Move a student prompt that reads like a judge's instructions to the rubric, unless there is one."""
    text = (context.student_prompt or "").lower()
    if not any(marker in text for marker in _LEGACY_MARKERS):
        return context
    return replace(context, student_prompt=None, rubric=context.rubric or context.student_prompt)


def _context_text(context: JudgeContext) -> str:
    parts = (
        ("Student Assignment", context.student_prompt),
        ("Assessment Criteria", context.criteria),
        ("Judge Instructions", context.rubric),
    )
    return "\n\n".join(f"**{heading}:**\n{text}" for heading, text in parts if text and text.strip())


def _block(content: str, *, cacheable: bool) -> PromptBlock:
    return PromptBlock(content=content, cacheable=cacheable, content_hash=text_sha256(content))


def compose_blocks(
    context: JudgeContext, first: tuple[str, str], second: tuple[str, str]
) -> list[PromptBlock]:
    """The blocks of one comparison.

    Args:
        context: Assignment, criteria and rubric.
        first, second: Id and text of Essay A and of Essay B.
    """
    blocks = [
        _block(f"**Essay {letter} (ID: {essay_id}):**\n{text}", cacheable=False)
        for letter, (essay_id, text) in (("A", first), ("B", second))
    ]
    blocks.append(_block(_INSTRUCTION, cacheable=True))
    shared = _context_text(context)
    return [_block(shared, cacheable=True), *blocks] if shared else blocks


def join_blocks(blocks: list[PromptBlock]) -> str:
    """The user prompt: the blocks joined by a blank line."""
    return "\n\n".join(block.content for block in blocks)
