"""The harness's grade projection: golden vectors of contract 8.3; its steps against scipy and plain loops."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression
from scipy.stats import norm

from pytest_eng5.alignment import AlignmentDataError
from pytest_eng5.alignment.projection import (
    GradeCalibration,
    calibrate_grades,
    find_scale,
    isotonic_means,
    possible_grades,
    project_grades,
)
from pytest_eng5.contracts import GRADE_SCALES


@dataclass(frozen=True)
class Scale:
    """The scales of contract 8.2, written out here rather than imported."""

    id: str
    grades: tuple[str, ...]
    priors: tuple[float, ...]
    below_lowest: str | None = None


SWEDISH = Scale(
    "swedish_8_anchor",
    ("F", "E", "D", "D+", "C", "C+", "B", "A"),
    (0.02, 0.08, 0.15, 0.20, 0.25, 0.15, 0.10, 0.05),
)
LEGACY = Scale(
    "eng5_np_legacy_9_step", ("F+", "E-", "E+", "D-", "D+", "C-", "C+", "B", "A"), (1 / 9,) * 9, "F"
)
NATIONAL = Scale("eng5_np_national_9_step", tuple("123456789"), (1 / 9,) * 9, "0")
SCALES = {scale.id: scale for scale in (SWEDISH, LEGACY, NATIONAL)}

GRADES_108 = ("A", "B", "B", "A", "C+", "D+", "C-", "E+", "D-", "F+", "F+", "E-")
THETA_108 = (
    *(3.7212, 2.9503, 2.9353, 2.3140, -0.0322, -1.8802),
    *(-1.9957, -3.2394, -4.0535, -5.0355, -6.3122, -7.9908),
)
# Contract 14.2: θ, standard error, projected grade.
STUDENTS_108 = (
    *((4.6705, 1.2350, "A"), (4.3233, 1.1928, "A"), (4.0387, 1.0689, "A"), (2.2510, 0.0000, "B")),
    *((2.2504, 0.9277, "B"), (1.5259, 0.9416, "B"), (1.1351, 0.9533, "C+"), (0.3722, 1.0131, "C+")),
    *((0.3567, 1.0269, "C+"), (0.0108, 1.0734, "C-"), (-0.9389, 1.1344, "D-"), (-1.3769, 1.2049, "E+")),
)


def batch_108() -> GradeCalibration:
    found = calibrate_grades(LEGACY, GRADES_108, THETA_108)
    assert found is not None
    return found


def on_a_line(scale: Scale, copies: int = 3) -> GradeCalibration:
    """Every grade's anchors exactly on its index, so that boundaries are at the halves."""
    grades = scale.grades * copies
    found = calibrate_grades(scale, grades, [scale.grades.index(grade) for grade in grades])
    assert found is not None
    return found


def grade_of(calibration: GradeCalibration, theta: float, error: float = 0.1) -> str:
    return project_grades(calibration, [theta], [error]).grades[0]


# --- golden vectors --------------------------------------------------------------------------------------


def test_golden_calibration_of_batch_108() -> None:
    found = batch_108()
    assert found.pooled_variance == pytest.approx(14.260898, abs=5e-7)
    assert found.means.tolist() == pytest.approx(
        [-3.7640, -2.5525, -0.9933, -0.9933, -0.2934, -0.2578, 0.4707, 2.2396, 2.3265], abs=5e-5
    )
    assert found.boundaries.tolist() == pytest.approx(
        [-3.1583, -1.7729, -0.9933, -0.6433, -0.2756, 0.1065, 1.3552, 2.2831], abs=5e-5
    )
    assert found.used.all()


def test_golden_projections() -> None:
    found = project_grades(batch_108(), [4.2, 0.2, -1.0, -2.2, -30, 1.5], [0.97, 0.9, 1.1, 1.6, 2.0, 0.4])
    assert found.grades == ("A", "C+", "E+", "E-", "F", "B")
    assert found.primary == ("A", "C+", "E+", "E-", "F+", "B")
    assert found.confidence.tolist() == pytest.approx([0.8944, 0.8944, 0.7746, 0.5477, 0.5477, 1.0], abs=5e-5)
    assert found.labels == ("HIGH", "HIGH", "MID", "LOW", "LOW", "HIGH")


