"""Registering anchors with the CJ service (contract section 5.3).

The route has no authentication, and the service has been seen to report success and forget the anchor: what
counts is what its summary shows afterwards.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID, uuid4

import httpx

from pytest_eng5.contracts.admin import AnchorRegistered, AnchorRegistration, AnchorSummary
from pytest_eng5.errors import Eng5Error
from pytest_eng5.services.admin import AdminClient
from pytest_eng5.services.admin_http import SERVICE
from pytest_eng5.services.classify import checked, error_of, parsed
from pytest_eng5.services.errors import Refused, ServiceError, WriteDidNotStick
from pytest_eng5.services.http import Retry, exchange

__all__ = [
    "CONCURRENT_REGISTRATIONS",
    "AnchorOutcome",
    "AnchorRegistrar",
    "AnchorReport",
    "AnchorStatus",
    "AnchorText",
]

CONCURRENT_REGISTRATIONS = 4
_PATH = "/api/v1/anchors/register"


@dataclass(frozen=True, slots=True)
class AnchorText:
    """An anchor to register: its label (unique within the assignment), expert grade and text."""

    label: str
    grade: str
    text: str


class AnchorStatus(StrEnum):
    """What became of one anchor."""

    CONFIRMED = "confirmed"
    """Registered, and there when read back."""
    UNCONFIRMED = "unconfirmed"
    """Registered by the service's word; it could not be read back."""
    LOST = "lost"
    """Registered by the service's word, but not there."""
    FAILED = "failed"
    """Refused, or no answer."""


@dataclass(frozen=True, slots=True)
class AnchorOutcome:
    """What became of one anchor; ``error`` says why it is not confirmed."""

    label: str
    grade: str
    status: AnchorStatus
    answer: AnchorRegistered | None = None
    error: Eng5Error | None = None


@dataclass(frozen=True, slots=True)
class AnchorReport:
    """Outcomes in the order of the anchors given, none left out.

    Attributes:
        summary: The assignment's anchors as read back, ``None`` if they could not be.
    """

    outcomes: tuple[AnchorOutcome, ...]
    summary: AnchorSummary | None = None

    @property
    def all_confirmed(self) -> bool:
        """Whether every anchor is registered and was read back."""
        return all(outcome.status is AnchorStatus.CONFIRMED for outcome in self.outcomes)

    def counts(self) -> dict[AnchorStatus, int]:
        """How many anchors came to each status."""
        counted = Counter(outcome.status for outcome in self.outcomes)
        return {status: counted[status] for status in AnchorStatus}


