"""The prompt hash, with the suffix that some providers append (contract section 3.2)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

__all__ = ["JSON_SUFFIX", "PROMPT_HASH", "hashed_text", "prompt_sha256", "text_sha256"]

JSON_SUFFIX = "\n\nPlease respond with a valid JSON object."
PROMPT_HASH = re.compile(r"[0-9a-f]{64}")
_SUFFIXED = frozenset({"openai", "openrouter"})


def text_sha256(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def hashed_text(provider: str, user_prompt: str, blocks: Sequence[str] = ()) -> str:
    """The exact text that is hashed for a provider.

    Args:
        provider: Who answered; only ``openai`` and ``openrouter`` append a suffix.
        user_prompt: The user prompt, used when there are no blocks.
        blocks: Contents of the prompt blocks, joined by a blank line.
    """
    text = "\n\n".join(blocks) if blocks else user_prompt
    return text + JSON_SUFFIX if provider in _SUFFIXED else text


def prompt_sha256(provider: str, user_prompt: str, blocks: Sequence[str] = ()) -> str:
    """The prompt hash of one comparison; system prompt, model and temperature are not part of it."""
    return text_sha256(hashed_text(provider, user_prompt, blocks))
