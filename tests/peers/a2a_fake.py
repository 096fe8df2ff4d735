"""A fake A2A server: its tasks follow a script; JSON-RPC or HTTP+JSON, 1.0 or 0.3, streaming or polled."""

from __future__ import annotations

import asyncio
import contextlib
import json
from urllib.parse import unquote

import anyio
from http_raw import raw_server

from mcp_orchestrator.backends.a2a import A2aAgent
from mcp_orchestrator.backends.a2a_turn import Rhythm
from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentOpening, AgentSpec
from mcp_orchestrator.model.snapshot import Secret

QUICK = Rhythm(first=0.01, most=0.05, quiet=2.0, lost=0.5)
OVER = {"completed", "failed", "canceled", "rejected"}
METHODS = {
    "message/send": "SendMessage",
    "message/stream": "SendStreamingMessage",
    "tasks/get": "GetTask",
    "tasks/cancel": "CancelTask",
    "tasks/resubscribe": "SubscribeToTask",
}


class FakeTask:
    """A task of the server. Scripts tell its story with `status`, `artifact` and `reply`; `said` is what came in."""

    def __init__(self, server, number, context):
        self.server = server
        self.id = f"task-{number}"
        self.context = context
        self.state = "submitted"
        self.message = None
        self.artifacts = {}
        self.history = []
        self.said = []
        self.metadata = {}
        self.ears = set()
        self.changed = asyncio.Event()
        self.cancels = True
        self._numbers = 0

    @property
    def old(self):
        return self.server.version == "0.3"

    def word(self, state):
        return state if self.old else "TASK_STATE_" + state.upper().replace("-", "_")

    def parts(self, parts):
        made = [{"text": part} if isinstance(part, str) else dict(part) for part in parts]
        if self.old:
            for part in made:
                part.setdefault("kind", "text" if "text" in part else "data" if "data" in part else "file")
        return made

    def says(self, *parts, metadata=None, ident=None):
        self._numbers += 1
        message = {
            "messageId": ident or f"{self.id}-m{self._numbers}",
            "role": "agent" if self.old else "ROLE_AGENT",
            "parts": self.parts(parts),
            "taskId": self.id,
            "contextId": self.context,
        }
        if metadata is not None:
            message["metadata"] = metadata
        return message | ({"kind": "message"} if self.old else {})

    def status_value(self):
        status = {"state": self.word(self.state), "timestamp": "2026-11-24T10:00:00.123456"}
        return status | ({"message": self.message} if self.message is not None else {})

    def snapshot(self):
        value = {
            "id": self.id,
            "contextId": self.context,
            "status": self.status_value(),
            "artifacts": list(self.artifacts.values()),
            "history": self.history,
        }
        if self.metadata:
            value["metadata"] = self.metadata
        return value | ({"kind": "task"} if self.old else {})

    def status(self, state, *parts, metadata=None, ident=None, about=None):
        if self.message is not None:
            self.history.append(self.message)
        self.state = state
        self.message = self.says(*parts, metadata=metadata, ident=ident) if parts or metadata else None
        event = {"taskId": self.id, "contextId": self.context, "status": self.status_value()}
        if about is not None:
            event["metadata"] = about
        self.tell(event | {"kind": "status-update", "final": state in OVER} if self.old else {"statusUpdate": event})

    def artifact(self, ident, *parts, append=False, last=True, metadata=None):
        artifact = {"artifactId": ident, "name": ident, "parts": self.parts(parts)}
        if metadata is not None:
            artifact["metadata"] = metadata
        known = self.artifacts.get(ident)
        if append and known is not None:
            known["parts"] = [*known["parts"], *artifact["parts"]]
        else:
            self.artifacts[ident] = dict(artifact)
        event = {
            "taskId": self.id,
            "contextId": self.context,
            "artifact": artifact,
            "append": append,
            "lastChunk": last,
        }
        self.tell(event | {"kind": "artifact-update"} if self.old else {"artifactUpdate": event})

    def tell(self, event):
        for ear in list(self.ears):
            ear.put_nowait(event)
        self.changed.set()
        self.changed = asyncio.Event()

    async def until_said(self, count):
        while len(self.said) < count:
            await self.changed.wait()


