"""Windows follow each other without a gap, and each has an id of its own."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.windows import Calendar, span
from mcp_orchestrator.model.budget import Window, WindowKind

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland")
KINDS = st.sampled_from([WindowKind.HOUR, WindowKind.DAY, WindowKind.WEEK, WindowKind.MONTH])


def at(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("kind", "ident", "ends"),
    [
        (WindowKind.HOUR, "2026-11-24T15:00+0100", "2026-11-24T16:00"),
        (WindowKind.DAY, "2026-11-24", "2026-11-25T00:00"),
        (WindowKind.WEEK, "2026-W48", "2026-11-30T00:00"),
        (WindowKind.MONTH, "2026-11", "2026-12-01T00:00"),
    ],
)
def test_calendar_windows_are_those_of_the_time_zone(kind, ident, ends):
    found = span(Window(kind, 0, "Europe/Berlin"), at("2026-11-24T15:20", "Europe/Berlin"))
    assert (found.id, found.ends) == (ident, at(ends, "Europe/Berlin"))


def test_a_week_at_the_turn_of_the_year_belongs_to_the_year_of_its_thursday():
    assert span(Window(WindowKind.WEEK), at("2027-01-01T12:00")).id == "2026-W53"


def test_the_two_hours_of_the_same_name_in_autumn_are_two_windows():
    hour = Window(WindowKind.HOUR, 0, "Europe/Berlin")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    assert span(hour, first).id == "2026-10-25T02:00+0200"
    assert span(hour, first + 3600).id == "2026-10-25T02:00+0100"


def test_windows_of_a_length_follow_each_other_and_the_whole_has_no_end():
    found = span(Window(WindowKind.EVERY, 900), 900 * 7 + 5.0)
    assert (found.id, found.ends) == ("900s@7", 7200.0)
    assert span(Window(WindowKind.TOTAL), 5.0).ends is None


@given(KINDS, st.sampled_from(ZONES), st.integers(0, 4_000_000_000))
def test_the_end_of_a_window_is_the_beginning_of_the_next(kind, zone, now):
    window = Window(kind, 0, zone)
    found = span(window, now)
    assert found.ends is not None
    assert found.ends > now
    assert span(window, found.ends - 1).id == found.id
    following = span(window, found.ends)
    assert following.id != found.id
    assert following.ends is not None
    assert following.ends > found.ends


def test_a_calendar_says_the_same_as_looking_anew_before_and_after_a_window_ends():
    calendar, day = Calendar(), Window(WindowKind.DAY)
    for now in (10.0, 86399.0, 86400.0, 5.0):
        assert calendar.span(day, now) == span(day, now)
