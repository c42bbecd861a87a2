"""Topics, grade scales, prompt hashes and ids, against the contract's own tables and vectors."""

from __future__ import annotations

import hashlib
import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_eng5.contracts import (
    ANCHOR_PREFIX,
    CAPTURED_EVENTS,
    ESSAY_ID_LIMIT,
    GRADE_ORDER,
    GRADE_SCALES,
    JSON_SUFFIX,
    PIPELINE_EVENTS,
    PROMPT_HASH,
    STUDENT_PREFIX,
    ContentType,
    ProcessingEvent,
    generate_essay_id,
    grade_from_stem,
    grade_rank,
    hashed_text,
    known_grades,
    make_anchor_key,
    prompt_sha256,
    sanitize_identifier,
    scale_of,
    text_sha256,
    topic_name,
    topic_names,
    wire_essay_id,
)

# Contract 1.1, verbatim: member, value, topic.
TOPICS = """
ELS_CJ_ASSESSMENT_REQUESTED els.cj_assessment.requested huleedu.els.cj_assessment.requested.v1
LLM_COMPARISON_RESULT llm_provider.comparison_result huleedu.llm_provider.comparison_result.v1
CJ_ASSESSMENT_COMPLETED cj_assessment.completed huleedu.cj_assessment.completed.v1
CJ_ASSESSMENT_FAILED cj_assessment.failed huleedu.cj_assessment.failed.v1
ASSESSMENT_RESULT_PUBLISHED assessment.result.published huleedu.assessment.result.published.v1
RESOURCE_CONSUMPTION_REPORTED resource.consumption.reported huleedu.resource.consumption.v1
LLM_REQUEST_STARTED llm_provider.request.started huleedu.llm_provider.request_started.v1
LLM_REQUEST_COMPLETED llm_provider.request.completed huleedu.llm_provider.request_completed.v1
LLM_PROVIDER_FAILURE llm_provider.failure huleedu.llm_provider.failure.v1
LLM_USAGE_ANALYTICS llm_provider.usage.analytics huleedu.llm_provider.usage_analytics.v1
LLM_COST_ALERT llm_provider.cost.alert huleedu.llm_provider.cost_alert.v1
LLM_COST_TRACKING llm_provider.cost.tracking huleedu.llm_provider.cost_tracking.v1
BATCH_CJ_ASSESSMENT_INITIATE_COMMAND batch.cj_assessment.initiate.command huleedu.batch.cj_assessment.initiate.command.v1
ELS_BATCH_PHASE_OUTCOME els.batch.phase.outcome huleedu.els.batch.phase.outcome.v1
"""  # noqa: E501
ROWS = [line.split() for line in TOPICS.split("\n") if line]


def test_the_topic_table_of_the_contract() -> None:
    assert [[event.name, event.value, topic_name(event)] for event in ProcessingEvent] == ROWS


@pytest.mark.parametrize(("member", "value", "topic"), ROWS)
def test_a_topic_by_event_or_by_name(member: str, value: str, topic: str) -> None:
    assert topic_name(ProcessingEvent[member]) == topic
    assert topic_name(value) == topic
    assert topic_name(value, prefix="mine.") == f"mine.{topic}"


def test_topics_are_distinct_and_legal_names_for_kafka() -> None:
    topics = topic_names(ProcessingEvent)
    assert len(set(topics)) == len(topics) == 14
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", topic) for topic in topics)


def test_topics_keep_the_order_asked_for() -> None:
    events = [ProcessingEvent.CJ_ASSESSMENT_FAILED, ProcessingEvent.LLM_COMPARISON_RESULT]
    assert topic_names(events, "p-") == [
        "p-huleedu.cj_assessment.failed.v1",
        "p-huleedu.llm_provider.comparison_result.v1",
    ]


@pytest.mark.parametrize(
    "name", ["", "cj_assessment", "huleedu.cj_assessment.failed.v1", "CJ_ASSESSMENT_FAILED"]
)
def test_an_unknown_event_has_no_topic(name: str) -> None:
    with pytest.raises(ValueError):
        topic_name(name)


def test_failures_are_captured_too() -> None:
    # Contract 13, R6: a runner that leaves out the failed topic waits for its whole timeout.
    assert {event.value for event in CAPTURED_EVENTS} == {
        "llm_provider.comparison_result",
        "assessment.result.published",
        "cj_assessment.completed",
        "cj_assessment.failed",
    }
    assert set(CAPTURED_EVENTS) < set(PIPELINE_EVENTS)
    assert len(set(PIPELINE_EVENTS)) == len(PIPELINE_EVENTS)


def test_content_types_of_the_contract() -> None:
    assert " ".join(kind.value for kind in ContentType) == (
        "original_essay corrected_text processing_log nlp_metrics_json student_facing_ai_feedback_text "
        "ai_editor_revision_text ai_detailed_analysis_json grammar_analysis_json cj_results_json "
        "raw_upload_blob extracted_plaintext student_prompt_text"
    )


