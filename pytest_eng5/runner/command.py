"""From the flags of ``eng5 run`` to the runs it asks for; refuses what does not go together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pytest_eng5.contracts import GRADE_SCALES, CourseCode, Provider
from pytest_eng5.errors import UsageError
from pytest_eng5.runner.capacity import Capacity, Shortage, comparison_shortages
from pytest_eng5.runner.errors import InputError
from pytest_eng5.runner.flags import RunFlags, flag
from pytest_eng5.runner.inventory import Inventory, read_inputs, read_source
from pytest_eng5.runner.planning import refuse_unreachable
from pytest_eng5.runner.prerequisites import CJService, cj_service, require_essays, require_inputs
from pytest_eng5.runner.settings import OFFLINE_MODES, RunSpec
from pytest_eng5.scenario import Compare, Judge, Location, Timeout, Variant, load_scenario
from pytest_eng5.scenario.compared_variants import refuse_incomparable

__all__ = ["MODES", "Prepared", "prepare"]

MODES = ("plan", "dry-run", "execute", "anchor-align-test")
_COMMAND_LINE = "command_line"
_IN_VAIN = (
    "the pipeline of this command ends with it, so that nothing will come of what is published\n"
    "  fix: wait for it with --await-completion, or publish on a broker of your own with --kafka-bootstrap"
)

_EXECUTE_ONLY = (
    *("assignment_id", "course_id", "expected_grade_scale", "force_reupload", "cj_system_prompt"),
    *("llm_batching_mode", "auto_extract_eng5_db"),
)
_ALIGN_ONLY = (
    *("anchor_align_provider", "anchor_align_model", "anchor_align_reasoning_effort"),
    "anchor_align_output_verbosity",
)
_PROMPTS = ("system_prompt", "rubric")
_CHOICES: dict[str, tuple[str, ...]] = {
    "mode": MODES,
    "language": ("en", "sv"),
    "expected_grade_scale": tuple(GRADE_SCALES),
    "course_code": tuple(code.value for code in CourseCode),
    "llm_provider": get_args(Provider),
    "anchor_align_provider": get_args(Provider),
    "anchor_align_reasoning_effort": ("none", "low", "medium", "high"),
    "anchor_align_output_verbosity": ("low", "medium", "high"),
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be run, after everything was looked at that needs neither broker nor service.

    Attributes:
        runs: A spec per run with its inventory.
        compare: Which variants are compared afterwards, if the scenario asks for it.
    """

    flags: RunFlags
    mode: str
    runs: tuple[tuple[RunSpec, Inventory], ...]
    compare: Compare | None = None

    @property
    def offline(self) -> bool:
        """Whether no broker and no service is needed."""
        return self.mode in OFFLINE_MODES

    @property
    def without_kafka(self) -> bool:
        """Whether the runs end before they would publish."""
        return not self.offline and self.flags.no_kafka

    @property
    def notices(self) -> tuple[str, ...]:
        """What is worth knowing before a run that compares essays: files passed over, too few comparisons."""
        if self.offline:
            return ()
        said = [
            f"{problem.location}: {problem.message}\n  fix: {problem.hint}"
            for _, inventory in self.runs
            for problem in inventory.notices
        ]
        said += [
            f"{spec.variant.id}: {short.message}\n  fix: {short.fix}"
            for spec, inventory in self.runs
            for short in _short_of_comparisons(spec.variant, inventory)
        ]
        if self.compare is not None and not self.compared:
            what = (
                "a single variant" if self.flags.variant else f"mode {self.mode} or a run that is not awaited"
            )
            said.append(f"{self.compare.location}: nothing is compared: there is {what}")
        left_alone = self.mode == "execute" and not (self.flags.await_completion or self.flags.no_kafka)
        if left_alone and self.flags.pipeline_kind == "embedded":
            said.append(_IN_VAIN)
        return tuple(dict.fromkeys(said))

    @property
    def compared(self) -> bool:
        """Whether the variants that are to be compared are all run, and waited for."""
        awaited = self.mode == "anchor-align-test" or (self.mode == "execute" and self.flags.await_completion)
        known = {spec.variant.id for spec, _ in self.runs}
        return self.compare is not None and awaited and known >= set(self.compare.variants)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Each variant once."""
        return tuple({spec.variant.id: spec.variant for spec, _ in self.runs}.values())


def prepare(flags: RunFlags) -> Prepared:
    """Work out what the flags ask for, and read the inputs.

    Raises:
        UsageError: Flags that are unknown, missing or do not go together; a scenario, folder or file that
            cannot be used; too few essays; a threshold that no data could satisfy.
    """
    flags = _with_choices(flags)
    loaded, compare = _loaded(flags)
    modes = {variant.mode for variant in loaded}
    if flags.mode is None and len(modes) > 1:
        fix = f"name one with --variant, or one mode for all of them with --mode {'|'.join(MODES)}"
        raise UsageError(f"the variants have modes of their own: {', '.join(sorted(modes))}", fix=fix)
    mode = flags.mode or loaded[0].mode
    _refuse_mode(flags, mode)
    runs = tuple(run for variant in loaded for run in _runs(flags, variant, mode))
    return Prepared(flags, mode, runs, compare)


def _with_choices(flags: RunFlags) -> RunFlags:
    """The flags with the usual spelling of what was chosen; case does not matter."""
    changes: dict[str, Any] = {}
    for name, allowed in _CHOICES.items():
        value = getattr(flags, name)
        if value is None:
            continue
        chosen = {choice.lower(): choice for choice in allowed}.get(value.lower())
        if chosen is None:
            raise UsageError(
                f"unknown value {value!r}", where=flag(name), fix=f"use one of {', '.join(allowed)}"
            )
        changes[name] = chosen
    temperature = flags.llm_temperature
    if temperature is not None and math.isnan(temperature):
        raise UsageError("not a number", where=flag("llm_temperature"), fix="give one from 0 to 2")
    return replace(flags, **changes)


def _refuse_mode(flags: RunFlags, mode: str) -> None:
    """Refuse flags that do not go with the mode or with each other."""
    rules = (
        (_EXECUTE_ONLY, ("execute",)),
        (_ALIGN_ONLY, ("anchor-align-test",)),
        (_PROMPTS, ("execute", "anchor-align-test")),
    )
    for names, modes in rules:
        if mode not in modes and (wrong := flags.given(names)):
            raise UsageError(
                f"belongs to --mode {' or '.join(modes)}, but the mode is {mode}",
                where=wrong[0],
                fix="leave it out, or choose that mode",
            )
    if mode == "execute":
        _refuse_execute_flags(flags)
    unpublished = mode == "execute" and flags.no_kafka
    if (
        flags.content_service_url
        and flags.broker_kind == "embedded"
        and mode not in OFFLINE_MODES
        and not unpublished
    ):
        raise UsageError(
            "there is an address of a service, but none of its Kafka",
            where="--content-service-url",
            fix="give --kafka-bootstrap too, or neither (nor CONTENT_SERVICE_URL) for a pipeline of our own",
        )
    if flags.no_kafka and mode == "anchor-align-test":
        raise UsageError(
            "nothing can be compared without Kafka",
            where="--no-kafka",
            fix="leave it out, or use --mode dry-run, which publishes nothing",
        )


def _refuse_execute_flags(flags: RunFlags) -> None:
    if flags.auto_extract_eng5_db:
        raise UsageError(
            "there is no database to extract from",
            where="--auto-extract-eng5-db",
            fix="leave it out: scores, grades and comparisons are in the run folder",
        )
    if flags.no_kafka and flags.await_completion:
        raise UsageError(
            "what is not published cannot be awaited",
            where="--no-kafka",
            fix="leave out one of --no-kafka and --await-completion",
        )
    if flags.no_kafka and flags.content_service_url is None:
        raise UsageError(
            "without Kafka there is no pipeline of our own, and none of its services is named",
            where="--no-kafka",
            fix="give --content-service-url and --cj-service-url, or leave it out",
        )
    if flags.cj_system_prompt is False and flags.system_prompt is not None:
        raise UsageError(
            "a system prompt is given, and none is to be sent",
            where="--no-cj-system-prompt",
            fix="leave out one of --no-cj-system-prompt and --system-prompt",
        )


def _loaded(flags: RunFlags) -> tuple[tuple[Variant, ...], Compare | None]:
    """The variants of the scenario file and their comparison, or a variant made of flags alone."""
    if flags.scenario is None:
        if flags.variant is not None:
            raise UsageError("there is no scenario file", where="--variant", fix="name it with --scenario")
        return (_from_flags(flags),), None
    scenario = load_scenario(flags.scenario)
    refuse_incomparable(scenario)
    variants = scenario.variants
    ids = [variant.id for variant in variants]
    if flags.variant is None:
        return variants, scenario.compare
    if flags.variant not in ids:
        where = f"--variant {flags.variant}"
        raise UsageError("the file has no such variant", where=where, fix=f"use one of {', '.join(ids)}")
    return (variants[ids.index(flags.variant)],), scenario.compare


def _from_flags(flags: RunFlags) -> Variant:
    if flags.inputs is None:
        fix = "name a scenario file with --scenario, or a folder of essays with --inputs"
        raise UsageError("nothing says what is to be run", fix=fix)
    mode: Any = flags.mode or "plan"
    place = Location(Path.cwd() / "command line")
    return Variant(_COMMAND_LINE, mode, mode, flags.inputs.absolute(), place)


def _runs(flags: RunFlags, variant: Variant, mode: str) -> Iterator[tuple[RunSpec, Inventory]]:
    """The runs of one variant, each with what it would use."""
    changed = _changed(flags, variant, mode)
    planned = variant.mode if mode == "plan" and variant.mode not in OFFLINE_MODES else None
    inventory = read_inputs(mode, changed.inputs_dir)
    if mode != "plan":
        require_essays(mode, inventory)
    if mode not in OFFLINE_MODES:
        service = _service(flags) if mode == "execute" else CJService(None)
        require_inputs(changed, inventory, changed.assignment_id, service)
        refuse_unreachable(changed, inventory)
    refused = [short for short in _short_of_comparisons(changed, inventory) if short.refused]
    if mode == "anchor-align-test" and refused:
        where = "--max-comparisons" if flags.max_comparisons else str(variant.location)
        raise UsageError(refused[0].message, where=where, fix=refused[0].fix)
    for repeat in range(1, changed.repeats + 1):
        yield RunSpec(changed, repeat, planned_mode=planned), inventory


def _service(flags: RunFlags) -> CJService:
    """Whose CJ service the runs ask: that of a pipeline of our own, unless another one is named."""
    if flags.no_kafka:
        return CJService(flags.cj_service_url)
    return cj_service(flags)


def _short_of_comparisons(variant: Variant, inventory: Inventory) -> tuple[Shortage, ...]:
    essays = Capacity(len(inventory.anchors), len(inventory.students)).compared(variant.mode)
    return comparison_shortages(essays, variant.planned_comparisons(essays))


def _changed(flags: RunFlags, variant: Variant, mode: str) -> Variant:
    """A variant with everything that flags set; a mode that compares nothing judges and repeats nothing."""
    changes: dict[str, Any] = {"mode": mode, "inputs_dir": _inputs(flags, variant)}
    changes["judge"] = _judge(flags, variant.judge)
    if flags.course_code is not None:
        changes["course_code"] = flags.course_code
    if flags.language is not None:
        changes["language"] = flags.language
    if flags.max_comparisons is not None:
        changes["comparisons_max"] = flags.max_comparisons
    if flags.completion_timeout is not None:
        changes["timeout"] = Timeout(variant.timeout.idle, flags.completion_timeout)
    if mode == "execute":
        changes |= _assignment(flags, variant)
    for name in _PROMPTS:
        if (path := getattr(flags, name)) is not None:
            changes[name] = _prompt(path.absolute(), name)
    if mode in OFFLINE_MODES:
        changes |= {"expect": None, "repeats": 1}
    if mode == "dry-run":
        changes["thresholds"] = ()
    return replace(variant, **changes)


def _assignment(flags: RunFlags, variant: Variant) -> dict[str, Any]:
    """What flags say about the assignment of mode ``execute``."""
    changes = {
        "assignment_id": str(flags.assignment_id) if flags.assignment_id else variant.assignment_id,
        "course_id": str(flags.course_id) if flags.course_id else variant.course_id,
        "expected_grade_scale": flags.expected_grade_scale or variant.expected_grade_scale,
    }
    if flags.cj_system_prompt is False:
        changes["system_prompt"] = None
    bound = changes["assignment_id"] is not None
    if bound and changes["course_id"] is None:
        raise UsageError("an assignment needs its course", where="--course-id", fix="give the course's UUID")
    if flags.expected_grade_scale is not None and not bound:
        raise UsageError(
            "this is the grade scale of an assignment, and there is none",
            where="--expected-grade-scale",
            fix="give --assignment-id too, or leave it out",
        )
    return changes


def _inputs(flags: RunFlags, variant: Variant) -> Path:
    if flags.inputs is None:
        return variant.inputs_dir
    folder = flags.inputs.absolute()
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UsageError(what, where=f"--inputs {flags.inputs}", fix="name the folder that holds anchors/")
    return folder


def _prompt(path: Path, name: str) -> Path:
    """The path of a prompt file that can be used."""
    try:
        read_source(path, path.parent)
    except InputError as error:
        raise UsageError(error.message, where=f"{flag(name)} {path}", fix=error.hint) from error
    return path


def _judge(flags: RunFlags, judge: Judge) -> Judge:
    """The judge with everything that flags set; 0.0 is a temperature like any other."""
    changes: dict[str, Any] = {
        "provider": flags.anchor_align_provider or flags.llm_provider,
        "model": flags.anchor_align_model or flags.llm_model,
        "temperature": flags.llm_temperature,
        "max_tokens": flags.llm_max_tokens,
        "reasoning_effort": flags.anchor_align_reasoning_effort,
        "output_verbosity": flags.anchor_align_output_verbosity,
    }
    return replace(judge, **{name: value for name, value in changes.items() if value is not None})
