"""Variants against each other: exact tests against brute force, and what must not matter."""

from __future__ import annotations

import json
import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, kendalltau

from pytest_eng5.alignment import (
    COMPARED,
    AlignmentData,
    AlignmentDataError,
    SimulatedJudge,
    compare_runs,
    compare_variants,
    fit_wins,
    holm,
    simulated_runs,
)

GRADES = ["A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+"]
QUALITY = np.linspace(2, -2, 12)


def judged(make, discrimination: float, seed: int, rounds: int = 1, n: int = 12) -> AlignmentData:
    rng = np.random.default_rng(seed)
    games = []
    for i, j in [*combinations(range(n), 2)] * rounds:
        upper = rng.random() < 1 / (1 + math.exp(discrimination * (QUALITY[j] - QUALITY[i])))
        games.append((i, j) if upper else (j, i))
    return make(GRADES[:n], games)


class TestHolm:
    def test_the_worked_example(self) -> None:
        """Four p-values: 0.01·4, then 0.02·3, 0.03·2 (not below the one before), 0.04·1 likewise."""
        assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])

    def test_one_is_left_alone(self) -> None:
        assert holm([0.04]) == [0.04]

    def test_never_above_one(self) -> None:
        assert holm([0.9, 0.8]) == [1.0, 1.0]

    def test_what_was_not_tested_does_not_count(self) -> None:
        found = holm([0.02, math.nan, 0.03])
        assert found[0] == pytest.approx(0.04)
        assert math.isnan(found[1])
        assert holm([]) == []

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    def test_rejects_what_the_step_down_procedure_rejects(self, p_values: list[float]) -> None:
        rejected: set[int] = set()
        for position, k in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
            if p_values[k] * (len(p_values) - position) > 0.05:
                break
            rejected.add(k)
        assert {k for k, p in enumerate(holm(p_values)) if p <= 0.05} == rejected


def brute_force(one: AlignmentData, other: AlignmentData) -> dict[str, float]:
    """Exact p-values from every way to swap the pairs, with scipy's tau."""
    tables = np.stack([one.wins(), other.wins()])
    ranks = one.ranks()
    pairs = list(combinations(range(len(ranks)), 2))
    decidable = [(i, j) if ranks[i] < ranks[j] else (j, i) for i, j in pairs if ranks[i] != ranks[j]]

    def differences(both: np.ndarray) -> list[float]:
        taus = [kendalltau(-ranks, fit_wins(wins).round(9)).statistic for wins in both]
        inversions = [sum(wins[j, i] > 0 for i, j in decidable) for wins in both]
        shares = [np.mean([wins[i, j] / (wins[i, j] + wins[j, i]) for i, j in decidable]) for wins in both]
        return [v[1] - v[0] for v in (taus, inversions, shares)]

    found = np.array(differences(tables))
    everything = []
    for sides in product([False, True], repeat=len(pairs)):
        both = tables.copy()
        for swap, (i, j) in zip(sides, pairs, strict=True):
            if swap:
                for cell in ((i, j), (j, i)):
                    both[:, cell[0], cell[1]] = both[::-1, cell[0], cell[1]]
        everything.append(differences(both))
    distance = np.abs(np.array(everything)) - np.abs(found)
    further = ~(distance <= 1e-9)
    alike = np.abs(distance) <= 1e-9
    middle = np.where(np.abs(found) < 1e-9, 1.0, (further + alike / 2).mean(axis=0))
    p_values = np.where(np.isnan(found), np.nan, middle)
    return dict(zip(COMPARED, p_values, strict=True))


