"""Runs: inventory, request, one handler per mode, and the campaign that performs many at once."""

from __future__ import annotations

from pytest_eng5.runner.assignments import Assignment, examine_assignment
from pytest_eng5.runner.campaign import Campaign, unstarted
from pytest_eng5.runner.capacity import Capacity, Shortage, comparison_shortages, essay_shortages
from pytest_eng5.runner.claims import Claim, Claims
from pytest_eng5.runner.composition import (
    bind_plan,
    compose_plan,
    compose_request,
    qualities,
    sent_essays,
    simulation,
)
from pytest_eng5.runner.errors import (
    AssignmentRefused,
    InputError,
    LiveRunRefused,
    PipelineDied,
    RunnerError,
    TextError,
)
from pytest_eng5.runner.execution import perform_run
from pytest_eng5.runner.handlers import (
    HANDLER_MAP,
    AnchorAlignHandler,
    DryRunHandler,
    ExecuteHandler,
    ModeHandlerProtocol,
    PlanHandler,
)
from pytest_eng5.runner.inventory import Essay, Inventory, read_inputs, read_inventory, read_source
from pytest_eng5.runner.offline import perform_offline
from pytest_eng5.runner.operating import Operator
from pytest_eng5.runner.pipeline_process import PipelineUrls, ReferencePipeline
from pytest_eng5.runner.planning import compose_snapshot
from pytest_eng5.runner.prerequisites import (
    CJService,
    cj_service,
    inventory_of,
    require_essays,
    require_inputs,
)
from pytest_eng5.runner.provisioning import Provision, provide_assignment, provision_of
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
    "Assignment",
    "AssignmentRefused",
    "CJService",
    "Campaign",
    "Capacity",
    "Claim",
    "Claims",
    "DryRunHandler",
    "Environment",
    "Essay",
    "EssayText",
    "ExecuteHandler",
    "Finalise",
    "InputError",
    "Inventory",
    "LiveRunRefused",
    "ModeHandlerProtocol",
    "Operator",
    "PipelineDied",
    "PipelineUrls",
    "PlanHandler",
    "Provision",
    "ReferencePipeline",
    "Resources",
    "RunSpec",
    "RunnerError",
    "RunnerPaths",
    "RunnerSettings",
    "Shortage",
    "TextError",
    "bind_plan",
    "cj_service",
    "comparison_shortages",
    "compose_plan",
    "compose_request",
    "compose_snapshot",
    "deadlines_for",
    "essay_shortages",
    "examine_assignment",
    "extract_text",
    "inventory_of",
    "open_resources",
    "perform_offline",
    "perform_run",
    "provide_assignment",
    "provision_of",
    "qualities",
    "read_inputs",
    "read_inventory",
    "read_source",
    "require_essays",
    "require_inputs",
    "sent_essays",
    "simulation",
    "unstarted",
]
