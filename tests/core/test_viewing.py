"""What a read of a part of a result is answered with."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_orchestrator.core.selecting import select, unreadable
from mcp_orchestrator.core.translate.ranges import RANGE
from mcp_orchestrator.core.viewing import viewed
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.results import UNBOUNDED, Bound

RUN = "result://abc"
BOUND = Bound(bytes=2048)


def contents(body, uri, bound=UNBOUNDED, **how):
    answer = viewed(select(body, uri), uri, bound, **how)
    if bound.bytes is not None:
        assert len(answer) <= bound.bytes
    shown = json.loads(answer)
    assert (shown["resultType"], shown["ttlMs"], shown["cacheScope"]) == ("complete", 0, "private")
    return shown["contents"]


@settings(deadline=None, max_examples=60)
@given(st.builds(lambda one, times: one * times, st.text(min_size=1, max_size=9), st.integers(1, 900)))
def test_reading_on_gives_the_whole_text(text):
    body = encode({"content": [{"type": "text", "text": text}]})
    found, uri = "", f"{RUN}/content/0"
    while uri:
        items = contents(body, uri, BOUND)
        found += items[0]["text"]
        uri = items[1]["uri"] if len(items) > 1 else ""
    assert found == text


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(max_size=30) | st.integers(), max_size=400), st.integers(1, 50))
def test_reading_on_gives_all_items(rows, items):
    body = encode({"structuredContent": {"rows": rows}})
    found, uri = [], f"{RUN}/structured/rows/0.."
    while uri:
        shown = contents(body, uri, Bound(2048, items))
        found += json.loads(shown[0]["text"])
        uri = shown[1]["uri"] if len(shown) > 1 else ""
    assert found == rows


def test_lines_are_selected_and_what_follows_within_them_has_an_address():
    body = encode({"content": [{"type": "text", "text": "".join(f"{number}\n" for number in range(10_000))}]})
    (item,) = contents(body, f"{RUN}/content/0/lines/10..12")
    assert item["text"] == "10\n11\n"
    item, rest = contents(body, f"{RUN}/content/0/lines/10..5000", BOUND)
    follow = contents(body, rest["uri"])[0]["text"]
    assert item["text"] + follow == "".join(f"{number}\n" for number in range(10, 5000))
    item, rest = contents(body, f"{RUN}/content/0", Bound(lines=3))
    assert (item["text"], rest["uri"]) == ("0\n1\n2\n", f"{RUN}/content/0/6..")


def test_a_part_tells_where_it_lies():
    body = encode({"content": [{"type": "text", "text": "0123456789"}]})
    (item,) = contents(body, f"{RUN}/content/0/2..5")
    assert item["_meta"][RANGE] == {"offset": 2, "length": 3, "total": 10, "unit": "characters"}
    (item,) = contents(body, f"{RUN}/content/0/2..5", plain=True)
    assert "_meta" not in item, "a range is cut out of it later, which tells by itself"
    (item,) = contents(body, f"{RUN}/content/0")
    assert "_meta" not in item


def test_a_value_is_json_and_a_large_one_is_cut_with_a_note_of_the_addresses():
    body = encode({"structuredContent": {"rows": list(range(5000)), "n": 1}})
    (item,) = contents(body, f"{RUN}/structured/n")
    assert (item["text"], item["mimeType"]) == ("1", "application/json")
    item, note = contents(body, RUN, BOUND)
    rows = json.loads(item["text"])["structuredContent"]["rows"]
    assert rows == list(range(len(rows)))
    assert f"{RUN}/structuredContent/rows/{len(rows)}.." in note["text"]


def test_what_cannot_be_cut_is_said_to_be_too_long():
    body = encode({"structuredContent": {"table": {f"key {number}": number for number in range(2000)}}})
    item, note = contents(body, f"{RUN}/structured/table", BOUND)
    assert item["text"] == "null"
    assert f"{RUN}/structured/table/KEY" in note["text"]
    rows = encode({"structuredContent": [{f"key {number}": number for number in range(2000)}]})
    item, note = contents(rows, f"{RUN}/structured/0..", BOUND)
    assert item["text"] == "[]"
    assert f"{RUN}/structured/0]" in note["text"]


@pytest.mark.parametrize("bound", [UNBOUNDED, BOUND])
def test_a_blob_is_given_whole(bound):
    data = "QUFB" * (5000 if bound is UNBOUNDED else 100)
    body = encode({"content": [{"type": "audio", "data": data, "mimeType": "audio/wav"}]})
    (item,) = contents(body, f"{RUN}/content/0", bound)
    assert item == {"uri": f"{RUN}/content/0", "mimeType": "audio/wav", "blob": data}


def test_what_cannot_be_looked_into_is_given_as_text_piece_by_piece():
    body = b'{"a":"' + b"x" * 5000 + b'\xff"}'
    found, uri = "", f"{RUN}/content/0"
    while uri:
        items = json.loads(viewed(unreadable(body, uri), uri, BOUND))["contents"]
        found += items[0]["text"]
        uri = items[1]["uri"] if len(items) > 1 else ""
    assert found == body.decode("utf-8", "replace")
