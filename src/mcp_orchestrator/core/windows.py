"""The windows of budgets: which stretch of time an instant lies in, by the calendar of a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from mcp_orchestrator.model.budget import Span, Window, WindowKind


def span(window: Window, now: float) -> Span:
    """The window of an instant (seconds since the epoch): an id that no other window has, and its end."""
    match window.kind:
        case WindowKind.TOTAL:
            return Span("total", None)
        case WindowKind.EVERY:
            number = int(now // window.seconds)
            return Span(f"{window.seconds}s@{number}", float((number + 1) * window.seconds))
        case WindowKind.HOUR:
            # An hour begins with the local clock's: some zones are off by a quarter or half of one.
            local = datetime.fromtimestamp(now, ZoneInfo(window.zone))
            into = local.minute * 60 + local.second + local.microsecond / 1e6
            ends = round(now - into + 3600)
            start = datetime.fromtimestamp(round(now - into), UTC).astimezone(ZoneInfo(window.zone))
            return Span(start.strftime("%Y-%m-%dT%H:%M%z"), float(ends))
        case WindowKind.DAY | WindowKind.WEEK | WindowKind.MONTH:
            return _by_days(window, now)
        case _:
            assert_never(window.kind)


def _by_days(window: Window, now: float) -> Span:
    zone = ZoneInfo(window.zone)
    day = datetime.fromtimestamp(now, zone).date()
    if window.kind is WindowKind.DAY:
        name, after = day.isoformat(), day + timedelta(days=1)
    elif window.kind is WindowKind.WEEK:
        year, week, weekday = day.isocalendar()
        name, after = f"{year}-W{week:02d}", day + timedelta(days=8 - weekday)
    else:
        name, after = f"{day:%Y-%m}", (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return Span(name, datetime(after.year, after.month, after.day, tzinfo=zone).timestamp())


class Calendar:
    """Remembers the present span of each window, for it is asked with every call."""

    def __init__(self) -> None:
        self._spans: dict[Window, tuple[float, Span]] = {}

    def span(self, window: Window, now: float) -> Span:
        """The window of an instant."""
        known = self._spans.get(window)
        if known is not None and known[0] <= now and (known[1].ends is None or now < known[1].ends):
            return known[1]
        found = span(window, now)
        self._spans[window] = (now, found)
        return found
