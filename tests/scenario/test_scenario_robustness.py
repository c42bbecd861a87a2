"""Whatever a file holds, the loader answers with a scenario or with one clear error."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example as with_example
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5.scenario import AnchorError, Scenario, ScenarioError, load_scenario, read_anchors

FUZZ = settings(deadline=None, max_examples=200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, new_workspace: Callable[[Path], Any]) -> Any:
    """One workspace for all random files."""
    return new_workspace(tmp_path_factory.mktemp("fuzz"))


def attempt(folder: Any, content: bytes) -> Scenario | ScenarioError:
    """Load random content; check whatever comes out."""
    path = folder.put("f.eng5.yaml", content)
    try:
        scenario = load_scenario(path)
    except ScenarioError as error:
        check_error(error, path, content)
        return error
    check_scenario(scenario)
    return scenario


def check_error(error: ScenarioError, path: Path, content: bytes) -> None:
    text = str(error)
    assert text.startswith(f"{error.path}:{error.line}:{error.column}: {error.message}")
    assert error.problems
    text.encode()
    lines = content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    for separator in "\x85\u2028\u2029":
        lines = lines.replace(separator, "\n")
    for problem in error.problems:
        assert problem.message
        assert "pydantic" not in str(problem)
        if problem.location.path == path:
            assert 1 <= problem.location.line <= lines.count("\n") + 2
            assert problem.location.column >= 1


def check_scenario(scenario: Scenario) -> None:
    assert scenario.variants
    assert len({variant.id for variant in scenario.variants}) == len(scenario.variants)
    for variant in scenario.variants:
        json.dumps(variant.to_dict(), allow_nan=False)
        assert variant.inputs_dir.is_dir()
        assert variant.repeats >= 1
        assert variant.planned_comparisons(2) >= 1
        assert variant.judge.temperature is None or 0 <= variant.judge.temperature <= 2
        assert all(t.min is not None or t.max is not None for t in variant.thresholds)


@FUZZ
@given(st.text(max_size=200))
@with_example("\x85a: 1")
@with_example("%TAG ! tag:x,2000:\n---\n!x a: b")
@with_example("? - a\n  - b\n: c")
def test_random_text(folder: Any, text: str) -> None:
    assert isinstance(attempt(folder, text.encode("utf-8", "surrogatepass")), ScenarioError)


@FUZZ
@given(st.binary(max_size=200))
def test_random_bytes(folder: Any, content: bytes) -> None:
    assert isinstance(attempt(folder, content), ScenarioError)


WORDS = [
    *(
        "scenario",
        "inputs",
        "variants",
        "judge",
        "mock",
        "id",
        "thresholds",
        "kendall_tau",
        "min",
        "max",
        "marks",
    ),
    *("role_models", "a", "b", "1", "0.5", "null", "true", "no", "~", "", "prompts/system/001_baseline.txt"),
    *(
        "findings",
        "expect",
        "timeout",
        "idle",
        "temperature",
        "rubric",
        "system_prompt",
        "faults",
        "mode",
        "plan",
    ),
]
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=15,
)


@FUZZ
@given(TREES)
def test_random_trees(folder: Any, tree: Any) -> None:
    attempt(folder, yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@FUZZ
@given(
    st.dictionaries(st.sampled_from(WORDS), TREES, max_size=4), st.dictionaries(st.sampled_from(WORDS), TREES)
)
def test_random_trees_in_a_good_file(folder: Any, top: dict[str, Any], variant: dict[str, Any]) -> None:
    good = {"scenario": "x", "inputs": "role_models", "variants": [{"id": "a", **variant}]}
    attempt(folder, yaml.safe_dump({**top, **good}, sort_keys=False).encode("utf-8", "surrogatepass"))


def mutated(text: str, rng: random.Random) -> str:
    """The good file with a few of the mistakes that people make."""
    lines = text.split("\n")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines))
        line = lines[at]
        place = rng.randint(0, len(line))
        lines[at : at + 1] = rng.choice(
            [
                [],
                [line, line],
                [" " + line],
                [line[1:]],
                ["\t" + line],
                [line[:place] + rng.choice(":#-[]{},&*!|>'\"%@`\\\t \x00é\u2028") + line[place:]],
                [line[:place] + line[place + 1 :]],
                [line[:place], line[place:]],
                [line.replace(":", "", 1)],
                [line.split("#")[0].rstrip() + " " + rng.choice(WORDS)],
                [
                    line.partition(":")[0]
                    + ": "
                    + rng.choice(["null", "[]", "{}", "[a, b]", "{a: b}", "-1", "'", "x"])
                ],
                [lines[rng.randrange(len(lines))], line],
                [line.upper()],
            ]
        )
        lines = lines or [""]
    return "\n".join(lines)


@settings(deadline=None, max_examples=400)
@given(st.randoms(use_true_random=False))
def test_mutations_of_the_good_file(folder: Any, example: str, rng: random.Random) -> None:
    attempt(folder, mutated(example, rng).encode("utf-8"))


def leaf_paths(node: yaml.Node, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], yaml.Node]]:
    """Every value of a document with its keys, by the other road: PyYAML's own tree."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from leaf_paths(value, (*before, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from leaf_paths(value, (*before, str(index)))
    else:
        yield before, node


def test_a_wrong_value_anywhere_is_found_at_its_position(folder: Any, example: str) -> None:
    """Each value of the good file in turn becomes a mapping, which none of them may be."""
    leaves = list(leaf_paths(yaml.compose(example)))
    assert len(leaves) > 25
    for path, node in leaves:
        start, end = node.start_mark, node.end_mark
        text = example[: start.index] + "{zz: 1}" + example[end.index :]
        error = attempt(folder, text.encode())
        assert isinstance(error, ScenarioError), path
        assert (error.line, error.column) == (start.line + 1, start.column + 1), path
        assert path[-1] in error.message or path[-1].isdigit()


