"""Every key of a scenario file, with its type, range, meaning and examples.

These models check the shape of a file and are the source of its JSON Schema. Every key but the few required
ones may be null, which means "as if it were not written": in a variant, null takes back what the scenario
sets. Defaults are those of `pytest_eng5.scenario.variants`, where merged values end up.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pytest_eng5.contracts import CourseCode, Provider
from pytest_eng5.scenario.compare_keys import CompareKeys
from pytest_eng5.scenario.faults import FaultKeys
from pytest_eng5.scenario.fields import (
    AS_TEXT,
    Confidence,
    Dollars,
    FindingCode,
    Flag,
    LanguageCode,
    MarkName,
    MetricName,
    ModelName,
    NotNegative,
    Number,
    PathText,
    Positive,
    ScenarioName,
    Seconds,
    Share,
    Temperature,
    Text,
    UuidText,
    VariantId,
)

__all__ = [
    "BudgetKeys",
    "ComparisonsKeys",
    "Effort",
    "ExpectKeys",
    "JudgeKeys",
    "MockKeys",
    "Mode",
    "ScenarioKeys",
    "SharedKeys",
    "ThresholdKeys",
    "TimeoutKeys",
    "Undecided",
    "VariantKeys",
    "Verbosity",
]

Mode: TypeAlias = Literal["plan", "dry-run", "execute", "anchor-align-test"]
Effort: TypeAlias = Literal["none", "low", "medium", "high"]
Verbosity: TypeAlias = Literal["low", "medium", "high"]
Undecided: TypeAlias = Literal["fail", "warn"]
GradeScaleId: TypeAlias = Literal["swedish_8_anchor", "eng5_np_legacy_9_step", "eng5_np_national_9_step"]

_Course = Annotated[CourseCode, AS_TEXT]
_ModeText = Annotated[Mode, AS_TEXT]
_ProviderText = Annotated[Provider, AS_TEXT]
_EffortText = Annotated[Effort, AS_TEXT]
_VerbosityText = Annotated[Verbosity, AS_TEXT]
_UndecidedText = Annotated[Undecided, AS_TEXT]
_ScaleText = Annotated[GradeScaleId, AS_TEXT]


class _Keys(BaseModel):
    """A mapping of a scenario file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MockKeys(_Keys):
    """How the simulated judge of provider ``mock`` behaves.

    Essay A wins with probability logistic(discrimination * (quality A - quality B) + position_bias).
    """

    discrimination: Number | None = Field(
        None, description="How strongly quality decides; 0 is a coin toss.", examples=[2.0]
    )
    position_bias: Number | None = Field(
        None, description="Advantage of the first essay, in logits.", examples=[0.0, 0.3]
    )
    failure_rate: Share | None = Field(None, description="Share of comparisons that fail.", examples=[0.0])
    latency_ms: NotNegative | None = Field(
        None, description="Time that each comparison takes, in milliseconds.", examples=[0, 50]
    )
    seed: NotNegative | None = Field(None, description="Seed of the draws.", examples=[7])
    student_grades: PathText | None = Field(
        None,
        description="Of mode execute: CSV file with the columns file_name and grade, relative to the "
        "scenario file, which says how good the students' essays are. It is for the simulated judge only. A "
        "student who is not in it is as good as the anchors are on average.",
        examples=["role_models/students.csv"],
    )


class JudgeKeys(_Keys):
    """The LLM judge; what is not set is left to the provider's default."""

    provider: _ProviderText | None = Field(
        None, description="LLM provider; mock (the default) is simulated and free.", examples=["mock"]
    )
    model: ModelName | None = Field(None, description="Model of the provider.", examples=["gpt-5.1"])
    temperature: Temperature | None = Field(
        None, description="Sampling temperature; 0.0 is a value, not an absence.", examples=[0.0, 0.1]
    )
    max_tokens: Positive | None = Field(None, description="Limit of output tokens.", examples=[1024])
    reasoning_effort: _EffortText | None = Field(
        None, description="Reasoning effort of models that have one.", examples=["low"]
    )
    output_verbosity: _VerbosityText | None = Field(
        None, description="Verbosity of models that have one.", examples=["low"]
    )
    mock: MockKeys | None = Field(None, description="The simulated judge of provider mock.")


class ComparisonsKeys(_Keys):
    """How many comparisons a run makes."""

    max: Positive | None = Field(
        None,
        description="Comparisons per run; default n(n-1)/2, one full round-robin over n essays.",
        examples=[66],
    )


class TimeoutKeys(_Keys):
    """Deadlines of a run."""

    idle: Seconds | None = Field(
        None, description="Seconds without any event of the run; default 60.", examples=[30]
    )
    total: Seconds | None = Field(
        None, description="Seconds for the whole run; default grows with the comparisons.", examples=[300]
    )


class BudgetKeys(_Keys):
    """What a run may cost."""

    max_usd: Dollars | None = Field(None, description="Ceiling in US dollars.", examples=[0.5])


