"""What the reference pipeline is started with: settings by file, never a secret on its command line."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from pytest_eng5.runner import PipelineDied, ReferencePipeline

PREFIX = "launched."


def command_lines(pipeline: ReferencePipeline) -> str:
    """Command lines of the pipeline and everything it was started through."""
    supervisor = psutil.Process(pipeline.process.record()["pid"])
    processes = [supervisor, *supervisor.children(recursive=True)]
    return "\n".join(" ".join(process.cmdline()) for process in processes)


def test_settings_and_partitions_are_passed_on(
    broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings are found although they were named relative to another folder."""
    (tmp_path / "kafka.yaml").write_text("security_protocol: PLAINTEXT\n")
    monkeypatch.chdir(tmp_path)
    servers = broker.connection.bootstrap_servers
    pipeline = ReferencePipeline.start(
        servers,
        tmp_path / "pipeline.log",
        watch_pid=os.getpid(),
        topic_prefix=PREFIX,
        kafka_config=Path("kafka.yaml"),
        partitions=2,
    )
    try:
        assert f"--kafka-config {tmp_path.resolve() / 'kafka.yaml'}" in command_lines(pipeline)
        assert asyncio.run(partitions_of(servers)) == {2}
    finally:
        pipeline.stop()


async def partitions_of(servers: str) -> set[int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith(PREFIX)]
        return {len(topic["partitions"]) for topic in await admin.describe_topics(names)}
    finally:
        await admin.close()


def test_settings_that_cannot_be_read_are_said(broker: Any, tmp_path: Path) -> None:
    with pytest.raises(PipelineDied) as caught:
        ReferencePipeline.start(
            broker.connection.bootstrap_servers,
            tmp_path / "pipeline.log",
            watch_pid=os.getpid(),
            kafka_config=tmp_path / "absent.toml",
        )
    assert "absent.toml" in str(caught.value)
