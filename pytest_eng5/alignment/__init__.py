"""Numbers: how well a judge's comparisons agree with expert grades, and how sure that is.

Depends on numpy and scipy only. The scores are re-derived here, not taken from the pipeline's library, so
that a check of the pipeline's scores shares no code with it. Definitions: :mod:`.agreement` (tau,
inversions, zero wins), :mod:`.bias` (position), :mod:`.bradley_terry` (scores and standard errors),
:mod:`.graph` (coverage, connectedness), :mod:`.bootstrap` and :mod:`.intervals` (uncertainty); all together:
:func:`alignment_metrics`. The judge itself: :mod:`.consistency`, :mod:`.fit_statistics`,
:mod:`.position_model`; all together: :func:`judge_quality`.
"""

from __future__ import annotations

from pytest_eng5.alignment.agreement import (
    attainable_tau_a,
    attainable_tau_b,
    decidable_comparisons,
    decidable_pairs,
    direct_inversions,
    expected_zero_wins,
    forced_tau,
    inverted_comparisons,
    kendall_tau_a,
    kendall_tau_b,
    majority_inversions,
    zero_wins,
)
from pytest_eng5.alignment.bias import first_rates, flip_rate, flip_rates, pairs_in_both_orders, position_bias
from pytest_eng5.alignment.bootstrap import leave_one_out, resamples, simulated_wins
from pytest_eng5.alignment.bootstrap_intervals import bca_interval, bootstrap_intervals
from pytest_eng5.alignment.bradley_terry import (
    ALPHA,
    BradleyTerryFit,
    ConvergenceError,
    fit_bradley_terry,
    fit_wins,
    information_matrix,
    standard_errors,
)
from pytest_eng5.alignment.calibrated import calibrated_scores, predictive_scale
from pytest_eng5.alignment.comparison import (
    COMPARED,
    Difference,
    VariantComparison,
    compare_runs,
    compare_variants,
    holm,
)
from pytest_eng5.alignment.consistency import (
    SplitHalf,
    circular_triads,
    consistence,
    decided_triads,
    greatest_circular_triads,
    split_half,
)
from pytest_eng5.alignment.data import AlignmentData, AlignmentDataError
from pytest_eng5.alignment.deciding import (
    comparisons_to_decide,
    comparisons_to_decide_reliability,
    comparisons_to_decide_share,
)
from pytest_eng5.alignment.figures import UPPER_GRADES, scale_separation_reliability
from pytest_eng5.alignment.fit_statistics import FitStatistics, fit_statistics
from pytest_eng5.alignment.graph import connected, coverage
from pytest_eng5.alignment.intervals import (
    fisher_interval,
    percentile_interval,
    reliability_interval,
    wilson_interval,
    wilson_number,
)
from pytest_eng5.alignment.judge_quality import AnchorQuality, JudgeQuality, judge_quality
from pytest_eng5.alignment.matching import improved_judge, judge_of_run
from pytest_eng5.alignment.metrics import alignment_metrics
from pytest_eng5.alignment.planning import (
    Plan,
    Precision,
    comparisons_for_width,
    comparisons_to_detect,
    detectable_difference,
    power_of,
    precision_at,
)
from pytest_eng5.alignment.position_model import PositionFit, fit_outcomes, fit_with_position
from pytest_eng5.alignment.power import (
    Batches,
    Detection,
    Planned,
    Room,
    plan_detection,
    plan_gate,
    plan_width,
    precision_of,
    room_for_difference,
    smallest_difference,
    tau_at,
)
from pytest_eng5.alignment.repeats import (
    ENOUGH_REPEATS,
    RepeatedFigure,
    RepeatSummary,
    distance_to_gate,
    pool,
    repeat_summary,
    repeated_figure,
    simulated_spreads,
    spread_interval,
)
from pytest_eng5.alignment.results import (
    AlignmentMetrics,
    AnchorRow,
    BootstrapInfo,
    InversionRow,
    MetricValue,
    Population,
)
from pytest_eng5.alignment.simulated_intervals import (
    GATED,
    DecidableBounds,
    GateOdds,
    decidable_bounds,
    gate_odds,
    interval_ends,
)
from pytest_eng5.alignment.simulation import SimulatedJudge, simulated_outcomes, simulated_runs, stated_judge

__all__ = [
    "ALPHA",
    "COMPARED",
    "ENOUGH_REPEATS",
    "GATED",
    "UPPER_GRADES",
    "AlignmentData",
    "AlignmentDataError",
    "AlignmentMetrics",
    "AnchorQuality",
    "AnchorRow",
    "Batches",
    "BootstrapInfo",
    "BradleyTerryFit",
    "ConvergenceError",
    "DecidableBounds",
    "Detection",
    "Difference",
    "FitStatistics",
    "GateOdds",
    "InversionRow",
    "JudgeQuality",
    "MetricValue",
    "Plan",
    "Planned",
    "Population",
    "PositionFit",
    "Precision",
    "RepeatSummary",
    "RepeatedFigure",
    "Room",
    "SimulatedJudge",
    "SplitHalf",
    "VariantComparison",
    "alignment_metrics",
    "attainable_tau_a",
    "attainable_tau_b",
    "bca_interval",
    "bootstrap_intervals",
    "calibrated_scores",
    "circular_triads",
    "compare_runs",
    "compare_variants",
    "comparisons_for_width",
    "comparisons_to_decide",
    "comparisons_to_decide_reliability",
    "comparisons_to_decide_share",
    "comparisons_to_detect",
    "connected",
    "consistence",
    "coverage",
    "decidable_bounds",
    "decidable_comparisons",
    "decidable_pairs",
    "decided_triads",
    "detectable_difference",
    "direct_inversions",
    "distance_to_gate",
    "expected_zero_wins",
    "first_rates",
    "fisher_interval",
    "fit_bradley_terry",
    "fit_outcomes",
    "fit_statistics",
    "fit_wins",
    "fit_with_position",
    "flip_rate",
    "flip_rates",
    "forced_tau",
    "gate_odds",
    "greatest_circular_triads",
    "holm",
    "improved_judge",
    "information_matrix",
    "interval_ends",
    "inverted_comparisons",
    "judge_of_run",
    "judge_quality",
    "kendall_tau_a",
    "kendall_tau_b",
    "leave_one_out",
    "majority_inversions",
    "pairs_in_both_orders",
    "percentile_interval",
    "plan_detection",
    "plan_gate",
    "plan_width",
    "pool",
    "position_bias",
    "power_of",
    "precision_at",
    "precision_of",
    "predictive_scale",
    "reliability_interval",
    "repeat_summary",
    "repeated_figure",
    "resamples",
    "room_for_difference",
    "scale_separation_reliability",
    "simulated_outcomes",
    "simulated_runs",
    "simulated_spreads",
    "simulated_wins",
    "smallest_difference",
    "split_half",
    "spread_interval",
    "standard_errors",
    "stated_judge",
    "tau_at",
    "wilson_interval",
    "wilson_number",
    "zero_wins",
]
