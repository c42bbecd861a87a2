"""The ``eng5`` command: parse, build settings, dispatch. Exit codes: design section 5."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from pytest_eng5 import __version__
from pytest_eng5.errors import Eng5Error, InfrastructureError, UsageError

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


def _flag(help_: str, *names: str, **more: Any) -> Any:
    """An option."""
    return typer.Option(*names, help=help_, **more)


KafkaHome = Annotated[
    Path | None, _flag("An unpacked Apache Kafka to use instead of fetched jars.", envvar="KAFKA_HOME")
]
Bootstrap = Annotated[
    str | None, _flag("host:port list; default an embedded broker.", envvar="KAFKA_BOOTSTRAP_SERVERS")
]
KafkaConfigFile = Annotated[Path | None, _flag("TLS and SASL settings of that broker.")]
TopicPrefix = Annotated[str, _flag("Of all topics; keeps the reference pipeline off the real ones.")]
CreateTopics = Annotated[bool, _flag("On a broker that is not ours.", "--create-topics")]
ContentUrl = Annotated[str | None, _flag("Of a pipeline that is not ours.", envvar="CONTENT_SERVICE_URL")]
CjUrl = Annotated[str | None, _flag("Of the CJ service.", envvar="CJ_SERVICE_URL")]
LlmUrl = Annotated[str | None, _flag("Asked whether it runs a mock.", envvar="LLM_PROVIDER_SERVICE_URL")]
OutputDir = Annotated[Path, _flag("Folder for evidence and reports.")]
Live = Annotated[bool, _flag("Allow what can cost money.", "--live", envvar="ENG5_LIVE")]
Budget = Annotated[float | None, _flag("Ceiling for all runs.", min=0)]
_INTERRUPTED = 130  # what Typer makes of Ctrl-C
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
    output_dir: OutputDir = Path(".eng5"),
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
    kafka_bootstrap: Bootstrap = None,
    kafka_config: KafkaConfigFile = None,
    kafka_client_id: Annotated[str, _flag("Of every Kafka client.")] = "eng5-np-runner",
    kafka_home: KafkaHome = None,
    topic_prefix: TopicPrefix = "",
    create_topics: CreateTopics = False,
    content_service_url: ContentUrl = None,
    cj_service_url: CjUrl = None,
    llm_provider_service_url: LlmUrl = None,
    live: Live = False,
    budget_usd: Budget = None,
    verbose: Annotated[bool, _flag("Tell what passed and every event, too.", "--verbose")] = False,
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
    from pytest_eng5.reports import comparison_session as comparing
    from pytest_eng5.reports.variant_junit import write_junit
    from pytest_eng5.runner.command import prepare
    from pytest_eng5.runner.flags import RunFlags, in_flags
    from pytest_eng5.runner.performing import perform

    prepared = prepare(RunFlags(**context.params))
    for notice in prepared.notices:
        typer.echo(f"notice: {notice}", err=True)
    session = perform(prepared, reports.finalise_run, lambda line: typer.echo(in_flags(line), err=True))
    outcomes = [
        reports.evaluate_variant(
            session / variant.scenario / variant.id,
            variant.thresholds,
            repeats=variant.repeats,
            expected_codes=variant.expected_codes,
        )
        for variant in prepared.variants
    ]
    asked = prepared.compare if prepared.compared else None
    compared = comparing.compare_of(asked, outcomes)
    reports.write_session(session, outcomes, [compared] if compared else [])
    write_junit(session, prepared.variants, outcomes, Path.cwd())
    comparing.write_comparison(session, compared, asked, Path.cwd())
    *told, where = reports.session_text(session, outcomes, verbose=verbose)
    for line in (*told, *comparing.comparison_lines(compared), where):
        typer.echo(in_flags(line))
    raise typer.Exit(comparing.exit_status_of(reports.exit_status(outcomes), compared))


@app.command()
def verify(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN_DIR", help="A run, such as .../baseline/run-1, or a whole session.")
    ],
) -> None:
    """Tell whether recorded runs are still as written.

    Names every file that was changed, removed or added, by manifest, checksum and schema. Exit status: 0 all
    as written, 1 not, 2 no run there.
    """
    from pytest_eng5.reports.verification import verify_recorded

    found = verify_recorded(folder)
    for run in found:
        typer.echo("\n".join([f"{run.root}:", *(f"  {line}" for line in run.lines())]))
    raise typer.Exit(any(run.problems for run in found))


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A session, a variant or one run of it.")],
    scenario: Annotated[Path | None, _flag("Judge by this file as it is now, not as recorded.")] = None,
    overrides: Annotated[list[str], _flag("KEY=VALUE on top of it; repeatable.", "--set")] = [],  # noqa: B006
) -> None:
    """Repeat checks and gates over recorded runs with the code of today; needs no broker and no network.

    Nothing recorded is changed. Exit status as of ``run``.
    """
    from pytest_eng5 import reports
    from pytest_eng5.reports import comparison_session as comparing
    from pytest_eng5.scenario import load_scenario

    if overrides and scenario is None:
        raise UsageError("nothing to override", where="--set", fix="name the file with --scenario")
    loaded = None if scenario is None else load_scenario(scenario, overrides)
    variants = loaded.variants if loaded else ()
    chosen = {v.id: reports.Criteria(v.thresholds, v.expected_codes) for v in variants}
    outcomes = reports.evaluate_folder(folder, chosen)
    compared = comparing.compare_of(loaded.compare if loaded else None, outcomes)
    typer.echo("\n".join([*reports.check_text(outcomes), *comparing.comparison_lines(compared)]))
    raise typer.Exit(comparing.exit_status_of(reports.exit_status(outcomes), compared))


@app.command()
def compare(
    baseline: Annotated[Path, typer.Argument(metavar="RUN", help="A run, a variant or a whole session.")],
    candidate: Annotated[Path, typer.Argument(metavar="RUN", help="What is compared with it.")],
    metric: Annotated[
        str | None, _flag("kendall_tau (default), direct_inversions or agreement: what has to improve.")
    ] = None,
    min_improvement: Annotated[float | None, _flag("Least improvement; below 0: most loss.")] = None,
    confidence: Annotated[float, _flag("Of the intervals.")] = 0.95,
    as_json: Annotated[bool, _flag("Print JSON.", "--json")] = False,
) -> None:
    """Compare recorded runs and tell what changed.

    On the anchor pairs that both judged. Repeats of a variant are pooled; of two sessions each variant is
    compared with its namesake. Needs no network and changes nothing.
    Exit status: 0 unless an improvement is asked for, then 1 if there is none and 3 undecided; 2 wrong usage.
    """
    from pytest_eng5.reports.comparison_recorded import Asked, compare_recorded

    asked = Asked.checked(metric, min_improvement, confidence)
    found = compare_recorded(baseline, candidate, asked)
    typer.echo(found.json() if as_json else found.text())
    found.require_figures()
    raise typer.Exit(found.exit_code)


@app.command()
def power(
    context: typer.Context,
    run: Annotated[Path | None, _flag("Plan for the judge of this recorded run or variant.", "--run")] = None,
    scenario: Annotated[Path | None, _flag("Take anchors and simulated judge from this file.")] = None,
    variant: Annotated[str | None, _flag("One variant of it.")] = None,
    anchors: Annotated[int | None, _flag("Stated: their number; default 12, grades spread evenly.")] = None,
    grades: Annotated[str | None, _flag("Stated: their grades, such as A,A,B,C+,D-,F+.")] = None,
    discrimination: Annotated[
        float | None, _flag("Stated: logits per grade step; default 2.", min=0, max=20)
    ] = None,
    noise: Annotated[
        float | None,
        _flag("Stated: SD of the judge's own opinion, in grade steps; default 1.", min=0, max=20),
    ] = None,
    position_bias: Annotated[float | None, _flag("Stated: logits for essay A.", min=-10, max=10)] = None,
    tau: Annotated[
        float | None, _flag("Stated: mean tau-b of a run; moves the judge.", min=-1, max=1)
    ] = None,
    per_run: Annotated[int | None, _flag("Comparisons of one run; default one round-robin.", min=2)] = None,
    cost_per_comparison: Annotated[
        float | None, _flag("USD; default that of the recorded run.", min=1e-9)
    ] = None,
    difference: Annotated[float | None, _flag("In tau between two variants; how many show it?")] = None,
    width: Annotated[float | None, _flag("Of the interval of tau; how many make it so?")] = None,
    gate: Annotated[list[str], _flag("'kendall_tau>=0.9': how many decide it? Repeatable.")] = [],  # noqa: B006
    comparisons: Annotated[int | None, _flag("What do so many show?", min=1)] = None,
    budget_usd: Annotated[float | None, _flag("What does so much money show?", min=0)] = None,
    power: Annotated[float, _flag("Probability of finding what there is.")] = 0.8,
    confidence: Annotated[float, _flag("Of intervals and tests.")] = 0.95,
    limit: Annotated[int, _flag("Most comparisons of a variant to consider.", min=10, max=100_000)] = 5000,
    runs: Annotated[int, _flag("Simulated runs per step and search.", min=20, max=100_000)] = 200,
    seed: Annotated[int, _flag("Of the simulation.", min=0)] = 0,
    json_: Annotated[bool, _flag("Print the answer as JSON.", "--json")] = False,
) -> None:
    """Tell how many comparisons are needed, or what a number of them can show.

    By simulation of a recorded judge or of stated assumptions; needs no broker and no network. Exit status: 0
    answered, also with "no number is enough"; 2 wrong usage.
    """
    from pytest_eng5.reports.power_command import PowerFlags, plan_power
    from pytest_eng5.runner.assumed import assumed_of

    assumed = None if scenario is None else assumed_of(scenario, variant)
    plan_power(PowerFlags(**context.params), assumed, typer.echo)


@app.command()
def register_anchors(
    assignment_id: Annotated[
        UUID, typer.Argument(metavar="ASSIGNMENT_ID", help="One that the CJ service knows.")
    ],
    anchor_dir: Annotated[
        Path, _flag("Folder of the essays, or the one that holds anchors/.", "--anchor-dir")
    ],
    cj_service_url: Annotated[
        str, _flag("Of the CJ service.", envvar="CJ_SERVICE_URL")
    ] = "http://localhost:9095",
    expected_grade_scale: Annotated[str | None, _flag("Refuse an assignment of another scale.")] = None,
    dry_run: Annotated[bool, _flag("Tell what would be registered, send nothing.", "--dry-run")] = False,
) -> None:
    """Register essays as the anchors of an assignment.

    They are read back: what the service does not keep is told. Grades and labels come from anchors.csv or
    anchors.xlsx beside the folder, else from the file names.
    Exit status: 0 all confirmed, 2 inputs, token or assignment, 4 the service failed or forgot anchors.
    """
    from pytest_eng5.runner import registering

    wanted = registering.Registration(
        assignment_id, anchor_dir, cj_service_url, expected_grade_scale, dry_run
    )
    report, progress = typer.echo, partial(typer.echo, err=True)
    raise typer.Exit(registering.register_anchors(wanted, report, progress))


@app.command()
def verify_auth(cj_service_url: CjUrl = None) -> None:
    """Tell whose token is used and whether it is accepted.

    The token itself is never told.

    Exit status: 0 accepted (or, without an address, nothing speaks against it), 2 not, 4 nobody answers.
    """
    from pytest_eng5.runner import authentication

    authentication.verify_auth(cj_service_url, typer.echo)


@app.command()
def doctor(
    context: typer.Context,
    output_dir: OutputDir = Path(".eng5"),
    kafka_bootstrap: Bootstrap = None,
    kafka_config: KafkaConfigFile = None,
    kafka_home: KafkaHome = None,
    topic_prefix: TopicPrefix = "",
    create_topics: CreateTopics = False,
    content_service_url: ContentUrl = None,
    cj_service_url: CjUrl = None,
    llm_provider_service_url: LlmUrl = None,
    assignment_id: Annotated[UUID | None, _flag("Look at this assignment and its anchors.")] = None,
    expected_grade_scale: Annotated[str | None, _flag("Scale that it should have.")] = None,
    live: Live = False,
    budget_usd: Budget = None,
    timeout: Annotated[float, _flag("Seconds for a single question.", min=0.1)] = 10.0,
) -> None:
    """Look at everything that a run needs; change nothing.

    Give it the flags of the run.

    Exit status: 0 a run can be started, 2 what fails is a matter of addresses, ids or token, 4 of more.
    """
    from pytest_eng5.runner.doctor import diagnose
    from pytest_eng5.runner.flags import RunFlags, in_flags

    flags = {name: value for name, value in context.params.items() if name != "timeout"}
    raise typer.Exit(diagnose(RunFlags(**flags), timeout, lambda line: typer.echo(in_flags(line))))


def main() -> None:
    """Entry point; errors that a user can mend are shown without a traceback."""
    try:
        app(prog_name="eng5")
    except Eng5Error as error:
        from pytest_eng5.runner.flags import in_flags

        text = in_flags(str(error)) if sys.argv[1:2] in (["run"], ["doctor"]) else str(error)
        typer.echo(f"eng5: {text}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as ended:
        if ended.code != _INTERRUPTED:
            raise
        typer.echo("eng5: interrupted", err=True)
        sys.exit(InfrastructureError.exit_code)
