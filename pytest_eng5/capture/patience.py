"""How long this room waits for a broker; one set of numbers, so that they fit together.

A request that gets no answer costs ``REQUEST_MS`` and is then made again on a new connection: the library's
40 s would turn a partition of the network of 3 s into a stall of 37. A broker that is away longer than
``PATIENCE_SECONDS`` is given up, and the runs end as an infrastructure fault: a restart of 10 s is survived,
a broker that never comes back is given up 15 to 17 s after its last sign of life. The reference pipeline
waits equally long.
"""

from __future__ import annotations

__all__ = [
    "BACKOFF_MS",
    "PATIENCE_SECONDS",
    "REQUEST_MS",
    "STOP_SECONDS",
    "TRANSACTION_SECONDS",
    "request_ms",
]

REQUEST_MS = 3000
"""One request and its answer."""

BACKOFF_MS = 100
"""Between two attempts."""

PATIENCE_SECONDS = 15.0
"""How long the broker may be away; also the deadline of publishing one request."""

STOP_SECONDS = 3.0
"""How long disconnecting may take."""

TRANSACTION_SECONDS = 10.0
"""How long a drain waits for a producer's open transaction that hides the records behind it."""

_BYTES_PER_SECOND = 4 << 20


def request_ms(record_limit: int | None) -> int:
    """The time for one request where a record may have ``record_limit`` bytes: it must pass in one answer."""
    return max(REQUEST_MS, (record_limit or 0) * 1000 // _BYTES_PER_SECOND)
