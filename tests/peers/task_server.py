"""A server with tasks, raw: the extension of 2026-07-28 (SEP-2663) and the experimental tasks of 2025-11-25.

Its tools are those that the official conformance suite asks for (@modelcontextprotocol/conformance 0.2.0-alpha.12,
2026-11, tasks-* scenarios). Run: `python task_server.py PORT` (modern, HTTP), `python task_server.py modern` or
`python task_server.py legacy` (stdio).
"""

import asyncio
import contextlib
import datetime as dt
import json
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
EXTENSION = "io.modelcontextprotocol/tasks"
RELATED = "io.modelcontextprotocol/related-task"
PREFIX = "io.modelcontextprotocol/"
INFO = {"name": "tasks", "version": "1"}
TERMINAL = {"completed", "failed", "cancelled"}
NAME_BEARING = {"tools/call": "name", "tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}
POLL_MS = int(os.environ.get("POLL_MS", "100"))
TTL_MS = 600_000
STEP = 0.2  # seconds that a small job takes
MISSING = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
TOOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "greet": ("forbidden", {"name": {"type": "string"}}),
    "slow_compute": ("optional", {"seconds": {"type": "number"}, "label": {"type": "string"}}),
    "failing_job": ("required", {}),
    "protocol_error_job": ("required", {}),
    "confirm_delete": ("required", {"filename": {"type": "string"}}),
    "multi_input": ("required", {}),
    "test_tool_with_task": ("required", {}),
}


class RpcError(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


def text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}]}


