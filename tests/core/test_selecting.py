"""Addresses of parts of a result."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.selecting import Span, run_of, segment, select

RUN = "result://abc"
RESULT = {
    "content": [
        {"type": "text", "text": "one\ntwo\nthree"},
        {"type": "image", "data": "QUFB", "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "a:b", "text": "inside", "mimeType": "text/markdown"}},
        {"type": "resource_link", "uri": "a:c", "name": "c"},
    ],
    "structuredContent": {"rows": [{"a/b": 1, "m~n": [10, 20], "": 3}], "text": {"type": "text", "text": "data"}},
}
BODY = json.dumps(RESULT).encode()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=4),
    max_leaves=15,
)


def found(path):
    return select(BODY, f"{RUN}/{path}" if path else RUN)


def value(path):
    return json.loads(bytes(found(path).value))


def test_an_address_names_the_whole_a_value_or_the_text_or_blob_of_an_item():
    assert value("") == RESULT
    assert value("structured/rows/0/a~1b") == 1
    assert value("structured/rows/0/m~0n/1") == 20
    assert value("structuredContent/rows/0") == RESULT["structuredContent"]["rows"][0]
    assert (found("content/0").text, found("content/0").mime) == ("one\ntwo\nthree", "text/plain")
    assert (found("content/1").blob, found("content/1").mime) == ("QUFB", "image/png")
    assert (found("content/2").text, found("content/2").mime) == ("inside", "text/markdown")
    assert value("content/3") == RESULT["content"][3]
    assert value("structured/text") == {"type": "text", "text": "data"}, "data that looks like an item is data"


def test_a_range_selects_items_characters_or_lines():
    assert found("structured/rows/0..10").span == Span("items", 0, 10)
    assert found("content/0/4..").span == Span("characters", 4, None)
    assert found("content/0/lines/1..2").span == Span("lines", 1, 2)
    assert found("content/0/text/4..7").span == Span("characters", 4, 7)
    assert Span("items", 5, 3).within(10) == (5, 5)
    assert Span("items", 50, None).within(10) == (10, 10)


@pytest.mark.parametrize(
    "path",
    ["nothing", "content/9", "content/x", "structured/rows/0/a~1b/0..1", "content/0/a..b", "content/1/0..5", "content/0/1/2",
     "content/-1", "content/0/lines", "structured/0..1", "content/99999999999999999999"],
)  # fmt: skip
def test_what_is_not_there_is_refused_with_how_far_the_path_led(path):
    with pytest.raises(LookupError, match=r"result://abc.* is there"):
        found(path)


def test_the_run_of_an_address():
    assert run_of("result://abc/content/0") == "abc"
    assert run_of("result://abc") == "abc"
    assert run_of("file:///abc") == ""


def paths(value, path=()):
    yield path, value
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in steps:
        yield from paths(inner, (*path, key))


@given(JSON)
def test_every_value_has_an_address(content):
    body = json.dumps({"structuredContent": content}).encode()
    for path, inner in paths(content):
        uri = "/".join([RUN, "structured", *map(segment, path)])
        selected = select(body, uri)
        assert json.loads(bytes(selected.value)) == inner
        assert selected.base == uri
