"""`subscriptions/listen`: what a modern client wants to hear, and the messages that tell it.

MCP 2026-07-28 basic/utilities/subscriptions: the acknowledgement comes first, every message carries the id of the
listen request, nothing is sent that was not asked for, and a graceful end is the request's result.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, assert_never

from mcp_orchestrator.core.translate.tasks import missing_capability, offers_tasks
from mcp_orchestrator.core.uris import covers
from mcp_orchestrator.core.wire import meta as keys
from mcp_orchestrator.core.wire.jsonrpc import RequestId, encode, notification_bytes
from mcp_orchestrator.listeners.envelopes import Request
from mcp_orchestrator.listeners.mcp_eras import invalid
from mcp_orchestrator.listeners.mcp_server import Channel, RunPort, event_notification, response
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.outcome import Failed
from mcp_orchestrator.plugin_api import (
    ClientEvent,
    GatewayDoor,
    ListChanged,
    LogLine,
    Notice,
    ResourceUpdated,
    RunHandle,
    TaskChanged,
    View,
)

_FLAGS: Final = {
    "toolsListChanged": (OfferKind.TOOL,),
    "promptsListChanged": (OfferKind.PROMPT,),
    "resourcesListChanged": (OfferKind.RESOURCE, OfferKind.TEMPLATE),
}


class Listen:
    """One open subscription. `channel` gets whole messages; resource URIs are subscribed to at the gateway.

    The gateway knows the subscription by a session id of its own, as if it were a legacy client's, so that resource
    updates are fetched from backends for as long as it is open.
    """

    __slots__ = (
        "_channel",
        "_gateway",
        "_id",
        "_kinds",
        "_last",
        "_meta",
        "_runs",
        "_session",
        "_stops",
        "_uris",
        "_wanted",
        "who",
    )

    def __init__(self, request_id: RequestId, wanted: dict[str, Any], channel: Channel, gateway: GatewayDoor) -> None:
        self._id = request_id
        self._wanted = wanted
        self._channel = channel
        self._gateway = gateway
        self._meta = {keys.SUBSCRIPTION_ID: request_id}
        self._kinds = frozenset(kind for flag in wanted for kind in _FLAGS.get(flag, ()))
        self._uris: frozenset[str] = frozenset(wanted.get("resourceSubscriptions", ()))
        self._session = f"listen-{secrets.token_hex(8)}" if self._uris else None
        self._stops: list[Callable[[], None]] = []
        self._runs: list[RunHandle] = []
        self._last: ClientEvent | None = None
        self.who = ""

    def begin(self, view: View, face: ClientFace) -> None:
        """Acknowledge, then hear. `who` is from now on the id of the principal that listens."""
        self.who = view.principal.id
        if "taskIds" in self._wanted:
            found, stop = self._gateway.follow_tasks(view, face, self._wanted["taskIds"], self._hear)
            self._stops.append(stop)
            self._wanted = {**self._wanted, "taskIds": found}
        params = {"notifications": self._wanted, "_meta": self._meta}
        self._channel.send(notification_bytes("notifications/subscriptions/acknowledged", params))
        self._stops.append(self._gateway.watch(view, None, self._hear))
        if self._session is None:
            return
        self._stops.append(self._gateway.watch(view, self._session, self._hear_updates))
        port = RunPort(self._channel, None, None, None)
        asking = replace(face, session=self._session)
        for uri in sorted(self._uris):
            call = Call(
                CallKind.SUBSCRIPTION,
                "resources/subscribe",
                uri,
                {"uri": uri},
                {},
                asking,
                view.principal,
                view.profile,
            )
            self._runs.append(self._gateway.start(call, port))

    def result(self) -> bytes:
        """The response that ends the subscription gracefully."""
        return response(self._id, b'"result":' + encode({"resultType": "complete", "_meta": self._meta}))

    def close(self) -> None:
        """Hear no more; idempotent."""
        stops, self._stops = self._stops, []
        for stop in stops:
            stop()
        for run in self._runs:
            run.cancel("the subscription ended")
        self._runs.clear()
        if self._session is not None:
            self._gateway.session_closed(self._session)
            self._session = None

    def _hear(self, event: ClientEvent) -> None:
        # Both watches of one subscription may be told of the same update.
        if event is not self._last and self._admits(event):
            self._last = event
            self._channel.send(event_notification(event, self._meta))

    def _hear_updates(self, event: ClientEvent) -> None:
        if isinstance(event, ResourceUpdated):
            self._hear(event)

    def _admits(self, event: ClientEvent) -> bool:
        match event:
            case ListChanged(kind):
                return kind in self._kinds
            case ResourceUpdated(params):
                uri = params.get("uri")
                return type(uri) is str and any(covers(wanted, uri) for wanted in self._uris)
            case TaskChanged():
                return True  # the gateway tells only of those that were asked for
            case LogLine() | Notice():
                return False  # MCP 2026-07-28 server/utilities/logging: on no stream but that of the request
            case _:
                assert_never(event)


def wanted_of(
    request: Request,
) -> dict[str, Any] | Failed:
    """What the client asks to hear, without what is false, empty or unknown to us."""
    asked = request.params.get("notifications")
    if type(asked) is not dict:
        return invalid("subscriptions/listen: notifications must be an object")
    wanted: dict[str, Any] = {}
    for flag in _FLAGS:
        value = asked.get(flag)
        if type(value) not in (bool, type(None)):
            return invalid(f"subscriptions/listen: notifications.{flag} must be true or false")
        if value:
            wanted[flag] = True
    uris = asked.get("resourceSubscriptions")
    if uris is not None and (type(uris) is not list or not all(type(uri) is str for uri in uris)):
        return invalid("subscriptions/listen: notifications.resourceSubscriptions must be an array of strings")
    if uris:
        wanted["resourceSubscriptions"] = uris
    tasks = _tasks_of(request, asked)
    return tasks if isinstance(tasks, Failed) else {**wanted, **tasks}


def _tasks_of(request: Request, asked: dict[str, Any]) -> dict[str, Any] | Failed:
    """The tasks that are asked for (MCP extension tasks, status notifications): only for clients that declare it."""
    tasks = asked.get("taskIds")
    if tasks is None:
        return {}
    if not offers_tasks(request.params["_meta"].get(keys.CLIENT_CAPABILITIES) or {}, Era.MODERN):
        return missing_capability()
    if type(tasks) is not list or not all(type(task) is str for task in tasks):
        return invalid("subscriptions/listen: notifications.taskIds must be an array of strings")
    return {"taskIds": tasks}
