"""Tasks in the words of both generations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.translate import tasks as words
from mcp_orchestrator.core.translate.tasks import EXTENSION, RELATED, TaskStatus
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind

MODERN = {"resultType": "task", "taskId": "t", "status": "working", "ttlMs": 60_000, "pollIntervalMs": 500}
LEGACY = {"taskId": "t", "status": "input_required", "ttl": None, "pollInterval": 500, "statusMessage": "soon"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def face(era, capabilities):
    return ClientFace(era, "", capabilities)


@pytest.mark.parametrize(
    ("era", "capabilities", "declared"),
    [
        (Era.MODERN, {"extensions": {EXTENSION: {}}}, True),
        (Era.MODERN, {"extensions": {EXTENSION: True}}, False),
        (Era.MODERN, {"extensions": []}, False),
        (Era.MODERN, {}, False),
        (Era.LEGACY, {"extensions": {EXTENSION: {}}}, False),
    ],
)
def test_only_a_modern_client_declares_the_extension(era, capabilities, declared):
    assert words.declares(face(era, capabilities)) is declared


def test_a_server_has_tasks_in_the_words_of_its_era():
    assert words.offers_tasks({"extensions": {EXTENSION: {}}}, Era.MODERN)
    assert not words.offers_tasks({"extensions": {EXTENSION: {}}}, Era.LEGACY)
    assert words.offers_tasks({"tasks": {"requests": {"tools": {"call": {}}}}}, Era.LEGACY)
    assert not words.offers_tasks({"tasks": {"requests": {"sampling": {}}}}, Era.LEGACY)
    assert not words.offers_tasks({"tasks": True}, Era.LEGACY)


@pytest.mark.parametrize("said", ["required", "optional", "forbidden", "odd", None, 7])
def test_a_tool_that_says_nothing_of_use_is_no_task(said):
    known = {"required", "optional"}
    assert words.support({"execution": {"taskSupport": said}}) == (said if said in known else "forbidden")
    assert words.support(None) == words.support({"execution": []}) == "forbidden"


def test_declaring_for_a_client_keeps_what_it_declared():
    before = {"roots": {}, "extensions": {"x": {}}}
    assert words.with_extension(before) == {"roots": {}, "extensions": {"x": {}, EXTENSION: {}}}
    assert before["extensions"] == {"x": {}}


def test_a_created_task_is_told_apart_from_every_other_result():
    seen = words.created(encode(MODERN), Era.MODERN)
    assert (seen.id, seen.status, seen.ttl, seen.poll) == ("t", TaskStatus.WORKING, 60.0, 0.5)
    assert words.created(encode({**MODERN, "resultType": "complete"}), Era.MODERN) is None
    assert words.created(encode(MODERN), Era.LEGACY) is None
    old = words.created(encode({"task": LEGACY}), Era.LEGACY)
    assert (old.status, old.ttl, old.message) == (TaskStatus.INPUT_REQUIRED, None, "soon")
    assert words.created(encode({"task": LEGACY, "content": []}), Era.LEGACY) is None
    assert words.created(encode({"task": LEGACY}), Era.MODERN) is None
    assert words.created(b'{"taskId"', Era.MODERN) is None
    big = encode({**MODERN, "x": "y" * 100_000})
    assert words.created(big, Era.MODERN) is None, "a creation is small: large results are not searched"


@pytest.mark.parametrize("task", [{}, {"taskId": 1, "status": "working"}, {"taskId": "t", "status": "odd"}])
def test_what_is_no_task_is_not_seen(task):
    assert words.seen(task) is None


def test_ids_are_replaced_wherever_the_protocol_has_them_and_nowhere_else():
    result = {
        "taskId": "t",
        "task": {"taskId": "t", "x": 1},
        "_meta": {RELATED: {"taskId": "t", "y": 2}, "z": 3},
        "content": [{"type": "text", "text": "t"}],
    }
    changed = decode(words.renamed(encode(result), "t", "ours"))
    assert changed == {
        "taskId": "ours",
        "task": {"taskId": "ours", "x": 1},
        "_meta": {RELATED: {"taskId": "ours", "y": 2}, "z": 3},
        "content": [{"type": "text", "text": "t"}],
    }
    other = encode({"taskId": "u", "task": {"taskId": "u"}, "_meta": {RELATED: {"taskId": "u"}}})
    assert decode(words.renamed(other, "t", "ours")) == decode(other)


@given(st.dictionaries(st.sampled_from(["taskId", "task", "_meta", "a", "b"]), json_values))
def test_replacing_an_id_there_and_back_changes_nothing(fields):
    result = encode(fields)
    there = words.renamed(result, "t", "a longer id of ours")
    assert decode(words.renamed(there, "a longer id of ours", "t")) == fields


def test_the_related_task_is_taken_off_and_put_on():
    alone = encode({"content": [], "_meta": {RELATED: {"taskId": "t"}}})
    assert decode(words.without_related(alone, "t")) == {"content": []}
    among = encode({"content": [], "_meta": {RELATED: {"taskId": "t"}, "x": 1}})
    assert decode(words.without_related(among, "t")) == {"content": [], "_meta": {"x": 1}}
    assert words.without_related(b'{"content":[]}', "t") == b'{"content":[]}'
    put = decode(words.with_related(encode({"content": [], "_meta": {"x": 1}}), "t"))
    assert put == {"content": [], "_meta": {"x": 1, RELATED: {"taskId": "t"}}}


def test_how_a_task_ended_is_read_from_its_state():
    assert words.inlined(encode({"status": "working"})) is None
    assert words.inlined(encode({"status": "completed", "result": {"x": 1}})) == Completed(b'{"x":1}', Era.MODERN)
    error = {"code": -1, "message": "no", "data": 2}
    assert words.inlined(encode({"status": "failed", "error": error})) == Failed(FailureKind.BACKEND_ERROR, -1, "no", 2)
    assert words.inlined(encode({"status": "failed"})).code == -32603
    assert words.inlined(encode({"status": "cancelled"})).kind is FailureKind.CANCELLED


def test_a_refusal_for_want_of_the_extension_is_recognized():
    assert words.wants_tasks(words.missing_capability())
    assert not words.wants_tasks(Failed(FailureKind.BACKEND_ERROR, -32021, "", {"requiredCapabilities": {"roots": {}}}))
    assert not words.wants_tasks(words.not_found())


def test_a_modern_tool_may_be_a_task_for_legacy_clients_unless_it_says_otherwise():
    assert words.may_be_task({"name": "a"}) == {"name": "a", "execution": {"taskSupport": "optional"}}
    said = {"name": "a", "execution": {"taskSupport": "required"}}
    assert words.may_be_task(said) is said


def test_times_are_iso_8601():
    assert words.timestamp(0.0) == "1970-01-01T00:00:00.000Z"
