"""Notifications of servers about what changed, in either era, as the events that a session tells.

MCP 2025-11-25 server/tools, server/prompts, server/resources, basic/utilities/tasks; MCP 2026-07-28
basic/utilities/subscriptions; MCP extension tasks, status notifications.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.plugin_api import ListChanged, ResourceUpdated, SessionEvent, TaskChanged, TasksAgreed

_LISTS: Final = {
    "notifications/tools/list_changed": OfferKind.TOOL,
    "notifications/resources/list_changed": OfferKind.RESOURCE,
    "notifications/prompts/list_changed": OfferKind.PROMPT,
}


def event_of(method: str, params: Mapping[str, Any]) -> SessionEvent | None:
    """The event that a notification stands for; None for all others."""
    if method in _LISTS:
        return ListChanged(_LISTS[method])
    match method:
        case "notifications/resources/updated":
            return ResourceUpdated(params)
        case "notifications/tasks" | "notifications/tasks/status":
            return TaskChanged(params)
        case "notifications/subscriptions/acknowledged":
            return _agreed(params)
        case _:
            return None


def _agreed(params: Mapping[str, Any]) -> TasksAgreed | None:
    """The tasks of which the server agreed to tell; None when it was not asked about tasks."""
    notifications = params.get("notifications")
    tasks = notifications.get("taskIds") if isinstance(notifications, Mapping) else None
    return TasksAgreed(frozenset(task for task in tasks if isinstance(task, str))) if isinstance(tasks, list) else None
