"""The command line of ``serve``, with the environment variables that stand in for options."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_eng5.kafka_config import KafkaConfig, load_kafka_config
from pytest_eng5.pipeline.kafka import KafkaOptions
from pytest_eng5.pipeline.serve import SERVICES, Pipeline, ServeOptions
from pytest_eng5.pipeline.settings import CJSettings, LLMProviderSettings

__all__ = ["parse", "pipeline_from"]

_ALONE_PATIENCE = 60.0


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    return read


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise argparse.ArgumentTypeError(f"{text!r} is no address of the form http://HOST:PORT")
    return text.rstrip("/")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pytest_eng5.pipeline")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run content, CJ and LLM provider service until SIGTERM")
    serve.add_argument("--service", default="all", choices=("all", *SERVICES), help="what runs here")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on")
    for name in SERVICES:
        serve.add_argument(f"--{name}-port", type=int, default=0, help="port, 0 for a free one")
    serve.add_argument("--content-url", type=_url, help="where it runs elsewhere (CONTENT_SERVICE_URL)")
    serve.add_argument("--llm-url", type=_url, help="where it runs elsewhere (LLM_PROVIDER_SERVICE_URL)")
    serve.add_argument(
        "--start-timeout",
        type=float,
        help=f"seconds to wait for the broker and the other services ({_ALONE_PATIENCE:g}; 0 with all)",
    )
    _add_kafka(serve)
    _add_judging(serve)
    serve.add_argument(
        "--state",
        help="file that keeps the state over a restart, or memory (ENG5_PIPELINE_STATE); default a file in "
        "the user's state folder, one for each broker, topic prefix and set of ports",
    )
    serve.add_argument(
        "--jwt-key-file",
        type=Path,
        help="key of the admin API's tokens (JWT_SECRET_KEY); none lets nobody in",
    )
    serve.add_argument("--log-file", type=Path, help="JSON log, default standard error")
    serve.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return parser


def _add_kafka(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--bootstrap-servers", help="host:port list (KAFKA_BOOTSTRAP_SERVERS)")
    serve.add_argument("--kafka-config", type=Path, help="TOML or YAML file with TLS and SASL settings")
    serve.add_argument("--topic-prefix", default="", help="put before every topic and the consumer groups")
    serve.add_argument("--partitions", type=_positive(int), default=3, help="of topics it creates (3)")
    serve.add_argument("--no-create-topics", action="store_true", help="use the topics that are there")
    serve.add_argument(
        "--broker-timeout",
        type=_positive(float),
        default=15.0,
        help="seconds without the broker before giving up",
    )


def _add_judging(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--pair-seed", type=int, help="makes the pairs depend on the order of the essays only")
    serve.add_argument("--max-comparisons", type=_positive(int), help="most comparisons of one batch (120)")
    serve.add_argument("--queue", choices=("memory", "kafka"), help="kafka with --service llm, else memory")
    serve.add_argument("--worker-id", help="name in logs and metrics, default host name and process id")
    serve.add_argument("--no-store-prompts", action="store_true", help="do not keep the rendered prompts")


def parse(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> argparse.Namespace:
    """Options, completed from the environment; exits with 2 and the usage if they make no sense.

    Args:
        argv: Arguments, default those of the process.
        environ: Environment, default that of the process.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    env = os.environ if environ is None else environ
    if args.service == "all":
        _refuse(parser, args, "content_url", "llm_url")
    else:
        for name, variable in (
            ("content_url", "CONTENT_SERVICE_URL"),
            ("llm_url", "LLM_PROVIDER_SERVICE_URL"),
        ):
            if getattr(args, name) is None and env.get(variable):
                try:
                    setattr(args, name, _url(env[variable]))
                except argparse.ArgumentTypeError as error:
                    parser.error(f"environment variable {variable}: {error}")
    if args.start_timeout is None:
        args.start_timeout = 0.0 if args.service == "all" else _ALONE_PATIENCE
    args.state = args.state or env.get("ENG5_PIPELINE_STATE") or None
    args.environment_servers = env.get("KAFKA_BOOTSTRAP_SERVERS")
    args.error = parser.error
    return args


def _refuse(parser: argparse.ArgumentParser, args: argparse.Namespace, *names: str) -> None:
    for name in names:
        if getattr(args, name) is not None:
            option = "--" + name.replace("_", "-")
            parser.error(
                f"{option} is for --service {', '.join(SERVICES)}; with all, every service runs here"
            )


def _require(args: argparse.Namespace, name: str, variable: str, why: str) -> None:
    if getattr(args, name) is None:
        option = "--" + name.replace("_", "-")
        args.error(f"{option} (or {variable}) is missing: {why}")


def pipeline_from(args: argparse.Namespace) -> Pipeline:
    """The pipeline of parsed options.

    Raises:
        UsageError: A setting in the environment or the Kafka configuration does not fit.
    """
    cj: dict[str, Any] = {}
    if args.pair_seed is not None:
        cj["pair_generation_seed"] = args.pair_seed
    if args.max_comparisons is not None:
        cj["max_pairwise_comparisons"] = args.max_comparisons
    cj_settings = CJSettings.from_environment(**cj)
    provider_settings = _provider_settings(args)
    services = SERVICES if args.service == "all" else (args.service,)
    if args.service == "cj":
        _require(args, "llm_url", "LLM_PROVIDER_SERVICE_URL", "the CJ service sends comparisons there")
        _require(args, "content_url", "CONTENT_SERVICE_URL", "the CJ service fetches the essays there")
    if args.service == "llm" and provider_settings.store_prompts:
        why = "prompts are kept there; do without with --no-store-prompts"
        _require(args, "content_url", "CONTENT_SERVICE_URL", why)
    options = ServeOptions(
        kafka=None if args.service == "content" else _kafka(args),
        services=frozenset(services),
        host=args.host,
        content_port=args.content_port,
        cj_port=args.cj_port,
        llm_port=args.llm_port,
        content_url=args.content_url,
        llm_url=args.llm_url,
        partitions=args.partitions,
        create_topics=not args.no_create_topics,
        patience=args.start_timeout,
        worker_id=args.worker_id or f"{socket.gethostname()}-{os.getpid()}",
        state=args.state,
        jwt_key_file=args.jwt_key_file,
    )
    return Pipeline(options, cj_settings, provider_settings)


def _provider_settings(args: argparse.Namespace) -> LLMProviderSettings:
    fixed: dict[str, Any] = {"store_prompts": False} if args.no_store_prompts else {}
    if args.queue is not None:
        fixed["queue"] = args.queue
    settings = LLMProviderSettings.from_environment(**fixed)
    if args.service == "llm" and "queue" not in settings.model_fields_set:
        settings = settings.model_copy(update={"queue": "kafka"})
    return settings


def _kafka(args: argparse.Namespace) -> KafkaOptions:
    config = KafkaConfig() if args.kafka_config is None else load_kafka_config(args.kafka_config)
    servers = args.bootstrap_servers or config.bootstrap_servers or args.environment_servers
    if not servers:
        args.error(
            "--bootstrap-servers is missing (also: bootstrap_servers in --kafka-config, or "
            "KAFKA_BOOTSTRAP_SERVERS)"
        )
    client_options = {} if args.kafka_config is None else config.client_options()
    return KafkaOptions(servers, args.topic_prefix, args.broker_timeout, client_options)