def test_published_students_get_their_published_grades() -> None:
    theta, errors, grades = zip(*STUDENTS_108, strict=True)
    assert project_grades(batch_108(), theta, errors).grades == grades


def test_published_labels_predate_the_rule_on_errors() -> None:
    """All twelve were published as HIGH; six of their errors are 1.0 or more and allow MID at best."""
    theta, errors, _ = zip(*STUDENTS_108, strict=True)
    labels = project_grades(batch_108(), theta, errors).labels
    assert [label == "HIGH" for label in labels] == [error < 1.0 for error in errors]


def test_scales_of_the_contract_fit() -> None:
    for scale in SCALES.values():
        theirs = GRADE_SCALES[scale.id]
        assert (theirs.grades, theirs.below_lowest) == (scale.grades, scale.below_lowest)
        assert theirs.priors == pytest.approx(scale.priors)
    assert calibrate_grades(GRADE_SCALES[LEGACY.id], GRADES_108, THETA_108) is not None


# --- steps -----------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-9, 9), max_size=12))
def test_isotonic_means_equal_scipys_and_never_fall(values: list[float]) -> None:
    found = isotonic_means(values)
    assert (np.diff(found) >= 0).all()
    if values:
        assert found.tolist() == pytest.approx(isotonic_regression(values).x.tolist(), abs=1e-12)


def written_out(
    scale: Scale, grades: list[str | None], theta: list[float]
) -> tuple[list[float], list[float]]:
    """Raw means and variances as contract 8.3, step 3, words them, grade by grade."""
    legal = [
        (g, t)
        for g, t in zip(grades, theta, strict=True)
        if g in {*scale.grades, scale.below_lowest} - {None}
    ]
    pooled = float(np.var([t for _, t in legal]))
    means, variances = [], []
    for i, grade in enumerate(scale.grades):
        own = [t for g, t in legal if g == grade]
        centre = (i + 0.5) / len(scale.grades)
        if len(own) >= 3:
            mean, variance = float(np.mean(own)), float(np.var(own))
        elif own:
            w = len(own) / 3
            mean, variance = w * float(np.mean(own)) + (1 - w) * centre, pooled * 3 / len(own)
        else:
            mean, variance = centre, 2 * pooled
        means.append(mean)
        variances.append(max(variance, 0.01))
    return means, variances


@st.composite
def anchors(draw: st.DrawFn) -> tuple[Scale, list[str | None], list[float]]:
    scale = draw(st.sampled_from(list(SCALES.values())))
    pool = [*scale.grades, *scale.grades, *scale.grades, scale.below_lowest, None, "Z"]
    two = draw(st.lists(st.sampled_from(scale.grades), min_size=2, max_size=2, unique=True))
    grades = two + draw(st.lists(st.sampled_from(pool), max_size=30))
    scores = st.floats(-10, 10).map(lambda x: round(x, 4))
    return scale, grades, draw(st.lists(scores, min_size=len(grades), max_size=len(grades)))


@given(anchors())
def test_calibration_equals_the_written_out_steps(batch: tuple[Scale, list[str | None], list[float]]) -> None:
    scale, grades, theta = batch
    found = calibrate_grades(scale, grades, theta)
    assert found is not None
    means, variances = written_out(scale, grades, theta)
    fitted = isotonic_regression(means).x
    assert found.means.tolist() == pytest.approx(fitted.tolist(), abs=1e-12)
    assert found.variances.tolist() == pytest.approx(variances, rel=1e-9)
    assert found.boundaries.tolist() == pytest.approx(((fitted[1:] + fitted[:-1]) / 2).tolist(), abs=1e-12)


