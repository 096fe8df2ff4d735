"""Bounded copies: never over the bound, nothing lost, and not touched where there is room."""

import hashlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_orchestrator.core.bounding import LEAST_BYTES, WHOLE, bounded, floor_of, may_be_over
from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.core.selecting import select
from mcp_orchestrator.model.results import Bound

URI = "result://0123456789000001"
TEXT = st.text(max_size=40) | st.builds(
    lambda part, times: part * times, st.text(min_size=1, max_size=6), st.integers(1, 3000)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=30,
)
ITEM = (
    st.builds(lambda text: {"type": "text", "text": text}, TEXT)
    | st.builds(lambda size: {"type": "image", "data": "QUFB" * size, "mimeType": "image/png"}, st.integers(0, 3000))
    | st.builds(lambda text: {"type": "resource", "resource": {"uri": "a:b", "text": text}}, TEXT)
    | st.builds(lambda value: {"type": "unknown", "value": value}, JSON)
)
RESULT = st.fixed_dictionaries(
    {"content": st.lists(ITEM, max_size=8)},
    optional={"structuredContent": st.dictionaries(st.text(max_size=8), JSON, max_size=4), "isError": st.booleans()},
)
BOUND = st.builds(
    Bound,
    st.none() | st.integers(LEAST_BYTES, 20_000),
    st.none() | st.integers(1, 10),
    st.none() | st.integers(1, 20),
)