# Contract 8.2.
SCALES = {
    "swedish_8_anchor": ("F E D D+ C C+ B A", (0.02, 0.08, 0.15, 0.20, 0.25, 0.15, 0.10, 0.05), None),
    "eng5_np_legacy_9_step": ("F+ E- E+ D- D+ C- C+ B A", (1 / 9,) * 9, "F"),
    "eng5_np_national_9_step": ("1 2 3 4 5 6 7 8 9", (1 / 9,) * 9, "0"),
}


def test_there_are_exactly_the_scales_of_the_contract() -> None:
    assert set(GRADE_SCALES) == set(SCALES)


@pytest.mark.parametrize("name", SCALES)
def test_a_grade_scale_of_the_contract(name: str) -> None:
    grades, priors, below = SCALES[name]
    scale = GRADE_SCALES[name]
    assert scale.id == name
    assert scale.grades == tuple(grades.split())
    assert scale.priors == pytest.approx(priors)
    assert sum(scale.priors) == pytest.approx(1)
    assert scale.below_lowest == below
    assert below not in scale.grades


@pytest.mark.parametrize("name", SCALES)
def test_ranks_fall_as_the_scale_rises(name: str) -> None:
    scale = GRADE_SCALES[name]
    legal = (scale.below_lowest, *scale.grades) if scale.below_lowest else scale.grades
    ranks = [grade_rank(grade) for grade in legal]
    assert None not in ranks
    assert ranks == sorted(ranks, key=lambda rank: -(rank or 0))
    assert len(set(ranks)) == len(ranks)


def test_the_grade_order_of_the_contract() -> None:
    order = "A 0, A- 1, B+ 2, B 3, B- 4, C+ 5, C 6, C- 7, D+ 8, D 9, D- 10, E+ 11, E 12, E- 13, F+ 14, F 15"
    assert ", ".join(f"{grade} {rank}" for rank, grade in enumerate(GRADE_ORDER)) == order
    for entry in order.split(", "):
        grade, rank = entry.split()
        assert grade_rank(grade) == int(rank)


@pytest.mark.parametrize(("text", "rank"), [(" a ", 0), ("c+", 5), ("f", 15), ("9", 0), ("0", 9), ("8 ", 1)])
def test_grades_are_read_generously(text: str, rank: int) -> None:
    assert grade_rank(text) == rank


@pytest.mark.parametrize("text", ["", "U", "UNKNOWN", "A+", "G", "10", "-1", "B 3", "É"])
def test_what_is_no_grade_has_no_rank(text: str) -> None:
    assert grade_rank(text) is None


@given(st.text(max_size=5))
def test_a_rank_is_known_or_none(text: str) -> None:
    rank = grade_rank(text)
    assert (rank is not None) == (text.strip().upper() in known_grades())


def test_known_grades_are_letters_then_digits() -> None:
    assert known_grades() == (*GRADE_ORDER, *"9876543210")


@pytest.mark.parametrize(
    ("grades", "expected"),
    [
        ("A B C+ C- D+ D- E+ E- F+", "eng5_np_legacy_9_step"),
        ("A F", "eng5_np_legacy_9_step"),
        ("A E", "swedish_8_anchor"),
        ("C D", "swedish_8_anchor"),
        ("0 9", "eng5_np_national_9_step"),
        ("A 9", None),
        ("A- B", None),
        ("", None),
    ],
)
def test_the_scale_that_holds_all_grades(grades: str, expected: str | None) -> None:
    scale = scale_of(set(grades.split()))
    assert (scale.id if scale else None) == expected


# Contract 3.2, vectors.
PLAIN = "67c7f39a47ef6ce0009b2dfe644d6f1625530f95a7a030d05ce8e5eb90921566"
SUFFIXED = "78ea0699711aaa17e2c075f896a2e48173c6b451a6cddeaec86800f7646d3945"


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("anthropic", PLAIN),
        ("google", PLAIN),
        ("mock", PLAIN),
        ("openai", SUFFIXED),
        ("openrouter", SUFFIXED),
    ],
)
def test_prompt_hash_vectors(provider: str, expected: str) -> None:
    assert prompt_sha256(provider, "alpha\n\nbeta") == expected
    assert prompt_sha256(provider, "ignored when there are blocks", ["alpha", "beta"]) == expected
    assert PROMPT_HASH.fullmatch(expected)


def test_the_suffix_is_exact() -> None:
    assert JSON_SUFFIX == "\n\nPlease respond with a valid JSON object."
    assert hashed_text("openai", "x") == "x\n\nPlease respond with a valid JSON object."
    assert hashed_text("google", "x") == "x"


