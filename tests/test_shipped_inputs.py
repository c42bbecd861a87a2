"""The shipped scenario, prompts and anchor essays are what they say they are.

The quality of an essay cannot be proved by a script, but some of its traces can be counted. Four plain
signals are measured here, each with its own small list or none at all, and each must rank the essays much
as their grades do. The lists of errors were read off these essays; word length and variety need no list.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy.stats import kendalltau, spearmanr

SCENARIOS = Path(__file__).parents[1] / "scenarios"
INPUTS = SCENARIOS / "role_models"
SCENARIO = SCENARIOS / "anchor_align.eng5.yaml"
VARIANTS = {
    "baseline": "001_baseline.txt",
    "language_control": "003_language_control.txt",
    "usage_content_parity": "006_usage_content_parity.txt",
}
PROMPTS = [SCENARIOS / "prompts" / kind / name for kind in ("system", "rubric") for name in VARIANTS.values()]

# The legacy nine-step scale, best first, and how many anchors carry each grade.
GRADES = {"A": 2, "B": 2, "C+": 1, "C-": 1, "D+": 1, "D-": 1, "E+": 1, "E-": 1, "F+": 2}
RANK = {grade: rank for rank, grade in enumerate(GRADES)}

# A student prompt with one of these is taken for a judge's prompt by the CJ service and dropped.
GUARDED = (
    "you are an impartial comparative judgement assessor",
    "comparison_result",
    "respond with json",
    "judge instructions",
)

# Misspelt and borrowed words as these writers use them; none is expected from a careful writer.
MISSPELT = frozenset(
    re.findall(
        r"\w+",
        """
        aks allways alot anser annyway becaus becom becouse bild borring brige brok ceybord chanel chrismas
        coffe compiuter conclution contry countrys cusin definitly diffrent dont embarassing enemys englich
        evry evrybody evrything familj favorit footbollplayer forrest foto frend funy garach gravic hav
        hjelm hom importent krons laf lagg laught lern levl lisen litle mabye mashine midnigt modell mony
        mor moskitos mutch nam nigt ogust okej peopel persen polis pritty psykolog questin realy rol
        sandwitch scool shal shold shoted skreem smal somer somthing somtime somting sory speek speling
        sreek stoped stubborness subskribers succed sumers suprised tatoos teatcher tousend towls tracktor
        traning vacasion whant whit whitout writ
        """,
    )
)

# Plain breaches of grammar: agreement, the past tense after "did", the article before a vowel.
BROKEN_GRAMMAR = re.compile(
    r"""\b(?:
        (?<!would\ )
        (?:he|she|it|who|how|father|mother|mom|dad|grandfather|cusin|person|someone|every(?:one|body)|evrybody)
        \ (?:also\ |not\ |only\ )?
        (?:have|do|dont|don't|go|give|say|sey|want|live|play|help|jump|skreem|die|drive|sell|cry|take|work|learn
          |laught|sleep|shet|get|make|anser|traning)
      | (?:we|they|you|parents|students|problems|boys|models|ones|peoples)\ (?:was|is|has|thinks|talks|asks)
      | i\ has
      | it\ is\ many
      | there\ is\ (?:also\ )?(?:many|bad)
      | (?:dont|didn't|hadn't)\ (?:was|wanted|cared|saw)
      | a\ (?:own|other|organisation)
      | (?:i|he|she|they|we)\ (?:have|has)\ (?:always\ )?(?:work|showed|say)
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)


def anchors() -> list[dict[str, str]]:
    with (INPUTS / "anchors.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def essay(row: dict[str, str]) -> str:
    return (INPUTS / "anchors" / row["file_name"]).read_text(encoding="utf-8")


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower())


def misspelt_share(text: str) -> float:
    found = words(text)
    return sum(word in MISSPELT for word in found) / len(found)


def broken_grammar_share(text: str) -> float:
    return len(BROKEN_GRAMMAR.findall(text)) / len(words(text))


def long_word_share(text: str) -> float:
    found = words(text)
    return sum(len(word) >= 7 for word in found) / len(found)


def distinct_share(text: str) -> float:
    """Type-token ratio of the first 250 words, so that the length of the essay does not matter."""
    return len(set(words(text)[:250])) / 250


def correlation(signal: Callable[[str], float], rows: list[dict[str, str]]) -> float:
    """Spearman's rho between a signal and how good the grade is (higher grade, higher value)."""
    result = spearmanr([signal(essay(row)) for row in rows], [-RANK[row["grade"]] for row in rows])
    return float(result.statistic)


