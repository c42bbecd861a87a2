"""The keys that every callback needs, each absent or malformed alone: what is said, and of which of them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_eng5.checks.drafting import essay_ids, finding
from pytest_eng5.checks.metadata import check_metadata

META = "/data/request_metadata/"
OTHER = "11111111-2222-4333-8444-555555555555"
Told = list[tuple[str, str, str | None]]
ABSENT = "the comparison cannot be used; look where request_metadata is passed on without this key"
MALFORMED = "compare the value with contract section 3.1; the producer or a hop before it altered the value"


def told(run: Any) -> Told:
    return [(f.code, f.message, f.field) for f in check_metadata(run.held())]


def hints(run: Any) -> set[str | None]:
    return {f.hint for f in check_metadata(run.held())}


@pytest.mark.parametrize("key", ["essay_a_id", "essay_b_id", "prompt_sha256", "bos_batch_id"])
@pytest.mark.parametrize("null", [True, False])
def test_a_required_key_is_absent(run: Any, key: str, null: bool) -> None:
    for place in (4, 9):
        if null:
            run.comparisons[place].metadata[key] = None
        else:
            del run.comparisons[place].metadata[key]
    assert told(run) == [("META-MISSING", f"{key} absent in 2 of 15 callbacks", META + key)] * 2
    assert hints(run) == {ABSENT}


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("essay_a_id", 7, "is not a text but int"),
        ("essay_b_id", ["x"], "is not a text but list"),
        ("essay_a_id", "", "is empty"),
        ("prompt_sha256", "x", "is not 64 lower-case hexadecimal digits"),
        ("prompt_sha256", "AB" * 32, "is not 64 lower-case hexadecimal digits"),
        ("prompt_sha256", 3.5, "is not a text but float"),
        ("bos_batch_id", OTHER, "is not this run's b3a1f7de-0c54-4d0a-8a0f-6a1f0f7d2c10"),
        ("bos_batch_id", "", "is empty"),
        ("cj_batch_id", 9, "is not '151' as in the other callbacks"),
    ],
)
def test_a_required_key_is_malformed(run: Any, key: str, value: Any, problem: str) -> None:
    run.comparisons[7].metadata[key] = value
    assert told(run) == [("META-MALFORMED", f"{key} {problem} in 1 of 15 callbacks", META + key)]
    assert hints(run) == {MALFORMED}


@pytest.mark.parametrize(
    "keys", [("essay_a_id", "essay_b_id"), ("essay_a_id", "essay_b_id", "prompt_sha256")]
)
def test_no_value_is_too_odd_to_be_looked_up(run: Any, keys: tuple[str, ...]) -> None:
    """Lists have no hash value, and two different ones are not the same essay."""
    for number, key in enumerate(keys):
        run.comparisons[7].metadata[key] = [number]
    text = "is not a text but list in 1 of 15 callbacks"
    assert told(run) == [("META-MALFORMED", f"{key} {text}", META + key) for key in keys]


@pytest.mark.parametrize("key", ["essay_a_id", "essay_b_id"])
def test_an_unknown_essay(run: Any, key: str) -> None:
    run.comparisons[7].metadata[key] = "student::nobody"
    text = f"{key} 'student::nobody' is none of 6 planned essays"
    assert told(run) == [("META-UNKNOWN-ESSAY", text, META + key)]


def test_an_essay_is_compared_with_itself(run: Any) -> None:
    metadata = run.comparisons[7].metadata
    metadata["essay_b_id"] = metadata["essay_a_id"]
    text = f"essay '{metadata['essay_a_id']}' is compared with itself"
    assert told(run) == [("META-SAME-ESSAY", text, META + "essay_b_id")]


def test_a_run_without_callbacks_has_no_metadata_to_miss(run: Any) -> None:
    run.comparisons.clear()
    assert told(run) == []


def test_callbacks_without_any_batch_number_of_the_cj_service(run: Any) -> None:
    for message in run.comparisons:
        del message.metadata["cj_batch_id"]
    expected = ("META-DROPPED", "cj_batch_id absent in 15 of 15 callbacks", META + "cj_batch_id")
    assert told(run) == [expected] * 15


@pytest.mark.parametrize("values", [("10", "9"), ("9", "10"), (1, 2)])
def test_the_number_that_most_callbacks_carry_is_the_batchs_own(run: Any, values: tuple[Any, Any]) -> None:
    usual, odd = values
    for message in run.comparisons:
        message.metadata["cj_batch_id"] = usual
    run.comparisons[3].metadata["cj_batch_id"] = odd
    text = f"cj_batch_id is not {usual!r} as in the other callbacks in 1 of 15 callbacks"
    assert told(run) == [("META-MALFORMED", text, META + "cj_batch_id")]


@pytest.mark.parametrize(
    ("kind", "key", "value", "message"),
    [
        ("assessment_results", "batch_id", OTHER, f"is '{OTHER}', not this run's"),
        ("completions", "entity_id", OTHER, f"is '{OTHER}', not this run's"),
        ("completions", "entity_id", None, "is absent"),
        ("failures", "entity_id", OTHER, f"is '{OTHER}', not this run's"),
    ],
)
def test_the_end_of_another_batch(run: Any, make: Any, kind: str, key: str, value: Any, message: str) -> None:
    run.failures.append(make.failed_event({"reason": "stuck"}, 9.0))
    run.messages(kind)[0].data[key] = value
    (found,) = check_metadata(run.held())
    topic = {
        "assessment_results": "assessment.result.published",
        "completions": "cj_assessment.completed",
        "failures": "cj_assessment.failed",
    }[kind]
    assert (found.code, found.field) == ("META-MALFORMED", f"/data/{key}")
    assert found.message == f"{key} of {topic} {message}"
    assert found.hint == (
        "consumers match these events on this field and will not find it; compare it with the request"
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("a", "b"), ("a", "b")),
        (("a", ""), ("a",)),
        (("", "b"), ("b",)),
        (("a", None), ("a",)),
        (("a", 7), ("a",)),
        ((7, "b"), ("b",)),
        (([], {}), ()),
    ],
)
def test_the_essays_of_a_callback_as_far_as_it_names_them(
    run: Any, values: tuple[Any, Any], expected: tuple[str, ...]
) -> None:
    metadata = run.comparisons[0].metadata
    metadata["essay_a_id"], metadata["essay_b_id"] = values
    assert essay_ids(run.held().comparisons[0].comparison) == expected


@pytest.mark.parametrize(("length", "kept"), [(999, 999), (1000, 1000), (1001, 1000)])
def test_a_message_may_be_a_thousand_characters_long(length: int, kept: int) -> None:
    message = finding("EVENT-LATE", "x" * length, hint="").message
    assert len(message) == kept
    assert message.endswith(".." if length > kept else "x")
