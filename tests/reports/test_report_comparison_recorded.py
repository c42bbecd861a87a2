"""``eng5 compare``: what it tells of two recorded runs, what it refuses, and its exit status."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.evidence import EndReason, write_json
from pytest_eng5.reports import finalise_run

TURNED = [
    (0, 2),
    (0, 3),
    (0, 4),
    (0, 5),
    (1, 2),
    (1, 3),
    (1, 4),
    (1, 5),
    (2, 3),
    (2, 4),
    (2, 5),
    (3, 4),
    (3, 5),
]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def eng5(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command in the folder of the recordings, in this process; any socket is an error."""
    from pytest_eng5.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.socket.connect", None)

    def run(*arguments: str | Path, command: str = "compare") -> Said:
        monkeypatch.setattr("sys.argv", ["eng5", command, *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, found.out, found.err)

    return run


@pytest.fixture
def two(made: Any, tmp_path: Path) -> tuple[Path, Path]:
    """Folders of two variants: one pair of fifteen judged otherwise, under another rubric."""
    control, other = made("control", [(0, 2)]), made("rubric_b", rubric="Content.")
    return control.root.relative_to(tmp_path), other.root.relative_to(tmp_path)


def into_session(scenario: Path, session: Path) -> None:
    """Move the folder of a scenario into that of a session."""
    session.mkdir()
    shutil.move(scenario, session / scenario.name)


class TestTold:
    def test_what_changed_comes_first(self, eng5: Command, two: tuple[Path, Path]) -> None:
        said = eng5(*two)
        lines = said.out.splitlines()
        assert (said.code, said.err) == (0, "")
        assert lines[:3] == ["anchor_align: control -> rubric_b", "what changed:", "  system prompt: same"]
        assert lines[3].startswith("  rubric: none -> prompts/rubric.txt (sha256 ")
        assert lines[4:9] == [
            f"  {name}: same" for name in ("judge", "anchors", "student prompt", "instructions", "task")
        ]
        assert "rubric_b against control: 6 anchors, 15 anchor pairs that both judged" in said.out
        assert "pairs judged differently: 1 of 15" in said.out
        assert "anchor_01 (A) beat anchor_03 (B): 0 of 1 -> 1 of 1, nearer" in said.out
        assert "PASS" not in said.out
        assert "UNDECIDED" not in said.out

    @pytest.mark.parametrize(
        ("arguments", "code", "verdict"),
        [
            (("--min-improvement", "0.02"), 3, "UNDECIDED kendall_tau of rubric_b better by"),
            (("--min-improvement=-2",), 0, "PASS kendall_tau of rubric_b better by"),
            (
                ("--min-improvement", "9", "--metric", "direct_inversions"),
                1,
                "FAIL direct_inversions of rubric_b",
            ),
            (("--min-improvement", "0", "--metric", "agreement"), 3, "UNDECIDED agreement of rubric_b"),
        ],
    )
    def test_a_verdict_only_if_an_improvement_is_asked_for(
        self, eng5: Command, two: tuple[Path, Path], arguments: tuple[str, ...], code: int, verdict: str
    ) -> None:
        said = eng5(*two, *arguments)
        assert said.code == code
        assert any(line.startswith(verdict) for line in said.out.splitlines()), said.out

    def test_the_confidence_is_that_of_the_intervals(self, eng5: Command, two: tuple[Path, Path]) -> None:
        widths = []
        for confidence in ("0.8", "0.99"):
            tau = json.loads(eng5(*two, "--json", "--confidence", confidence).out)["comparisons"][0]
            figure = tau["candidates"][0]["figures"]["kendall_tau"]
            widths.append(figure["high"] - figure["low"])
        assert widths[0] < widths[1]

    def test_as_json(self, eng5: Command, two: tuple[Path, Path]) -> None:
        said = eng5(*two, "--json", "--min-improvement", "0")
        document = json.loads(said.out)
        assert (said.code, document["verdict"], document["notices"]) == (3, "UNDECIDED", [])
        [comparison] = document["comparisons"]
        assert [name for name, changed in comparison["changed"].items() if changed] == ["rubric"]
        [candidate] = comparison["candidates"]
        assert candidate["figures"]["direct_inversions"]["difference"] == -1
        assert candidate["verdicts"][0]["status"] == "UNDECIDED"
        assert json.loads(eng5(*two, "--json").out)["verdict"] is None

    def test_runs_of_one_variant(self, eng5: Command, made: Any) -> None:
        root = made("control", runs=2).root
        said = eng5(root / "run-1", root / "run-2")
        assert said.code == 0
        assert said.out.startswith("anchor_align: run-1 -> run-2\n")
        assert "15 and 15 comparisons" in said.out

    def test_repeats_are_pooled(self, eng5: Command, made: Any) -> None:
        said = eng5(made("control", runs=2).root, made("rubric_b", runs=3).root)
        assert "30 and 45 comparisons" in said.out

    def test_sessions_are_compared_variant_by_variant(self, eng5: Command, made: Any, tmp_path: Path) -> None:
        for variant in ("control", "rubric_b"):
            made(variant)
        into_session(tmp_path / "anchor_align", tmp_path / "old")
        made("control", TURNED)
        made("rubric_b", TURNED[:1])
        made("new_one")
        into_session(tmp_path / "anchor_align", tmp_path / "new")
        said = eng5("new", "old", "--json", "--min-improvement", "0.2")
        found = json.loads(said.out)["comparisons"]
        assert [(c["scenario"], c["baseline"]) for c in found] == [
            ("anchor_align / control", "new"),
            ("anchor_align / rubric_b", "new"),
        ]
        assert [c["candidates"][0]["verdicts"][0]["status"] for c in found] == ["PASS", "UNDECIDED"]
        assert said.code == 3
        control = found[0]["candidates"][0]["figures"]["kendall_tau"]
        assert control["adjusted_p_value"] == pytest.approx(2 * control["p_value"])

    def test_a_session_with_one_variant_is_that_variant(
        self, eng5: Command, made: Any, tmp_path: Path
    ) -> None:
        into_session(made("control", scenario="one").root.parent, tmp_path / "first")
        said = eng5("first", made("rubric_b", scenario="two").root)
        assert said.code == 0, said.err
        assert said.out.startswith("one and two: first/one/control -> two/rubric_b\n")

    def test_what_the_checks_found_is_told(
        self, eng5: Command, record: Any, judged: Any, two: tuple[Path, Path]
    ) -> None:
        missing = record(("A", "A", "B", "C+", "D+", "E+"), variant="less")
        missing.complete(discrimination=99.0, pairs=[(0, 2), (1, 2), (2, 3), (3, 4), (4, 5)])
        judged(missing)
        said = eng5(two[0], "anchor_align/less")
        assert said.code == 0
        assert said.out.startswith("notice: the checks found COUNT-MISSING")
        assert "(10 that only one judged are left out)" in said.out


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("--metric", "ssr", "--min-improvement", "0"), "--metric: unknown metric 'ssr'"),
            (("--metric", "agreement"), "--metric: nothing is asked of it"),
            (("--min-improvement", "nan"), "--min-improvement: not a number"),
            (("--confidence", "95"), "--confidence: not a confidence: 95"),
        ],
    )
    def test_flags(
        self, eng5: Command, two: tuple[Path, Path], arguments: tuple[str, ...], told: str
    ) -> None:
        said = eng5(*two, *arguments)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith(f"eng5: {told}")
        assert "fix: " in said.err

    @pytest.mark.parametrize(
        ("folders", "told"),
        [
            (("anchor_align/control", "nowhere"), "nowhere: there is no such folder"),
            (("anchor_align/control", "."), "is part of the other one"),
            (("anchor_align/control", "anchor_align/control"), "is the same folder"),
            (("anchor_align/control/run-1", "anchor_align/control"), "is part of the other one"),
            (("anchor_align/control", "empty"), "there is no recorded run in this folder"),
        ],
    )
    def test_folders(
        self, eng5: Command, two: tuple[Path, Path], tmp_path: Path, folders: tuple[str, str], told: str
    ) -> None:
        (tmp_path / "empty").mkdir()
        said = eng5(*folders)
        assert (said.code, said.out) == (2, "")
        assert told in said.err

    def test_no_variant_in_common(self, eng5: Command, made: Any, tmp_path: Path) -> None:
        for scenario, variants in (("one", ("a", "b")), ("two", ("c", "d"))):
            for variant in variants:
                made(variant, scenario=scenario)
            into_session(tmp_path / scenario, tmp_path / f"s_{scenario}")
        said = eng5("s_one", "s_two")
        assert said.code == 2
        assert "no variant of the same name: one/a, one/b here, two/c, two/d there" in said.err

    def test_altered_evidence(self, eng5: Command, two: tuple[Path, Path], tmp_path: Path) -> None:
        log = tmp_path / two[1] / "run-1" / "events" / "comparisons.jsonl"
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
        said = eng5(*two)
        assert (said.code, said.out) == (2, "")
        assert "the evidence is not as it was written: MANIFEST-HASH events/comparisons.jsonl" in said.err
        assert "fix: eng5 verify " in said.err

    def test_a_run_that_cannot_be_read(self, eng5: Command, two: tuple[Path, Path], tmp_path: Path) -> None:
        (tmp_path / two[1] / "run-1" / "plan.json").write_text("{")
        said = eng5(*two)
        assert said.code == 2
        assert "Traceback" not in said.err

    def test_a_run_that_did_not_end_well(self, eng5: Command, record: Any, two: tuple[Path, Path]) -> None:
        late = record(("A", "B"), variant="late")
        late.complete(discrimination=99.0)
        finalise_run(late.root, late.end(EndReason.IDLE_DEADLINE, "no event for 30 s"))
        said = eng5(two[0], "anchor_align/late")
        assert said.code == 2
        assert "run-1 ended with idle_deadline: no event for 30 s" in said.err

    def test_runs_that_compared_nothing(self, eng5: Command, two: tuple[Path, Path], tmp_path: Path) -> None:
        quiet = tmp_path / "quiet" / "plan" / "only" / "run-1"
        quiet.mkdir(parents=True)
        write_json(quiet / "inventory.json", {})
        said = eng5(two[0], "quiet")
        assert said.code == 2
        assert "nothing was compared in the runs of this folder" in said.err

    def test_no_common_pair_after_what_changed(self, eng5: Command, record: Any, judged: Any) -> None:
        for variant, students in (("x", 1), ("y", 2)):
            pairs = [(0, 2)] if variant == "x" else [(0, 1)]
            recording = record(("A", "B"), variant=variant, students=students)
            recording.complete(discrimination=99.0, pairs=pairs)
            judged(recording)
        said = eng5("anchor_align/x", "anchor_align/y")
        assert said.code == 2
        assert "what changed:\n" in said.out
        assert "no anchor pair was judged by both" in said.err

    def test_other_grades_after_what_changed(self, eng5: Command, record: Any, judged: Any) -> None:
        for variant, grades in (("x", ("A", "B", "C")), ("y", ("A", "C", "B"))):
            judged(record(grades, variant=variant).complete(discrimination=99.0))
        said = eng5("anchor_align/x", "anchor_align/y", "--min-improvement", "0")
        assert said.code == 2
        assert "anchors with other grades: anchor_02 B, anchor_03 C -> anchor_02 C, anchor_03 B" in said.out
        assert "x and y: anchor anchor_02 has different grades in the two runs" in said.err


def test_check_makes_the_comparison_of_a_scenario_file(
    eng5: Command, two: tuple[Path, Path], tmp_path: Path
) -> None:
    into_session(tmp_path / "anchor_align", tmp_path / "session")
    for grade in "AB":
        anchor = tmp_path / "inputs" / "anchors" / f"essay_{grade}.txt"
        anchor.parent.mkdir(parents=True, exist_ok=True)
        anchor.write_text(f"An essay of grade {grade}.\n")
    (tmp_path / "a.eng5.yaml").write_text(
        "scenario: anchor_align\ninputs: inputs\ncompare: {baseline: control, min_improvement: -2}\n"
        "variants: [{id: control}, {id: rubric_b}]\n"
    )
    words = ("session", "--scenario", "a.eng5.yaml")
    said = eng5(*words, command="check")
    assert said.code == 0, said.err
    assert "anchor_align: compared with control" in said.out
    assert "PASS kendall_tau of rubric_b better by" in said.out
    assert eng5(*words, "--set", "compare.min_improvement=0", command="check").code == 3
    assert "compared with" not in eng5("session", command="check").out
