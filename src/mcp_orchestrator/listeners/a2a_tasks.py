"""Delegations as A2A tasks: states, messages, artifacts and updates, as the plain JSON of A2A 1.0.

A2A 1.0 section 4.1. Nothing here needs the SDK: what is made is turned into its messages at the edge.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from mcp_orchestrator.agent_api import Glimpse
from mcp_orchestrator.model.agent import AgentMode, AgentUsage, CostSource, Ended, EndStatus, ToolUse
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.delegation import Changes, DelegationState

SUBMITTED: Final = "TASK_STATE_SUBMITTED"
WORKING: Final = "TASK_STATE_WORKING"
INPUT: Final = "TASK_STATE_INPUT_REQUIRED"
AUTH: Final = "TASK_STATE_AUTH_REQUIRED"
WAITING: Final = frozenset({INPUT, AUTH})
OVER: Final = frozenset({"TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"})

QUESTION: Final = "mcp_orchestrator_question"
"""The key in a message's metadata under which a question stands, and under which an answer may name it."""

_MICRO: Final = 1_000_000
_ENDS: Final[Mapping[EndStatus, str]] = {
    EndStatus.COMPLETED: "TASK_STATE_COMPLETED",
    EndStatus.FAILED: "TASK_STATE_FAILED",
    EndStatus.LIMIT: "TASK_STATE_FAILED",
    EndStatus.UNKNOWN: "TASK_STATE_FAILED",
    EndStatus.CANCELLED: "TASK_STATE_CANCELED",
    EndStatus.REFUSED: "TASK_STATE_REJECTED",
}


def state_of(seen: Glimpse) -> str:
    """The state of A2A that a delegation is in."""
    if seen.kept.ended is not None:
        return _ENDS[seen.kept.ended.status]
    if seen.questions:
        return AUTH if all(_mode(one) == "url" for one in seen.questions.values()) else INPUT
    return SUBMITTED if seen.kept.state is DelegationState.ACCEPTED else WORKING


def is_over(seen: Glimpse) -> bool:
    """Whether nothing follows any more."""
    return seen.kept.ended is not None


def context_of(seen: Glimpse) -> str:
    """The context; a delegation that was begun without one is a context of its own."""
    return seen.kept.context or seen.kept.id


def status_of(seen: Glimpse) -> dict[str, Any]:
    """The `TaskStatus`: with the open question, or with the words of an end that is no success."""
    status: dict[str, Any] = {"state": state_of(seen), "timestamp": stamp(seen.kept.updated)}
    message = None
    if seen.kept.ended is not None:
        message = _end_message(seen, seen.kept.ended)
    elif seen.questions:
        message = _question_message(seen, *next(iter(seen.questions.items())))
    return status | ({"message": message} if message is not None else {})


def task_of(seen: Glimpse, history: Sequence[Mapping[str, Any]], changes: Changes | None) -> dict[str, Any]:
    """The whole `Task`."""
    return {
        "id": seen.kept.id,
        "contextId": context_of(seen),
        "status": status_of(seen),
        "artifacts": artifacts_of(seen, changes),
        "history": list(history),
        "metadata": about(seen),
    }


def about(seen: Glimpse) -> dict[str, Any]:
    """Metadata: who works, how it ended in our words, and what it used (`usage` and `cost_usd` as a2acode names them)."""
    told: dict[str, Any] = {"agent": seen.kept.agent}
    if seen.kept.ended is not None:
        told["status"] = seen.kept.ended.status.value
        if seen.kept.ended.trouble is not None:
            told["trouble"] = seen.kept.ended.trouble.value
    usage = seen.kept.ended.usage if seen.kept.ended is not None else seen.usage
    return told | _usage(usage)


def artifacts_of(seen: Glimpse, changes: Changes | None) -> list[dict[str, Any]]:
    """What came of it: final words, structured answer, files, changes. Before the end there is nothing final."""
    ended = seen.kept.ended
    if ended is None:
        return []
    made: list[dict[str, Any]] = []
    if ended.text:
        made.append({"artifactId": "answer", "name": "answer", "parts": [{"text": ended.text}]})
    if ended.structured is not None:
        data = {"data": ended.structured, "mediaType": "application/json"}
        made.append({"artifactId": "structured", "name": "structured", "parts": [data]})
    files = [part for tool in seen.tools if (part := _file(tool)) is not None]
    if files:
        made.append({"artifactId": "files", "name": "files", "parts": files})
    if changes is not None and changes.files:
        raw = base64.b64encode(changes.diff.encode()).decode()
        parts = [
            {"text": "\n".join(f"{one.change} {one.path}" for one in changes.files)},
            {"raw": raw, "filename": "changes.diff", "mediaType": "text/x-diff"},
        ]
        made.append({"artifactId": "changes", "name": "changes", "parts": parts})
    return made


def has_changes(seen: Glimpse) -> bool:
    """Whether there may be changes of files to show."""
    kept = seen.kept
    return kept.ended is not None and kept.mode is AgentMode.WRITE and kept.workspace is not None


