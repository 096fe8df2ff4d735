"""Ports gate what a run says, runs are found by their request id, and results cannot break a line."""

import asyncio
import json

import anyio
import pytest
from fake_gateway import FakeGateway
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.listeners.mcp_server import RunPort, Runs, event_notification, one_line
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.outcome import Completed, Failed
from mcp_orchestrator.plugin_api import ListChanged, LogLine, Notice, ResourceUpdated

pytestmark = pytest.mark.anyio


class Channel:
    def __init__(self):
        self.messages = []

    def send(self, message):
        self.messages.append(json.loads(message))
        return True


class Session:
    async def ask_on(self, channel, question):
        raise AssertionError("nobody asks here")


def wait_call():
    return Call(CallKind.TOOL, "tools/call", "wait", {"name": "wait"}, {}, ClientFace(Era.LEGACY, "2025-11-25"))


def test_progress_carries_the_clients_own_token_and_without_one_is_dropped():
    channel = Channel()
    RunPort(channel, "mine", None, None).notify("notifications/progress", {"progress": 1})
    RunPort(channel, None, None, None).notify("notifications/progress", {"progress": 2})
    assert [message["params"] for message in channel.messages] == [{"progress": 1, "progressToken": "mine"}]


@pytest.mark.parametrize(
    ("level", "session", "passed"),
    [
        (None, None, []),
        ("warning", None, ["warning", "error"]),
        (None, Session(), ["debug", "warning", "error"]),
        ("error", Session(), ["error"]),
    ],
)
def test_log_lines_pass_as_the_era_and_the_level_say(level, session, passed):
    channel = Channel()
    port = RunPort(channel, None, level, session)
    for name in ("debug", "warning", "error"):
        port.notify("notifications/message", {"level": name})
    assert [message["params"]["level"] for message in channel.messages] == passed


def test_other_notifications_pass_untouched():
    channel = Channel()
    RunPort(channel, None, None, None).notify("notifications/vendor", {"x": None})
    assert channel.messages == [{"jsonrpc": "2.0", "method": "notifications/vendor", "params": {"x": None}}]


async def test_a_cancelled_run_is_owed_no_answer_and_its_id_is_free_again():
    gateway, runs = FakeGateway(), Runs()
    with anyio.fail_after(5):
        task = asyncio.create_task(runs.carry_out(gateway, 1, wait_call(), RunPort(Channel(), None, None, None)))
        await gateway.entered.wait()
        second = await runs.carry_out(gateway, 1, wait_call(), RunPort(Channel(), None, None, None))
        assert isinstance(second, Failed)
        assert second.code == -32602
        assert len(runs) == 1
        runs.cancel([], "nonsense")
        runs.cancel(2, "unknown")
        runs.cancel(1, "enough")
        assert await task is None
        assert len(runs) == 0
        assert gateway.runs[0].reason == "enough"


async def test_a_cut_off_waiter_cancels_its_run():
    gateway, runs = FakeGateway(), Runs()
    with anyio.fail_after(5):
        task = asyncio.create_task(runs.carry_out(gateway, 1, wait_call(), RunPort(Channel(), None, None, None)))
        await gateway.entered.wait()
        task.cancel()
        await asyncio.wait((task,))
        await gateway.over.wait()
    assert len(runs) == 0


def test_an_unchecked_result_that_is_no_object_becomes_an_error():
    for wrong in (b'{}\n{"jsonrpc":"2.0"}', b"[]", b'{"a":', b'{"a":"\n"}', b"\xff"):
        outcome = one_line(Completed(wrong, Era.MODERN, checked=False))
        assert isinstance(outcome, Failed), wrong
        assert outcome.code == -32603


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=8) | st.none(), max_size=4), st.booleans())
def test_a_result_on_one_line_says_the_same(value, checked):
    pretty = json.dumps(value, indent=1).replace("\n", "\r\n").encode()
    outcome = one_line(Completed(pretty, Era.MODERN, checked))
    assert isinstance(outcome, Completed)
    assert outcome.checked
    assert b"\n" not in outcome.result
    assert b"\r" not in outcome.result
    assert json.loads(outcome.result) == value


def test_what_is_safe_already_is_handed_on_as_it_is():
    outcome = Completed(b'{"a":1}', Era.MODERN)
    assert one_line(outcome) is outcome
    failed = Failed("invalid", -1, "x")
    assert one_line(failed) is failed


def test_events_become_notifications_with_the_subscription_in_meta():
    meta = {"io.modelcontextprotocol/subscriptionId": 4}
    changed = json.loads(event_notification(ListChanged(OfferKind.TEMPLATE), meta))
    assert changed == {"jsonrpc": "2.0", "method": "notifications/resources/list_changed", "params": {"_meta": meta}}
    assert "params" not in json.loads(event_notification(ListChanged(OfferKind.TOOL)))
    updated = json.loads(event_notification(ResourceUpdated({"uri": "u:1", "_meta": {"a": 1}}), meta))
    assert updated["params"] == {"uri": "u:1", "_meta": {"a": 1, **meta}}
    assert json.loads(event_notification(LogLine({"level": "info"})))["params"] == {"level": "info"}
    notice = json.loads(event_notification(Notice("notifications/vendor/thing", {"a": 1})))
    assert (notice["method"], notice["params"]) == ("notifications/vendor/thing", {"a": 1})


def test_the_subscription_of_the_gateway_itself_is_not_shown_to_legacy_clients():
    ours = {"io.modelcontextprotocol/subscriptionId": 13}
    bare = json.loads(event_notification(ResourceUpdated({"uri": "u:1", "_meta": ours})))
    assert bare["params"] == {"uri": "u:1"}
    kept = json.loads(event_notification(ResourceUpdated({"uri": "u:1", "_meta": ours | {"a": 1}})))
    assert kept["params"] == {"uri": "u:1", "_meta": {"a": 1}}
