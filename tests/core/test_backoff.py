"""Pauses grow, are bounded, and are spread."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.backoff import LONGEST, delay


@given(st.integers(1, 10_000), st.floats(0, 0.999))
def test_a_pause_is_positive_bounded_and_within_its_upper_half(failures, chance):
    ceiling = min(LONGEST, 0.5 * 2 ** (min(failures, 16) - 1))
    assert ceiling / 2 <= delay(failures, chance) <= ceiling


def test_pauses_double():
    assert [delay(n, 0.0) for n in (1, 2, 3)] == [0.25, 0.5, 1.0]
