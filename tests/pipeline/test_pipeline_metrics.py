"""The metrics of the three services, read back by prometheus_client's parser and counted independently."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pytest_eng5.contracts import LLMComparisonRequest, ProcessingEvent
from pytest_eng5.pipeline.provider.callbacks import QueuedComparison, success
from pytest_eng5.pipeline.provider.judge import Judgement
from pytest_eng5.pipeline.provider.metrics import ProviderMetrics

COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED

# Contract sections 12.1 and 12.2, as far as the reference pipeline has them: name, kind and labels.
CJ = {
    "cj_assessment_http_requests": ("counter", {"method", "endpoint", "status_code"}),
    "cj_assessment_http_request_duration_seconds": ("histogram", {"method", "endpoint"}),
    "cj_callbacks_processed": ("counter", {"status"}),
    "cj_comparisons": ("counter", {"status"}),
    "cj_failed_comparisons": ("counter", {"failure_reason"}),
    "cj_llm_requests": ("counter", {"batching_mode"}),
    "cj_llm_batches_started": ("counter", {"batching_mode"}),
    "cj_workflow_decisions": ("counter", {"decision"}),
    "cj_callback_latency_seconds": ("histogram", set()),
    "cj_callback_processing_duration_seconds": ("histogram", set()),
    "kafka_message_queue_latency_seconds": ("histogram", set()),
    "cj_score_stability_changes": ("histogram", set()),
    "huleedu_cj_comparisons_made": ("histogram", set()),
    "huleedu_cj_assessment_duration_seconds": ("histogram", set()),
}
JUDGE = {"provider", "model"}
LLM = {
    "llm_provider_http_requests": ("counter", {"method", "endpoint", "status_code"}),
    "llm_provider_http_request_duration_seconds": ("histogram", {"method", "endpoint"}),
    "llm_provider_requests": ("counter", {*JUDGE, "request_type", "status"}),
    "llm_provider_errors": ("counter", {*JUDGE, "error_type"}),
    "llm_provider_tokens_used": ("counter", {*JUDGE, "token_type"}),
    "llm_provider_cost_dollars": ("counter", JUDGE),
    "llm_provider_comparison_callbacks": ("counter", {"queue_processing_mode", "result"}),
    "llm_provider_queue_overflow": ("counter", {"queue_type"}),
    "llm_provider_response_duration_seconds": ("histogram", JUDGE),
    "llm_provider_queue_processing_time_seconds": ("histogram", {"provider", "status"}),
    "llm_provider_queue_wait_time_seconds": ("histogram", {"queue_processing_mode", "result"}),
    "llm_provider_concurrent_requests": ("gauge", {"provider"}),
    "llm_provider_queue_depth": ("gauge", {"queue_type"}),
    "pytest_eng5_llm_provider_comparisons": ("counter", {"worker"}),
}
CONTENT = {
    "content_service_http_requests": ("counter", {"method", "endpoint", "status_code"}),
    "content_service_http_request_duration_seconds": ("histogram", {"method", "endpoint"}),
    "content_service_documents": ("gauge", set()),
}


def scrape(url: str) -> dict[str, Any]:
    """Metric families of a service by name, without those that say when a counter was made."""
    with httpx.Client(trust_env=False) as http:
        answer = http.get(f"{url}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    return {name: family for name, family in families.items() if not name.endswith("_created")}


def values(families: dict[str, Any], name: str, suffix: str = "") -> Counter[tuple[str, ...]]:
    """Sample values of a family by their label values, in the order of the label names."""
    found: Counter[tuple[str, ...]] = Counter()
    for sample in families[name].samples:
        if sample.name == name + suffix:
            found[tuple(value for _, value in sorted(sample.labels.items()))] += sample.value
    return found


@pytest.fixture(scope="module")
def measured(broker: Any, lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A pipeline of its own."""
    starter = lab.Starter(tmp_path_factory.mktemp("metrics"))
    running = starter(broker.connection.bootstrap_servers, "--pair-seed", "5", "--worker-id", "counted")
    yield running
    starter.end()


