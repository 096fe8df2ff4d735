"""The agent kind `a2a`: any agent that speaks A2A 1.0 or 0.3, found by its card; its tasks outlive our connections."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from mcp_orchestrator.agent_api import AgentTalk
from mcp_orchestrator.backends.a2a_calls import A2aCalls, http_view, pool_of
from mcp_orchestrator.backends.a2a_card import Card, Interface, choose, direct, places, read_card, sign_in
from mcp_orchestrator.backends.a2a_turn import Rhythm, Turning
from mcp_orchestrator.backends.http_answers import FORBIDDEN, NOT_THIS_PROTOCOL, UNAUTHORIZED, refusal
from mcp_orchestrator.backends.http_connection import Response
from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import (
    AgentFacts,
    AgentMode,
    AgentOpening,
    AgentSpec,
    Ended,
    EndStatus,
    TroubleKind,
    Turn,
    Warned,
)
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

VERIFIED: Final = "A2A 1.0 and 0.3 with a2a-sdk 1.3.0 (2026-11-24)"
_SUCCESS: Final = range(200, 300)


def create(spec: AgentSpec, reaper: Reaper) -> A2aAgent:
    """The agent of a specification. It has no process, so that there is nothing to reap."""
    del reaper
    return A2aAgent(spec)


class A2aAgent:
    """An agent at an address. Its card is read when a session is opened, and again for each further one."""

    def __init__(self, spec: AgentSpec, rhythm: Rhythm | None = None) -> None:
        self._spec = spec
        self._rhythm = rhythm or Rhythm()
        self._pool: HttpPool | None = None

    @property
    def spec(self) -> AgentSpec:
        """Its definition."""
        return self._spec

    async def probe(self) -> AgentFacts:
        """What its card says."""
        spec = self._spec
        began = asyncio.get_running_loop().time()
        address = Endpoint.parse(spec.url.reveal()).shown if spec.url is not None else ""
        try:
            async with asyncio.timeout(spec.start_timeout):
                card, interface = await self._find()
        except TimeoutError:
            return AgentFacts(False, address, verified=VERIFIED, notes=(f"no answer within {spec.start_timeout:g} s",))
        except BackendError as error:
            signed = False if _status(error) in (UNAUTHORIZED, FORBIDDEN) else None
            return AgentFacts(signed is False, address, verified=VERIFIED, signed_in=signed, notes=(error.message,))
        can = {
            "resume": True,
            "rejoin": True,
            "fork": False,
            "questions": True,
            "cancel": True,
            "structured": False,
            "streaming": card.streaming,
            "mcp_http": False,
            "mcp_stdio": False,
            "read_only": False,
        }
        notes = [f"A2A {interface.version} over {interface.binding}"]
        notes += [f"skills: {', '.join(card.skills[:20])}"] if card.skills else []
        notes += [f"signs in by {'; '.join(card.schemes[:5])}"] if card.schemes else []
        return AgentFacts(
            found=True,
            command=address,
            version=card.version or None,
            verified=VERIFIED,
            can=can,
            start=asyncio.get_running_loop().time() - began,
            notes=tuple(notes),
        )

    async def open(self, opening: AgentOpening) -> A2aSession:
        """Find the agent and how it is spoken to; nothing is sent to it yet.

        Raises:
            BackendError: it cannot be reached, has no card, or speaks nothing that we do.
        """
        spec = self._spec
        if opening.fork:
            raise BackendError(FailureKind.INVALID, f"agent {spec.name}: A2A has no way to branch off a conversation")
        try:
            async with asyncio.timeout(spec.start_timeout):
                card, interface = await self._find()
        except TimeoutError:
            text = f"agent {spec.name} gave no card within {spec.start_timeout:g} s ({spec.where or 'its `url`'})"
            raise BackendError(FailureKind.UNAVAILABLE, text) from None
        calls = A2aCalls(spec, interface, self._connections())
        return A2aSession(spec, calls, card, opening, self._rhythm)

    async def aclose(self) -> None:
        """Close the connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    # -- the card -------------------------------------------------------------------------------------------------

    def _connections(self) -> HttpPool:
        if self._pool is None:
            self._pool = pool_of(self._spec, Endpoint.parse(self._url()))
        return self._pool

    def _url(self) -> str:
        if self._spec.url is None:
            where = f" ({self._spec.where})" if self._spec.where else ""
            raise BackendError(FailureKind.INVALID, f"agent {self._spec.name} has no `url`{where}")
        return self._spec.url.reveal()

    async def _find(self) -> tuple[Card, Interface]:
        """The card, and the interface that is spoken to."""
        spec, url = self._spec, self._url()
        binding, version = spec.settings.get("binding"), spec.settings.get("version")
        refused: BackendError | None = None
        for place in places(url):
            try:
                card = await self._card(place)
            except BackendError as error:
                if _status(error) not in NOT_THIS_PROTOCOL:
                    raise
                refused = error
                continue
            choice = choose(card, url, binding, version)
            if choice.interface is None:
                raise BackendError(FailureKind.INVALID, f"agent {spec.name}: {choice.refusal} ({spec.where})")
            return card, choice.interface
        if binding is not None:
            return Card(streaming=False), direct(url, binding, version)
        shown = Endpoint.parse(url).shown
        text = (
            f"agent {spec.name} has no agent card at {shown}: check `url` ({spec.where or 'configuration'}); for a server "
            "without a card, say `a2a.binding` and `a2a.version`"
        )
        raise BackendError(FailureKind.UNAVAILABLE, text, data=refused.data if refused is not None else None)

    async def _card(self, place: str) -> Card:
        spec = self._spec
        endpoint = Endpoint.parse(place)
        headers = [(name, value.reveal()) for name, value in spec.headers]
        if endpoint.authorization and not any(name.lower() == "authorization" for name, _value in headers):
            headers.append(("authorization", endpoint.authorization))
        try:
            head = endpoint.head("GET", [("accept", "application/json, application/a2a+json"), *headers])
        except ValueError as error:
            raise BackendError(FailureKind.INVALID, f"agent {spec.name}: {error}") from error
        response = await self._connections().request(head, None, replayable=True)
        if response.status not in _SUCCESS:
            raise self._refusal(endpoint, response)
        try:
            value: Any = msgspec.json.decode(response.body())
        except ValueError:
            value = None
        card = read_card(value)
        if card is None:
            what = f"agent {spec.name}: what stands at {endpoint.shown}{_path(place)} is no agent card"
            raise BackendError(FailureKind.BAD_ANSWER, what, data={"httpStatus": 404})
        return card

    def _refusal(self, endpoint: Endpoint, response: Response) -> BackendError:
        error = refusal(http_view(self._spec), endpoint.shown, response)
        text = error.message.replace("backend ", "agent ", 1).replace("the server's", "the agent's")
        return BackendError(error.kind, text, data=error.data, sent=False)


