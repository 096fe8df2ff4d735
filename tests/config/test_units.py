"""Durations and sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.config.units import parse_duration, parse_size, show_duration, show_size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("10m", 600), ("1h", 3600), ("30d", 2592000), ("1h30m", 5400), (5, 5), (0.5, 0.5)],
)
def test_a_duration_is_read_as_seconds(written, seconds):
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("written", ["", "5", "m", "5 m", "5min", "-5s", "5s!", True, None, -1, float("inf"), ["5s"]])
def test_what_is_no_duration_is_refused(written):
    assert parse_duration(written) is None


@pytest.mark.parametrize(
    ("written", "size"), [("16MiB", 16 * 2**20), ("1.5KiB", 1536), ("10MB", 10**7), ("7", 7), ("7B", 7), (9, 9)]
)
def test_a_size_is_read_as_bytes(written, size):
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "MiB", "1XB", "-1", True, None, 1.5, "1 2"])
def test_what_is_no_size_is_refused(written):
    assert parse_size(written) is None


@given(st.integers(min_value=0, max_value=10**12))
def test_a_shown_duration_is_read_back(milliseconds):
    assert parse_duration(show_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@given(st.integers(min_value=0, max_value=2**50))
def test_a_shown_size_is_read_back(size):
    assert parse_size(show_size(size)) == size
