"""What a subscription asks for, hears, and leaves behind."""

import json

import pytest
from fake_gateway import FakeGateway
from listener_wire import META

from mcp_orchestrator.listeners.envelopes import Request
from mcp_orchestrator.listeners.mcp_subscriptions import Listen, wanted_of
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.outcome import Failed
from mcp_orchestrator.plugin_api import ListChanged, LogLine, ResourceUpdated, View

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
        LogLine({}),
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
