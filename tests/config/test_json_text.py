"""JSON to a source tree."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.config.document import LINE_BREAK, MalformedError, plain
from mcp_orchestrator.config.json_text import parse

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(-(10.0**99), 10.0**99)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
KEYS = st.text(st.characters(codec="utf-8"), max_size=8)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


def read(text):
    return parse(text, lambda *_: pytest.fail("no key is given twice"))


@given(TREES, st.booleans(), st.sampled_from([None, 2, "\t"]))
def test_what_json_writes_is_read_back(tree, ascii_only, indent):
    assert plain(read(json.dumps(tree, ensure_ascii=ascii_only, indent=indent))) == tree


@given(st.dictionaries(KEYS, st.integers(0, 999), min_size=1), st.sampled_from([None, 1, 4]))
def test_every_key_and_value_is_where_its_position_says(tree, indent):
    text = json.dumps(tree, indent=indent)
    lines = LINE_BREAK.split(text)
    for entry in read(text).entries.values():
        assert lines[entry.start.line - 1][entry.start.column - 1 : entry.end.column - 1] == json.dumps(entry.key)
        start, end = entry.value.start, entry.value.end
        assert lines[start.line - 1][start.column - 1 : end.column - 1] == entry.value.text


def test_comments_and_trailing_commas_are_forgiven():
    assert plain(read('// top\n{"a": [1, 2,], /* in\nside */ "b": "//no",}\n')) == {"a": [1, 2], "b": "//no"}


def test_nothing_but_comments_has_no_tree():
    assert read(" // nothing\n") is None


def test_every_key_given_twice_is_reported():
    seen = []
    root = parse('{"a": 1,\n "a": 2}', lambda *about: seen.append(about))
    assert seen == [("a", (2, 2), (1, 2))]
    assert plain(root) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('{"a": 1 "b": 2}', (1, 9), "comma"),
        ('{"a" 1}', (1, 6), "colon"),
        ("{a: 1}", (1, 2), "double quotes"),
        ("{'a': 1}", (1, 2), "double quotes"),
        ("{\"a\": 'x'}", (1, 7), "single quotes"),
        ('{"a": "x\n"}', (1, 7), "does not end"),
        ('{"a": nope}', (1, 7), "not a JSON value"),
        ('{"a": 01}', (1, 7), "not a JSON value"),
        ('{"a": ', (1, 7), "too early"),
        ('{"a": 1', (1, 8), "too early"),
        ('{"a": "\\x"}', (1, 7), "malformed"),
        ('{"a": "\\ud800"}', (1, 7), "surrogate"),
        ("{} x", (1, 4), "after the end"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, place, words):
    with pytest.raises(MalformedError) as caught:
        read(text)
    assert caught.value.code == "C003"
    assert caught.value.place == place
    assert words in caught.value.message


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" + "1," * 60_000 + "1]"])
def test_depth_and_size_are_bounded(text):
    with pytest.raises(MalformedError) as caught:
        read(text)
    assert caught.value.code == "C005"


@given(st.text(alphabet='{}[]",:01atrue\n\\ /*', max_size=40))
def test_no_text_makes_anything_but_a_tree_or_a_fault(text):
    try:
        parse(text, lambda *_: None)
    except MalformedError as fault:
        place = fault.place
    else:
        place = (1, 1)
    assert min(place) >= 1
