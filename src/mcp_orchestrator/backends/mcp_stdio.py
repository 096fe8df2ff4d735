"""MCP servers that run as child processes: opening in either era (probed if need be), calls, and the end.

A stdio server is locked to the era of the first request it gets (`mcp` 2.3 of 2026-10), so one process serves one era,
and a probe that led the wrong way is mended with a fresh process. MCP 2026-07-28 and 2025-11-25 basic/transports.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mcp_orchestrator.backends.child import Child
from mcp_orchestrator.backends.mcp_handshake import (
    Agreement,
    RpcError,
    discover,
    initialize,
    invocation_meta,
    modern_meta,
    possible_eras,
    wanted_era,
)
from mcp_orchestrator.backends.mcp_link import Duplex
from mcp_orchestrator.backends.mcp_offers import walk_in_time
from mcp_orchestrator.backends.mcp_watch import Watch, declared_for
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.core.redaction import redactor
from mcp_orchestrator.core.wire import jsonrpc
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.errors import UNSUPPORTED_VERSION, BackendError
from mcp_orchestrator.model.outcome import Completed, FailureKind, Outcome
from mcp_orchestrator.model.snapshot import BackendSpec
from mcp_orchestrator.plugin_api import Opening, Talk

SILENCE: Final = 3.0
"""Seconds without an answer to `server/discover` after which `initialize` is sent too."""

CONFUSED: Final = 10.0
"""Seconds for `initialize` on a pipe where `server/discover` was refused; then a fresh process is tried."""

_FIRST_SHARE: Final = 0.5  # of the start timeout, for the process that is probed


class StdioLink:
    """A child process and the conversation with it."""

    def __init__(self, spec: BackendSpec, reaper: Reaper, opening: Opening) -> None:
        self.spec = spec
        self.opening = opening
        self.closed = asyncio.Event()
        redact = redactor(spec)
        tell = lambda line: opening.on_stderr(redact(line))  # noqa: E731 - servers print what they were started with
        self.duplex = Duplex(
            spec.name,
            self._send,
            hear=opening.on_event,
            stray=tell,
            exclusive=opening.exclusive,
            ask_outside=opening.on_question,
        )
        self.child = Child(
            spec,
            reaper,
            on_line=self.duplex.feed,
            on_overlong=self._overlong,
            on_stderr=tell,
            on_end=self._ended,
        )

    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """One request of our own, decoded. Raises RpcError or BackendError."""
        return jsonrpc.decode(await self.duplex.request(method, params, logs=False))

    async def discover(self) -> Agreement | None:
        """The modern handshake; None when it is no modern server."""
        opening = self.opening
        return await discover(
            self.ask, self.spec.name, client_info=opening.client_info or None, capabilities=opening.capabilities
        )

    async def initialize(self) -> Agreement:
        """The legacy handshake."""
        opening = self.opening
        return await initialize(
            self.ask,
            self.duplex.notify,
            self.spec.name,
            client_info=opening.client_info or None,
            capabilities=opening.capabilities,
            version=opening.version,
        )

    def _send(self, message: bytes, ident: int | None) -> None:
        del ident
        self.child.write(message)

    def _overlong(self, head: bytes, tail: bytes) -> bool:
        settled = self.duplex.overlong(head, tail, self.spec.max_result_bytes)
        if not settled and tail:
            self.child.give_up(f"sent a line of more than {self.child.limit} bytes that belongs to no call")
        return settled

    def _ended(self, reason: str) -> None:
        self.duplex.end(reason)
        self.closed.set()


class StdioSession:
    """An open session. One process, one era; calls run side by side."""

    def __init__(self, link: StdioLink, agreement: Agreement) -> None:
        self._link = link
        self._duplex = link.duplex
        self._agreement = agreement
        self._version = agreement.version
        self._era = agreement.era
        self._watch: Watch | None = None
        if agreement.era is Era.MODERN:
            self._watch = Watch(self._listen, agreement.capabilities, link.opening.on_event)
            self._watch.start()

    @property
    def era(self) -> Era:
        """The era this session speaks."""
        return self._era

    @property
    def agreement(self) -> Agreement:
        """What the handshake settled."""
        return self._agreement

    @property
    def pid(self) -> int | None:
        """Process id of the child."""
        return self._link.child.pid

    async def offers(self) -> Offers:
        """Everything the server offers now, within its start timeout. Raises BackendError."""
        link = self._link
        return await walk_in_time(link.spec, self._agreement, self._request_own, link.opening.on_stderr)

    async def invoke(self, invocation: Invocation, talk: Talk) -> Outcome:
        """Carry out one request; cancelling tells the server."""
        modern = self._watch is not None
        done = self._watch.subscription(invocation) if self._watch is not None else None
        if done is not None:
            return done
        try:
            result = await self._duplex.request(
                invocation.method,
                invocation.params,
                meta=invocation_meta(invocation, self._era, self._version),
                talk=talk,
                wants_progress=invocation.wants_progress,
                # A modern server may log only for a request that asked for it.
                logs=not modern or invocation.log_level is not None,
            )
        except (RpcError, BackendError) as error:
            return error.as_failed()
        return Completed(result, self._era)

    def listen_for_task(self, task: str) -> Callable[[], None]:
        """Have the server tell how a task goes on, if it does that; legacy servers do so unasked."""
        return self._watch.listen_for_task(task) if self._watch is not None else lambda: None

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification of the client."""
        self._duplex.notify(method, params)

    async def wait_closed(self) -> str:
        """Wait until the child is gone; returns why."""
        await self._link.closed.wait()
        return f"backend {self._link.spec.name} {self._duplex.ended}"

    async def close(self) -> None:
        """End the child and its whole process tree, in at most about 7 s."""
        if self._watch is not None:
            self._watch.stop()
        await self._link.child.stop()

    def _own_meta(self) -> dict[str, Any] | None:
        """`_meta` of requests that the gateway makes on its own behalf."""
        if self._era is Era.LEGACY:
            return None
        opening = self._link.opening
        return modern_meta({}, self._version, opening.client_info or None, opening.capabilities)

    async def _request_own(self, method: str, params: dict[str, Any]) -> Any:
        return jsonrpc.decode(await self._duplex.request(method, params, meta=self._own_meta(), logs=False))

    async def _listen(self, params: dict[str, Any]) -> bytes:
        opening = self._link.opening
        abilities = declared_for(params, opening.capabilities)
        meta = modern_meta({}, self._version, opening.client_info or None, abilities)
        return await self._duplex.request("subscriptions/listen", params, meta=meta, logs=False)