def encoded(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def many(count):
    return {"rows": [{"id": number} for number in range(count)]}


@settings(max_examples=150, deadline=None)
@given(RESULT, BOUND)
def test_a_copy_is_within_the_bound_and_says_where_the_whole_is(result, bound):
    whole = encoded(result)
    copy = bounded(whole, bound, URI)
    if copy is None:
        assert bound.bytes is None or len(whole) <= bound.bytes
        assert bound.items is None or len(result["content"]) <= bound.items
        return
    assert bound.bytes is None or len(copy) <= bound.bytes
    shown = json.loads(copy)
    assert shown.get("isError") == result.get("isError")
    said = shown["_meta"][WHOLE]
    assert (said["uri"], said["bytes"]) == (URI, len(whole))
    assert said["sha256"] == hashlib.sha256(whole).hexdigest()
    assert said["leftOut"]
    assert URI in shown["content"][-1]["text"]
    items = shown["content"][:-1]
    assert bound.items is None or len(items) <= bound.items


@settings(max_examples=150, deadline=None)
@given(RESULT, BOUND)
def test_everything_that_is_left_out_is_found_at_the_address_that_is_told(result, bound):
    whole = encoded(result)
    copy = bounded(whole, bound, URI)
    for left in json.loads(copy)["_meta"][WHOLE]["leftOut"] if copy is not None else ():
        found = select(whole, left["uri"])
        assert found.value or found.text == "" or found.blob == ""
    if copy is None:
        return
    for place, item in enumerate(json.loads(copy)["content"][:-1]):
        text = item.get("text", "")
        head, mark, note = text.rpartition("[... ")
        original = result["content"][place] if place < len(result["content"]) else {}
        if not mark or original.get("type") != "text" or original["text"] == text:
            continue
        rest = select(whole, note.split(": ", 1)[1].rstrip("]"))
        first, last = rest.span.within(len(rest.text))
        assert head + rest.text[first:last] == original["text"]


@given(RESULT)
def test_what_is_within_the_bound_is_not_touched(result):
    whole = encoded(result)
    assert bounded(whole, Bound(bytes=max(len(whole), LEAST_BYTES), items=10**6, lines=10**6), URI) is None
    assert bounded(whole, Bound(), URI) is None


@given(RESULT, BOUND)
def test_up_to_the_floor_no_result_is_over_any_bound(result, bound):
    whole = encoded(result)
    if len(whole) <= floor_of([bound]):
        assert bounded(whole, bound, URI) is None


def test_two_bytes_are_looked_for_before_anything_is_parsed():
    assert not may_be_over(b'{"content":[{"type":"text","text":"a"}]}', Bound(100, 3, 1))
    assert may_be_over(b'{"content":[1,2,3,4]}', Bound(items=3))
    assert may_be_over(b'{"content":[{"type":"text","text":"a\\u000ab"}]}', Bound(lines=1))


def test_the_small_items_stay_whole_and_the_large_ones_share_the_rest():
    content = [{"type": "text", "text": text} for text in ("short", "x" * 50_000, "also short", "y" * 90_000)]
    shown = json.loads(bounded(encoded({"content": content}), Bound(bytes=8192), URI))["content"]
    assert (shown[0], shown[2]) == (content[0], content[2])
    assert abs(len(shown[1]["text"]) - len(shown[3]["text"])) < 20
    assert shown[1]["text"].endswith(f"/content/1/{shown[1]['text'].index('[')}..]")


def test_lines_are_counted_over_all_texts():
    content = [{"type": "text", "text": "a\n" * 30}, {"type": "text", "text": "b"}]
    shown = json.loads(bounded(encoded({"content": content}), Bound(lines=11), URI))["content"]
    assert shown[0]["text"].startswith("a\n" * 10 + "[... ")
    assert shown[1] == content[1]


def test_of_the_structured_content_arrays_lose_their_tail_and_it_fits_its_schema_still():
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": {"type": "object"}}}}
    whole = encoded({"content": [], "structuredContent": many(50_000)})
    shown = json.loads(bounded(whole, Bound(bytes=4096), URI, fits=lambda one: not Checker(schema).faults(one)))
    rows = shown["structuredContent"]["rows"]
    assert rows == many(len(rows))["rows"]
    assert len(rows) > 20


def test_a_structured_content_that_would_not_fit_is_left_out_and_that_is_said():
    whole = encoded({"content": [], "structuredContent": many(50)})
    shown = json.loads(bounded(whole, Bound(items=10), URI, fits=lambda value: len(value["rows"]) == 50))
    assert "structuredContent" not in shown
    assert shown["_meta"][WHOLE]["leftOut"][0]["uri"] == f"{URI}/structured"


def test_numbers_that_are_kept_stay_as_they_were_written():
    body = b'{"content":[],"structuredContent":{"rows":[1.50,1e400,123456789012345678901234567890,4,5]}}'
    assert b"[1.50,1e400,123456789012345678901234567890]" in bounded(body, Bound(items=3), URI)


def test_a_picture_is_a_link_for_clients_that_know_links_and_a_note_for_others():
    whole = encoded({"content": [{"type": "image", "data": "QUFB" * 5000, "mimeType": "image/png"}]})
    link = json.loads(bounded(whole, Bound(bytes=4096), URI))["content"][0]
    assert (link["type"], link["uri"], link["mimeType"]) == ("resource_link", f"{URI}/content/0", "image/png")
    note = json.loads(bounded(whole, Bound(bytes=4096), URI, links=False))["content"][0]
    assert note["type"] == "text"
    assert f"{URI}/content/0" in note["text"]


def test_the_result_inside_a_task_is_bounded_where_it_is():
    task = {"resultType": "complete", "taskId": "t", "status": "completed"}
    whole = encoded({**task, "result": {"content": [{"type": "text", "text": "x" * 9000}]}})
    copy = bounded(whole, Bound(bytes=4096), URI)
    assert len(copy) <= 4096
    shown = json.loads(copy)
    assert {key: shown[key] for key in task} == task
    address = shown["result"]["_meta"][WHOLE]["leftOut"][0]["uri"]
    assert select(whole, address).text == "x" * 9000


def test_questions_tasks_and_what_is_no_result_of_these_kinds_are_left_alone():
    long = "x" * 9000
    for one in (
        {"resultType": "input_required", "content": [{"type": "text", "text": long}], "inputRequests": {}},
        {"task": {"taskId": long}},
        {"completion": {"values": [long]}},
    ):
        assert bounded(encoded(one), Bound(bytes=2048), URI) is None
    assert bounded(b"x" * 5000, Bound(bytes=2048), URI) is None
    lone = b'{"content":[{"type":"text","text":"\\ud800' + b"x" * 9000 + b'"}]}'
    assert bounded(lone, Bound(bytes=2048), URI) is None, "half of a surrogate pair is no JSON: listeners refuse it"


def test_prompts_and_resources_are_cut_in_their_own_form():
    prompt = {"messages": [{"role": "assistant", "content": {"type": "text", "text": "x" * 9000}}]}
    shown = json.loads(bounded(encoded(prompt), Bound(bytes=4096), URI))["messages"]
    assert [one["role"] for one in shown] == ["assistant", "user"]
    assert shown[0]["content"]["text"].startswith("xxx")
    resource = {"contents": [{"uri": "a:b", "text": "x" * 9000}, {"uri": "a:c", "blob": "QUFB" * 3000}]}
    shown = json.loads(bounded(encoded(resource), Bound(bytes=4096), URI))["contents"]
    assert [one["uri"] for one in shown[:2]] == ["a:b", "a:c"]
    assert f"{URI}/contents/1" in shown[1]["text"]


def test_what_cannot_be_cut_at_all_leaves_at_least_the_address():
    keys = {f"key {number}": number for number in range(5000)}
    odd = {"content": [{"type": "odd", **keys}], "structuredContent": keys, "_meta": keys, "x": keys}
    copy = bounded(encoded(odd), Bound(bytes=LEAST_BYTES), URI)
    assert len(copy) <= LEAST_BYTES
    assert json.loads(copy)["_meta"][WHOLE]["uri"] == URI
    deep = b'{"content":[],"structuredContent":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    assert len(bounded(deep, Bound(bytes=LEAST_BYTES), URI) or b"") <= LEAST_BYTES
