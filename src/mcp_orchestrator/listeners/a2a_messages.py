"""Messages of A2A clients: a task with how it is to be done, or the answer to an open question.

What A2A has no field for stands in the metadata of the message or of the request, under `mcp_orchestrator`: `agent`,
`labels`, `mode`, `workspace`, `outputSchema`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.listeners.a2a_tasks import QUESTION, options_of
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.conversation import ACTIONS, Question

WISHES: Final = "mcp_orchestrator"
_OPTION: Final = "option:"
_TEXTUAL: Final = ("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml")


class UnreadableError(ValueError):
    """A part that no agent can be given; the text says what kinds can."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a task is to be done."""

    agent: str | None = None
    labels: tuple[str, ...] = ()
    mode: AgentMode = AgentMode.READ
    workspace: str | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a question. `key` None: the one that is open."""

    key: str | None
    action: str
    option: str | None = None
    content: Mapping[str, Any] | None = None


def prompt_of(message: Mapping[str, Any]) -> str:
    """The task in words: texts as they are, data as JSON, files by their text or their address.

    Raises:
        UnreadableError: a part is neither text, data nor a textual file or address.
    """
    return "\n\n".join(filter(None, (_words(part) for part in message.get("parts", ()))))


def _words(part: Mapping[str, Any]) -> str:
    if "text" in part:
        return str(part["text"])
    if "data" in part:
        return f"```json\n{json.dumps(part['data'], ensure_ascii=False, indent=2)}\n```"
    name, kind = part.get("filename") or "file", part.get("mediaType") or ""
    if "url" in part:
        return f"[{name}{f' ({kind})' if kind else ''}: {part['url']}]"
    if "raw" in part and (not kind or kind.startswith(_TEXTUAL)):
        try:
            return f"{name}:\n```\n{base64.b64decode(part['raw'], validate=True).decode()}\n```"
        except (binascii.Error, UnicodeDecodeError):
            raise UnreadableError(f"{name} is no text in UTF-8") from None
    raise UnreadableError(
        f"{kind or 'a part without content'} cannot be read: send text, data, textual files or addresses"
    )


def wishes_of(*metadata: Any) -> Wishes:
    """How the task is to be done; what stands in the message goes before what stands in the request.

    Raises:
        ValueError: something there is not of its form.
    """
    told: dict[str, Any] = {}
    for one in metadata:
        block = one.get(WISHES) if isinstance(one, Mapping) else None
        if block is not None and not isinstance(block, Mapping):
            raise ValueError(f"metadata.{WISHES} must be an object")
        told |= dict(block or {})
    unknown = told.keys() - {"agent", "labels", "mode", "workspace", "outputSchema"}
    if unknown:
        raise ValueError(f"metadata.{WISHES} has unknown keys: {', '.join(sorted(unknown))}")
    for name in ("agent", "workspace"):
        if name in told and not isinstance(told[name], str):
            raise ValueError(f"metadata.{WISHES}.{name} must be a string")
    labels = told.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
        raise ValueError(f"metadata.{WISHES}.labels must be an array of strings")
    schema = told.get("outputSchema")
    if schema is not None and not isinstance(schema, Mapping):
        raise ValueError(f"metadata.{WISHES}.outputSchema must be an object")
    try:
        mode = AgentMode(told.get("mode", AgentMode.READ))
    except ValueError:
        raise ValueError(f"metadata.{WISHES}.mode must be read or write") from None
    return Wishes(told.get("agent"), tuple(labels), mode, told.get("workspace"), schema)


def reply_of(message: Mapping[str, Any], questions: Mapping[str, Question]) -> Reply:
    """The answer that a message gives to one of the open questions.

    Data is an answer as MCP has it (`action`, `content`), or the fields of the form. Text is `option:ID`, an option, the
    one field of a form, `decline` or `cancel`, or the fields as JSON.

    Raises:
        LookupError: the question that it names is not open.
        ValueError: it cannot be read as an answer.
    """
    key = _named(message)
    if key is not None and key not in questions:
        raise LookupError(f"question {key!r} is not open; open: {', '.join(questions) or 'none'}")
    key = key if key is not None else next(iter(questions))
    question = questions[key]
    parts: Sequence[Mapping[str, Any]] = message.get("parts", ())
    data = next((part["data"] for part in parts if isinstance(part.get("data"), Mapping)), None)
    if data is not None:
        return _of_data(key, data)
    text = "\n".join(str(part["text"]) for part in parts if "text" in part).strip()
    return _of_text(key, question, text)


def _named(message: Mapping[str, Any]) -> str | None:
    metadata = message.get("metadata")
    block = metadata.get(QUESTION) if isinstance(metadata, Mapping) else None
    named = (block.get("question") or block.get("request_id")) if isinstance(block, Mapping) else None
    return named if isinstance(named, str) else None


def _of_data(key: str, data: Mapping[str, Any]) -> Reply:
    action = data.get("action")
    if action not in ACTIONS or not data.keys() <= {"action", "content"}:
        return Reply(key, "accept", content=data)
    content = data.get("content")
    if content is not None and not isinstance(content, Mapping):
        raise ValueError("content must be an object")
    return Reply(key, str(action), content=content)


def _of_text(key: str, question: Question, text: str) -> Reply:
    options = options_of(question)
    chosen = text.removeprefix(_OPTION).strip()
    if chosen in options:
        return Reply(key, "accept", option=chosen)
    if text.lower() in ACTIONS[1:]:
        return Reply(key, text.lower())
    if question.params.get("mode") == "url":
        return Reply(key, "accept")
    if options:
        raise ValueError(
            f"answer with one of: {', '.join(f'{_OPTION}{one}' for one in options)}; or decline, or cancel"
        )
    fields = question.params.get("requestedSchema", {}).get("properties", {})
    if len(fields) == 1 and next(iter(fields.values())).get("type", "string") == "string":
        return Reply(key, "accept", content={next(iter(fields)): text})
    try:
        content = json.loads(text) if fields else {}
    except ValueError:
        content = None
    if not isinstance(content, Mapping):
        raise ValueError(f"answer with the fields {', '.join(fields)} as data, or as JSON in the text")  # noqa: TRY004 - the promised kind of error
    return Reply(key, "accept", content=content)