def updates(before: Glimpse, now: Glimpse, changes: Changes | None) -> list[dict[str, Any]]:
    """The events of a stream between two looks: words as they come, artifacts, and the state."""
    place = {"taskId": now.kept.id, "contextId": context_of(now)}
    told: list[dict[str, Any]] = []
    said = now.text.removeprefix(before.text)
    if state_of(before) == SUBMITTED and (said or state_of(now) in OVER):
        told.append(_status_event(place, now, {"state": WORKING, "timestamp": stamp(now.kept.updated)}))
    if said and not is_over(now):
        ident = f"{now.kept.id}-said-{len(before.text)}"
        message = _message(now, ident, said)
        told.append(
            _status_event(place, now, {"state": WORKING, "timestamp": stamp(now.kept.updated), "message": message})
        )
    if is_over(now):
        told += [
            {"artifactUpdate": {**place, "artifact": one, "lastChunk": True}} for one in artifacts_of(now, changes)
        ]
    if state_of(now) != state_of(before) or list(now.questions) != list(before.questions):
        last = told[-1].get("statusUpdate", {}).get("status", {}).get("state") if told else None
        if state_of(now) != WORKING or last != WORKING:
            told.append(_status_event(place, now, status_of(now)))
    return told


def _status_event(place: Mapping[str, str], seen: Glimpse, status: Mapping[str, Any]) -> dict[str, Any]:
    return {"statusUpdate": {**place, "status": status, "metadata": about(seen)}}


def _message(seen: Glimpse, ident: str, text: str, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    message: dict[str, Any] = {
        "messageId": ident,
        "contextId": context_of(seen),
        "taskId": seen.kept.id,
        "role": "ROLE_AGENT",
        "parts": [{"text": text}],
    }
    return message | ({"metadata": metadata} if metadata is not None else {})


def _end_message(seen: Glimpse, ended: Ended) -> dict[str, Any] | None:
    if ended.status is EndStatus.COMPLETED:
        return None
    words = ended.message or f"the agent's work ended as {ended.status.value}"
    return _message(seen, f"{seen.kept.id}-end", words)


def _question_message(seen: Glimpse, key: str, question: Question) -> dict[str, Any]:
    """The question with readable text, and the same in metadata for programs."""
    params = question.params
    text = str(params.get("message") or "The agent asks for input.")
    block: dict[str, Any] = {"question": key, "method": question.method, "mode": _mode(question)}
    schema = params.get("requestedSchema")
    if isinstance(schema, Mapping):
        block["requestedSchema"] = schema
        options = options_of(question)
        if options:
            block["options"] = [{"id": ident, "name": name} for ident, name in options.items()]
            choices = f"Answer with one of: {', '.join(f'option:{ident}' for ident in options)}"
            text = text if choices in text else f"{text}\n{choices}"  # another gateway may have said so
    url = params.get("url")
    if isinstance(url, str):
        block["url"] = url
        text = text if url in text else f"{text}\n{url}"
    return _message(seen, f"{seen.kept.id}-{key}", text, {QUESTION: block})


def options_of(question: Question) -> dict[str, str]:
    """The options of a form with one choice, by id; empty where it is no such form."""
    fields = _fields(question)
    if len(fields) != 1:
        return {}
    field = next(iter(fields.values()))
    if not isinstance(field, Mapping):
        return {}
    values = field.get("enum")
    names = field.get("enumNames")
    if not isinstance(values, list):
        listed = field.get("oneOf")
        listed = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        values, names = [one.get("const") for one in listed], [one.get("title") for one in listed]
    names = names if isinstance(names, list) and len(names) == len(values) else values
    return {one: str(name) for one, name in zip(values, names, strict=True) if isinstance(one, str)}


def _fields(question: Question) -> Mapping[str, Any]:
    schema = question.params.get("requestedSchema")
    fields = schema.get("properties") if isinstance(schema, Mapping) else None
    return fields if isinstance(fields, Mapping) else {}


def _mode(question: Question) -> str:
    return "url" if question.params.get("mode") == "url" else "form"


def _file(tool: ToolUse) -> dict[str, Any] | None:
    """A file that an agent elsewhere handed over, by address or as it is."""
    if tool.name != "artifact" or not isinstance(tool.output, Mapping):
        return None
    output = tool.output
    content: dict[str, Any] | None = (
        {"url": output["url"]} if output.get("url") else {"raw": output["raw"]} if output.get("raw") else None
    )
    if content is None:
        return None
    named = {"filename": output.get("name"), "mediaType": output.get("type")}
    return content | {name: value for name, value in named.items() if value}


def _usage(usage: AgentUsage) -> dict[str, Any]:
    fields = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    told: dict[str, Any] = {}
    known = {name: value for name, value in fields.items() if value is not None}
    if known:
        told["usage"] = known
    if usage.cost is not None and usage.cost_source is not CostSource.UNMEASURED:
        told |= {"cost_usd": usage.cost / _MICRO, "cost_source": usage.cost_source.value}
    return told | ({"model": usage.model} if usage.model else {})


def stamp(seconds: float) -> str:
    """A time in the form of A2A: UTC, milliseconds, with its zone."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
