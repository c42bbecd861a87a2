"""Grade projection of the reference pipeline: golden vectors of contract 8.3, scipy, the harness's own."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression
from scipy.stats import norm

from pytest_eng5.alignment import projection as harness
from pytest_eng5.contracts import GRADE_ORDER, GRADE_SCALES, GradeScale
from pytest_eng5.pipeline.cj.calibration import (
    Calibration,
    GradedAnchor,
    calibrate,
    grade_scale,
    increasing,
    pooled_variance,
    resolve_grade,
)
from pytest_eng5.pipeline.cj.projection import NORMALIZED_SCORES, UNAVAILABLE, project, project_students
from pytest_eng5.pipeline.errors import ServiceError

LEGACY = GRADE_SCALES["eng5_np_legacy_9_step"]
NATIONAL = GRADE_SCALES["eng5_np_national_9_step"]
SWEDISH = GRADE_SCALES["swedish_8_anchor"]

# Contract 14.1: grade and score of the twelve anchors of batch 108.
BATCH_108 = [
    *(("A", 3.7212), ("B", 2.9503), ("B", 2.9353), ("A", 2.3140), ("C+", -0.0322), ("D+", -1.8802)),
    *(("C-", -1.9957), ("E+", -3.2394), ("D-", -4.0535), ("F+", -5.0355), ("F+", -6.3122), ("E-", -7.9908)),
]

# Contract 14.2: score, standard error and grade of its twelve students.
STUDENTS_108 = [
    *((4.6705, 1.2350, "A"), (4.3233, 1.1928, "A"), (4.0387, 1.0689, "A"), (2.2510, 0.0000, "B")),
    *((2.2504, 0.9277, "B"), (1.5259, 0.9416, "B"), (1.1351, 0.9533, "C+"), (0.3722, 1.0131, "C+")),
    *((0.3567, 1.0269, "C+"), (0.0108, 1.0734, "C-"), (-0.9389, 1.1344, "D-"), (-1.3769, 1.2049, "E+")),
]


def graded(pairs: list[tuple[str | None, float]]) -> list[GradedAnchor]:
    return [GradedAnchor(f"ANCHOR_{i}", grade, theta) for i, (grade, theta) in enumerate(pairs)]


def calibrated(scale: GradeScale, pairs: list[tuple[str | None, float]]) -> Calibration:
    found = calibrate(scale, graded(pairs))
    assert found is not None
    return found


def evenly(scale: GradeScale, step: float = 1.0, copies: int = 3) -> list[tuple[str | None, float]]:
    """``copies`` anchors of every grade, all exactly on ``step * index``."""
    return [(grade, step * i) for i, grade in enumerate(scale.grades) for _ in range(copies)]


# --- golden vectors --------------------------------------------------------------------------------------


def test_golden_calibration_of_batch_108() -> None:
    found = calibrated(LEGACY, [*BATCH_108])
    assert found.pooled_variance == pytest.approx(14.260898, abs=5e-7)
    means = [-3.7640, -2.5525, -0.9933, -0.9933, -0.2934, -0.2578, 0.4707, 2.2396, 2.3265]
    assert [band.mean for band in found.bands] == pytest.approx(means, abs=5e-5)
    uppers = [-3.1583, -1.7729, -0.9933, -0.6433, -0.2756, 0.1065, 1.3552, 2.2831]
    assert [band.upper for band in found.bands[:-1]] == pytest.approx(uppers, abs=5e-5)
    assert (found.bands[0].lower, found.bands[-1].upper) == (-math.inf, math.inf)
    assert [band.anchors for band in found.bands] == [2, 1, 1, 1, 1, 1, 1, 2, 2]
    assert found.dropped == ()


@pytest.mark.parametrize(
    ("theta", "error", "grade", "score", "label"),
    [
        (4.2, 0.97, "A", 0.8944, "HIGH"),
        (0.2, 0.9, "C+", 0.8944, "HIGH"),
        (-1.0, 1.1, "E+", 0.7746, "MID"),
        (-2.2, 1.6, "E-", 0.5477, "LOW"),
        (-30.0, 2.0, "F", 0.5477, "LOW"),
        (1.5, 0.4, "B", 1.0, "HIGH"),
    ],
)
def test_golden_projections(theta: float, error: float, grade: str, score: float, label: str) -> None:
    found = project(calibrated(LEGACY, [*BATCH_108]), theta, error)
    assert (found.grade, found.confidence_label) == (grade, label)
    assert found.confidence_score == pytest.approx(score, abs=5e-5)


@pytest.mark.parametrize(("theta", "error", "grade"), STUDENTS_108)
def test_published_students_get_their_published_grade(theta: float, error: float, grade: str) -> None:
    assert project(calibrated(LEGACY, [*BATCH_108]), theta, error).grade == grade


def test_a_batch_is_projected_in_the_order_of_its_students() -> None:
    found = project_students(LEGACY.id, graded([*BATCH_108]), [(t, e) for t, e, _ in STUDENTS_108])
    assert [projection.grade for projection in found] == [grade for _, _, grade in STUDENTS_108]
    assert [projection.normalized_score for projection in found[:4]] == [1.0, 1.0, 1.0, 0.8]


# --- calibration, step by step ---------------------------------------------------------------------------


@pytest.mark.parametrize("scale", GRADE_SCALES.values(), ids=GRADE_SCALES)
def test_three_anchors_speak_for_themselves(scale: GradeScale) -> None:
    pairs = [(grade, 2.0 * i + off) for i, grade in enumerate(scale.grades) for off in (-0.3, 0.0, 0.6)]
    found = calibrated(scale, pairs)
    assert [band.mean for band in found.bands] == pytest.approx(
        [2 * i + 0.1 for i in range(len(scale.grades))]
    )
    assert {round(band.variance, 12) for band in found.bands} == {round((0.16 + 0.01 + 0.25) / 3, 12)}


def test_one_or_two_anchors_are_drawn_towards_even_spacing() -> None:
    found = calibrated(LEGACY, [("F+", -3.0), ("A", 6.0), ("A", 4.0)])
    pooled = float(np.var([-3.0, 6.0, 4.0]))
    lowest, highest = found.bands[0], found.bands[-1]
    assert lowest.mean == pytest.approx(-3 / 3 + 2 / 3 * 0.5 / 9)
    assert highest.mean == pytest.approx(5 * 2 / 3 + 1 / 3 * 8.5 / 9)
    assert (lowest.variance, highest.variance) == pytest.approx((3 * pooled, 1.5 * pooled))
    for i, band in enumerate(found.bands[1:-1], start=1):
        assert (band.mean, band.variance, band.anchors) == (pytest.approx((i + 0.5) / 9), 2 * pooled, 0)


def test_anchors_without_any_variance_leave_the_floor() -> None:
    found = calibrated(LEGACY, [("F+", 0.25), ("A", 0.25)])
    assert found.pooled_variance == 0
    assert {band.variance for band in found.bands} == {0.01}
    assert project(found, -40.0, 0.1).grade == "F"
    assert project(found, 40.0, 0.1).grade == "A"


@pytest.mark.parametrize(("scores", "variance"), [([], 0.1), ([3.0], 0.1), ([1.0, 3.0], 1.0)])
def test_pooled_variance_has_a_value_without_spread(scores: list[float], variance: float) -> None:
    assert pooled_variance(scores) == variance


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=12))
def test_isotonic_means_equal_scipys(values: list[float]) -> None:
    assert increasing(values) == pytest.approx(isotonic_regression(values).x.tolist(), abs=1e-12)


def test_priors_belong_to_the_scale() -> None:
    bands = calibrated(SWEDISH, evenly(SWEDISH)).bands
    assert [band.prior for band in bands] == [0.02, 0.08, 0.15, 0.20, 0.25, 0.15, 0.10, 0.05]
    assert sum(band.prior for band in bands) == pytest.approx(1)


# --- what cannot be calibrated ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("A", 1.0)],
        [("A", 1.0), ("A", 2.0), ("A", 3.0)],
        [("A", 1.0), (None, 2.0)],
        [("A", 1.0), ("Q", 2.0), ("B-", 0.0)],
    ],
    ids=["none", "one", "one grade", "unknown", "foreign"],
)
def test_without_two_grades_everyone_is_ungraded(pairs: list[tuple[str | None, float]]) -> None:
    assert calibrate(LEGACY, graded(pairs)) is None
    assert project_students(LEGACY.id, graded(pairs), [(1.0, 0.2), (-4.0, 1.0)]) == [UNAVAILABLE] * 2


def test_ungraded_is_what_guest_batches_get() -> None:
    found = (UNAVAILABLE.grade, UNAVAILABLE.confidence_score, UNAVAILABLE.confidence_label)
    assert found == ("U", 0.0, "LOW")
    assert (UNAVAILABLE.normalized_score, dict(UNAVAILABLE.probabilities)) == (0.0, {})


@pytest.mark.parametrize("grade", [None, "", "B-", "a", "U", "5"])
def test_anchors_of_unknown_grade_are_dropped_and_named(grade: str | None) -> None:
    clean = calibrated(LEGACY, [*BATCH_108])
    found = calibrated(LEGACY, [*BATCH_108, (grade, 50.0)])
    assert (found.bands, found.pooled_variance) == (clean.bands, clean.pooled_variance)
    assert found.dropped == ("ANCHOR_12",)


def test_an_anchor_below_the_lowest_grade_counts_for_the_spread_only() -> None:
    found = calibrated(LEGACY, [*BATCH_108, ("F", -9.0)])
    assert found.pooled_variance == pytest.approx(np.var([*(theta for _, theta in BATCH_108), -9.0]))
    assert [band.mean for band in found.bands] == [
        band.mean for band in calibrated(LEGACY, [*BATCH_108]).bands
    ]
    assert found.dropped == ()
    assert calibrate(LEGACY, graded([("F", -9.0), ("F+", -5.0)])) is not None


def test_an_unknown_scale_is_refused_by_name() -> None:
    with pytest.raises(ServiceError) as caught:
        project_students("swedish_9", graded([*BATCH_108]), [(0.0, 0.0)])
    assert (caught.value.code, caught.value.status) == ("VALIDATION_ERROR", 400)
    assert "'swedish_9'" in caught.value.what
    assert all(name in caught.value.what for name in GRADE_SCALES)
    assert [grade_scale(name) for name in GRADE_SCALES] == list(GRADE_SCALES.values())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(ServiceError, match="ANCHOR_12"):
        calibrate(LEGACY, graded([*BATCH_108, ("A", bad)]))
    for theta, error in ((bad, 0.5), (0.5, bad), (0.5, -0.1)):
        with pytest.raises(ServiceError, match="no grade for score"):
            project(calibrated(LEGACY, [*BATCH_108]), theta, error)


# --- where an anchor's grade comes from ------------------------------------------------------------------

SOURCES = {
    "explicit": "A",
    "metadata": {"anchor_grade": "B", "known_grade": "C+", "anchor_ref_id": 7},
    "text_storage_id": "text-1",
    "by_storage_id": {"text-1": "D+"},
    "by_anchor_id": {"7": "E+"},
}


@pytest.mark.parametrize(
    ("without", "grade"),
    [
        ([], "A"),
        (["explicit"], "B"),
        (["explicit", "anchor_grade"], "C+"),
        (["explicit", "anchor_grade", "known_grade"], "D+"),
        (["explicit", "anchor_grade", "known_grade", "text_storage_id"], "E+"),
        (["explicit", "anchor_grade", "known_grade", "by_storage_id"], "E+"),
        (["explicit", "anchor_grade", "known_grade", "by_storage_id", "anchor_ref_id"], None),
        (["explicit", "metadata", "by_storage_id"], None),
    ],
)
def test_grade_of_an_anchor_comes_from_the_first_source(without: list[str], grade: str | None) -> None:
    sources = {name: value for name, value in SOURCES.items() if name not in without}
    if "metadata" in sources:
        sources["metadata"] = {k: v for k, v in SOURCES["metadata"].items() if k not in without}  # type: ignore[attr-defined]
    assert resolve_grade(**sources) == grade  # type: ignore[arg-type]


# --- from a score to a grade -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theta", "grade"),
    [
        (0.0, "F"),
        (-50.0, "F"),
        *((0.6, "E-"), (1.0, "E"), (1.4, "E+")),
        *((1.6, "D-"), (2.0, "D"), (2.4, "D")),
        *((2.6, "D+"), (3.4, "D+")),
        *((3.6, "C-"), (4.0, "C"), (4.4, "C")),
        *((4.6, "C+"), (5.4, "C+")),
        *((5.6, "B-"), (6.0, "B"), (6.4, "B+")),
        *((6.6, "A"), (7.0, "A"), (90.0, "A")),
    ],
)
def test_signs_of_the_swedish_scale(theta: float, grade: str) -> None:
    """Bands are one wide around 0..7; the outer two are open, so that A never becomes A- nor F F+."""
    assert project(calibrated(SWEDISH, evenly(SWEDISH)), theta, 0.1).grade == grade


@pytest.mark.parametrize(("theta", "grade"), [(0.75, "E"), (0.7499, "E-"), (1.25, "E"), (1.2501, "E+")])
def test_quarter_positions_keep_the_plain_grade(theta: float, grade: str) -> None:
    assert project(calibrated(SWEDISH, evenly(SWEDISH)), theta, 0.1).grade == grade


@pytest.mark.parametrize("scale", [LEGACY, NATIONAL], ids=lambda scale: scale.id)
def test_far_below_the_lowest_is_the_grade_below_it(scale: GradeScale) -> None:
    found = calibrated(scale, evenly(scale))
    limit = found.bands[0].mean - 2 * math.sqrt(found.bands[0].variance)
    assert limit == pytest.approx(-0.2)
    assert project(found, limit - 1e-6, 0.1).grade == scale.below_lowest
    assert project(found, limit - 1e-6, 0.1).primary == scale.grades[0]
    assert project(found, limit + 1e-6, 0.1).grade == scale.grades[0]
    assert [project(found, float(i), 0.1).grade for i in range(9)] == list(scale.grades)


def test_swedish_has_no_grade_below_the_lowest() -> None:
    assert project(calibrated(SWEDISH, evenly(SWEDISH)), -1e6, 0.1).grade == "F"


def test_a_boundary_weighs_both_neighbours_by_density_and_prior() -> None:
    """At 3.5 of the Swedish scale D+ (prior .20) meets C (.25); equal distance, so the prior decides."""
    found = project(calibrated(SWEDISH, evenly(SWEDISH)), 3.5, 0.3)
    density = norm.pdf(0.5, scale=math.sqrt(0.01 + 0.3**2))
    weights = {"D+": density * 0.20, "C": density * 0.25}
    expected = {grade: weight / sum(weights.values()) for grade, weight in weights.items()}
    assert dict(found.probabilities) == pytest.approx(expected)
    assert (found.primary, found.grade) == ("C", "C-")
    entropy = -sum(p * math.log(p) for p in expected.values())
    assert found.confidence_score == pytest.approx(math.sqrt(1 - entropy / math.log(8)))


def test_unequal_widths_decide_on_a_boundary() -> None:
    """Grade 1 has variance 6, grade 2 the floor: at their boundary, half a logit off, 2 is denser."""
    pairs = [(grade, theta) for grade, theta in evenly(NATIONAL) if grade != "1"]
    found = calibrated(NATIONAL, [*pairs, ("1", -3.0), ("1", 0.0), ("1", 3.0)])
    wide, narrow = norm.pdf(0.5, scale=math.sqrt(6.25)), norm.pdf(0.5, scale=math.sqrt(0.26))
    assert dict(project(found, 0.5, 0.5).probabilities) == pytest.approx(
        {"1": wide / (wide + narrow), "2": narrow / (wide + narrow)}
    )
    assert project(found, 0.5, 0.5).grade == "2"


def test_a_tie_goes_to_the_lower_grade() -> None:
    found = project(calibrated(LEGACY, evenly(LEGACY)), 4.5, 0.3)
    assert dict(found.probabilities) == pytest.approx({"D+": 0.5, "C-": 0.5})
    assert found.grade == "D+"


def test_pooled_grades_share_their_place_and_the_lowest_of_them_wins() -> None:
    pairs = [(grade, 30.0 if grade == "E-" else theta) for grade, theta in evenly(LEGACY)]
    found = calibrated(LEGACY, pairs)
    shared = found.bands[1].mean
    pooled = [band.grade for band in found.bands if band.mean == shared]
    assert (pooled[0], len(pooled)) == ("E-", 8)
    on_the_spot = project(found, shared, 0.2)
    assert list(on_the_spot.probabilities) == pooled
    assert on_the_spot.grade == "E-"
    assert project(found, shared + 0.01, 0.2).grade == "A"


# --- confidence ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "score", "label"),
    [
        (0.0, 1.0, "HIGH"),
        (0.4999, 1.0, "HIGH"),
        (0.5, 0.8**0.5, "HIGH"),
        (0.9999, 0.8**0.5, "HIGH"),
        (1.0, 0.6**0.5, "MID"),
        (1.4999, 0.6**0.5, "MID"),
        (1.5, 0.3**0.5, "LOW"),
        (2.0, 0.3**0.5, "LOW"),
    ],
)
def test_confidence_falls_with_the_standard_error(error: float, score: float, label: str) -> None:
    found = project(calibrated(LEGACY, [*BATCH_108]), 3.0, error)
    assert (found.confidence_score, found.confidence_label) == (pytest.approx(score), label)


def test_doubt_between_many_grades_lowers_the_label() -> None:
    pairs = [(grade, 30.0 if grade == "E-" else theta) for grade, theta in evenly(LEGACY)]
    found = calibrated(LEGACY, pairs)
    eight = project(found, found.bands[1].mean, 0.0)
    assert len(eight.probabilities) == 8
    assert eight.confidence_score == pytest.approx(math.sqrt(1 - math.log(8) / math.log(9)), abs=1e-9)
    assert eight.confidence_label == "LOW"
    nine = calibrated(LEGACY, [(grade, -theta) for grade, theta in evenly(LEGACY)])
    assert project(nine, nine.bands[0].mean, 0.0).confidence_score == pytest.approx(0, abs=1e-7)


# --- the score on the wire -------------------------------------------------------------------------------


def test_normalized_scores_fall_with_the_grade() -> None:
    scores = [NORMALIZED_SCORES[grade] for grade in GRADE_ORDER]
    assert (scores[0], scores[-1]) == (1.0, 0.0)
    assert all(better > worse for better, worse in pairwise(scores))
    assert set(NORMALIZED_SCORES) == {*GRADE_ORDER, "U"}


def test_national_grades_have_no_normalized_score() -> None:
    found = calibrated(NATIONAL, evenly(NATIONAL))
    assert {project(found, float(i), 0.1).normalized_score for i in range(-5, 9)} == {0.0}


# --- properties, and agreement with the harness's own derivation -----------------------------------------

SCORE = st.floats(-10, 10).map(lambda value: round(value, 6))


@st.composite
def batches(draw: st.DrawFn) -> tuple[GradeScale, list[tuple[str | None, float]]]:
    scale = draw(st.sampled_from(list(GRADE_SCALES.values())))
    two = draw(st.lists(st.sampled_from(scale.grades), min_size=2, max_size=2, unique=True))
    legal = [*scale.grades, *([scale.below_lowest] if scale.below_lowest else [])]
    more = draw(st.lists(st.sampled_from([*legal, *legal, *legal, None, "Q"]), max_size=30))
    return scale, [(grade, draw(SCORE)) for grade in [*two, *more]]


@given(batches(), st.randoms(use_true_random=False))
def test_bands_tile_the_line_whatever_the_order_of_the_anchors(
    batch: tuple[GradeScale, list[tuple[str | None, float]]], random: object
) -> None:
    scale, pairs = batch
    found = calibrated(scale, pairs)
    for low, high in pairwise(found.bands):
        assert low.mean <= low.upper == high.lower <= high.mean
    assert all(band.variance >= 0.01 for band in found.bands)
    shuffled = [*pairs]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = calibrated(scale, shuffled)
    assert (again.bands, again.pooled_variance) == (found.bands, found.pooled_variance)


@given(batches(), st.lists(st.tuples(SCORE, st.floats(0, 2)), min_size=1, max_size=12))
def test_a_better_score_never_gets_a_worse_grade(
    batch: tuple[GradeScale, list[tuple[str | None, float]]], students: list[tuple[float, float]]
) -> None:
    scale, pairs = batch
    found = calibrated(scale, pairs)
    places = [scale.grades.index(project(found, theta, 0.3).primary) for theta, _ in sorted(students)]
    assert places == sorted(places)
    for theta, error in students:
        result = project(found, theta, error)
        assert sum(result.probabilities.values()) == pytest.approx(1)
        assert 0 <= result.confidence_score <= 1
        assert result.confidence_label != "HIGH" or error < 1.0


@given(st.floats(-5, 5), st.lists(SCORE, min_size=24, max_size=27), SCORE)
def test_with_three_anchors_per_grade_only_differences_matter(
    shift: float, scores: list[float], theta: float
) -> None:
    pairs = [(SWEDISH.grades[i % 8], score) for i, score in enumerate(scores)]
    here = calibrated(SWEDISH, [*pairs])
    there = calibrated(SWEDISH, [(grade, score + shift) for grade, score in pairs])
    assert [band.mean + shift for band in here.bands] == pytest.approx(
        [band.mean for band in there.bands], abs=1e-9
    )
    assert [band.variance for band in here.bands] == pytest.approx(
        [band.variance for band in there.bands], abs=1e-8
    )
    if all(abs(theta - band.lower) > 1e-6 for band in here.bands):
        assert project(here, theta, 0.5).primary == project(there, theta + shift, 0.5).primary


@given(st.floats(0, 8))
def test_with_one_anchor_per_grade_a_shift_is_felt_by_a_third(shift: float) -> None:
    pairs = [(grade, 3.0 * i) for i, grade in enumerate(LEGACY.grades)]
    before, after = calibrated(LEGACY, [*pairs]), calibrated(LEGACY, [(g, t + shift) for g, t in pairs])
    moved = [new.mean - old.mean for old, new in zip(before.bands, after.bands, strict=True)]
    assert moved == pytest.approx([shift / 3] * 9, abs=1e-9)


@given(batches(), st.lists(st.tuples(SCORE, st.floats(0, 2)), min_size=1, max_size=12))
def test_harness_and_pipeline_agree(
    batch: tuple[GradeScale, list[tuple[str | None, float]]], students: list[tuple[float, float]]
) -> None:
    scale, pairs = batch
    ours = calibrated(scale, pairs)
    theirs = harness.calibrate_grades(scale, *zip(*pairs, strict=True))
    assert theirs is not None
    assert [band.mean for band in ours.bands] == pytest.approx(theirs.means.tolist(), abs=1e-12)
    assert [band.variance for band in ours.bands] == pytest.approx(theirs.variances.tolist(), rel=1e-12)
    assert ours.pooled_variance == pytest.approx(theirs.pooled_variance, rel=1e-12)
    assert list(ours.dropped) == sorted(f"ANCHOR_{i}" for i in np.flatnonzero(~theirs.used))
    results = [project(ours, *student) for student in students]
    possible = harness.possible_grades(theirs, *zip(*students, strict=True), tolerance=1e-9)
    again = harness.project_grades(theirs, *zip(*students, strict=True))
    for i, result in enumerate(results):
        assert result.grade in possible[i]
        if len(possible[i]) == 1:
            assert (result.grade, result.primary) == (again.grades[i], again.primary[i])
            assert result.confidence_label == again.labels[i]
            assert result.confidence_score == pytest.approx(again.confidence[i], abs=1e-9)


@given(
    st.sampled_from(list(GRADE_SCALES.values())),
    st.lists(st.integers(-8, 8), min_size=9, max_size=9),
    st.floats(0, 2),
)
def test_harness_and_pipeline_agree_exactly_on_boundaries(
    scale: GradeScale, places: list[int], error: float
) -> None:
    """Four equal anchors per grade on small integers: every mean that is not pooled is exact."""
    pairs = [(grade, float(place)) for grade, place in zip(scale.grades, places, strict=False)] * 4
    ours = calibrated(scale, pairs)
    theirs = harness.calibrate_grades(scale, *zip(*pairs, strict=True))
    assert theirs is not None
    for band, boundary in zip(ours.bands, theirs.boundaries, strict=False):
        if band.upper != boundary or not (8 * boundary).is_integer():
            continue
        ready = project(ours, boundary, error)
        again = harness.project_grades(theirs, [boundary], [error])
        assert (ready.grade, ready.confidence_label) == (again.grades[0], again.labels[0])
        row = dict(zip(scale.grades, again.probabilities[0], strict=True))
        assert dict(ready.probabilities) == pytest.approx({g: p for g, p in row.items() if p}, abs=1e-12)
