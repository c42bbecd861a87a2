"""Settings that all tests share."""

from __future__ import annotations

from hypothesis import settings

# Examples run beside a Kafka and other workers: how long one takes says nothing.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
