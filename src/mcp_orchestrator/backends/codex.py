"""Codex as an agent: the user's own `codex app-server`, over its JSON-RPC on stdin and stdout.

Everything here was measured with Codex 0.169.0 on 2026-11-24. Mode `read` is its sandbox `read-only`, and what would
lift that is refused without asking; mode `write` is `workspace-write`, and what needs more is asked for.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from mcp_orchestrator.agent_api import AgentSession, AgentTalk
from mcp_orchestrator.backends.agent_link import Frame, cut_off, record, words_of
from mcp_orchestrator.backends.codex_asking import Asked, asked, refusal
from mcp_orchestrator.backends.codex_ends import failed
from mcp_orchestrator.backends.codex_events import Reading
from mcp_orchestrator.backends.codex_probe import look
from mcp_orchestrator.backends.codex_rpc import CodexError, CodexRpc
from mcp_orchestrator.backends.codex_schema import in_words, strict
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import (
    AgentFacts,
    AgentMode,
    AgentOpening,
    AgentSpec,
    AgentUsage,
    Attachment,
    Ended,
    EndStatus,
    Started,
    TroubleKind,
    Turn,
    Warned,
)
from mcp_orchestrator.model.errors import BackendError

_SANDBOXES: Final = {AgentMode.READ: "read-only", AgentMode.WRITE: "workspace-write"}
_READY: Final = 20.0
"""Seconds for the gateway to appear as the agent's MCP server; after about one the first turn would begin without."""

_VERSION: Final = re.compile(r"/(\d+\.\d+\.\S+)")


def create(spec: AgentSpec, reaper: Reaper) -> CodexBackend:
    """The agent that a definition describes."""
    return CodexBackend(spec, reaper)


class CodexBackend:
    """Opens sessions with one configured Codex, each a process of its own with one thread."""

    def __init__(self, spec: AgentSpec, reaper: Reaper) -> None:
        self._spec = spec
        self._reaper = reaper

    @property
    def spec(self) -> AgentSpec:
        """Its definition."""
        return self._spec

    async def probe(self) -> AgentFacts:
        """Its version and whether it is signed in, without a model call."""
        return await look(self._spec, self._reaper)

    async def open(self, opening: AgentOpening) -> AgentSession:
        """Start it and its thread. Raises BackendError: it is missing, does not start, or the thread cannot be had."""
        session = CodexSession(self._spec, self._reaper, opening)
        try:
            await session.start()
        except (BackendError, asyncio.CancelledError):
            await session.close()
            raise
        return session

    async def aclose(self) -> None:
        """Nothing is shared."""


