"""What the admin API of the CJ service answers, in either of its forms of a date (contract 5.2)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.contracts.admin import AssessmentInstructions

TEXT, LEGACY = "Judge how well the writer argues.", "eng5_np_legacy_9_step"


@given(
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.just(UTC)).map(
        lambda date: date.replace(microsecond=0)
    ),
    st.sampled_from(["iso", "z", "rfc", "rfc-offset"]),
)
def test_dates_of_either_form_are_the_same_moment(moment: datetime, form: str) -> None:
    text = {
        "iso": moment.isoformat(),
        "z": moment.isoformat().replace("+00:00", "Z"),
        "rfc": format_datetime(moment, usegmt=True),
        "rfc-offset": format_datetime(moment),
    }[form]
    fields = {"id": 1, "instructions_text": TEXT, "grade_scale": LEGACY, "created_at": text}
    assert AssessmentInstructions.model_validate(fields).created_at == moment
