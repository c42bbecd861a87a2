"""Publishing requests and capturing what comes back, durably, for all runs of a session at once."""

from __future__ import annotations

from pytest_eng5.capture.channel import Account, RunChannel
from pytest_eng5.capture.errors import CaptureError, PublishError
from pytest_eng5.capture.hub import CaptureHub
from pytest_eng5.capture.publisher import Published, RequestPublisher
from pytest_eng5.capture.routing import Match, Router
from pytest_eng5.capture.waiting import Deadlines, End, wait_for_end

__all__ = [
    "Account",
    "CaptureError",
    "CaptureHub",
    "Deadlines",
    "End",
    "Match",
    "PublishError",
    "Published",
    "RequestPublisher",
    "Router",
    "RunChannel",
    "wait_for_end",
]
