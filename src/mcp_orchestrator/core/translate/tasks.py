"""Tasks in both generations: what each writes on the wire, and how one is told in the words of the other.

The extension `io.modelcontextprotocol/tasks` of the modern era (SEP-2663) has flat tasks with `ttlMs` and the result
inlined; the experimental tasks of MCP 2025-11-25 (basic/utilities/tasks) have `ttl`, a `task` parameter, and
`tasks/result`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import Call, ClientFace, Era
from mcp_orchestrator.model.errors import INVALID_PARAMS, MISSING_CAPABILITY
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind

EXTENSION: Final = "io.modelcontextprotocol/tasks"
RELATED: Final = "io.modelcontextprotocol/related-task"
CREATING: Final = "tools/call"
"""The one method that may be answered with a task, in both generations of servers."""

MODERN_METHODS: Final = frozenset({"tasks/get", "tasks/update", "tasks/cancel"})
LEGACY_METHODS: Final = frozenset({"tasks/get", "tasks/result", "tasks/list", "tasks/cancel"})
ACKNOWLEDGED: Final = b'{"resultType":"complete"}'

_LONGEST_CREATION: Final = 64 * 1024
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class TaskStatus(enum.StrEnum):
    """Where a task stands; the same words in both generations."""

    WORKING = "working"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether it never changes again."""
        return self not in (TaskStatus.WORKING, TaskStatus.INPUT_REQUIRED)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A task as a backend showed it last. `ttl` and `poll` are seconds, None where it said nothing (ttl: no limit)."""

    id: str
    status: TaskStatus
    ttl: float | None = None
    poll: float | None = None
    message: str = ""
    requests: Mapping[str, Any] | None = None


def declares(client: ClientFace) -> bool:
    """Whether a modern client declared the extension with this very request."""
    return client.era is Era.MODERN and _declared(client.capabilities)


def offers_tasks(capabilities: Mapping[str, Any], era: Era) -> bool:
    """Whether a server with these capabilities may answer `tools/call` with a task."""
    if era is Era.MODERN:
        return _declared(capabilities)
    found: Any = capabilities.get("tasks")
    for key in ("requests", "tools"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return isinstance(found, Mapping) and "call" in found


def support(definition: Mapping[str, Any] | None) -> str:
    """`execution.taskSupport` of a tool: required, optional or forbidden (MCP 2025-11-25 server/tools)."""
    execution = (definition or {}).get("execution")
    said = execution.get("taskSupport") if isinstance(execution, Mapping) else None
    return said if said in ("required", "optional") else "forbidden"


def may_be_task(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """A modern server's tool as legacy clients see that it can be called as a task: modern definitions do not say."""
    return definition if "execution" in definition else {**definition, "execution": {"taskSupport": "optional"}}


