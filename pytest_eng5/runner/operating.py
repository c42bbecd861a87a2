"""What the operator of a pipeline would do, on a pipeline that a session started itself: who may, and where.

The key of the admin API is made for one session. It lies in the session's private folder, so that all its
processes find it, and reaches the pipeline by its environment; never by a command line, a log or evidence.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

__all__ = ["Operator"]

_KEY_FILE = "admin.key"
_KEY = "JWT_SECRET_KEY"
_ADMIN_ROUTES = "CJ_ASSESSMENT_SERVICE_ENABLE_ADMIN_ENDPOINTS"


@dataclass(frozen=True, slots=True)
class Operator:
    """The right to use the admin API of the session's own pipeline.

    Attributes:
        folder: Private folder in which the processes of the session agree on what has been provided.
        variables: What `AdminAuth` makes tokens from.
    """

    folder: Path
    variables: Mapping[str, str] = field(repr=False)

    @classmethod
    def appoint(cls, folder: Path) -> Self:
        """The operator of a session: with the key that its first process made, or a new one."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / _KEY_FILE
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
        return cls(folder, {_KEY: path.read_text(encoding="ascii")})

    def environment_of_pipeline(self, environ: Mapping[str, str]) -> dict[str, str]:
        """An environment for the pipeline: with this key, and with none of the user's own JWT settings."""
        kept = {name: value for name, value in environ.items() if not name.startswith("JWT_")}
        return {**kept, **self.variables, _ADMIN_ROUTES: "true"}
