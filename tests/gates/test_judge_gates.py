"""Gates on judge and anchors: never green on nothing, and with the name of the anchor."""

from __future__ import annotations

from itertools import combinations

import pytest

from pytest_eng5.gates import METRICS, contradictions, judge, unreachable

JUDGE = sorted(name for name, info in METRICS.items() if info.of_judge)
ALWAYS = {"min": -1e9, "max": 1e9}
SIX = ["A", "B", "C", "D", "E", "F"]


def reason(limit, metrics, name: str) -> str | None:
    verdict = judge(limit(name, **ALWAYS), metrics)
    assert verdict.passed == (verdict.reason is None)
    return verdict.reason


def test_which_they_are() -> None:
    assert set(JUDGE) == {
        *("first_rate", "position_effect", "circular_triads", "consistence", "judge_infit", "judge_outfit"),
        *("worst_infit", "worst_outfit", "misfitting_anchors", "suspect_grades", "split_half"),
    }


def test_a_sound_run_has_them_all(limit, measured, full_round) -> None:
    metrics = measured(SIX, [*full_round(6), (0, 1, "B")])
    assert [name for name in JUDGE if reason(limit, metrics, name)] == []


def test_of_two_anchors_there_is_nothing_to_say(limit, measured) -> None:
    metrics = measured(["A", "B"], [(0, 1)] * 5)
    assert [name for name in JUDGE if reason(limit, metrics, name) is None] == ["suspect_grades"]
    for name in ("consistence", "circular_triads", "judge_infit", "worst_outfit", "split_half"):
        assert reason(limit, metrics, name) == "it takes at least 3 anchors, and there are 2"


def test_a_chain_of_comparisons_tests_nothing(limit, measured) -> None:
    """Each anchor met the next one, five times: scores fit whatever came out."""
    metrics = measured(SIX, [(k, k + 1) for k in range(5)] * 5)
    for name in ("judge_infit", "judge_outfit", "worst_infit", "worst_outfit", "misfitting_anchors"):
        assert reason(limit, metrics, name) == "5 pairs close no circle, so scores fit any outcome"
    for name in ("circular_triads", "consistence"):
        assert "no three anchors were all compared with each other" in (reason(limit, metrics, name) or "")
    assert "tells the order from the essays" in (reason(limit, metrics, "position_effect") or "")


def test_nobody_can_stand_out_of_five(limit, measured, full_round) -> None:
    assert "fewer than 6 anchors" in (
        reason(limit, measured(SIX[:5], full_round(5)), "misfitting_anchors") or ""
    )
    assert reason(limit, measured(SIX, full_round(6)), "misfitting_anchors") is None


def test_nobody_is_suspected_on_single_meetings(limit, measured) -> None:
    metrics = measured(["A", "B", "C"], [(0, 1), (1, 2)])
    assert "no anchor has two comparisons with lower grades" in (
        reason(limit, metrics, "suspect_grades") or ""
    )


def test_an_even_pair_decides_no_triad(limit, measured) -> None:
    metrics = measured(["A", "B", "C"], [(0, 1), (1, 0), (1, 2), (0, 2)])
    assert "each pair with a majority" in (reason(limit, metrics, "consistence") or "")


def test_the_position_bias_of_the_design_needs_no_both_orders(limit, perfect) -> None:
    assert reason(limit, perfect, "position_bias") is None
    assert reason(limit, perfect, "first_rate") == "no pair was seen in both orders"


@pytest.fixture(scope="module")
def odd(measured):
    """Twelve anchors in twelve grades; the fourth loses to everything below it."""
    grades = ["A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "E", "F"]
    games = [(j, i) if i == 3 else (i, j) for i, j in combinations(range(12), 2)]
    return measured(grades, games)


class TestWhoItIs:
    def test_an_anchor_that_loses_to_everything_below_it(self, limit, odd) -> None:
        verdict = judge(limit("suspect_grades", max=0), odd)
        assert verdict.message == "FAIL suspect_grades 1 > 0 (66 comparisons)"
        assert verdict.hint == "a3 (B) may be graded too high: ask an expert"

    def test_the_worst_fit_is_named(self, limit, odd) -> None:
        verdict = judge(limit("worst_infit", max=0.1), odd)
        assert verdict.hint
        worst = max(odd.quality.anchors, key=lambda row: row.infit)
        assert verdict.hint.startswith(f"{worst.id} ({worst.grade}) has infit {worst.infit:.2f}:")
        assert verdict.value == worst.infit

    def test_misfits_are_named(self, limit, measured) -> None:
        """The seventh beats the best three and loses to the worst three, three times each."""
        games = []
        for i, j in combinations(range(12), 2):
            upset = (j == 6 and i < 3) or (i == 6 and j > 8)
            games += [(j, i) if upset else (i, j)] * 3
        verdict = judge(limit("misfitting_anchors", max=0), measured(["A"] * 6 + ["C"] * 6, games))
        assert verdict.message.startswith("FAIL misfitting_anchors 1 > 0")
        assert (verdict.hint or "").startswith("a6 (C) has infit ")

    def test_what_passes_needs_no_names(self, limit, odd) -> None:
        assert judge(limit("suspect_grades", max=1), odd).hint is None


class TestBeforeAnyRun:
    @pytest.mark.parametrize("name", ["consistence", "circular_triads", "worst_infit", "split_half"])
    def test_two_anchors_are_too_few(self, limit, name: str) -> None:
        assert unreachable(limit(name, max=0.5), [0, 3]) == (
            f"{name} cannot be measured: it takes at least 3 anchors, and there are 2"
        )
        assert unreachable(limit(name, max=0.5), [0, 3, 6]) is None

    def test_more_circular_triads_than_there_can_be(self, limit, role_model_ranks) -> None:
        """70 among 12, as Kendall and Babington Smith have it: (1728 - 48) / 24."""
        assert unreachable(limit("circular_triads", min=70), role_model_ranks) is None
        assert "at most 70 triads" in (unreachable(limit("circular_triads", min=71), role_model_ranks) or "")

    def test_more_odd_anchors_than_anchors(self, limit, role_model_ranks) -> None:
        assert "there are 12 anchors" in (
            unreachable(limit("suspect_grades", min=13), role_model_ranks) or ""
        )

    def test_no_zeta_above_one(self, limit, role_model_ranks) -> None:
        assert unreachable(limit("consistence", min=1.01), role_model_ranks) is not None
        assert unreachable(limit("split_half", min=1.0), role_model_ranks) is None

    def test_one_round_shows_no_pair_in_both_orders(self, limit, role_model_ranks) -> None:
        threshold = limit("first_rate", min=0.4, max=0.6)
        (found,) = contradictions([threshold], role_model_ranks)
        assert "so first_rate cannot be measured" in found.reason
        assert contradictions([threshold], role_model_ranks, 132) == []