SIGNALS = [(misspelt_share, -1), (broken_grammar_share, -1), (long_word_share, 1), (distinct_share, 1)]


# --- the anchors -----------------------------------------------------------------------------------------


def test_anchor_table_has_twelve_rows_with_the_intended_grades() -> None:
    rows = anchors()
    assert (INPUTS / "anchors.csv").read_text(encoding="utf-8").startswith("anchor_id,file_name,grade\n")
    assert len(rows) == len({row["anchor_id"] for row in rows}) == 12
    counts = {grade: sum(row["grade"] == grade for row in rows) for grade in RANK}
    assert counts == GRADES
    assert sum(counts.values()) == len(rows)


def test_every_listed_file_exists_and_every_file_is_listed() -> None:
    listed = sorted(row["file_name"] for row in anchors())
    assert sorted(path.name for path in (INPUTS / "anchors").iterdir()) == listed


@pytest.mark.parametrize("row", anchors(), ids=lambda row: row["anchor_id"])
def test_essay_has_the_length_that_the_task_asks_for(row: dict[str, str]) -> None:
    assert 250 <= len(essay(row).split()) <= 450


@pytest.mark.parametrize(
    "path",
    [SCENARIO, *PROMPTS, *sorted(INPUTS.rglob("*.*"))],
    ids=lambda path: path.relative_to(SCENARIOS).as_posix(),
)
def test_file_is_clean_utf8_text(path: Path) -> None:
    raw = path.read_bytes()
    text = raw.decode("utf-8")
    assert text.strip()
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert raw.endswith(b"\n")
    assert not [char for char in text if ord(char) < 32 and char != "\n"]


@pytest.mark.parametrize("row", anchors(), ids=lambda row: row["anchor_id"])
def test_names_do_not_carry_the_grade(row: dict[str, str]) -> None:
    for name in (row["anchor_id"], Path(row["file_name"]).stem):
        assert re.fullmatch(r"rm_\d\d", name)
    assert row["anchor_id"] not in essay(row)
    assert not re.search(r"(?<![\w'])[A-F][+-](?!\w)", essay(row))


def test_numbers_do_not_reveal_the_order_of_the_grades() -> None:
    rows = anchors()
    numbers = [int(row["anchor_id"].removeprefix("rm_")) for row in rows]
    assert sorted(numbers) == list(range(1, 13))
    assert abs(spearmanr(numbers, [RANK[row["grade"]] for row in rows]).statistic) < 0.3


def test_essays_share_no_template() -> None:
    texts = {row["anchor_id"]: words(essay(row)) for row in anchors()}
    grams = {name: {tuple(found[i : i + 5]) for i in range(len(found) - 4)} for name, found in texts.items()}
    shared = {pair: len(grams[pair[0]] & grams[pair[1]]) for pair in combinations(sorted(grams), 2)}
    assert max(shared.values()) <= 8, shared
    assert len({tuple(found[:4]) for found in texts.values()}) == 12


@pytest.mark.parametrize("row", anchors(), ids=lambda row: row["anchor_id"])
def test_nobody_is_named(row: dict[str, str]) -> None:
    """The only capitalised words inside a sentence are the pronoun, two countries and two abbreviations."""
    title_or_text, _, rest = essay(row).partition("\n")
    body = essay(row) if title_or_text.endswith((".", "?", "!", '"')) else rest
    inside = re.findall(r"(?<=[\w,;] )[A-ZÅÄÖ][\w']*", body)
    assert set(inside) <= {"I", "Norway", "Poland", "TV", "EU"}


# --- quality falls with the grade ------------------------------------------------------------------------


@pytest.mark.parametrize(("signal", "sign"), SIGNALS, ids=lambda value: getattr(value, "__name__", ""))
def test_signal_follows_the_grades(signal: Callable[[str], float], sign: int) -> None:
    assert sign * correlation(signal, anchors()) > 0.85


@pytest.mark.parametrize(("signal", "sign"), SIGNALS, ids=lambda value: getattr(value, "__name__", ""))
def test_signal_would_notice_a_swapped_grade(signal: Callable[[str], float], sign: int) -> None:
    rows = anchors()
    best = next(row for row in rows if row["grade"] == "A")
    worst = next(row for row in rows if row["grade"] == "F+")
    best["grade"], worst["grade"] = worst["grade"], best["grade"]
    assert sign * correlation(signal, rows) < 0.6


def test_the_best_are_nearly_clean_and_the_weakest_are_not() -> None:
    share = {row["anchor_id"]: misspelt_share(essay(row)) for row in anchors()}
    grade = {row["anchor_id"]: row["grade"] for row in anchors()}
    assert all(value < 0.005 for name, value in share.items() if grade[name] in {"A", "B"})
    assert all(value > 0.12 for name, value in share.items() if grade[name] == "F+")


