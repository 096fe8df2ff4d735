"""Rates: never more in any stretch of time than its burst and what came in since, and nobody is held up for others."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.gcra import Meter
from mcp_orchestrator.model.rules import Limit, Rate


def limit(key="k", count=2, seconds=10.0, burst=2, rule="r"):
    return Limit(rule, "f:1", Rate(count, seconds, burst), key)


def test_a_burst_is_admitted_and_then_one_after_each_step():
    meter = Meter()
    assert [meter.admit([limit()], 0.0) is None for _ in range(3)] == [True, True, False]
    assert meter.admit([limit()], 4.9) is not None
    assert meter.admit([limit()], 5.0) is None
    assert meter.admit([limit()], 5.0) is not None


def test_it_is_told_how_long_to_wait_and_that_is_long_enough():
    meter = Meter()
    for _ in range(2):
        meter.admit([limit()], 0.0)
    early = meter.admit([limit()], 1.0)
    assert early is not None
    assert early.wait == 4.0
    assert meter.admit([limit()], 1.0 + early.wait) is None


def test_keys_and_rules_are_counted_apart():
    meter = Meter()
    for _ in range(2):
        meter.admit([limit("a")], 0.0)
    assert meter.admit([limit("a")], 0.0) is not None
    assert meter.admit([limit("b")], 0.0) is None
    assert meter.admit([limit("a", rule="other")], 0.0) is None


def test_a_call_that_one_limit_refuses_counts_against_none():
    meter = Meter()
    tight = limit("t", count=1, burst=1)
    meter.admit([tight], 0.0)
    for _ in range(5):
        assert meter.admit([limit(), tight], 0.0) is not None
    assert meter.wait(limit(), 0.0) == 0.0


def test_the_number_of_keys_is_bounded_and_idle_ones_go_first():
    meter = Meter(most_keys=3)
    for number in range(3):
        meter.admit([limit(str(number), burst=1)], float(number))
    meter.admit([limit("x", burst=1)], 5.5)
    assert len(meter) <= 3
    assert meter.wait(limit("x", burst=1), 5.5) > 0
    assert meter.wait(limit("2", burst=1), 5.5) > 0


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_no_stretch_of_time_has_more_than_the_burst_and_what_came_in_meanwhile(gaps, count, burst):
    meter, now = Meter(), 0.0
    one = limit(count=count, seconds=10.0, burst=burst)
    admitted = []
    for gap in gaps:
        now += gap
        if meter.admit([one], now) is None:
            admitted.append(now)
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            passed = admitted[last] - admitted[first]
            assert last - first + 1 <= burst + passed * count / 10.0 + 1e-6
