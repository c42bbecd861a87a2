"""The HTTP contracts of the three services, asked of the real process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pytest_eng5.contracts import ErrorDetail, LLMQueuedResponse, ProcessingEvent, topic_name


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def content(pipeline: Any) -> str:
    return str(pipeline.ready["content_url"])


@pytest.fixture(scope="module")
def llm(pipeline: Any) -> str:
    return str(pipeline.ready["llm_url"])


def comparison(pipeline: Any, **changes: Any) -> dict[str, Any]:
    return {
        "user_prompt": "alpha",
        "callback_topic": topic_name(ProcessingEvent.LLM_COMPARISON_RESULT, pipeline.prefix),
        "llm_config_overrides": {"provider_override": "mock"},
        "correlation_id": str(uuid4()),
        **changes,
    }


# Content service


@pytest.mark.parametrize(
    "body", [b"text", b" \n", b"\xff\x00\xfe", "å".encode(), b"x" * 2_000_000], ids=lambda b: str(b[:4])
)
def test_content_comes_back_byte_for_byte(body: bytes, content: str, http: httpx.Client) -> None:
    stored = http.post(content, content=body, headers={"content-type": "application/octet-stream"})
    assert stored.status_code == 201
    assert set(stored.json()) == {"storage_id", "correlation_id"}
    storage_id = stored.json()["storage_id"]
    assert len(storage_id) == 32
    assert set(storage_id) <= set("0123456789abcdef")
    fetched = http.get(f"{content}/{storage_id}")
    assert (fetched.status_code, fetched.content) == (200, body)
    assert fetched.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("content_type", ["text/plain", "text/markdown; charset=utf-8", "x/y"])
def test_the_content_type_is_stored_as_it_was_sent(
    content_type: str, content: str, http: httpx.Client
) -> None:
    stored = http.post(content, content=b"x", headers={"content-type": content_type}).json()
    assert http.get(f"{content}/{stored['storage_id']}").headers["content-type"] == content_type


def test_the_content_type_is_plain_text_by_default(content: str, http: httpx.Client) -> None:
    request = http.build_request("POST", content, content=b"x")
    assert "content-type" not in request.headers
    stored = http.send(request).json()
    assert http.get(f"{content}/{stored['storage_id']}").headers["content-type"] == "text/plain"


def test_equal_contents_get_different_ids(content: str, http: httpx.Client) -> None:
    ids = {http.post(content, content=b"same").json()["storage_id"] for _ in range(3)}
    assert len(ids) == 3


def test_an_empty_body_is_a_validation_error(content: str, http: httpx.Client) -> None:
    correlation = str(uuid4())
    answer = http.post(content, content=b"", headers={"x-correlation-id": correlation})
    assert answer.status_code == 400
    detail = ErrorDetail.model_validate(answer.json()["error"])
    assert set(answer.json()["error"]) == set(ErrorDetail.model_fields)
    assert (detail.error_code, str(detail.correlation_id)) == ("VALIDATION_ERROR", correlation)
    assert detail.service == "content_service"


@pytest.mark.parametrize("storage_id", ["x", "0" * 31, "0" * 33, "g" * 32, "0" * 31 + "-"])
def test_an_id_that_is_none_is_a_bad_request(storage_id: str, content: str, http: httpx.Client) -> None:
    answer = http.get(f"{content}/{storage_id}")
    assert (answer.status_code, answer.json()["error"]["error_code"]) == (400, "VALIDATION_ERROR")


def test_an_unknown_id_is_not_found(content: str, http: httpx.Client) -> None:
    answer = http.get(f"{content}/{'0' * 32}")
    assert (answer.status_code, answer.json()["error"]["error_code"]) == (404, "RESOURCE_NOT_FOUND")


def test_there_is_no_head_no_delete_and_no_put(content: str, http: httpx.Client) -> None:
    stored = http.post(content, content=b"x").json()["storage_id"]
    for method in ("HEAD", "DELETE", "PUT"):
        assert http.request(method, f"{content}/{stored}").status_code == 405


@pytest.mark.parametrize("sent", [None, "not a uuid", "0b8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01"])
def test_correlation_ids(sent: str | None, content: str, http: httpx.Client) -> None:
    headers = {} if sent is None else {"x-correlation-id": sent}
    got = UUID(http.post(content, content=b"x", headers=headers).json()["correlation_id"])
    if sent is not None:
        assert got == (uuid5(NAMESPACE_OID, sent) if " " in sent else UUID(sent))


def test_content_metrics_count(content: str, http: httpx.Client) -> None:
    def count() -> int:
        text = http.get(content.removesuffix("/v1/content") + "/metrics").text
        (family,) = [f for f in text_string_to_metric_families(text) if f.name.endswith("_documents")]
        (sample,) = family.samples
        return int(sample.value)

    before = count()
    http.post(content, content=b"x")
    assert count() == before + 1


# Health of all three


@pytest.mark.parametrize(
    ("key", "service"),
    [
        ("content_url", "content_service"),
        ("cj_url", "cj_assessment_service"),
        ("llm_url", "llm_provider_service"),
    ],
)
def test_health(key: str, service: str, pipeline: Any, http: httpx.Client) -> None:
    base = pipeline.ready[key].removesuffix("/v1/content")
    for path in ("/healthz", "/healthz/live", "/healthz/ready"):
        answer = http.get(base + path)
        assert answer.status_code == 200
        assert (answer.json()["service"], answer.json()["status"]) == (service, "healthy")


def test_the_providers_health_says_that_it_is_a_mock(llm: str, http: httpx.Client) -> None:
    body = http.get(f"{llm}/healthz").json()
    assert body["mock_mode"] is True
    assert body["mock_provider"] == "default"


@pytest.mark.parametrize("key", ["content_url", "cj_url", "llm_url"])
def test_unknown_paths(key: str, pipeline: Any, http: httpx.Client) -> None:
    assert http.get(pipeline.ready[key] + "/no/such/thing").status_code == 404


# LLM provider service


def test_a_comparison_is_queued(pipeline: Any, llm: str, http: httpx.Client) -> None:
    answer = http.post(f"{llm}/api/v1/comparison", json=comparison(pipeline))
    assert answer.status_code == 202
    queued = LLMQueuedResponse.model_validate(answer.json())
    assert queued.status == "queued"
    assert UUID(queued.queue_id)
    assert set(answer.json()) == {"queue_id", "status", "message", "estimated_wait_minutes"}
    for path in ("status", "results"):
        assert http.get(f"{llm}/api/v1/{path}/{queued.queue_id}").status_code == 404


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"llm_config_overrides": None}, "VALIDATION_ERROR", "provider_override is required"),
        (
            {"llm_config_overrides": {"model_override": "x"}},
            "VALIDATION_ERROR",
            "provider_override is required",
        ),
        (
            {"llm_config_overrides": {"provider_override": "openai"}},
            "VALIDATION_ERROR",
            "simulated judge only",
        ),
        ({"llm_config_overrides": {"provider_override": "anthropic"}}, "VALIDATION_ERROR", "'anthropic'"),
        ({"llm_config_overrides": {"provider_override": "acme"}}, "VALIDATION_ERROR", "provider_override"),
        (
            {"llm_config_overrides": {"provider_override": "mock", "temperature_override": 3}},
            "VALIDATION_ERROR",
            "temperature_override",
        ),
        (
            {"llm_config_overrides": {"provider_override": "mock", "output_verbosity": "none"}},
            "VALIDATION_ERROR",
            "output_verbosity",
        ),
        ({"user_prompt": None}, "VALIDATION_ERROR", "/user_prompt"),
        ({"callback_topic": "elsewhere"}, "LLM_INVALID_CALLBACK_TOPIC", "comparison_result"),
        ({"correlation_id": "x"}, "VALIDATION_ERROR", "/correlation_id"),
        ({"metadata": []}, "VALIDATION_ERROR", "/metadata"),
        (
            {"prompt_blocks": [{"target": "moon", "content": "x"}]},
            "VALIDATION_ERROR",
            "/prompt_blocks/0/target",
        ),
    ],
)
def test_a_bad_comparison_is_refused(
    changes: dict[str, Any], code: str, words: str, pipeline: Any, llm: str, http: httpx.Client
) -> None:
    answer = http.post(f"{llm}/api/v1/comparison", json=comparison(pipeline, **changes))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "correlation_id", "service", "timestamp", "details"}
    assert (error["code"], error["service"]) == (code, "llm_provider_service")
    assert words in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"])
def test_a_body_that_is_no_json_object_is_refused(body: bytes, llm: str, http: httpx.Client) -> None:
    answer = http.post(f"{llm}/api/v1/comparison", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


def test_a_refusal_does_not_repeat_the_prompt(pipeline: Any, llm: str, http: httpx.Client) -> None:
    secret = "the essay text of a student"
    answer = http.post(
        f"{llm}/api/v1/comparison", json=comparison(pipeline, user_prompt=[secret], metadata=secret)
    )
    assert answer.status_code == 400
    assert secret not in answer.text


def test_mock_mode(llm: str, http: httpx.Client) -> None:
    answer = http.get(f"{llm}/admin/mock-mode").json()
    assert answer == {
        "use_mock_llm": True,
        "mock_mode": "default",
        "default_provider": "mock",
        "simulations": "/admin/simulations",
        "faults": "/admin/faults",
    }
    assert http.get(f"{llm}/api/v1/admin/mock-mode").status_code == 404


def test_providers(llm: str, http: httpx.Client) -> None:
    body = http.get(f"{llm}/api/v1/providers").json()
    assert body["default_provider"] == "mock"
    available = {provider["name"]: provider["available"] for provider in body["providers"]}
    assert available == {
        "anthropic": False,
        "openai": False,
        "google": False,
        "openrouter": False,
        "mock": True,
    }
    wanted = {
        *("name", "enabled", "available", "circuit_breaker_state", "default_model"),
        *("last_success", "last_failure", "failure_count", "average_response_time_ms"),
    }
    assert all(wanted <= set(provider) for provider in body["providers"])


def test_models(llm: str, http: httpx.Client) -> None:
    everything = http.get(f"{llm}/api/v1/models").json()
    assert everything["total_models"] == sum(map(len, everything["providers"].values())) == 13
    one = http.get(f"{llm}/api/v1/models", params={"provider": "anthropic"}).json()
    assert set(one["providers"]) == {"anthropic"}
    assert one["total_models"] == 2
    assert sum(model["is_default"] for model in one["providers"]["anthropic"]) == 1
    assert http.get(f"{llm}/api/v1/models", params={"provider": "mock"}).json() == {
        "providers": {},
        "total_models": 0,
    }


# The simulated judge's side channel


def test_a_simulation_is_registered(llm: str, http: httpx.Client) -> None:
    body = {
        "qualities": {"a": 1.0, "b": -1},
        "labels": {"a": "x"},
        "discrimination": 2,
        "position_bias": 0.1,
        "failure_rate": 0.5,
        "latency_ms": 10,
        "seed": 3,
    }
    answer = http.put(f"{llm}/admin/simulations/{uuid4()}", json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert http.put(f"{llm}/admin/simulations/{uuid4()}", json={"qualities": {}}).status_code == 204


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "qualities or text_qualities"),
        ({"text_qualities": {"a": 1.0}}, "/text_qualities/a"),
        ({"qualities": {"a": "high"}}, "/qualities/a"),
        ({"qualities": {}, "failure_rate": 2}, "/failure_rate"),
        ({"qualities": {}, "latency": 2}, "/latency"),
    ],
)
def test_a_simulation_that_makes_no_sense_is_refused(
    body: dict[str, Any], words: str, llm: str, http: httpx.Client
) -> None:
    answer = http.put(f"{llm}/admin/simulations/{uuid4()}", content=json.dumps(body))
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_infinite_qualities_are_refused(llm: str, http: httpx.Client) -> None:
    answer = http.put(f"{llm}/admin/simulations/x", content=b'{"qualities": {"a": Infinity}}')
    assert answer.status_code == 400