class CodexSession:
    """One thread of Codex in a process of its own."""

    def __init__(self, spec: AgentSpec, reaper: Reaper, opening: AgentOpening) -> None:
        self._spec = spec
        self._opening = opening
        self._rpc = CodexRpc(spec, reaper, self._noted, self._requested)
        self._rpc.link.on_warning = self._warn
        self._thread: str | None = None
        self._model: str | None = None
        self._version: str | None = None
        self._mcp: dict[str, str] = {}
        self._settled = asyncio.Event()
        self._early: list[tuple[str, Frame, bytes]] = []
        self._talk: AgentTalk | None = None
        self._reading: Reading | None = None
        self._completed: asyncio.Future[Frame] | None = None
        self._interrupted = False
        self._closed = False

    @property
    def native(self) -> str | None:
        """The id of the thread."""
        return self._thread

    @property
    def pid(self) -> int | None:
        """Process id."""
        return self._rpc.link.process.pid

    # -- opening ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the process and the thread, and wait for the gateway to be its MCP server.

        Raises:
            BackendError: it does not start, or does not know or may not take up the thread.
        """
        found = _VERSION.search(await self._rpc.start(self._opening))
        self._version = found[1] if found else None
        opening = self._opening
        params: dict[str, Any] = {
            "cwd": str(opening.cwd),
            "approvalPolicy": "on-request",
            "approvalsReviewer": "user",
            "sandbox": _SANDBOXES[opening.mode],
            "config": {"mcp_servers": await self._servers(opening.attachment)},
        }
        if opening.model or self._spec.model:
            params["model"] = opening.model or self._spec.model
        method = "thread/start"
        if opening.resume:
            method = "thread/fork" if opening.fork else "thread/resume"
            params |= {"threadId": opening.resume, "excludeTurns": True}
        try:
            answer = await self._rpc.call(method, **params)
        except CodexError as error:
            raise self._rpc.unavailable(f"Codex refused {method}: {error}") from error
        self._thread = words_of(record(answer.get("thread")).get("id")) or None
        self._model = words_of(answer.get("model")) or None
        if self._thread is None:
            raise self._rpc.unavailable(f"Codex answered {method} without a thread")
        await self._attached(opening.attachment)

    async def _servers(self, attachment: Attachment | None) -> dict[str, Any]:
        """Our gateway as its only MCP server: those of the user's own configuration are switched off for the thread."""
        try:
            config = record((await self._rpc.call("config/read")).get("config"))
        except CodexError:
            config = {}
        servers: dict[str, Any] = {name: {"enabled": False} for name in record(config.get("mcp_servers"))}
        if attachment is not None:
            servers[attachment.name] = {
                "url": attachment.url,
                "http_headers": {name: secret.reveal() for name, secret in attachment.headers},
                # Else calls of tools that are not marked as reading only are refused or asked for; we judge them.
                "default_tools_approval_mode": "approve",
                "tool_timeout_sec": self._spec.timeout,
            }
        return servers

    async def _attached(self, attachment: Attachment | None) -> None:
        if attachment is None:
            return
        try:
            async with asyncio.timeout(min(_READY, self._spec.start_timeout / 2)):
                while self._mcp.get(attachment.name) not in ("ready", "failed", "cancelled"):
                    self._settled.clear()
                    await self._rpc.link.until_over(asyncio.ensure_future(self._settled.wait()))
                    if self._rpc.link.process.ended.is_set():
                        return
        except TimeoutError:
            return  # the first turn tells that it is not there

    # -- turns -----------------------------------------------------------------------------------------------------

    async def turn(self, turn: Turn, talk: AgentTalk) -> Ended:
        """Do one piece of work to its end."""
        thread = self._thread or ""
        reading = Reading(thread, self._opening.cwd, schema=turn.schema is not None)
        reading.model = self._model
        self._interrupted = False
        self._completed = asyncio.get_running_loop().create_future()
        await talk.bound(thread)
        talk.event(Started(thread, self._model, self._version, mcp=dict(self._mcp)))
        self._talk, self._reading = talk, reading
        early, self._early = self._early, []
        for note in early:
            self._noted(*note)
        try:
            return await self._carried_out(turn, thread, reading, talk)
        except CodexError as error:
            evidence = "turn/start was answered with an error"
            return failed(error.error, text="", usage=AgentUsage(), evidence=evidence, limits={})
        except BackendError as error:
            kind, message = TroubleKind.CRASH, error.message
            return Ended(EndStatus.FAILED, trouble=kind, message=message, evidence="the task could not be sent")
        finally:
            await self._rpc.link.settle()
            self._talk = self._reading = self._completed = None

    async def _carried_out(self, turn: Turn, thread: str, reading: Reading, talk: AgentTalk) -> Ended:
        completed, link = self._completed, self._rpc.link
        if completed is None or self._interrupted or self._closed or link.process.ended.is_set():
            return self._cut_off(reading, sent=False)
        schema = strict(turn.schema) if turn.schema is not None else None
        prompt = in_words(turn.prompt, turn.schema) if turn.schema is not None and schema is None else turn.prompt
        params: dict[str, Any] = {"threadId": thread, "input": [{"type": "text", "text": prompt}]}
        if schema is not None:
            params["outputSchema"] = schema
        try:
            answer = await self._rpc.call("turn/start", **params)
        except BackendError:
            return self._cut_off(reading, sent=True)
        reading.turn = words_of(record(answer.get("turn")).get("id")) or None
        await talk.bound(thread, reading.turn)
        if self._interrupted:
            self._stop(reading)
        told = await link.until_over(completed)
        return reading.ended(told, interrupted=self._interrupted) if told else self._cut_off(reading, sent=True)

    def _cut_off(self, reading: Reading, *, sent: bool) -> Ended:
        if self._interrupted and not sent:
            return Ended(EndStatus.CANCELLED, evidence="it was stopped before the prompt was sent")
        process, text, usage = self._rpc.link.process, reading.text, reading.usage
        return cut_off(process, sent=sent, interrupted=self._interrupted, closed=self._closed, text=text, usage=usage)

    async def interrupt(self) -> None:
        """Stop the turn by `turn/interrupt`; it then completes with the status `interrupted`."""
        self._interrupted = True
        if self._reading is not None and self._reading.turn is not None:
            self._stop(self._reading)

    def _stop(self, reading: Reading) -> None:
        params = {"threadId": self._thread, "turnId": reading.turn}
        self._rpc.link.reply({"id": f"interrupt-{reading.turn}", "method": "turn/interrupt", "params": params})

    async def wait_closed(self) -> str:
        """Wait until the process is over; returns why."""
        await self._rpc.link.process.ended.wait()
        return self._rpc.link.process.why

    async def close(self) -> None:
        """Close its input, then TERM, then KILL, with everything it started."""
        self._closed = True
        await self._rpc.link.process.stop()

    # -- what it says ----------------------------------------------------------------------------------------------

    def _noted(self, method: str, params: Frame, raw: bytes) -> None:
        if method == "mcpServer/startupStatus/updated":
            self._mcp[words_of(params.get("name"))] = words_of(params.get("status"))
            self._settled.set()
        elif method == "serverRequest/resolved":
            self._rpc.link.withdraw(params.get("requestId"))
        talk, reading = self._talk, self._reading
        if talk is None or reading is None:
            if method in _WORTH_KEEPING:
                self._early.append((method, params, raw))
                del self._early[:-_MOST_EARLY]
            return
        for event in reading.read(method, params):
            talk.event(event, raw)
        own = params.get("threadId") == self._thread
        if method == "turn/completed" and own and self._completed is not None and not self._completed.done():
            self._completed.set_result(record(params.get("turn")))

    def _warn(self, warned: Warned, raw: bytes | None) -> None:
        if self._talk is not None:
            self._talk.event(warned, raw)

    def _requested(self, number: int | str, method: str, params: Frame, raw: bytes) -> None:
        talk, reading = self._talk, self._reading
        item = reading.items.get(words_of(params.get("itemId")), {}) if reading is not None else {}
        question = asked(self._spec.name, method, params, item)
        if talk is None or question is None:
            text = f"a request of the agent that nobody can answer was declined: {method}"
            self._warn(Warned(text, "protocol"), raw)
            self._rpc.answer(number, refusal(method, params))
        elif question.writes and self._opening.mode is AgentMode.READ:
            self._warn(Warned(f"{method} was refused: this task may only read", "denied"), raw)
            self._rpc.answer(number, refusal(method, params))
        else:
            self._rpc.link.question(number, self._ask(number, question, talk, raw))

    async def _ask(self, number: int | str, question: Asked, talk: AgentTalk, raw: bytes) -> None:
        self._rpc.answer(number, question.result(await talk.ask(question.question, raw)))


_WORTH_KEEPING: Final = frozenset({"warning", "configWarning", "deprecationNotice", "mcpServer/startupStatus/updated"})
_MOST_EARLY: Final = 20
