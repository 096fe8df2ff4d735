"""What an A2A agent asks, as questions for a person, and a person's answer as the message that the agent awaits.

A2A 1.0 has no form for options: a2acode 0.9 (2026-11-22) names them in the metadata of the message, under
`a2acode_permission`, and takes `option:ID` as answer; our own server does likewise, and adds the schema of a form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.backends.a2a_reading import Message
from mcp_orchestrator.core.translate.permissions import Option, decision, permission
from mcp_orchestrator.model.conversation import Answer, Question

FIELD: Final = "answer"
REFUSAL: Final = "The answer is no: the request was declined. Go on without it, or end the task."

_OURS: Final = "mcp_orchestrator_question"
_PREFIXED: Final = frozenset({_OURS, "a2acode_permission"})
_MOST_OPTIONS: Final = 100
_REJECTS: Final = re.compile(r"reject|deny|decline|cancel|refuse|\bno\b", re.IGNORECASE)
_URL_KEYS: Final = ("url", "auth_url", "authUrl", "authorization_url", "authorizationUrl", "verification_uri_complete",
                    "verification_uri", "verificationUri", "auth_uri")  # fmt: skip
_URL: Final = re.compile(r"https?://[^\s<>\"'`]{1,2000}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of an agent. `key` is where its metadata had it, `echo` what goes back there with the answer."""

    question: Question
    options: tuple[Option, ...] = ()
    rejects: str | None = None
    key: str = ""
    echo: Mapping[str, Any] | None = None
    form: bool = False


def input_wanted(agent: str, message: Message | None) -> Asked:
    """The question behind `input-required`: a choice, a form of our own server, or one line of text."""
    text = message.text if message is not None else ""
    key, block = _block(message)
    options = _options(block.get("options"))
    echo = {name: block[name] for name in ("request_id", "question") if name in block}
    schema = block.get("requestedSchema")
    if isinstance(schema, Mapping) and schema.get("type") == "object":
        params = {"mode": "form", "message": text or f"{agent} asks", "requestedSchema": dict(schema)}
        return Asked(Question("elicitation/create", params), key=key, echo=echo, form=True)
    if options:
        tool = block.get("tool")
        what = f"use {tool}" if isinstance(tool, str) and tool else "go on"
        details = text
        if block.get("input"):
            details = f"{text}\n{block['input']}"
        rejects = next((one.id for one in options if _REJECTS.search(f"{one.id} {one.allows}")), None)
        return Asked(permission(agent, what, details, options), tuple(options), rejects, key, echo)
    field = {"type": "string", "title": "Answer", "description": "What the agent is told"}
    schema = {"type": "object", "properties": {FIELD: field}, "required": [FIELD]}
    params = {"mode": "form", "message": text or f"{agent} needs an answer to go on", "requestedSchema": schema}
    return Asked(Question("elicitation/create", params))


def sign_in_wanted(agent: str, task: str, message: Message | None) -> Asked:
    """The question behind `auth-required`: an address to visit; no secret ever goes through a form."""
    text = (message.text if message is not None else "") or f"{agent} needs you to sign in"
    url = _address(message)
    if url:
        params: dict[str, Any] = {"mode": "url", "message": text, "url": url, "elicitationId": f"a2a-{task}"}
    else:
        note = "It named no address: sign in where this agent expects it, then accept. Do not enter secrets here."
        schema: dict[str, Any] = {"type": "object", "properties": {}}
        params = {"mode": "form", "message": f"{text}\n{note}", "requestedSchema": schema}
    return Asked(Question("elicitation/create", params))


def reply(asked: Asked, answer: Answer) -> tuple[list[dict[str, Any]], dict[str, Any], bool]:
    """The parts and metadata of the message that answers, in the form of 1.0; and whether it is a refusal."""
    result = answer.result or {}
    accepted = result.get("action") == "accept"
    content = result.get("content")
    content = content if isinstance(content, Mapping) else {}
    metadata: dict[str, Any] = {asked.key: dict(asked.echo)} if asked.key and asked.echo else {}
    if asked.form:
        told = {"action": str(result.get("action") or "cancel")} | ({"content": dict(content)} if accepted else {})
        return [{"data": told}], metadata, not accepted
    if asked.options:
        chosen = decision(answer, asked.options)
        option = chosen if chosen is not None else asked.rejects
        if option is None:
            return [{"text": REFUSAL}], metadata, True
        prefix = "option:" if asked.key in _PREFIXED else ""
        return [{"text": f"{prefix}{option}"}], metadata, chosen is None
    if not accepted:
        return [{"text": REFUSAL}], metadata, True
    return [{"text": str(content.get(FIELD, ""))}], metadata, False


def _block(message: Message | None) -> tuple[str, Mapping[str, Any]]:
    """The part of the metadata that describes the question, and its key ("": the metadata itself)."""
    metadata = message.metadata if message is not None else {}
    for key, value in metadata.items():
        if isinstance(value, Mapping) and ("options" in value or "requestedSchema" in value or key in _PREFIXED):
            return str(key), value
    return "", metadata


def _options(value: Any) -> list[Option]:
    found: dict[str, Option] = {}
    for one in value[:_MOST_OPTIONS] if isinstance(value, list) else ():
        if isinstance(one, str):
            found[one] = Option(one, one)
        elif isinstance(one, Mapping):
            ident = one.get("id", one.get("optionId", one.get("value")))
            words = [
                str(part) for part in (one.get("name") or one.get("label") or one.get("title"), one.get("kind")) if part
            ]
            if isinstance(ident, str) and ident:
                found[ident] = Option(ident, ", ".join(words) or ident)
    return list(found.values())


def _address(message: Message | None) -> str:
    if message is None:
        return ""
    holders = [message.metadata, *message.metadata.values(), *(part.data for part in message.parts)]
    for holder in holders:
        for key in _URL_KEYS if isinstance(holder, Mapping) else ():
            value = holder.get(key)
            if isinstance(value, str) and _URL.fullmatch(value):
                return value
    found = _URL.search(message.text)
    return found[0].rstrip(".,;:)") if found is not None else ""
