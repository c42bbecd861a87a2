"""Flags of the command line: what they mean for a run, and which of them do not go together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pytest_eng5.errors import UsageError
from pytest_eng5.runner.command import MODES, Prepared, prepare
from pytest_eng5.runner.flags import RunFlags
from pytest_eng5.scenario import Scenario, ScenarioError

MakeScenario = Callable[..., Scenario]


@pytest.fixture
def file(make_scenario: MakeScenario) -> Callable[..., Path]:
    """Writes a scenario file with students beside its anchors."""

    def make(*ids: str, **keys: Any) -> Path:
        scenario = make_scenario(*ids, **keys)
        folder = scenario.variants[0].inputs_dir / "students"
        folder.mkdir(exist_ok=True)
        (folder / "pupil.txt").write_text("A pupil's essay.\n")
        return scenario.path

    return make


def only(prepared: Prepared) -> Any:
    (spec, _), *rest = prepared.runs
    assert rest == []
    return spec


def refused(**flags: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        prepare(RunFlags(**flags))
    assert caught.value.exit_code == 2
    return caught.value


class TestModes:
    """Which mode is performed."""

    def test_it_is_the_scenarios_own(self, file: Callable[..., Path]) -> None:
        prepared = prepare(RunFlags(scenario=file()))
        assert (prepared.mode, prepared.offline) == ("anchor-align-test", False)
        assert only(prepared).planned_mode is None

    def test_flags_alone_make_a_plan(self, file: Callable[..., Path]) -> None:
        prepared = prepare(RunFlags(inputs=file().parent / "inputs"))
        assert (prepared.mode, prepared.offline) == ("plan", True)
        spec = only(prepared)
        assert (spec.variant.scenario, spec.variant.id, spec.planned_mode) == ("command_line", "plan", None)

    def test_a_plan_of_a_scenario_keeps_its_thresholds(self, file: Callable[..., Path]) -> None:
        path = file(thresholds={"kendall_tau": {"min": 0.9}}, repeats=3)
        spec = only(prepare(RunFlags(scenario=path, mode="plan")))
        assert spec.planned_mode == "anchor-align-test"
        assert [threshold.metric for threshold in spec.variant.thresholds] == ["kendall_tau"]
        assert spec.variant.repeats == 1

    def test_a_dry_run_of_a_scenario_judges_nothing(self, file: Callable[..., Path]) -> None:
        path = file(thresholds={"kendall_tau": {"min": 0.9}}, expect={"findings": ["META-MISSING"]})
        variant = only(prepare(RunFlags(scenario=path, mode="dry-run"))).variant
        assert (variant.mode, variant.thresholds, variant.expect) == ("dry-run", (), None)

    def test_a_plan_can_be_performed_in_another_mode(self, file: Callable[..., Path]) -> None:
        prepared = prepare(RunFlags(scenario=file(mode="plan"), mode="anchor-align-test"))
        assert prepared.mode == only(prepared).variant.mode == "anchor-align-test"

    def test_repeats_are_runs(self, file: Callable[..., Path]) -> None:
        prepared = prepare(RunFlags(scenario=file("a", "b", repeats=2)))
        assert [(spec.variant.id, spec.repeat) for spec, _ in prepared.runs] == [
            *(("a", 1), ("a", 2), ("b", 1), ("b", 2))
        ]
        assert [variant.id for variant in prepared.variants] == ["a", "b"]

    @pytest.mark.parametrize("word", ["PLAN", "Dry-Run"])
    def test_case_does_not_matter(self, file: Callable[..., Path], word: str) -> None:
        assert prepare(RunFlags(scenario=file(), mode=word)).mode == word.lower()

    def test_variants_with_modes_of_their_own_need_a_choice(
        self, file: Callable[..., Path], make_scenario: MakeScenario
    ) -> None:
        path = file(variants=[{"id": "a", "mode": "plan"}, {"id": "b"}])
        error = refused(scenario=path)
        assert "modes of their own: anchor-align-test, plan" in str(error)
        assert prepare(RunFlags(scenario=path, variant="b")).mode == "anchor-align-test"
        assert prepare(RunFlags(scenario=path, mode="plan")).mode == "plan"


EXECUTE_ONLY: dict[str, Any] = {
    "assignment_id": UUID(int=1),
    "course_id": UUID(int=1),
    "expected_grade_scale": "swedish_8_anchor",
    "force_reupload": True,
    "cj_system_prompt": False,
    "llm_batching_mode": "serial",
    "auto_extract_eng5_db": True,
}
ALIGN_ONLY: dict[str, Any] = {
    "anchor_align_provider": "mock",
    "anchor_align_model": "m",
    "anchor_align_reasoning_effort": "low",
    "anchor_align_output_verbosity": "low",
}
PROMPTS = {"system_prompt": Path("system.txt"), "rubric": Path("rubric.txt")}
MISPLACED = [
    *((name, value, mode) for name, value in EXECUTE_ONLY.items() for mode in MODES if mode != "execute"),
    *((name, value, mode) for name, value in (ALIGN_ONLY | PROMPTS).items() for mode in ("plan", "dry-run")),
]


@pytest.mark.parametrize(("name", "value", "mode"), MISPLACED)
def test_flags_of_other_modes_are_refused(
    file: Callable[..., Path], name: str, value: Any, mode: str
) -> None:
    error = refused(scenario=file(), mode=mode, **{name: value})
    assert error.where == f"--{name.replace('_', '-')}"
    assert f"but the mode is {mode}" in error.what


class TestSettings:
    """What flags set."""

    def test_they_go_before_the_scenario(self, file: Callable[..., Path]) -> None:
        path = file(judge={"provider": "openai", "model": "a", "temperature": 1.0, "max_tokens": 9})
        flags = RunFlags(
            scenario=path,
            llm_provider="ANTHROPIC",
            llm_model="b",
            llm_temperature=0.0,
            llm_max_tokens=7,
            max_comparisons=3,
            completion_timeout=11.0,
            course_code="eng6",
            language="SV",
        )
        variant = only(prepare(flags)).variant
        judge = variant.judge
        assert (judge.provider, judge.model, judge.temperature, judge.max_tokens) == (
            *("anthropic", "b", 0.0, 7),
        )
        assert (variant.comparisons_max, variant.timeout.total, variant.timeout.idle) == (3, 11.0, 20)
        assert (variant.course_code, variant.language) == ("ENG6", "sv")

    def test_what_is_not_given_stays(self, file: Callable[..., Path]) -> None:
        path = file(judge={"provider": "openai", "model": "a", "temperature": 0.0, "max_tokens": 9})
        variant = only(prepare(RunFlags(scenario=path))).variant
        assert (variant.judge.provider, variant.judge.temperature, variant.timeout.total) == (
            *("openai", 0.0, 60),
        )

    def test_flags_of_anchor_align_go_before_those_of_every_mode(self, file: Callable[..., Path]) -> None:
        flags = RunFlags(scenario=file(), llm_model="a", **{**ALIGN_ONLY, "anchor_align_model": "b"})
        judge = only(prepare(flags)).variant.judge
        assert (judge.model, judge.reasoning_effort, judge.output_verbosity) == ("b", "low", "low")

    def test_prompts_are_files_from_here(
        self, file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = file()
        (tmp_path / "mine.txt").write_text("Judge.\n")
        monkeypatch.chdir(tmp_path)
        spec = only(prepare(RunFlags(scenario=path, system_prompt=Path("mine.txt"))))
        assert spec.variant.system_prompt == tmp_path / "mine.txt"
        assert spec.variant.rubric == path.parent / "rubric.txt"

    def test_inputs_replace_those_of_the_scenario(self, file: Callable[..., Path], tmp_path: Path) -> None:
        path = file()
        other = tmp_path / "other"
        (path.parent / "inputs").rename(other)
        (path.parent / "inputs" / "anchors").mkdir(parents=True)
        for grade in "AB":
            (path.parent / "inputs" / "anchors" / f"x_{grade}.txt").write_text("x\n")
        prepared = prepare(RunFlags(scenario=path, inputs=other))
        assert len(prepared.runs[0][1].anchors) == 4


class TestRefusals:
    """What cannot be done as written; nothing was started."""

    @pytest.mark.parametrize(
        ("name", "value", "known"),
        [
            ("mode", "planning", "plan, dry-run, execute, anchor-align-test"),
            ("language", "de", "en, sv"),
            ("course_code", "MATH", "ENG5, ENG6, ENG7, SV1, SV2, SV3"),
            ("llm_provider", "acme", "anthropic, openai, google, openrouter, mock"),
            ("anchor_align_reasoning_effort", "max", "none, low, medium, high"),
        ],
    )
    def test_unknown_values(self, file: Callable[..., Path], name: str, value: str, known: str) -> None:
        error = refused(scenario=file(), **{name: value})
        assert str(error) == (
            f"--{name.replace('_', '-')}: unknown value {value!r}\n  fix: use one of {known}"
        )

    def test_nothing_to_run(self) -> None:
        assert "--scenario" in str(refused())

    def test_a_variant_of_nothing(self, file: Callable[..., Path]) -> None:
        assert refused(inputs=file().parent / "inputs", variant="a").where == "--variant"

    def test_a_variant_that_the_file_does_not_have(self, file: Callable[..., Path]) -> None:
        assert "use one of a, b" in str(refused(scenario=file("a", "b"), variant="c"))

    @pytest.mark.parametrize("mode", ["plan", "dry-run", "anchor-align-test"])
    def test_a_folder_that_is_not_there(self, tmp_path: Path, mode: str) -> None:
        error = refused(inputs=tmp_path / "nowhere", mode=mode)
        assert "nowhere: does not exist" in str(error)

    @pytest.mark.parametrize(
        ("content", "said"), [(None, "No such file"), ("", "is empty"), (" \n", "is empty")]
    )
    @pytest.mark.parametrize("name", ["system_prompt", "rubric"])
    def test_a_prompt_that_cannot_be_used(
        self, file: Callable[..., Path], tmp_path: Path, content: str | None, said: str, name: str
    ) -> None:
        path = tmp_path / "prompt.txt"
        if content is not None:
            path.write_text(content)
        error = refused(scenario=file(), **{name: path})
        assert said in str(error)
        assert str(error).startswith(f"--{name.replace('_', '-')} {path}")

    def test_comparing_without_kafka(self, file: Callable[..., Path]) -> None:
        path = file()
        assert refused(scenario=path, no_kafka=True).where == "--no-kafka"
        assert prepare(RunFlags(scenario=path, mode="dry-run", no_kafka=True)).offline

    def test_a_service_without_its_kafka(self, file: Callable[..., Path]) -> None:
        path, url = file(), "http://localhost:8001/v1/content"
        assert refused(scenario=path, content_service_url=url).where == "--content-service-url"
        assert prepare(RunFlags(scenario=path, content_service_url=url, mode="plan")).offline
        assert prepare(RunFlags(scenario=path, content_service_url=url, kafka_bootstrap="h:1")).runs

    def test_too_few_essays(self, file: Callable[..., Path], tmp_path: Path) -> None:
        (tmp_path / "few" / "anchors").mkdir(parents=True)
        (tmp_path / "few" / "anchors" / "one_A.txt").write_text("One.\n")
        error = refused(inputs=tmp_path / "few", mode="anchor-align-test")
        assert "the inputs folder holds one anchor; a comparison needs 2" in str(error)

    def test_comparisons_that_leave_essays_out(self, file: Callable[..., Path]) -> None:
        path = file(essays=6)
        error = refused(scenario=path, max_comparisons=2)
        assert error.where == "--max-comparisons"
        assert error.what == "2 comparisons reach at most 4 of 6 essays"
        prepared = prepare(RunFlags(scenario=path, max_comparisons=4))
        (notice,) = prepared.notices
        assert notice.startswith("only: 4 comparisons cannot connect 6 essays")
        assert prepare(RunFlags(scenario=path, max_comparisons=5)).notices == ()

    def test_files_that_are_passed_over_are_told_once(self, file: Callable[..., Path]) -> None:
        path = file("a", "b")
        (path.parent / "inputs" / "anchors" / "~$open.docx").write_text("x")
        (notice,) = prepare(RunFlags(scenario=path)).notices
        assert "a lock file is passed over" in notice
        assert prepare(RunFlags(scenario=path, mode="plan")).notices == ()

    def test_a_threshold_that_no_data_could_satisfy(self, file: Callable[..., Path]) -> None:
        path = file(thresholds={"zero_win_anchors": {"min": 5}})
        with pytest.raises(ScenarioError) as caught:
            prepare(RunFlags(scenario=path))
        assert caught.value.line > 1
        assert "cannot be reached" in str(caught.value)
        assert prepare(RunFlags(scenario=path, mode="plan")).runs


@pytest.mark.parametrize(
    ("flags", "broker", "pipeline"),
    [
        ({}, "embedded", "embedded"),
        ({"kafka_bootstrap": "h:1"}, "external", "external"),
        ({"kafka_config": Path("k.toml")}, "external", "external"),
        ({"kafka_bootstrap": "h:1", "topic_prefix": "x."}, "external", "embedded"),
        (
            {"kafka_bootstrap": "h:1", "topic_prefix": "x.", "content_service_url": "u"},
            "external",
            "external",
        ),
        ({"content_service_url": "u"}, "embedded", "embedded"),
    ],
)
def test_addresses_decide_what_is_started(flags: dict[str, Any], broker: str, pipeline: str) -> None:
    found = RunFlags(**flags)
    assert (found.broker_kind, found.pipeline_kind) == (broker, pipeline)


class TestCompare:
    """The block ``compare`` of the scenario."""

    def test_all_variants_are_compared(self, file: Callable[..., Path]) -> None:
        prepared = prepare(RunFlags(scenario=file("a", "b", compare={"baseline": "a"})))
        assert prepared.compare is not None
        assert (prepared.compared, prepared.notices) == (True, ())

    def test_a_scenario_without_the_block_compares_nothing(self, file: Callable[..., Path]) -> None:
        assert not prepare(RunFlags(scenario=file("a", "b"))).compared

    def test_a_single_variant_is_told_to_be_too_few(self, file: Callable[..., Path]) -> None:
        path = file("a", "b", compare={"baseline": "a"})
        prepared = prepare(RunFlags(scenario=path, variant="b"))
        assert not prepared.compared
        (notice,) = prepared.notices
        assert notice.endswith(": nothing is compared: there is a single variant")

    def test_a_mode_that_judges_nothing_compares_nothing(self, file: Callable[..., Path]) -> None:
        path = file("a", "b", compare={"baseline": "a"})
        prepared = prepare(RunFlags(scenario=path, mode="dry-run"))
        assert (prepared.compared, prepared.notices) == (False, ())

    def test_what_cannot_be_compared_is_refused(self, file: Callable[..., Path]) -> None:
        faulty = {"id": "c", "expect": {"findings": ["COUNT-MISSING"]}}
        path = file("a", compare={"baseline": "a"}, variants=[{"id": "a"}, faulty])
        assert "c is to be compared, but it is a negative test" in str(refused(scenario=path))
