"""What conditions see is bounded, and what is left out cannot be read at all."""

import pytest

from mcp_orchestrator.core.condition_views import DEEPEST, LONGEST_LIST, LONGEST_TEXT, MOST_NODES, UNREADABLE, View


@pytest.mark.parametrize(
    "value", ["é" * LONGEST_TEXT, -(1 << 63), 1.5, True, None, ["x"] * LONGEST_LIST, {"a": [{"b": "c"}]}, ("x",)]
)
def test_what_is_within_bounds_is_seen_as_it_is(value):
    view = View({"a": value})
    assert view.value == {"a": list(value) if isinstance(value, tuple) else value}
    assert view.cut == {}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("x" * (LONGEST_TEXT + 1), "sha256"),
        ("\ud800", "surrogate"),
        ("a\x00b", "NUL"),
        ({"a\x00b": 1}, "a key is no text"),
        (1 << 63, "64 bits"),
        ([1] * (LONGEST_LIST + 1), "elements"),
        ({str(number): 1 for number in range(LONGEST_LIST + 1)}, "keys"),
        ({1: 2}, "a key is no text"),
        ({"\ud800": 2}, "a key is no text"),
        (b"x", "no JSON"),
    ],
)
def test_what_is_beyond_them_stands_for_nothing_and_is_told(value, why):
    view = View({"a": [value]})
    assert view.value == {"a": [UNREADABLE]}
    assert why in view.cut["a[0]"]


def test_depth_and_number_of_values_are_bounded():
    deep = "x"
    for _ in range(DEEPEST + 1):
        deep = [deep]
    assert any("deep" in why for why in View(deep).cut.values())
    wide = View([["x"] * 999] * (MOST_NODES // 999 + 1))
    assert "more than" in wide.cut[""]


def test_few_places_are_told_of():
    assert len(View({str(number): 1 << 64 for number in range(100)}).cut) == 10
