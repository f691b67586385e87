"""Business hours against a minute-by-minute count, summer time and holidays included."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.sla.hours import Hours, TooFar, after, worked
from tests.unit.minutes import ZONES, hours_of_a_desk, is_open, slow_after, slow_worked

MINUTE = timedelta(minutes=1)
WEEK = (((540, 1080),),) * 5 + ((), ())
BERLIN = Hours(ZoneInfo("Europe/Berlin"), WEEK, country="DE", subdivision="BE")

instants = (
    st.sampled_from(ZONES)
    .flatmap(lambda zone: st.sampled_from(zone[1]))
    .flatmap(
        lambda day: st.integers(-2880, 2880).map(
            lambda minutes: datetime.combine(day, datetime.min.time(), UTC) + minutes * MINUTE
        )
    )
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


def test_nights_and_weekends_do_not_count() -> None:
    assert worked(BERLIN, at("2026-06-05 17:30"), at("2026-06-08 09:30")) == timedelta(hours=1)


def test_public_holidays_do_not_count() -> None:
    assert date(2026, 5, 1) in holidays.country_holidays("DE", years=2026)
    assert worked(BERLIN, at("2026-05-01 00:00"), at("2026-05-02 00:00")) == timedelta()
    assert after(BERLIN, at("2026-04-30 17:00"), timedelta(hours=2)) == at("2026-05-04 10:00")


def test_the_days_off_of_a_calendar_do_not_count() -> None:
    off = Hours(ZoneInfo("Europe/Berlin"), WEEK, closed=frozenset({date(2026, 6, 8)}))
    assert after(off, at("2026-06-05 17:00"), timedelta(hours=2)) == at("2026-06-09 10:00")


@pytest.mark.parametrize(("day", "length"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-07", 24)])
def test_a_day_is_as_long_as_it_is(day: str, length: int) -> None:
    always = Hours(ZoneInfo("Europe/Berlin"), (((0, 1440),),) * 7)
    start = at(f"{day} 00:00")
    assert worked(always, start, start + timedelta(days=2)) == timedelta(days=2)
    assert after(always, start, timedelta(hours=length)) == at(f"{day} 00:00".replace(day, str(_next(day))))


def _next(day: str) -> date:
    return date.fromisoformat(day) + timedelta(days=1)


def test_an_hour_shown_twice_counts_twice_one_left_out_does_not() -> None:
    early = Hours(ZoneInfo("Europe/Berlin"), (((120, 180),),) * 7)
    assert worked(early, at("2026-10-25 00:00"), at("2026-10-25 12:00")) == timedelta(hours=2)
    assert worked(early, at("2026-03-29 00:00"), at("2026-03-29 12:00")) == timedelta()


def test_what_never_opens_is_not_waited_for() -> None:
    shut = Hours(ZoneInfo("UTC"), ((),) * 7)
    assert worked(shut, at("2026-01-01 00:00"), at("2030-01-01 00:00")) == timedelta()
    with pytest.raises(TooFar):
        after(shut, at("2026-01-01 00:00"), MINUTE)


def test_a_minute_a_week_is_not_waited_for_for_centuries() -> None:
    hardly = Hours(ZoneInfo("UTC"), (((0, 1),), *((),) * 6))
    assert after(hardly, at("2026-01-01 00:00"), 52 * MINUTE) < at("2027-01-01 00:00")
    with pytest.raises(TooFar):
        after(hardly, at("2026-01-01 00:00"), 525_600 * MINUTE)


@settings(max_examples=150, deadline=None)
@given(hours_of_a_desk(), instants, st.integers(0, 3 * 1440))
def test_worked_is_what_a_count_of_minutes_says(hours: Hours, start: datetime, minutes: int) -> None:
    end = start + minutes * MINUTE
    assert worked(hours, start, end) == slow_worked(hours, start, end)


@settings(max_examples=100, deadline=None)
@given(hours_of_a_desk(), instants, st.integers(1, 2000))
def test_after_is_the_first_instant_at_which_the_amount_is_spent(
    hours: Hours, start: datetime, minutes: int
) -> None:
    found = after(hours, start, minutes * MINUTE)
    assert worked(hours, start, found) == minutes * MINUTE
    assert is_open(hours, found - MINUTE)
    if found - start < timedelta(days=4):
        assert slow_after(hours, start, minutes) == found
