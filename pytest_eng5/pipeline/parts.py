"""What a process puts together: things that work with the broker, and the services made of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from starlette.applications import Starlette

__all__ = ["Part", "ServicePart", "Work"]

Work = Callable[[], Coroutine[Any, Any, None]]
"""Something that goes on as long as the process does."""


class Part(Protocol):
    """Something that works with the broker."""

    async def start(self) -> None:
        """Take up the work; the broker is connected."""
        ...

    async def stop(self) -> None:
        """Give the work back."""
        ...


class ServicePart(Part, Protocol):
    """A service that works with the broker, put together for this process."""

    app: Starlette
    works: list[tuple[str, Work]]

    def forget(self) -> None:
        """Forget work that a process before this one left; the broker is another cluster than its was."""
        ...
