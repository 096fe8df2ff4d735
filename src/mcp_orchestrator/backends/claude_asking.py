"""Claude Code's control requests as questions to a person, and a person's answers as its control responses.

`can_use_tool` and `elicitation` of the control protocol (stream-json), as of Claude Code 2.1.330, 2026-11-24.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.backends.agent_link import Frame, listed, record, words_of
from mcp_orchestrator.backends.claude_events import kind_of
from mcp_orchestrator.core.translate.permissions import Option, decision, permission
from mcp_orchestrator.model.conversation import ACTIONS, Answer, Question

ONCE: Final = Option("allow", "allow this once")
DENY: Final = Option("deny", "do not allow it; the agent goes on without")
STOP: Final = Option("stop", "do not allow it, and stop the agent")

_BY_WHOM: Final = {
    "time": "nobody answered in time",
    "gateway": "nobody can be asked",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, with what is needed to make the agent's answer from a person's."""

    question: Question
    request: Frame
    options: tuple[Option, ...] = ()

    def response(self, answer: Answer) -> tuple[dict[str, Any], bool]:
        """The body of the control response, and whether what was asked for is refused."""
        if self.request.get("subtype") == "elicitation":
            return _elicited(answer)
        given = record(self.request.get("input"))
        if self.request.get("tool_name") == "AskUserQuestion":
            return _answered(given, answer)
        return _permitted(self.request, given, decision(answer, self.options), _why(answer))


def asked(agent: str, request: Frame) -> Asked | None:
    """The question that a control request asks; None when it is none that a person could answer."""
    match request.get("subtype"):
        case "elicitation":
            return Asked(Question("elicitation/create", _elicitation(request)), request)
        case "can_use_tool" if request.get("tool_name") == "AskUserQuestion":
            return Asked(_questions(agent, record(request.get("input"))), request)
        case "can_use_tool":
            options = _options(request)
            what, details = _described(request)
            return Asked(permission(agent, what, details, options), request, options)
        case _:
            return None


# -- permission ----------------------------------------------------------------------------------------------------


def _options(request: Frame) -> tuple[Option, ...]:
    rules = _for_session(request)
    if not rules:
        return (ONCE, DENY, STOP)
    allows = "; ".join(filter(None, map(_allowed_by, rules)))
    return (ONCE, Option("session", f"allow it, and for the rest of this session: {allows}"), DENY, STOP)


def _for_session(request: Frame) -> list[Frame]:
    """What the agent suggests to allow, kept to the session: it would write some into the workspace's settings.

    Suggestions that would end all asking are left out.
    """
    return [
        {**one, "destination": "session"}
        for one in listed(request.get("permission_suggestions"))
        if _allowed_by(one) and one.get("mode") not in ("bypassPermissions", "auto", "dontAsk")
    ]


def _allowed_by(suggestion: Frame) -> str:
    match suggestion.get("type"):
        case "addRules" if suggestion.get("behavior") == "allow":
            rules = listed(suggestion.get("rules"))
            return ", ".join(
                f"{words_of(rule.get('toolName'))}({rule['ruleContent']})"
                if rule.get("ruleContent")
                else f"every use of {words_of(rule.get('toolName'))}"
                for rule in rules
            )
        case "addDirectories":
            directories = suggestion.get("directories")
            return f"files in {', '.join(map(str, directories))}" if isinstance(directories, list) else ""
        case "setMode":
            return f"whatever its mode {words_of(suggestion.get('mode'))} allows"
        case _:
            return ""


def _permitted(request: Frame, given: Frame, choice: str | None, why: str) -> tuple[dict[str, Any], bool]:
    match choice:
        case "allow":
            return {"behavior": "allow", "updatedInput": given}, False
        case "session":
            rules = _for_session(request)
            return {"behavior": "allow", "updatedInput": given, "updatedPermissions": rules}, False
        case "stop":
            return {"behavior": "deny", "message": "A person refused and stopped the work.", "interrupt": True}, True
        case _:
            return {"behavior": "deny", "message": f"Permission was not given: {why}."}, True


