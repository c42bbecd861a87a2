"""The ``eng5`` command: parse, build settings, dispatch. Exit codes: design section 5."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pytest_eng5 import __version__
from pytest_eng5.errors import Eng5Error

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they may hold secrets of the environment
    help="Tools around pytest-eng5 scenarios.",
)
kafka = typer.Typer(no_args_is_help=True, help="The embedded Apache Kafka.")
pipeline = typer.Typer(no_args_is_help=True, help="The reference pipeline.")
app.add_typer(kafka, name="kafka")
app.add_typer(pipeline, name="pipeline")

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


def main() -> None:
    """Entry point; errors that a user can mend are shown without a traceback."""
    try:
        app(prog_name="eng5")
    except Eng5Error as error:
        typer.echo(f"eng5: {error}", err=True)
        sys.exit(error.exit_code)
