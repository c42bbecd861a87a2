"""Keep secrets out of logs: by the names they stand under, by known values, by what they look like."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

__all__ = ["HIDDEN", "SECRETS", "Secrets", "is_secret_name"]

HIDDEN = "***"

_PARTS = (
    *("password", "passwd", "passphrase", "secret", "credential", "authorization"),
    *("apikey", "privatekey", "accesskey", "signingkey"),
)
_WORDS = frozenset({"token", "auth", "jwt", "cookie", "cookies", "bearer", "pwd"})
_COUNTED = frozenset({"token", "tokens"})  # names of numbers as well: prompt_tokens, token_usage
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_NAMES = r"pass(?:word|wd|phrase)|secret|token|api[_-]?key|private[_-]?key|access[_-]?key|authorization"
# None of these looks back over a word: the time for a text must not grow with its square.
_LOOKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?P<keep>://)[^\s/?#\"<>]*@"), rf"\g<keep>{HIDDEN}@"),
    (re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}", re.I), rf"\g<keep>{HIDDEN}"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]*\.[\w-]*"), HIDDEN),
    (re.compile(r"\bsk-[\w-]{12,}|\bAIza[\w-]{20,}"), HIDDEN),
    (
        re.compile(
            rf"(?P<keep>(?:{_NAMES})['\"]?\s*[=:]\s*(?:(?:bearer|basic)\s+)?)"
            r"(?!\s|\*\*\*)(?:'[^']*'|\"[^\"]*\"|[^\s,;&)}\]]+)",
            re.I,
        ),
        rf"\g<keep>{HIDDEN}",
    ),
)
_SHORT = 4  # a secret of fewer characters is hidden only where it stands alone
_GUESSED = 6  # the environment has short values under such names that are no secrets


def is_secret_name(name: str) -> bool:
    """Whether what stands under a name is a secret; counts of tokens are told apart by their values."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if any(part in plain for part in _PARTS) or plain.endswith("token"):
        return True
    return bool((_WORDS | _COUNTED) & _words(name))


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(name)}


class Secrets:
    """Values that are known to be secret; grows while the process learns of more, never forgets one."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._stale = False
        self._lock = threading.Lock()

    def add(self, *values: str) -> None:
        """Never let these into a log, nor what they become in a URL, in JSON or in base64."""
        with self._lock:
            before = len(self._values)
            self._values.update(value for value in values if value.strip())
            self._stale = self._stale or len(self._values) > before

    def learn(self, settings: Mapping[str, Any]) -> None:
        """Find secrets among settings: under names of secrets, and passwords inside URLs."""
        for name, value in settings.items():
            if isinstance(value, Mapping):
                self.learn(value)
            elif isinstance(value, str):
                self.add(*_passwords(value))
                if is_secret_name(str(name)):
                    self.add(value)

    def learn_environment(self, environment: Mapping[str, str]) -> None:
        """Find secrets among environment variables; short values there are rarely any."""
        self.learn({name: value for name, value in environment.items() if len(value) >= _GUESSED})

    def clean(self, text: str) -> str:
        """A text without anything that is secret or looks like it."""
        if self._stale:  # only now: several may be learnt before anything is told
            self._compile()
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        for look, replacement in _LOOKS:
            text = look.sub(replacement, text)
        return text

    def _compile(self) -> None:
        with self._lock:
            self._pattern = _compiled(self._values)
            self._stale = False

    def holds(self, value: object) -> bool:
        """Whether a number is a secret in disguise."""
        return str(value) in self._values


SECRETS = Secrets()
"""The secrets of this process."""


def _passwords(url: str) -> Iterable[str]:
    found = re.match(r"[A-Za-z][\w+.-]*://([^/?#]*)@", url)
    if found is None:
        return ()
    user, colon, password = found[1].partition(":")
    secret = password if colon else user
    return secret, unquote(secret)


def _compiled(values: Iterable[str]) -> re.Pattern[str]:
    """One pattern for all forms, longest first, so that a part never spares the rest of a whole."""
    forms = {form for value in values for form in _forms(value) if form}
    return re.compile("|".join(map(_bounded, sorted(forms, key=len, reverse=True))))


def _forms(value: str) -> set[str]:
    raw = value.encode(errors="surrogatepass")
    encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    quoted = {quote(raw, safe=""), quote_plus(raw), quote(raw)}
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
    return {value, value.strip(), *quoted, *escaped, *(text.rstrip("=") for text in encoded)}


def _bounded(form: str) -> str:
    return re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"


def hides(name: str, value: object) -> bool:
    """Whether a value is to be hidden because of its name; a number of tokens is none."""
    if value is None or isinstance(value, bool):
        return False
    if isinstance(value, int | float) and _words(name) & _COUNTED:
        return False
    return is_secret_name(name)
