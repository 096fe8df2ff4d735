"""What an A2A server sends, read leniently: tasks, messages, updates of states and artifacts, usage; 1.0 and 0.3.

Real servers leave fields out, send numbers as strings, times without a zone and words that we do not know: whatever can
be understood is, the rest is passed over. A2A 1.0 section 4; 0.3 has `kind` and words in lower case.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mcp_orchestrator.model.agent import AgentUsage, CostSource

_MICRO: Final = 1_000_000
_MOST_PARTS: Final = 1000
MOST_RAW: Final = 64 * 1024
"""Characters in base64 of a file that is kept as it is; of a larger one, only what it is."""


class State(enum.StrEnum):
    """Where a task stands. `other` is a word that we do not know: the task is taken to be under way."""

    SUBMITTED = "submitted"
    WORKING = "working"
    INPUT = "input-required"
    AUTH = "auth-required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    REJECTED = "rejected"
    OTHER = "other"

    @property
    def over(self) -> bool:
        """Whether nothing follows any more."""
        return self in {State.COMPLETED, State.FAILED, State.CANCELED, State.REJECTED}

    @property
    def waits(self) -> bool:
        """Whether the agent waits for somebody."""
        return self in {State.INPUT, State.AUTH}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of content: exactly one of `text`, `data` (`has_data`) and a file (`file`: name, type, size or address)."""

    text: str | None = None
    data: Any = None
    has_data: bool = False
    file: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """Something that was said. `agent` tells whether the agent said it."""

    id: str
    agent: bool
    parts: tuple[Part, ...]
    metadata: Mapping[str, Any]
    context: str = ""
    task: str = ""

    @property
    def text(self) -> str:
        """Its words."""
        return "\n".join(part.text for part in self.parts if part.text)


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something that was made, or (`append`) a further piece of it."""

    id: str
    name: str
    parts: tuple[Part, ...]
    metadata: Mapping[str, Any]
    append: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """One thing a server told, whatever its form. `whole` says that `artifacts` are all there are of a task."""

    task: str = ""
    context: str = ""
    state: State | None = None
    word: str = ""
    when: str = ""
    message: Message | None = None
    reply: Message | None = None
    artifacts: tuple[Artifact, ...] = ()
    history: tuple[Message, ...] = ()
    metadata: tuple[Mapping[str, Any], ...] = ()
    whole: bool = False


def read_update(value: Any) -> Update | None:
    """What one result, or one event of a stream, says; None where it says nothing that we know."""
    if not isinstance(value, Mapping):
        return None
    for key, read in _WRAPPED.items():
        inner = value.get(key)
        if isinstance(inner, Mapping):
            return read(inner)
    kind = value.get("kind")
    if isinstance(kind, str) and kind in _KINDS:
        return _KINDS[kind](value)
    bare = next((one for name, one in _BARE.items() if name in value), None)
    if bare is _task and "id" not in value:
        bare = _status_update
    return bare(value) if bare is not None else None


def _task(value: Mapping[str, Any]) -> Update:
    status = _mapping(value.get("status"))
    state, word = _state(status.get("state"))
    return Update(
        task=_id(value.get("id")),
        context=_id(value.get("contextId")),
        state=state,
        word=word,
        when=_id(status.get("timestamp")),
        message=_message(status.get("message")),
        artifacts=tuple(_artifact(one) for one in _objects(value.get("artifacts"))),
        history=tuple(found for one in _objects(value.get("history")) if (found := _message(one)) is not None),
        metadata=_metadata(value, status.get("message")),
        whole=True,
    )


def _status_update(value: Mapping[str, Any]) -> Update:
    status = _mapping(value.get("status"))
    state, word = _state(status.get("state"))
    return Update(
        task=_id(value.get("taskId")),
        context=_id(value.get("contextId")),
        state=state,
        word=word,
        when=_id(status.get("timestamp")),
        message=_message(status.get("message")),
        metadata=_metadata(value, status.get("message")),
    )


def _artifact_update(value: Mapping[str, Any]) -> Update:
    artifact = _artifact(
        _mapping(value.get("artifact")), append=_true(value.get("append")), last=_true(value.get("lastChunk"))
    )
    return Update(
        task=_id(value.get("taskId")),
        context=_id(value.get("contextId")),
        artifacts=(artifact,),
        metadata=_metadata(value, value.get("artifact")),
    )


def _reply(value: Mapping[str, Any]) -> Update:
    message = _message(value)
    return Update(
        task=message.task if message is not None else "",
        context=message.context if message is not None else "",
        reply=message,
        metadata=_metadata(value),
    )


_WRAPPED: Final = {
    "task": _task,
    "message": _reply,
    "msg": _reply,
    "statusUpdate": _status_update,
    "artifactUpdate": _artifact_update,
}
_BARE: Final = {"artifact": _artifact_update, "status": _task, "parts": _reply}
_KINDS: Final = {
    "task": _task,
    "message": _reply,
    "status-update": _status_update,
    "artifact-update": _artifact_update,
}


def _state(value: Any) -> tuple[State, str]:
    """The state and the server's own word for it. 1.0 says `TASK_STATE_INPUT_REQUIRED`, 0.3 `input-required`."""
    word = str(value) if value is not None else ""
    plain = word.removeprefix("TASK_STATE_").lower().replace("_", "-")
    plain = {"cancelled": "canceled", "in-progress": "working"}.get(plain, plain)
    try:
        return State(plain), word
    except ValueError:
        return State.OTHER, word