def test_an_unknown_key_anywhere_is_found_at_its_position(folder: Any, example: str) -> None:
    """An unknown key is put before each key of the good file in turn."""
    keys = [key for key, _ in all_keys(yaml.compose(example))]
    assert len(keys) > 35
    for key in keys:
        mark = key.start_mark
        flow = example[mark.index - 1] == "{" or example[mark.index - 2 : mark.index] == ", "
        added = "zzyzx: 1, " if flow else "zzyzx: 1\n" + " " * mark.column
        error = attempt(folder, (example[: mark.index] + added + example[mark.index :]).encode())
        assert isinstance(error, ScenarioError), key.value
        problem = error.problems[0]
        assert "zzyzx" in problem.message
        assert (problem.location.line, problem.location.column) in {
            (mark.line + 1, mark.column + 1),
            (mark.line + 1, mark.column + 1 + len("zzyzx: ")),
        }


def all_keys(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key, value
            yield from all_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from all_keys(value)


def test_every_key_given_twice_is_found_with_both_positions(folder: Any, example: str) -> None:
    for line_number, line in enumerate(example.splitlines(), 1):
        key = line.strip(" -").partition(":")[0]
        if line.startswith("#") or not line.startswith((" ", key)) or line.strip().startswith("- "):
            continue
        lines = example.splitlines()
        if lines[line_number - 1].split("#")[0].rstrip().endswith(":"):
            continue
        lines.insert(line_number, line)
        error = attempt(folder, "\n".join(lines).encode())
        assert isinstance(error, ScenarioError)
        column = len(line) - len(line.lstrip()) + 1
        assert error.message == f"the key {key!r} is already set at line {line_number}, column {column}"
        assert (error.line, error.column) == (line_number + 1, column)


@FUZZ
@given(
    st.dictionaries(st.text(min_size=1, max_size=10), st.binary(max_size=20), max_size=4),
    st.binary(max_size=60),
)
def test_random_folders_of_anchors(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], table: bytes
) -> None:
    inputs = tmp_path_factory.mktemp("inputs")
    (inputs / "anchors").mkdir()
    for name, content in files.items():
        try:
            (inputs / "anchors" / f"{name}_A.txt").write_bytes(content)
        except (OSError, ValueError):
            continue
    for _ in range(2):
        with contextlib.suppress(AnchorError):
            assert all(anchor.path.is_file() for anchor in read_anchors(inputs))
        (inputs / "anchors.csv").write_bytes(b"anchor_id,file_name,grade\n" + table)


HEAVY = (
    "numpy",
    "scipy",
    "choix",
    "networkx",
    "aiokafka",
    "httpx",
    "starlette",
    "uvicorn",
    "jsonschema",
    "pytest",
)


def test_loading_imports_nothing_heavy_and_is_quick(folder: Any, example: str) -> None:
    path = folder.put("quick.eng5.yaml", example)
    code = f"""
import json, sys, time
from pathlib import Path
import pytest_eng5.scenario as scenario
start = time.process_time()
for _ in range(20):
    scenario.load_scenario(Path({str(path)!r}), ["repeats=2"])
seconds = (time.process_time() - start) / 20
print(json.dumps([seconds, sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, modules = json.loads(done.stdout)
    assert not set(HEAVY) & set(modules)
    assert seconds < 1


def test_the_largest_file_is_refused_or_read_in_reasonable_time(folder: Any) -> None:
    rows = "".join(f"  - id: v{number}\n    marks: [slow]\n" for number in range(3000))
    start = time.perf_counter()
    scenario = attempt(folder, f"scenario: x\ninputs: role_models\nvariants:\n{rows}".encode())
    assert isinstance(scenario, Scenario)
    assert len(scenario.variants) == 3000
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize(
    "table",
    [
        "anchor_id,file_name,grade\n" + "," * 200_000,
        "," * 200_000,
        "anchor_id,file_name,grade\n" + "x" + "," * 200_000,
        "anchor_id,file_name,grade\n" + "a,essay_01_A.txt,A\n" * 12_000,
        "anchor_id,file_name,grade\n" + '"\n' * 50_000,
    ],
    ids=["empty cells", "wide header", "wide row", "many rows", "many lines"],
)
def test_the_largest_tables_take_reasonable_time(
    new_workspace: Callable[[Path], Any], tmp_path: Path, table: str
) -> None:
    folder = new_workspace(tmp_path)
    folder.put("role_models/anchors.csv", table)
    start = time.perf_counter()
    with pytest.raises(AnchorError):
        read_anchors(folder.root / "role_models")
    assert time.perf_counter() - start < 30


def test_thousands_of_unknown_keys_take_reasonable_time(folder: Any, minimal: str) -> None:
    start = time.perf_counter()
    error = attempt(folder, (minimal + "".join(f"key{i}: 1\n" for i in range(9000))).encode())
    assert time.perf_counter() - start < 30
    assert isinstance(error, ScenarioError)
    assert len(error.problems) == 200


def test_a_path_that_cannot_be_printed_does_not_break_the_message(tmp_path: Path) -> None:
    path = tmp_path / "odd\nname.eng5.yaml"
    path.write_text("a: 1\n")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert str(caught.value).splitlines()[0].startswith(f"{tmp_path}/odd\\nname.eng5.yaml:1:1: ")
