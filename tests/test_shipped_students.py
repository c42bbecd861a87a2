"""The shipped student essays: fit to be judged, different from one another, and of clearly different quality.

They carry no grade anywhere but here, and here only as an order in which they were meant. Signals that need
no list of this writer's errors, and one short list of misspellings, must follow that order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from pytest_eng5.scenario import read_anchors

INPUTS = Path(__file__).parents[1] / "scenarios" / "role_models"
STUDENTS = sorted((INPUTS / "students").iterdir())
ANCHORS = sorted((INPUTS / "anchors").iterdir())

# Best first, as intended when they were written.
INTENDED = ("06", "09", "02", "11", "04", "08", "01", "12", "05", "10", "03", "07")

# A prompt with one of these is taken for a judge's prompt; an essay must not look like one either.
GUARDED = ("impartial", "comparison_result", "json", "judge", "essay a", "essay b")

MISSPELT = frozenset(
    re.findall(
        r"\w+",
        """
        afrad alot autograf becaus becouse begining cryed evrybody evryone exakt flor frend frysing funy giv
        hart insted jaket kvarg litle makrill mutch nam nigt ones payed peopel quited rolemodel shal shold
        smok snell somone somthing tak teached tim uncel wat wen writ
        """,
    )
)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower())


def by_intention() -> list[str]:
    return [read(INPUTS / "students" / f"student_{number}.txt") for number in INTENDED]


def shared_grams(one: str, other: str, length: int = 5) -> int:
    """How many runs of five words two texts have in common."""
    first, second = (
        {tuple(found[i : i + length]) for i in range(len(found) - length + 1)}
        for found in (words(one), words(other))
    )
    return len(first & second)


# --- files -----------------------------------------------------------------------------------------------


def test_there_are_twelve_with_neutral_names() -> None:
    assert [path.name for path in STUDENTS] == [f"student_{number:02}.txt" for number in range(1, 13)]
    assert sorted(INTENDED) == [path.stem.removeprefix("student_") for path in STUDENTS]


@pytest.mark.parametrize("path", STUDENTS, ids=lambda path: path.stem)
def test_file_is_clean_utf8_text(path: Path) -> None:
    raw = path.read_bytes()
    text = raw.decode("utf-8")
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert text == text.strip() + "\n"
    assert not [char for char in text if (ord(char) < 32 and char != "\n") or ord(char) > 0x24F]
    assert not re.search(r"  |\n\n\n| \n", text)


def test_numbers_do_not_reveal_the_intended_order() -> None:
    assert abs(spearmanr([int(number) for number in INTENDED], range(12)).statistic) < 0.3


def test_anchors_are_read_as_if_the_students_were_not_there() -> None:
    assert {anchor.path for anchor in read_anchors(INPUTS)} == set(ANCHORS)


# --- nothing that should not reach a judge ---------------------------------------------------------------


@pytest.mark.parametrize("path", STUDENTS, ids=lambda path: path.stem)
def test_essay_gives_no_grade_and_no_instruction_away(path: Path) -> None:
    text = read(path).lower()
    assert not re.search(r"(?<![\w'])[a-f][+-](?!\w)|\bgrades?\b|\bgraded\b|student_|\brm_|\banchor", text)
    assert not [phrase for phrase in GUARDED if phrase in text]
    assert not re.search(r"https?:|www\.|@\w|\d{4,}", text)


def names_in(text: str) -> set[str]:
    """Capitalised words inside a sentence; a first line without a full stop is a title."""
    first, _, rest = text.partition("\n")
    body = text if first.endswith((".", "?", "!", '"')) else rest
    return set(re.findall(r"(?<=[\w,;] )[A-ZÅÄÖ][\w']*", body))


@pytest.mark.parametrize("path", STUDENTS, ids=lambda path: path.stem)
def test_nobody_is_named(path: Path) -> None:
    assert names_in(read(path)) <= {"I", "I'm", "French"}


def test_a_name_would_be_seen() -> None:
    text = read(STUDENTS[1]).replace("My best friend has", "My best friend Sara has", 1)
    assert names_in(text) - {"I", "I'm"} == {"Sara"}


# --- each its own text -----------------------------------------------------------------------------------


def test_no_two_texts_share_more_than_a_few_phrases() -> None:
    texts = {path.stem: read(path) for path in [*STUDENTS, *ANCHORS]}
    pairs = [pair for pair in combinations(texts, 2) if any(name.startswith("student") for name in pair)]
    assert len(pairs) == 12 * 12 + 66
    shared = {pair: shared_grams(texts[pair[0]], texts[pair[1]]) for pair in pairs}
    assert max(shared.values()) <= 6, {pair: count for pair, count in shared.items() if count > 6}


def test_a_copy_with_every_eighth_word_changed_would_be_seen() -> None:
    original = read(ANCHORS[0])
    copied = " ".join("thing" if i % 8 == 7 else word for i, word in enumerate(words(original)))
    assert shared_grams(original, copied) > 60


def test_every_essay_opens_and_ends_in_its_own_way() -> None:
    texts = [words(read(path)) for path in [*STUDENTS, *ANCHORS]]
    assert len({tuple(text[:5]) for text in texts}) == len(texts)
    assert len({tuple(text[-4:]) for text in texts}) == len(texts)


def test_the_persons_are_different() -> None:
    """The subject of each essay, by a word that hardly any other essay uses as often."""
    subjects = dict(
        zip(
            INTENDED,
            (
                *("page", "cashier", "stuttered", "bus", "chemistry", "café"),
                *("songs", "pancakes", "stable", "rapper", "gym", "uncel"),
            ),
            strict=True,
        )
    )
    for number, word in subjects.items():
        counts = {path.stem[-2:]: words(read(path)).count(word) for path in STUDENTS}
        assert max(counts, key=lambda name: counts[name]) == number, (word, counts)


# --- quality falls in the intended order -----------------------------------------------------------------


def mean_word_length(text: str) -> float:
    found = words(text)
    return sum(map(len, found)) / len(found)


def long_word_share(text: str) -> float:
    found = words(text)
    return sum(len(word) >= 7 for word in found) / len(found)


def root_variety(text: str) -> float:
    """Distinct words over the root of their number (Guiraud): hardly depends on length."""
    found = words(text)
    return len(set(found)) / len(found) ** 0.5


def comma_share(text: str) -> float:
    return text.count(",") / len(words(text))


def plain_joining_share(text: str) -> float:
    """How much of the text is "and", "but" and "so"."""
    found = words(text)
    return sum(word in {"and", "but", "so"} for word in found) / len(found)


def misspelt_share(text: str) -> float:
    found = words(text)
    return sum(word in MISSPELT for word in found) / len(found)


SIGNALS: list[tuple[Callable[[str], float], int]] = [
    (mean_word_length, 1),
    (long_word_share, 1),
    (root_variety, 1),
    (comma_share, 1),
    (plain_joining_share, -1),
    (misspelt_share, -1),
]


def agreement(signal: Callable[[str], float], texts: list[str]) -> float:
    """Spearman's rho of a signal with the quality intended (best first)."""
    return float(spearmanr([signal(text) for text in texts], range(len(texts), 0, -1)).statistic)


@pytest.mark.parametrize(("signal", "sign"), SIGNALS, ids=lambda value: getattr(value, "__name__", ""))
def test_signal_follows_the_intended_order(signal: Callable[[str], float], sign: int) -> None:
    assert sign * agreement(signal, by_intention()) > 0.85


@pytest.mark.parametrize(("signal", "sign"), SIGNALS, ids=lambda value: getattr(value, "__name__", ""))
def test_signal_would_notice_the_best_in_the_place_of_the_weakest(
    signal: Callable[[str], float], sign: int
) -> None:
    texts = by_intention()
    texts[0], texts[-1] = texts[-1], texts[0]
    assert sign * agreement(signal, texts) < 0.6


def test_spread_is_wide_and_reaches_past_the_anchors_at_the_lower_end() -> None:
    shares = [misspelt_share(text) for text in by_intention()]
    assert max(shares[:6]) < 0.004
    assert min(shares[-2:]) > 0.06
    lengths = [len(text.split()) for text in by_intention()]
    assert all(280 <= length <= 350 for length in lengths[:9]), lengths
    assert all(60 <= length <= 260 for length in lengths[9:]), lengths
    assert min(lengths) < min(len(read(path).split()) for path in ANCHORS) / 2