class TestPermutation:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("rounds", [1, 2])
    def test_brute_force(self, make, seed: int, rounds: int) -> None:
        one, other = judged(make, 0.2, seed, rounds, n=4), judged(make, 1.5, seed + 50, rounds, n=4)
        found = compare_runs(one, other)
        assert found.exact
        expected = brute_force(one, other)
        for name in COMPARED:
            assert found.differences[name].p_value == pytest.approx(expected[name], nan_ok=True), name

    @pytest.mark.parametrize("seed", range(2))
    def test_agreement_with_one_comparison_per_pair_is_mcnemars_mid_p_test(self, make, seed: int) -> None:
        one, other = judged(make, 0.4, seed), judged(make, 0.9, seed + 9)
        ranks = one.ranks()
        gained = lost = 0
        for i, j in combinations(range(12), 2):
            if ranks[i] != ranks[j]:
                gained += other.wins()[i, j] > one.wins()[i, j]
                lost += other.wins()[i, j] < one.wins()[i, j]
        exact = binomtest(int(gained), int(gained + lost)).pvalue
        expected = exact - binom.pmf(gained, gained + lost, 0.5) if gained != lost else 1.0
        found = compare_runs(one, other, permutations=4000).differences["pair_agreement"]
        assert found.p_value == pytest.approx(expected, abs=0.025)

    def test_unequal_numbers_are_dealt_out(self, make) -> None:
        """One comparison against three: the hypergeometric distribution of the first variant's wins."""
        one = make(["A", "B"], [(1, 0)])
        other = make(["A", "B"], [(0, 1), (0, 1), (1, 0)])
        found = compare_runs(one, other, permutations=2000)
        assert not found.exact
        # Two of four comparisons were won by A. The one is a win with 1/2: then 1/3 - 1 = -2/3, else 2/3.
        assert found.differences["pair_agreement"].p_value == pytest.approx(0.5, abs=0.001)
        assert found.comparisons == (1, 3)

    def test_the_same_run_twice(self, make) -> None:
        run = judged(make, 0.7, 0)
        found = compare_runs(run, run)
        assert found.exact
        assert found.permutations == 1
        assert found.differing_pairs == 0
        for difference in found.differences.values():
            assert (difference.difference, difference.p_value) == (0, 1)

    def test_a_far_better_variant(self, make) -> None:
        found = compare_runs(judged(make, 0.1, 0, 3), judged(make, 3.0, 1, 3)).differences["kendall_tau"]
        assert found.difference > 0.2
        assert found.p_value < 0.01
        assert (found.low or 0) > 0

    def test_the_interval_of_a_great_difference_is_no_wider_than_resampling_says(
        self, make, full_round
    ) -> None:
        """Permutations of opposite judges scatter widely, repeats of either do not."""
        one = make(GRADES[::2], [(j, i) for i, j in full_round(6)] * 3)
        other = make(GRADES[::2], full_round(6) * 3)
        found = compare_runs(one, other).differences["kendall_tau"]
        assert found.difference == pytest.approx(2)
        assert (found.low or 0) > 1
        by_permutation = compare_runs(one, other, resamples=0).differences["kendall_tau"]
        assert (by_permutation.low or 0) < (found.low or 0)

    def test_repeats_that_are_no_news_make_no_evidence(self, make) -> None:
        """Every comparison five times over: whole pairs change sides, so the p-value stays what it was."""
        one, other = judged(make, 0.5, 3), judged(make, 1.0, 4)
        often = [
            make(GRADES, [(int(w), int(x)) for w, x in zip(run.winners, run.losers, strict=True)] * 5)
            for run in (one, other)
        ]
        once = compare_runs(one, other, seed=3).differences["pair_agreement"]
        repeated = compare_runs(*often, seed=3).differences["pair_agreement"]
        assert repeated.p_value == once.p_value

    @pytest.mark.slow
    def test_a_true_null_is_rejected_as_often_as_promised(self, make) -> None:
        """60 pairs of runs of one judge at 10 %; ``make calibration`` measures it more closely."""
        judge = SimulatedJudge(QUALITY * 0.7, judged(make, 1, 0).ranks())
        tables = np.concatenate(list(simulated_runs(judge, 66, 120, 5)))
        rejected = []
        for one, other in zip(tables[::2], tables[1::2], strict=True):
            runs = [
                make(GRADES, [(int(i), int(j)) for i, j in np.argwhere(wins > 0)]) for wins in (one, other)
            ]
            found = compare_runs(*runs, permutations=150, resamples=0)
            rejected.append(found.differences["kendall_tau"].p_value <= 0.1)
        assert np.mean(rejected) <= 0.2


