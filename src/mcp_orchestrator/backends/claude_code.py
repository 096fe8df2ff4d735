"""Claude Code as an agent: the user's own `claude`, over the control protocol of its stream of JSON.

Everything here was measured with Claude Code 2.1.330 on 2026-11-24. In mode `read` it is given only tools that cannot
write: that holds for its subagents too, while its own plan mode asks for permission and then writes. In mode `write`
it edits files of its workspace unasked (`acceptEdits`), and asks for everything else.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.agent_api import AgentSession, AgentTalk
from mcp_orchestrator.backends.agent_link import AgentLink, Frame, cut_off, record, words_of
from mcp_orchestrator.backends.claude_asking import Asked, asked
from mcp_orchestrator.backends.claude_environment import given, passed
from mcp_orchestrator.backends.claude_events import Reading
from mcp_orchestrator.backends.claude_probe import VERIFIED, look
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import (
    AgentFacts,
    AgentMode,
    AgentOpening,
    AgentSpec,
    Attachment,
    Ended,
    EndStatus,
    TroubleKind,
    Turn,
    Warned,
)
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import Secret

__all__ = ["VERIFIED", "ClaudeBackend", "create"]

_READING_TOOLS: Final = ("Read", "Glob", "Grep", "WebFetch", "WebSearch", "Agent", "AskUserQuestion", "ToolSearch")

# They carry work out of the turn or the workspace: schedules, background work, other worktrees, other sessions.
_OUTSIDE_TOOLS: Final = (
    *("CronCreate", "CronDelete", "CronList", "ScheduleWakeup", "Monitor", "Workflow"),
    *("EnterWorktree", "ExitWorktree", "SendMessage", "ListAgents"),
)

_STREAM: Final = (
    *("-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"),
    *("--permission-prompt-tool", "stdio"),
)
_INSTALL: Final = "install it with `npm install -g @anthropic-ai/claude-code`, then sign in with `claude auth login`"
_MICRO: Final = 1_000_000


def create(spec: AgentSpec, reaper: Reaper) -> ClaudeBackend:
    """The agent that a definition describes."""
    return ClaudeBackend(spec, reaper)


class ClaudeBackend:
    """Opens sessions with one configured Claude Code."""

    def __init__(self, spec: AgentSpec, reaper: Reaper) -> None:
        self._spec = spec
        self._reaper = reaper

    @property
    def spec(self) -> AgentSpec:
        """Its definition."""
        return self._spec

    async def probe(self) -> AgentFacts:
        """Its version, whether it is signed in, and its models, all without a model call."""
        return await look(self._spec, self._reaper)

    async def open(self, opening: AgentOpening) -> AgentSession:
        """Start it. Raises BackendError: it is missing, does not start, or does not know the session to resume."""
        session = ClaudeSession(self._spec, self._reaper, opening)
        try:
            await session.start()
        except (BackendError, asyncio.CancelledError):
            await session.close()
            raise
        return session

    async def aclose(self) -> None:
        """Nothing is shared."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a process is told only when it starts. `schema` is JSON text, `cost` micro-dollars."""

    schema: str | None = None
    turns: int | None = None
    cost: int | None = None


