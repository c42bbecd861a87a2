"""`eng5 power`: what it asks of its user, whose judge it plans for, and what it says."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pytest_eng5.alignment import Planned
from pytest_eng5.cli import app
from pytest_eng5.errors import UsageError
from pytest_eng5.evidence import RunFolder
from pytest_eng5.reports import finalise_run
from pytest_eng5.reports.power import PowerQuestion, answer_power, power_document
from pytest_eng5.reports.power_command import PowerFlags, Progress, plan_power
from pytest_eng5.reports.power_inputs import StatedJudge, gates_of, grades_of, recorded_judge, stated
from pytest_eng5.reports.power_text import power_lines

ROLE_MODELS = "A,A,B,B,C+,C-,D+,D-,E+,E-,F+,F+"
FAST = ("--runs", "20", "--limit", "300")


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["power", *map(str, arguments)])


def refused(*arguments: str | Path) -> str:
    result = call(*arguments)
    assert isinstance(result.exception, UsageError), (result.exception, result.output)
    assert result.exception.exit_code == 2
    return str(result.exception)


@pytest.fixture
def recorded(record: Any) -> Path:
    """A run whose judge inverts four pairs, at a price of 0.001 as reported."""
    run = record(resolved_scenario={"repeats": 1})
    run.complete(discrimination=4.0, upsets=((1, 0), (3, 2), (4, 2), (6, 5)))
    finalise_run(run.root, run.end())
    return Path(run.root)


class TestAnchors:
    def test_grades_are_read(self) -> None:
        assert grades_of(" a, B ,c+", None) == ("A", "B", "C+")
        assert grades_of("9,8,1", 3) == ("9", "8", "1")

    @pytest.mark.parametrize("number", [3, 8, 12, 40])
    def test_of_a_number_alone_they_spread_over_the_scale(self, number: int) -> None:
        grades = grades_of(None, number)
        assert len(grades) == number
        assert (grades[0], grades[-1]) == ("A", "F+")
        assert len(set(grades)) == min(number, 9)

    @pytest.mark.parametrize(
        ("text", "anchors", "expected"),
        [
            ("A,B,X", None, "unknown grade 'X'"),
            ("A,B,9", None, "two scales"),
            ("A,B,C", 4, "3 grades but 4 anchors"),
            ("A,A,A", None, "cannot be ranked"),
            ("A,B", None, "cannot be ranked"),
            ("", None, "cannot be ranked"),
            (None, 2, "2 anchors"),
            (None, 101, "101 anchors"),
        ],
    )
    def test_others_are_refused(self, text: str | None, anchors: int | None, expected: str) -> None:
        with pytest.raises(UsageError, match=expected):
            grades_of(text, anchors)


class TestGates:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("kendall_tau>=0.9", ("kendall_tau", 0.9, None)),
            (" direct_inversions <= 4 ", ("direct_inversions", None, 4.0)),
            ("ssr>=8e-1", ("ssr", 0.8, None)),
        ],
    )
    def test_they_are_read(self, text: str, expected: tuple[object, ...]) -> None:
        (gate,) = gates_of([text], ROLE_MODELS.split(","))
        assert (gate.metric, gate.min, gate.max) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("kendall_tau", "in quotes"),  # what is left when the shell took >=0.9 for a file
            ("kendall_tau>0.9", "in quotes"),
            ("kendall_tau>=0.9.1", "no number"),
            ("kendal_tau>=0.9", "did you mean 'kendall_tau'"),
            ("coverage>=0.9", "cannot be planned"),
            ("kendall_tau>=0.99", "grade ties limit it to 0.977"),
        ],
    )
    def test_others_are_refused(self, text: str, expected: str) -> None:
        with pytest.raises(UsageError, match=expected):
            gates_of([text], ROLE_MODELS.split(","))


class TestJudges:
    def test_a_stated_one_is_described_as_it_was_stated(self) -> None:
        source = stated(
            StatedJudge(grades_of(ROLE_MODELS, 12), discrimination=1.5, noise=0.0, position_bias=0.3)
        )
        assert source.discrimination == pytest.approx(1.5)
        assert source.noise == pytest.approx(0, abs=1e-9)
        assert (source.judge.eta, source.per_run, source.usd_per_comparison) == (0.3, 66, None)

    @pytest.mark.thorough
    def test_it_can_be_given_a_tau(self) -> None:
        source = stated(StatedJudge(grades_of(None, 12), tau=0.7), 0.002)
        answer = answer_power(source, PowerQuestion(comparisons=66, runs=60))
        assert answer.room.tau == pytest.approx(0.7, abs=0.02)

    @pytest.mark.parametrize("tau", [-0.99, 0.985])
    def test_not_any_tau(self, tau: float) -> None:
        with pytest.raises(UsageError, match=r"no such judge has a mean tau of .*\n.*choose one between"):
            stated(StatedJudge(grades_of(None, 12), tau=tau))

    def test_a_recorded_one(self, recorded: Path) -> None:
        source = recorded_judge(recorded)
        assert source.origin == "recorded anchor_align/baseline, 66 comparisons"
        assert (source.per_run, len(source.grades)) == (66, 12)
        answer = answer_power(source, PowerQuestion(comparisons=66, runs=60))
        assert answer.room.tau == pytest.approx(0.90, abs=0.06)
        # 90 prompt and 10 completion tokens at list prices of 0.001 and 0.005 per 1,000
        assert source.usd_per_comparison == pytest.approx(0.00014)
        assert source.price_basis == "at list prices, $0.001 as reported"

    @pytest.mark.thorough
    def test_failed_comparisons_are_paid_for_too(self, record: Any) -> None:
        run = record()
        run.judge(model="a-model-without-a-price")
        for _ in range(66):
            run.callback(0, 1, None, model="a-model-without-a-price")
        run.close()
        source = recorded_judge(run.root)
        assert source.usd_per_comparison == pytest.approx(0.002)
        assert source.price_basis == "as reported"

    def test_a_free_one_has_no_price(self, record: Any) -> None:
        run = record(provider="mock")
        run.judge(provider="mock", cost_estimate=0.0)
        run.close()
        source = recorded_judge(run.root)
        assert (source.usd_per_comparison, source.price_basis) == (None, "the recorded judge was free")
        with pytest.raises(UsageError, match=r"the recorded judge was free.*\n.*--cost-per-comparison"):
            answer_power(source, PowerQuestion(budget_usd=1.0))

    def test_repeats_are_pooled(self, record: Any) -> None:
        for repeat in (1, 2):
            run = record(repeat=repeat, resolved_scenario={"repeats": 2})
            run.judge(seed=repeat)
            run.close()
        source = recorded_judge(run.root.parent)
        assert source.origin == "recorded anchor_align/baseline, 2 runs, 132 comparisons"
        assert source.per_run == 66

    def test_one_variant_at_a_time(self, record: Any, tmp_path: Path) -> None:
        for variant in ("one", "other"):
            run = record(variant=variant)
            run.judge()
            run.close()
        with pytest.raises(UsageError, match=r"several variants\n.*anchor_align/one, anchor_align/other"):
            recorded_judge(tmp_path)

    @pytest.mark.parametrize(
        ("changes", "grades", "expected"),
        [
            ({"mode": "dry-run"}, None, "nothing was judged"),
            ({}, ("B",) * 5, "one grade"),
            ({}, (None,) * 5, "no comparison between graded anchors"),
        ],
    )
    def test_runs_without_anything_to_learn_from(
        self, record: Any, changes: dict[str, str], grades: Any, expected: str
    ) -> None:
        run = record(grades, **changes) if grades else record(**changes)
        run.judge()
        run.close()
        with pytest.raises(UsageError, match=expected):
            recorded_judge(run.root)

    def test_a_folder_that_cannot_be_read(self, record: Any) -> None:
        run = record()
        run.judge()
        run.close()
        RunFolder(run.root).plan.write_text("{")
        with pytest.raises(UsageError):
            recorded_judge(run.root)


STATED = stated(StatedJudge(grades_of(ROLE_MODELS, 12), discrimination=0.6, noise=2.0), 0.002, seed=1)
"""A judge with opinions of its own."""

WILFUL = stated(StatedJudge(grades_of(ROLE_MODELS, 12), discrimination=0.6, noise=3.0), 0.002, seed=1)
"""One of whose opinions there is much to improve."""


class TestAnswers:
    def test_a_difference(self) -> None:
        answer = answer_power(WILFUL, PowerQuestion(difference=0.25, runs=60, repetitions=3))
        assert answer.detection is not None
        number = answer.detection.comparisons.value
        assert number is not None
        assert answer.detection.power == pytest.approx(0.8, abs=0.12)
        document = power_document(answer)
        found = document["difference"]
        assert found["usd"] == pytest.approx(2 * 0.002 * found["comparisons"])
        assert found["repeats"] == -(-found["comparisons"] // 66)
        first = power_lines(answer)[0]
        assert re.match(
            r"to find a difference of \+0\.25 in kendall_tau between two variants: "
            r"\d+ ± \d+ comparisons each "
            r"\((at most |about )?\d+ (run|repeats) of 66, \$\d+\.\d\d together\)$",
            first,
        )

    def test_what_no_variant_can_have_is_said_first(self) -> None:
        answer = answer_power(STATED, PowerQuestion(difference=0.9, runs=40))
        assert (answer.beyond, answer.detection) == (True, None)
        first, second = power_lines(answer)[:2]
        assert first.endswith("impossible, no number of comparisons is enough")
        assert "no variant differs by more than +0." in second
        assert power_document(answer)["difference"]["possible"] is False

    def test_what_no_number_shows_is_said_first(self) -> None:
        answer = answer_power(STATED, PowerQuestion(difference=0.02, runs=40, repetitions=2, limit=70))
        lines = power_lines(answer)
        assert lines[0].endswith("no number up to 70 per variant is enough")
        assert re.search(r"greatest power seen is \d+% ± \d", lines[1])
        assert power_document(answer)["difference"]["comparisons"] is None

    @pytest.mark.thorough
    def test_more_money_shows_more(self) -> None:
        small, large = (
            answer_power(STATED, PowerQuestion(budget_usd=money, runs=60, repetitions=3)).budget
            for money in (0.3, 1.2)
        )
        assert (small.one, small.each, large.one) == (150, 75, 600)
        assert large.precision.width < small.precision.width
        assert small.better.value is not None
        assert large.better.value is not None
        assert 0 < large.better.value < small.better.value
        assert small.worse.value is None or small.worse.value < 0
        assert small.bounds.passes_up_to < large.bounds.passes_up_to < large.bounds.fails_from

    def test_a_width(self) -> None:
        answer = answer_power(STATED, PowerQuestion(width=0.4, runs=60, repetitions=3))
        assert answer.width is not None
        assert answer.width.value is not None
        again = answer_power(STATED, PowerQuestion(comparisons=round(answer.width.value), runs=100))
        assert again.budget.precision.width == pytest.approx(0.4, abs=0.05)
        assert power_lines(answer)[0].startswith("for a 95% interval of kendall_tau no wider than 0.4:")

    def test_gates(self) -> None:
        gates = gates_of(["kendall_tau>=0.1", "kendall_tau>=0.95", "direct_inversions<=1"], STATED.grades)
        answer = answer_power(STATED, PowerQuestion(gates=gates, comparisons=264, runs=60, repetitions=2))
        passed, failed, inversions = answer.gates
        assert passed.odds.passed > 0.9
        assert failed.odds.failed > 0.9
        assert inversions.odds.failed > 0.9
        assert (passed.odds.failed, failed.odds.passed, inversions.odds.passed) == (0, 0, 0)
        for plan in answer.gates:
            odds = plan.odds
            assert odds.passed + odds.failed + odds.undecided == pytest.approx(1)
            assert plan.needed.value is not None
            assert 11 <= plan.needed.value <= 264
        lines = power_lines(answer)
        assert lines[0].startswith("to decide kendall_tau >= 0.1 with confidence 0.95 in 80% of runs: ")
        assert lines[1].startswith("  at 264 comparisons PASS ")

    @pytest.mark.thorough
    def test_a_gate_at_the_judge_itself_is_never_decided(self) -> None:
        tau = answer_power(STATED, PowerQuestion(comparisons=300, runs=200)).budget.precision.tau
        gate = gates_of([f"kendall_tau>={tau:.3f}"], STATED.grades)
        answer = answer_power(STATED, PowerQuestion(gates=gate, runs=40, repetitions=2, limit=300))
        assert answer.gates[0].needed.value is None
        assert "the bound lies too near this judge" in power_lines(answer)[0]

    @pytest.mark.thorough
    def test_seeds(self) -> None:
        question = PowerQuestion(difference=0.25, runs=40, repetitions=2, limit=300)
        assert power_document(answer_power(WILFUL, question)) == power_document(
            answer_power(WILFUL, question)
        )

    def test_searches_that_disagree_are_owned_up_to(self) -> None:
        from pytest_eng5.reports.power_text import _few

        assert list(_few(Planned(None, float("nan"), 0, 4))) == []
        assert list(_few(Planned(100.0, 3.0, 4, 4))) == []
        assert "2 of 4 searches" in next(iter(_few(Planned(None, 3.0, 2, 4))))

    @pytest.mark.parametrize(
        ("question", "where"),
        [
            ({"power": 1.0}, "--power"),
            ({"power": float("nan")}, "--power"),
            ({"confidence": 0.3}, "--confidence"),
            ({"difference": 0.0}, "--difference"),
            ({"difference": 2.5}, "--difference"),
            ({"width": 0.0}, "--width"),
            ({"width": float("nan")}, "--width"),
            ({"comparisons": 10}, "--comparisons"),
            ({"comparisons": 66, "budget_usd": 1.0}, "--budget-usd"),
            ({"budget_usd": 0.01}, "--budget-usd"),
        ],
    )
    def test_nonsense_is_refused(self, question: dict[str, float], where: str) -> None:
        with pytest.raises(UsageError) as caught:
            answer_power(STATED, PowerQuestion(**question))  # type: ignore[arg-type]
        assert caught.value.where == where
        assert caught.value.fix


class TestCommand:
    def test_json(self) -> None:
        result = call("--json", "--comparisons", "40", "--cost-per-comparison", "0.01", *FAST)
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        assert document["budget"]["usd"] == pytest.approx(0.4)
        assert document["judge"]["attainable"] == pytest.approx(0.9608, abs=0.02)
        assert document["difference"] is None
        assert document["simulation"]["seed"] == 0

    def test_without_a_question_it_answers_the_usual_one(self) -> None:
        result = call(*FAST)
        assert result.stdout.startswith("to find a difference of +0.05 in kendall_tau")
        assert "--cost-per-comparison turns comparisons into dollars" in result.stdout

    def test_a_run(self, recorded: Path) -> None:
        result = call("--run", recorded, "--budget-usd", "0.02", *FAST)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(
            "for $0.02, one variant with 142 comparisons (about 3 repeats of 66, $0.02)"
        )
        assert "judge: recorded anchor_align/baseline, 66 comparisons" in result.stdout

    def test_a_scenario(self) -> None:
        path = Path(__file__).parents[2] / "scenarios" / "anchor_align.eng5.yaml"
        result = call("--scenario", path, "--variant", "baseline", "--comparisons", "66", *FAST)
        assert "judge: the simulated judge of anchor_align/baseline" in result.stdout
        assert "own opinion SD 0.00 steps" in result.stdout
        assert "choose one of baseline" in refused("--scenario", path, "--variant", "base")
        assert "the scenario says that, not --grades" in refused("--scenario", path, "--grades", "A,B,C")

    def test_flags_that_contradict_each_other(self, recorded: Path) -> None:
        assert "not --noise, --tau" in refused("--run", recorded, "--tau", "0.5", "--noise", "1")
        assert "a variant of what?" in refused("--variant", "baseline")
        assert "there is no recorded run" in refused("--run", recorded / "events")

    @pytest.mark.parametrize("flags", [("--runs", "1"), ("--difference", "much"), ("--anchors", "x")])
    def test_what_is_no_number(self, flags: tuple[str, ...]) -> None:
        assert call(*flags).exit_code == 2

    def test_ctrl_c(self, tmp_path: Path) -> None:
        """One line, no traceback, exit status 4; nothing is left behind."""
        start = "import sys; sys.argv[0] = 'eng5'; from pytest_eng5.cli import main; main()"
        command = [sys.executable, "-c", start, "power", "--runs", "100000", "--limit", "100000"]
        log = tmp_path / "err.txt"
        loaded = "import pytest_eng5.reports.power as p; a = p.answer_power\n"
        told = "p.answer_power = lambda *x: (print('at work', file=sys.stderr, flush=True), a(*x))[1]\n"
        command[2] = f"import sys\n{loaded}{told}{start}"
        with log.open("w") as err:
            process = subprocess.Popen(command, stderr=err, stdout=subprocess.DEVNULL, env={**os.environ})
            while "at work" not in log.read_text():
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=60)
        assert code == 4
        assert "Traceback" not in log.read_text()
        assert log.read_text().splitlines()[-1] == "eng5: interrupted"


class TestProgress:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    @staticmethod
    def told(stream: io.StringIO, step: float) -> str:
        times = iter([k * step for k in range(100)])
        progress = Progress(stream, lambda: next(times))
        for done in range(10):
            progress("searching", done, 10)
        progress.close()
        return stream.getvalue()

    def test_on_a_terminal_one_line_is_overwritten_and_taken_away(self) -> None:
        text = self.told(self.Terminal(), 0.3)
        assert "\n" not in text
        assert text.count("searching: ") == 10
        assert text.endswith("\r" + " " * len("searching: 90%") + "\r")

    def test_elsewhere_a_line_now_and_then(self) -> None:
        assert self.told(io.StringIO(), 4.0).splitlines() == [
            "searching: 20%",
            "searching: 50%",
            "searching: 80%",
        ]

    def test_short_work_is_silent(self) -> None:
        assert self.told(io.StringIO(), 0.1) == ""

    def test_it_is_closed_after_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = self.Terminal()
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setattr("pytest_eng5.reports.power_command._OFTEN", 0.0)

        def interrupted(_: object, __: object, stage: Any) -> None:
            stage("searching", 1, 2)
            raise KeyboardInterrupt

        monkeypatch.setattr("pytest_eng5.reports.power_command.answer_power", interrupted)
        with pytest.raises(KeyboardInterrupt):
            plan_power(PowerFlags(), None, print)
        assert stream.getvalue().endswith("\r")