class TestPairs:
    def test_only_common_pairs_count(self, make) -> None:
        one = make(["A", "B", "C", "D"], [(0, 1), (0, 2), (1, 2), (2, 3)])
        other = make(["A", "B", "C", "D"], [(0, 1), (2, 0), (1, 2), (0, 3)])
        found = compare_runs(one, other)
        assert (found.pairs, found.pairs_left_out, found.anchors) == (3, 2, 3)
        assert found.comparisons == (3, 3)
        assert found.differing_pairs == 1
        assert found.differences["kendall_tau"].baseline == pytest.approx(1)
        assert found.differences["direct_inversions"].candidate == 1
        assert found.differences["pair_agreement"].candidate == pytest.approx(2 / 3)

    def test_no_common_pair(self, make) -> None:
        found = compare_runs(make(["A", "B", "C"], [(0, 1)]), make(["A", "B", "C"], [(1, 2)]))
        assert found.pairs == 0
        for difference in found.differences.values():
            assert math.isnan(difference.difference)
            assert math.isnan(difference.p_value)
            assert difference.low is None

    def test_nothing_at_all(self, make) -> None:
        found = compare_runs(make([], []), make(["A", "B"], [(0, 1)]))
        assert (found.pairs, found.pairs_left_out) == (0, 0)

    def test_equal_grades_leave_the_figures_undefined(self, make, full_round) -> None:
        found = compare_runs(make(["B"] * 3, full_round(3)), make(["B"] * 3, [(1, 0), (0, 2), (1, 2)]))
        assert all(math.isnan(difference.p_value) for difference in found.differences.values())

    def test_anchors_of_one_only_and_unknown_grades_are_left_out(self, make) -> None:
        one = make(["A", "B", None], [(0, 1), (2, 0)], ids=["a", "b", "x"])
        other = make(["B", "A", "C"], [(1, 0), (1, 2)], ids=["b", "a", "c"])
        found = compare_runs(one, other)
        assert (found.anchors, found.pairs) == (2, 1)
        assert found.differences["pair_agreement"].baseline == 1
        assert found.differences["pair_agreement"].candidate == 1

    def test_grades_that_contradict_each_other(self, make) -> None:
        with pytest.raises(AlignmentDataError, match="anchor-1 has different grades"):
            compare_runs(make(["A", "B"], [(0, 1)]), make(["A", "C"], [(0, 1)]))


class TestVariants:
    def test_everybody_against_the_baseline_with_holm(self, make) -> None:
        variants = {f"v{k}": judged(make, d, k, 2) for k, d in enumerate((0.3, 0.4, 1.0, 3.0))}
        found = compare_variants(variants, "v0", permutations=500)
        assert [one.candidate for one in found] == ["v1", "v2", "v3"]
        assert {one.baseline for one in found} == {"v0"}
        for name in COMPARED:
            raw = [one.differences[name].p_value for one in found]
            adjusted = [one.differences[name].adjusted_p_value for one in found]
            assert adjusted == pytest.approx(holm(raw))
            assert all(a >= p for a, p in zip(adjusted, raw, strict=True))

    @pytest.mark.parametrize("names", [("v0",), ("v1", "v2")])
    def test_a_baseline_and_another_are_needed(self, make, names: tuple[str, ...]) -> None:
        with pytest.raises(AlignmentDataError, match="baseline is to be v0"):
            compare_variants({name: judged(make, 1, 0) for name in names}, "v0")

    @pytest.mark.parametrize("bad", [{"permutations": 0}, {"resamples": -1}, {"confidence": 1.0}])
    def test_nonsense_is_refused(self, make, bad: dict[str, float]) -> None:
        with pytest.raises(AlignmentDataError):
            compare_runs(judged(make, 1, 0), judged(make, 1, 1), **bad)  # type: ignore[arg-type]

    def test_json(self, make) -> None:
        found = compare_runs(judged(make, 1, 0), make(GRADES, []))
        plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert plain["differences"]["kendall_tau"]["p_value"] is None
        assert set(plain["differences"]) == set(COMPARED)


class TestWhatMustNotMatter:
    def test_seeds(self, make) -> None:
        one, other = judged(make, 0.5, 0), judged(make, 1.0, 1)
        first = compare_runs(one, other, permutations=100, seed=1)
        assert first.to_dict() == compare_runs(one, other, permutations=100, seed=1).to_dict()
        again = compare_runs(one, other, permutations=100, seed=2)
        assert again.differences["kendall_tau"].difference == first.differences["kendall_tau"].difference
        assert again.differences["kendall_tau"].low != first.differences["kendall_tau"].low

    def test_exchanging_the_two_turns_the_signs(self, make) -> None:
        one, other = judged(make, 0.5, 0, n=5), judged(make, 2.0, 1, n=5)
        there, back = compare_runs(one, other), compare_runs(other, one)
        for name in COMPARED:
            assert back.differences[name].difference == pytest.approx(-there.differences[name].difference)
            assert back.differences[name].p_value == pytest.approx(there.differences[name].p_value)

    @given(st.randoms(use_true_random=False), st.integers(0, 20))
    @settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_order_of_anchors_and_events(self, make, shuffler, seed: int) -> None:
        one, other = judged(make, 0.5, seed, n=6), judged(make, 1.5, seed + 1, n=6)
        ids = list(other.ids)
        shuffler.shuffle(ids)
        games = list(zip(other.winners.tolist(), other.losers.tolist(), strict=True))
        shuffler.shuffle(games)
        moved = make(GRADES[:6], games).ordered_as(ids)
        before = compare_runs(one, other, permutations=64)
        assert compare_runs(one, moved, permutations=64).to_dict() == before.to_dict()
