"""What an ACP agent says during a turn (`session/update`), folded into the events of the turn.

The kinds are those of ACP 1 as its SDKs had them on 2026-11-22; a kind that is not known is told once and passed by.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.agent_api import AgentTalk
from mcp_orchestrator.backends.acp_usage import Meter
from mcp_orchestrator.backends.agent_link import Frame, listed, record, words_of
from mcp_orchestrator.model.agent import (
    AgentEvent,
    AgentUsage,
    FileChange,
    Planned,
    Text,
    Thought,
    ToolStatus,
    ToolUse,
    Used,
    Warned,
)

KINDS: Final = {
    "execute": "shell",
    "edit": "edit",
    "delete": "edit",
    "move": "edit",
    "read": "read",
    "search": "search",
    "fetch": "fetch",
}
_STATUSES: Final = {
    "pending": ToolStatus.PENDING,
    "in_progress": ToolStatus.RUNNING,
    "completed": ToolStatus.COMPLETED,
    "failed": ToolStatus.FAILED,
    "cancelled": ToolStatus.FAILED,
}
_QUIET: Final = frozenset(
    {"user_message_chunk", "available_commands_update", "current_mode_update", "config_option_update"}
    | {"session_info_update", "compaction_summary_chunk", "plan_removed", "session_message", "session_message_chunk"}
    | {"subagent_update"}
)
_DONE: Final = (ToolStatus.COMPLETED, ToolStatus.FAILED, ToolStatus.DENIED)


class Reading:
    """One turn, as it is read.

    `calls` are the tool calls so far by id, each with all that was said of it: requests for permission name theirs
    and often do not repeat what it is. `server` is the name under which the agent knows this gateway.
    """

    def __init__(self, meter: Meter, cwd: Path, server: str = "") -> None:
        self._meter = meter
        self._cwd = cwd
        self._server = server
        self._messages = 0
        self._open: list[str] = []
        self._message = ""
        self._changed: set[tuple[str, str]] = set()
        self._unknown: set[str] = set()
        self.calls: dict[str, Frame] = {}
        self.refused: set[str] = set()
        self.text = ""
        self.told = AgentUsage()
        self.said_since_refusal = False
        self.did = False

    @property
    def was_refused(self) -> bool:
        """Whether something that it asked for was refused in this turn."""
        return bool(self.refused)

    def read(self, update: Frame) -> Iterator[AgentEvent]:
        """The events that one update tells, in order."""
        kind = words_of(update.get("sessionUpdate"))
        if self._meter.update(update):
            self.told = self._meter.usage
            yield Used(self.told)
        match kind:
            case "agent_message_chunk":
                yield from self._said(update)
            case "agent_thought_chunk":
                text = _text(update.get("content"))
                if text:
                    yield Thought(text)
            case "tool_call" | "tool_call_update":
                yield from self._closed()
                yield from self._call(update)
            case "plan" | "plan_update":
                entries = listed(update.get("entries")) or listed(record(update.get("plan")).get("entries"))
                yield Planned(tuple((words_of(one.get("content")), words_of(one.get("status"))) for one in entries))
            case "usage_update":
                pass
            case "notice":
                yield Warned(_text(update.get("content")) or words_of(update.get("message")) or "a notice", "notice")
            case "compaction_update":
                yield Warned(f"it shortens its memory: {words_of(update.get('status')) or 'now'}", "compaction")
            case _:
                yield from self._other(kind)

    def merged(self, call: Frame) -> Frame:
        """All that is known of a tool call, with what a request says of it now; remembered."""
        identifier = words_of(call.get("toolCallId"))
        known = self.calls.setdefault(identifier, {})
        if not known and words_of(call.get("title")):
            known["name"] = call["title"]  # later titles often say what it does, rather than what it is
        known |= {key: value for key, value in call.items() if value not in (None, "", [], {})}
        return known

    def refuse(self, identifier: str) -> ToolUse:
        """What it asked for was refused; the event that says so."""
        self.refused.add(identifier)
        self.said_since_refusal = False
        return ToolUse(identifier, status=ToolStatus.DENIED)

    def asking(self, identifier: str, line: Frame) -> Iterator[AgentEvent]:
        """It asks for permission: the call as it is known now, for those that tell nothing of it before."""
        yield from self._closed()
        yield self._use(identifier, line, ToolStatus.PENDING)

    def closing(self) -> Iterator[AgentEvent]:
        """What is left to say at the end of the turn."""
        yield from self._closed()

    # -- messages --------------------------------------------------------------------------------------------------

    def _said(self, update: Frame) -> Iterator[AgentEvent]:
        piece = _text(update.get("content"))
        if not piece:
            return
        identifier = words_of(update.get("messageId"))
        if identifier != self._message:
            yield from self._closed()
            self._message = identifier
        if not self._open:
            self._messages += 1
        self._open.append(piece)
        self.text = "".join(self._open)
        self.said_since_refusal = self.said_since_refusal or bool(piece.strip())
        yield Text(piece, f"message-{self._messages}", final=False)

    def _closed(self) -> Iterator[AgentEvent]:
        """The whole of the message that was being said."""
        if self._open:
            self._open = []
            yield Text(self.text, f"message-{self._messages}")

    # -- tool calls ------------------------------------------------------------------------------------------------

    def _call(self, update: Frame) -> Iterator[AgentEvent]:
        self.did = True
        identifier = words_of(update.get("toolCallId"))
        known = self.merged(update)
        status = _STATUSES.get(words_of(update.get("status")))
        if identifier in self.refused and status is ToolStatus.FAILED:
            status = ToolStatus.DENIED
        use = self._use(identifier, known, status)
        yield use
        if status is ToolStatus.COMPLETED:
            yield from self._changes(identifier, known)

    def _use(self, identifier: str, known: Frame, status: ToolStatus | None) -> ToolUse:
        title = words_of(known.get("title")) or None
        name = _name(known)
        kind = KINDS.get(words_of(known.get("kind")), "other")
        server = self._server if self.is_ours(identifier, known) else None
        return ToolUse(
            identifier,
            name=name or title,
            kind="mcp" if server else kind,
            title=title,
            status=status,
            server=server,
            input=known.get("rawInput"),
            output=_output(known) if status in _DONE else None,
            parent=_parent(known),
        )

    def is_ours(self, identifier: str, known: Frame) -> bool:
        """Whether a call is one of a tool of this gateway, by the names that agents give to the tools of MCP servers.

        A command's title is the command, so what it begins with says nothing: only codex-acp 2.6.0 calls a tool of an
        MCP server a command, and then `mcp.SERVER.TOOL` is all of its title (2026-11-24).
        """
        server, title = self._server, words_of(known.get("title"))
        if not server:
            return False
        if KINDS.get(words_of(known.get("kind"))) in ("shell", "edit"):
            return re.fullmatch(rf"mcp\.{re.escape(server)}\.[\w-]+", title) is not None
        begins = tuple(
            f"{before}{server}{after}" for before in ("", "mcp__", "mcp_", "mcp.") for after in ("_", "-", ".")
        )
        names = (_name(known) or "", title, identifier)
        return f"({server} MCP Server)" in title or any(name.startswith(begins) for name in names)

    def _changes(self, identifier: str, known: Frame) -> Iterator[AgentEvent]:
        """The files that a finished call says it changed."""
        kind = words_of(known.get("kind"))
        changes = {
            words_of(part.get("path")): "update" if words_of(part.get("oldText")) else "add"
            for part in listed(known.get("content"))
            if part.get("type") == "diff"
        }
        if not changes and kind in ("edit", "delete", "move"):
            change = "update" if kind == "edit" else kind
            changes = {words_of(one.get("path")): change for one in listed(known.get("locations"))}
        for path, change in changes.items():
            if path and (identifier, path) not in self._changed:
                self._changed.add((identifier, path))
                yield FileChange(self._relative(path), change)

    def _relative(self, path: str) -> str:
        try:
            return str(Path(os.path.normpath(self._cwd / path)).relative_to(self._cwd))
        except ValueError:
            return path

    def _other(self, kind: str) -> Iterator[AgentEvent]:
        if kind in _QUIET or kind.startswith("_") or kind in self._unknown:
            return
        self._unknown.add(kind)
        yield Warned(f"the agent tells of something that is not known here: {kind or '(no kind)'}", "protocol")


def _text(content: Any) -> str:
    """The text of a content block, or of several."""
    if isinstance(content, list):
        return "".join(map(_text, content))
    block = record(content)
    if block.get("type") == "text" or "text" in block:
        return words_of(block.get("text"))
    if block.get("type") == "resource_link":
        return words_of(block.get("uri"))
    return words_of(record(block.get("resource")).get("text"))


def _name(known: Frame) -> str | None:
    """The tool's own name, where the agent tells it besides its title; else the first title it had."""
    for space in record(known.get("_meta")).values():
        name = words_of(record(space).get("toolName"))
        if name:
            return name
    return words_of(known.get("name")) or None


def _parent(known: Frame) -> str | None:
    for space in record(known.get("_meta")).values():
        parent = words_of(record(space).get("parentToolUseId"))
        if parent:
            return parent
    return None


def _output(known: Frame) -> Any:
    """What the call gave: as the agent keeps it, else as it shows it."""
    if known.get("rawOutput") is not None:
        return known["rawOutput"]
    shown = [_text(part.get("content")) for part in listed(known.get("content")) if part.get("type") == "content"]
    return "\n".join(filter(None, shown)) or None


def tell_the_rest(talk: AgentTalk, reading: Reading, usage: AgentUsage) -> None:
    """What is left to tell before the end."""
    for event in reading.closing():
        talk.event(event)
    if usage not in (AgentUsage(), reading.told):
        talk.event(Used(usage))
