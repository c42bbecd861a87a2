"""Signals to a supervised command, past its supervisor."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["signal_command"]


def signal_command(supervisor: int, number: int) -> None:
    """Send a signal to the command's process group; the supervisor goes on watching it."""
    for pid in _children(supervisor):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)


def _children(pid: int) -> list[int]:
    if sys.platform.startswith("linux"):
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(each) for each in listed.split()]
    answer = subprocess.run(["ps", "-A", "-o", "ppid=,pid="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in answer.stdout.splitlines()]
    return [int(child) for parent, child in rows if int(parent) == pid]
