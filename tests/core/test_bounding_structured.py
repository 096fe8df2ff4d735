"""Structured content within a bound."""

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_orchestrator.core.bounding_parts import Cuts
from mcp_orchestrator.core.bounding_structured import SHORTEST, shrunk
from mcp_orchestrator.core.selecting import select
from mcp_orchestrator.core.wire.jsonrpc import encode

URI = "result://abc"
LONG = st.builds(lambda one, times: one * times, st.text(min_size=1, max_size=3), st.integers(1, 900))
JSON = st.recursive(
    st.integers() | st.booleans() | LONG,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=40,
)


def small(value, room, items=1 << 60):
    cuts = Cuts(URI)
    raw = msgspec.Raw(encode(value))
    made = shrunk(raw, room, items, "structured", cuts)
    return None if made is None else json.loads(bytes(made)), cuts, made is raw


@settings(deadline=None)
@given(JSON, st.integers(50, 5000), st.integers(1, 30))
def test_what_is_left_is_within_the_bound_and_what_is_not_is_found(value, room, items):
    made, cuts, same = small(value, room, items)
    if same:
        assert not cuts
    elif made is not None:
        assert len(encode(made)) <= room
    body = encode({"structuredContent": value})
    for path, _ in cuts.left:
        found = select(body, f"{URI}/{path}")
        total = len(found.text) if found.text is not None else len(json.loads(bytes(found.value)))
        first, last = found.span.within(total)
        assert first < last == total


def test_the_form_stays_and_so_do_short_texts():
    rows = [{"id": number, "name": "n" * 50, "tags": list(range(10))} for number in range(1000)]
    made, cuts, _ = small({"rows": rows, "total": 1000, "text": "x" * 9000}, 3000)
    assert set(made) == {"rows", "total", "text"}
    assert made["total"] == 1000
    assert made["rows"][0]["name"] == "n" * 50
    assert made["text"].startswith("x" * SHORTEST)
    assert cuts


def test_no_array_has_more_items_than_may_stay():
    made, cuts, _ = small({"a": list(range(10)), "b": [[1, 2, 3, 4], [5]], "c": [1, 2, 3]}, 10_000, 3)
    assert made == {"a": [0, 1, 2], "b": [[1, 2, 3], [5]], "c": [1, 2, 3]}
    assert [path for path, _ in cuts.left] == ["structured/a/3..", "structured/b/0/3.."]


def test_a_table_of_many_keys_cannot_be_cut():
    assert small({f"key {number}": number for number in range(1000)}, 500)[0] is None


def test_what_lies_very_deep_is_kept_or_nothing_is():
    deep = "x"
    for _ in range(80):
        deep = [deep]
    assert small(deep, 1000)[2]
    assert small([deep, "y" * 5000], 100)[0] is None