class AnchorRegistrar:
    """Registers the anchors of one assignment, a few at a time.

    Args:
        client: The HTTP client.
        url: Address of the CJ service, without a path.
        admin: Reads the anchors back; needs a token, unlike the registration.
        concurrency: Most registrations under way at a time.
        timeout_seconds: Seconds that one request may wait for the service.
        correlation_id: Sent with every request; a new one for each by default.
        retry: Only a connection that could not be made is tried again.
        option: Where the address is configured, for messages.
        answered: Told what became of each anchor as soon as the service has answered, before reading back.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        admin: AdminClient,
        *,
        concurrency: int = CONCURRENT_REGISTRATIONS,
        timeout_seconds: float = 60.0,
        correlation_id: UUID | None = None,
        retry: Retry | None = None,
        option: str = "CJ_SERVICE_URL",
        answered: Callable[[AnchorOutcome], object] | None = None,
    ) -> None:
        self._client = client
        self._answered = answered or _nobody
        self._url = f"{url.rstrip('/').removesuffix('/admin/v1')}{_PATH}"
        self._admin = admin
        self._free = asyncio.Semaphore(concurrency)
        self._timeout = timeout_seconds
        self._correlation_id = correlation_id
        self._retry = retry or Retry(total=180)
        self._option = option

    async def register(self, assignment_id: str, anchors: Sequence[AnchorText]) -> AnchorReport:
        """Register all anchors, whatever becomes of each, and read them back.

        Raises:
            Refused: Two anchors have one label: the second would silently replace the first.
        """
        _refuse_equal_labels(anchors)
        outcomes = await asyncio.gather(*(self._told(assignment_id, anchor) for anchor in anchors))
        if all(outcome.answer is None for outcome in outcomes):
            return AnchorReport(tuple(outcomes))
        try:
            summary = await self._admin.anchors(assignment_id)
        except Eng5Error as error:
            unread = (_unread(outcome, error) for outcome in outcomes)
            return AnchorReport(tuple(unread))
        return AnchorReport(tuple(_confirmed(outcome, summary) for outcome in outcomes), summary)

    async def _told(self, assignment_id: str, anchor: AnchorText) -> AnchorOutcome:
        outcome = await self._outcome(assignment_id, anchor)
        self._answered(outcome)
        return outcome

    async def _outcome(self, assignment_id: str, anchor: AnchorText) -> AnchorOutcome:
        try:
            answer = await self._registered(assignment_id, anchor)
        except ServiceError as error:
            return AnchorOutcome(anchor.label, anchor.grade, AnchorStatus.FAILED, error=error)
        return AnchorOutcome(anchor.label, anchor.grade, AnchorStatus.UNCONFIRMED, answer)

    async def _registered(self, assignment_id: str, anchor: AnchorText) -> AnchorRegistered:
        body = checked(
            AnchorRegistration,
            f"anchor {anchor.label}",
            assignment_id=assignment_id,
            anchor_label=anchor.label,
            grade=anchor.grade,
            essay_text=anchor.text,
        )
        async with self._free:
            response, attempts = await exchange(
                self._client,
                "POST",
                self._url,
                service=SERVICE,
                option=self._option,
                retry=self._retry,
                repeatable=False,
                json=body.model_dump(),
                headers={"X-Correlation-ID": str(self._correlation_id or uuid4())},
                timeout=self._timeout,
            )
        if response.status_code == 201:
            return parsed(response, AnchorRegistered, service=SERVICE, option=self._option)
        raise error_of(response, service=SERVICE, option=self._option, attempts=attempts)


def _nobody(_: AnchorOutcome) -> None:
    """Tell nobody."""


def _refuse_equal_labels(anchors: Sequence[AnchorText]) -> None:
    counted = Counter(anchor.label for anchor in anchors)
    equal = sorted(label for label, number in counted.items() if number > 1)
    if equal:
        raise Refused(
            f"anchors have the same label: {', '.join(equal)}; the service would keep only the last of each",
            where="anchors",
            fix="give each anchor a label of its own, such as its file name",
        )


def _unread(outcome: AnchorOutcome, error: Eng5Error) -> AnchorOutcome:
    return outcome if outcome.answer is None else replace(outcome, error=error)


def _confirmed(outcome: AnchorOutcome, summary: AnchorSummary) -> AnchorOutcome:
    answer = outcome.answer
    if answer is None:
        return outcome
    for anchor in summary.anchors:
        if (anchor.anchor_label, anchor.grade_scale) != (outcome.label, answer.grade_scale):
            continue
        if (anchor.text_storage_id, anchor.grade) == (answer.storage_id, outcome.grade):
            return replace(outcome, status=AnchorStatus.CONFIRMED)
        return _lost(outcome, summary, "the anchor of that label has another text or grade")
    return _lost(outcome, summary, "there is no anchor of that label")


def _lost(outcome: AnchorOutcome, summary: AnchorSummary, seen: str) -> AnchorOutcome:
    error = WriteDidNotStick(
        f"the CJ service reported anchor {outcome.label} as registered, but when read back, {seen}",
        where=f"assignment {summary.assignment_id}",
        fix="the service does not commit this write: upgrade it, or write to its database directly",
    )
    return replace(outcome, status=AnchorStatus.LOST, error=error)