@pytest.fixture(scope="module")
def runs(measured: Any, lab: Any) -> list[Any]:
    """Two batches on it, one of them with failures."""

    async def work() -> list[Any]:
        async with lab.client_of(measured) as client:
            plans = [
                lab.round_robin(6),
                lab.round_robin(6, simulation={"failure_rate": 0.2, "seed": 2, "latency_ms": 20}),
            ]
            outcomes = [await client.prepare(plan) for plan in plans]
            for outcome in outcomes:
                await client.request(outcome)
            await client.collect(lambda: lab.ended(*outcomes))
            await client.drain()
            return outcomes

    return asyncio.run(work())


def url_of(measured: Any, name: str) -> str:
    return str(measured.ready[f"{name}_url"]).removesuffix("/v1/content")


@pytest.mark.parametrize(("name", "expected"), [("content", CONTENT), ("cj", CJ), ("llm", LLM)])
def test_names_kinds_and_labels_are_the_contracts(
    name: str, expected: dict[str, tuple[str, set[str]]], measured: Any, runs: Any
) -> None:
    scrape(url_of(measured, name))  # so that this very route has been counted
    families = scrape(url_of(measured, name))
    assert set(families) == set(expected)
    for family in families.values():
        kind, labels = expected[family.name]
        assert family.type == kind
        assert family.documentation
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels


def test_the_numbers_of_the_provider_are_those_of_its_callbacks(measured: Any, runs: Any) -> None:
    families = scrape(url_of(measured, "llm"))
    callbacks = [result for run in runs for result in run.callbacks]
    good = [result for result in callbacks if result.is_success]
    bad = [result for result in callbacks if not result.is_success]
    assert good
    assert bad
    judge = ("simulated-judge", "mock")
    counted = values(families, "llm_provider_requests", "_total")
    assert counted == {
        (*judge, "comparison", "success"): len(good),
        (*judge, "comparison", "failure"): len(bad),
    }
    assert values(families, "pytest_eng5_llm_provider_comparisons", "_total") == {
        ("counted",): len(callbacks)
    }
    errors = values(families, "llm_provider_errors", "_total")
    assert errors == {("EXTERNAL_SERVICE_ERROR", *judge): len(bad)}
    tokens = values(families, "llm_provider_tokens_used", "_total")
    for kind in ("prompt", "completion", "total"):
        expected = sum(getattr(result.token_usage, f"{kind}_tokens") for result in good)
        assert tokens[(*judge, kind)] == expected
    assert values(families, "llm_provider_queue_depth") == {("queued",): 0, ("total",): 0}
    assert values(families, "llm_provider_concurrent_requests") == {("mock",): 0}
    waited = values(families, "llm_provider_queue_wait_time_seconds", "_count")
    assert sum(waited.values()) == len(callbacks)
    slow = sum(1 for result in runs[1].callbacks)
    spent = values(families, "llm_provider_queue_processing_time_seconds", "_sum")
    assert sum(spent.values()) >= slow * 0.02


def test_the_numbers_of_the_cj_service_are_those_of_its_batches(measured: Any, runs: Any) -> None:
    families = scrape(url_of(measured, "cj"))
    callbacks = [result for run in runs for result in run.callbacks]
    good = sum(1 for result in callbacks if result.is_success)
    assert values(families, "cj_comparisons", "_total") == {
        ("completed",): good,
        ("failed",): len(callbacks) - good,
    }
    processed = values(families, "cj_callbacks_processed", "_total")
    assert processed == {("success",): good, ("failure",): len(callbacks) - good}
    assert sum(values(families, "cj_llm_requests", "_total").values()) == len(callbacks)
    assert sum(values(families, "cj_llm_batches_started", "_total").values()) == 2
    assert values(families, "kafka_message_queue_latency_seconds", "_count") == {(): len(callbacks) + 2}
    finished = [run for run in runs if run.of(COMPLETED)]
    assert values(families, "huleedu_cj_comparisons_made", "_count") == {(): len(finished)}
    made = sum(len(run.callbacks) for run in finished)
    assert values(families, "huleedu_cj_comparisons_made", "_sum") == {(): made}
    decisions = [line["decision"] for line in measured.logs() if line["event"] == "wave complete"]
    counted = values(families, "cj_workflow_decisions", "_total")
    assert sum(counted.values()) >= len(decisions)
    assert set(decisions) <= {decision for (decision,) in counted}


