"""``--help``, ``--fixtures`` and the header."""

from __future__ import annotations

import re
from typing import Any

OPTIONS = [
    "broker",
    "kafka-home",
    "kafka-log",
    "kafka-image",
    "kafka-reuse",
    "create-topics",
    "partitions",
    "bootstrap-servers",
    "kafka-config",
    "topic-prefix",
    "pipeline",
    "content-url",
    "cj-url",
    "llm-url",
    "judge",
    "live",
    "budget-usd",
    "output",
    "concurrency",
    "set",
    "rejudge",
]
INI = [
    "eng5_broker",
    "eng5_kafka_home",
    "eng5_kafka_log",
    "eng5_kafka_image",
    "eng5_partitions",
    "eng5_kafka_config",
    "eng5_topic_prefix",
    "eng5_pipeline",
    "eng5_judge",
    "eng5_budget_usd",
    "eng5_output",
    "eng5_concurrency",
    "eng5_files",
]


def test_help_has_a_text_for_every_option(project: Any) -> None:
    text = project.inprocess("--help").stdout.str()
    group = text[text.index("pytest-eng5:") :]
    for name in OPTIONS:
        assert re.search(rf"^  --eng5-{name}\b(=\S+)?\s+\w+", group, re.MULTILINE), name
    assert set(re.findall(r"^  --eng5-([\w-]+)", text, re.MULTILINE)) == set(OPTIONS)


def test_help_has_a_text_for_every_ini_key(project: Any) -> None:
    text = project.inprocess("--help").stdout.str()
    for name in INI:
        assert re.search(rf"^  {name} \(\w+\):?\s+\w+", text, re.MULTILINE), name
    assert set(re.findall(r"^  (eng5_\w+) ", text, re.MULTILINE)) == set(INI)


def test_help_names_the_environment_variables(project: Any) -> None:
    text = project.inprocess("--help").stdout.str()
    shown = set(re.findall(r"[A-Z][A-Z0-9]+_[A-Z0-9_]+", text))
    assert shown >= {"ENG5_BROKER", "ENG5_PIPELINE", "ENG5_LIVE", "KAFKA_HOME", "KAFKA_BOOTSTRAP_SERVERS"}
    assert shown >= {"CONTENT_SERVICE_URL", "CJ_SERVICE_URL", "LLM_PROVIDER_SERVICE_URL"}


def test_fixtures_are_listed_with_a_text(project: Any) -> None:
    text = project.inprocess("--fixtures").stdout.str()
    for name in ("eng5_broker", "eng5_pipeline", "eng5_campaign", "eng5_run"):
        assert re.search(rf"^{name} \[session scope\] -- .*fixtures\.py:\d+\n    \w.*", text, re.MULTILINE), (
            name
        )


def test_the_header_names_broker_pipeline_judge_budget_and_folder(project: Any) -> None:
    expected = "eng5: broker embedded, pipeline embedded, judge scenario, budget none, output .eng5"
    assert project.header() == expected


def test_quiet_runs_have_no_header(project: Any) -> None:
    project.scenario()
    result = project.inprocess("--collect-only", "-q")
    assert not any(line.startswith("eng5: ") for line in result.outlines)
