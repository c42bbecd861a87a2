"""Questions to a broker that is not ours: is it there, are the topics, may this account use them?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_eng5.brokers import BrokerConnection, TopicsMissing, create_broker, ensure_topics, probe
from pytest_eng5.brokers.probe import load_client
from pytest_eng5.brokers.record_times import seconds_ahead
from pytest_eng5.contracts import CAPTURED_EVENTS, PIPELINE_EVENTS, ProcessingEvent, topic_names
from pytest_eng5.errors import Eng5Error
from pytest_eng5.runner.backend import check_rights
from pytest_eng5.runner.connections import broker_options, refuse_real_topics
from pytest_eng5.runner.doctor.lines import Level, Line, failed, ok, warn
from pytest_eng5.runner.flags import RunFlags
from pytest_eng5.sessions import new_session

__all__ = ["ask_broker"]

_AHEAD = 5.0
"""Seconds that a record may lie in the future."""


async def ask_broker(flags: RunFlags, seconds: float) -> Iterable[Line]:
    """Broker, topics and rights, in this order; nothing is written or created.

    Raises:
        UsageError: The file of TLS and SASL settings, or the addresses, cannot be used.
    """
    lines: list[Line] = []

    def weak(warning: str) -> None:
        lines.append(warn("broker", warning, "change the file of --kafka-config"))

    refuse_real_topics(flags)
    load_client()
    broker = create_broker(broker_options(flags, weak))
    connection = broker.connection
    try:
        nodes = await probe(connection, seconds)
    except Eng5Error as error:
        return [*lines, failed("broker", error), _not_asked("topics", "the broker cannot be used")]
    lines.append(ok("broker", f"{broker.describe()}, {nodes} node{'s' if nodes != 1 else ''}"))
    return [*lines, *await _topics(connection, flags, seconds)]


def _not_asked(what: str, why: str) -> Line:
    return Line(Level.FAIL, what, f"not asked for: {why}", "mend what stands above first")


async def _topics(connection: BrokerConnection, flags: RunFlags, seconds: float) -> list[Line]:
    """Which topics there are, and what the account may do with them."""
    ours = flags.pipeline_kind == "embedded"
    events = PIPELINE_EVENTS if ours else (ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED, *CAPTURED_EVENTS)
    wanted = topic_names(events, flags.topic_prefix)
    try:
        found = await ensure_topics(connection, wanted, may_create=False, timeout=seconds)
    except TopicsMissing as error:
        if ours and flags.create_topics:
            return [ok("topics", f"{error.what}; the run will create them")]
        return [failed("topics", error), _not_asked("rights", "topics are missing")]
    except Eng5Error as error:
        return [failed("topics", error)]
    counts = sorted(set(found.values()))
    partitions = " or ".join(map(str, counts))
    lines = [ok("topics", f"all {len(found)} are there, {partitions} partitions each")]
    try:
        await check_rights(connection, flags, new_session())
        lines.append(ok("rights", "this account may publish requests and read every event"))
    except Eng5Error as error:
        lines.append(failed("rights", error))
    return [*lines, await _record_times(connection, found, seconds)]


async def _record_times(connection: BrokerConnection, topics: Mapping[str, int], seconds: float) -> Line:
    """A broker tells no time; records from the future do."""
    try:
        ahead = await seconds_ahead(connection, topics, tolerance=_AHEAD, timeout=seconds)
    except Eng5Error as error:
        return failed("record times", error)
    if not ahead:
        return ok("record times", "no record lies ahead of this machine's clock")
    topic, most = max(ahead.items(), key=lambda item: item[1])
    text = f"{topic} has records {most:.0f} s ahead of this machine's clock"
    return warn("record times", text, "synchronise the clocks of this machine, the broker and its producers")