def _message(value: Any) -> Message | None:
    if not isinstance(value, Mapping):
        return None
    role = str(value.get("role") or "").lower()
    return Message(
        id=_id(value.get("messageId")),
        agent=not role.endswith("user"),
        parts=_parts(value.get("parts")),
        metadata=_mapping(value.get("metadata")),
        context=_id(value.get("contextId")),
        task=_id(value.get("taskId")),
    )


def _artifact(value: Mapping[str, Any], *, append: bool = False, last: bool = False) -> Artifact:
    return Artifact(
        id=_id(value.get("artifactId")) or _id(value.get("name")) or "artifact",
        name=_text(value.get("name")),
        parts=_parts(value.get("parts")),
        metadata=_mapping(value.get("metadata")),
        append=append,
        last=last,
    )


def _parts(value: Any) -> tuple[Part, ...]:
    return tuple(part for one in _objects(value)[:_MOST_PARTS] if (part := _part(one)) is not None)


def _part(value: Mapping[str, Any]) -> Part | None:
    metadata = _mapping(value.get("metadata"))
    if isinstance(value.get("text"), str):
        return Part(text=value["text"], metadata=metadata)
    if "data" in value:
        data = value["data"]
        if metadata.get("data_part_compat") is True and isinstance(data, Mapping) and data.keys() == {"value"}:
            data = data["value"]  # how a2a-sdk 1.3 gives 0.3 what is no object (2026-11-24)
        return Part(data=data, has_data=True, metadata=metadata)
    file = _mapping(value.get("file"))
    raw = value.get("raw", file.get("bytes", file.get("fileWithBytes")))
    url = value.get("url", file.get("uri", file.get("fileWithUri")))
    if raw is None and url is None:
        return None
    known = {
        "name": _text(value.get("filename") or file.get("name")),
        "type": _text(value.get("mediaType") or file.get("mimeType") or file.get("mediaType")),
        "url": _text(url),
        "bytes": len(raw) * 3 // 4 if isinstance(raw, str) else None,
        "raw": raw if isinstance(raw, str) and len(raw) <= MOST_RAW else None,
    }
    return Part(file={name: one for name, one in known.items() if one}, metadata=metadata)