# --- the prompts -----------------------------------------------------------------------------------------


def test_prompts_differ_from_each_other() -> None:
    assert sorted(PROMPTS) == sorted((SCENARIOS / "prompts").rglob("*.txt"))
    texts = {" ".join(path.read_text(encoding="utf-8").split()) for path in PROMPTS}
    assert len(texts) == len(PROMPTS) == 6
    assert all(len(text.split()) > 150 for text in texts)


@pytest.mark.parametrize(
    "path",
    [*PROMPTS, INPUTS / "prompt.md", INPUTS / "instructions.md"],
    ids=lambda path: path.relative_to(SCENARIOS).as_posix(),
)
def test_prompt_is_not_caught_by_the_guard_and_leaks_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8").lower()
    assert not [phrase for phrase in GUARDED if phrase in text]
    assert not re.search(r"\bgrad(?:e|es|ed|ing)\b|\bids?\b|\banchors?\b|(?<![\w'])[a-f][+-](?!\w)", text)


@pytest.mark.parametrize("path", PROMPTS[:3], ids=lambda path: path.stem)
def test_system_prompts_treat_both_places_alike(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("Essay A") == text.count("Essay B") > 0


def test_system_prompts_differ_in_the_idea_only() -> None:
    """Impartiality and answer discipline are shared word for word, so that variants compare the idea."""
    texts = [path.read_text(encoding="utf-8") for path in PROMPTS[:3]]
    assert len({text.partition("\nImpartiality\n")[2] for text in texts}) == 1
    assert len({text.partition("\nImpartiality\n")[0] for text in texts}) == 3
    assert all("\nYour answer\n" in text.partition("\nImpartiality\n")[2] for text in texts)


# --- the scenario ----------------------------------------------------------------------------------------


def scenario() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(SCENARIO.read_text(encoding="utf-8"))
    return loaded


def test_scenario_names_its_schema_for_editors() -> None:
    first = SCENARIO.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schemas/scenario.schema.json"


def test_scenario_holds_the_settings_of_a_full_round_robin() -> None:
    loaded = scenario()
    assert (loaded["scenario"], loaded["mode"]) == ("anchor_align", "anchor-align-test")
    assert (loaded["course_code"], loaded["language"], loaded["repeats"]) == ("ENG5", "en", 1)
    assert (SCENARIOS / loaded["inputs"]).samefile(INPUTS)
    n = len(anchors())
    assert loaded["comparisons"] == {"max": n * (n - 1) // 2}
    assert loaded["timeout"] == {"idle": 30, "total": 300}
    assert loaded["budget"] == {"max_usd": 0.50}


def test_scenario_costs_nothing_as_shipped() -> None:
    loaded = scenario()
    mock = {"discrimination": 4.0, "position_bias": 0.0, "failure_rate": 0.0, "latency_ms": 0, "seed": 7}
    judge = {"provider": "mock", "model": "simulated-judge", "temperature": 0.1, "mock": mock}
    assert loaded["judge"] == judge
    assert not [variant["id"] for variant in loaded["variants"] if "judge" in variant]


def test_scenario_variants_use_every_prompt_once() -> None:
    variants = scenario()["variants"]
    assert [variant["id"] for variant in variants] == list(VARIANTS)
    for variant in variants:
        name = VARIANTS[variant["id"]]
        assert variant["system_prompt"] == f"prompts/system/{name}"
        assert variant["rubric"] == f"prompts/rubric/{name}"
        assert all((SCENARIOS / variant[key]).is_file() for key in ("system_prompt", "rubric"))


def test_thresholds_can_be_reached_with_these_grades() -> None:
    thresholds = scenario()["thresholds"]
    assert thresholds == {
        "kendall_tau": {"min": 0.90},
        "direct_inversions": {"max": 1},
        "zero_win_anchors": {"max": 1},
        "upper_grade_inversions": {"max": 0},
    }
    ranks = sorted(RANK[row["grade"]] for row in anchors())
    attainable = float(kendalltau(ranks, range(len(ranks))).statistic)
    assert attainable == pytest.approx(0.977, abs=5e-4)
    assert thresholds["kendall_tau"]["min"] < attainable


@pytest.mark.parametrize("phrase", ["Apache-2.0", "No real student's work", "written for this project"])
def test_readme_states_where_the_essays_come_from(phrase: str) -> None:
    assert phrase in (INPUTS / "README.md").read_text(encoding="utf-8")
