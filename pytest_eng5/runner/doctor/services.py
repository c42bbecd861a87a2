"""Questions to the services of a pipeline that is not ours: health, clock, and who judges."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import httpx

from pytest_eng5.runner.doctor.lines import Level, Line, failed, ok, warn
from pytest_eng5.runner.flags import RunFlags
from pytest_eng5.services import ProviderClient, ServiceHealth, check_health
from pytest_eng5.services.http import shown_url

__all__ = ["ask_health", "ask_judge", "simulated"]

_NOTICED, _REFUSED = 1.0, 60.0
"""Seconds of clock skew that are worth a word, and that break tokens and the order of events."""


async def ask_health(flags: RunFlags, http: httpx.AsyncClient, seconds: float) -> Iterable[Line]:
    """How the services are, and how far their clocks are from ours."""
    named = (
        ("content service", flags.content_url, "--eng5-content-url"),
        ("CJ service", flags.cj_url, "--eng5-cj-url"),
        ("LLM provider service", flags.llm_url, "--eng5-llm-url"),
    )
    asked = [
        check_health(http, url, service=name, option=option, timeout_seconds=seconds)
        for name, url, option in named
        if url is not None
    ]
    found = await asyncio.gather(*asked)
    return [
        *map(_health, found),
        *_missing({name for name, url, _ in named if url is None}),
        *_clock(found),
    ]


def _health(found: ServiceHealth) -> Line:
    if found.error is not None:
        return failed(found.service, found.error)
    took = "" if found.seconds is None else f", {found.seconds * 1000:.0f} ms"
    return ok(found.service, f"{found.url} says {found.detail}{took}")


def _missing(names: set[str]) -> Iterator[Line]:
    if "content service" in names:
        text = "no address, but every run of a pipeline that is not ours uploads its essays there"
        fix = "give --content-service-url URL (CONTENT_SERVICE_URL), path included"
        yield Line(Level.FAIL, "content service", text, fix, exit_code=2)
    if "CJ service" in names:
        text = "no address, so neither the token nor assignments can be looked at"
        yield warn("CJ service", text, "give --cj-service-url URL; anchor-align-test does without")


def _clock(found: Iterable[ServiceHealth]) -> Iterator[Line]:
    """One line if all clocks agree, else one for each that does not."""
    skews = {health.service: health.clock for health in found if health.clock is not None}
    within = [f"{name} {skew.seconds:+.1f}±{skew.uncertainty:.1f} s" for name, skew in skews.items()]
    off = {name: skew for name, skew in skews.items() if abs(skew.seconds) - skew.uncertainty > _NOTICED}
    for name, skew in off.items():
        way = "ahead of" if skew.seconds > 0 else "behind"
        text = f"the {name} is {abs(skew.seconds):.0f}±{skew.uncertainty:.0f} s {way} this machine"
        certain = abs(skew.seconds) - skew.uncertainty
        level = Level.FAIL if certain > _REFUSED else Level.WARN
        yield Line(level, "clock", text, "synchronise both clocks: tokens and the order of events need it")
    if skews and not off:
        yield ok("clock", ", ".join(within))


def simulated() -> Iterator[Line]:
    """Who judges in the reference pipeline."""
    yield ok("judge", "simulated by the reference pipeline, nothing can cost money")


async def ask_judge(flags: RunFlags, http: httpx.AsyncClient) -> Iterable[Line]:
    """Whether a run would cost money.

    Raises:
        ServiceError: The LLM provider service cannot be asked.
    """
    if flags.llm_url is None:
        text = "not known whether a mock judges, so runs count as ones that cost money"
        return [warn("judge", text, "give --llm-provider-service-url URL, or --live to allow them")]
    if await ProviderClient(http, flags.llm_url).runs_a_mock():
        return [ok("judge", f"{shown_url(flags.llm_url)} runs a mock, nothing can cost money")]
    if not flags.live:
        text = "real models: runs are refused"
        return [warn("judge", text, "allow them with --live, and set a ceiling with --budget-usd")]
    if flags.budget_usd is None:
        return [warn("judge", "real models, and no ceiling for the bill", "set one with --budget-usd")]
    return [ok("judge", f"real models, allowed by --live, at most {flags.budget_usd:g} USD")]
