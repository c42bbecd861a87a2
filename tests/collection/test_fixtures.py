"""The four fixtures in tests written in Python, on a real broker."""

from __future__ import annotations

from typing import Any

import pytest

PLAIN = """
    import urllib.request

    def test_broker(eng5_broker):
        assert ":" in eng5_broker.connection.bootstrap_servers
        assert eng5_broker.failure() is None

    def test_pipeline(eng5_pipeline):
        assert eng5_pipeline.content_url.endswith("/v1/content")
        address = eng5_pipeline.content_url.removesuffix("/v1/content")
        assert urllib.request.urlopen(f"{address}/healthz").status == 200

    def test_campaign(eng5_campaign):
        from pathlib import Path
        from pytest_eng5.runner import RunSpec
        from pytest_eng5.scenario import load_scenario

        variant = load_scenario(Path("small.eng5.yaml")).variants[0]
        ending = eng5_campaign.submit(RunSpec(variant, folder="by_hand")).result(60)
        assert ending.reason == "completed"

    def test_run(eng5_run):
        result = eng5_run("small.eng5.yaml", "baseline")
        assert result.verdict == "PASS"
        assert len(result.evidence.succeeded) == 6
        assert result.metrics["kendall_tau"].value == 1.0
        assert result.findings == ()

    def test_twice_is_once(eng5_run):
        first = eng5_run("small.eng5.yaml", "baseline")
        second = eng5_run("small.eng5.yaml", "baseline")
        assert first.run_dir == second.run_dir
        assert len(list(first.run_dir.parent.glob("run-*"))) == 1

    def test_overrides_are_another_run(eng5_run):
        plain = eng5_run("small.eng5.yaml", "baseline")
        coin = eng5_run("small.eng5.yaml", "baseline", overrides=("judge.mock.discrimination=0",))
        assert coin.run_dir != plain.run_dir
        assert coin.metrics["kendall_tau"].value < 0.9
        assert coin.verdict == "FAIL"
        assert eng5_run("small.eng5.yaml", "baseline").verdict == "PASS"
"""


@pytest.mark.slow
def test_plain_tests_share_the_runs_of_the_scenario_items(project: Any, on_kafka: tuple[str, ...]) -> None:
    project.scenario()
    project.write("test_plain.py", PLAIN)
    result = project.subprocess(*on_kafka)
    result.assert_outcomes(passed=10 + 6)
    [session] = project.sessions()
    folders = sorted(path.name for path in (session / "small").iterdir())
    assert folders[:2] == ["baseline", folders[1]]
    assert folders[1].startswith("baseline.")
    assert folders[2:] == ["by_hand"]


@pytest.mark.slow
@pytest.mark.thorough
def test_a_blocking_call_in_an_async_test_may_start_everything(
    project: Any, on_kafka: tuple[str, ...]
) -> None:
    project.scenario()
    project.write(
        "test_async.py",
        """
        async def test_first_of_all(eng5_run):
            assert eng5_run("small.eng5.yaml").verdict == "PASS"
        """,
    )
    project.subprocess(*on_kafka, "-o", "asyncio_mode=auto", "test_async.py").assert_outcomes(passed=1)


@pytest.mark.parametrize("mode", ["auto", pytest.param("strict", marks=pytest.mark.thorough)])
@pytest.mark.slow
def test_async_tests(project: Any, on_kafka: tuple[str, ...], mode: str) -> None:
    mark = "" if mode == "auto" else "@pytest.mark.asyncio"
    project.scenario(variants=("one", "two"))
    project.write(
        "test_async.py",
        f"""
        import asyncio
        import pytest

        {mark}
        async def test_together(eng5_run):
            ticks = 0

            async def tick():
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0.01)

            ticking = asyncio.create_task(tick())
            one, two = await asyncio.gather(
                eng5_run.aio("small.eng5.yaml", "one"), eng5_run.aio("small.eng5.yaml", "two")
            )
            ticking.cancel()
            assert ticks > 1, "the event loop was blocked"
            assert one.verdict == two.verdict == "PASS"
            assert one.run_dir != two.run_dir

        {mark}
        async def test_blocking_call_still_works(eng5_run, eng5_broker, eng5_pipeline, eng5_campaign):
            assert eng5_run("small.eng5.yaml", "one").verdict == "PASS"
        """,
    )
    result = project.subprocess(*on_kafka, "-o", f"asyncio_mode={mode}", "test_async.py")
    result.assert_outcomes(passed=2)
    [session] = project.sessions()
    assert sorted(path.parent.name for path in session.glob("small/*/run-*")) == ["one", "two"]


ERRORS = {
    "unknown variant": ('eng5_run("small.eng5.yaml", "three")', ["no variant 'three'", "one, two"]),
    "no variant named": ('eng5_run("small.eng5.yaml")', ["which variant?", "one, two"]),
    "no such file": ('eng5_run("gone.eng5.yaml", "one")', ["gone.eng5.yaml"]),
    "wrong override": (
        'eng5_run("small.eng5.yaml", "one", overrides=("repeat=2",))',
        ["repeat=2", "repeats"],
    ),
    "override of no variant": (
        'eng5_run("small.eng5.yaml", "one", overrides=("variants.three.repeats=2",))',
        ["variants.three.repeats=2", "one, two"],
    ),
}


def test_what_cannot_be_run_is_a_clear_error_and_starts_nothing(project: Any) -> None:
    project.scenario(variants=("one", "two"))
    calls = "\n".join(f"def test_{n}(eng5_run):\n    {call}\n" for n, (call, _) in enumerate(ERRORS.values()))
    project.write("test_wrong.py", calls)
    result = project.subprocess("test_wrong.py", "--tb=line")
    result.assert_outcomes(failed=len(ERRORS))
    text = result.stdout.str()
    for _, words in ERRORS.values():
        for word in words:
            assert word in text
    assert not (project.root / ".eng5").exists()


@pytest.mark.thorough
def test_an_override_on_the_command_line_for_another_file_does_not_disturb(project: Any) -> None:
    """An option for a variant of one file is no error when a test performs a variant of another file."""
    project.scenario("first", variants=("one",))
    project.scenario("second", variants=("other",))
    project.write("test_it.py", "def test_it(eng5_run):\n    eng5_run('first.eng5.yaml', 'one')\n")
    result = project.subprocess(
        "--eng5-kafka-home", "nowhere", "--eng5-set", "variants.other.repeats=2", "test_it.py"
    )
    assert str(project.root / "nowhere") in result.stdout.str()
    assert "variants.other" not in result.stdout.str()


def test_a_fixture_on_a_broker_that_cannot_start_is_an_error_each_time(project: Any) -> None:
    project.write("test_it.py", "def test_a(eng5_broker): pass\ndef test_b(eng5_pipeline): pass\n")
    result = project.subprocess("--eng5-kafka-home", "nowhere", "--tb=short")
    result.assert_outcomes(errors=2)
    assert result.stdout.str().count(str(project.root / "nowhere")) >= 2
