"""What a subscription asks for, hears, and leaves behind."""

import json

import pytest
from fake_gateway import FakeGateway
from listener_wire import META

from mcp_orchestrator.core.translate.tasks import EXTENSION
from mcp_orchestrator.core.wire.meta import CLIENT_CAPABILITIES
from mcp_orchestrator.listeners.envelopes import Request
from mcp_orchestrator.listeners.mcp_subscriptions import Listen, wanted_of
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.outcome import Failed
from mcp_orchestrator.plugin_api import ListChanged, LogLine, Notice, ResourceUpdated, TaskChanged, View

pytestmark = pytest.mark.anyio
VIEW = View(Era.MODERN, "reviewer")
FACE = ClientFace(Era.MODERN, "2026-07-28")


class Channel:
    def __init__(self):
        self.messages = []

    def send(self, message):
        self.messages.append(json.loads(message))
        return True


def wanted(**asked):
    return wanted_of(Request(1, "subscriptions/listen", {"notifications": asked, "_meta": META}))


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({}, {}),
        ({"toolsListChanged": True, "promptsListChanged": False, "vendor": 1}, {"toolsListChanged": True}),
        ({"resourcesListChanged": None, "resourceSubscriptions": []}, {}),
        ({"resourceSubscriptions": ["u:1"]}, {"resourceSubscriptions": ["u:1"]}),
    ],
)
def test_only_what_is_wanted_and_known_is_kept(asked, kept):
    assert wanted(**asked) == kept


@pytest.mark.parametrize(
    "asked", [{"toolsListChanged": "yes"}, {"resourceSubscriptions": "u"}, {"resourceSubscriptions": [None]}]
)
def test_wrong_wishes_are_invalid(asked):
    assert isinstance(wanted(**asked), Failed)


async def test_templates_count_as_resources_and_log_lines_as_nothing():
    gateway, channel = FakeGateway(), Channel()
    listen = Listen("s", {"resourcesListChanged": True}, channel, gateway)
    listen.begin(VIEW, FACE)
    assert gateway.calls == []
    for event in (
        ListChanged(OfferKind.TEMPLATE),
        ListChanged(OfferKind.TOOL),
        LogLine({}, common=True),
        Notice("notifications/vendor/thing", {}, common=True),
        ResourceUpdated({"uri": []}),
    ):
        gateway.tell(event)
    assert [one["method"] for one in channel.messages] == [
        "notifications/subscriptions/acknowledged",
        "notifications/resources/list_changed",
    ]
    listen.close()
    listen.close()
    assert gateway.watchers == []
    assert gateway.closed == []


async def test_a_resource_update_is_told_once_although_two_watches_hear_it():
    gateway, channel = FakeGateway(), Channel()
    listen = Listen(1, {"resourceSubscriptions": ["u:2", "u:1"]}, channel, gateway)
    listen.begin(VIEW, FACE)
    assert [call.name for call in gateway.calls] == ["u:1", "u:2"]
    session = gateway.calls[0].client.session
    assert gateway.calls[0].profile == "reviewer"
    gateway.tell(ResourceUpdated({"uri": "u:1"}))
    gateway.tell(ResourceUpdated({"uri": "u:1"}), session)
    gateway.tell(ListChanged(OfferKind.TOOL), session)
    assert [one["method"] for one in channel.messages[1:]] == ["notifications/resources/updated"] * 2
    listen.close()
    assert gateway.closed == [session]
    last = json.loads(listen.result())
    assert last["result"] == {
        "resultType": "complete",
        "_meta": {"io.modelcontextprotocol/subscriptionId": 1},
    }


ABLE = {**META, CLIENT_CAPABILITIES: {"extensions": {EXTENSION: {}}}}


def test_only_a_client_that_declares_the_extension_may_listen_for_tasks():
    refused = wanted(taskIds=["t1"])
    assert isinstance(refused, Failed)
    assert refused.code == -32021
    asked = Request(1, "subscriptions/listen", {"notifications": {"taskIds": ["t1"]}, "_meta": ABLE})
    assert wanted_of(asked) == {"taskIds": ["t1"]}


@pytest.mark.parametrize("tasks", ["t1", [1], {}])
def test_wrong_task_ids_are_invalid(tasks):
    asked = Request(1, "subscriptions/listen", {"notifications": {"taskIds": tasks}, "_meta": ABLE})
    assert wanted_of(asked).code == -32602


async def test_the_tasks_that_there_are_are_acknowledged_and_told_of_until_the_end():
    gateway, channel = FakeGateway(), Channel()
    listen = Listen("s", {"taskIds": ["t1", "x"]}, channel, gateway)
    listen.begin(VIEW, FACE)
    gateway.followed["t1",](TaskChanged({"taskId": "t1", "status": "working", "_meta": {"x": 1}}))
    acknowledged, told = channel.messages
    assert acknowledged["params"]["notifications"] == {"taskIds": ["t1"]}
    assert told["method"] == "notifications/tasks"
    assert told["params"] == {
        "taskId": "t1",
        "status": "working",
        "_meta": {"x": 1, "io.modelcontextprotocol/subscriptionId": "s"},
    }
    listen.close()
    assert gateway.followed == {}
