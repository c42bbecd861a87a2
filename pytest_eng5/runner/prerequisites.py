"""What a mode needs of its inputs, looked at before a broker or a service is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_eng5.runner.assignments import require_address
from pytest_eng5.runner.capacity import Capacity, essay_shortages
from pytest_eng5.runner.connections import BackendOptions, external_urls
from pytest_eng5.runner.errors import InputError
from pytest_eng5.runner.inventory import Inventory, read_inputs
from pytest_eng5.runner.provisioning import provision_of
from pytest_eng5.runner.settings import Environment
from pytest_eng5.scenario import Location, Problem, Variant

__all__ = ["CJService", "cj_service", "inventory_of", "require_essays", "require_inputs", "service_of"]


def require_essays(mode: str, inventory: Inventory) -> None:
    """Refuse inputs that hold too few essays for a mode.

    The anchors of mode ``execute`` are those that the CJ service holds: they are looked at later.

    Raises:
        InputError: One problem per shortage.
    """
    anchors = len(inventory.anchors) if mode != "execute" else max(len(inventory.anchors), 1)
    shortages = essay_shortages(mode, Capacity(anchors, len(inventory.students)))
    if shortages:
        place = Location(inventory.root)
        raise InputError(tuple(Problem(place, short.message, short.fix) for short in shortages))


@dataclass(frozen=True, slots=True)
class CJService:
    """Whom mode ``execute`` asks about its assignment.

    Attributes:
        url: Its address, ``None`` if it has none or none yet.
        ours: Whether it belongs to a pipeline of ours, which is provided with what the assignment needs.
    """

    url: str | None
    ours: bool = False


def cj_service(options: BackendOptions) -> CJService:
    """The CJ service of a pipeline that is still to be started, or of one that is not ours.

    Raises:
        UsageError: The address of the content service of an external pipeline is missing.
    """
    if options.pipeline_kind == "embedded":
        return CJService(None, ours=True)
    return CJService(external_urls(options).cj_url)


def service_of(environment: Environment) -> CJService:
    """The CJ service of a pipeline that runs."""
    return CJService(environment.cj_url, ours=environment.operator is not None)


def require_inputs(
    variant: Variant, inventory: Inventory, assignment_id: str | None, service: CJService
) -> None:
    """Refuse inputs with which a variant cannot be run.

    Args:
        variant: What is to be run.
        inventory: What there is.
        assignment_id: What mode ``execute`` is bound to.
        service: Whom mode ``execute`` asks.

    Raises:
        InputError: Too few essays; in mode ``execute`` a single student, no instructions, no prompt where
            the request has to carry it, nothing to provide an assignment with on a pipeline of ours.
        AssignmentRefused: Mode ``execute`` is bound to an assignment, and the CJ service has no address.
    """
    require_essays(variant.mode, inventory)
    if variant.mode != "execute":
        return
    problems = tuple(_missing_texts(inventory, assignment_id))
    if problems:
        raise InputError(problems)
    if assignment_id is None:
        return
    if service.ours:
        provision_of(variant, inventory)
    else:
        require_address(service.url)


def _missing_texts(inventory: Inventory, assignment_id: str | None) -> Iterator[Problem]:
    place = Location(inventory.root)
    if len(inventory.students) == 1:  # contract 7.8
        message = "there is one student's essay, and the CJ service compares nothing for a single one"
        yield Problem(place, message, "put at least two students' essays into students/")
    if inventory.instructions is None:
        yield Problem(place, "there are no instructions", "write them into instructions.md")
    if inventory.prompt is None and assignment_id is None:
        message = "there is no student prompt, and without an assignment the request has to carry it"
        yield Problem(place, message, "write it into prompt.md, or name an assignment")


def inventory_of(variant: Variant, service: CJService) -> Inventory:
    """Read the inputs of a variant, and see that it can be run with them.

    Raises:
        InputError, AssignmentRefused: See `read_inventory` and `require_inputs`.
    """
    inventory = read_inputs(variant.mode, variant.inputs_dir)
    require_inputs(variant, inventory, variant.assignment_id, service)
    return inventory
