"""Times: the column reader agrees with the contract, or says that it is not sure."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from segflow.engine.columns.text import moments
from segflow.engine.columns.times import read
from segflow.schemas.event import Instant
from segflow.segments.instant import EPOCH, LATEST_US, MICROSECOND, NEVER, SECOND_US, UNKNOWN, after, to_text, to_us
from tests.support.trials import trials

CONTRACT: TypeAdapter[datetime] = TypeAdapter(Instant)


def by_contract(text: str) -> int | None:
    """Microseconds as segflow.schemas.event reads the text, None where it refuses."""
    try:
        return to_us(CONTRACT.validate_python(text))
    except ValidationError:
        return None


digits = st.text("0123456789", min_size=1, max_size=12)
fractions = st.just("") | digits.map(lambda some: f".{some}")
plain = st.builds(
    lambda moment, fraction: moment.replace(microsecond=0).isoformat() + fraction + "Z", st.datetimes(), fractions
)
edges = st.builds(
    "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}{}{}".format,
    st.sampled_from([0, 1, 2, 1600, 1700, 1900, 1969, 1970, 2000, 2023, 2024, 2100, 9999]),
    st.sampled_from([0, 1, 2, 3, 4, 11, 12, 13]),
    st.sampled_from([0, 1, 27, 28, 29, 30, 31, 32]),
    st.sampled_from([0, 1, 23, 24]),
    st.sampled_from([0, 59, 60]),
    st.sampled_from([0, 59, 60]),
    fractions,
    st.sampled_from(["Z", "Z", "Z", "z", "", "+00:00", "-23:59", "Z "]),
)
nearly = st.builds(
    lambda text, place, character: text[: place % len(text)] + character + text[place % len(text) + 1 :],
    plain,
    st.integers(0, 40),
    st.characters(codec="utf-8"),
)


@given(st.lists(plain | edges | nearly | st.text(max_size=30), min_size=1, max_size=6))
@trials(500)
def test_what_the_reader_is_sure_of_is_what_the_contract_reads(texts: list[str]) -> None:
    """It never gives a time that the contract refuses or reads otherwise."""
    for text, time_us in zip(texts, read(texts).tolist(), strict=True):
        assert time_us in (UNKNOWN, by_contract(text))


@given(st.lists(plain))
@trials(200)
def test_the_common_form_is_read_here_and_not_left_to_the_slow_path(texts: list[str]) -> None:
    """UTC with up to nine decimals: what nearly every producer writes."""
    for text, time_us in zip(texts, read(texts).tolist(), strict=True):
        if len(text) <= len("2026-03-02T09:15:00.123456789Z"):
            assert time_us == by_contract(text) != UNKNOWN


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", EPOCH),
        ("0001-01-01T00:00:00Z", EPOCH.replace(year=1)),
        ("9999-12-31T23:59:59.999999Z", EPOCH + LATEST_US * MICROSECOND),
        ("2000-02-29T00:00:00Z", EPOCH.replace(year=2000, month=2, day=29)),
        ("2024-02-29T23:59:59.000001Z", EPOCH.replace(year=2024, month=3) - timedelta(microseconds=999_999)),
        ("1969-12-31T23:59:59.999999Z", EPOCH - MICROSECOND),
        ("2024-01-01T00:00:00.1Z", EPOCH.replace(year=2024, microsecond=100_000)),
        ("2024-01-01T00:00:00.0000019Z", EPOCH.replace(year=2024, microsecond=1)),
        ("2024-01-01T00:00:00.999999999Z", EPOCH.replace(year=2024, microsecond=999_999)),
    ],
)
def test_known_times_are_read_exactly(text: str, moment: datetime) -> None:
    """Leap days, the first and the last day of the calendar, times before 1970; beyond a microsecond is cut off."""
    assert read([text]).tolist() == [to_us(moment)] == [by_contract(text)]


@pytest.mark.parametrize("day", ["1900-02-29", "2100-02-29", "2023-02-29", "2024-02-30", "2024-04-31", "0000-01-01"])
def test_days_that_never_were_are_no_times(day: str) -> None:
    """Centuries are leap years every four hundred years only; there is no year 0."""
    text = f"{day}T00:00:00Z"
    assert read([text]).tolist() == [UNKNOWN]
    assert by_contract(text) is None


def test_a_text_beside_others_is_read_as_it_is_alone() -> None:
    """Lengths and scripts in one batch do not disturb each other."""
    texts = [
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:0éZ",
        "",
        "x" * 20,
        "2024-01-01T00:00:00.5Z",
        "2024-06-01T12:00:00Z",
    ]
    assert read(texts).tolist() == [int(read([text])[0]) for text in texts]
    assert read([]).tolist() == []


@given(st.integers(to_us(EPOCH.replace(year=1)), LATEST_US))
@trials(200)
def test_a_written_time_is_read_back(time_us: int) -> None:
    """What segflow writes is RFC 3339, and the same instant."""
    assert read([to_text(time_us)]).tolist() == [time_us] == [by_contract(to_text(time_us))]
    whole_us = time_us // SECOND_US * SECOND_US
    first, second = moments([np.array([time_us, UNKNOWN]), np.array([NEVER, whole_us])])
    assert first.to_pylist() == [b'"%b"' % to_text(time_us).encode(), b"null"]
    assert second.to_pylist() == [b"null", b'"%b"' % to_text(whole_us).encode()]


def test_a_deadline_beyond_the_calendar_is_never() -> None:
    """The last instant that can be written is the last that comes; an unknown time has no deadline."""
    times_us = np.array([LATEST_US - 10, LATEST_US - 9, UNKNOWN, 0])
    assert after(times_us, 10).tolist() == [LATEST_US, NEVER, NEVER, 10]