@given(anchors(), st.randoms(use_true_random=False))
def test_order_of_the_anchors_does_not_matter(
    batch: tuple[Scale, list[str | None], list[float]], random: object
) -> None:
    scale, grades, theta = batch
    order = list(range(len(grades)))
    random.shuffle(order)  # type: ignore[attr-defined]
    here = calibrate_grades(scale, grades, theta)
    there = calibrate_grades(scale, [grades[i] for i in order], [theta[i] for i in order])
    assert here is not None
    assert there is not None
    assert there.means.tolist() == pytest.approx(here.means.tolist(), abs=1e-12)
    assert there.used.tolist() == [here.used[i] for i in order]


@given(anchors(), st.lists(st.floats(-10, 10), min_size=2, max_size=20))
def test_primary_grades_rise_with_the_score(
    batch: tuple[Scale, list[str | None], list[float]], students: list[float]
) -> None:
    scale, grades, theta = batch
    found = calibrate_grades(scale, grades, theta)
    projected = project_grades(found, sorted(students), [0.3] * len(students))
    places = [scale.grades.index(grade) for grade in projected.primary]
    assert places == sorted(places)
    assert projected.probabilities.sum(axis=1).tolist() == pytest.approx([1.0] * len(students))


@given(st.integers(-40, 40), st.lists(st.integers(-80, 80), min_size=27, max_size=27))
def test_three_anchors_per_grade_move_with_a_shift(shift: int, places: list[int]) -> None:
    grades = LEGACY.grades * 3
    here = calibrate_grades(LEGACY, grades, np.array(places) / 8)
    there = calibrate_grades(LEGACY, grades, np.array(places) / 8 + shift)
    assert here is not None
    assert there is not None
    assert (there.boundaries - shift).tolist() == pytest.approx(here.boundaries.tolist(), abs=1e-9)


def test_fewer_anchors_do_not_move_with_a_shift() -> None:
    """The even spacing on 0..1 stays where it is: two of three parts for a single anchor."""
    here = calibrate_grades(LEGACY, LEGACY.grades, np.arange(9.0))
    there = calibrate_grades(LEGACY, LEGACY.grades, np.arange(9.0) + 6)
    assert here is not None
    assert there is not None
    assert (there.means - here.means).tolist() == pytest.approx([2.0] * 9)


# --- what cannot be calibrated ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grades", "theta"),
    [
        ([], []),
        (["A"], [1.0]),
        (["A"] * 4, [1.0, 2.0, 3.0, 4.0]),
        (["A", None], [1.0, 2.0]),
        (["A", "Q", "D"], [1.0, 2.0, 3.0]),
    ],
    ids=["none", "one", "one grade", "unknown", "foreign"],
)
def test_without_two_grades_everyone_is_ungraded(grades: list[str | None], theta: list[float]) -> None:
    assert calibrate_grades(LEGACY, grades, theta) is None
    found = project_grades(None, [0.0, 9.0], [0.1, 2.0])
    assert (found.grades, found.primary, found.labels) == (("U", "U"), ("U", "U"), ("LOW", "LOW"))
    assert found.confidence.tolist() == [0, 0]
    assert found.probabilities.shape == (2, 0)


@pytest.mark.parametrize("grade", [None, "", "C", "f+", "U", "7"])
def test_anchors_of_unknown_grade_do_not_count(grade: str | None) -> None:
    found = calibrate_grades(LEGACY, [*GRADES_108, grade], [*THETA_108, 99.0])
    assert found is not None
    assert found.means.tolist() == batch_108().means.tolist()
    assert found.pooled_variance == batch_108().pooled_variance
    assert found.used.tolist() == [True] * 12 + [False]


def test_below_the_lowest_counts_in_the_spread_and_as_a_grade() -> None:
    found = calibrate_grades(LEGACY, [*GRADES_108, "F"], [*THETA_108, -9.0])
    assert found is not None
    assert found.pooled_variance == pytest.approx(np.var([*THETA_108, -9.0]))
    assert found.means.tolist() == batch_108().means.tolist()
    assert calibrate_grades(LEGACY, ["F", "F+"], [-9.0, -5.0]) is not None
    assert calibrate_grades(SWEDISH, ["0", "F"], [-9.0, -5.0]) is None