class StdioBackend:
    """One configured stdio server."""

    def __init__(self, spec: BackendSpec, reaper: Reaper, *, environ: Mapping[str, str] | None = None) -> None:
        """`environ` is the environment of which children get the allowed part (None: that of this process)."""
        self._spec = spec
        self._reaper = reaper
        self._environ = environ
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """The name of the configuration."""
        return self._spec.name

    @property
    def eras(self) -> Sequence[Era]:
        """Both, unless the configuration says which."""
        return possible_eras(self._spec)

    async def open(self, opening: Opening) -> StdioSession:
        """Start the child and shake hands, within the start timeout.

        Raises:
            BackendError: `unavailable` when it cannot be started, ends, or stays silent; `backend_error` with code
                -32022 when it does not speak the wanted era.
        """
        wanted = wanted_era(self._spec, opening)
        try:
            async with asyncio.timeout(self._spec.start_timeout):
                session = await (self._legacy(opening) if wanted is Era.LEGACY else self._probe(opening))
        except TimeoutError as error:
            raise BackendError(
                FailureKind.UNAVAILABLE,
                f"backend {self.name} did not answer within {self._spec.start_timeout:g} s of its start. "
                f"{self._see()}, or raise `startTimeout`",
            ) from error
        if wanted is not None and session.era is not wanted:
            self._end_soon(session)
            raise BackendError(
                FailureKind.BACKEND_ERROR,
                f"backend {self.name} does not speak the {wanted} era: it answers only `initialize`",
                code=UNSUPPORTED_VERSION,
            )
        return session

    async def aclose(self) -> None:
        """Wait for children whose opening failed to be gone."""
        if self._endings:
            await asyncio.gather(*self._endings, return_exceptions=True)

    def _see(self) -> str:
        return f"What it printed: mcp-orchestrator backends show {self.name}"

    def _end_soon(self, what: StdioLink | StdioSession) -> None:
        """End a child in the background, for whoever waits for a verdict need not wait for the funeral."""
        ending = what.close() if isinstance(what, StdioSession) else what.child.stop()
        task = asyncio.get_running_loop().create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _start(self, opening: Opening) -> StdioLink:
        link = StdioLink(self._spec, self._reaper, opening)
        started = False
        try:
            await link.child.spawn(os.environ if self._environ is None else self._environ)
            started = True
        finally:
            if not started:
                self._end_soon(link)
        return link

    async def _legacy(self, opening: Opening) -> StdioSession:
        """A fresh process, spoken to with `initialize` from the first word."""
        link = await self._start(opening)
        agreement = None
        try:
            agreement = await link.initialize()
        except BackendError as error:
            raise self._at_start(link, error) from error
        finally:
            if agreement is None:
                self._end_soon(link)
        return StdioSession(link, agreement)

    def _at_start(self, link: StdioLink, error: BackendError) -> BackendError:
        """An end of the process while shaking hands is no call that died."""
        if link.duplex.ended is None or error.kind not in {FailureKind.DIED, FailureKind.UNAVAILABLE}:
            return error
        text = f"backend {self.name} {link.duplex.ended} while starting. {self._see()}"
        return BackendError(FailureKind.UNAVAILABLE, text, code=error.code)

    async def _probe(self, opening: Opening) -> StdioSession:
        """Find out the era: modern first; what led nowhere is tried again with `initialize` in a fresh process."""
        link = await self._start(opening)
        agreement = None
        try:
            async with asyncio.timeout(self._spec.start_timeout * _FIRST_SHARE):
                agreement = await self._first_words(link)
        except TimeoutError:
            agreement = None
        finally:
            if agreement is None:
                self._end_soon(link)
        return await self._legacy(opening) if agreement is None else StdioSession(link, agreement)

    async def _first_words(self, link: StdioLink) -> Agreement | None:
        """What the process agrees to; None when a fresh one is to be tried with `initialize` alone.

        Some servers never answer a request they do not know before `initialize`, others start slowly: after
        `SILENCE` both questions are on the pipe, and the first usable answer counts.

        Raises:
            BackendError: the server is modern and shares no version with us.
        """
        loop = asyncio.get_running_loop()
        modern = loop.create_task(link.discover())
        legacy: asyncio.Task[Agreement] | None = None
        try:
            await asyncio.wait({modern}, timeout=SILENCE)
            if modern.done():
                found = self._usable(modern)
                if found is not None or link.duplex.ended is not None:
                    return found
            legacy = loop.create_task(link.initialize())
            patience = CONFUSED if modern.done() else None
            return await self._first_usable(modern, legacy, patience)
        finally:
            for task in (modern, legacy):
                if task is not None:
                    task.cancel()
            await asyncio.gather(modern, *((legacy,) if legacy else ()), return_exceptions=True)

    async def _first_usable(
        self, modern: asyncio.Task[Agreement | None], legacy: asyncio.Task[Agreement], patience: float | None
    ) -> Agreement | None:
        """The first usable of the two answers, the modern one if both are there.

        Modern servers refuse `initialize`, and may do so before they answer `server/discover`: that refusal counts
        only once the other question has led nowhere.
        """
        tasks: tuple[asyncio.Task[Any], asyncio.Task[Any]] = (modern, legacy)
        while True:
            for task in tasks:
                if task.done() and (task is modern or task.exception() is None):
                    found = self._usable(task)
                    if found is not None:
                        return found
            left = {task for task in tasks if not task.done()}
            if not left:
                return self._usable(legacy)
            done, _ = await asyncio.wait(left, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return None

    def _usable(self, task: asyncio.Task[Any]) -> Agreement | None:
        """The agreement of a finished handshake; None when it failed in a way that another attempt may mend."""
        error = task.exception()
        if error is None:
            found: Agreement | None = task.result()
            return found
        if isinstance(error, BackendError) and error.code != UNSUPPORTED_VERSION:
            return None
        raise error
