"""--eng5-partitions, eng5_partitions: partitions of a topic that is created."""

from __future__ import annotations

from typing import Any

import pytest


def test_three_by_default(project: Any) -> None:
    assert project.options().partitions == 3


def test_the_default_is_the_same_wherever_topics_are_created() -> None:
    """The number stands in several places, since options must not import brokers, nor the pipeline either."""
    import inspect

    from pytest_eng5 import cli
    from pytest_eng5.brokers import DEFAULT_PARTITIONS
    from pytest_eng5.collection import options
    from pytest_eng5.pipeline.kafka import TopicSpec
    from pytest_eng5.pipeline.options import parse
    from pytest_eng5.pipeline.serve import ServeOptions
    from pytest_eng5.runner.flags import RunFlags

    said = inspect.signature(cli.run).parameters["partitions"].default
    pipeline = parse(["serve", "--bootstrap-servers", "127.0.0.1:9"]).partitions
    fields = [made.partitions for made in (TopicSpec("topic"), ServeOptions(None), RunFlags())]
    assert {options.DEFAULT_PARTITIONS, DEFAULT_PARTITIONS, said, pipeline, *fields} == {3}


def test_option_before_ini(project: Any) -> None:
    project.ini("eng5_partitions = 6")
    assert project.options().partitions == 6
    assert project.options("--eng5-partitions", "1").partitions == 1


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "inf"])
def test_what_is_no_number_of_partitions_is_a_usage_error(project: Any, value: str) -> None:
    assert f"--eng5-partitions {value}: expected a number of at least 1" in project.refusal(
        "--eng5-partitions", value
    )


PARTITIONS = """
    import json
    from confluent_kafka.admin import AdminClient

    def test_partitions(eng5_broker, eng5_pipeline):
        admin = AdminClient({"bootstrap.servers": eng5_broker.connection.bootstrap_servers})
        topics = admin.list_topics(timeout=60).topics
        found = {len(each.partitions) for name, each in topics.items() if name.startswith("huleedu.")}
        assert found == {%d}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("--eng5-partitions", "5"), 5), pytest.param((), 3, marks=pytest.mark.thorough)],
)
def test_the_topics_of_the_embedded_broker_have_as_many(
    project: Any, arguments: tuple[str, ...], expected: int
) -> None:
    project.write("test_partitions.py", PARTITIONS % expected)
    project.subprocess(*arguments).assert_outcomes(passed=1)
