"""``python -m pytest_eng5.pipeline serve``: one line on standard output when ready, logs elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pytest_eng5.errors import Eng5Error
from pytest_eng5.pipeline.kafka import KafkaOptions
from pytest_eng5.pipeline.logs import configure_logging, service_logger
from pytest_eng5.pipeline.serve import Pipeline, ServeOptions
from pytest_eng5.pipeline.settings import CJSettings, LLMProviderSettings

__all__ = ["main"]

_STOP_DEADLINE = 1.8


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pytest_eng5.pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run content, CJ and LLM provider service until SIGTERM")
    serve.add_argument("--bootstrap-servers", required=True, help="host:port list of the Kafka broker")
    serve.add_argument("--topic-prefix", default="", help="put before every topic and the consumer group")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on")
    for name in ("content", "cj", "llm"):
        serve.add_argument(f"--{name}-port", type=int, default=0, help="port, 0 for a free one")
    serve.add_argument("--pair-seed", type=int, help="makes the pairs depend on the order of the essays only")
    serve.add_argument("--max-comparisons", type=_positive(int), help="most comparisons of one batch (120)")
    serve.add_argument("--no-store-prompts", action="store_true", help="do not keep the rendered prompts")
    serve.add_argument(
        "--broker-timeout",
        type=_positive(float),
        default=10.0,
        help="seconds without the broker before giving up",
    )
    serve.add_argument("--log-file", type=Path, help="JSON log, default standard error")
    serve.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return parser


def _pipeline(args: argparse.Namespace) -> Pipeline:
    cj: dict[str, Any] = {}
    if args.pair_seed is not None:
        cj["pair_generation_seed"] = args.pair_seed
    if args.max_comparisons is not None:
        cj["max_pairwise_comparisons"] = args.max_comparisons
    provider: dict[str, Any] = {"store_prompts": False} if args.no_store_prompts else {}
    options = ServeOptions(
        KafkaOptions(args.bootstrap_servers, args.topic_prefix, args.broker_timeout),
        args.host,
        args.content_port,
        args.cj_port,
        args.llm_port,
    )
    return Pipeline(
        options, CJSettings.from_environment(**cj), LLMProviderSettings.from_environment(**provider)
    )


def _announce(ready: dict[str, Any]) -> None:
    print(json.dumps({"ready": ready}), flush=True)


def _leave(code: int) -> None:
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def _leave_soon(code: int) -> None:
    """Leave even if a client hangs or a thread is still computing."""
    timer = threading.Timer(_STOP_DEADLINE, _leave, (code,))
    timer.daemon = True
    timer.start()


def _report(error: Eng5Error) -> int:
    """Say why the process ends, in the log and on standard error; returns the exit code."""
    service_logger("pipeline").error("pipeline ended", problem=error.what, where=error.where, fix=error.fix)
    print(f"pytest-eng5 pipeline ended: {error}", file=sys.stderr, flush=True)
    return error.exit_code


async def _until_stopped(pipeline: Pipeline) -> int:
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(pipeline.run(_announce))

    def stop() -> None:
        _leave_soon(0)
        serving.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await serving
    except asyncio.CancelledError:
        service_logger("pipeline").info("pipeline stopped")
    except Eng5Error as error:
        code = _report(error)
        _leave_soon(code)
        return code
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT (exit code 0), or until the broker is lost (exit code 4)."""
    args = _parser().parse_args(argv)
    configure_logging(args.log_file, args.log_level)
    try:
        pipeline = _pipeline(args)
    except Eng5Error as error:
        return _report(error)
    return asyncio.run(_until_stopped(pipeline))


if __name__ == "__main__":
    _leave(main())
