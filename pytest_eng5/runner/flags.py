"""The flags of ``eng5 run``, and which broker and pipeline they mean."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from uuid import UUID

__all__ = ["RunFlags", "flag", "in_flags"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """The flags of ``eng5 run`` under their own names; ``None`` is a flag that was not given.

    As `BackendOptions` it also says which broker and pipeline are meant.
    """

    mode: str | None = None
    scenario: Path | None = None
    variant: str | None = None
    inputs: Path | None = None
    assignment_id: UUID | None = None
    course_id: UUID | None = None
    expected_grade_scale: str | None = None
    batch_id: str | None = None
    user_id: str = "eng5_np_research_runner"
    org_id: str | None = None
    course_code: str | None = None
    language: str | None = None
    no_kafka: bool = False
    output_dir: Path = Path(".eng5")
    kafka_bootstrap: str | None = None
    kafka_client_id: str = "eng5-np-runner"
    cj_service_url: str | None = None
    content_service_url: str | None = None
    llm_provider_service_url: str | None = None
    force_reupload: bool = False
    llm_provider: str | None = None
    llm_model: str | None = None
    llm_temperature: float | None = None
    llm_max_tokens: int | None = None
    cj_system_prompt: bool | None = None
    max_comparisons: int | None = None
    await_completion: bool = False
    auto_extract_eng5_db: bool = False
    completion_timeout: float | None = None
    llm_batching_mode: str | None = None
    anchor_align_provider: str | None = None
    anchor_align_model: str | None = None
    anchor_align_reasoning_effort: str | None = None
    anchor_align_output_verbosity: str | None = None
    system_prompt: Path | None = None
    rubric: Path | None = None
    verbose: bool = False
    live: bool = False
    budget_usd: float | None = None
    kafka_config: Path | None = None
    kafka_home: Path | None = None
    topic_prefix: str = ""
    kafka_log: Path | None = None
    kafka_image: str | None = None
    kafka_reuse: bool = False
    create_topics: bool = False
    partitions: int = 3

    @property
    def bootstrap_servers(self) -> str | None:
        """``host:port`` list of an external broker."""
        return self.kafka_bootstrap

    @property
    def broker_kind(self) -> str:
        """``external`` if there is an address of a broker, else ``embedded``."""
        return "external" if self.kafka_bootstrap or self.kafka_config else "embedded"

    @property
    def pipeline(self) -> str:
        """The same as `pipeline_kind`: it follows from the addresses."""
        return self.pipeline_kind

    @property
    def pipeline_kind(self) -> str:
        """``external`` if the broker is, unless topics of our own are named and no service is."""
        own = self.topic_prefix and self.content_service_url is None
        return "external" if self.broker_kind == "external" and not own else "embedded"

    @property
    def content_url(self) -> str | None:
        """Content service of an external pipeline."""
        return self.content_service_url

    @property
    def cj_url(self) -> str | None:
        """CJ service of an external pipeline."""
        return self.cj_service_url

    @property
    def llm_url(self) -> str | None:
        """LLM provider service of an external pipeline."""
        return self.llm_provider_service_url

    def given(self, names: tuple[str, ...]) -> list[str]:
        """Those of the named flags that were given, as they are written."""
        defaults = {item.name: item.default for item in fields(self)}
        return [flag(name) for name in names if getattr(self, name) != defaults[name]]


def flag(name: str) -> str:
    """A flag as it is written on the command line."""
    return f"--{name.replace('_', '-')}"


_FLAGS = {
    "--eng5-bootstrap-servers": "--kafka-bootstrap",
    "--eng5-content-url": "--content-service-url",
    "--eng5-cj-url": "--cj-service-url",
    "--eng5-llm-url": "--llm-provider-service-url",
    "--eng5-output": "--output-dir",
    "--eng5-broker external ": "",
    "--eng5-pipeline external": "--kafka-bootstrap and --content-service-url",
    "--eng5-pipeline embedded": "none of --kafka-bootstrap and --content-service-url",
    "--eng5-": "--",
}


def in_flags(text: str) -> str:
    """A message of the harness in the flags of ``eng5 run`` instead of pytest's."""
    for option, flag in _FLAGS.items():
        text = text.replace(option, flag)
    return text
