"""Budgets and prices are read as they are meant, and what could not be meant is refused with its place and a fix."""

import pytest

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.model.budget import (
    ModelPrice,
    OnExceeded,
    Unit,
    UnknownPrice,
    Window,
    WindowKind,
)

BASE = "mcpServers: {time: {command: mcp-server-time}}\n"


def budget(loaded, text):
    found = loaded(f"{BASE}budgets:\n  - {{id: b, {text}}}\n")
    assert not found.errors, found.errors
    return found.snapshot.budgets[0]


def test_a_budget_is_read_whole(loaded):
    made = budget(
        loaded,
        "per: [team, tool], match: {tool: 'web.*', annotations: {readOnlyHint: true}}, window: week, "
        "timeZone: Europe/Berlin, limit: {usd: 12.5, tokens: 9, calls: 3, seconds: 90m}, softPercent: 50, "
        "onExceeded: ask, approvers: ['local:ada'], raise: {percent: 10, for: 2h}, unknownPrice: {flat: 0.01}, "
        "estimate: {tokens: 7, seconds: 1500ms}",
    )
    assert made.limits == {Unit.USD: 12_500_000, Unit.TOKENS: 9, Unit.CALLS: 3, Unit.SECONDS: 5_400_000}
    assert (made.per, made.match.tool) == (("team", "tool"), ("web.*",))
    assert made.match.annotations == {"readOnlyHint": True}
    assert made.window == Window(WindowKind.WEEK, 0, "Europe/Berlin")
    assert (made.soft, made.on_exceeded, made.approvers) == (0.5, OnExceeded.ASK, ("local:ada",))
    assert (made.raised, made.raise_for) == (0.1, 7200.0)
    assert (made.unknown, made.price) == (UnknownPrice.FLAT, 10_000)
    assert made.estimates == {Unit.TOKENS: 7, Unit.SECONDS: 1500}
    assert made.where.endswith(":3")


def test_what_is_left_out_is_a_month_in_utc_refused_when_exceeded_with_unknown_prices_denied(loaded):
    made = budget(loaded, "limit: {usd: 1}")
    assert made.window == Window(WindowKind.MONTH)
    assert (made.on_exceeded, made.unknown, made.soft) == (OnExceeded.REFUSE, UnknownPrice.DENY, 0.8)
    assert made.approvers == ("operator",)


@pytest.mark.parametrize(
    ("text", "unknown", "price"),
    [
        ("deny", UnknownPrice.DENY, 0),
        ("{flat: 2}", UnknownPrice.FLAT, 2_000_000),
        ("{unmeasured: 40}", UnknownPrice.UNMEASURED, 40),
    ],
)
def test_an_unknown_price_is_one_of_three(loaded, text, unknown, price):
    made = budget(loaded, f"limit: {{usd: 1}}, unknownPrice: {text}")
    assert (made.unknown, made.price) == (unknown, price)


def test_a_window_may_be_a_length(loaded):
    assert budget(loaded, "limit: {calls: 1}, window: 15m").window == Window(WindowKind.EVERY, 900)


@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        ("- {limit: {usd: 1}}", Code.LACKING_KEY, (3, 5), "no id"),
        ("- {id: b}", Code.LACKING_KEY, (3, 5), "limit"),
        ("- {id: b, limit: {}}", Code.LACKING_KEY, (3, 20), "usd"),
        ("- {id: b, limit: {usd: 0}}", Code.OUT_OF_RANGE, (3, 26), "between 0.0001 and 999999"),
        ("- {id: b, limit: {usd: 1, euro: 1}}", Code.UNKNOWN_KEY, (3, 29), "euro"),
        ("- {id: b, limit: {usd: 1}, per: [callers]}", Code.MALFORMED, (3, 36), "callers"),
        ("- {id: b, limit: {usd: 1}, window: fortnight}", Code.MALFORMED, (3, 38), "fortnight"),
        ("- {id: b, limit: {usd: 1}, window: 500ms}", Code.OUT_OF_RANGE, (3, 30), "whole number of seconds"),
        ("- {id: b, limit: {usd: 1}, timeZone: Europe/Berln}", Code.MALFORMED, (3, 30), "time zone"),
        ("- {id: b, limit: {usd: 1}, unknownPrice: free}", Code.MALFORMED, (3, 30), "unknownPrice"),
        ("- {id: b, limit: {usd: 1}, unknownPrice: {flat: 0}}", Code.MALFORMED, (3, 30), "unknownPrice"),
        ("- {id: b, limit: {usd: 1}, onExceeded: shout}", Code.NOT_A_CHOICE, (3, 42), "shout"),
        ("- {id: b, limit: {usd: 1}}\n  - {id: b, limit: {usd: 2}}", Code.DUPLICATE_ID, (4, 6), "two budgets"),
    ],
)
def test_what_could_not_be_meant_is_told_with_its_place(loaded, text, code, place, words):
    problem = loaded(f"{BASE}budgets:\n  {text}\n").errors[0]
    assert problem.code == code
    assert (problem.line, problem.column) == place
    assert words in problem.message
    assert problem.fix


def test_a_misspelt_time_zone_is_told_with_the_right_one(loaded):
    problem = loaded(f"{BASE}budgets:\n  - {{id: b, limit: {{usd: 1}}, timeZone: Europe/Berln}}\n").errors[0]
    assert problem.fix == 'did you mean "Europe/Berlin"?'


def test_prices_are_read_as_micro_dollars(loaded):
    text = "prices:\n  tools: {'files.*': 0, 'web.*': 0.005}\n  models: {m: {input: 3, output: 15, cachedInput: 0.3}}\n"
    prices = loaded(BASE + text).snapshot.prices
    assert dict(prices.tools) == {"files.*": 0, "web.*": 5000}
    assert prices.models == {"m": ModelPrice(3_000_000, 15_000_000, 300_000)}


def test_the_price_of_a_model_has_both_parts(loaded):
    problem = loaded(f"{BASE}prices: {{models: {{m: {{input: 3}}}}}}\n").errors[0]
    assert problem.code == Code.LACKING_KEY
    assert "input and output" in problem.message
