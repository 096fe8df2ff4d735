"""Parts of a resource, put together, are the whole; and everything else about it stays."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.translate.ranges import RANGE, Range, cut, wanted

OTHER = {"uri": "memo://other", "text": "other"}


def result(**content):
    item = {"uri": "memo://a", "mimeType": "x/y", "_meta": {"etag": None}, **content}
    return json.dumps({"contents": [OTHER, item], "ttlMs": 5, "odd": [None]}, ensure_ascii=False).encode()


def part(whole, **asked):
    shown = json.loads(cut(whole, Range(item=1, **asked)))
    (item,) = shown.pop("contents")
    assert shown == {"ttlMs": 5, "odd": [None]}
    assert (item["uri"], item["mimeType"], item["_meta"]["etag"]) == ("memo://a", "x/y", None)
    said = item["_meta"][RANGE]
    assert (said["item"], said["items"]) == (1, 2)
    return item, said


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(1, 9))
def test_the_parts_of_a_text_are_the_text(text, length):
    found, offset = "", 0
    while True:
        item, said = part(result(text=text), offset=offset, length=length)
        assert said == {
            "offset": offset, "length": len(item["text"]), "total": len(text), "unit": "characters", "item": 1, "items": 2,
        }  # fmt: skip
        found += item["text"]
        offset += said["length"]
        if offset >= said["total"]:
            break
    assert found == text


@given(st.binary(max_size=60), st.integers(1, 9))
def test_the_parts_of_a_blob_are_the_blob(data, length):
    whole, found, offset = result(blob=base64.b64encode(data).decode()), b"", 0
    while True:
        item, said = part(whole, offset=offset, length=length)
        piece = base64.b64decode(item["blob"], validate=True)
        assert (said["offset"], said["length"], said["total"], said["unit"]) == (offset, len(piece), len(data), "bytes")
        found += piece
        offset += len(piece)
        if offset >= said["total"]:
            break
    assert found == data


@given(st.binary(max_size=40), st.integers(0, 50), st.none() | st.integers(0, 50))
def test_any_part_of_a_blob_is_that_part(data, offset, length):
    item, _said = part(result(blob=base64.b64encode(data).decode()), offset=offset, length=length)
    assert base64.b64decode(item["blob"]) == data[offset : None if length is None else offset + length]


def test_a_part_behind_the_end_is_empty_and_says_how_long_the_whole_is():
    item, said = part(result(text="abc"), offset=7, length=2)
    assert (item["text"], said["offset"], said["length"], said["total"]) == ("", 3, 0, 3)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({}, "neither"),
        ({"text": None}, "neither"),
        ({"text": 7}, "neither"),
        ({"blob": "AAA"}, "not as MCP"),
        ({"blob": "AA\nA"}, "not as MCP"),
        ({"blob": "A!AA"}, "not as MCP"),
    ],
)
def test_what_cannot_be_cut_is_said(content, why):
    assert why in cut(result(**content), Range(item=1))


def test_an_item_that_there_is_not_is_said():
    assert cut(result(text="a"), Range(item=2)) == "item 2 is wanted, but the resource has 2"
    assert "not as MCP" in cut(b'{"contents":7}', Range())


def test_what_the_server_has_cut_already_and_what_is_no_read_is_left_alone():
    ready = result(text="a").replace(b'"etag": null', b'"%b": {}' % RANGE.encode())
    assert cut(ready, Range(0, 0, 1)) is ready
    asks = b'{"resultType":"input_required","inputRequests":{}}'
    assert cut(asks, Range()) is asks


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, None),
        ({}, Range()),
        ({"offset": 3, "length": None, "more": "x"}, Range(3)),
        ({"offset": 3, "length": 0, "item": 1}, Range(3, 0, 1)),
    ],
)
def test_a_range_has_an_offset_a_length_and_an_item(asked, found):
    assert wanted({RANGE: asked}) == found
    assert wanted({}) is None


@pytest.mark.parametrize(
    "asked", [7, [], {"offset": -1}, {"length": True}, {"item": "0"}, {"offset": 1.5}, {"length": 2**53}]
)
def test_a_range_of_another_form_is_refused_in_words(asked):
    assert RANGE in wanted({RANGE: asked})
