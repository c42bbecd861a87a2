"""--eng5-topic-prefix, eng5_topic_prefix."""

from __future__ import annotations

from typing import Any


def test_no_prefix_by_default(project: Any) -> None:
    assert project.options().topic_prefix == ""


def test_option_before_ini(project: Any) -> None:
    project.ini("eng5_topic_prefix = from_ini.")
    assert project.options().topic_prefix == "from_ini."
    assert project.options("--eng5-topic-prefix", "mine.").topic_prefix == "mine."


def test_the_embedded_pipeline_refuses_the_real_topics_of_an_external_broker(project: Any) -> None:
    project.scenario()
    external = ("--eng5-bootstrap-servers", "127.0.0.1:9", "--eng5-pipeline", "embedded")
    result = project.subprocess(*external)
    result.assert_outcomes(errors=1, skipped=9)
    result.stdout.fnmatch_lines(
        ["*--eng5-pipeline embedded: *does not go on the real topics*", "*fix:*--eng5-topic-prefix*"]
    )
