"""One request to the admin API: token, correlation id, retries where repeating is safe, typed answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel

from pytest_eng5.services.auth import NO_ADMIN_ROLE, AdminAuth
from pytest_eng5.services.classify import error_of, parsed
from pytest_eng5.services.errors import (
    AmbiguousFailure,
    NotAuthenticated,
    NotPermitted,
    ServiceError,
    ServiceFailed,
    ServiceTimeout,
)
from pytest_eng5.services.health import check_health
from pytest_eng5.services.http import Answer, Retry, exchange, shown_url

__all__ = ["AdminHttp"]

SERVICE = "the CJ service"
_PREFIX = "/admin/v1"
M = TypeVar("M", bound=BaseModel)


class AdminHttp:
    """Asks the admin API and puts failures in words; arguments as of the client above it."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        auth: AdminAuth,
        correlation_id: UUID | None,
        retry: Retry,
        timeout_seconds: float,
        option: str,
    ) -> None:
        self._client = client
        self._base = url.rstrip("/").removesuffix(_PREFIX)
        self._auth = auth
        self._correlation_id = correlation_id
        self._retry = retry
        self._timeout = timeout_seconds
        self._option = option

    def where(self, path: str) -> str:
        """The address of a route, for messages."""
        return shown_url(f"{self._base}{_PREFIX}{path}")

    async def ask(
        self,
        method: str,
        path: str,
        model: type[M],
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> M:
        """Send one request and read its answer; only a GET is ever repeated.

        Raises:
            AmbiguousFailure: A 500 that can mean anything.
            ServiceError: Any other failure, named for what it is.
            TokenError: There is no usable token; nothing was sent.
        """
        # Asked for here, before any connection is made, so that a missing token is not a network matter.
        self._auth.token()
        try:
            response, attempts = await self._exchange(method, path, body, params)
        except ServiceTimeout as error:
            if method == "GET":
                raise
            unknown = f"{error.what}; it is not known whether the write was done"
            raise ServiceTimeout(unknown, where=error.where, fix=f"{error.fix}; then ask again") from None
        if response.status_code in (200, 201):
            return parsed(response, model, service=SERVICE, option=self._option)
        raise error_of(response, service=SERVICE, option=self._option, attempts=attempts)

    async def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, params: Mapping[str, str] | None
    ) -> Answer:
        return await exchange(
            self._client,
            method,
            f"{self._base}{_PREFIX}{path}",
            service=SERVICE,
            option=self._option,
            retry=self._retry,
            repeatable=method == "GET",
            auth=self._auth,
            headers={"X-Correlation-ID": str(self._correlation_id or uuid4())},
            timeout=self._timeout,
            json=body,
            params=params,
        )

    async def everything_fails(self, failure: AmbiguousFailure) -> ServiceError:
        """Even the plain list is answered with an ambiguous 500: whose fault can that be?"""
        health = await check_health(self._client, self._base, service=SERVICE, option=self._option)
        if not health.healthy:
            return ServiceFailed(
                f"{failure.what}; it is not healthy either: {health.detail}",
                where=failure.where,
                fix="bring the CJ service up first: its logs and its database",
            )
        problems = self._auth.token().description.problems
        if problems:
            kind = NotPermitted if problems == (NO_ADMIN_ROLE,) else NotAuthenticated
            return kind(
                f"{failure.what}; the token cannot be accepted: {', '.join(problems)}",
                where=failure.where,
                fix="use a token of the platform's identity service that is valid now and has the role admin",
            )
        return AmbiguousFailure(
            f"{failure.what}; it answers 500 to refusals too, so either the token's key is not the service's,"
            " or its admin routes are off, or its database fails",
            where=failure.where,
            fix="use the JWT_SECRET_KEY of the service or a token from its identity service; check that"
            " ENABLE_ADMIN_ENDPOINTS is on there; look at its logs",
        )
