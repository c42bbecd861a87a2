"""From the folders of a variant to findings, figures and one verdict."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from pytest_eng5.evidence import EndReason
from pytest_eng5.gates import Status, UnknownMetricError
from pytest_eng5.reports import Outcome, evaluate_variant, exit_status, finalise_run


def finalised(run: Any, reason: EndReason = EndReason.COMPLETED) -> Any:
    finalise_run(run.root, run.end(reason, "it ended"))
    return run


def test_a_clean_run_passes_with_the_real_checks(record: Any, judged: Any, limit: Any) -> None:
    outcome = judged(
        record().complete(),
        limits=[limit("kendall_tau", min=0.9), limit("direct_inversions", max=0)],
    )
    assert outcome.findings == ()
    assert (outcome.verdict, outcome.reasons) == (Outcome.PASS, ())
    assert [verdict.status for verdict in outcome.verdicts] == [Status.PASS, Status.PASS]
    assert (outcome.scenario, outcome.variant, outcome.mode) == (
        "anchor_align",
        "baseline",
        "anchor-align-test",
    )
    assert outcome.judges == (("anthropic", "claude-haiku-4-5-20251001"),)
    assert outcome.cost_usd == pytest.approx(0.066)
    assert (outcome.ledger.planned, outcome.ledger.succeeded, outcome.usable) == (66, 66, 66)
    assert outcome.endings[0].reason is EndReason.COMPLETED


def test_the_manifest_check_is_part_of_it(record: Any, judged: Any) -> None:
    run = finalised(record().complete())
    (run.root / "stray.txt").write_text("x")
    outcome = judged(run)
    assert outcome.error_codes == {"MANIFEST-UNLISTED"}
    assert [f.code for f in outcome.runs[0].findings_of("manifest")] == ["MANIFEST-UNLISTED"]
    assert outcome.runs[0].findings_of("events") == ()
    assert outcome.verdict is Outcome.FAIL


def test_failures_are_counted_apart_and_paid(record: Any, checks: Any, judged: Any) -> None:
    run = record(("A", "B", "C", "D"))
    run.callback(0, 1, True)
    run.callback(0, 2, None)
    run.callback(0, 3, True, metadata={"essay_b_id": "student::stranger"})
    outcome = judged(run)
    ledger = outcome.ledger
    assert (ledger.planned, ledger.succeeded, ledger.failed, ledger.missing) == (6, 2, 1, 3)
    assert outcome.usable == 1
    assert outcome.alignment.population.comparisons == 1
    assert outcome.cost_usd == pytest.approx(0.003)


def test_repeats_are_pooled(record: Any, checks: Any, judged: Any, limit: Any) -> None:
    runs = [record(repeat=k).complete(seed=k) for k in (1, 2, 3)]
    outcome = judged(*runs, limits=[limit("kendall_tau", min=0.5)])
    assert outcome.alignment.population.comparisons == 198
    assert outcome.ledger.planned == 198
    assert outcome.batch_uuids == tuple(run.plan.batch_uuid for run in runs)
    assert len(set(outcome.batch_uuids)) == 3
    assert outcome.cost_usd == pytest.approx(0.198)


@pytest.mark.parametrize("reason", [r for r in EndReason if r.is_infrastructure])
def test_infrastructure_is_an_error_whatever_the_gates_say(
    record: Any, checks: Any, judged: Any, limit: Any, reason: EndReason
) -> None:
    run = finalised(record().complete(), reason)
    outcome = judged(run, limits=[limit("kendall_tau", min=-1.0)])
    assert outcome.verdicts[0].status is Status.PASS
    assert outcome.verdict is Outcome.ERROR
    assert outcome.reasons == (f"run-1 ended with {reason.value}: it ended",)


def test_a_failed_pipeline_is_a_failure_not_an_error(record: Any, judged: Any) -> None:
    run = record(("A", "B"))
    run.publish()
    run.failed()
    outcome = judged(finalised(run, EndReason.PIPELINE_FAILED))
    assert outcome.verdict is Outcome.FAIL
    assert "PIPELINE-FAILED" in outcome.error_codes


def test_a_killed_run_is_an_error_that_keeps_its_evidence(record: Any, checks: Any) -> None:
    run = record().complete()
    run.close()
    outcome = evaluate_variant(run.root.parent, (), repeats=1, bootstrap=0)
    assert outcome.endings == (None,)
    assert outcome.verdict is Outcome.ERROR
    assert outcome.reasons == ("run-1 was killed before it could end",)
    assert outcome.ledger.succeeded == 66


def test_a_run_that_was_not_made_is_an_error(record: Any, checks: Any, judged: Any) -> None:
    outcome = judged(record().complete(), repeats=2)
    assert outcome.verdict is Outcome.ERROR
    assert outcome.reasons == ("run-2 was not made: there is no folder run-2",)
    assert outcome.cost_usd is None
    assert outcome.ledger.succeeded == 66


def test_nothing_at_all_is_an_error(tmp_path: Any, limit: Any) -> None:
    limits = [limit("kendall_tau", min=0.9)]
    outcome = evaluate_variant(tmp_path / "some" / "variant", limits, repeats=1)
    assert (outcome.scenario, outcome.variant, outcome.verdict) == ("some", "variant", Outcome.ERROR)
    assert outcome.metrics == {}
    assert outcome.verdicts[0].status is Status.FAIL
    assert "not measured: no run can be read" in outcome.verdicts[0].message
    json.dumps(outcome.to_dict(), allow_nan=False)


def test_a_damaged_run_is_an_error_with_a_finding(record: Any, checks: Any, judged: Any) -> None:
    run = finalised(record().complete())
    log = run.root / "events" / "comparisons.jsonl"
    log.write_bytes(log.read_bytes()[:-30] + b"\n")
    outcome = judged(run)
    assert outcome.verdict is Outcome.ERROR
    assert outcome.error_codes == {"CHECK-CRASHED"}
    assert "events/comparisons.jsonl:66" in outcome.reasons[0]


def test_a_line_that_was_being_written_when_the_run_was_killed_is_left_out(
    record: Any, checks: Any, judged: Any
) -> None:
    run = finalised(record().complete())
    (run.root / "assessment_run.anchor-align-test.json").unlink()
    log = run.root / "events" / "comparisons.jsonl"
    log.write_bytes(log.read_bytes()[:-30])
    outcome = judged(run)
    assert outcome.verdict is Outcome.ERROR
    assert "was killed before it could end" in outcome.reasons[0]
    assert outcome.ledger.succeeded == 65


def test_no_comparison_never_passes(record: Any, checks: Any, judged: Any, limit: Any) -> None:
    outcome = judged(record(), limits=[limit("direct_inversions", max=99)])
    assert outcome.verdict is Outcome.FAIL
    assert outcome.verdicts[0].status is Status.FAIL
    assert "no comparison between the 12 anchors succeeded" in outcome.reasons[0]


def test_a_warning_does_not_fail(record: Any, checks: Any, judged: Any) -> None:
    checks.find("EVENT-LATE", severity="warning")
    outcome = judged(record().complete())
    assert outcome.verdict is Outcome.PASS
    assert [finding.code for finding in outcome.findings] == ["EVENT-LATE"]


def test_a_crashing_check_fails_and_is_named(record: Any, checks: Any, judged: Any) -> None:
    checks.crashes["completeness"] = KeyError("essay")
    outcome = judged(record().complete())
    assert outcome.verdict is Outcome.FAIL
    assert outcome.reasons == ("CHECK-CRASHED the check completeness ended with KeyError: 'essay'",)
    assert set(checks.asked) == set(checks.names)


def test_an_undecided_gate_is_neither(record: Any, checks: Any, judged: Any, limit: Any) -> None:
    outcome = judged(
        record().complete(discrimination=0.3),
        limits=[limit("kendall_tau", min=0.75, confidence=0.95)],
        bootstrap=200,
    )
    assert outcome.verdict is Outcome.UNDECIDED
    assert outcome.reasons[0].startswith("UNDECIDED kendall_tau")
    assert not outcome.tolerated
    assert exit_status([outcome]) == 3


def test_an_undecided_gate_may_be_no_more_than_a_warning(
    record: Any, checks: Any, judged: Any, limit: Any
) -> None:
    run = record().complete(discrimination=0.3)
    mild = limit("kendall_tau", min=0.75, confidence=0.95, undecided="warn")
    outcome = judged(run, limits=[mild], bootstrap=200)
    assert outcome.verdict is Outcome.UNDECIDED
    assert outcome.tolerated
    assert exit_status([outcome]) == 0
    strict = limit("agreement", min=0.8, confidence=0.95)
    both = judged(run, limits=[mild, strict], bootstrap=200)
    assert [v.status.value for v in both.verdicts] == ["UNDECIDED", "UNDECIDED"]
    assert exit_status([outcome, both]) == 3
    failed = judged(run, limits=[mild, limit("direct_inversions", max=0)], bootstrap=200)
    assert exit_status([outcome, both, failed]) == 1


def test_what_has_no_interval_is_judged_by_its_value(
    record: Any, checks: Any, judged: Any, limit: Any
) -> None:
    outcome = judged(record().complete(), limits=[limit("coverage", min=1.0, confidence=0.8)])
    assert outcome.verdicts[0].passed
    assert outcome.verdicts[0].confidence is None
    assert "no interval" in (outcome.verdicts[0].hint or "")


def test_a_threshold_may_ask_for_a_confidence_of_its_own(
    record: Any, checks: Any, judged: Any, limit: Any
) -> None:
    wide, narrow = (
        limit("position_bias", min=-0.4, max=0.4, confidence=0.99),
        limit("position_bias", min=-0.4, max=0.4, confidence=0.5),
    )
    outcome = judged(record().complete(), limits=[wide, narrow])
    first, second = outcome.verdicts
    assert first.high - first.low > second.high - second.low
    assert outcome.alignment.bootstrap.confidence == 0.95


def test_an_unknown_metric_is_refused(record: Any, checks: Any, judged: Any, limit: Any) -> None:
    with pytest.raises(UnknownMetricError):
        judged(record().complete(), limits=[limit("kendal_tau", min=0.9)])


def test_runs_that_contradict_each_other_have_no_figures(
    record: Any, checks: Any, judged: Any, limit: Any
) -> None:
    runs = [record(("A", "B")).complete(), record(("A", "C"), repeat=2).complete()]
    outcome = judged(*runs, limits=[limit("kendall_tau", min=0.0)])
    assert outcome.alignment is None
    assert "'anchor_02' appears twice" in (outcome.not_computed or "")
    assert outcome.verdicts[0].message.startswith("FAIL kendall_tau not measured: anchor id")
    assert outcome.verdict is Outcome.FAIL


@pytest.mark.parametrize("mode", ["plan", "dry-run"])
def test_modes_without_comparisons_have_no_figures_and_no_pass(
    record: Any, checks: Any, judged: Any, mode: str
) -> None:
    outcome = judged(record(mode=mode))
    assert (outcome.verdict, outcome.metrics, outcome.ledger.planned) == (Outcome.DONE, {}, 0)
    assert not outcome.judging


class TestNegativeTests:
    """``expect: {findings: [...]}`` in a scenario."""

    def outcome(self, record: Any, judged: Any, expected: set[str], **more: Any) -> Any:
        return judged(record().complete(), expected_codes=frozenset(expected), **more)

    def test_exactly_the_expected_codes_pass(self, record: Any, checks: Any, judged: Any) -> None:
        checks.find("META-MISSING")
        checks.find("META-MISSING", message="again")
        checks.find("EVENT-LATE", severity="warning")
        assert self.outcome(record, judged, {"META-MISSING"}).verdict is Outcome.PASS

    def test_a_missing_code_fails(self, record: Any, checks: Any, judged: Any) -> None:
        outcome = self.outcome(record, judged, {"META-MISSING"})
        assert outcome.verdict is Outcome.FAIL
        assert outcome.reasons == ("expected but not found: META-MISSING",)

    def test_another_code_fails(self, record: Any, checks: Any, judged: Any) -> None:
        checks.find("META-MISSING")
        checks.find("COST-MISMATCH")
        outcome = self.outcome(record, judged, {"META-MISSING"})
        assert outcome.verdict is Outcome.FAIL
        assert outcome.reasons == ("found but not expected: COST-MISMATCH",)

    def test_expecting_nothing_is_not_the_same_as_not_expecting(
        self, record: Any, checks: Any, judged: Any
    ) -> None:
        checks.find("META-MISSING")
        assert self.outcome(record, judged, set()).verdict is Outcome.FAIL

    def test_silence_may_be_what_is_expected(self, record: Any, checks: Any, judged: Any) -> None:
        checks.find("PARTIAL-DATA")
        run = finalised(record(), EndReason.IDLE_DEADLINE)
        assert judged(run, expected_codes=frozenset({"PARTIAL-DATA"})).verdict is Outcome.PASS

    @pytest.mark.parametrize("reason", [EndReason.INFRASTRUCTURE, EndReason.BUDGET, EndReason.INTERRUPTED])
    def test_other_faults_around_it_remain_errors(
        self, record: Any, checks: Any, judged: Any, reason: EndReason
    ) -> None:
        checks.find("PARTIAL-DATA")
        run = finalised(record(), reason)
        assert judged(run, expected_codes=frozenset({"PARTIAL-DATA"})).verdict is Outcome.ERROR

    def test_its_gates_count_too(self, record: Any, checks: Any, judged: Any, limit: Any) -> None:
        checks.find("META-MISSING")
        limits = [limit("direct_inversions", min=60)]
        assert self.outcome(record, judged, {"META-MISSING"}, limits=limits).verdict is Outcome.FAIL


def test_everything_is_json(record: Any, checks: Any, judged: Any, limit: Any) -> None:
    checks.find("META-MISSING", request_id="r", essay_ids=("a", "b"))
    run = record(("A", "B", "C"))
    run.callback(0, 1, True)
    plain = json.loads(
        json.dumps(judged(run, limits=[limit("kendall_tau", min=0.9)]).to_dict(), allow_nan=False)
    )
    assert plain["verdict"] == "FAIL"
    assert plain["comparisons"]["missing"] == 2
    assert plain["alignment"]["values"]["flip_rate"]["value"] is None
    assert plain["runs"][0]["findings"][0]["essay_ids"] == ["a", "b"]
    assert plain["runs"][0]["ending"]["reason"] == "completed"


def test_evaluating_again_gives_the_same_and_writes_nothing(
    record: Any, checks: Any, judged: Any, limit: Any, tmp_path: Any
) -> None:
    run = finalised(record().complete())
    limits = [limit("kendall_tau", min=0.9)]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    first = judged(run, limits=limits, bootstrap=100, seed=3).to_dict()
    moved = tmp_path / "elsewhere" / "baseline"
    shutil.copytree(run.root.parent, moved)
    second = evaluate_variant(moved, limits, repeats=1, bootstrap=100, seed=3).to_dict()
    assert first == second
    shutil.rmtree(moved.parent)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_each_run_is_read_once(record: Any, checks: Any, judged: Any, monkeypatch: Any) -> None:
    from pytest_eng5.reports import evaluate

    reads: list[str] = []
    real = evaluate.load_evidence
    monkeypatch.setattr(evaluate, "load_evidence", lambda root: reads.append(root.name) or real(root))
    judged(record().complete(), record(repeat=2).complete())
    assert reads == ["run-1", "run-2"]
