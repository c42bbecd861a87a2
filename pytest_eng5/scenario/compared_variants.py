"""Whether the variants of a block ``compare`` can be compared, and what differs besides their prompts."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from pytest_eng5.scenario.anchors import Anchor, has_anchors, read_anchors
from pytest_eng5.scenario.compare import Compare
from pytest_eng5.scenario.errors import Problem, ScenarioError
from pytest_eng5.scenario.textfile import read_bytes
from pytest_eng5.scenario.variants import Scenario, Variant

__all__ = ["more_than_prompts", "refuse_incomparable"]

_JUDGE = ("provider", "model", "temperature", "max_tokens", "reasoning_effort", "output_verbosity")
_TASK = ("course_code", "language", "assignment_id", "mode")
_MAX_ESSAY_BYTES = 64 * 1024 * 1024
_SHOWN = 3


def refuse_incomparable(scenario: Scenario) -> None:
    """Refuse variants of which it is known beforehand that their runs cannot be compared.

    Raises:
        ScenarioError: One compares nothing, is a negative test, or has other anchors than the baseline.
        AnchorError: The anchors cannot be used.
    """
    compare = scenario.compare
    if compare is None:
        return
    baseline, *candidates = _variants(scenario, compare)
    problems = [problem for variant in (baseline, *candidates) for problem in _unfit(variant)]
    if not problems:
        problems = [problem for variant in candidates for problem in _other_anchors(baseline, variant)]
    if problems:
        raise ScenarioError(problems)


def _variants(scenario: Scenario, compare: Compare) -> list[Variant]:
    known = {variant.id: variant for variant in scenario.variants}
    return [known[id_] for id_ in compare.variants]


def _unfit(variant: Variant) -> Iterator[Problem]:
    leave_out = "name the variants to compare in compare.candidates, without this one"
    if variant.mode in ("plan", "dry-run"):
        message = f"{variant.id} is to be compared, but mode {variant.mode} judges nothing"
        yield Problem(variant.location, message, leave_out)
    elif variant.mode == "execute" and variant.assignment_id is None:
        message = f"{variant.id} is to be compared, but without an assignment there are no anchors"
        yield Problem(variant.location, message, leave_out)
    if variant.expect is not None or variant.faults:
        message = f"{variant.id} is to be compared, but it is a negative test: its comparisons are made wrong"
        yield Problem(variant.location, message, leave_out)


def _other_anchors(baseline: Variant, candidate: Variant) -> Iterator[Problem]:
    """What differs between the anchors of two folders; those that the CJ service keeps are not known."""
    folders = (baseline.inputs_dir, candidate.inputs_dir)
    if folders[0] == folders[1] or not all(map(has_anchors, folders)):
        return
    known, other = ({anchor.anchor_id: anchor for anchor in read_anchors(folder)} for folder in folders)
    fix = "give both variants the same 'inputs', or compare only variants that have"
    what = [f"{id_} is only in one of them" for id_ in sorted(known.keys() ^ other.keys())]
    for id_ in sorted(known.keys() & other.keys()):
        if known[id_].grade != other[id_].grade:
            what.append(f"{id_} has grade {known[id_].grade} in one and {other[id_].grade} in the other")
        elif _checksum(known[id_]) != _checksum(other[id_]):
            what.append(f"{id_} is another text")
    if what:
        shown = "; ".join(what[:_SHOWN]) + (f"; and {len(what) - _SHOWN} more" if what[_SHOWN:] else "")
        message = f"{candidate.id} and {baseline.id} do not have the same anchors: {shown}"
        yield Problem(candidate.location, message, fix)


def _checksum(anchor: Anchor) -> str:
    return sha256(read_bytes(Path(anchor.path), _MAX_ESSAY_BYTES)).hexdigest()


def more_than_prompts(scenario: Scenario) -> list[str]:
    """A remark for each candidate that differs from the baseline in more than what its prompts say.

    The settings of the simulated judge are left aside: they stand for what a prompt would do. Variants with
    the same prompts compare whatever else differs, which needs no remark if it is one thing.
    """
    compare = scenario.compare
    if compare is None:
        return []
    baseline, *candidates = _variants(scenario, compare)
    return [text for candidate in candidates for text in _remark(baseline, candidate)]


def _remark(baseline: Variant, candidate: Variant) -> Iterator[str]:
    pairs: list[tuple[str, object, object, str]]
    pairs = [(f"judge.{name}", baseline.judge, candidate.judge, name) for name in _JUDGE]
    pairs += [(name, baseline, candidate, name) for name in _TASK]
    found = [
        f"{key} ({_shown(getattr(one, name))} and {_shown(getattr(other, name))})"
        for key, one, other, name in pairs
        if getattr(one, name) != getattr(other, name)
    ]
    prompts = (baseline.system_prompt, baseline.rubric) != (candidate.system_prompt, candidate.rubric)
    if found and (prompts or len(found) > 1):
        besides = "besides their prompts " if prompts else ""
        yield (
            f"{candidate.location}: {baseline.id} and {candidate.id} differ {besides}in {', '.join(found)}: "
            "what is compared is all of that together"
        )


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
