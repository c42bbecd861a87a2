"""The ``eng5`` command: parse, build settings, dispatch. Exit codes: design section 5."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from pytest_eng5 import __version__
from pytest_eng5.errors import Eng5Error

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # its tables cut long names of flags
    pretty_exceptions_show_locals=False,  # they may hold secrets of the environment
    help="Tools around pytest-eng5 scenarios.",
)
kafka = typer.Typer(no_args_is_help=True, help="The embedded Apache Kafka.")
pipeline = typer.Typer(no_args_is_help=True, help="The reference pipeline.")
app.add_typer(kafka, name="kafka")
app.add_typer(pipeline, name="pipeline")

EXECUTE = "Of mode execute:"
KafkaHome = Annotated[
    Path | None,
    typer.Option(envvar="KAFKA_HOME", help="An unpacked Apache Kafka to use instead of fetched jars."),
]
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@kafka.command()
def install(
    kafka_home: KafkaHome = None,
    verify: Annotated[bool, typer.Option(help="Check the SHA-256 of every jar.")] = False,
) -> None:
    """Fetch Kafka, check it, prepare its start-up cache, and say where everything lies."""
    from pytest_eng5.brokers import install as install_kafka

    for line in install_kafka(verify=verify, kafka_home=kafka_home, report=typer.echo).lines():
        typer.echo(line)


@kafka.command()
def run(
    kafka_home: KafkaHome = None,
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1; default is a free one.")] = None,
    topics: Annotated[bool, typer.Option(help="Create the pipeline's topics.")] = True,
    topic_prefix: Annotated[str, typer.Option(help="Prefix of the topics.")] = "",
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic.")] = 3,
    data_dir: Annotated[Path | None, typer.Option(help="Keep the records in this folder.")] = None,
    log: Annotated[Path | None, typer.Option(help="File for Kafka's log.")] = None,
) -> None:
    """Keep a broker up for work by hand until Ctrl-C."""
    from pytest_eng5.brokers import BrokerOptions, serve
    from pytest_eng5.contracts import PIPELINE_EVENTS, topic_names

    wanted = topic_names(PIPELINE_EVENTS, topic_prefix) if topics else []
    options = BrokerOptions(
        kind="embedded", kafka_home=kafka_home, port=port, data_dir=data_dir, log_path=log
    )
    serve(options, topics=wanted, partitions=partitions, report=typer.echo)


@pipeline.command(name="serve", context_settings=_PASS_ON)
def serve_pipeline(context: typer.Context) -> None:
    """Run the reference pipeline until Ctrl-C; ``eng5 pipeline serve --help`` lists its options."""
    from pytest_eng5.pipeline.__main__ import main as pipeline_main

    raise typer.Exit(pipeline_main(["serve", *context.args]))


def _flag(help_: str, *names: str, **more: Any) -> Any:
    """An option of ``eng5 run``."""
    return typer.Option(*names, help=help_, **more)


@app.command(name="run")
def run_mode(
    context: typer.Context,
    mode: Annotated[str | None, _flag("plan, dry-run, execute, anchor-align-test.")] = None,
    scenario: Annotated[Path | None, _flag("A scenario file, instead of flags alone.")] = None,
    variant: Annotated[str | None, _flag("One variant of it; default all.")] = None,
    inputs: Annotated[Path | None, _flag("Folder with anchors/ and students/.")] = None,
    batch_id: Annotated[str | None, _flag("Label for humans; default scenario.variant.repeat.")] = None,
    user_id: Annotated[str, _flag("Of the request.")] = "eng5_np_research_runner",
    org_id: Annotated[str | None, _flag("Of the request.")] = None,
    course_code: Annotated[str | None, _flag("Such as ENG5, the default.")] = None,
    language: Annotated[str | None, _flag("en (default) or sv.")] = None,
    output_dir: Annotated[Path, _flag("Folder for evidence and reports.")] = Path(".eng5"),
    system_prompt: Annotated[Path | None, _flag("System prompt of the judge.")] = None,
    rubric: Annotated[Path | None, _flag("Rubric of the judge.")] = None,
    max_comparisons: Annotated[int | None, _flag("Default: every pair once.", min=2)] = None,
    await_completion: Annotated[
        bool, _flag("In mode execute; others always do.", "--await-completion")
    ] = False,
    completion_timeout: Annotated[float | None, _flag("Seconds for a whole run.", min=1)] = None,
    llm_provider: Annotated[
        str | None, _flag("mock (default), anthropic, openai, google, openrouter.")
    ] = None,
    llm_model: Annotated[str | None, _flag("Model of the judge.")] = None,
    llm_temperature: Annotated[float | None, _flag("Of the judge.", min=0, max=2)] = None,
    llm_max_tokens: Annotated[int | None, _flag("Output tokens of the judge.", min=1)] = None,
    anchor_align_provider: Annotated[str | None, _flag("Like --llm-provider; goes before it.")] = None,
    anchor_align_model: Annotated[str | None, _flag("Like --llm-model; goes before it.")] = None,
    anchor_align_reasoning_effort: Annotated[str | None, _flag("none, low, medium or high.")] = None,
    anchor_align_output_verbosity: Annotated[str | None, _flag("low, medium or high.")] = None,
    no_kafka: Annotated[bool, _flag("Publish nothing, as plan and dry-run do.", "--no-kafka")] = False,
    kafka_bootstrap: Annotated[
        str | None, _flag("host:port list; default an embedded broker.", envvar="KAFKA_BOOTSTRAP_SERVERS")
    ] = None,
    kafka_config: Annotated[Path | None, _flag("TLS and SASL settings of that broker.")] = None,
    kafka_client_id: Annotated[str, _flag("Of every Kafka client.")] = "eng5-np-runner",
    kafka_home: KafkaHome = None,
    topic_prefix: Annotated[
        str, _flag("Of all topics; keeps the reference pipeline off the real ones.")
    ] = "",
    create_topics: Annotated[bool, _flag("On a broker that is not ours.", "--create-topics")] = False,
    content_service_url: Annotated[
        str | None, _flag("Of a pipeline that is not ours.", envvar="CONTENT_SERVICE_URL")
    ] = None,
    cj_service_url: Annotated[str | None, _flag("Likewise.", envvar="CJ_SERVICE_URL")] = None,
    llm_provider_service_url: Annotated[
        str | None, _flag("Likewise; asked whether it runs a mock.", envvar="LLM_PROVIDER_SERVICE_URL")
    ] = None,
    live: Annotated[bool, _flag("Allow what can cost money.", "--live", envvar="ENG5_LIVE")] = False,
    budget_usd: Annotated[float | None, _flag("Ceiling for all runs.", min=0)] = None,
    verbose: Annotated[bool, _flag("Tell what passed, too.", "--verbose")] = False,
    assignment_id: Annotated[UUID | None, _flag(f"{EXECUTE} without it nobody is graded.")] = None,
    course_id: Annotated[UUID | None, _flag(f"{EXECUTE} goes with an assignment.")] = None,
    expected_grade_scale: Annotated[str | None, _flag(f"{EXECUTE} what the assignment must have.")] = None,
    force_reupload: Annotated[
        bool, _flag(f"{EXECUTE} upload even what is remembered.", "--force-reupload")
    ] = False,
    cj_system_prompt: Annotated[bool | None, _flag(f"{EXECUTE} send the scenario's (default).")] = None,
    llm_batching_mode: Annotated[str | None, _flag(f"{EXECUTE} hint for the CJ service.")] = None,
    auto_extract_eng5_db: Annotated[
        bool, _flag(f"{EXECUTE} refused, there is no database.", "--auto-extract-eng5-db")
    ] = False,
) -> None:
    """Perform the runs of a scenario, or of a folder of essays, in one mode.

    Exit status: 0 pass, 1 a check or gate failed, 2 wrong usage, 3 undecided, 4 no verdict for want of
    broker, pipeline, time or money.
    """
    from pytest_eng5 import reports
    from pytest_eng5.runner.command import prepare
    from pytest_eng5.runner.flags import RunFlags
    from pytest_eng5.runner.performing import perform

    prepared = prepare(RunFlags(**context.params))
    for notice in prepared.notices:
        typer.echo(f"notice: {notice}", err=True)
    session = perform(prepared, reports.finalise_run, lambda line: typer.echo(line, err=True))
    outcomes = [
        reports.evaluate_variant(
            session / variant.scenario / variant.id,
            variant.thresholds,
            repeats=variant.repeats,
            expected_codes=variant.expected_codes,
        )
        for variant in prepared.variants
    ]
    reports.write_session(session, outcomes)
    for line in reports.session_text(session, outcomes, verbose=verbose):
        typer.echo(_in_flags(line))
    raise typer.Exit(reports.exit_status(outcomes))


@app.command()
def verify(
    run_dir: Annotated[Path, typer.Argument(help="A run folder, such as .../baseline/run-1.")],
) -> None:
    """Compare a recorded run with its manifest; names every file that was changed, removed or added."""
    from pytest_eng5.evidence import RunFolder, read_manifest
    from pytest_eng5.evidence import verify as verify_manifest

    folder = RunFolder(run_dir)
    problems = verify_manifest(folder.root, folder.manifest)
    for problem in problems:
        typer.echo(f"{problem.kind:9} {problem.path}: {problem.detail}")
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{len(read_manifest(folder.manifest).files)} files are as they were written")


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


def _in_flags(text: str) -> str:
    """A message of the harness in the flags of ``eng5 run`` instead of pytest's."""
    for option, flag in _FLAGS.items():
        text = text.replace(option, flag)
    return text


def main() -> None:
    """Entry point; errors that a user can mend are shown without a traceback."""
    try:
        app(prog_name="eng5")
    except Eng5Error as error:
        text = _in_flags(str(error)) if sys.argv[1:2] == ["run"] else str(error)
        typer.echo(f"eng5: {text}", err=True)
        sys.exit(error.exit_code)
