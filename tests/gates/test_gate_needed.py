"""To the last comparison and word for word: what would decide an undecided gate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from statistics import NormalDist
from typing import Any

import pytest

from pytest_eng5.alignment import AlignmentMetrics, MetricValue, Population, wilson_interval
from pytest_eng5.gates import Needed, needed_to_decide

STAYS = "if the value stays where it is"
GROWS = "if it grows as Spearman and Brown say"
CONFIDENCE = 0.9
HALF_DONE = Population(
    anchors=12,
    graded=12,
    unknown_grade=(),
    uncompared=(),
    distinct_grades=9,
    comparisons=100,
    excluded_comparisons=0,
    decidable_comparisons=80,
    upper_comparisons=60,
    decidable_pairs=60,
    decidable_pairs_compared=30,
    upper_pairs=36,
    upper_pairs_compared=16,
    pairs=66,
    pairs_compared=50,
    pairs_in_both_orders=20,
    connected=True,
)
Asked = Callable[..., Needed]


@pytest.fixture
def asked(limit, perfect: AlignmentMetrics) -> Asked:
    """What would decide, of 12 anchors after 100 comparisons of 50 of the 66 pairs."""

    def ask(
        metric: str, numbers: tuple[Any, ...], population: Population = HALF_DONE, **bounds: float
    ) -> Needed:
        metrics = replace(
            perfect,
            values={metric: MetricValue(*numbers)},
            population=population,
            bootstrap=replace(perfect.bootstrap, confidence=CONFIDENCE),
        )
        return needed_to_decide(limit(metric, **bounds, confidence=CONFIDENCE), metrics)

    return ask


def wilson(share: float, number: float) -> tuple[float, float]:
    return wilson_interval(share * number, number, CONFIDENCE)


def first_off(bound: float, begin: int, ends: Callable[[int], tuple[float, float]]) -> int:
    """The least number from there on whose interval does not hold the bound."""
    return next(n for n in count(begin) if not ends(n)[0] <= bound <= ends(n)[1])


def more(number: int, provided: str = STAYS, done: int = 100) -> Needed:
    plural = "" if number == 1 else "s"
    return Needed(
        done + number,
        f"about {number} more comparison{plural} would decide, {provided}: "
        f"raise comparisons.max or repeats, to {done + number} in all",
        f"about {number} more would decide",
    )


def never(why: str) -> Needed:
    return Needed(None, f"no number of comparisons would decide: {why}", "no number would decide")


class TestWithoutAnEstimate:
    @pytest.mark.parametrize("ends", [(None, None), (0.8, None), (None, 0.95)])
    def test_there_is_no_interval(self, asked, ends: tuple[float | None, float | None]) -> None:
        assert asked("kendall_tau", (0.9, *ends, "bootstrap"), min=0.85) == Needed(
            None,
            "no interval could be computed: more than half of the resamples leave it undefined, or there "
            "are none",
            "there is no interval",
        )

    def test_the_interval_is_of_simulated_repeats(self, asked) -> None:
        assert asked("zero_win_anchors", (1.0, 0.0, 2.0, "model"), max=1) == Needed(
            None,
            "how many comparisons would decide is not estimated for this figure; more would help",
            "more comparisons would help",
        )

    @pytest.mark.parametrize("metric", ["kendall_tau", "ssr", "agreement", "position_effect"])
    def test_it_is_decided(self, asked, metric: str) -> None:
        method = "wilson" if metric == "agreement" else "wald"
        assert asked(metric, (0.5, 0.4, 0.6, method), min=0.3, max=0.7) == never(
            "the interval is off the threshold already"
        )

    @pytest.mark.parametrize(
        ("metric", "method"),
        [
            ("kendall_tau", "bootstrap"),
            ("kendall_tau_a", "bootstrap"),
            ("agreement", "wilson"),
            ("flip_rate", "wilson"),
            ("position_bias", "wilson"),
            ("position_effect", "wald"),
        ],
    )
    def test_the_value_lies_on_the_bound(self, asked, metric: str, method: str) -> None:
        found = asked(metric, (0.25, 0.1, 0.4, method), min=0.25)
        assert found == never("the value lies on the threshold")
        both = asked(metric, (0.25, 0.1, 0.4, method), min=0.15, max=0.25)
        assert both == found

    def test_no_reliability_grows_from_nothing(self, asked) -> None:
        assert asked("ssr", (0.0, -0.4, 0.3, "bootstrap"), min=0.2) == never(
            "more comparisons without a common scale do not make one"
        )


class TestByTheRoot:
    @pytest.mark.parametrize(
        ("numbers", "bounds", "number"),
        [
            ((0.5, 0.25, 0.75), {"max": 0.625}, 300),  # half the side: four times as many
            ((0.5, 0.0, 0.75), {"max": 0.625}, 300),
            ((0.5, 0.0, 1.0), {"min": 0.125}, 78),  # 100 * (4/3)^2 = 177.8
            ((-0.5, -1.0, 0.0), {"max": -0.125}, 78),
            ((0.5, 0.0, 1.0), {"min": 0.125, "max": 0.75}, 300),  # the nearer bound asks for more
            ((0.5, 0.0, 1.0), {"min": 0.0}, 1),  # an end of the interval belongs to it
            ((0.5, 0.0, 1.0), {"max": 1.0}, 1),
        ],
    )
    def test_by_hand(self, asked, numbers: Any, bounds: dict[str, float], number: int) -> None:
        assert asked("position_effect", (*numbers, "wald"), **bounds) == more(number)

    def test_when_all_pairs_are_compared(self, asked) -> None:
        population = replace(HALF_DONE, pairs_compared=66)
        found = asked("position_effect", (0.5, 0.0, 1.0, "wald"), population, min=0.125)
        assert found == replace(
            more(78),
            sentence=more(78).sentence
            + "; all 66 pairs are compared, so it repeats pairs, which is no news from a judge that "
            "repeats itself",
        )


class TestTau:
    @pytest.mark.parametrize("metric", ["kendall_tau", "kendall_tau_a"])
    @pytest.mark.parametrize("worth", [0.5, 1.0])
    @pytest.mark.parametrize(
        ("value", "bound"), [(0.9, 0.83), (0.5, 0.38), (-0.5, -0.36), (0.0, 0.12), (1.0, 0.97)]
    )
    def test_as_many_as_the_share_of_concordant_pairs_takes(
        self, asked, metric: str, value: float, bound: float, worth: float
    ) -> None:
        def ends(number: int) -> tuple[float, float]:
            low, high = wilson((1 + value) / 2, number * worth)
            return 2 * low - 1, 2 * high - 1

        number = first_off(bound, 100, ends) - 100
        assert number >= 1
        found = asked(metric, (value, *ends(100), "bootstrap"), max=bound)
        assert found.comparisons == 100 + two_digits(number)

    @pytest.mark.parametrize(("low", "high"), [(0.0, 0.95), (0.62, 1.0)])
    def test_the_farther_end_says_what_a_comparison_is_worth(self, asked, low: float, high: float) -> None:
        """Wilson's interval has its end at such a share e where (share - e)² = z² e(1 - e) / n."""
        end = (1 + low) / 2
        worth = NormalDist().inv_cdf(0.95) ** 2 * end * (1 - end) / (0.95 - end) ** 2 / 100
        number = first_off(0.88, 100, lambda n: wilson(0.95, n * worth)) - 100
        found = asked("kendall_tau", (0.9, low, high, "bootstrap"), min=2 * 0.88 - 1)
        assert found.comparisons == 100 + two_digits(number)