def with_extension(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """Client capabilities with the extension declared: the gateway carries the task for a client that cannot."""
    extensions = capabilities.get("extensions")
    known = extensions if isinstance(extensions, Mapping) else {}
    return {**capabilities, "extensions": {**known, EXTENSION: {}}}


def without_tasks(call: Call) -> Call:
    """The call as one of a client that carries no tasks and asks for none."""
    known = call.client.capabilities
    extensions = known.get("extensions")
    left = {name: value for name, value in known.items() if name not in ("extensions", "tasks")}
    if isinstance(extensions, Mapping):
        left["extensions"] = {name: value for name, value in extensions.items() if name != EXTENSION}
    params = {name: value for name, value in call.params.items() if name != "task"}
    return replace(call, params=params, client=replace(call.client, capabilities=left))


def missing_capability() -> Failed:
    """-32021 for a client that did not declare the extension."""
    data: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    text = f"Missing required client capability: extensions.{EXTENSION}"
    return Failed(FailureKind.INVALID, MISSING_CAPABILITY, text, data)


def not_found() -> Failed:
    """The answer to an id that we did not give out, or gave to somebody else."""
    return Failed(FailureKind.INVALID, INVALID_PARAMS, "Task not found")


def wants_tasks(failed: Failed) -> bool:
    """Whether a modern server refused a call because its client did not declare the extension."""
    if failed.code != MISSING_CAPABILITY or not isinstance(failed.data, Mapping):
        return False
    required = failed.data.get("requiredCapabilities")
    return isinstance(required, Mapping) and _declared(required)


def sighted(result: bytes) -> Sighting | None:
    """A task in a result: the flat one of the modern era, the one under `task` of the legacy era, or a legacy `tasks/get`."""
    if b'"taskId"' not in result:
        return None
    try:
        fields = decode(result)
    except ValueError:
        return None
    task = fields.get("task", fields) if isinstance(fields, dict) else None
    return seen(task) if isinstance(task, dict) else None


def created(result: bytes, era: Era) -> Sighting | None:
    """The task with which a `tools/call` was answered, if it was."""
    if len(result) > _LONGEST_CREATION or b'"taskId"' not in result:
        return None
    try:
        fields = _fields.decode(result)
    except ValueError:
        return None
    if era is Era.MODERN:
        return sighted(result) if bytes(fields.get("resultType", b"")) == b'"task"' else None
    return sighted(result) if bytes(fields.get("task", b"")).startswith(b"{") and "content" not in fields else None


def seen(task: Mapping[str, Any]) -> Sighting | None:
    """A task object of either generation; None when it is none."""
    ident, status = task.get("taskId"), task.get("status")
    if not isinstance(ident, str) or not isinstance(status, str) or status not in set(TaskStatus):
        return None
    message, requests = task.get("statusMessage"), task.get("inputRequests")
    return Sighting(
        ident,
        TaskStatus(status),
        _seconds(task.get("ttlMs", task.get("ttl"))),
        _seconds(task.get("pollIntervalMs", task.get("pollInterval"))),
        message if isinstance(message, str) else "",
        requests if isinstance(requests, Mapping) else None,
    )


def renamed(result: bytes, theirs: str, ours: str) -> bytes:
    """A result with the id of one task replaced wherever the protocol has it, all else untouched."""
    if b'"taskId"' not in result:
        return result
    fields: dict[str, Any] = dict(_fields.decode(result))
    if "taskId" in fields and decode(fields["taskId"]) == theirs:
        fields["taskId"] = ours
    if "task" in fields:
        task = decode(fields["task"])
        if isinstance(task, dict) and task.get("taskId") == theirs:
            fields["task"] = {**task, "taskId": ours}
    if "_meta" in fields:
        fields["_meta"] = relabelled(decode(fields["_meta"]), theirs, ours)
    return encode(fields)


def relabelled(meta: Any, theirs: str, ours: str | None) -> Any:
    """`_meta` whose related task is known to the client by another id; `ours` None takes it off."""
    related = meta.get(RELATED) if isinstance(meta, Mapping) else None
    if not isinstance(related, Mapping) or related.get("taskId") != theirs:
        return meta
    if ours is None:
        return {key: value for key, value in meta.items() if key != RELATED}
    return {**meta, RELATED: {**related, "taskId": ours}}


def without_related(result: bytes, theirs: str) -> bytes:
    """A result as the modern era inlines it: the id stands beside it, so `_meta` does not name it."""
    if RELATED.encode() not in result:
        return result
    fields: dict[str, Any] = dict(_fields.decode(result))
    meta = relabelled(decode(fields["_meta"]), theirs, None) if "_meta" in fields else None
    if meta:
        fields["_meta"] = meta
    else:
        fields.pop("_meta", None)
    return encode(fields)


def with_related(result: bytes, ours: str) -> bytes:
    """A legacy `tasks/result`: the tool's own result, with the task it belongs to in `_meta`."""
    fields: dict[str, Any] = dict(_fields.decode(result))
    meta = decode(fields["_meta"]) if "_meta" in fields else {}
    fields["_meta"] = {**(meta if isinstance(meta, dict) else {}), RELATED: {"taskId": ours}}
    return encode(fields)


def inlined(task: bytes) -> Completed | Failed | None:
    """How the work of a modern task ended, from its `tasks/get` result; None while it has not."""
    fields = _fields.decode(task)
    match bytes(fields.get("status", b"")):
        case b'"completed"':
            return Completed(bytes(fields.get("result", b"{}")), Era.MODERN)
        case b'"failed"':
            error = decode(fields["error"]) if "error" in fields else {}
            code, message = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, None)
            text = message if isinstance(message, str) else "the task failed"
            data = error.get("data") if isinstance(error, dict) else None
            return Failed(FailureKind.BACKEND_ERROR, code if type(code) is int else -32603, text, data)
        case b'"cancelled"':
            return Failed(FailureKind.CANCELLED, -32800, "cancelled: the server cancelled the task")
        case _:
            return None


def timestamp(at: float) -> str:
    """Seconds since the epoch as ISO 8601."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _declared(capabilities: Mapping[str, Any]) -> bool:
    extensions = capabilities.get("extensions")
    return isinstance(extensions, Mapping) and isinstance(extensions.get(EXTENSION), Mapping)


def _seconds(ms: Any) -> float | None:
    return ms / 1000 if type(ms) in (int, float) and ms > 0 else None