class ThresholdKeys(_Keys):
    """A gate on one metric: ``min``, ``max`` or both."""

    min: Number | None = Field(None, description="Lowest value that passes.", examples=[0.9])
    max: Number | None = Field(None, description="Highest value that passes.", examples=[1])
    confidence: Confidence | None = Field(
        None,
        description="Judge the whole interval of this confidence, not the point value: PASS if all of it "
        "satisfies the threshold, FAIL if none of it does, else UNDECIDED.",
        examples=[0.95],
    )
    undecided: _UndecidedText | None = Field(
        None,
        description="What UNDECIDED is: fail (the default), or warn, which passes with a warning. Needs "
        "confidence.",
        examples=["fail", "warn"],
    )


class ExpectKeys(_Keys):
    """Turns a scenario into a negative test."""

    findings: list[FindingCode] = Field(
        description="The scenario passes only if exactly these finding codes appear.",
        examples=[["META-MISSING"]],
    )


class SharedKeys(_Keys):
    """Keys of the whole scenario that every variant may set again; the variant wins."""

    mode: _ModeText | None = Field(
        None, description="What a run does; default anchor-align-test.", examples=["anchor-align-test"]
    )
    inputs: PathText | None = Field(
        None,
        description="Folder with anchors/ and, if grades are not in the file names, anchors.csv; mode "
        "execute needs students/ and instructions.md. Relative to the scenario file. Required here or in "
        "every variant.",
        examples=["role_models"],
    )
    course_code: _Course | None = Field(None, description="Course; default ENG5.", examples=["ENG5"])
    language: LanguageCode | None = Field(
        None, description="Language of the essays; default en.", examples=["en", "sv"]
    )
    assignment_id: UuidText | None = Field(
        None,
        description="Assignment of mode execute, whose instructions, prompt, grade scale and anchors the CJ "
        "service keeps; without it students are compared with each other only, and nobody is graded.",
        examples=["0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01"],
    )
    course_id: UuidText | None = Field(
        None, description="Course id of mode execute; needed with assignment_id."
    )
    expected_grade_scale: _ScaleText | None = Field(
        None, description="Grade scale that the assignment of mode execute must have."
    )
    system_prompt: PathText | None = Field(
        None,
        description="File with the system prompt, relative to the scenario file; default: the service's own.",
        examples=["prompts/system/001_baseline.txt"],
    )
    rubric: PathText | None = Field(
        None,
        description="File with the judge's rubric, relative to the scenario file; default: none.",
        examples=["prompts/rubric/001_baseline.txt"],
    )
    judge: JudgeKeys | None = Field(None, description="The LLM judge; merged key by key.")
    comparisons: ComparisonsKeys | None = Field(None, description="How many comparisons a run makes.")
    repeats: Positive | None = Field(None, description="Runs per variant; default 1.", examples=[1, 3])
    timeout: TimeoutKeys | None = Field(None, description="Deadlines of a run, in seconds.")
    budget: BudgetKeys | None = Field(None, description="What a run may cost.")
    thresholds: dict[MetricName, ThresholdKeys | None] | None = Field(
        None,
        description="Gates: every metric becomes one test item; null removes one in a variant.",
        examples=[{"kendall_tau": {"min": 0.9}, "direct_inversions": {"max": 1}}],
    )
    marks: list[MarkName] | None = Field(
        None, description="pytest marks of the items; a variant's list replaces it.", examples=[["slow"]]
    )
    expect: ExpectKeys | None = Field(None, description="Findings that must appear: a negative test.")
    fail_fast: Flag | None = Field(
        None, description="Judge nothing more of a variant once one of its items failed; default false."
    )
    faults: list[FaultKeys] | None = Field(
        None,
        description="What the reference pipeline is to do wrong; a variant's list replaces it.",
        examples=[[{"action": "drop", "topic": "comparison_result", "nth": 3}]],
    )


class _VariantHead(_Keys):
    id: VariantId = Field(description="Name of the variant, unique in the file.", examples=["baseline"])


class VariantKeys(SharedKeys, _VariantHead):
    """One prompt variant: its id and whatever it sets differently from the scenario."""


class _ScenarioHead(_Keys):
    scenario: ScenarioName = Field(description="Name in reports.", examples=["anchor_align"])
    description: Text | None = Field(None, description="What the scenario is for.")


class ScenarioKeys(SharedKeys, _ScenarioHead):
    """A scenario file (``*.eng5.yaml``): one experiment with one or more prompt variants."""

    compare: CompareKeys | None = Field(
        None,
        description="Comparison of the variants: whether one is better than another by as much as asked.",
        examples=[{"baseline": "language_control", "min_improvement": 0.02, "confidence": 0.95}],
    )
    variants: Annotated[list[VariantKeys], Field(min_length=1)] = Field(
        description="The prompt variants; each is run and judged on its own.",
        examples=[[{"id": "baseline", "system_prompt": "prompts/system/001_baseline.txt"}]],
    )
