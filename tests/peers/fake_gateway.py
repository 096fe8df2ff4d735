"""A small gateway with real behaviour behind the listeners' door: runs are tasks, cancels cancel, watchers hear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mcp_orchestrator.model.call import Call, ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome, ToolRefusal
from mcp_orchestrator.plugin_api import ClientEvent, Port, View

HEADER_SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
CROWD = 1000
TOOLS = ("echo", "steps", "talk", "ask", "wait", "big", "fail", "refuse", "smuggle", "pretty", "region", "poll")


class FakeRun:
    """One run in a task of its own."""

    def __init__(self, number: int, work: Any) -> None:
        self.id = f"run-{number}"
        self.reason: str | None = None
        self.task = asyncio.get_running_loop().create_task(work)

    async def outcome(self) -> Outcome:
        await asyncio.wait((self.task,))
        if self.task.cancelled():
            return Failed(FailureKind.CANCELLED, -32800, f"cancelled: {self.reason}")
        return self.task.result()

    def cancel(self, reason: str) -> None:
        if not self.task.done():
            self.reason = reason
            self.task.cancel()


class FakeGateway:
    """`gate` holds the tool `wait` back; `entered` is set when it waits; everything that happened can be looked at."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        self.over = asyncio.Event()
        self.told = asyncio.Event()
        self.crowded = asyncio.Event()
        self.ended = asyncio.Event()
        self.profiles = {"reviewer"}
        self.calls: list[Call] = []
        self.runs: list[FakeRun] = []
        self.ports: list[Port] = []
        self.opened: dict[str, tuple[ClientFace, View, Port]] = {}
        self.closed: list[str] = []
        self.notified: list[tuple[str, str, Mapping[str, Any]]] = []
        self.watchers: list[tuple[View, str | None, Callable[[ClientEvent], None]]] = []
        self.faces = 0
        self.followed: dict[tuple[str, ...], Callable[[ClientEvent], None]] = {}
        self.hold_face: asyncio.Event | None = None

    @property
    def server_info(self) -> Mapping[str, Any]:
        return {"name": "fake", "version": "1"}

    def has_profile(self, profile: str) -> bool:
        return profile in self.profiles

    async def face(self, view: View) -> tuple[Mapping[str, Any], str | None]:
        self.faces += 1
        if self.hold_face is not None:
            await self.hold_face.wait()
        return {"tools": {"listChanged": True}, "resources": {"subscribe": True}, "logging": {}}, "be kind"

    async def listing(self, view: View, kind: OfferKind, cursor: str | None) -> bytes | Failed:
        if cursor not in (None, "2"):
            return Failed(FailureKind.INVALID, -32602, f"unknown cursor {cursor!r}")
        entries: list[dict[str, Any]] = []
        if kind is OfferKind.TOOL:
            entries = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
        result: dict[str, Any] = {kind.value: entries}
        if cursor is None and kind is OfferKind.PROMPT:
            result["nextCursor"] = "2"
        if view.era is Era.MODERN:
            result |= {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        return json.dumps(result).encode()

    def header_schema(self, view: View, tool: str) -> Mapping[str, Any] | None:
        return HEADER_SCHEMA if tool == "region" else None

    def start(self, call: Call, port: Port) -> FakeRun:
        self.calls.append(call)
        self.ports.append(port)
        run = FakeRun(len(self.runs), self._work(call, port))
        self.runs.append(run)
        if len(self.runs) == CROWD:
            self.crowded.set()
        return run

    def watch(self, view: View, session: str | None, hear: Callable[[ClientEvent], None]) -> Callable[[], None]:
        entry = (view, session, hear)
        self.watchers.append(entry)
        return lambda: self.watchers.remove(entry) if entry in self.watchers else None

    def follow_tasks(
        self, view: View, client: ClientFace, tasks: Sequence[str], hear: Callable[[ClientEvent], None]
    ) -> tuple[list[str], Callable[[], None]]:
        """There are the tasks whose name begins with `t`."""
        found = [task for task in tasks if task.startswith("t")]
        self.followed[tuple(found)] = hear
        return found, lambda: self.followed.pop(tuple(found), None) and None

    def tell(self, event: ClientEvent, session: str | None = None) -> None:
        """Every watcher hears; with `session` only that one's."""
        for _view, watching, hear in list(self.watchers):
            if session is None or watching == session:
                hear(event)

    def session_opened(self, client: ClientFace, view: View, port: Port) -> None:
        assert client.session is not None
        self.opened[client.session] = (client, view, port)

    def session_closed(self, session: str) -> None:
        self.closed.append(session)
        self.ended.set()

    async def client_notified(self, session: str, method: str, params: Mapping[str, Any]) -> None:
        self.notified.append((session, method, params))
        self.told.set()

    async def _work(self, call: Call, port: Port) -> Outcome:
        if call.method == "tools/call":
            return await self._tool(call, port)
        if call.method == "boom":
            raise RuntimeError("a bug of the gateway")
        if call.kind.value == "extension":
            return Failed(FailureKind.UNKNOWN_NAME, -32601, f"Method not found: {call.method}")
        return completed(call, {"method": call.method, "name": call.name, "params": call.params})

    async def _tool(self, call: Call, port: Port) -> Outcome:  # noqa: PLR0911 - one tool, one line
        arguments = call.params.get("arguments") or {}
        match call.name:
            case "steps":
                for step in range(arguments.get("count", 3)):
                    port.notify("notifications/progress", {"progress": step})
                    await asyncio.sleep(0)
            case "talk":
                for level in ("debug", "warning", "error"):
                    port.notify("notifications/message", {"level": level, "data": level})
            case "ask":
                return await self._ask(call, port, arguments)
            case "wait":
                self.entered.set()
                try:
                    await self.gate.wait()
                finally:
                    self.over.set()
            case "poll":
                port.notify("notifications/progress", {"progress": 1})
                port.let_go(0.01)
                self.entered.set()
                await self.gate.wait()
                port.notify("notifications/progress", {"progress": 2})
            case "big":
                return completed(call, {"content": [{"type": "text", "text": "x" * arguments["size"]}]})
            case "fail":
                data = arguments.get("data")
                return Failed(FailureKind.BACKEND_ERROR, arguments.get("code", -32603), "it failed", data)
            case "refuse":
                return ToolRefusal("mend your arguments")
            case "smuggle":
                return Completed(arguments["bytes"].encode(), call.client.era, checked=False)
            case "pretty":
                port.notify("notifications/progress", {"progress": 1})
                return Completed(b'{\n  "content": [],\r\n  "resultType": "complete"\n}', call.client.era)
            case _:
                pass
        return completed(call, {"content": [{"type": "text", "text": json.dumps(arguments)}]})

    async def _ask(self, call: Call, port: Port, arguments: Mapping[str, Any]) -> Outcome:
        method = arguments.get("method", "elicitation/create")
        self.entered.set()
        try:
            answer = await port.ask(Question(method, arguments.get("params", {"message": "?"})))
        finally:
            self.over.set()
        shown = None if answer is None else {"result": answer.result, "code": answer.code, "message": answer.message}
        return completed(call, {"content": [{"type": "text", "text": json.dumps(shown)}]})


def completed(call: Call, result: dict[str, Any]) -> Completed:
    """A result in the era of the client."""
    if call.client.era is Era.MODERN:
        result = {**result, "resultType": "complete"}
    return Completed(json.dumps(result, separators=(",", ":")).encode(), call.client.era)