def shown_file(file: Mapping[str, Any]) -> str:
    """A file as one line of text."""
    about = [str(file["type"])] if "type" in file else []
    about += [f"about {file['bytes']} bytes"] if "bytes" in file else []
    name = file.get("name", "file")
    return f"[{name}{f' ({chr(44).join(about)})' if about else ''}{': ' + str(file['url']) if 'url' in file else ''}]"


def _metadata(*holders: Any) -> tuple[Mapping[str, Any], ...]:
    found = [one.get("metadata") for one in holders if isinstance(one, Mapping)]
    return tuple(one for one in found if isinstance(one, Mapping) and one)


# Usage is in nobody's specification: it is read where ADK 2.13 and a2acode 0.9 put it (2026-11-22).

_INPUT: Final = ("promptTokenCount", "prompt_token_count", "input_tokens", "inputTokens", "prompt_tokens")
_OUTPUT: Final = (
    "candidatesTokenCount",
    "candidates_token_count",
    "output_tokens",
    "outputTokens",
    "completion_tokens",
)
_CACHED: Final = ("cachedContentTokenCount", "cached_content_token_count", "cache_read_input_tokens", "cachedTokens")
_WRITTEN: Final = ("cache_creation_input_tokens", "cacheWriteTokens")
_THOUGHT: Final = ("thoughtsTokenCount", "thoughts_token_count", "reasoning_tokens", "reasoningTokens")


def read_usage(metadata: Mapping[str, Any]) -> tuple[str, AgentUsage] | None:
    """Usage in metadata, and what it belongs to: an event of ADK (each is added), or "" for the turn as a whole."""
    adk = metadata.get("adk_usage_metadata")
    told = adk if isinstance(adk, Mapping) else metadata.get("usage")
    money = _number(metadata.get("cost_usd", metadata.get("costUsd")))
    if not isinstance(told, Mapping) and money is None:
        return None
    told = told if isinstance(told, Mapping) else {}
    model = metadata.get("model")
    usage = AgentUsage(
        input_tokens=_count(told, _INPUT),
        output_tokens=_count(told, _OUTPUT),
        cached_tokens=_count(told, _CACHED),
        cache_write_tokens=_count(told, _WRITTEN),
        reasoning_tokens=_count(told, _THOUGHT),
        cost=round(money * _MICRO) if money is not None else None,
        cost_source=CostSource.REPORTED if money is not None else CostSource.UNMEASURED,
        model=model if isinstance(model, str) else None,
    )
    if not isinstance(adk, Mapping):
        return "", usage
    event = metadata.get("adk_event_id") or f"{sorted(adk.items(), key=str)}"
    return f"adk:{event}", usage


def total(usages: Mapping[str, AgentUsage]) -> AgentUsage:
    """All of them together; what is told of the turn as a whole replaces the sum of its events."""
    whole = usages.get("")
    if whole is not None or not usages:
        return whole or AgentUsage()
    every = list(usages.values())

    def plus(values: Sequence[int | None]) -> int | None:
        told = [value for value in values if value is not None]
        return sum(told) if told else None

    cost = plus([one.cost for one in every])
    return AgentUsage(
        input_tokens=plus([one.input_tokens for one in every]),
        output_tokens=plus([one.output_tokens for one in every]),
        cached_tokens=plus([one.cached_tokens for one in every]),
        cache_write_tokens=plus([one.cache_write_tokens for one in every]),
        reasoning_tokens=plus([one.reasoning_tokens for one in every]),
        cost=cost,
        cost_source=CostSource.REPORTED if cost is not None else CostSource.UNMEASURED,
        model=next((one.model for one in reversed(every) if one.model), None),
    )


def _count(told: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        number = _number(told.get(name))
        if number is not None:
            return int(number)
    return None


def _number(value: Any) -> float | None:
    """A number that may have come as a string; negative and absurd ones count as not told."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < 1e15 else None  # noqa: PLR2004 - also keeps out NaN and infinity


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _id(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