def two_digits(number: int) -> int:
    """Up to two significant digits."""
    return next(n for n in count(number) if set(str(n)[2:]) <= {"0"})


class TestShares:
    """Of 80 comparisons between different grades among 100: those between equal grades come along."""

    @pytest.mark.parametrize(
        ("metric", "of", "shift"),
        [("inversion_rate", 100, 0.0), ("agreement", 80, 0.0), ("position_bias", 100, 0.5)],
    )
    @pytest.mark.parametrize("worth", [0.7, 1.0])
    @pytest.mark.parametrize(("share", "bound"), [(0.25, 0.32), (0.6, 0.52), (0.0, 0.02), (1.0, 0.978)])
    def test_the_first_interval_off_the_bound(
        self, asked, metric: str, of: int, shift: float, worth: float, share: float, bound: float
    ) -> None:
        number = first_off(bound, of, lambda n: wilson(share, n * worth))
        low, high = (end - shift for end in wilson(share, of * worth))
        found = asked(metric, (share - shift, low, high, "wilson"), max=bound - shift)
        total = -(-number * 100 // of)
        assert found.comparisons == 100 + two_digits(total - 100)

    def test_the_method_tells_whose_interval_it_is(self, asked) -> None:
        """Where pairs are resampled a share is moved by the root: 20 from the value of 40, four times."""
        assert asked("agreement", (0.6, 0.2, 1.0, "bootstrap"), min=0.4) == more(300)

    def test_what_is_decided_when_computed_anew_takes_one_more(self, asked) -> None:
        """An upper end of 0.99 where Wilson's, by the lower end that is farther off, is at 0.964."""
        low, high = wilson(0.9, 25)
        assert high < 0.98 < 0.99 < 1.8 - low
        assert asked("inversion_rate", (0.9, low, 0.99, "wilson"), max=0.98) == more(1)


class TestFlips:
    NUMBER = first_off(0.2, 20, lambda n: wilson(0.1, n))

    def ask(self, asked, pairs: int) -> Needed:
        population = replace(HALF_DONE, pairs=pairs)
        found: Needed = asked("flip_rate", (0.1, *wilson(0.1, 20), "wilson"), population, max=0.2)
        return found

    def test_each_pair_in_both_orders_takes_two(self, asked) -> None:
        assert 20 < self.NUMBER < 66
        for pairs in (66, self.NUMBER):
            assert self.ask(asked, pairs) == more(2 * (self.NUMBER - 20))

    def test_there_are_not_so_many_pairs(self, asked) -> None:
        assert self.ask(asked, self.NUMBER - 1) == never(
            f"it would take {self.NUMBER} pairs in both orders, and there are {self.NUMBER - 1}"
        )


class TestCountsOfPairs:
    """More pairs move a count with its interval: 12 of 30 are 16 of 40."""

    FIELDS = (
        ("direct_inversions", "decidable_pairs", 30),
        ("majority_inversions", "decidable_pairs", 30),
        ("upper_grade_inversions", "upper_pairs", 16),
    )

    @pytest.mark.parametrize(("metric", "field", "have"), FIELDS)
    @pytest.mark.parametrize("worth", [0.7, 1.0])
    @pytest.mark.parametrize(("share", "excess"), [(0.4, -0.12), (0.1, -0.02), (0.5, -0.1), (0.9, -0.02)])
    def test_the_first_number_of_pairs_off_the_bound(
        self, asked, metric: str, field: str, have: int, worth: float, share: float, excess: float
    ) -> None:
        def ends(n: int) -> tuple[float, float]:
            low, high = wilson(share, n * worth)
            return low * n, high * n

        bound = (share + excess) * have
        number = first_off(bound, have + 1, ends)
        numbers = (share * have, *ends(have), "wilson")
        enough = replace(HALF_DONE, **{field: number})
        found = asked(metric, numbers, enough, max=bound)
        assert found.comparisons == 100 + two_digits(math.ceil(100 * number / have) - 100)
        fewer = asked(metric, numbers, replace(HALF_DONE, **{field: number - 1}), max=bound)
        assert fewer == never(
            f"not even all {number - 1} pairs that can be inverted would be enough"
            if number - 1 > have
            else f"all {have} pairs that can be inverted are compared; more anchors would help"
        )

    @pytest.mark.parametrize(("metric", "field", "have"), FIELDS)
    def test_all_are_compared(self, asked, metric: str, field: str, have: int) -> None:
        numbers = (2.0, 0.5, 6.0, "wilson")
        assert asked(metric, numbers, replace(HALF_DONE, **{field: have}), max=3) == never(
            f"all {have} pairs that can be inverted are compared; more anchors would help"
        )

    def test_the_next_pair_may_decide(self, asked) -> None:
        low = [number * wilson(0.4, number)[0] for number in (30, 31)]
        found = asked("direct_inversions", (12.0, low[0], 16.5, "wilson"), max=sum(low) / 2)
        assert found == more(4)  # 100 comparisons were of 30 pairs, 104 are of 31

    def test_only_pairs_to_come_decide(self, asked) -> None:
        """Computed anew from its lower end the interval of 27 of 30 would end at 28.9 already."""
        low, high = (30 * end for end in wilson(0.9, 30))
        assert high < 29
        number = first_off(29, 31, lambda n: (n * wilson(0.9, n)[0], n))
        assert asked("direct_inversions", (27.0, low, 29.5, "wilson"), max=29) == more(
            two_digits(math.ceil(100 * number / 30) - 100)
        )

    @pytest.mark.parametrize("bound", [0, 1])
    def test_no_inversion_so_far_is_no_proof_for_more_pairs(self, asked, bound: int) -> None:
        numbers = (0.0, 0.0, 30 * wilson(0.0, 30)[1], "wilson")
        assert asked("direct_inversions", numbers, max=bound) == never(
            "not even all 60 pairs that can be inverted would be enough"
        )


class TestReliability:
    @pytest.mark.parametrize(
        ("value", "low", "high", "bound"),
        [(0.75, 0.7, 0.8, 0.76), (0.8, 0.7, 0.9, 0.78), (0.5, 0.0, 0.75, 0.3), (0.6, 0.5, 1.0, 0.56)],
    )
    def test_the_first_interval_above_the_bound(
        self, asked, value: float, low: float, high: float, bound: float
    ) -> None:
        """Spearman and Brown for the value; log(1 - r) stays as far from its end by the root."""

        def above(number: int) -> bool:
            k = number / 100
            grown = k * value / (1 + (k - 1) * value)
            return 1 - (1 - grown) * ((1 - low) / (1 - value)) ** (1 / math.sqrt(k)) > bound

        number = next(n for n in count(101) if above(n)) - 100
        assert asked("ssr", (value, low, high, "bootstrap"), min=bound) == more(two_digits(number), GROWS)
