"""Every URI of a resource becomes public, and nothing else is touched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.translate.links import LOOKED_THROUGH, may_link, relinked

LINK = {"type": "resource_link", "uri": "memo://a", "name": "a", "size": 9, "icons": [{"src": "data:x"}], "odd": None}
EMBEDDED = {"type": "resource", "resource": {"uri": "memo://b", "blob": "AAAA", "_meta": {"k": 1}}, "annotations": {}}
TEXT = {"type": "text", "text": 'memo://a and "resource_link"', "priority": 1e3}


def public(uri):
    return f"mcp://one/{uri}" if uri.startswith("memo:") else uri


def change(result, method="tools/call"):
    return json.loads(relinked(json.dumps(result).encode(), method, public))


def test_links_and_embedded_resources_of_a_tool_get_public_uris_and_keep_all_else():
    result = {"content": [TEXT, LINK, EMBEDDED], "structuredContent": {"uri": "memo://a"}, "x": [None]}
    assert change(result) == {
        **result,
        "content": [
            TEXT,
            {**LINK, "uri": "mcp://one/memo://a"},
            {**EMBEDDED, "resource": {**EMBEDDED["resource"], "uri": "mcp://one/memo://b"}},
        ],
    }


@pytest.mark.parametrize("several", [False, True])
def test_messages_of_a_prompt_hold_one_block_or_several(several):
    def message(block):
        return {"role": "user", "content": [TEXT, block] if several else block}

    result = {"description": "d", "messages": [message(TEXT), message(LINK)]}
    shown = {**LINK, "uri": "mcp://one/memo://a"}
    assert change(result, "prompts/get") == {**result, "messages": [message(TEXT), message(shown)]}


def test_contents_of_a_resource_get_public_uris():
    result = {"contents": [{"uri": "memo://a", "text": "t"}, {"uri": "file:///b", "blob": "AA=="}], "ttlMs": 5}
    shown = change(result, "resources/read")
    assert [each["uri"] for each in shown["contents"]] == ["mcp://one/memo://a", "file:///b"]
    assert shown["ttlMs"] == 5


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("tools/call", b'{"content":[{"type":"text","text":"x"}]}'),
        ("tools/call", b'{"content":[{"type":"resource_link","uri":"file:///b"}]}'),
        ("tools/call", b'{"content":[{"type":"resource_link","uri":7},{"type":"resource","resource":3},4,null,[]]}'),
        ("tools/call", b'{"content":{"type":"resource_link","uri":"memo://a"}}'),
        ("tools/call", b'{"structuredContent":{"content":[{"type":"resource_link","uri":"memo://a"}]}}'),
        ("tools/call", b'{"content":[{"type":"resource_link","uri":"memo://a"}'),
        ("tools/call", b"no JSON"),
        ("tools/call", b'{"content":[{"type":"resource_link"},{"type":["resource"]},{"type":"resource"}]}'),
        ("prompts/get", b'{"messages":[{"role":"user"},{"role":"user","content":[]},5]}'),
        ("resources/read", b'{"contents":[{"text":"memo://a"}]}'),
        ("completion/complete", b'{"completion":{"values":["memo://a"]}}'),
    ],
)
def test_what_needs_no_change_or_has_no_such_shape_is_the_very_same_object(method, result):
    assert relinked(result, method, public) is result


def test_a_large_block_beside_a_link_comes_through_byte_by_byte():
    text = json.dumps("\\u00e9" * 300_000).encode()
    result = b'{"content":[{"type":"text","text":%b},{"type":"resource_link","uri":"memo://a"}]}' % text
    changed = relinked(result, "tools/call", public)
    assert text in changed
    assert b'"mcp://one/memo://a"' in changed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["resource", "resource_link", "uri"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "uri", "resource"]), inner),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries({"content": JSON, "messages": JSON, "contents": JSON}),
    st.sampled_from(["tools/call", "prompts/get", "resources/read"]),
)
def test_with_nothing_to_rename_nothing_changes_whatever_a_server_sends(result, method):
    encoded = json.dumps(result).encode()
    assert relinked(encoded, method, lambda uri: uri) is encoded


def test_the_result_of_a_task_is_that_of_its_tool_call():
    done = {"content": [TEXT, LINK]}
    shown = {"content": [TEXT, {**LINK, "uri": "mcp://one/memo://a"}]}
    assert change({**done, "_meta": {}}, "tasks/result") == {**shown, "_meta": {}}
    task = {"taskId": "memo://a", "status": "completed"}
    assert change({**task, "result": done}, "tasks/get") == {**task, "result": shown}
    working = json.dumps({"taskId": "t", "status": "working"}).encode()
    assert relinked(working, "tasks/get", public) is working


BLOCKS = st.lists(st.sampled_from([TEXT, LINK, EMBEDDED, {"type": "image", "data": "AAAA"}]), max_size=6)


@given(BLOCKS, st.booleans(), st.integers(0, 6))
def test_a_result_that_links_is_never_taken_for_one_that_does_not_whatever_its_size(blocks, large, where):
    padding = [{"type": "text", "text": "x" * LOOKED_THROUGH}] if large else []
    result = json.dumps({"x": 1, "content": [*blocks[:where], *padding, *blocks[where:]], "y": None}).encode()
    links = LINK in blocks or EMBEDDED in blocks
    if links or large:
        assert may_link(result, "tools/call") is links
    if links:
        assert relinked(result, "tools/call", public) != result


@pytest.mark.parametrize("content", ["7", '[{"type":7,"uri":"memo://a","kind":"resource_link"}]', "[7]"])
def test_a_large_result_of_another_shape_is_judged_by_the_word_alone(content):
    padding = '"text":"' + "x" * LOOKED_THROUGH + '"'
    assert may_link(f'{{"content":{content},{padding}}}'.encode(), "tools/call") is ("resource" in content)


def test_only_results_of_tools_are_read_for_their_blocks():
    large = json.dumps({"messages": [], "x": "x" * LOOKED_THROUGH, "resource": 1}).encode()
    assert may_link(large, "prompts/get")
    assert not may_link(large.replace(b"resource", b"other"), "prompts/get")
