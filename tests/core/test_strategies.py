"""Orders of providers: shares within statistical bounds, stable, and with the least movement."""

import math
from collections import Counter
from types import SimpleNamespace

import pytest
from catalogs import call
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core import strategies
from mcp_orchestrator.core.strategies import Candidate, home_of, is_ejected, is_full, mark, ordered, spread, stable_for
from mcp_orchestrator.model.routing import LogicalTool, Outlook, Standing, Strategy


def candidates(*weights, prices=None):
    return tuple(
        Candidate(n, f"s{n}.t", f"s{n}", weight, prices[n] if prices else None, None, mark(f"s{n}.t"))
        for n, weight in enumerate(weights)
    )


def choice(strategy, made):
    return SimpleNamespace(spec=LogicalTool("t", "", {}, (), strategy=strategy), candidates=made, spreads={})


def names(order):
    return [one.provider for one in order]


@pytest.mark.parametrize("weights", [(95, 5), (1, 1, 1), (70, 20, 9, 1)])
def test_shares_of_callers_follow_the_weights_within_statistical_bounds(weights):
    callers = 20_000
    made = candidates(*weights)
    first = Counter(spread(made, mark(f"caller=token:{number}"))[0].place for number in range(callers))
    for place, weight in enumerate(weights):
        share = weight / sum(weights)
        deviation = math.sqrt(callers * share * (1 - share))
        assert abs(first[place] - callers * share) < 4.5 * deviation


def test_shares_of_calls_follow_the_weights_as_well():
    made = choice(Strategy.WEIGHTED, candidates(9, 1))
    first = Counter(ordered(made, "", Outlook(chance=number / 10_000))[0].place for number in range(10_000))
    assert abs(first[1] - 1000) < 140
    assert made.spreads == {}


@given(st.text(min_size=1), st.integers(2, 6), st.data())
def test_a_choice_is_stable_and_moves_only_for_those_whose_provider_is_gone(key, many, data):
    made = candidates(*range(1, many + 1))
    order = names(spread(made, mark(key)))
    gone = data.draw(st.sampled_from(made))
    assert names(spread(made, mark(key))) == order
    left = [one for one in made if one is not gone]
    assert names(spread(left, mark(key))) == [name for name in order if name != gone.provider]


def test_a_weight_of_nothing_comes_last():
    assert all(spread(candidates(0, 1), mark(f"k{n}"))[-1].place == 0 for n in range(50))


def test_the_cheapest_comes_first_and_a_price_that_is_not_known_is_never_taken_for_nothing():
    made = choice(Strategy.CHEAPEST, candidates(1, 1, 1, prices=[None, 20, 0]))
    assert names(ordered(made, "", Outlook())) == ["s2.t", "s1.t", "s0.t"]


def test_the_fastest_comes_first_and_one_that_was_never_measured_is_tried_once():
    made = choice(Strategy.FASTEST, candidates(1, 1, 1))
    standings = {"s0.t": Standing(latency=0.2), "s1.t": Standing(latency=0.1), "s2.t": Standing(busy=1)}
    assert names(ordered(made, "", Outlook(1.0, 0.0, standings))) == ["s1.t", "s0.t", "s2.t"]
    standings["s2.t"].busy = 0
    assert names(ordered(made, "", Outlook(1.0, 0.0, standings)))[0] == "s2.t"
    late = 1.0 + strategies.MEASURED_FOR
    standings["s2.t"].latency, standings["s2.t"].measured_at = 0.05, late
    standings["s1.t"].measured_at = late
    assert names(ordered(made, "", Outlook(late, 0.0, standings)))[0] == "s0.t"


def test_a_sticky_caller_stays_with_whoever_served_it():
    made = choice(Strategy.STICKY, candidates(1, 1, 1))
    order = names(ordered(made, "caller=a", Outlook()))
    homes = {home_of(made.spec, "caller=a"): order[2]}
    assert names(ordered(made, "caller=a", Outlook(homes=homes))) == [order[2], order[0], order[1]]


def test_orders_that_are_kept_are_bounded(monkeypatch):
    monkeypatch.setattr(strategies, "MOST_SPREADS", 3)
    made = choice(Strategy.WEIGHTED, candidates(1, 1))
    for number in range(10):
        ordered(made, f"k{number}", Outlook())
    assert len(made.spreads) <= 3


@pytest.mark.parametrize(
    ("by", "context", "expected"),
    [
        ("caller", None, "caller=anonymous"),
        ("context", None, "caller=anonymous"),
        ("context", "c1", "context=c1"),
        ("call", "c1", ""),
        ("args.repo", None, "args.repo='x'"),
    ],
)
def test_what_a_choice_is_stable_for(by, context, expected):
    made = call("t", repo="x")
    made.context = context
    assert stable_for(made, {"repo": "x"}, LogicalTool("t", "", {}, (), by=by)) == expected


def test_an_ejected_provider_is_probed_by_one_call_after_its_time():
    assert not is_ejected(None, 0)
    assert not is_ejected(Standing(failures=3), 0)
    assert is_ejected(Standing(ejected_until=10.0), 9.0)
    assert not is_ejected(Standing(ejected_until=10.0), 10.0)
    assert is_ejected(Standing(ejected_until=10.0, probing=True), 11.0)


def test_a_provider_without_a_limit_is_never_full():
    assert not is_full(Standing(busy=1000), None)
    assert not is_full(None, 1)
    assert is_full(Standing(busy=1), 1)
