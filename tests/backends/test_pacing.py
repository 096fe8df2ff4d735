"""A source gets its share of the loop, in bursts, and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.backends.pacing import BURST, SHARE, Pace


def test_ordinary_traffic_never_waits():
    pace = Pace()
    assert [pace.took(0.00001, now / 1000) for now in range(1000)] == [0.0] * 1000


def test_a_burst_is_let_through_and_what_exceeds_it_waits_until_it_has_leaked_away():
    pace = Pace()
    assert pace.took(BURST, 0.0) == 0.0
    wait = pace.took(0.001, 0.0)
    assert wait == pytest.approx((BURST + 0.001) / SHARE)
    assert pace.took(BURST, wait) == 0.0


@given(st.lists(st.floats(0.0001, 0.05), min_size=5, max_size=50))
def test_a_flood_gets_no_more_than_its_share_in_the_long_run(turns):
    pace, now, worked = Pace(), 0.0, 0.0
    for spent in turns:
        now += spent
        worked += spent
        now += pace.took(spent, now)
    assert worked <= now * SHARE + BURST + max(turns)