class FakeA2a:
    """The server. `script(task)` is started for each task; `calls` are the methods that were asked, in order."""

    def __init__(self, script, *, binding="JSONRPC", version="1.0", streaming=True, subscribes=True):
        self.script = script
        self.binding = binding
        self.version = version
        self.streaming = streaming
        self.subscribes = subscribes
        self.tasks = {}
        self.calls = []
        self.reply = None
        self.intercept = lambda request, method: None
        self.card_paths = ["/.well-known/agent-card.json" if version == "1.0" else "/.well-known/agent.json"]
        self.card_extra = {}
        self.raw = None
        self.running = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.raw.port}"

    @contextlib.asynccontextmanager
    async def serving(self, **settings):
        async with raw_server(self.serve, **settings) as self.raw:
            try:
                with anyio.fail_after(20):
                    yield self
            finally:
                for task in self.running:
                    task.cancel()
                await asyncio.gather(*self.running, return_exceptions=True)

    def card(self):
        card = {"name": "Fake", "description": "plays", "version": "7.1", "capabilities": {"streaming": self.streaming}}
        if self.version == "0.3":
            card |= {"url": f"{self.url}/rpc", "preferredTransport": self.binding, "protocolVersion": "0.3.0"}
        else:
            about = {"url": f"{self.url}/rpc", "protocolBinding": self.binding, "protocolVersion": self.version}
            card["supportedInterfaces"] = [about]
        return card | self.card_extra

    async def serve(self, request):
        path = unquote(request.target)
        if request.method == "GET" and path.endswith(".json"):
            if path in self.card_paths:
                return request.reply(json.dumps(self.card()).encode())
            return request.reply(b"{}", status="404 Not Found")
        method, params = self.understood(request, path)
        self.calls.append(method)
        done = self.intercept(request, method)
        if asyncio.iscoroutine(done):
            done = await done
        if done:
            return None
        return await getattr(self, "do_" + method)(request, params)

    def understood(self, request, path):
        if self.binding == "HTTP+JSON":
            path = path.removeprefix("/rpc")
            if path in {"/message:send", "/message:stream"}:
                return ("SendMessage" if path.endswith("send") else "SendStreamingMessage"), request.json
            ident, _, verb = path.removeprefix("/tasks/").partition(":")
            return {"": "GetTask", "cancel": "CancelTask", "subscribe": "SubscribeToTask"}[verb], {"id": ident}
        name = request.json["method"]
        if self.version == "0.3":
            name = METHODS[name]
        return name, request.json["params"]

    def answer(self, request, value):
        if self.binding == "HTTP+JSON":
            request.reply(json.dumps(value).encode(), kind="application/a2a+json")
        else:
            request.result(value)

    def refuse(self, request, code, reason, message):
        detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "a2a-protocol.org"}
        if self.binding == "HTTP+JSON":
            error = {"code": 400, "status": "FAILED_PRECONDITION", "message": message, "details": [detail]}
            request.reply(json.dumps({"error": error}).encode(), status="400 Bad Request")
        else:
            request.error(code, message, [detail])

    def wrapped(self, task):
        return task.snapshot() if self.version == "0.3" else {"task": task.snapshot()}

    def begin(self, params):
        message = params["message"]
        task = self.tasks.get(message.get("taskId"))
        if task is None:
            number = len(self.tasks) + 1
            task = FakeTask(self, number, message.get("contextId") or f"context-{number}")
            self.tasks[task.id] = task
            self.start(task)
        task.said.append(message)
        task.tell_said = True
        task.changed.set()
        task.changed = asyncio.Event()
        return task

    def start(self, task):
        async def play():
            await task.until_said(1)
            await self.script(task)

        running = asyncio.ensure_future(play())
        self.running.add(running)

    async def do_SendMessage(self, request, params):  # noqa: N802
        if self.reply is not None:
            return self.answer(request, {"message": self.reply} if self.version == "1.0" else self.reply)
        task = self.begin(params)
        return self.answer(request, self.wrapped(task))

    async def do_SendStreamingMessage(self, request, params):  # noqa: N802
        ear = asyncio.Queue()
        if self.reply is not None:
            request.start_events()
            self.emit(request, {"message": self.reply} if self.version == "1.0" else self.reply)
            return request.end_events()
        task = self.begin(params)
        task.ears.add(ear)
        return await self.stream(request, task, ear)

    async def do_SubscribeToTask(self, request, params):  # noqa: N802
        task = self.tasks.get(params["id"])
        if task is None:
            return self.refuse(request, -32001, "TASK_NOT_FOUND", "Task not found")
        if not self.subscribes or task.state in OVER:
            return self.refuse(request, -32004, "UNSUPPORTED_OPERATION", "cannot subscribe")
        ear = asyncio.Queue()
        task.ears.add(ear)
        return await self.stream(request, task, ear)

    async def stream(self, request, task, ear):
        request.start_events()
        self.emit(request, self.wrapped(task))
        state = task.state
        while state not in OVER:
            event = await ear.get()
            self.emit(request, event)
            told = event.get("statusUpdate", event).get("status", {}).get("state")
            state = (told or "").removeprefix("TASK_STATE_").lower().replace("_", "-") if told else state
            if state in {"input-required", "auth-required"}:
                break
        task.ears.discard(ear)
        return request.end_events()

    def emit(self, request, value):
        plain = self.binding == "HTTP+JSON"
        request.event(value if plain else {"jsonrpc": "2.0", "id": request.json["id"], "result": value})

    async def do_GetTask(self, request, params):  # noqa: N802
        task = self.tasks.get(params["id"])
        if task is None:
            return self.refuse(request, -32001, "TASK_NOT_FOUND", "Task not found")
        return self.answer(request, task.snapshot())

    async def do_CancelTask(self, request, params):  # noqa: N802
        task = self.tasks.get(params["id"])
        if task is None:
            return self.refuse(request, -32001, "TASK_NOT_FOUND", "Task not found")
        if task.state in OVER:
            return self.refuse(request, -32002, "TASK_NOT_CANCELABLE", "is over")
        if task.cancels:
            task.status("canceled")
        return self.answer(request, task.snapshot())


def agent(url, *, headers=(), rhythm=QUICK, **settings):
    """An agent of the configuration at an address."""
    secrets = tuple((name, Secret(value)) for name, value in headers)
    settings.setdefault("start_timeout", 10.0)
    spec = AgentSpec("far", AgentKind.A2A, url=Secret(url), headers=secrets, where="gateway.yaml:3", **settings)
    return A2aAgent(spec, rhythm)


@contextlib.asynccontextmanager
async def session(url, tmp_path, *, resume=None, mode=AgentMode.READ, fork=False, **settings):
    """An open session with the agent at an address."""
    opened = agent(url, **settings)
    try:
        made = await opened.open(AgentOpening(tmp_path, tmp_path, mode, resume=resume, fork=fork))
        try:
            yield made
        finally:
            await made.close()
    finally:
        await opened.aclose()
