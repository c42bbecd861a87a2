"""What must not matter to any figure: order of events and anchors, positions, names."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from populations import points

from pytest_eng5.alignment import (
    alignment_metrics,
)

POPULATION = st.tuples(
    st.lists(st.sampled_from(["A", "B", "C+", "D", "F+", None]), min_size=2, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from("AB")), max_size=20),
).map(
    lambda p: (
        p[0],
        [(w % len(p[0]), x % len(p[0]), s) for w, x, s in p[1] if w % len(p[0]) != x % len(p[0])],
    )
)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class TestWhatMustNotMatter:
    @given(POPULATION)
    @QUICK
    def test_any_population_can_be_measured_and_written(self, make, population) -> None:
        metrics = alignment_metrics(make(*population), bootstrap=20)
        plain = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
        assert list(plain["values"]) == list(metrics.values)
        assert len(plain["anchors"]) == len(population[0])

    @given(POPULATION, st.randoms(use_true_random=False))
    @QUICK
    def test_order_of_events(self, make, population, shuffler) -> None:
        grades, games = population
        shuffled = list(games)
        shuffler.shuffle(shuffled)
        before = alignment_metrics(make(grades, games), bootstrap=20).to_dict()
        after = alignment_metrics(make(grades, shuffled), bootstrap=20).to_dict()
        for rows in (before["inversions"], after["inversions"]):
            for row in rows:  # request ids follow the events, and order rows that are equal otherwise
                row["request_id"] = None
            rows.sort(key=str)
        assert before == after

    @given(POPULATION, st.randoms(use_true_random=False))
    @QUICK
    def test_order_of_anchors(self, make, population, shuffler) -> None:
        grades, games = population
        names = [f"a{k}" for k in range(len(grades))]
        new = list(range(len(grades)))
        shuffler.shuffle(new)
        before = alignment_metrics(make(grades, games, names), bootstrap=0)
        moved = [None] * len(grades)
        renamed = [""] * len(grades)
        for old, position in enumerate(new):
            moved[position], renamed[position] = grades[old], names[old]
        after = alignment_metrics(
            make(moved, [(new[w], new[x], s) for w, x, s in games], renamed), bootstrap=0
        )
        assert points(after) == pytest.approx(points(before), nan_ok=True)
        by_id = {row.id: row for row in after.anchors}
        for row in before.anchors:
            other = by_id[row.id]
            assert other.theta == pytest.approx(row.theta, abs=1e-9)
            assert replace(other, theta=row.theta, standard_error=row.standard_error) == row

    @given(POPULATION)
    @QUICK
    def test_swapping_the_positions(self, make, population) -> None:
        """Only what is said about position may notice, and only by its sign."""
        grades, games = population
        swapped = [(w, x, "B" if s == "A" else "A") for w, x, s in games]
        before = alignment_metrics(make(grades, games), bootstrap=20).values
        after = alignment_metrics(make(grades, swapped), bootstrap=20).values
        assert before.keys() == after.keys()
        for name in before:
            if name == "first_rate":
                assert after[name].value == pytest.approx(1 - before[name].value, nan_ok=True)
            elif name in ("position_bias", "position_effect"):
                assert after[name].value == pytest.approx(-before[name].value, nan_ok=True, abs=1e-9)
                assert after[name].low == (
                    None if before[name].high is None else pytest.approx(-before[name].high, abs=1e-9)
                )
            else:
                assert after[name].value == pytest.approx(before[name].value, nan_ok=True)
                assert after[name].low == pytest.approx(before[name].low)
                assert after[name].high == pytest.approx(before[name].high)

    @given(POPULATION)
    @QUICK
    def test_names_of_anchors(self, make, population) -> None:
        grades, games = population
        before = alignment_metrics(make(grades, games), bootstrap=20).to_dict()["values"]
        names = [f"other {k}" for k in range(len(grades))]
        assert alignment_metrics(make(grades, games, names), bootstrap=20).to_dict()["values"] == before

    @given(POPULATION)
    @QUICK
    def test_ranges(self, make, population) -> None:
        metrics = alignment_metrics(make(*population), bootstrap=0)
        found = {name: value for name, value in points(metrics).items() if not math.isnan(value)}
        for name in ("kendall_tau", "kendall_tau_a"):
            assert -1 - 1e-12 <= found.get(name, 0) <= 1 + 1e-12
        for name in ("inversion_rate", "agreement", "flip_rate", "coverage", "connected"):
            assert 0 <= found.get(name, 0) <= 1
        assert found.get("majority_inversions", 0) <= found.get("direct_inversions", 0)
        assert found.get("upper_grade_inversions", 0) <= found.get("direct_inversions", 0)
        assert abs(found.get("position_bias", 0)) <= 0.5
        assert found.get("ssr", 0) < 1
        assert len(metrics.inversions) == round(
            found.get("inversion_rate", 0) * metrics.population.comparisons
        )
