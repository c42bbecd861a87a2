"""A run that stopped before every pair was compared, although its last waves were smaller than the others."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations
from typing import Any

import networkx as nx
import pytest

from pytest_eng5.checks import run_checks
from pytest_eng5.checks.stability import stopped_stable

Pair = tuple[int, int]


def waves_of(n: int, seed: int, at_least: int) -> list[list[Pair]]:
    """Waves as the CJ service draws them: largest matchings of the pairs not compared yet, chance otherwise.

    They end with the first one after ``at_least`` comparisons that leaves more than one essay out.
    """
    chance, waves = random.Random(seed), []
    left = set(combinations(range(n), 2))
    while left:
        graph = nx.Graph()
        graph.add_weighted_edges_from((a, b, chance.random()) for a, b in sorted(left))
        wave = sorted(tuple(sorted(pair)) for pair in nx.max_weight_matching(graph, maxcardinality=True))
        waves.append(wave)
        left -= set(wave)
        if sum(map(len, waves)) >= at_least and len(wave) < n // 2:
            return waves
    raise AssertionError("every wave was whole: take another seed")


@pytest.fixture
def stopped(make_run: Callable[..., Any], make: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A run of twelve essays that made these waves; the score of no essay counts as having moved."""
    monkeypatch.setattr("pytest_eng5.checks.stability.STABLE_CHANGE", 100.0)

    def build(waves: list[list[Pair]], n: int = 12) -> Any:
        run = make_run(n)
        pairs = [pair for wave in waves for pair in wave]
        run.comparisons = [make.callback(k, a, b, "Essay A") for k, (a, b) in enumerate(pairs)]
        run.plan["planned_comparisons"] = n * (n - 1) // 2
        end = run.comparisons[-1].second + 1
        run.completions, run.assessment_results = [make.completion(n, end)], [make.rich_result(n, end)]
        return run

    return build


@pytest.mark.parametrize("seed", [0, 8, 9])
def test_a_smaller_last_wave_is_legal_if_no_more_pairs_fit(stopped: Any, make: Any, seed: int) -> None:
    waves = waves_of(12, seed, at_least=36)
    run = stopped(waves)
    assert len(run.comparisons) % 6
    findings = run_checks(run.load(), ["completeness"])
    assert [(found.code, found.severity) for found in findings] == [("COUNT-MISSING", "info")]


@pytest.mark.parametrize("seed", [0, 8, 9])
def test_any_callback_that_is_lost_is_noticed(stopped: Any, make: Any, seed: int) -> None:
    """Brute force: each callback of each wave in turn."""
    waves = waves_of(12, seed, at_least=36)
    run = stopped(waves)
    complete = list(run.comparisons)
    evidence = run.load()
    assert stopped_stable(evidence, evidence.distinct_comparisons) is not None
    for lost in range(len(complete)):
        kept = [e for k, e in enumerate(evidence.distinct_comparisons) if k != lost]
        assert stopped_stable(evidence, kept) is None, complete[lost].pair


def test_waves_are_told_by_when_they_were_asked_for(stopped: Any) -> None:
    run = stopped(waves_of(12, 0, at_least=36))
    random.Random(5).shuffle(run.comparisons)
    evidence = run.load()
    assert stopped_stable(evidence, evidence.distinct_comparisons) is not None


def test_a_failed_comparison_may_come_again(stopped: Any, make: Any) -> None:
    """All pairs were compared, and the one that had failed once more."""
    waves = waves_of(12, 0, at_least=36)
    left = set(combinations(range(12), 2)) - {pair for wave in waves for pair in wave}
    while left:
        graph = nx.Graph(sorted(left))
        waves.append(sorted(tuple(sorted(pair)) for pair in nx.max_weight_matching(graph, True)))
        left -= set(waves[-1])
    run = stopped([*waves, waves[0][:1]])
    run.plan["planned_comparisons"] = 100
    evidence = run.load()
    assert stopped_stable(evidence, evidence.distinct_comparisons) is None
    make.fail(run.comparisons[0])
    evidence = run.load()
    assert stopped_stable(evidence, evidence.distinct_comparisons) is not None


def test_a_pair_that_comes_again_is_no_early_stop(stopped: Any) -> None:
    waves = waves_of(12, 0, at_least=36)
    evidence = stopped([*waves, waves[0][:1]]).load()
    assert stopped_stable(evidence, evidence.distinct_comparisons) is None