def test_no_variance_leaves_the_floor() -> None:
    found = calibrate_grades(NATIONAL, ["1", "9"], [0.5, 0.5])
    assert found is not None
    assert (found.pooled_variance, set(found.variances.tolist())) == (0.0, {0.01})
    assert project_grades(found, [-9.0, 9.0], [0.0, 0.0]).grades == ("0", "9")


def test_unknown_scale_names_the_known_ones() -> None:
    with pytest.raises(AlignmentDataError, match="unknown grade scale 'swedish'") as caught:
        find_scale(SCALES, "swedish")
    assert all(name in str(caught.value) for name in SCALES)
    assert find_scale(SCALES, "swedish_8_anchor") is SWEDISH
    with pytest.raises(AlignmentDataError, match="none"):
        find_scale({}, "swedish")


@pytest.mark.parametrize(
    "scale",
    [
        replace(LEGACY, priors=(1.0,)),
        replace(LEGACY, priors=(0.0, *LEGACY.priors[1:])),
        replace(LEGACY, grades=("A",) * 9),
        Scale("short", ("A",), (1.0,)),
        Scale("empty", (), ()),
    ],
    ids=["priors missing", "prior of 0", "grades twice", "one grade", "no grade"],
)
def test_malformed_scales_are_refused(scale: Scale) -> None:
    with pytest.raises(AlignmentDataError, match="malformed"):
        calibrate_grades(scale, GRADES_108, THETA_108)


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(AlignmentDataError, match="11 grades but 12 scores"):
        calibrate_grades(LEGACY, GRADES_108[1:], THETA_108)
    with pytest.raises(AlignmentDataError, match="must be finite"):
        calibrate_grades(LEGACY, GRADES_108, [*THETA_108[1:], math.nan])
    with pytest.raises(AlignmentDataError, match="1 scores but 2"):
        project_grades(batch_108(), [0.0], [0.1, 0.2])
    for theta, error in ((math.nan, 0.1), (0.0, math.inf), (0.0, -0.1)):
        with pytest.raises(AlignmentDataError, match="finite"):
            project_grades(batch_108(), [theta], [error])


# --- from a score to a grade -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grade", "low", "middle", "high"),
    [
        ("E", "E-", "E", "E+"),
        ("D", "D-", "D", "D"),
        ("D+", "D+", "D+", "D+"),
        ("C", "C-", "C", "C"),
        ("C+", "C+", "C+", "C+"),
        ("B", "B-", "B", "B+"),
    ],
)
def test_signs_of_the_swedish_scale(grade: str, low: str, middle: str, high: str) -> None:
    centre = SWEDISH.grades.index(grade)
    found = on_a_line(SWEDISH)
    assert [grade_of(found, centre + off) for off in (-0.26, -0.25, 0.25, 0.26)] == [
        low,
        middle,
        middle,
        high,
    ]


def test_signs_begin_at_a_quarter_of_the_band_however_wide_it_is() -> None:
    """Anchors three apart: the band of E reaches from 1.5 to 4.5, its quarters are at 2.25 and 3.75."""
    grades = SWEDISH.grades * 3
    found = calibrate_grades(SWEDISH, grades, [3 * SWEDISH.grades.index(grade) for grade in grades])
    assert found is not None
    students = [1.6, 2.24, 2.26, 3.74, 3.76, 4.4]
    assert project_grades(found, students, [0.1] * 6).grades == ("E-", "E-", "E", "E", "E+", "E+")


def test_open_bands_of_the_swedish_scale_have_no_sign() -> None:
    found = on_a_line(SWEDISH)
    assert [grade_of(found, theta) for theta in (-1e6, 0.49, 6.51, 1e6)] == ["F", "F", "A", "A"]


