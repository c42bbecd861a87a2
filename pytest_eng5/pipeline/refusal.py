"""Tells a broker that refuses us from one that is not up yet: waiting mends only the second."""

from __future__ import annotations

import ssl
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from pytest_eng5.pipeline.errors import StartupFailed
from pytest_eng5.pipeline.kafka import KafkaOptions

__all__ = ["refusal"]

_CONNECTION = frozenset(
    {"security_protocol", "ssl_context", "sasl_mechanism", "sasl_plain_username", "sasl_plain_password"}
)
_FIX = "correct it in the file of --kafka-config"


async def refusal(options: KafkaOptions) -> StartupFailed | None:
    """Connect once more and keep the reason, which aiokafka's clients only log.

    Only asked after a failure. Without TLS and SASL nobody is refused.

    Returns:
        What waiting will not mend, ``None`` if the broker may just be starting.
    """
    arguments: dict[str, Any] = {k: v for k, v in options.client_options.items() if k in _CONNECTION}
    if arguments.get("security_protocol", "PLAINTEXT") == "PLAINTEXT":
        return None
    host, _, port = options.bootstrap_servers.split(",")[0].strip().rpartition(":")
    what = None
    try:
        connection = await create_conn(
            host.strip("[]"),
            int(port),
            client_id="eng5-pipeline-refusal",
            request_timeout_ms=3000,
            **arguments,
        )
        connection.close()
    except SaslAuthenticationFailed:
        user, mechanism = arguments.get("sasl_plain_username"), arguments.get("sasl_mechanism")
        what = f"the Kafka broker refuses the user name or the password of {user!r} ({mechanism})"
    except (UnsupportedSaslMechanismError, IllegalSaslStateError):
        what = f"the Kafka broker does not offer the SASL mechanism {arguments.get('sasl_mechanism')} here"
    except ssl.SSLCertVerificationError as error:
        what = f"the Kafka broker's certificate is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        what = f"TLS with the Kafka broker fails: {error.reason}"
    except (KafkaError, OSError, TimeoutError, ValueError):
        return None
    return None if what is None else StartupFailed(what, where=options.bootstrap_servers, fix=_FIX)
