"""The reference pipeline as a child process: start, watch, stop."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pytest_eng5.processes import SupervisedProcess
from pytest_eng5.runner.errors import PipelineDied
from pytest_eng5.runner.operating import Operator

__all__ = ["PipelineUrls", "ReferencePipeline"]

_READY_SECONDS = 30.0
_SERVICE_MAXIMUM = 1_000_000


@dataclass(frozen=True, slots=True)
class PipelineUrls:
    """Addresses of a pipeline's services: the content service's with its path, the others without."""

    content_url: str
    cj_url: str | None = None
    llm_url: str | None = None


class ReferencePipeline:
    """A running reference pipeline, seen from the process that started it or from any other.

    Args:
        process: Its supervised process.
        urls: Where its services listen.
        log: Its log file.
    """

    def __init__(self, process: SupervisedProcess, urls: PipelineUrls, log: Path) -> None:
        self.process = process
        self.urls = urls
        self.log = log

    @classmethod
    def start(
        cls,
        bootstrap_servers: str,
        log: Path,
        *,
        watch_pid: int,
        topic_prefix: str = "",
        pair_seed: int = 0,
        kafka_config: Path | None = None,
        partitions: int | None = None,
        operator: Operator | None = None,
    ) -> ReferencePipeline:
        """Start it and wait until its services answer and its consumer has taken positions.

        Raises:
            PipelineDied: It ended, or was not ready in time; the last lines of its log are shown.
        """
        process = cls.launch(
            bootstrap_servers,
            log,
            watch_pid=watch_pid,
            topic_prefix=topic_prefix,
            pair_seed=pair_seed,
            kafka_config=kafka_config,
            partitions=partitions,
            operator=operator,
        )
        return cls.await_ready(process, log)

    @staticmethod
    def launch(
        bootstrap_servers: str,
        log: Path,
        *,
        watch_pid: int,
        topic_prefix: str = "",
        pair_seed: int = 0,
        kafka_config: Path | None = None,
        partitions: int | None = None,
        operator: Operator | None = None,
    ) -> SupervisedProcess:
        """Start the process without waiting for it.

        Args:
            bootstrap_servers: ``host:port`` list.
            log: Its log file.
            watch_pid: It ends when this process does.
            topic_prefix: Of all topics and groups.
            pair_seed: Makes the pairs repeatable.
            kafka_config: File with TLS and SASL settings; secrets travel in it, never on the command line.
            partitions: Of topics that it creates; ``None`` leaves it to the pipeline.
            operator: Who may use its admin API; ``None`` leaves that to this process's environment.
        """
        # Its broker ends with the session, so that no state of it could ever be taken up again.
        command = [sys.executable, "-m", "pytest_eng5.pipeline", "serve", "--state", "memory"]
        command += ["--bootstrap-servers", bootstrap_servers, "--topic-prefix", topic_prefix]
        command += ["--pair-seed", str(pair_seed), "--max-comparisons", str(_SERVICE_MAXIMUM)]
        if kafka_config is not None:
            command += ["--kafka-config", str(kafka_config.resolve())]
        if partitions is not None:
            command += ["--partitions", str(partitions)]
        return SupervisedProcess.start(
            command,
            watch_pid=watch_pid,
            log_path=log,
            env=operator.environment_of_pipeline(os.environ) if operator else None,
            stdout_pipe=True,
            grace=3.0,
        )

    @classmethod
    def await_ready(cls, process: SupervisedProcess, log: Path) -> ReferencePipeline:
        """Wait for the ready line of a launched process."""
        assert process.stdout is not None
        try:
            line = _read_line(process.stdout, _READY_SECONDS)
            ready = json.loads(line)["ready"]
            urls = PipelineUrls(ready["content_url"], ready["cj_url"], ready["llm_url"])
        except (ValueError, KeyError, TypeError) as error:
            process.stop(grace=1.0)
            raise PipelineDied(
                "the reference pipeline did not come up; its last lines:\n  " + "\n  ".join(process.tail(8)),
                where=str(log),
                fix="read the log; start it by hand with `eng5 pipeline serve` to see more",
            ) from error
        return cls(process, urls, log)

    def failure(self) -> str | None:
        """``None`` while it runs, else how it ended and its last lines."""
        status = self.process.poll()
        if status is None:
            return None
        tail = "\n  ".join(self.process.tail(8))
        return f"the reference pipeline ended with status {status}; its last lines ({self.log}):\n  {tail}"

    def stop(self) -> None:
        """End it; harmless when repeated."""
        self.process.stop(grace=5.0)

    def record(self) -> dict[str, Any]:
        """Plain JSON from which :meth:`attach` makes the same handle in another process."""
        urls = {name: getattr(self.urls, name) for name in ("content_url", "cj_url", "llm_url")}
        return {"process": self.process.record(), "urls": urls, "log": str(self.log)}

    @classmethod
    def attach(cls, record: Mapping[str, Any]) -> ReferencePipeline:
        """A handle on a pipeline that another process started."""
        process = SupervisedProcess.attach(record["process"])
        return cls(process, PipelineUrls(**record["urls"]), Path(record["log"]))


def _read_line(stream: IO[str], seconds: float) -> str:
    """The first line of a pipe; empty if the other end closes or nothing comes in time."""
    deadline = time.monotonic() + seconds
    while (remaining := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([stream], [], [], remaining)
        if readable:
            return stream.readline()
    return ""
