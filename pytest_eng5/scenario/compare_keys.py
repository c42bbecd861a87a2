"""The key ``compare``: which variants are compared with which, in what, and what is asked of them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pytest_eng5.scenario.fields import AS_TEXT, Confidence, Number, VariantId

__all__ = ["CompareKeys", "CompareMetricKeys", "CompareMetricsKeys", "UndecidedComparison"]

UndecidedComparison: TypeAlias = Literal["fail", "warn"]

_UndecidedText = Annotated[UndecidedComparison, AS_TEXT]


class CompareMetricKeys(BaseModel):
    """What is asked of one figure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_improvement: Number | None = Field(
        None, description="In place of the one for all figures.", examples=[0.02, 1]
    )


class CompareMetricsKeys(BaseModel):
    """Figures to compare; each becomes one test item per candidate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kendall_tau: CompareMetricKeys | None = Field(None, description="tau-b over the common pairs.")
    direct_inversions: CompareMetricKeys | None = Field(
        None, description="Common pairs in which the lower grade won; fewer is better."
    )
    agreement: CompareMetricKeys | None = Field(
        None,
        description="Share of comparisons that the better grade won, as the mean over the common pairs of "
        "different grades.",
    )


class CompareKeys(BaseModel):
    """Variants compared on the anchor pairs that both judged; needs the runs of all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    baseline: VariantId = Field(
        description="Id of the variant that the others are compared with.", examples=["language_control"]
    )
    candidates: list[VariantId] | None = Field(
        None,
        description="Ids of the variants that are compared with it; default all others.",
        examples=[["usage_content_parity"]],
    )
    metrics: CompareMetricsKeys | None = Field(
        None,
        description="Figures to compare; default kendall_tau.",
        examples=[{"kendall_tau": {"min_improvement": 0.02}, "direct_inversions": {"min_improvement": 1}}],
    )
    min_improvement: Number | None = Field(
        None,
        description="By how much a candidate has to be better, in units of the figure; default 0. Below 0: "
        "by how much it may be worse.",
        examples=[0.02, -0.05],
    )
    confidence: Confidence | None = Field(
        None, description="Of the interval that has to lie above that; default 0.95.", examples=[0.95]
    )
    undecided: _UndecidedText | None = Field(
        None, description="Outcome when the interval straddles it; default fail.", examples=["fail", "warn"]
    )
