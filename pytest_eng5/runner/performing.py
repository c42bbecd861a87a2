"""Performing what the command line asks for: offline at once, else on a broker and a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_eng5.errors import Eng5Error
from pytest_eng5.runner.backend import Backend, open_backend, shut_down
from pytest_eng5.runner.campaign import Campaign
from pytest_eng5.runner.command import Prepared
from pytest_eng5.runner.connections import external_urls
from pytest_eng5.runner.errors import RunnerError
from pytest_eng5.runner.flags import RunFlags
from pytest_eng5.runner.handlers import HANDLER_MAP
from pytest_eng5.runner.resources import Finalise
from pytest_eng5.runner.settings import OFFLINE, Environment, RunnerSettings
from pytest_eng5.sessions import SessionIdentity, group_id, new_session, open_session_folder

__all__ = ["perform"]


def perform(prepared: Prepared, finalise: Finalise, report: Callable[[str], None]) -> Path:
    """Perform all runs; returns the session's folder, where everything about them is found.

    Args:
        prepared: The runs.
        finalise: Completes a run folder.
        report: Told in one line what takes long, such as fetching Kafka for the first time.

    Raises:
        Eng5Error: Broker or pipeline cannot be started; what happens to a run itself stands in its folder.
    """
    identity = new_session()
    session = open_session_folder(prepared.flags.output_dir.absolute(), identity.name)
    if prepared.offline:
        _perform_offline(prepared, session, finalise)
        return session
    if prepared.without_kafka:
        try:
            _without_kafka(prepared, identity, session, finalise)
        finally:
            identity.forget()
        return session
    try:
        backend = open_backend(prepared.flags, identity, session, report)
        _campaign(prepared, backend, identity, session, finalise)
    except KeyboardInterrupt:
        raise RunnerError("interrupted before any run was started", fix="start it again") from None
    finally:
        shut_down(identity.shared)
        identity.forget()
    return session


def _perform_offline(prepared: Prepared, session: Path, finalise: Finalise) -> None:
    for spec, inventory in prepared.runs:
        ceiling = _ceiling(prepared.flags, spec.variant.budget_usd)
        settings = RunnerSettings(spec, OFFLINE, finalise, budget_usd=ceiling, **_more(prepared))
        try:
            HANDLER_MAP[prepared.mode]().execute(settings, inventory, spec.paths(session))
        except OSError as error:
            what = f"a file cannot be read or written: {error.strerror or error}"
            where = str(error.filename or session)
            raise RunnerError(what, where=where, fix="check the disk and its permissions") from error


def _without_kafka(prepared: Prepared, identity: SessionIdentity, session: Path, finalise: Finalise) -> None:
    """All that runs do before they would publish, with the services of a pipeline that is not ours."""
    urls = external_urls(prepared.flags)
    environment = Environment(
        client_arguments={},
        content_url=urls.content_url,
        llm_url=urls.llm_url,
        cj_url=urls.cj_url,
        topic_prefix=prepared.flags.topic_prefix,
        reference_pipeline=False,
        live=True,  # nothing is published, so that nothing can cost money
    )
    group = group_id(environment.topic_prefix, identity)
    more = _more(prepared)
    campaign = Campaign(environment, session, finalise, group_id=group, more=more, kafka=False)
    _perform(campaign, prepared, lambda: None)


def _campaign(
    prepared: Prepared, backend: Backend, identity: SessionIdentity, session: Path, finalise: Finalise
) -> None:
    environment = backend.environment()
    named = {**environment.client_arguments, "client_id": prepared.flags.kafka_client_id}
    campaign = Campaign(
        replace(environment, client_arguments=named),
        session,
        finalise,
        group_id=group_id(backend.topic_prefix, identity),
        budget_usd=prepared.flags.budget_usd,
        more=_more(prepared),
    )
    _perform(campaign, prepared, lambda: backend.watch(campaign.abort))


def _perform(campaign: Campaign, prepared: Prepared, watch: Callable[[], None]) -> None:
    """All runs at once; Ctrl-C ends them as interrupted, with their folders finished."""
    try:
        campaign.start()
        watch()
        for future in [campaign.submit(spec) for spec, _ in prepared.runs]:
            future.result()
        campaign.close()
    except KeyboardInterrupt:
        campaign.close(cancel=True)
    except Eng5Error:
        campaign.close(cancel=True)
        raise


def _ceiling(flags: RunFlags, own: float | None) -> float | None:
    limits = [limit for limit in (flags.budget_usd, own) if limit is not None]
    return min(limits) if limits else None


def _more(prepared: Prepared) -> dict[str, Any]:
    """What flags say about all runs; only mode ``execute`` may leave its batch alone."""
    flags = prepared.flags
    return {
        "user_id": flags.user_id,
        "org_id": flags.org_id,
        "batch_label": flags.batch_id,
        "await_completion": flags.await_completion or prepared.mode != "execute",
        "publish": not flags.no_kafka,
        "force_reupload": flags.force_reupload,
        "batching_mode": flags.llm_batching_mode,
    }
