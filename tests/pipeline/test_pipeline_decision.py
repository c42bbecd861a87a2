"""The decision table, against an oracle that reads contract 7.5 line by line over all facts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.pipeline.cj.decision import Decision, WaveFacts, assess, decide, may_resample
from pytest_eng5.pipeline.settings import CJSettings

SETTINGS = CJSettings()
TWELVE = WaveFacts(essays=12, budget=66, submitted=6, completed=6, failed=0, covered_pairs=6)


def oracle(facts: WaveFacts, settings: CJSettings, resampling: bool = True) -> str:
    """Contract 7.5, one sentence after the other, without any of the code under test."""
    callbacks = facts.completed + facts.failed
    pending = facts.submitted - callbacks
    total_pairs = facts.essays * (facts.essays - 1) / 2
    success_rate = facts.completed / callbacks if callbacks else None
    stability_passed = False
    if facts.max_score_change is not None and callbacks >= settings.min_comparisons_for_stability_check:
        stability_passed = facts.max_score_change <= settings.score_stability_threshold and (
            success_rate is None or success_rate >= settings.min_success_rate_threshold
        )
    callbacks_reached_cap = callbacks >= facts.budget
    budget_exhausted = facts.budget - facts.submitted <= 0
    coverage_complete = facts.covered_pairs >= total_pairs
    small_net = facts.essays <= settings.min_resampling_net_size
    passes_cap = settings.max_resampling_passes_for_small_net
    small_net_cap = small_net and coverage_complete and facts.resampling_passes >= passes_cap
    low_success = False
    if callbacks:
        low_success = facts.completed == 0 or success_rate < settings.min_success_rate_threshold  # type: ignore[operator]
    limit = callbacks_reached_cap or budget_exhausted or small_net_cap

    if pending > 0:
        return "WAIT_FOR_CALLBACKS"
    if not small_net:
        passes_cap = min(settings.max_resampling_passes_for_regular_batch, passes_cap)
    if (
        resampling
        and not facts.provider_batch_api
        and facts.resampling_passes < passes_cap
        and not stability_passed
        and facts.budget - facts.submitted > 0
        and not (low_success and limit)
        and coverage_complete
        and (small_net or callbacks < facts.budget)
    ):
        return "RESAMPLE"
    if low_success and limit:
        return "FINALIZE_FAILURE"
    if stability_passed or limit:
        return "FINALIZE_SCORING"
    if facts.budget - facts.submitted > 0 and not facts.provider_batch_api:
        return "REQUEST_MORE_COMPARISONS"
    return "NO_OP"


def every_fact() -> Iterator[WaveFacts]:
    """Small nets and regular ones around every threshold of the table."""
    for essays, budget in itertools.product((2, 3, 4, 5), (1, 3, 6, 10, 15)):
        pairs = essays * (essays - 1) // 2
        for completed, failed, pending in itertools.product((0, 1, 3, 4, 8, 12, 15), (0, 1, 2, 3), (0, 1)):
            for covered in {min(completed, pairs), max(0, min(completed, pairs) - 1)}:
                for passes, change in itertools.product((0, 1, 3, 4, 5), (None, 0.0, 0.025, 0.0251)):
                    for batch_api in (False, True):
                        yield WaveFacts(
                            essays=essays,
                            budget=budget,
                            submitted=completed + failed + pending,
                            completed=completed,
                            failed=failed,
                            covered_pairs=covered,
                            resampling_passes=passes,
                            max_score_change=change,
                            provider_batch_api=batch_api,
                        )


@pytest.mark.parametrize("resampling", [True, False])
def test_the_table_agrees_with_the_contract_everywhere(resampling: bool) -> None:
    seen = set()
    for facts in every_fact():
        expected = oracle(facts, SETTINGS, resampling)
        assert decide(facts, SETTINGS, resampling=resampling).value == expected, facts
        seen.add(expected)
    reachable = {decision.value for decision in Decision} - (set() if resampling else {"RESAMPLE"})
    assert seen == reachable


@given(
    st.builds(
        WaveFacts,
        essays=st.integers(2, 30),
        budget=st.integers(1, 500),
        submitted=st.integers(0, 500),
        completed=st.integers(0, 400),
        failed=st.integers(0, 100),
        covered_pairs=st.integers(0, 435),
        resampling_passes=st.integers(0, 6),
        max_score_change=st.none() | st.floats(0, 5),
        provider_batch_api=st.booleans(),
    ),
    st.builds(
        CJSettings,
        min_success_rate_threshold=st.floats(0, 1),
        score_stability_threshold=st.floats(0, 1),
        min_comparisons_for_stability_check=st.integers(0, 40),
        min_resampling_net_size=st.integers(0, 12),
        max_resampling_passes_for_small_net=st.integers(0, 5),
        max_resampling_passes_for_regular_batch=st.integers(0, 5),
    ),
)
def test_the_table_agrees_with_the_contract_under_any_settings(
    facts: WaveFacts, settings: CJSettings
) -> None:
    assert decide(facts, settings).value == oracle(facts, settings)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"submitted": 7}, Decision.WAIT_FOR_CALLBACKS, id="a callback is pending"),
        pytest.param({}, Decision.REQUEST_MORE_COMPARISONS, id="first wave of many"),
        pytest.param(
            {"completed": 0, "failed": 6, "covered_pairs": 0},
            Decision.REQUEST_MORE_COMPARISONS,
            id="a low success rate alone does not stop a batch",
        ),
        pytest.param(
            {"submitted": 66, "completed": 66, "covered_pairs": 66},
            Decision.FINALIZE_SCORING,
            id="round robin within budget",
        ),
        pytest.param(
            {"submitted": 66, "completed": 52, "failed": 14, "covered_pairs": 52},
            Decision.FINALIZE_FAILURE,
            id="52 of 66 is below 80 per cent",
        ),
        pytest.param(
            {"submitted": 66, "completed": 53, "failed": 13, "covered_pairs": 53},
            Decision.FINALIZE_SCORING,
            id="53 of 66 is above 80 per cent",
        ),
        pytest.param(
            {"submitted": 12, "completed": 12, "max_score_change": 0.025, "covered_pairs": 12},
            Decision.FINALIZE_SCORING,
            id="stable at exactly the threshold",
        ),
        pytest.param(
            {"submitted": 11, "completed": 11, "max_score_change": 0.0, "covered_pairs": 11},
            Decision.REQUEST_MORE_COMPARISONS,
            id="too few comparisons to be called stable",
        ),
        pytest.param(
            {"budget": 120, "submitted": 66, "completed": 66, "covered_pairs": 66, "max_score_change": 1.0},
            Decision.RESAMPLE,
            id="covered with budget left",
        ),
        pytest.param(
            {
                "budget": 120,
                "submitted": 72,
                "completed": 72,
                "covered_pairs": 66,
                "max_score_change": 1.0,
                "resampling_passes": 1,
            },
            Decision.REQUEST_MORE_COMPARISONS,
            id="a regular net resamples once",
        ),
    ],
)
def test_named_cases(changes: dict[str, object], expected: Decision) -> None:
    assert decide(replace(TWELVE, **changes), SETTINGS) is expected  # type: ignore[arg-type]


def test_a_small_net_resamples_up_to_its_cap_and_then_is_scored() -> None:
    decisions = []
    for passes in range(6):
        done = 3 * (passes + 1)
        facts = WaveFacts(
            essays=3,
            budget=100,
            submitted=done,
            completed=done,
            failed=0,
            covered_pairs=3,
            resampling_passes=passes,
            max_score_change=1.0,
        )
        decisions.append(decide(facts, SETTINGS))
    assert decisions == [Decision.RESAMPLE] * 4 + [Decision.FINALIZE_SCORING] * 2


def test_the_regular_cap_is_never_above_the_small_nets() -> None:
    settings = CJSettings(max_resampling_passes_for_regular_batch=9, max_resampling_passes_for_small_net=2)
    facts = replace(TWELVE, budget=500, submitted=66, completed=66, covered_pairs=66, resampling_passes=2)
    assert not may_resample(facts, assess(facts, settings), settings)
    assert may_resample(replace(facts, resampling_passes=1), assess(facts, settings), settings)


def test_no_callbacks_means_no_success_rate_and_no_failure() -> None:
    state = assess(replace(TWELVE, submitted=0, completed=0, covered_pairs=0), SETTINGS)
    assert state.success_rate is None
    assert not state.low_success


@pytest.mark.parametrize(("done", "reached"), [(65, False), (66, True), (67, True)])
def test_the_cap_is_reached_with_the_last_callback(done: int, reached: bool) -> None:
    facts = replace(TWELVE, submitted=done, completed=done, covered_pairs=done)
    assert assess(facts, SETTINGS).callbacks_reached_cap is reached