def test_requests_are_counted_by_route_and_not_by_path(measured: Any, runs: Any) -> None:
    content = measured.ready["content_url"]
    before = values(scrape(url_of(measured, "content")), "content_service_http_requests", "_total")
    with httpx.Client(trust_env=False) as http:
        storage_id = http.post(content, content=b"x").json()["storage_id"]
        for path, status in ((storage_id, 200), ("0" * 32, 404), ("x", 400), ("x/y/z", 404)):
            assert http.get(f"{content}/{path}").status_code == status
        assert http.delete(f"{content}/{storage_id}").status_code == 405
    after = values(scrape(url_of(measured, "content")), "content_service_http_requests", "_total")
    grown = after - before
    grown.pop(("/metrics", "GET", "200"))
    assert grown == {
        ("/v1/content", "POST", "201"): 1,
        ("/v1/content/{storage_id}", "GET", "200"): 1,
        ("/v1/content/{storage_id}", "GET", "404"): 1,
        ("/v1/content/{storage_id}", "GET", "400"): 1,
        ("unmatched", "GET", "404"): 1,
        ("unmatched", "DELETE", "405"): 1,
    }


def test_a_full_queue_is_counted(start_pipeline: Any, lab: Any) -> None:
    tight = {"LLM_PROVIDER_SERVICE_QUEUE_MAX_SIZE": "1", "LLM_PROVIDER_SERVICE_QUEUE_WORKERS": "1"}
    running = start_pipeline(env={**tight, "LLM_PROVIDER_SERVICE_MOCK_LATENCY_MS": "60000"})
    body = {
        "user_prompt": "alpha",
        "callback_topic": f"{running.prefix}huleedu.llm_provider.comparison_result.v1",
        "llm_config_overrides": {"provider_override": "mock"},
    }
    with running.http() as http:
        url = f"{running.ready['llm_url']}/api/v1/comparison"
        answers = Counter(http.post(url, json=body).status_code for _ in range(8))
    families = scrape(running.ready["llm_url"])
    assert set(answers) == {202, 503}
    assert values(families, "llm_provider_queue_overflow", "_total") == {("total",): answers[503]}
    depth = values(families, "llm_provider_queue_depth")
    assert depth[("total",)] == depth[("queued",)] + 1 == answers[202]


def test_no_text_of_an_essay_and_no_id_is_in_the_metrics(measured: Any, runs: Any) -> None:
    with httpx.Client(trust_env=False) as http:
        text = "".join(
            http.get(f"{url_of(measured, name)}/metrics").text for name in ("content", "cj", "llm")
        )
    assert "essay number" not in text
    assert not re.search(r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-", text)


def test_counting_costs_next_to_nothing() -> None:
    """What one comparison adds to the counters, against the milliseconds that it takes."""
    request = LLMComparisonRequest(
        user_prompt="x", callback_topic="t", llm_config_overrides={"provider_override": "mock"}
    )
    item = QueuedComparison(request)
    result = success(item, Judgement("Essay A", 3.0, "because"), 0.75, None)
    metrics = ProviderMetrics("w")
    began = time.perf_counter()
    for _ in range(1000):
        with metrics.processing(item) as answered:
            answered(result)
    assert (time.perf_counter() - began) / 1000 < 0.001