def now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def form(message: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


@dataclass(eq=False)
class Job:
    """One task. `requests` are those that wait for an answer, by key."""

    told: Callable[["Job"], None]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    status: str = "working"
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    work: asyncio.Task[None] | None = None
    count: int = 0

    def become(self, status: str) -> None:
        if self.status in TERMINAL:
            return
        self.status, self.updated = status, now()
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        self.told(self)

    async def ask(self, request: dict[str, Any]) -> Any:
        self.count += 1
        key = f"ask-{self.count}"
        self.requests[key] = request
        future = self.answers[key] = asyncio.get_running_loop().create_future()
        self.become("input_required")
        return await future

    def answer(self, key: str, response: Any) -> None:
        if self.requests.pop(key, None) is not None:
            self.answers[key].set_result(response)
            self.become("input_required" if self.requests else "working")

    def cancel(self) -> None:
        if self.status not in TERMINAL:
            self.become("cancelled")
            self.requests.clear()
            if self.work is not None:
                self.work.cancel()

    async def run(self, name: str, arguments: dict[str, Any], responses: dict[str, Any]) -> None:
        try:
            self.result = await perform(self, name, arguments, responses)
            self.become("completed")
        except RpcError as error:
            self.error = {"code": error.code, "message": str(error)}
            self.become("failed")


async def perform(job: Job, name: str, arguments: dict[str, Any], responses: dict[str, Any]) -> dict[str, Any]:
    """The work of a tool, in the background."""
    if name == "slow_compute":
        await asyncio.sleep(float(arguments.get("seconds", 1)))
        return text(f"computed {arguments.get('label', '')}")
    if name == "confirm_delete":
        answer = await job.ask(form(f"Delete {arguments.get('filename')}?", confirm={"type": "boolean"}))
        return text(f"confirm_delete: {json.dumps(answer, sort_keys=True)}")
    if name == "multi_input":
        asked = [form(f"Input {number}", name={"type": "string"}) for number in (1, 2)]
        got = await asyncio.gather(*(job.ask(request) for request in asked))
        return text(f"multi_input: {json.dumps(got, sort_keys=True)}")
    if name == "test_tool_with_task":
        return text(f"Hello, {responses.get('user_name', {}).get('content', {}).get('name', '')}")
    await asyncio.sleep(STEP)
    if name == "protocol_error_job":
        raise RpcError(-32603, "the job broke")
    return {**text("the job failed"), "isError": True}


class Tasks:
    """Everything but the transport. `notify` sends a notification that belongs to no request."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.listeners: list[tuple[set[str], Any, Callable[[dict[str, Any]], None]]] = []
        self.to_client: Callable[[dict[str, Any]], None] = lambda _message: None
        self.waiting: dict[Any, asyncio.Future[Any]] = {}

    def begin(self, name: str, params: dict[str, Any], told: Callable[[Job], None]) -> Job:
        job = Job(told)
        self.jobs[job.id] = job
        work = job.run(name, params.get("arguments") or {}, params.get("inputResponses") or {})
        job.work = asyncio.get_running_loop().create_task(work)
        return job

    def find(self, params: dict[str, Any]) -> Job:
        job = self.jobs.get(params.get("taskId", ""))
        if job is None:
            raise RpcError(-32602, f"Task not found: {params.get('taskId')}")
        return job

    # -- 2026-07-28 -------------------------------------------------------------------------------------------------

    @staticmethod
    def detailed(job: Job) -> dict[str, Any]:
        fields = {
            "taskId": job.id, "status": job.status, "createdAt": job.created, "lastUpdatedAt": job.updated,
            "ttlMs": TTL_MS, "pollIntervalMs": POLL_MS,
        }  # fmt: skip
        if job.status == "input_required":
            fields["inputRequests"] = dict(job.requests)
        if job.status == "completed":
            fields["result"] = {"resultType": "complete", **(job.result or {})}
        if job.status == "failed":
            fields["error"] = job.error
        return fields

    def told_modern(self, job: Job) -> None:
        for wanted, key, send in list(self.listeners):
            if job.id in wanted:
                params = {**self.detailed(job), "_meta": {PREFIX + "subscriptionId": key}}
                send({"jsonrpc": "2.0", "method": "notifications/tasks", "params": params})

    async def modern(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        meta = params.get("_meta") or {}
        extensions = (meta.get(PREFIX + "clientCapabilities") or {}).get("extensions") or {}
        declared = EXTENSION in extensions
        match method:
            case "server/discover":
                return {
                    "supportedVersions": [MODERN], "ttlMs": 0, "cacheScope": "private",
                    "capabilities": {"tools": {}, "extensions": {EXTENSION: {}}}, "_meta": {PREFIX + "serverInfo": INFO},
                }  # fmt: skip
            case "tools/list":
                return {"tools": self.tools(), "ttlMs": 0, "cacheScope": "private"}
            case "tools/call":
                return await self.call_modern(params, declared)
            case "tasks/get" | "tasks/update" | "tasks/cancel":
                if not declared:
                    raise RpcError(-32021, "Missing required client capability", MISSING)
                job = self.find(params)
                if method == "tasks/get":
                    return self.detailed(job)
                if method == "tasks/cancel":
                    job.cancel()
                for key, response in (params.get("inputResponses") or {}).items():
                    job.answer(key, response)
                return {}
            case _:
                raise RpcError(-32601, f"Method not found: {method}")

    async def call_modern(self, params: dict[str, Any], declared: bool) -> dict[str, Any]:
        name, arguments = params.get("name"), params.get("arguments") or {}
        if name not in TOOLS:
            raise RpcError(-32602, f"Unknown tool: {name}")
        support = TOOLS[name][0]
        if support == "required" and not declared:
            raise RpcError(-32021, "Missing required client capability", MISSING)
        if name == "greet":
            return text(f"Hello, {arguments.get('name')}!")
        if name == "test_tool_with_task" and "user_name" not in (params.get("inputResponses") or {}):
            asked = {"user_name": form("What is your name?", name={"type": "string"})}
            return {"resultType": "input_required", "inputRequests": asked, "requestState": "before the task"}
        if not declared:
            job = self.begin(name, params, lambda _job: None)
            await asyncio.wait({job.work})
            return job.result or {}
        job = self.begin(name, params, self.told_modern)
        shown = {key: value for key, value in self.detailed(job).items() if key not in {"inputRequests", "result"}}
        return {"resultType": "task", **shown}

    def listen(self, key: Any, params: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Acknowledge a subscription; returns how to end it. Only who declares the extension may listen for tasks."""
        wanted = params.get("notifications") or {}
        able = ((params.get("_meta") or {}).get(PREFIX + "clientCapabilities") or {}).get("extensions") or {}
        if "taskIds" in wanted and EXTENSION not in able:
            raise RpcError(-32021, "Missing required client capability", MISSING)
        ids = [task for task in wanted.get("taskIds") or () if task in self.jobs]
        entry = (set(ids), key, send)
        self.listeners.append(entry)
        agreed = {"taskIds": ids} if ids else {}
        params = {"notifications": agreed, "_meta": {PREFIX + "subscriptionId": key}}
        send({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params})
        return lambda: self.listeners.remove(entry)

    @staticmethod
    def tools() -> list[dict[str, Any]]:
        return [
            {
                "name": name, "description": name, "execution": {"taskSupport": support},
                "inputSchema": {"type": "object", "properties": properties},
            }
            for name, (support, properties) in TOOLS.items()
        ]  # fmt: skip

    # -- 2025-11-25 -------------------------------------------------------------------------------------------------

    @staticmethod
    def flat(job: Job) -> dict[str, Any]:
        return {
            "taskId": job.id, "status": job.status, "createdAt": job.created, "lastUpdatedAt": job.updated,
            "ttl": TTL_MS, "pollInterval": POLL_MS,
        }  # fmt: skip

    def told_legacy(self, job: Job) -> None:
        self.to_client({"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": self.flat(job)})

    async def legacy(  # noqa: PLR0911 - a table of methods
        self, method: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        match method:
            case "initialize":
                tasks = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
                return {
                    "protocolVersion": LEGACY, "serverInfo": INFO, "capabilities": {"tools": {}, "tasks": tasks}
                }  # fmt: skip
            case "ping":
                return {}
            case "tools/list":
                return {"tools": self.tools()}
            case "tools/call":
                return await self.call_legacy(params)
            case "tasks/list":
                return {"tasks": [self.flat(job) for job in self.jobs.values()]}
            case "tasks/get":
                return self.flat(self.find(params))
            case "tasks/cancel":
                job = self.find(params)
                if job.status in TERMINAL:
                    raise RpcError(-32602, f"Cannot cancel task in terminal status: {job.status}")
                job.cancel()
                return self.flat(job)
            case "tasks/result":
                return await self.payload(self.find(params))
            case _:
                raise RpcError(-32601, f"Method not found: {method}")

    async def call_legacy(self, params: dict[str, Any]) -> dict[str, Any]:
        name, arguments = params.get("name"), params.get("arguments") or {}
        if name not in TOOLS:
            raise RpcError(-32602, f"Unknown tool: {name}")
        support = TOOLS[name][0]
        if "task" in params and support != "forbidden":
            return {"task": self.flat(self.begin(name, params, self.told_legacy))}
        if support == "required":
            raise RpcError(-32601, f"Tool {name} requires task augmentation")
        if name == "greet":
            return text(f"Hello, {arguments.get('name')}!")
        job = self.begin(name, params, lambda _job: None)
        await asyncio.wait({job.work})
        return job.result or {}

    async def payload(self, job: Job) -> dict[str, Any]:
        """`tasks/result`: blocks, and puts the task's questions meanwhile."""
        related = {"_meta": {RELATED: {"taskId": job.id}}}
        asking: dict[str, asyncio.Task[None]] = {}
        while job.status not in TERMINAL:
            changed = job.changed
            for key, request in job.requests.items():
                if key not in asking:
                    asked = {**request, "params": {**request["params"], **related}}
                    asking[key] = asyncio.get_running_loop().create_task(self.put(job, key, asked))
            await changed.wait()
        if job.status == "failed":
            raise RpcError(job.error["code"], job.error["message"])
        if job.status == "cancelled":
            raise RpcError(-32603, f"Task {job.id} has no result stored")
        return {**(job.result or {}), **related}

    async def put(self, job: Job, key: str, request: dict[str, Any]) -> None:
        ident = f"{job.id}/{key}"
        future = self.waiting[ident] = asyncio.get_running_loop().create_future()
        self.to_client({"jsonrpc": "2.0", "id": ident, **request})
        job.answer(key, await future)


# -- transports -----------------------------------------------------------------------------------------------------


def failure(key: Any, error: RpcError) -> dict[str, Any]:
    body = {"code": error.code, "message": str(error)}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "id": key, "error": body}


async def answered(tasks: Tasks, message: dict[str, Any], modern: bool) -> dict[str, Any]:
    params = message.get("params") or {}
    try:
        if modern:
            result = {"resultType": "complete", **await tasks.modern(message["method"], params)}
        else:
            result = await tasks.legacy(message["method"], params)
    except RpcError as error:
        return failure(message["id"], error)
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


class Http:
    """The modern era over HTTP, as an ASGI application."""

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while scope["method"] == "POST":
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        message = json.loads(body) if body else {}
        if "id" not in message:
            await self.reply(send, 405 if scope["method"] != "POST" else 202, b"")
        elif message["method"] == "subscriptions/listen":
            await self.stream(message, receive, send)
        else:
            response = self.checked(message, headers) or await answered(self.tasks, message, modern=True)
            code = response.get("error", {}).get("code")
            status = {None: 200, -32601: 404, -32603: 200}.get(code, 400)
            await self.reply(send, status, json.dumps(response).encode())

    def checked(self, message: dict[str, Any], headers: dict[str, str]) -> dict[str, Any] | None:
        method, params = message["method"], message.get("params") or {}
        name = NAME_BEARING.get(method)
        if headers.get("mcp-method") != method:
            return failure(message["id"], RpcError(-32020, "Mcp-Method does not match"))
        if name and headers.get("mcp-name") != params.get(name):
            return failure(message["id"], RpcError(-32020, f"Mcp-Name does not match params.{name}"))
        return None

    async def stream(self, message, receive, send) -> None:
        lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        try:
            stop = self.tasks.listen(message["id"], message.get("params") or {}, lines.put_nowait)
        except RpcError as error:
            await self.reply(send, 400, json.dumps(failure(message["id"], error)).encode())
            return
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        gone = asyncio.ensure_future(self.gone(receive))
        try:
            while not gone.done():
                line = asyncio.ensure_future(lines.get())
                await asyncio.wait({gone, line}, return_when=asyncio.FIRST_COMPLETED)
                if not line.done():
                    line.cancel()
                    break
                event = b"data: " + json.dumps(line.result()).encode() + b"\n\n"
                await send({"type": "http.response.body", "body": event, "more_body": True})
        finally:
            gone.cancel()
            stop()

    @staticmethod
    async def gone(receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    @staticmethod
    async def reply(send, status: int, body: bytes) -> None:
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})


