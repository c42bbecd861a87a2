"""The queue on Kafka without Kafka: what may be committed, and how patiently a broker is asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.pipeline.errors import BrokerLost
from pytest_eng5.pipeline.kafka import KafkaOptions
from pytest_eng5.pipeline.provider.progress import Progress
from pytest_eng5.pipeline.replay import patiently


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_what_may_be_committed_is_the_first_that_is_not_finished(gaps: list[int], random: Any) -> None:
    """Offsets with gaps, as compaction and transactions leave them, finished in any order."""
    progress, offset, open_, seen = Progress(), 100, [], []
    assert progress.committable is None
    for gap in gaps:
        offset += 1 + gap
        progress.begin(offset)
        open_.append(offset)
        seen.append(offset)
        while open_ and random.random() < 0.4:
            done = open_.pop(random.randrange(len(open_)))
            progress.finish(done)
            assert progress.committable == (min(open_) if open_ else max(seen) + 1)
    while open_:
        progress.finish(open_.pop(random.randrange(len(open_))))
        assert progress.committable == (min(open_) if open_ else max(seen) + 1)


def test_asking_a_broker_that_stays_away_ends_in_time() -> None:
    options = KafkaOptions("127.0.0.1:9", broker_timeout=0.7)
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        raise KafkaConnectionError("no")

    with pytest.raises(BrokerLost, match="finding out"):
        asyncio.run(patiently(options, "finding out", ask))
    assert 2 <= asked <= 8


def test_asking_again_helps_when_the_broker_comes_back() -> None:
    answers: list[Exception | int] = [KafkaConnectionError("no"), KafkaConnectionError("no"), 7]

    async def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert asyncio.run(patiently(KafkaOptions("x:1"), "finding out", ask)) == 7
