"""What Claude Code says in its stream of JSON, folded into the events of a turn and its one end.

Measured with Claude Code 2.1.330 on 2026-11-24; what it does not say there is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.backends.agent_link import Frame, listed, record, whole, words_of
from mcp_orchestrator.backends.claude_ends import Ends
from mcp_orchestrator.model.agent import (
    AgentEvent,
    AgentUsage,
    Ended,
    FileChange,
    Planned,
    Started,
    Text,
    Thought,
    ToolStatus,
    ToolUse,
    Used,
    Warned,
)

_KINDS: Final[Mapping[str, str]] = {
    "Bash": "shell",
    "BashOutput": "shell",
    "KillShell": "shell",
    "Edit": "edit",
    "MultiEdit": "edit",
    "Write": "edit",
    "NotebookEdit": "edit",
    "Read": "read",
    "Glob": "search",
    "Grep": "search",
    "ToolSearch": "search",
    "WebFetch": "fetch",
    "WebSearch": "fetch",
    "Task": "agent",
    "Agent": "agent",
}

_TITLES: Final = ("description", "command", "file_path", "notebook_path", "pattern", "url", "query", "prompt")
_LONGEST_TITLE: Final = 200


def kind_of(name: str) -> tuple[str, str | None]:
    """The kind of a tool, and its MCP server if it has one (`mcp__SERVER__TOOL`)."""
    if name.startswith("mcp__"):
        return "mcp", name.removeprefix("mcp__").partition("__")[0]
    return _KINDS.get(name, "other"), None


class Reading:
    """One turn, as it is read. `cwd` makes paths of changed files relative; `begun` tells the parts of the session.

    `refused` are the tool calls that were refused after somebody was asked: they are not told as unasked denials.
    """

    def __init__(self, cwd: Path, *, schema: bool = False) -> None:
        self._cwd = cwd
        self._names: dict[str, str] = {}
        self._spent: dict[str, AgentUsage] = {}
        self._ends = Ends(schema=schema)
        self._told: set[str] = set()
        self.refused: set[str] = set()
        self.begun = False

    @property
    def text(self) -> str:
        """The last thing that it said."""
        return self._ends.last_text

    @property
    def usage(self) -> AgentUsage:
        """What is known to be used so far: at least that much."""
        if self._ends.usage is not None:
            return self._ends.usage
        spent = self._spent.values()
        return AgentUsage(
            input_tokens=_total(one.input_tokens for one in spent),
            output_tokens=_total(one.output_tokens for one in spent),
            cached_tokens=_total(one.cached_tokens for one in spent),
            cache_write_tokens=_total(one.cache_write_tokens for one in spent),
            model=next((one.model for one in spent), None),
        )

    def read(self, frame: Frame) -> Iterator[AgentEvent]:
        """The events that one frame tells, in order."""
        match frame.get("type"):
            case "system":
                yield from self._system(frame)
            case "assistant":
                yield from self._assistant(frame)
            case "user":
                yield from self._results(frame)
            case "rate_limit_event":
                yield from self._ends.limit(record(frame.get("rate_limit_info")))
            case "result":
                yield from self._unasked(frame)
                yield Used(self._ends.used(frame))
            case _:
                return  # stream_event, tool_progress and whatever comes later tell nothing that is not told otherwise

    def ended(self, result: Frame, *, interrupted: bool) -> Ended:
        """The end of the turn, judged from its `result` frame."""
        return self._ends.ended(result, interrupted=interrupted)

    def _system(self, frame: Frame) -> Iterator[AgentEvent]:
        match frame.get("subtype"):
            case "init":
                yield from self._init(frame)
            case "api_retry":
                status = frame.get("error_status")
                yield Warned(
                    f"a request to the model failed ({status or words_of(frame.get('error'))}), again", "retry"
                )
            case "permission_denied":
                yield from self._denied(words_of(frame.get("tool_use_id")), words_of(frame.get("message")), frame)
            case "informational":
                yield Warned(words_of(frame.get("content")), "notice")
            case "compact_boundary":
                yield Warned("the conversation was shortened to fit the model", "compaction")
            case _:
                return

    def _init(self, frame: Frame) -> Iterator[AgentEvent]:
        if self.begun:
            return
        self.begun = True
        servers = {words_of(one.get("name")): words_of(one.get("status")) for one in listed(frame.get("mcp_servers"))}
        tools = frame.get("tools")
        yield Started(
            session=frame.get("session_id"),
            model=frame.get("model"),
            version=frame.get("claude_code_version"),
            tools=tuple(map(str, tools)) if isinstance(tools, list) else (),
            mcp=servers,
        )
        for name, status in servers.items():
            if status not in ("connected", "pending"):
                yield Warned(f"the MCP server {name} is not there for the agent: {status}", "mcp")

    def _assistant(self, frame: Frame) -> Iterator[AgentEvent]:
        message = record(frame.get("message"))
        parent = frame.get("parent_tool_use_id")
        self._ends.said_trouble(words_of(frame.get("error")))
        for block in listed(message.get("content")):
            match block.get("type"):
                case "text" if parent is None:
                    text = words_of(block.get("text"))
                    self._ends.said(text)
                    yield Text(text, words_of(message.get("id")))
                case "thinking" if parent is None and block.get("thinking"):
                    yield Thought(words_of(block.get("thinking")))
                case "tool_use" | "server_tool_use":
                    yield from self._use(block, parent)
                case _:
                    continue  # what subagents say among themselves is in the raw frames
        if isinstance(message.get("usage"), dict) and message.get("id"):
            spent = _usage(message["usage"], message.get("model"))
            if self._spent.get(message["id"]) != spent:  # each block of a message tells the same
                self._spent[message["id"]] = spent
                yield Used(self.usage)

    def _use(self, block: Frame, parent: str | None) -> Iterator[AgentEvent]:
        name, given, id_ = words_of(block.get("name")), block.get("input"), words_of(block.get("id"))
        kind, server = kind_of(name)
        self._names[id_] = name
        if parent is None:
            self._ends.did_something()
        yield ToolUse(id_, name, kind, _title(given), ToolStatus.RUNNING, server, given, parent=parent)
        if name == "TodoWrite" and isinstance(given, dict):
            todos = listed(given.get("todos"))
            yield Planned(tuple((words_of(one.get("content")), words_of(one.get("status"))) for one in todos))

    def _results(self, frame: Frame) -> Iterator[AgentEvent]:
        message, parent = record(frame.get("message")), frame.get("parent_tool_use_id")
        decisions = {
            one.get("id"): record(one.get("permission_decision")).get("decision")
            for one in listed(frame.get("tool_result_meta"))
        }
        for block in listed(message.get("content")):
            if block.get("type") != "tool_result":
                continue
            id_ = words_of(block.get("tool_use_id"))
            if id_ in self._told or id_ in self.refused or decisions.get(id_) == "reject":
                status = ToolStatus.DENIED
            else:
                status = ToolStatus.FAILED if block.get("is_error") else ToolStatus.COMPLETED
            yield ToolUse(id_, self._names.get(id_), status=status, output=block.get("content"), parent=parent)
            if status is ToolStatus.COMPLETED:
                yield from self._changed(self._names.get(id_, ""), record(frame.get("tool_use_result")))

    def _changed(self, name: str, result: Frame) -> Iterator[AgentEvent]:
        path = words_of(result.get("filePath")) or words_of(result.get("notebook_path"))
        if path and _KINDS.get(name) == "edit":
            yield FileChange(self._relative(path), "add" if result.get("type") == "create" else "update")

    def _relative(self, path: str) -> str:
        try:
            return str(Path(path).relative_to(self._cwd))
        except ValueError:
            return path

    def _denied(self, id_: str, why: str, frame: Frame) -> Iterator[AgentEvent]:
        if id_ in self._told or id_ in self.refused:
            return
        self._told.add(id_)
        name = words_of(frame.get("tool_name"))
        yield Warned(f"{name} was refused without asking anybody: {why or 'the agent did not say why'}", "denied")
        yield ToolUse(id_, name, status=ToolStatus.DENIED)

    def _unasked(self, result: Frame) -> Iterator[AgentEvent]:
        for denial in listed(result.get("permission_denials")):
            yield from self._denied(words_of(denial.get("tool_use_id")), "", denial)


def _title(given: Any) -> str | None:
    for key in _TITLES:
        if isinstance(given, dict) and isinstance(given.get(key), str):
            return str(given[key])[:_LONGEST_TITLE]
    return None


def _usage(usage: Frame, model: object) -> AgentUsage:
    return AgentUsage(
        input_tokens=whole(usage.get("input_tokens")),
        output_tokens=whole(usage.get("output_tokens")),
        cached_tokens=whole(usage.get("cache_read_input_tokens")),
        cache_write_tokens=whole(usage.get("cache_creation_input_tokens")),
        model=model if isinstance(model, str) else None,
    )


def _total(counts: Iterator[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