@pytest.mark.parametrize("text", ["A" * 64, "a" * 63, "a" * 65, "g" * 64, PLAIN.upper(), f" {PLAIN}", ""])
def test_what_is_no_prompt_hash(text: str) -> None:
    assert not PROMPT_HASH.fullmatch(text)


@given(st.text())
def test_a_hash_is_that_of_the_utf8_bytes(text: str) -> None:
    assert text_sha256(text) == hashlib.sha256(text.encode("utf-8")).hexdigest()
    assert prompt_sha256("mock", text) == text_sha256(text)
    assert prompt_sha256("openai", text) == text_sha256(text + JSON_SUFFIX)


@given(st.lists(st.text(max_size=10), min_size=1, max_size=4))
def test_blocks_are_joined_by_a_blank_line(blocks: list[str]) -> None:
    assert hashed_text("anthropic", "", blocks) == "\n\n".join(blocks)


# Contract 10.4, vectors.
ANCHORS = """
012_A 78DB411E
011_A 8DE763C1
010_B 426FE254
009_B 71E159F0
008_C+ B8904D4E
007_C- C579C625
006_D+ 77B700CC
005_D- EF692795
004_E+ 50C4F68E
003_E- 73127661
002_F+ 363940D5
001_F+ D298E687
"""
KEYS = [line.split() for line in ANCHORS.strip().split("\n")]


@pytest.mark.parametrize(("number", "digest"), KEYS)
def test_anchor_key_vectors(number: str, digest: str) -> None:
    stem = f"anchor_essay_eng_5_17_vt_{number}"
    assert make_anchor_key(stem) == f"ANCHOR_ESSAY_ENG_5_{digest}"
    assert len(STUDENT_PREFIX + make_anchor_key(stem)) <= ESSAY_ID_LIMIT
    assert grade_from_stem(stem) == number.split("_")[1]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a b", "A_B"),
        ("--x--", "X"),
        ("E+1", "E_1"),
        ("E-1", "E_1"),
        ("", "ESSAY"),
        ("åäö", "ESSAY"),
        ("Åsa Öberg 3", "SA_BERG_3"),
        ("a___b", "A_B"),
    ],
)
def test_sanitised_identifiers(raw: str, expected: str) -> None:
    assert sanitize_identifier(raw) == expected


@given(st.text(), st.integers(12, 60))
@example("x" * 36, 36)
@example("x" * 37, 36)
def test_essay_ids_follow_the_rule(stem: str, limit: int) -> None:
    clean = sanitize_identifier(stem)
    made = generate_essay_id(stem, limit)
    assert set(clean) <= set(string.ascii_uppercase + string.digits + "_")
    assert sanitize_identifier(clean) == clean
    assert len(made) <= limit
    if len(clean) <= limit:
        assert made == clean
    else:
        assert made == clean[: limit - 9] + "_" + hashlib.sha256(clean.encode()).hexdigest()[:8].upper()


@pytest.mark.parametrize(
    ("stem", "grade"),
    [("a_b+", "B+"), ("essay_C-12", "C-"), ("A", "A"), ("x_e+", "E+"), ("f+2", "F+"), ("a__b", "B")],
)
def test_the_grade_in_a_file_name(stem: str, grade: str) -> None:
    assert grade_from_stem(stem) == grade


@pytest.mark.parametrize("stem", ["", "a_", "essay_12", "7"])
def test_a_file_name_without_a_grade(stem: str) -> None:
    with pytest.raises(ValueError, match="no grade"):
        grade_from_stem(stem)


def test_prefixes_of_the_contract() -> None:
    assert (STUDENT_PREFIX, ANCHOR_PREFIX, ESSAY_ID_LIMIT) == ("student::", "ANCHOR_", 36)


@given(st.uuids().map(str), st.text(max_size=40))
def test_a_wire_id_is_opaque_and_fits(batch: str, local: str) -> None:
    made = wire_essay_id(batch, local)
    assert re.fullmatch(r"student::[0-9a-f]{27}", made)
    assert len(made) == ESSAY_ID_LIMIT
    assert made == wire_essay_id(batch, local)


@given(st.lists(st.tuples(st.uuids().map(str), st.text(max_size=20)), unique=True, max_size=30))
def test_wire_ids_differ_between_runs_and_essays(pairs: list[tuple[str, str]]) -> None:
    assert len({wire_essay_id(*pair) for pair in pairs}) == len(pairs)


@pytest.mark.parametrize(("left", "right"), [("E+1", "E-1"), ("C+", "C-"), ("D+1", "D-1"), ("a b", "a_b")])
def test_wire_ids_do_not_collide_where_sanitised_ids_do(left: str, right: str) -> None:
    # Contract 13, R16.
    assert sanitize_identifier(left) == sanitize_identifier(right)
    assert wire_essay_id("batch", left) != wire_essay_id("batch", right)
