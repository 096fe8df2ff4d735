"""What changed at a server is an event, in the words of either era."""

import pytest

from mcp_orchestrator.backends.mcp_events import event_of
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.plugin_api import ListChanged, ResourceUpdated, TaskChanged, TasksAgreed

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


@pytest.mark.parametrize(
    ("method", "params", "event"),
    [
        ("notifications/tools/list_changed", {}, ListChanged(OfferKind.TOOL)),
        ("notifications/resources/list_changed", {}, ListChanged(OfferKind.RESOURCE)),
        ("notifications/prompts/list_changed", {}, ListChanged(OfferKind.PROMPT)),
        ("notifications/resources/updated", {"uri": "a:b"}, ResourceUpdated({"uri": "a:b"})),
        ("notifications/tasks", {"taskId": "t"}, TaskChanged({"taskId": "t"})),
        ("notifications/tasks/status", {"taskId": "t"}, TaskChanged({"taskId": "t"})),
        (ACKNOWLEDGED, {"notifications": {"taskIds": ["t", 1]}}, TasksAgreed(frozenset({"t"}))),
        (ACKNOWLEDGED, {"notifications": {"taskIds": []}}, TasksAgreed(frozenset())),
        (ACKNOWLEDGED, {"notifications": {"toolsListChanged": True}}, None),
        (ACKNOWLEDGED, {"notifications": {"taskIds": "t"}}, None),
        (ACKNOWLEDGED, {}, None),
        ("notifications/message", {"data": 1}, None),
        ("notifications/vendor/thing", {}, None),
    ],
)
def test_a_notification_about_a_change_is_an_event_and_no_other_is(method, params, event):
    assert event_of(method, params) == event