def _described(request: Frame) -> tuple[str, str]:
    """A phrase for what it wants to do, and the exact command or edit."""
    name, given = words_of(request.get("tool_name")), record(request.get("input"))
    path = words_of(given.get("file_path")) or words_of(given.get("notebook_path"))
    match name:
        case "Bash":
            what, details = "run a command", words_of(given.get("command"))
        case "Write":
            what, details = f"write the file {path}", words_of(given.get("content"))
        case "Edit":
            what, details = f"edit the file {path}", _edit(given)
        case "WebFetch":
            what, details = "fetch a page", words_of(given.get("url"))
        case "ExitPlanMode":
            what, details = "carry out its plan", words_of(given.get("plan"))
        case _ if kind_of(name)[0] == "mcp":
            tool = name.removeprefix("mcp__").partition("__")[2]
            what, details = f"call the tool {tool} of the MCP server {kind_of(name)[1]}", _plain(given)
        case _:
            what, details = f"use its tool {name}", _plain(given)
    notes = [details]
    if request.get("blocked_path"):
        notes.append(f"(it concerns {request['blocked_path']}, outside of its workspace)")
    reason = words_of(request.get("decision_reason"))
    return what, "\n".join([*notes, f"({reason})"] if reason else notes)


def _edit(given: Frame) -> str:
    old, new = words_of(given.get("old_string")), words_of(given.get("new_string"))
    lines = [*(f"-{line}" for line in old.splitlines()), *(f"+{line}" for line in new.splitlines())]
    return "\n".join([*lines, "(everywhere in the file)"] if given.get("replace_all") else lines)


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)


def _why(answer: Answer) -> str:
    action = (answer.result or {}).get("action")
    return _BY_WHOM.get(answer.by) or ("a person refused" if action == "decline" else "no decision was made")


# -- questions of its own, and of MCP servers ----------------------------------------------------------------------


def _elicitation(request: Frame) -> dict[str, Any]:
    message = words_of(request.get("message"))
    if request.get("mode") == "url":
        params: dict[str, Any] = {"mode": "url", "message": message, "url": words_of(request.get("url"))}
        if request.get("elicitation_id"):
            params["elicitationId"] = request["elicitation_id"]
        return params
    schema = request.get("requested_schema") or {"type": "object", "properties": {}}
    return {"mode": "form", "message": message, "requestedSchema": schema}


def _elicited(answer: Answer) -> tuple[dict[str, Any], bool]:
    result = answer.result or {}
    action = result.get("action")
    if action not in ACTIONS:
        return {"action": "decline"}, True
    response = {"action": action}
    if action == "accept" and "content" in result:
        response["content"] = result["content"]
    return response, action != "accept"


def _questions(agent: str, given: Frame) -> Question:
    """`AskUserQuestion`: up to four questions with options, as one form with a field for each."""
    properties: dict[str, Any] = {}
    lines = [f"{agent} asks:"]
    for number, one in enumerate(listed(given.get("questions"))):
        options = listed(one.get("options"))
        labels = [words_of(option.get("label")) for option in options]
        text = words_of(one.get("question"))
        lines.append(text)
        lines += [f"- {words_of(option.get('label'))}: {words_of(option.get('description'))}" for option in options]
        field: dict[str, Any] = {"title": words_of(one.get("header")) or text, "description": text}
        choice = {"type": "string", "enum": labels} if labels else {"type": "string"}
        many = {"type": "array", "items": choice}
        properties[f"q{number}"] = field | (many if one.get("multiSelect") else choice)
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return Question("elicitation/create", {"mode": "form", "message": "\n".join(lines), "requestedSchema": schema})


def _answered(given: Frame, answer: Answer) -> tuple[dict[str, Any], bool]:
    result = answer.result or {}
    content = result.get("content")
    if result.get("action") != "accept" or not isinstance(content, dict):
        return {"behavior": "deny", "message": f"The questions were not answered: {_why(answer)}."}, True
    chosen = {}
    for number, one in enumerate(listed(given.get("questions"))):
        value = content.get(f"q{number}")
        if value is not None:
            words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            chosen[words_of(one.get("question"))] = words
    return {"behavior": "allow", "updatedInput": {**given, "answers": chosen}}, False