async def piped(modern: bool) -> None:
    """One era over stdin and stdout."""
    tasks, loop = Tasks(), asyncio.get_running_loop()

    def write(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    tasks.to_client = write
    running: dict[Any, asyncio.Task[None]] = {}
    stops: dict[Any, Callable[[], None]] = {}

    async def one(message: dict[str, Any]) -> None:
        write(await answered(tasks, message, modern))

    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        message = json.loads(line)
        if "method" not in message:
            future = tasks.waiting.pop(message["id"], None)
            if future is not None:
                future.set_result(message.get("result"))
        elif "id" not in message:
            key = (message.get("params") or {}).get("requestId")
            with contextlib.suppress(KeyError):
                running.pop(key).cancel()
            with contextlib.suppress(KeyError):
                stops.pop(key)()
        elif message["method"] == "subscriptions/listen" and modern:
            try:
                stops[message["id"]] = tasks.listen(message["id"], message.get("params") or {}, write)
            except RpcError as error:
                write(failure(message["id"], error))
        else:
            running[message["id"]] = loop.create_task(one(message))


def main() -> None:
    where = sys.argv[1]
    if where in {"modern", "legacy"}:
        asyncio.run(piped(where == "modern"))
        return
    import uvicorn  # noqa: PLC0415 - only HTTP needs it

    uvicorn.run(Http(Tasks()), host="127.0.0.1", port=int(where), log_level="error")


if __name__ == "__main__":
    main()
