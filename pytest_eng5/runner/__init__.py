"""Runs: inventory, request, one handler per mode, and the campaign that performs many at once."""

from __future__ import annotations

from pytest_eng5.runner.campaign import Campaign
from pytest_eng5.runner.capacity import Capacity, Shortage, comparison_shortages, essay_shortages
from pytest_eng5.runner.claims import Claim, Claims
from pytest_eng5.runner.composition import compose_plan, compose_request, qualities, simulation
from pytest_eng5.runner.errors import InputError, LiveRunRefused, PipelineDied, RunnerError, TextError
from pytest_eng5.runner.execution import perform_run
from pytest_eng5.runner.handlers import (
    HANDLER_MAP,
    AnchorAlignHandler,
    DryRunHandler,
    ModeHandlerProtocol,
    PlanHandler,
    exit_code,
    require_essays,
)
from pytest_eng5.runner.inventory import Essay, Inventory, read_inputs, read_inventory, read_source
from pytest_eng5.runner.offline import perform_offline
from pytest_eng5.runner.pipeline_process import PipelineUrls, ReferencePipeline
from pytest_eng5.runner.planning import compose_snapshot
from pytest_eng5.runner.resources import Finalise, Resources, open_resources
from pytest_eng5.runner.settings import (
    OFFLINE,
    OFFLINE_MODES,
    Environment,
    RunnerPaths,
    RunnerSettings,
    RunSpec,
    deadlines_for,
)
from pytest_eng5.runner.texts import EssayText, extract_text

__all__ = [
    "HANDLER_MAP",
    "OFFLINE",
    "OFFLINE_MODES",
    "AnchorAlignHandler",
    "Campaign",
    "Capacity",
    "Claim",
    "Claims",
    "DryRunHandler",
    "Environment",
    "Essay",
    "EssayText",
    "Finalise",
    "InputError",
    "Inventory",
    "LiveRunRefused",
    "ModeHandlerProtocol",
    "PipelineDied",
    "PipelineUrls",
    "PlanHandler",
    "ReferencePipeline",
    "Resources",
    "RunSpec",
    "RunnerError",
    "RunnerPaths",
    "RunnerSettings",
    "Shortage",
    "TextError",
    "comparison_shortages",
    "compose_plan",
    "compose_request",
    "compose_snapshot",
    "deadlines_for",
    "essay_shortages",
    "exit_code",
    "extract_text",
    "open_resources",
    "perform_offline",
    "perform_run",
    "qualities",
    "read_inputs",
    "read_inventory",
    "read_source",
    "require_essays",
    "simulation",
]
