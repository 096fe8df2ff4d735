"""Wire request to `Call`: what kind it is, what it names, and whether its parameters have the shape they must have.

MCP 2025-11-25 and 2026-07-28, server/tools, server/prompts, server/resources, server/utilities/completion. Methods
that we do not know become extension calls with their parameters unread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_orchestrator.core.translate.ranges import wanted
from mcp_orchestrator.core.wire.meta import HOP_KEYS, PROGRESS_TOKEN
from mcp_orchestrator.listeners.mcp_eras import invalid
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Principal
from mcp_orchestrator.model.outcome import Failed

Naming = Callable[[dict[str, Any]], "str | Failed"]


def to_call(
    method: str,
    params: dict[str, Any],
    face: ClientFace,
    principal: Principal,
    *,
    profile: str | None = None,
    log_level: str | None = None,
) -> Call | Failed:
    """The call that a request stands for; takes `params` over and takes `_meta` out of it."""
    meta = params.pop("_meta", None)
    if meta is None:
        meta = {}
    elif type(meta) is not dict:
        return invalid("params._meta must be an object")
    wants_progress = type(meta.get(PROGRESS_TOKEN)) in (int, str)
    kind, naming = _KINDS.get(method, _EXTENSION)
    name = naming(params)
    if isinstance(name, Failed):
        return name
    if method == "resources/read" and isinstance(wrong := wanted(meta), str):
        return invalid(f"resources/read: {wrong}")
    passed = {key: value for key, value in meta.items() if key not in HOP_KEYS}
    return Call(kind, method, name, params, passed, face, principal, profile, wants_progress, log_level)


def _tool(params: dict[str, Any]) -> str | Failed:
    name = params.get("name")
    if type(name) is not str:
        return invalid("tools/call: name must be a string")
    arguments = params.get("arguments")
    if type(arguments) is not dict:
        if arguments is not None:
            return invalid("tools/call: arguments must be an object")
        params.pop("arguments", None)  # null means the same as absent
    return name


def _prompt(params: dict[str, Any]) -> str | Failed:
    name = params.get("name")
    if type(name) is not str:
        return invalid("prompts/get: name must be a string")
    arguments = params.get("arguments")
    if arguments is None:
        params.pop("arguments", None)
        return name
    if type(arguments) is not dict:
        return invalid("prompts/get: arguments must be an object")
    for key, value in arguments.items():
        if type(value) is not str:
            return invalid(f"prompts/get: argument {key!r} must be a string")
    return name


def _resource(method: str) -> Naming:
    def naming(params: dict[str, Any]) -> str | Failed:
        uri = params.get("uri")
        return uri if type(uri) is str else invalid(f"{method}: uri must be a string")

    return naming


def _completion(params: dict[str, Any]) -> str | Failed:
    argument = params.get("argument")
    if type(argument) is not dict or type(argument.get("name")) is not str or type(argument.get("value")) is not str:
        return invalid("completion/complete: argument must be an object with the strings name and value")
    ref = params.get("ref")
    if type(ref) is dict:
        kind = ref.get("type")
        key = _REF_NAMES.get(kind) if type(kind) is str else None
        name = ref.get(key) if key else None
        if type(name) is str:
            return name
    return invalid(
        "completion/complete: ref must be {type: ref/prompt, name: string} or {type: ref/resource, uri: string}"
    )


def _task(params: dict[str, Any]) -> str | Failed:
    task = params.get("taskId")
    return task if type(task) is str else ""  # what is missing is said after what the client may not do at all


def _nameless(_params: dict[str, Any]) -> str | Failed:
    return ""


_REF_NAMES: Final[Mapping[str, str]] = {"ref/prompt": "name", "ref/resource": "uri"}
_EXTENSION: Final[tuple[CallKind, Naming]] = (CallKind.EXTENSION, _nameless)
_KINDS: Final[Mapping[str, tuple[CallKind, Naming]]] = {
    "tools/call": (CallKind.TOOL, _tool),
    "prompts/get": (CallKind.PROMPT, _prompt),
    "resources/read": (CallKind.RESOURCE, _resource("resources/read")),
    "resources/subscribe": (CallKind.SUBSCRIPTION, _resource("resources/subscribe")),
    "resources/unsubscribe": (CallKind.SUBSCRIPTION, _resource("resources/unsubscribe")),
    "completion/complete": (CallKind.COMPLETION, _completion),
    "tasks/get": (CallKind.TASK, _task),
    "tasks/update": (CallKind.TASK, _task),
    "tasks/cancel": (CallKind.TASK, _task),
    "tasks/result": (CallKind.TASK, _task),
    "tasks/list": (CallKind.TASK, _nameless),
}
