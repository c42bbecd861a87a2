"""Settings that all tests share."""

from __future__ import annotations

import signal

from hypothesis import settings

# Examples run beside a Kafka and other workers: how long one takes says nothing.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests that send it would
# then test nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
