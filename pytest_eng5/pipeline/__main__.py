"""``python -m pytest_eng5.pipeline serve``: one line on standard output when ready, logs elsewhere."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from pytest_eng5.errors import Eng5Error
from pytest_eng5.pipeline.logs import configure_logging, service_logger
from pytest_eng5.pipeline.options import parse, pipeline_from
from pytest_eng5.pipeline.serve import Pipeline

__all__ = ["main"]

_STOP_DEADLINE = 1.8


def _announce(ready: dict[str, Any]) -> None:
    print(json.dumps({"ready": ready}), flush=True)


def _leave(code: int) -> None:
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def _leave_soon(code: int) -> None:
    """Leave even if a client hangs, and say that it did."""

    def give_up() -> None:
        if code == 0:
            service_logger("pipeline").warning("pipeline stopped", problem="not everything stopped in time")
        _leave(code)

    timer = threading.Timer(_STOP_DEADLINE, give_up)
    timer.daemon = True
    timer.start()


def _report(error: Eng5Error) -> int:
    """Say why the process ends, in the log and on standard error; returns the exit code."""
    service_logger("pipeline").error("pipeline ended", problem=error.what, where=error.where, fix=error.fix)
    print(f"pytest-eng5 pipeline ended: {error}", file=sys.stderr, flush=True)
    return error.exit_code


async def _until_stopped(pipeline: Pipeline) -> int:
    """Serve to the end; does not return from a signal, as a thread may still be computing."""
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
        _leave(0)
    except Eng5Error as error:
        code = _report(error)
        _leave_soon(code)
        return code
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT (exit code 0), or until the broker is lost (exit code 4)."""
    args = parse(argv)
    configure_logging(args.log_file, args.log_level)
    try:
        pipeline = pipeline_from(args)
    except Eng5Error as error:
        return _report(error)
    return asyncio.run(_until_stopped(pipeline))


if __name__ == "__main__":
    _leave(main())
