"""Requests of the Codex app-server as questions to a person, and a person's answers as its results.

All ten server requests of Codex 0.169.0 (2026-11-24). Those that no person can answer get a well-formed refusal.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.backends.agent_link import Frame, listed, record, words_of
from mcp_orchestrator.core.translate.permissions import Option, decision, permission
from mcp_orchestrator.model.conversation import ACTIONS, Answer, Question

_ONCE: Final = Option("accept", "allow this once")
_SESSION: Final = Option("acceptForSession", "allow it, and the same again for the rest of this session")
_DECLINE: Final = Option("decline", "do not allow it; the agent goes on without")
_CANCEL: Final = Option("cancel", "do not allow it, and stop the agent")

Answering = Callable[[Answer], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the way from its answer to the agent's result. `writes`: a yes would let it change something."""

    question: Question
    result: Answering
    writes: bool


def asked(agent: str, method: str, params: Frame, item: Frame) -> Asked | None:
    """The question that a request asks; None when it is none. `item` is what the request names, as begun before."""
    match method:
        case "item/commandExecution/requestApproval":
            return _command(agent, params)
        case "item/fileChange/requestApproval":
            return _file_change(agent, params, listed(item.get("changes")))
        case "item/permissions/requestApproval":
            return _permissions(agent, params)
        case "item/tool/requestUserInput":
            return _input(agent, params)
        case "mcpServer/elicitation/request":
            return _elicitation(agent, params)
        case _:
            return None


def refusal(method: str, params: Frame) -> dict[str, Any] | None:
    """The well-formed refusal of a request; None where the protocol has none but an error."""
    refusals: dict[str, dict[str, Any]] = {
        "item/commandExecution/requestApproval": {"decision": "decline"},
        "item/fileChange/requestApproval": {"decision": "decline"},
        "item/permissions/requestApproval": {"permissions": {}},
        "item/tool/requestUserInput": {"answers": {}},
        "mcpServer/elicitation/request": {"action": "decline"},
    }
    if method in ("execCommandApproval", "applyPatchApproval"):
        return {"decision": {"denied": {"rejection": "approvals of this older form cannot be given here"}}}
    if method == "item/tool/call":
        text = f"there is no tool {words_of(params.get('tool'))} at this host"
        return {"contentItems": [{"type": "inputText", "text": text}], "success": False}
    return refusals.get(method)


# -- commands and edits --------------------------------------------------------------------------------------------


def _command(agent: str, params: Frame) -> Asked:
    decisions: dict[str, Any] = {}
    options: list[Option] = []
    available = params.get("availableDecisions")
    for one in available if isinstance(available, list) else ["accept", "cancel"]:
        option = _option(one, len(options))
        if option is not None:
            options.append(option)
            decisions[option.id] = one
    if "decline" not in decisions:  # it works although it is not always listed
        options.append(_DECLINE)
    network = record(params.get("networkApprovalContext"))
    if network:
        what = "reach the network"
        details = f"{words_of(network.get('protocol'))}://{words_of(network.get('host'))}"
        if params.get("command"):
            details += f"\nfor: {params['command']}"
    elif params.get("kind") == "writeStdin":
        what, details = "write to a program that is running", words_of(params.get("command"))
    else:
        what, details = "run a command", words_of(params.get("command"))
    lines = [details, f"in {params['cwd']}" if params.get("cwd") else "", _reason(params)]
    question = permission(agent, what, "\n".join(filter(None, lines)), options)

    def result(answer: Answer) -> dict[str, Any]:
        chosen = decision(answer, options)
        return {"decision": decisions.get(chosen, "decline") if chosen is not None else "decline"}

    return Asked(question, result, writes=True)


def _option(offered: object, place: int) -> Option | None:
    """A decision that Codex offers, in words; None for one that is not known."""
    if isinstance(offered, str):
        return {option.id: option for option in (_ONCE, _SESSION, _DECLINE, _CANCEL)}.get(offered)
    rule = record(record(offered).get("acceptWithExecpolicyAmendment")).get("execpolicy_amendment")
    if isinstance(rule, list):
        words = " ".join(map(str, rule))
        return Option("acceptRule", f"allow it, and from now on, in every session, commands that begin with: {words}")
    network = record(record(record(offered).get("applyNetworkPolicyAmendment")).get("network_policy_amendment"))
    if network:
        verb = "allow" if network.get("action") == "allow" else "never allow"
        return Option(f"network{place}", f"{verb} the host {words_of(network.get('host'))}, also from now on")
    return None


