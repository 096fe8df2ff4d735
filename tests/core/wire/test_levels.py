"""The level of a session is that of its most curious listener."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.wire.levels import LOG_LEVELS, is_louder, most_verbose

ORDER = list(LOG_LEVELS)
level = st.sampled_from(ORDER)


@given(st.lists(level, min_size=1))
def test_the_most_verbose_of_several_levels_is_the_least_severe_one(levels):
    found = most_verbose(levels)
    assert found in levels
    assert not any(is_louder(other, found) for other in levels)


@given(level, level)
def test_one_level_is_louder_than_another_if_it_comes_earlier(one, other):
    assert is_louder(one, other) is (ORDER.index(one) < ORDER.index(other))


def test_a_session_that_was_never_told_a_level_is_told_any_and_nobody_wants_none():
    assert is_louder("emergency", None)
    assert most_verbose([]) is None


def test_a_level_that_does_not_exist_counts_as_the_quietest():
    assert most_verbose(["loud", "emergency"]) == "emergency"
    assert not is_louder("loud", "emergency")
