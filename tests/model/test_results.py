"""Bounds of results."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.model.results import UNBOUNDED, Bound

NUMBER = st.none() | st.integers(1, 100)
BOUND = st.builds(Bound, NUMBER, NUMBER, NUMBER)


@given(BOUND, BOUND)
def test_the_smaller_of_two_bounds_is_the_same_either_way(one, other):
    both = one.and_also(other)
    assert both == other.and_also(one)
    for mine, least in ((one, both), (other, both)):
        for asked, got in zip(_numbers(mine), _numbers(least), strict=True):
            assert asked is None or (got is not None and got <= asked)


@given(BOUND, BOUND)
def test_what_a_bound_does_not_say_the_general_one_says(one, general):
    for mine, said, got in zip(_numbers(one), _numbers(general), _numbers(one.under(general)), strict=True):
        assert got == (said if mine is None else mine)


@given(BOUND)
def test_only_a_bound_that_says_nothing_bounds_nothing(one):
    assert bool(one) is (one != UNBOUNDED)
    assert one.and_also(UNBOUNDED) == one == one.under(UNBOUNDED)


def _numbers(bound):
    return bound.bytes, bound.items, bound.lines
