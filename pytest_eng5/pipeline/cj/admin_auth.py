"""Who may use the admin API: bearers of a JWT with the role admin (contract section 5.1)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jwt
from pydantic import SecretStr
from starlette.requests import Request

from pytest_eng5.errors import UsageError
from pytest_eng5.pipeline.errors import ServiceError

__all__ = ["AdminAccess"]

_AUDIENCE = "huleedu-platform"
_ISSUER = "huleedu-identity-service"
_ALGORITHMS = frozenset({"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"})
_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class AdminAccess:
    """Checks the token of a request; without a key nobody is let in.

    Attributes:
        key: The shared secret of HS algorithms, the public key of the others.
        enabled: Whether the admin routes exist at all.
    """

    key: SecretStr | None = None
    algorithm: str = "HS256"
    audience: str = _AUDIENCE
    issuer: str = _ISSUER
    enabled: bool = True

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, secret_file: Path | None = None
    ) -> AdminAccess:
        """Read ``JWT_SECRET_KEY`` (or ``JWT_PUBLIC_KEY``, ``JWT_PUBLIC_KEY_PATH``), ``JWT_ALGORITHM``,
        ``JWT_AUDIENCE``, ``JWT_ISSUER``, and ``CJ_ASSESSMENT_SERVICE_ENABLE_ADMIN_ENDPOINTS``, which is
        false by default where ``ENVIRONMENT`` is ``production``.

        Args:
            environ: Default that of the process.
            secret_file: Holds the key, instead of the environment: a command line can be read by others.

        Raises:
            UsageError: An algorithm that does not exist, or a key that cannot be read.
        """
        env = os.environ if environ is None else environ
        algorithm = env.get("JWT_ALGORITHM") or "HS256"
        if algorithm not in _ALGORITHMS:
            raise UsageError(
                f"no algorithm {algorithm!r}",
                where="JWT_ALGORITHM",
                fix=f"use one of {', '.join(sorted(_ALGORITHMS))}",
            )
        if algorithm not in jwt.algorithms.get_default_algorithms():
            raise UsageError(
                f"{algorithm} needs the package cryptography",
                where="JWT_ALGORITHM",
                fix="pip install cryptography, or use HS256",
            )
        key = _key(env, algorithm, secret_file)
        return cls(
            key=SecretStr(key) if key else None,
            algorithm=algorithm,
            audience=env.get("JWT_AUDIENCE") or _AUDIENCE,
            issuer=env.get("JWT_ISSUER") or _ISSUER,
            enabled=_enabled(env),
        )

    def check(self, request: Request) -> str:
        """The subject of a valid token with the role admin.

        Raises:
            ServiceError: ``AUTHENTICATION_ERROR`` or ``AUTHORIZATION_ERROR``, never with the token in it.
        """
        header = request.headers.get("authorization", "")
        if not header.lower().startswith(_SCHEME):
            raise ServiceError("AUTHENTICATION_ERROR", "the request has no bearer token")
        if self.key is None:
            raise ServiceError(
                "AUTHENTICATION_ERROR", "no token is accepted: the service was started without JWT_SECRET_KEY"
            )
        try:
            claims = jwt.decode(
                header[len(_SCHEME) :].strip(),
                self.key.get_secret_value(),
                algorithms=[self.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                options={"require": ["exp"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise ServiceError("AUTHENTICATION_ERROR", _reason(error)) from None
        roles = claims.get("roles")
        if not isinstance(roles, list) or "admin" not in roles:
            raise ServiceError("AUTHORIZATION_ERROR", "the token's roles do not contain admin")
        return str(claims.get("sub", ""))


def _reason(error: Exception) -> str:
    if isinstance(error, jwt.ExpiredSignatureError):
        return "the token has expired"
    if isinstance(error, jwt.InvalidSignatureError):
        return "the token is signed with another key"
    return f"the token is not valid ({type(error).__name__})"


def _key(env: Mapping[str, str], algorithm: str, secret_file: Path | None) -> str | None:
    """The key that an algorithm needs, from where it is given."""
    if secret_file is not None:
        return _read(secret_file, "--jwt-key-file")
    if algorithm.startswith("HS"):
        return env.get("JWT_SECRET_KEY")
    if env.get("JWT_PUBLIC_KEY"):
        return env["JWT_PUBLIC_KEY"]
    path = env.get("JWT_PUBLIC_KEY_PATH")
    return _read(Path(path), "JWT_PUBLIC_KEY_PATH") if path else None


def _read(path: Path, where: str) -> str:
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the key cannot be read: {error}", where=where, fix="correct the path") from None
    if not key:
        raise UsageError(f"{path} is empty", where=where, fix="put the key into the file")
    return key


def _enabled(env: Mapping[str, str]) -> bool:
    wanted = env.get("CJ_ASSESSMENT_SERVICE_ENABLE_ADMIN_ENDPOINTS", "").strip().lower()
    if wanted:
        return wanted in {"1", "true", "yes", "on"}
    return env.get("ENVIRONMENT", "").strip().lower() != "production"