class A2aSession:
    """A conversation: the server's context, once it has told it."""

    def __init__(self, spec: AgentSpec, calls: A2aCalls, card: Card, opening: AgentOpening, rhythm: Rhythm) -> None:
        self._spec = spec
        self._calls = calls
        self._card = card
        self._opening = opening
        self._rhythm = rhythm
        self._native = opening.resume
        self._turning: Turning | None = None
        self._closed = asyncio.Event()

    @property
    def native(self) -> str | None:
        """The server's context."""
        return self._native

    @property
    def pid(self) -> int | None:
        """There is no process of ours."""
        return None

    async def turn(self, turn: Turn, talk: AgentTalk) -> Ended:
        """Give the agent one piece of work, or (`turn.rejoin`) go on with one that it has already."""
        if self._turning is not None or self._closed.is_set():
            why = "a turn is going on already" if self._turning is not None else "the session is closed"
            return Ended(EndStatus.FAILED, trouble=TroubleKind.INTERNAL, message=why, retryable=True)
        if self._opening.mode is AgentMode.WRITE:
            text = "this agent works elsewhere: it sees no workspace here, and no changes of files can come of it"
            talk.event(Warned(text))
        turning = self._turning = Turning(
            self._spec.name,
            self._calls,
            talk,
            self._rhythm,
            streaming=self._card.streaming,
            version=self._card.version or None,
        )
        try:
            ended = await turning.run(turn, self._native or "")
        finally:
            self._native = turning.context or self._native
            self._turning = None
        if ended.trouble is TroubleKind.AUTH and self._card.schemes:
            ended = replace(ended, message=f"{ended.message}{sign_in(self._card.schemes)}")
        return ended

    async def interrupt(self) -> None:
        """Have the agent cancel its task."""
        if self._turning is not None:
            self._turning.interrupt()

    async def wait_closed(self) -> str:
        """Wait for `close`: nothing ends a conversation by itself."""
        await self._closed.wait()
        return "the session was closed"

    async def close(self) -> None:
        """Leave the conversation; a task that was not cancelled goes on at the server, and can be rejoined."""
        self._closed.set()
        if self._turning is not None:
            self._turning.close()


def _status(error: BackendError) -> int:
    status = error.data.get("httpStatus") if isinstance(error.data, dict) else None
    return status if isinstance(status, int) else 0


def _path(url: str) -> str:
    return urlsplit(url).path or "/"