@pytest.mark.parametrize("scale", [LEGACY, NATIONAL], ids=lambda scale: scale.id)
def test_below_the_lowest_begins_two_deviations_under_it(scale: Scale) -> None:
    found = on_a_line(scale)
    assert grade_of(found, -0.2 - 1e-6) == scale.below_lowest
    assert grade_of(found, -0.2 + 1e-6) == scale.grades[0]
    assert grade_of(replace(found, scale=replace(scale, below_lowest=None)), -50) == scale.grades[0]


def test_a_boundary_weighs_its_neighbours() -> None:
    found = project_grades(on_a_line(SWEDISH), [3.5], [0.3])
    weights = norm.pdf(3.5, [3, 4], math.sqrt(0.01 + 0.09)) * [0.20, 0.25]
    expected = np.zeros(8)
    expected[3:5] = weights / weights.sum()
    assert found.probabilities[0].tolist() == pytest.approx(expected.tolist())
    assert found.grades == ("C-",)
    p = expected[3:5]
    assert found.confidence[0] == pytest.approx(math.sqrt(1 + (p * np.log(p)).sum() / math.log(8)))


def test_unequal_widths_decide_on_a_boundary() -> None:
    """Grade 1 has variance 6, grade 2 the floor: at their boundary, half a logit off, 2 is denser."""
    grades = ["1", "1", "1", *NATIONAL.grades[1:] * 3]
    found = calibrate_grades(
        NATIONAL, grades, [-3, 0, 3, *map(float, range(1, 9))] + [*map(float, range(1, 9))] * 2
    )
    assert found is not None
    projected = project_grades(found, [0.5], [0.5])
    density = norm.pdf(0.5, [0, 1], np.sqrt([6.25, 0.26]))
    assert projected.probabilities[0, :2].tolist() == pytest.approx((density / density.sum()).tolist())
    assert projected.grades == ("2",)


def test_ties_go_to_the_lower_grade() -> None:
    found = on_a_line(LEGACY)
    halves = found.boundaries.tolist()
    assert halves == [i + 0.5 for i in range(8)]
    assert project_grades(found, halves, [0.7] * 8).grades == LEGACY.grades[:-1]


def test_all_grades_in_one_place_are_all_possible_there() -> None:
    grades = LEGACY.grades * 3
    found = calibrate_grades(LEGACY, grades, [-float(LEGACY.grades.index(grade)) for grade in grades])
    assert found is not None
    here = project_grades(found, [found.means[0]], [0.0])
    assert here.probabilities[0].tolist() == pytest.approx([1 / 9] * 9)
    assert (here.primary, here.labels) == (("F+",), ("LOW",))
    assert here.confidence[0] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("error", "score", "label"),
    [
        (0.0, 1.0, "HIGH"),
        (0.5, math.sqrt(0.8), "HIGH"),
        (1.0, math.sqrt(0.6), "MID"),
        (1.5, math.sqrt(0.3), "LOW"),
    ],
)
def test_confidence_steps_down_at_each_limit(error: float, score: float, label: str) -> None:
    found = project_grades(batch_108(), [1.5, 1.5], [error, error + 0.4999])
    assert found.confidence.tolist() == pytest.approx([score, score])
    assert found.labels == (label, label)


# --- rounding --------------------------------------------------------------------------------------------


def test_possible_grades_near_and_far_from_a_boundary() -> None:
    found = on_a_line(SWEDISH)
    near = possible_grades(found, [1.5 + 1e-7, 1.5 - 1e-7, 1.25, 1.0], [0.1] * 4, tolerance=1e-6)
    assert near == (
        frozenset({"E+", "D-"}),
        frozenset({"E+", "D-"}),
        frozenset({"E", "E+"}),
        frozenset({"E"}),
    )


@given(st.floats(-12, 12), st.floats(0, 2), st.floats(-1, 1))
def test_possible_grades_hold_what_a_score_within_the_tolerance_gets(
    theta: float, error: float, part: float
) -> None:
    found = batch_108()
    (possible,) = possible_grades(found, [theta], [error], tolerance=0.01)
    assert grade_of(found, theta, error) in possible
    if np.abs(found.boundaries - theta).min() > 0.011:
        assert grade_of(found, theta + part * 0.01, error) in possible
