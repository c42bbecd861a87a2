"""One line of the doctor, and asking many questions side by side, each with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pytest_eng5.errors import Eng5Error, InfrastructureError

__all__ = ["Level", "Line", "Question", "answers", "failed", "in_thread", "ok", "warn"]

_T = TypeVar("_T")
_INDENT = " " * 6
_LOGS = "look at the logs of what was asked"


class Level(StrEnum):
    """What an answer means for a run."""

    OK = "ok"
    WARN = "warn"
    """A run can be started, but somebody should know."""
    FAIL = "fail"
    """A run would fail, or not be what is meant."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was found about one thing.

    Attributes:
        what: What was looked at, such as ``broker``.
        text: What was found.
        fix: What to do about it, unless all is well.
        exit_code: Of the command if this fails: 2 for what only the user can put right, 4 for the rest.
    """

    level: Level
    what: str
    text: str
    fix: str | None = None
    exit_code: int = InfrastructureError.exit_code

    def __str__(self) -> str:
        head = f"{self.level.value:<5} {self.what}: {_one_line(self.text)}"
        if self.fix is None:
            return head
        first, *more = self.fix.splitlines()
        return "\n".join([head, f"{_INDENT}fix: {first}", *(f"{_INDENT}{line}" for line in more)])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def ok(what: str, text: str) -> Line:
    """All is well."""
    return Line(Level.OK, what, text)


def warn(what: str, text: str, fix: str) -> Line:
    """A run can be started, but somebody should know."""
    return Line(Level.WARN, what, text, fix)


def failed(what: str, error: Eng5Error) -> Line:
    """An error as a line; where it is belongs to what is wrong."""
    text = f"{error.where}: {error.what}" if error.where else error.what
    return Line(Level.FAIL, what, text, error.fix or _LOGS, error.exit_code)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and how; ``seconds`` is all that it may take."""

    what: str
    ask: Callable[[], Awaitable[Iterable[Line]]]
    seconds: float


async def answers(questions: Sequence[Question]) -> AsyncIterator[Line]:
    """Ask everything at once; lines come in the order of the questions, each as soon as it is known."""
    tasks = [asyncio.create_task(_answer(question)) for question in questions]
    try:
        for task in tasks:
            for line in await task:
                yield line
    finally:
        for task in tasks:
            task.cancel()


async def _answer(question: Question) -> Sequence[Line]:
    """The lines about one thing; whatever happens while it is asked for is one as well."""
    try:
        async with asyncio.timeout(question.seconds):
            return tuple(await question.ask())
    except TimeoutError:
        text = f"no answer within {question.seconds:g} s"
        return (Line(Level.FAIL, question.what, text, "see what is slow, or wait longer with --timeout"),)
    except Eng5Error as error:
        return (failed(question.what, error),)
    except Exception as error:  # the other questions are still to be answered
        text = f"could not be looked at: {type(error).__name__}: {error}"
        return (Line(Level.FAIL, question.what, text, "report this error of pytest-eng5", exit_code=1),)


async def in_thread(work: Callable[[], _T]) -> _T:
    """Do what blocks in a thread that nobody waits for when the time is over."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            setter(value)

    def tell(setter: Callable[[Any], None], value: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
            loop.call_soon_threadsafe(settle, setter, value)

    def run() -> None:
        try:
            found = work()
        except BaseException as error:
            tell(done.set_exception, error)
        else:
            tell(done.set_result, found)

    threading.Thread(target=run, name="eng5-doctor", daemon=True).start()
    return await done
