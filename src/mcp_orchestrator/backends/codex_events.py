"""What the Codex app-server says during a turn, folded into the events of the turn and its one end.

Measured with Codex 0.169.0 on 2026-11-24; the shapes are those of `codex app-server generate-json-schema`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.backends.agent_link import Frame, listed, record, whole, words_of
from mcp_orchestrator.backends.codex_ends import ended
from mcp_orchestrator.model.agent import (
    AgentEvent,
    AgentUsage,
    Ended,
    FileChange,
    Planned,
    Text,
    Thought,
    ToolStatus,
    ToolUse,
    Used,
    Warned,
)

_STATUSES: Final = {
    "inProgress": ToolStatus.RUNNING,
    "completed": ToolStatus.COMPLETED,
    "failed": ToolStatus.FAILED,
    "declined": ToolStatus.DENIED,
    "interrupted": ToolStatus.FAILED,
}
_QUIET: Final = frozenset({"userMessage", "hookPrompt", "enteredReviewMode", "exitedReviewMode", "sleep", "imageView"})
_LONGEST_TITLE: Final = 200


class Reading:
    """One turn of a thread, as it is read.

    `items` are the items begun so far by id: requests for approval name theirs and do not repeat what it holds.
    """

    def __init__(self, thread: str, cwd: Path, *, schema: bool = False) -> None:
        self._thread = thread
        self._cwd = cwd
        self._schema = schema
        self._before: dict[str, int] | None = None
        self._did = False
        self._limits: Frame = {}
        self._trouble: Frame = {}
        self.turn: str | None = None
        self.model: str | None = None
        self.items: dict[str, Frame] = {}
        self.text = ""
        self.usage = AgentUsage()

    def read(self, method: str, params: Frame) -> Iterator[AgentEvent]:
        """The events that one notification tells, in order."""
        match method:
            case "turn/started" if self.turn is None and params.get("threadId") == self._thread:
                self.turn = words_of(record(params.get("turn")).get("id")) or None
            case "item/agentMessage/delta" if self._own(params):
                yield Text(words_of(params.get("delta")), words_of(params.get("itemId")), final=False)
            case "item/started":
                yield from self._item(record(params.get("item")), self._parent(params), done=False)
            case "item/completed":
                yield from self._item(record(params.get("item")), self._parent(params), done=True)
            case "turn/plan/updated":
                steps = listed(params.get("plan"))
                yield Planned(tuple((words_of(one.get("step")), words_of(one.get("status"))) for one in steps))
            case "thread/tokenUsage/updated" if self._own(params):
                yield from self._used(record(params.get("tokenUsage")))
            case "account/rateLimits/updated":
                self._limits |= {key: value for key, value in record(params.get("rateLimits")).items() if value}
            case "error":
                yield from self._error(params)
            case _:
                yield from _notice(method, params)

    def ended(self, turn: Frame, *, interrupted: bool) -> Ended:
        """The end of the turn, judged from `turn/completed`."""
        error = record(turn.get("error")) or self._trouble
        return ended(
            turn,
            error,
            text=self.text,
            usage=self.usage,
            limits=self._limits,
            did=self._did,
            schema=self._schema,
            interrupted=interrupted,
        )

    def _own(self, params: Frame) -> bool:
        """Whether it is about this turn: a resumed thread first tells of its last one, subagents have their own."""
        return self.turn is not None and (params.get("threadId"), params.get("turnId")) == (self._thread, self.turn)

    def _parent(self, params: Frame) -> str | None:
        thread = words_of(params.get("threadId"))
        return thread if thread and thread != self._thread else None

    # -- items -----------------------------------------------------------------------------------------------------

    def _item(self, item: Frame, parent: str | None, *, done: bool) -> Iterator[AgentEvent]:
        kind, id_ = words_of(item.get("type")), words_of(item.get("id"))
        self.items[id_] = item
        if kind in _QUIET:
            return
        match kind:
            case "agentMessage":
                yield from self._message(item, parent, done=done)
            case "reasoning":
                yield from _reasoning(item, done=done)
            case "plan":
                if done:
                    yield Planned(((words_of(item.get("text")), "pending"),))
            case "contextCompaction":
                if done:
                    yield Warned("the conversation was shortened to fit the model", "compaction")
            case _:
                self._did = self._did or parent is None
                yield _tool(kind, id_, item, parent)
                if done and kind == "fileChange" and item.get("status") == "completed":
                    yield from self._changes(item)

    def _message(self, item: Frame, parent: str | None, *, done: bool) -> Iterator[AgentEvent]:
        text = words_of(item.get("text"))
        if not done or parent is not None:
            return
        if text.strip():
            self.text = text
        yield Text(text, words_of(item.get("id")))

    def _changes(self, item: Frame) -> Iterator[AgentEvent]:
        for change in listed(item.get("changes")):
            kind = record(change.get("kind"))
            path, word = words_of(change.get("path")), words_of(kind.get("type")) or "update"
            moved = words_of(kind.get("move_path"))
            yield FileChange(self._relative(moved or path), "move" if moved else word)

    def _relative(self, path: str) -> str:
        try:
            return str(Path(path).relative_to(self._cwd))
        except ValueError:
            return path

    # -- usage and trouble -----------------------------------------------------------------------------------------

    def _used(self, told: Frame) -> Iterator[AgentEvent]:
        """The total runs over the whole thread: what there was before the first request of this turn is taken off."""
        total, last = _counts(record(told.get("total"))), _counts(record(told.get("last")))
        if self._before is None:
            self._before = {key: count - last.get(key, 0) for key, count in total.items()}
        spent = {key: max(0, count - self._before.get(key, 0)) for key, count in total.items()}
        self.usage = AgentUsage(
            input_tokens=spent.get("inputTokens"),
            output_tokens=spent.get("outputTokens"),
            cached_tokens=spent.get("cachedInputTokens"),
            cache_write_tokens=spent.get("cacheWriteInputTokens"),
            reasoning_tokens=spent.get("reasoningOutputTokens"),
            model=self.model,
        )
        yield Used(self.usage)

    def _error(self, params: Frame) -> Iterator[AgentEvent]:
        error = record(params.get("error"))
        message = words_of(error.get("message"))
        if params.get("willRetry"):
            details = words_of(error.get("additionalDetails"))
            yield Warned(f"{message} ({details})" if details else message, "retry")
        else:
            self._trouble = error


def _notice(method: str, params: Frame) -> Iterator[AgentEvent]:
    """What Codex warns of: none of these ends a turn."""
    match method:
        case "warning" | "guardianWarning":
            yield Warned(words_of(params.get("message")))
        case "configWarning" | "deprecationNotice":
            yield Warned(words_of(params.get("summary")), "configuration")
        case "mcpServer/startupStatus/updated" if params.get("status") in ("failed", "cancelled"):
            name, why = words_of(params.get("name")), words_of(params.get("error"))
            yield Warned(f"the MCP server {name} is not there for the agent: {why or params.get('status')}", "mcp")
        case "model/rerouted":
            yield Warned(f"the model was changed to {words_of(params.get('toModel'))}", "model")
        case _:
            return  # states of the thread, diffs so far, output of commands: told by the items too


def _reasoning(item: Frame, *, done: bool) -> Iterator[AgentEvent]:
    summary = item.get("summary")
    parts = summary if isinstance(summary, list) and summary else item.get("content")
    text = "\n".join(map(str, parts)) if isinstance(parts, list) else ""
    if done and text:
        yield Thought(text)


def _tool(kind: str, id_: str, item: Frame, parent: str | None) -> ToolUse:
    given: Any
    status = _STATUSES.get(words_of(item.get("status")))
    output: Any = None
    server: str | None = None
    match kind:
        case "commandExecution":
            title = words_of(item.get("command"))
            name, sort, given = "shell", "shell", {"command": title, "cwd": item.get("cwd")}
            if status in (ToolStatus.COMPLETED, ToolStatus.FAILED):
                output = {"output": item.get("aggregatedOutput"), "exitCode": item.get("exitCode")}
        case "fileChange":
            name, sort, given = "apply_patch", "edit", listed(item.get("changes"))
            title = ", ".join(words_of(one.get("path")) for one in given)
        case "mcpToolCall":
            name, sort, given = words_of(item.get("tool")), "mcp", item.get("arguments")
            server, output = words_of(item.get("server")), item.get("error") or item.get("result")
            title = f"{server}: {name}"
        case "webSearch":
            title = words_of(item.get("query"))
            name, sort, given = "web_search", "fetch", title
        case "collabAgentToolCall":
            title = words_of(item.get("prompt"))
            name, sort, given, output = words_of(item.get("tool")), "agent", title, item.get("receiverThreadIds")
        case _:
            name, sort, given = words_of(item.get("tool")) or kind, "other", item.get("arguments")
            title, output = name, item.get("contentItems")
    return ToolUse(id_, name, sort, title[:_LONGEST_TITLE], status, server, given, output, parent)


def _counts(breakdown: Frame) -> dict[str, int]:
    counted = {key: whole(value) for key, value in breakdown.items()}
    return {key: count for key, count in counted.items() if count is not None}
