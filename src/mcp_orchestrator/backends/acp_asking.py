"""An ACP agent's requests for permission and elicitations as questions to a person, and the answers to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.backends.agent_link import Frame, listed, record, words_of
from mcp_orchestrator.core.translate.permissions import Option, decision, permission
from mcp_orchestrator.model.conversation import ACTIONS, Answer, Question

CANCELLED: Final[Frame] = {"outcome": {"outcome": "cancelled"}}
WRITES: Final = frozenset({"edit", "delete", "move", "execute", "switch_mode"})
"""Kinds of tool calls that change something, may do so, or leave the mode in which nothing may be changed."""

_ALLOWS: Final = {
    "allow_once": "allow this once",
    "allow_always": "allow it, and from now on without asking",
    "reject_once": "do not allow it",
    "reject_always": "do not allow it, and refuse it from now on without asking",
}
_VERBS: Final = {
    "execute": "run a command",
    "edit": "change a file",
    "delete": "delete a file",
    "move": "move a file",
    "read": "read",
    "search": "search",
    "fetch": "fetch a page",
    "switch_mode": "change its mode",
}
_QUERY: Final = ("command", "cmd", "script", "code", "query", "url", "path", "file_path", "filePath")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the way from its answer to the agent's result, and whether that refuses what was asked for."""

    question: Question
    result: Callable[[Answer], tuple[Frame, bool]]


def asked_permission(agent: str, params: Frame, call: Frame, approve: Sequence[str]) -> Asked:
    """The question of `session/request_permission`. `call` is what is known of the tool call, this request included.

    Some agents offer several options of one kind, so a person chooses among the agent's own; those that `approve`
    names come first.
    """
    offered = [one for one in listed(params.get("options")) if words_of(one.get("optionId"))]
    offered.sort(key=lambda one: _rank(one, approve))
    options = [Option(one["optionId"], _allows(one)) for one in offered]
    what, details = _described(call)

    def result(answer: Answer) -> tuple[Frame, bool]:
        chosen = decision(answer, options)
        if chosen is None and (answer.result or {}).get("action") == "cancel":
            return CANCELLED, True
        if chosen is None:
            return refused(params), True
        kind = next((words_of(one.get("kind")) for one in offered if one["optionId"] == chosen), "")
        return {"outcome": {"outcome": "selected", "optionId": chosen}}, kind.startswith("reject")

    return Asked(permission(agent, what, details, options), result)


def refused(params: Frame) -> Frame:
    """The answer that refuses just what was asked for: the option for it, or, where there is none, no choice."""
    for kind in ("reject_once", "reject_always"):
        for one in listed(params.get("options")):
            if one.get("kind") == kind and words_of(one.get("optionId")):
                return {"outcome": {"outcome": "selected", "optionId": one["optionId"]}}
    return CANCELLED


def asked_elicitation(params: Frame) -> Asked:
    """The question of `elicitation/create`, whose parameters are those of MCP (form and url)."""
    kept = {key: value for key, value in params.items() if key not in ("sessionId", "requestId", "toolCallId", "_meta")}
    kept.setdefault("mode", "form")
    kept.setdefault("message", "")
    if kept["mode"] == "form":
        kept.setdefault("requestedSchema", {"type": "object", "properties": {}})

    def result(answer: Answer) -> tuple[Frame, bool]:
        told = answer.result or {}
        action = told.get("action")
        if action not in ACTIONS:
            return {"action": "decline"}, True
        response: dict[str, Any] = {"action": action}
        if action == "accept" and kept["mode"] == "form":
            response["content"] = told.get("content") or {}
        return response, action != "accept"

    return Asked(Question("elicitation/create", kept), result)


def _rank(option: Frame, approve: Sequence[str]) -> int:
    identifier, kind = words_of(option.get("optionId")), words_of(option.get("kind"))
    if identifier in approve:
        return list(approve).index(identifier)
    return len(approve) + (list(_ALLOWS).index(kind) if kind in _ALLOWS else len(_ALLOWS))


def _allows(option: Frame) -> str:
    """What an option allows: the agent's own words, and what its kind means."""
    name, kind = words_of(option.get("name")), _ALLOWS.get(words_of(option.get("kind")), "")
    if not name or not kind:
        return name or kind or words_of(option.get("optionId"))
    return f"{name} ({kind})"


def _described(call: Frame) -> tuple[str, str]:
    """A phrase for what the agent wants to do, and the exact command or edit, from all that is known of the call."""
    kind, title, given = words_of(call.get("kind")), words_of(call.get("title")), call.get("rawInput")
    what = _VERBS.get(kind) or (f"use {title}" if title and "\n" not in title and len(title) < 80 else "use a tool")  # noqa: PLR2004
    lines = [title] if title and title not in what else []
    if isinstance(given, dict):
        main = next((given[key] for key in _QUERY if isinstance(given.get(key), str)), None)
        if kind == "execute" and main is not None:
            lines = [*(line for line in lines if line not in main and main not in line), main]
            lines += [f"in {given['cwd']}"] if words_of(given.get("cwd")) else []
        elif given:
            lines.append(json.dumps(given, ensure_ascii=False, indent=1))
    elif given not in (None, "", []):
        lines.append(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))
    for part in listed(call.get("content")):
        if part.get("type") == "diff":
            lines.append(_difference(part))
        elif part.get("type") == "content":
            lines.append(words_of(record(part.get("content")).get("text")))
    lines += [words_of(one.get("path")) for one in listed(call.get("locations"))]
    seen: list[str] = []
    for line in lines:
        if line and not any(line in other for other in seen):
            seen.append(line)
    return what, "\n".join(seen) or "(the agent does not say what exactly)"


def _difference(part: Frame) -> str:
    old, new = words_of(part.get("oldText")), words_of(part.get("newText"))
    lines = [*(f"-{line}" for line in old.splitlines()), *(f"+{line}" for line in new.splitlines())]
    return "\n".join([words_of(part.get("path")), *lines])
