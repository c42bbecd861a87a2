"""A broker that refuses is told from one that is not up yet."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
import trustme

from pytest_eng5.pipeline.kafka import KafkaOptions
from pytest_eng5.pipeline.refusal import refusal


def asked(tls: ssl.SSLContext | None, **client: Any) -> Any:
    """What is said of a server that answers nothing, with or without TLS."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def work() -> Any:
        server = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await refusal(KafkaOptions(f"127.0.0.1:{port},127.0.0.1:1", client_options=client))

    return asyncio.run(work())


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def client_side(authority: trustme.CA) -> dict[str, Any]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {"security_protocol": "SSL", "ssl_context": context}


def test_a_certificate_of_a_stranger_is_a_refusal(server_side: ssl.SSLContext) -> None:
    error = asked(server_side, **client_side(trustme.CA()))
    assert "certificate is not trusted" in error.what
    assert "127.0.0.1" in error.where
    assert "--kafka-config" in error.fix


def test_a_server_without_tls_is_a_refusal() -> None:
    error = asked(None, **client_side(trustme.CA()))
    assert "TLS with the Kafka broker fails" in error.what


def test_a_trusted_server_that_says_nothing_useful_may_still_be_starting(
    authority: trustme.CA, server_side: ssl.SSLContext
) -> None:
    assert asked(server_side, **client_side(authority)) is None


def test_nobody_is_refused_without_security() -> None:
    assert asked(None) is None
    assert asked(None, security_protocol="PLAINTEXT") is None


@pytest.mark.parametrize("servers", ["127.0.0.1:1", "[::1]:1", "no port", ""])
def test_nobody_there_is_no_refusal(servers: str) -> None:
    options = KafkaOptions(servers, client_options=client_side(trustme.CA()))
    assert asyncio.run(refusal(options)) is None


def test_other_client_options_do_not_matter(server_side: ssl.SSLContext) -> None:
    strange = {**client_side(trustme.CA()), "metadata_max_age_ms": 5}
    assert "not trusted" in asked(server_side, **strange).what
