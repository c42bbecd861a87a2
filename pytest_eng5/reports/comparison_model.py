"""``comparison_report.json``: variants of a scenario, or two recorded runs, against each other."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Change",
    "ComparedCandidate",
    "ComparedFigure",
    "ComparedPair",
    "Comparison",
    "ImprovementRecord",
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Change(_Part):
    """Something that the candidate was run with and the baseline was not."""

    what: str = Field(description="Such as system prompt, judge.model or anchors")
    baseline: str
    candidate: str


class ComparedFigure(_Part):
    """One figure over the common pairs; null where undefined."""

    baseline: float | None
    candidate: float | None
    difference: float | None = Field(description="Candidate minus baseline")
    low: float | None = Field(description="Lower end of the interval of the difference")
    high: float | None
    p_value: float | None = Field(description="Two-sided, of the permutation test")
    adjusted_p_value: float | None = Field(description="After Holm's correction for all candidates")


class ImprovementRecord(_Part):
    """What a gate on an improvement decided."""

    metric: str
    status: Literal["PASS", "FAIL", "UNDECIDED"]
    message: str
    hint: str | None
    improvement: float | None = Field(description="Positive if the candidate is better")
    low: float | None
    high: float | None
    min_improvement: float


class ComparedPair(_Part):
    """A pair of anchors on which the two have different results; counts are of comparisons."""

    better: str = Field(description="Anchor of the better grade; of equal grades the first by id")
    better_grade: str
    worse: str
    worse_grade: str
    baseline_won: int = Field(ge=0, description="Comparisons of the baseline that the better grade won")
    baseline_comparisons: int = Field(ge=1)
    candidate_won: int = Field(ge=0)
    candidate_comparisons: int = Field(ge=1)

    @property
    def equal_grades(self) -> bool:
        """Whether neither order is wrong."""
        return self.better_grade == self.worse_grade

    @property
    def gained(self) -> bool:
        """Whether the candidate agrees more with the grades than the baseline."""
        won = self.candidate_won * self.baseline_comparisons
        return not self.equal_grades and won > self.baseline_won * self.candidate_comparisons

    @property
    def lost(self) -> bool:
        """Whether it agrees less."""
        return not self.equal_grades and not self.gained


class ComparedCandidate(_Part):
    """A candidate against the baseline.

    ``problem`` says why nothing was compared; all counts are 0 then.
    """

    candidate: str
    problem: str | None = None
    run_failed: bool = Field(default=False, description="Whether that is because a run failed")
    changes: tuple[Change, ...] = ()
    anchors: int = Field(default=0, description="Graded anchors that the common pairs join")
    pairs: int = Field(default=0, description="Pairs that both judged")
    pairs_left_out: int = Field(default=0, description="Pairs that only one of them judged")
    baseline_comparisons: int = Field(default=0, description="On the common pairs")
    candidate_comparisons: int = 0
    permutations: int = 0
    exact: bool = Field(default=False, description="Whether these are all permutations there are")
    seed: int = 0
    figures: dict[str, ComparedFigure] = Field(default_factory=dict)
    verdicts: tuple[ImprovementRecord, ...] = ()
    differing_pairs: tuple[ComparedPair, ...] = ()


class Comparison(_Part):
    """All candidates of one baseline; p-values are corrected for their number, run or not."""

    schema_version: str = Field(default="1.0.0", pattern=r"^1\.\d+\.\d+$")
    scenario: str
    baseline: str
    confidence: float
    undecided: Literal["fail", "warn"] = "fail"
    candidates: tuple[ComparedCandidate, ...]

    def of(self, candidate: str) -> ComparedCandidate:
        """The candidate of this name."""
        return next(found for found in self.candidates if found.candidate == candidate)
