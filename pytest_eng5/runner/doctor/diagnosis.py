"""Which questions the doctor asks for which flags, and what the answers come to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import httpx

from pytest_eng5.errors import UsageError
from pytest_eng5.runner.doctor.assignment import ask_admin
from pytest_eng5.runner.doctor.broker import ask_broker
from pytest_eng5.runner.doctor.lines import Level, Line, Question, answers, failed, in_thread
from pytest_eng5.runner.doctor.machine import java, kafka_jars, loopback, output_folder, temporary_folder
from pytest_eng5.runner.doctor.services import ask_health, ask_judge, simulated
from pytest_eng5.runner.errors import RunnerError
from pytest_eng5.runner.flags import RunFlags
from pytest_eng5.services import TokenSource

__all__ = ["diagnose"]

_PARTS_OF_BROKER = 5
_REQUESTS_OF_ADMIN = 4
_SHORTEST_SECRET = 6
Report = Callable[[str], None]


def diagnose(flags: RunFlags, seconds: float, report: Report) -> int:
    """Ask everything that a run with these flags would need; returns the exit code.

    0 if a run can be started, also with warnings; 2 if all that fails is for the user to put right, such as
    an id or a token; else 4, or 1 if the doctor itself failed.

    Args:
        flags: Addresses and ids as of ``eng5 run``; without addresses what the embedded parts need is asked.
        seconds: For a single question.
        report: Told the lines.

    Raises:
        RunnerError: Interrupted.
    """
    try:
        return asyncio.run(_diagnose(flags, seconds, report))
    except KeyboardInterrupt:
        raise RunnerError("interrupted before everything was looked at", fix="start it again") from None


async def _diagnose(flags: RunFlags, seconds: float, report: Report) -> int:
    lines: list[Line] = []
    hidden = _secrets()
    async with httpx.AsyncClient(timeout=seconds, trust_env=False) as http:
        async for line in answers(list(_questions(flags, http, seconds))):
            lines.append(line)
            report(_without(hidden, str(line)))
    wrong = [line for line in lines if line.level is Level.FAIL]
    warnings = sum(line.level is Level.WARN for line in lines)
    report(f"{len(lines)} looked at, {len(wrong)} failed, {warnings} to be noted")
    return max((line.exit_code for line in wrong), default=0)


def _questions(flags: RunFlags, http: httpx.AsyncClient, seconds: float) -> Iterator[Question]:
    def local(what: str, look: Callable[[], Iterable[Line]]) -> Question:
        return Question(what, partial(in_thread, lambda: tuple(look())), seconds)

    yield local("disk", partial(output_folder, flags.output_dir.absolute()))
    services = (flags.content_url, flags.cj_url, flags.llm_url)
    if flags.pipeline_kind == "embedded" and not any(services):
        yield local("loopback", loopback)
    if flags.broker_kind == "external":
        yield Question("broker", partial(ask_broker, flags, seconds), _PARTS_OF_BROKER * seconds)
    elif any(services):
        yield local("broker", _no_broker)
    else:
        yield local("temporary folder", temporary_folder)
        yield local("java", java)
        yield local("kafka", partial(kafka_jars, flags.kafka_home))
    if any(services) or flags.pipeline_kind == "external":
        yield Question("services", partial(ask_health, flags, http, seconds), 2 * seconds)
        yield Question("judge", partial(ask_judge, flags, http), 2 * seconds)
    else:
        yield local("judge", simulated)
    if flags.cj_url is not None:
        yield Question("token", partial(ask_admin, flags, http, seconds), _REQUESTS_OF_ADMIN * seconds)
    elif flags.assignment_id is not None:
        yield local("assignment", _no_service)


def _no_broker() -> Iterator[Line]:
    error = UsageError(
        "there is an address of a service, but none of its Kafka",
        fix="give --kafka-bootstrap or --kafka-config, or no address for a pipeline of our own",
    )
    yield failed("broker", error)


def _no_service() -> Iterator[Line]:
    error = UsageError(
        "not asked for: there is no address of the CJ service",
        fix="give --cj-service-url URL (CJ_SERVICE_URL)",
    )
    yield failed("assignment", error)


def _secrets() -> list[str]:
    """Values of the environment that no line may show, whoever puts them there."""
    values = (os.environ.get(source.value, "").strip() for source in TokenSource)
    return [value for value in values if len(value) >= _SHORTEST_SECRET]


def _without(secrets: Iterable[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