def _file_change(agent: str, params: Frame, changes: list[Frame]) -> Asked:
    options = [_ONCE, _SESSION, _DECLINE, _CANCEL]
    lines = []
    for change in changes:
        kind = words_of(record(change.get("kind")).get("type")) or "update"
        lines += [f"{kind} {words_of(change.get('path'))}", words_of(change.get("diff"))]
    if params.get("grantRoot"):
        lines.append(f"(a yes lets it write everything in {params['grantRoot']} for the rest of this session)")
    question = permission(agent, "change files", "\n".join(filter(None, [*lines, _reason(params)])), options)
    return Asked(question, lambda answer: {"decision": decision(answer, options) or "decline"}, writes=True)


def _permissions(agent: str, params: Frame) -> Asked:
    wanted = record(params.get("permissions"))
    turn = Option("turn", "allow it for this turn")
    options = [turn, Option("session", "allow it for the rest of this session"), _DECLINE]
    files = record(wanted.get("fileSystem"))
    writes = bool(files.get("write")) or any(one.get("access") == "write" for one in listed(files.get("entries")))
    details = "\n".join(filter(None, [_plain(wanted), _reason(params)]))

    def result(answer: Answer) -> dict[str, Any]:
        scope = decision(answer, options)
        return {"permissions": wanted, "scope": scope} if scope in ("turn", "session") else {"permissions": {}}

    return Asked(permission(agent, "have more rights", details, options), result, writes)


def _reason(params: Frame) -> str:
    return f"({params['reason']})" if params.get("reason") else ""


# -- questions of tools --------------------------------------------------------------------------------------------


def _elicitation(agent: str, params: Frame) -> Asked | None:
    about = record(params.get("_meta"))
    if about.get("codex_approval_kind"):
        return _tool_approval(agent, params, about)
    message = words_of(params.get("message"))
    match params.get("mode"):
        case "form":
            wire = {"mode": "form", "message": message, "requestedSchema": params.get("requestedSchema")}
        case "url":
            wire = {"mode": "url", "message": message, "url": params.get("url")}
            wire["elicitationId"] = params.get("elicitationId")
        case _:
            return None
    return Asked(Question("elicitation/create", wire), _elicited, writes=False)


def _elicited(answer: Answer) -> dict[str, Any]:
    result = answer.result or {}
    action = result.get("action")
    if action not in ACTIONS:
        return {"action": "decline"}
    return {"action": action, "content": result.get("content")} if action == "accept" else {"action": action}


def _tool_approval(agent: str, params: Frame, about: Frame) -> Asked:
    """A call of an MCP tool needs a yes: Codex asks for it with an elicitation that has no fields."""
    tool, server = words_of(about.get("tool_name")), words_of(params.get("serverName"))
    persist = about.get("persist") if isinstance(about.get("persist"), list) else []
    session = Option("session", "allow this tool for the rest of this session")
    options = [_ONCE, *([session] if "session" in (persist or []) else []), _DECLINE, _CANCEL]
    what = f"call the tool {tool} of the MCP server {server}" if tool else words_of(params.get("message"))
    question = permission(agent, what, _plain(about.get("tool_params")), options)

    def result(answer: Answer) -> dict[str, Any]:
        match decision(answer, options):
            case "accept":
                return {"action": "accept", "content": {}}
            case "session":
                return {"action": "accept", "content": {}, "_meta": {"persist": "session"}}
            case "cancel":
                return {"action": "cancel"}
            case _:
                return {"action": "decline"}

    return Asked(question, result, writes=True)


def _input(agent: str, params: Frame) -> Asked | None:
    """Questions of the agent itself. What is secret does not go through a form (MCP elicitation, form mode)."""
    questions = listed(params.get("questions"))
    if not questions or any(one.get("isSecret") for one in questions):
        return None
    properties: dict[str, Any] = {}
    lines = [f"{agent} asks:"]
    for one in questions:
        options = listed(one.get("options"))
        text = words_of(one.get("question"))
        lines.append(text)
        lines += [f"- {words_of(option.get('label'))}: {words_of(option.get('description'))}" for option in options]
        field: dict[str, Any] = {"type": "string", "title": words_of(one.get("header")), "description": text}
        if options and not one.get("isOther"):
            field["enum"] = [words_of(option.get("label")) for option in options]
        properties[words_of(one.get("id"))] = field
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    wire = {"mode": "form", "message": "\n".join(lines), "requestedSchema": schema}

    def result(answer: Answer) -> dict[str, Any]:
        told = answer.result or {}
        content = record(told.get("content")) if told.get("action") == "accept" else {}
        return {"answers": {key: {"answers": [str(value)]} for key, value in content.items() if key in properties}}

    return Asked(Question("elicitation/create", wire), result, writes=False)


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)
