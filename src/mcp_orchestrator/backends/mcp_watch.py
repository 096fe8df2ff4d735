"""Keeps `subscriptions/listen` requests open towards a modern server: one for lists and resources, one for tasks.

MCP 2026-07-28 basic/utilities/subscriptions; MCP extension tasks, status notifications. Modern servers tell of changes
only inside such a request; legacy servers do so unasked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mcp_orchestrator.backends.mcp_handshake import RpcError
from mcp_orchestrator.core.translate.tasks import offers_tasks, with_extension
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed
from mcp_orchestrator.plugin_api import ListChanged, SessionEvent, TasksAgreed

TOGETHER: Final = 0.05
"""Seconds in which further tasks may join before they are asked for: each change of the set is a request."""

OVERLAP: Final = 1.0
"""Seconds that a narrower request for tasks stays open beside its successor, so that nothing is missed in between."""

_FLAGS: Final = {
    OfferKind.TOOL: "toolsListChanged",
    OfferKind.RESOURCE: "resourcesListChanged",
    OfferKind.PROMPT: "promptsListChanged",
}
_SUBSCRIPTIONS: Final = frozenset({"resources/subscribe", "resources/unsubscribe"})
_DONE: Final = b'{"resultType":"complete"}'
_MAX_ENDS: Final = 6
_STABLE_SECONDS: Final = 60.0
_PAUSE_AT_MOST: Final = 30.0


class Watch:
    """`listen` sends `subscriptions/listen` with the given params and returns only when the server ends it."""

    def __init__(
        self,
        listen: Callable[[dict[str, Any]], Awaitable[object]],
        capabilities: Mapping[str, Any],
        hear: Callable[[SessionEvent], None],
    ) -> None:
        self._listen = listen
        self._hear = hear
        self._kinds = tuple(kind for kind in _FLAGS if _advertises(capabilities, kind))
        self._uris: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._tells = offers_tasks(capabilities, Era.MODERN)
        self._tasks: dict[str, int] = {}
        self._renewal: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._outgoing: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to listen (or begin anew with what is wanted now), without waiting for anything."""
        before = self._task
        wanted: dict[str, Any] = {_FLAGS[kind]: True for kind in self._kinds}
        if self._uris:
            wanted["resourceSubscriptions"] = list(self._uris)
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._keep_hearing({"notifications": wanted})) if wanted else None
        if before is not None:
            # A turn later: the new request is then on its way before the old one is withdrawn, and nothing is missed.
            loop.call_soon(lambda: loop.call_soon(before.cancel))

    def subscription(self, invocation: Invocation) -> Completed | None:
        """Carry out `resources/subscribe` and its contrary, which modern servers do not have; None for other methods.

        The open request is widened or narrowed instead.
        """
        if invocation.method not in _SUBSCRIPTIONS:
            return None
        uri = invocation.params.get("uri")
        if isinstance(uri, str):
            if invocation.method == "resources/subscribe":
                self.subscribe(uri)
            else:
                self.unsubscribe(uri)
        return Completed(_DONE, Era.MODERN)

    def subscribe(self, uri: str) -> None:
        """Hear of changes of one resource too."""
        if uri not in self._uris:
            self._uris[uri] = None
            self.start()

    def unsubscribe(self, uri: str) -> None:
        """Hear no more of it."""
        if uri in self._uris:
            del self._uris[uri]
            self.start()

    def listen_for_task(self, task: str) -> Callable[[], None]:
        """Hear of one task too, if the server has the extension; returns the idempotent way to stop."""
        if not self._tells:
            return lambda: None
        stopped = False

        def stop() -> None:
            nonlocal stopped
            if not stopped:
                stopped = True
                self._count(task, -1)

        self._count(task, 1)
        return stop

    def stop(self) -> None:
        """Withdraw the requests."""
        if self._renewal is not None:
            self._renewal.cancel()
        for task in (self._task, self._telling, *self._outgoing):
            if task is not None:
                task.cancel()

    def _count(self, task: str, more: int) -> None:
        before = len(self._tasks)
        count = self._tasks.get(task, 0) + more
        if count:
            self._tasks[task] = count
        else:
            del self._tasks[task]
        if len(self._tasks) != before and self._renewal is None:
            self._renewal = asyncio.get_running_loop().call_later(TOGETHER, self._renew)

    def _renew(self) -> None:
        """Ask for the tasks of now; the request of before goes a little later."""
        self._renewal = None
        loop = asyncio.get_running_loop()
        before, self._telling = self._telling, None
        if self._tasks and self._tells:
            params = {"notifications": {"taskIds": list(self._tasks)}}
            self._telling = loop.create_task(self._keep_telling(params))
        if before is not None and not before.done():
            self._outgoing.add(before)
            before.add_done_callback(self._outgoing.discard)
            loop.call_later(OVERLAP if self._telling is not None else 0.0, before.cancel)
        if self._telling is None:
            self._hear(TasksAgreed(frozenset()))

    async def _keep_telling(self, params: dict[str, Any]) -> None:
        def untold() -> None:
            if self._telling is asyncio.current_task():
                self._hear(TasksAgreed(frozenset()))

        try:
            await self._keep(params, ended=untold, again=lambda: None)
            self._tells = False  # it has the extension but tells of nothing by itself, or is gone
        finally:
            untold()

    async def _keep_hearing(self, params: dict[str, Any]) -> None:
        def missed() -> None:
            # Nothing is replayed: what changed in between would be missed.
            for kind in self._kinds:
                self._hear(ListChanged(kind))

        await self._keep(params, ended=lambda: None, again=missed)

    async def _keep(self, params: dict[str, Any], *, ended: Callable[[], None], again: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        ends = 0
        while ends < _MAX_ENDS:
            began = loop.time()
            try:
                await self._listen(params)
            except (RpcError, BackendError):
                return  # it does not offer this after all, or it is gone
            ends = 1 if loop.time() - began > _STABLE_SECONDS else ends + 1
            ended()
            await asyncio.sleep(min(2.0**ends / 2, _PAUSE_AT_MOST))
            again()


def declared_for(params: Mapping[str, Any], capabilities: Mapping[str, Any]) -> Mapping[str, Any]:
    """The client capabilities that a `subscriptions/listen` request declares: for tasks, the extension as well."""
    return with_extension(capabilities) if "taskIds" in params["notifications"] else capabilities


def _advertises(capabilities: Mapping[str, Any], kind: OfferKind) -> bool:
    ability = capabilities.get(kind.value)
    return isinstance(ability, dict) and ability.get("listChanged") is True
