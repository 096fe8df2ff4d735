"""Any agent of the Agent Client Protocol, over the standard input and output of its program.

The same code speaks to all of them; what differs is a row of `acp_profiles.json`. The protocol is ACP 1 (all that were
tried answered protocol version 1 on 2026-11-22). It has no structured answers and no limits of turns or money: the
schema is put to the agent in words, and the limits are the gateway's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mcp_orchestrator import __version__
from mcp_orchestrator.agent_api import AgentSession, AgentTalk
from mcp_orchestrator.backends.acp_asking import WRITES, Asked, asked_elicitation, asked_permission, refused
from mcp_orchestrator.backends.acp_command import advised, command_of
from mcp_orchestrator.backends.acp_ends import ended, failed
from mcp_orchestrator.backends.acp_events import Reading, tell_the_rest
from mcp_orchestrator.backends.acp_link import AcpError, AcpLink
from mcp_orchestrator.backends.acp_opening import (
    Offered,
    initialize,
    not_opened,
    open_session,
    servers,
    settle_mode,
    settle_model,
    settle_options,
    transport_of,
    until_next_minute,
)
from mcp_orchestrator.backends.acp_probe import look
from mcp_orchestrator.backends.acp_profiles import profile_of
from mcp_orchestrator.backends.acp_usage import Meter
from mcp_orchestrator.backends.acp_warm import Warm
from mcp_orchestrator.backends.agent_link import Frame, cut_off, record, words_of
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import (
    AgentFacts,
    AgentMode,
    AgentOpening,
    AgentSpec,
    Ended,
    EndStatus,
    Started,
    TroubleKind,
    Turn,
    Warned,
)
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

_MADE: Final = 1000
"""Sessions whose time of birth is kept, the newest ones."""

_SILENCE: Final = 0.25
_REPLAY: Final = 10.0
"""Seconds without an update after which a session that was taken up is ready, and the most that is waited."""

_SCHEMA: Final = (
    "\n\nAnswer, as your last message, with nothing but one JSON value that fits this JSON Schema, without a fence "
    "around it:\n"
)


def create(spec: AgentSpec, reaper: Reaper) -> AcpBackend:
    """The agent that a definition describes."""
    return AcpBackend(spec, reaper)


class AcpBackend:
    """Opens sessions with one configured agent.

    `made` tells when this gateway made a session, by its id; others were made before `born` (seconds since the epoch).
    """

    def __init__(self, spec: AgentSpec, reaper: Reaper) -> None:
        self._spec = spec
        self._reaper = reaper
        self.made: dict[str, float] = {}
        self.born = time.time()
        self._warm = Warm(spec.keep, self._prepared)

    @property
    def spec(self) -> AgentSpec:
        """Its definition."""
        return self._spec

    async def probe(self) -> AgentFacts:
        """Shake hands with it, and make a session where that is cheap, to see its modes and models."""
        return await look(self._spec, self._reaper)

    async def open(self, opening: AgentOpening) -> AgentSession:
        """Start it. Raises BackendError: it is missing, not signed in, or cannot take the session up."""
        session = self._warm.take() or AcpSession(self, self._reaper, opening)
        try:
            await session.start(opening)
        except (BackendError, asyncio.CancelledError):
            await session.close()
            raise
        return session

    async def warm_up(self) -> None:
        """Keep as many processes ready as the configuration says."""
        self._warm.fill()

    async def _prepared(self, place: Path) -> AcpSession:
        session = AcpSession(self, self._reaper, AgentOpening(cwd=place, scratch=place, mode=AgentMode.WRITE))
        try:
            await session.prepare()
        except (BackendError, asyncio.CancelledError):
            await session.close()
            raise
        return session

    async def aclose(self) -> None:
        """End what was kept ready."""
        await self._warm.aclose()


class AcpSession:
    """One conversation, in a process of its own."""

    def __init__(self, backend: AcpBackend, reaper: Reaper, opening: AgentOpening) -> None:
        self._backend = backend
        self._spec = backend.spec
        self._profile = profile_of(backend.spec)
        self._opening = opening
        self._link = AcpLink(backend.spec, reaper, self._note, self._request)
        self._link.link.on_warning = self._warn
        self._offered = Offered({})
        self._ready = False
        self._native: str | None = None
        self._meter = Meter(self._profile.usage, known=opening.resume is None)
        self._talk: AgentTalk | None = None
        self._reading: Reading | None = None
        self._interrupted = False
        self._closed = False
        self._heard = asyncio.Event()
        self._wait = 0.0

    @property
    def native(self) -> str | None:
        """The agent's session id."""
        return self._native

    @property
    def pid(self) -> int | None:
        """Process id."""
        return self._link.link.process.pid

    # -- opening ---------------------------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether its process is still there."""
        return not self._link.link.process.ended.is_set()

    async def prepare(self) -> None:
        """Start the process and shake hands: what is the same for every session. Raises BackendError."""
        spec, profile = self._spec, self._profile
        with self._explained("starting it"):
            await self._link.start(command_of(spec, profile, self._opening), self._opening, profile.env, profile.set)
            self._offered = await initialize(self._link, __version__)
        if profile.authenticate:
            with self._explained("signing in"):
                await self._link.request("authenticate", {"methodId": profile.authenticate})
        self._ready = True

    async def start(self, opening: AgentOpening) -> None:
        """Have a session, in the process that was prepared or in one that is now. Raises BackendError."""
        self._opening = opening
        self._meter = Meter(self._profile.usage, known=opening.resume is None)
        if not self._ready:
            await self.prepare()
        self._wait = self._until_safe()
        if self._wait:
            self._native = self._opening.resume
        else:
            await self._made()

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except AcpError as error:
            raise not_opened(self._spec, self._profile, error, what) from error
        except ConnectionError as error:
            raise self._ended_early(what) from error
        except BackendError as error:
            raise advised(self._spec, self._profile, error) from error

    def _until_safe(self) -> float:
        """Seconds until the session may be taken up: those may be more than a start may take, so the turn waits."""
        resume = self._opening.resume
        if resume is None or "fresh-load" not in self._profile.quirks:
            return 0.0
        return until_next_minute(self._backend.made.get(resume, self._backend.born), time.time())

    async def _made(self) -> None:
        """Have a session. Raises BackendError."""
        with self._explained("making a session" if self._opening.resume is None else "taking the session up"):
            await self._make()

    async def _make(self) -> None:
        spec, profile, opening, offered, link = self._spec, self._profile, self._opening, self._offered, self._link
        transport = transport_of(spec, profile, offered)
        if opening.attachment is not None and transport == "none":
            offered.notes.append("it takes no MCP servers, so it works without the tools of this gateway")
        mcp = servers(opening.attachment, transport)
        native = await open_session(link, offered, opening, profile, mcp)
        self._native = native
        if opening.resume is not None:
            await self._quiet()
        if native != opening.resume:
            self._backend.made[native] = time.time()
            while len(self._backend.made) > _MADE:
                del self._backend.made[next(iter(self._backend.made))]
        own = spec.settings.get("mode")
        wanted = profile.read if opening.mode is AgentMode.READ else profile.write
        if own and not (opening.mode is AgentMode.READ and profile.read):
            wanted = str(own)
        await settle_mode(link, native, offered, wanted, opening.mode)
        model = opening.model or spec.model
        await settle_model(link, native, offered, model, given=bool(profile.model))
        await settle_options(link, native, offered, record(spec.settings.get("config")))

    async def _quiet(self) -> None:
        """Wait until the old turns are told again: gemini-cli 0.61.0 answers first (2026-11-24)."""
        try:
            async with asyncio.timeout(_REPLAY):
                while await self._hears_more():
                    pass
        except TimeoutError:
            self._offered.notes.append("it was still telling its old turns again when the new one began")

    async def _hears_more(self) -> bool:
        """Whether an update comes before some time has passed in silence."""
        self._heard.clear()
        try:
            async with asyncio.timeout(_SILENCE):
                await self._heard.wait()
        except TimeoutError:
            return False
        return True

    def _ended_early(self, what: str) -> BackendError:
        process = self._link.link.process
        words = "; ".join(process.stderr[-3:])
        where = f" ({self._spec.where})" if self._spec.where else ""
        why = f"its process {process.why or 'ended'}" + (f"; its last words: {words}" if words else "")
        return BackendError(FailureKind.UNAVAILABLE, f"agent {self._spec.name}: {what} failed: {why}{where}")

    # -- turns -----------------------------------------------------------------------------------------------------

    async def turn(self, turn: Turn, talk: AgentTalk) -> Ended:
        """Do one piece of work to its end."""
        offered, native = self._offered, self._native or ""
        reading = Reading(
            self._meter, self._opening.cwd, self._opening.attachment.name if self._opening.attachment else ""
        )
        self._meter.begin()
        self._interrupted = False
        self._talk, self._reading = talk, reading
        try:
            await talk.bound(native)
            if self._wait:
                await self._taken_up()
            talk.event(Started(native, model=offered.model, version=offered.version))
            notes, offered.notes = offered.notes, []
            for note in notes:
                talk.event(Warned(note))
            if self._interrupted:
                return Ended(EndStatus.CANCELLED, evidence="it was stopped before the prompt was sent")
            return await self._carried_out(turn, native, reading, talk)
        except BackendError as error:
            trouble = TroubleKind.AUTH if error.kind is FailureKind.REFUSED else TroubleKind.SESSION
            evidence = "the session could not be taken up"
            return Ended(EndStatus.FAILED, trouble=trouble, message=error.message, evidence=evidence)
        finally:
            await self._link.settle()
            self._talk = self._reading = None

    async def _taken_up(self) -> None:
        """Take the session up, once that does it no harm. Raises BackendError."""
        try:
            async with asyncio.timeout(self._wait):
                await self.wait_closed()
        except TimeoutError:
            self._wait = 0.0
        talk, self._talk = self._talk, None  # what is told now are the old turns
        try:
            await self._made()
        finally:
            self._talk = talk

    async def _carried_out(self, turn: Turn, native: str, reading: Reading, talk: AgentTalk) -> Ended:
        text = turn.prompt if turn.schema is None else f"{turn.prompt}{_SCHEMA}{json.dumps(turn.schema)}"
        sent = not self._link.link.process.ended.is_set()
        deaf = "deaf" in self._profile.quirks
        try:
            prompt = {"sessionId": native, "prompt": [{"type": "text", "text": text}]}
            result = await self._link.request("session/prompt", prompt)
            usage = self._meter.ended(result, one_call=not reading.did)
            tell_the_rest(talk, reading, usage)
            return ended(
                result, reading, usage, interrupted=self._interrupted, deaf=deaf, schema=turn.schema is not None
            )
        except AcpError as error:
            tell_the_rest(talk, reading, self._meter.usage)
            sign_in = self._profile.sign_in
            return failed(error, reading, self._meter.usage, interrupted=self._interrupted, sign_in=sign_in)
        except ConnectionError:
            return cut_off(
                self._link.link.process,
                sent=sent,
                interrupted=self._interrupted,
                closed=self._closed,
                text=reading.text,
                usage=self._meter.usage,
            )

    async def interrupt(self) -> None:
        """Take back what is asked, which answers it as cancelled, and send `session/cancel`."""
        self._interrupted = True
        if self._native is not None:
            self._link.notify("session/cancel", {"sessionId": self._native})
        await self._link.settle()

    async def wait_closed(self) -> str:
        """Wait until its process is over; returns why."""
        await self._link.link.process.ended.wait()
        return self._link.link.process.why

    async def close(self) -> None:
        """Close its input, then TERM, then KILL, with everything it started."""
        self._closed = True
        await self._link.close()

    # -- what it says ----------------------------------------------------------------------------------------------

    def _warn(self, warned: Warned, raw: bytes | None) -> None:
        if self._talk is not None:
            self._talk.event(warned, raw)

    def _note(self, method: str, params: Frame, line: bytes) -> None:
        if method != "session/update" or params.get("sessionId") not in (None, self._native):
            return  # what agents tell beyond the protocol (`_x.ai/...`, `auth/status_update`), or of other sessions
        self._heard.set()
        update = record(params.get("update"))
        if self._talk is None or self._reading is None:
            self._meter.update(update)
            return
        for event in self._reading.read(update):
            self._talk.event(event, line)

    async def _request(self, method: str, params: Frame, line: bytes) -> Frame | None:
        talk, reading = self._talk, self._reading
        match method:
            case "session/request_permission" if talk is not None and reading is not None:
                return await self._permission(params, line, talk, reading)
            case "session/request_permission":
                return refused(params)
            case "elicitation/create" if talk is not None:
                return (await self._answered(asked_elicitation(params), line, talk))[0]
            case "elicitation/create":
                return {"action": "cancel"}
            case _:
                return None

    async def _permission(self, params: Frame, line: bytes, talk: AgentTalk, reading: Reading) -> Frame:
        call = record(params.get("toolCall"))
        identifier = words_of(call.get("toolCallId"))
        known = reading.merged(call)
        for event in reading.asking(identifier, known):
            talk.event(event, line)
        if self._interrupted:
            return {"outcome": {"outcome": "cancelled"}}
        changes = words_of(known.get("kind")) in WRITES and not reading.is_ours(identifier, known)
        if self._opening.mode is AgentMode.READ and changes:
            talk.event(Warned("a change was refused: this task may only read", "denied"), line)
            talk.event(reading.refuse(identifier), line)
            return refused(params)
        approve = self._spec.settings.get("approve") or self._profile.approve
        asked = asked_permission(self._spec.name, params, known, [str(one) for one in approve])
        result, no = await self._answered(asked, line, talk)
        if no:
            talk.event(reading.refuse(identifier), line)
        return result

    async def _answered(self, asked: Asked, line: bytes, talk: AgentTalk) -> tuple[Frame, bool]:
        return asked.result(await talk.ask(asked.question, line))