class ClaudeSession:
    """One conversation. A process serves its turns until one wants other limits; then another goes on with it."""

    def __init__(self, spec: AgentSpec, reaper: Reaper, opening: AgentOpening) -> None:
        self._spec = spec
        self._reaper = reaper
        self._opening = opening
        self._native = opening.resume if opening.resume and not opening.fork else str(uuid.uuid4())
        self._link = self._new_link()
        self._limits = _Limits(turns=spec.max_turns, cost=spec.max_cost)
        self._used = False
        self._talk: AgentTalk | None = None
        self._reading: Reading | None = None
        self._result: asyncio.Future[Frame] | None = None
        self._early: Frame | None = None
        self._interrupted = False
        self._closed = False
        self._sent = 0

    @property
    def native(self) -> str | None:
        """The session id, which we chose unless it is an older session."""
        return self._native

    @property
    def pid(self) -> int | None:
        """Process id."""
        return self._link.process.pid

    # -- the process -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the process and wait until it speaks.

        Raises:
            BackendError: it does not start, or ends at once (an unknown session, a wrong argument).
        """
        command = (*(self._spec.command or ("claude",)), *self._arguments())
        try:
            await self._link.process.start(command, self._opening, passed=passed(os.environ), env=given(self._spec))
        except BackendError as error:
            if "is not on the PATH" in error.message:
                raise BackendError(error.kind, f"{error.message}; {_INSTALL}") from error
            raise
        if self._closed:  # while it was being started anew
            await self._link.process.stop()
            raise BackendError(FailureKind.CANCELLED, f"agent {self._spec.name}: its session was closed")
        request: dict[str, Any] = {"subtype": "initialize"}
        if self._limits.schema is not None:
            request["jsonSchema"] = json.loads(self._limits.schema)
        if await self._control(request) is None:
            await self._link.process.stop()
            raise BackendError(FailureKind.UNAVAILABLE, self._not_started())

    def _not_started(self) -> str:
        errors = (self._early or {}).get("errors")
        words = list(map(str, errors)) if isinstance(errors, list) else self._link.process.stderr[-3:]
        where = f" ({self._spec.where})" if self._spec.where else ""
        why = "; ".join(words) or f"its process {self._link.process.why}"
        return f"agent {self._spec.name}: Claude Code did not start: {why}{where}"

    def _arguments(self) -> list[str | Secret]:
        opening, limits = self._opening, self._limits
        extra = self._spec.settings.get("extraArgs") or ()
        arguments: list[str | Secret] = [*map(str, extra), *_STREAM, "--strict-mcp-config"]
        if self._used or (opening.resume and not opening.fork):
            arguments += ["--resume", self._native]
        elif opening.resume:
            arguments += ["--resume", opening.resume, "--fork-session", "--session-id", self._native]
        else:
            arguments += ["--session-id", self._native]
        if opening.model or self._spec.model:
            arguments += ["--model", str(opening.model or self._spec.model)]
        if limits.turns is not None:
            arguments += ["--max-turns", str(limits.turns)]
        if limits.cost is not None:
            arguments += ["--max-budget-usd", f"{limits.cost / _MICRO:.6f}"]
        if opening.mode is AgentMode.READ:
            # Hooks run commands, and some repositories bring their own.
            arguments += ["--permission-mode", "default", "--tools", ",".join(_READING_TOOLS)]
            arguments += ["--settings", '{"disableAllHooks":true}']
        else:
            arguments += ["--permission-mode", "acceptEdits", "--disallowedTools", ",".join(_OUTSIDE_TOOLS)]
        if opening.attachment is not None:
            arguments += ["--mcp-config", str(_mcp_file(opening.scratch, opening.attachment))]
            arguments += ["--allowedTools", f"mcp__{opening.attachment.name}"]
        return arguments

    def _new_link(self) -> AgentLink:
        link = AgentLink(self._spec, self._reaper, self._frame)
        link.on_warning = self._warn
        return link

    async def _restart(self, limits: _Limits) -> None:
        old, before = self._link, self._limits
        self._link, self._limits = self._new_link(), limits
        await old.process.stop()
        try:
            await self.start()
        except BackendError:
            self._link, self._limits = old, before
            raise

    async def _control(self, request: Mapping[str, Any]) -> Frame | None:
        self._sent += 1
        key = f"ours-{self._sent}"
        return await self._link.request(key, {"type": "control_request", "request_id": key, "request": request})

    # -- turns -----------------------------------------------------------------------------------------------------

    async def turn(self, turn: Turn, talk: AgentTalk) -> Ended:
        """Do one piece of work to its end."""
        schema = json.dumps(turn.schema) if turn.schema is not None else None
        limits = _Limits(schema, turn.max_turns, turn.max_cost)
        self._talk, self._interrupted = talk, False
        self._reading = Reading(self._opening.cwd, schema=schema is not None)
        self._result = asyncio.get_running_loop().create_future()
        try:
            await talk.bound(self._native)
            # The limit of money counts from the start of the process, not of the turn.
            if not self._closed and (limits != self._limits or (self._used and limits.cost is not None)):
                await self._restart(limits)
            return await self._carried_out(turn, self._reading, self._result)
        except BackendError as error:
            trouble = TroubleKind.SESSION if "No conversation found" in error.message else TroubleKind.CRASH
            return Ended(EndStatus.FAILED, trouble=trouble, message=error.message, evidence="it could not be started")
        finally:
            await self._link.settle()
            self._talk = self._reading = self._result = None

    async def _carried_out(self, turn: Turn, reading: Reading, result: asyncio.Future[Frame]) -> Ended:
        sent = False
        if not self._interrupted and not self._link.process.ended.is_set():
            self._used = sent = True
            self._link.send({"type": "user", "message": {"role": "user", "content": turn.prompt}})
            told = await self._link.until_over(result)
            if told is not None:
                return reading.ended(told, interrupted=self._interrupted)
        if self._interrupted and not sent:
            return Ended(EndStatus.CANCELLED, evidence="it was stopped before the prompt was sent")
        ended = cut_off(
            self._link.process,
            sent=sent,
            interrupted=self._interrupted,
            closed=self._closed,
            text=reading.text,
            usage=reading.usage,
        )
        return replace(ended, retryable=ended.retryable and not self._closed)

    async def interrupt(self) -> None:
        """Stop the turn by the control request of that name; the turn tells its end itself."""
        self._interrupted = True
        self._sent += 1
        request = {"type": "control_request", "request_id": f"ours-{self._sent}", "request": {"subtype": "interrupt"}}
        self._link.reply(request)

    async def wait_closed(self) -> str:
        """Wait until its process is over, unless another takes its place; returns why."""
        while True:
            link = self._link
            await link.process.ended.wait()
            if link is self._link:
                return link.process.why

    async def close(self) -> None:
        """Close its input, then TERM, then KILL, with everything it started."""
        self._closed = True
        await self._link.process.stop()
        (self._opening.scratch / _MCP_FILE).unlink(missing_ok=True)

    # -- what it says ----------------------------------------------------------------------------------------------

    def _frame(self, frame: Frame, raw: bytes) -> None:
        match frame.get("type"):
            case "control_response":
                response = record(frame.get("response"))
                self._link.answered(response.get("request_id"), response)
            case "control_request":
                self._asked(words_of(frame.get("request_id")), record(frame.get("request")), raw)
            case "control_cancel_request":
                self._link.withdraw(words_of(frame.get("request_id")))
            case _:
                self._told(frame, raw)

    def _told(self, frame: Frame, raw: bytes) -> None:
        talk, reading, result = self._talk, self._reading, self._result
        is_result = frame.get("type") == "result"
        if talk is None or reading is None or result is None or result.done():
            self._early = frame if is_result else self._early
            return
        for event in reading.read(frame):
            talk.event(event, raw)
        if is_result:
            self._early = frame
            result.set_result(frame)

    def _warn(self, warned: Warned, raw: bytes | None) -> None:
        if self._talk is not None:
            self._talk.event(warned, raw)

    def _asked(self, key: str, request: Frame, raw: bytes) -> None:
        talk, reading = self._talk, self._reading
        question = asked(self._spec.name, request)
        if talk is None or reading is None or question is None:
            self._decline(key, request, raw)
        elif self._opening.mode is AgentMode.READ and _writes(request):
            self._refuse(key, request, reading, raw)
        else:
            self._link.question(key, self._ask(key, question, talk, reading, raw))

    async def _ask(self, key: str, asked: Asked, talk: AgentTalk, reading: Reading, raw: bytes) -> None:
        response, refused = asked.response(await talk.ask(asked.question, raw))
        if refused and asked.request.get("tool_use_id"):
            reading.refused.add(asked.request["tool_use_id"])
        self._respond(key, response)

    def _decline(self, key: str, request: Frame, raw: bytes) -> None:
        subtype = words_of(request.get("subtype"))
        self._warn(Warned(f"a request of the agent that nobody can answer was declined: {subtype}", "protocol"), raw)
        if subtype == "can_use_tool":
            self._respond(key, {"behavior": "deny", "message": "No task is being worked on."})
            return
        error = {"subtype": "error", "request_id": key, "error": f"{subtype} is not supported by this host"}
        self._link.reply({"type": "control_response", "response": error})

    def _refuse(self, key: str, request: Frame, reading: Reading, raw: bytes) -> None:
        name = words_of(request.get("tool_name"))
        reading.refused.add(words_of(request.get("tool_use_id")))
        self._warn(Warned(f"{name} was refused: this task may only read", "denied"), raw)
        self._respond(key, {"behavior": "deny", "message": "This task may only read; nothing may be changed."})

    def _respond(self, key: str, response: Mapping[str, Any]) -> None:
        body = {"subtype": "success", "request_id": key, "response": response}
        self._link.reply({"type": "control_response", "response": body})


def _writes(request: Frame) -> bool:
    """Whether a tool is asked for that a task that may only read must not have."""
    name = words_of(request.get("tool_name"))
    return request.get("subtype") == "can_use_tool" and name not in _READING_TOOLS and not name.startswith("mcp__")


_MCP_FILE: Final = "mcp-servers.json"


def _mcp_file(scratch: Path, attachment: Attachment) -> Path:
    """A file that only we can read: arguments can be seen by everybody on the machine, and this holds a token."""
    server = {
        "type": "http",
        "url": attachment.url,
        "headers": {name: secret.reveal() for name, secret in attachment.headers},
        "alwaysLoad": True,  # else the model sees the names of our tools only, until it searches
    }
    path = scratch / _MCP_FILE
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"mcpServers": {attachment.name: server}}, file)
    return path
