"""From a scenario file to node ids; selection; nothing is started by collecting."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

KINDS = [
    "run",
    "events",
    "metadata",
    "completeness",
    "schema",
    "scoring",
    "costs",
    "manifest",
    "kendall_tau",
    "direct_inversions",
]

FORBIDDEN = """
    import socket, subprocess

    import pytest

    def refuse(*args, **more):
        raise AssertionError("collection touched the network or started a process")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection():  # not earlier: other plugins ask the platform module, which starts a process
        for name in ("connect", "connect_ex", "bind", "sendto"):
            setattr(socket.socket, name, refuse)
        socket.create_connection = socket.getaddrinfo = refuse
        subprocess.Popen.__init__ = refuse
"""


def test_node_ids_and_their_order(project: Any) -> None:
    project.scenario(file="scenarios/small.eng5.yaml", variants=("baseline", "other.v-2"))
    project.root.joinpath("inputs").rename(project.root / "scenarios/inputs")
    project.root.joinpath("prompts").rename(project.root / "scenarios/prompts")
    expected = [
        f"scenarios/small.eng5.yaml::{id_}::{kind}" for id_ in ("baseline", "other.v-2") for kind in KINDS
    ]
    assert project.collect() == expected


def test_thresholds_keep_the_order_of_the_file(project: Any) -> None:
    project.scenario(thresholds="{coverage: {min: 1}, kendall_tau: {min: 0}, ssr: {min: 0}}")
    assert [line.split("::")[2] for line in project.collect()][8:] == ["coverage", "kendall_tau", "ssr"]


def test_expect_adds_the_last_item(project: Any) -> None:
    project.scenario(more="expect: {findings: [META-MISSING]}")
    assert project.collect()[-1] == "small.eng5.yaml::baseline::expect"


@pytest.mark.parametrize(
    ("wanted", "count"), [("", 20), ("::baseline", 10), ("::other", 10), ("::other::run", 1)]
)
def test_selection_by_node_id(project: Any, wanted: str, count: int) -> None:
    project.scenario(variants=("baseline", "other"))
    ids = project.collect(f"small.eng5.yaml{wanted}")
    assert len(ids) == count
    assert all(line.startswith(f"small.eng5.yaml{wanted}") for line in ids)


def test_a_node_id_that_does_not_exist_is_a_usage_error(project: Any) -> None:
    project.scenario()
    assert "small.eng5.yaml::baselin" in project.refusal("small.eng5.yaml::baselin")


@pytest.mark.parametrize(
    ("expression", "count"), [("kendall_tau", 2), ("other", 10), ("other and not events", 9), ("small", 20)]
)
def test_selection_by_keyword(project: Any, expression: str, count: int) -> None:
    project.scenario(variants=("baseline", "other"))
    assert len(project.collect("-k", expression)) == count


def test_selection_by_a_mark_of_one_variant(project: Any) -> None:
    project.ini("markers =", "  nightly: only at night")
    path = project.scenario(variants=("baseline", "other"))
    path.write_text(path.read_text().replace("{id: other,", "{id: other, marks: [nightly],"))
    assert {line.split("::")[1] for line in project.collect("--strict-markers", "-m", "nightly")} == {"other"}
    assert {line.split("::")[1] for line in project.collect("-m", "not nightly")} == {"baseline"}


def test_an_unknown_mark_is_an_error_under_strict_markers(project: Any) -> None:
    path = project.scenario()
    path.write_text(path.read_text().replace("{id: baseline,", "{id: baseline, marks: [nightli],"))
    error = " ".join(project.collection_error("--strict-markers"))
    assert "small.eng5.yaml:8:" in error
    assert "nightli" in error


def test_without_strict_markers_an_unknown_mark_is_only_a_warning(project: Any) -> None:
    path = project.scenario()
    path.write_text(path.read_text().replace("{id: baseline,", "{id: baseline, marks: [nightli],"))
    assert len(project.collect("-m", "nightli")) == 10


def test_random_order_keeps_every_item(project: Any) -> None:
    project.scenario(variants=("baseline", "other"))
    result = project.pytester.runpytest_inprocess(
        "--collect-only", "-q", "-p", "randomly", "-p", "no:cacheprovider"
    )
    assert sum("::" in line for line in result.outlines) == 20


def test_collecting_touches_no_network_and_starts_nothing(project: Any) -> None:
    project.scenario(variants=("baseline", "other"))
    project.write("conftest.py", FORBIDDEN)
    result = project.subprocess("--collect-only", "-q")
    assert result.ret == 0
    assert sum("::" in line for line in result.outlines) == 20
    assert not (project.root / ".eng5").exists()


def test_the_guard_against_the_network_does_guard(project: Any) -> None:
    """Without this the test above could pass on a guard that forbids nothing."""
    project.write("conftest.py", FORBIDDEN)
    project.write(
        "test_guard.py",
        """
        import socket, subprocess, sys

        def test_network():
            socket.create_connection(("127.0.0.1", 9))

        def test_process():
            subprocess.run([sys.executable, "-V"])
        """,
    )
    project.subprocess().assert_outcomes(failed=2)


def test_collecting_does_not_load_the_heavy_libraries(project: Any) -> None:
    project.scenario()
    project.write(
        "conftest.py",
        """
        import sys

        def pytest_unconfigure():
            heavy = {"numpy", "scipy", "aiokafka", "httpx", "choix", "networkx", "starlette", "uvicorn"}
            print("loaded:", sorted(heavy & set(sys.modules)))
        """,
    )
    result = project.subprocess("--collect-only", "-q", "-s", "-p", "no:hypothesispytest")
    result.stdout.fnmatch_lines(["loaded: [[]]"])


def test_equal_scenario_names_with_equal_variants_are_refused(project: Any) -> None:
    project.scenario("small", file="a.eng5.yaml")
    project.scenario("small", file="b.eng5.yaml")
    text = project.refusal()
    assert "'small'" in text
    assert "a.eng5.yaml" in text
    assert "b.eng5.yaml" in text
    assert "fix: " in text
    assert not (project.root / ".eng5").exists()


def test_one_of_two_files_with_equal_names_can_be_selected(project: Any) -> None:
    project.scenario("small", file="a.eng5.yaml")
    project.scenario("small", file="b.eng5.yaml")
    assert len(project.collect("a.eng5.yaml")) == 10


def test_a_project_without_scenario_files_is_not_disturbed(project: Any) -> None:
    project.write("test_plain.py", "def test_one(): pass\ndef test_two(): assert False\n")
    project.write("compose.yaml", "services: {}\n")
    with_plugin = project.subprocess()
    without = project.subprocess("-p", "no:eng5")
    assert with_plugin.ret == without.ret == 1

    def relevant(result: pytest.RunResult) -> list[str]:
        seconds = " in "
        return [line.partition(seconds)[0] for line in result.outlines if not line.startswith("plugins: ")]

    assert [line for line in relevant(with_plugin) if not line.startswith("eng5: ")] == relevant(without)
    assert not (project.root / ".eng5").exists()


@pytest.mark.parametrize(
    "arguments",
    [("-p", "no:xdist"), ("-W", "error"), ("-p", "no:junitxml"), ("-p", "no:asyncio")],
    ids=" ".join,
)
def test_it_works_with_other_settings_of_pytest(project: Any, arguments: tuple[str, ...]) -> None:
    if "no:asyncio" in arguments:
        project.write("tox.ini", "[pytest]\n")
    project.scenario()
    result = project.subprocess("--collect-only", "-q", *arguments)
    assert result.ret == 0, result.stderr.str()
    assert sum("::" in line for line in result.outlines) == 10


def test_it_works_without_autoloading(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    project.write("tox.ini", "[pytest]\n")
    project.scenario()
    result = project.subprocess("--collect-only", "-q", "-W", "error", "-p", "pytest_eng5.plugin")
    assert result.ret == 0, result.stderr.str()
    assert sum("::" in line for line in result.outlines) == 10


def test_the_plugin_loads_quickly(project: Any) -> None:
    """Every pytest session of a machine pays for this import; pytest itself is loaded already."""
    code = (
        "import time, pytest, sys; start = time.process_time(); import pytest_eng5.plugin; "
        "print(time.process_time() - start); assert not {'numpy', 'yaml', 'pydantic'} & set(sys.modules)"
    )
    result = project.pytester.run(sys.executable, "-c", code)
    assert result.ret == 0, result.stderr.str()
    seconds = float(result.outlines[-1])
    print(f"import of the plugin: {seconds * 1000:.0f} ms on {os.cpu_count()} CPUs")
    assert seconds < 1


@pytest.mark.parametrize("mistake", ["names", "variant"])
def test_a_refused_session_is_one_clean_error_under_xdist(project: Any, mistake: str) -> None:
    project.scenario("small", file="a.eng5.yaml")
    if mistake == "names":
        project.scenario("small", file="b.eng5.yaml")
    more = ("--eng5-set", "variants.gone.repeats=2") if mistake == "variant" else ()
    result = project.subprocess("-n", "2", *more)
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1)
    assert "INTERNALERROR" not in text
    assert "Traceback" not in text
    assert ("variants.gone" if mistake == "variant" else "'small' is also the name of") in text
    assert not (project.root / ".eng5").exists()
