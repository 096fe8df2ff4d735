"""The composition root: the only room that knows everybody; makes one running gateway out of a snapshot."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from mcp_orchestrator import __version__
from mcp_orchestrator.config.compare import fingerprint, needs_restart
from mcp_orchestrator.config.identities import is_loopback
from mcp_orchestrator.config.load import Loaded, load
from mcp_orchestrator.config.watching import is_blank, stamp, stamp_after
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.snapshot import BackendSpec, Snapshot
from mcp_orchestrator.runtime.actions import Action, Actions
from mcp_orchestrator.runtime.agent_actions import AgentActions
from mcp_orchestrator.runtime.budgets import purse_of
from mcp_orchestrator.runtime.callers import Callers, local_principal
from mcp_orchestrator.runtime.engine import Engine
from mcp_orchestrator.runtime.gateway import Gateway
from mcp_orchestrator.runtime.generation import Generation
from mcp_orchestrator.runtime.reload import Reloader
from mcp_orchestrator.runtime.run_actions import RunActions
from mcp_orchestrator.runtime.supervisor import Supervisor
from mcp_orchestrator.secrets.sources import resolvers
from mcp_orchestrator.wiring_memory import remembered_tools
from mcp_orchestrator.wiring_results import ResultSide
from mcp_orchestrator.wiring_state import make_capture, make_sealer, open_store

if TYPE_CHECKING:
    from mcp_orchestrator.backends.reaper import Reaper
    from mcp_orchestrator.plugin_api import Listener
    from mcp_orchestrator.wiring_agents import AgentSide

Result = TypeVar("Result")

SERVER_INFO: Final[Mapping[str, Any]] = {
    "name": "mcp-orchestrator",
    "title": "MCP Orchestrator",
    "version": __version__,
}
WATCH_EVERY: Final = 1.0
"""Seconds between looks at the configuration file's time stamp."""

PRUNE_EVERY: Final = 86400.0
"""Seconds between two rounds of removing old records from the journal."""

WRITTEN_AFTER: Final = 0.2
"""Seconds without another change after which a file counts as written to its end."""

STOP_DRAIN: Final = 10.0
"""Seconds that running calls get to finish where no listener says otherwise."""


def load_config(path: Path, *, strict: bool = False) -> Loaded:
    """Load a configuration with this process's environment and secret sources (`strict`: see `config.load`)."""
    secrets = resolvers(os.environ, path.resolve().parent)
    return load(path, environ=os.environ, secrets=secrets, remember=remembered_tools, strict=strict)


def run(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run an async function to its end, on uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - absent on Windows
    except ImportError:
        return asyncio.run(main())
    return uvloop.run(main())


class Application:
    """One gateway, from open to close; several can live in one process.

    Use it as an async context manager. `persistent` False keeps events in memory and leaves the state file's lock
    to a gateway that may be running; remembered offers are read from the file all the same. `written` is what the
    file says where `snapshot` differs from it (an address given on the command line).
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        config_path: Path | None = None,
        log: Any,
        persistent: bool = True,
        written: Snapshot | None = None,
    ) -> None:
        self.snapshot = snapshot
        self._written = written or snapshot
        self.config_path = config_path
        self.log = log
        self.started_at = time.time()
        self.url: str | None = None
        self.a2a_url: str | None = None
        self._persistent = persistent
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._listeners: list[Listener] = []
        self._prune: Callable[..., Awaitable[int]] | None = None
        self._agents: AgentSide | None = None
        self._make_agent_side: Callable[[], AgentSide]
        self._remembered: dict[tuple[str, str], Offers] = {}
        self._eras: dict[str, Mapping[Era, bool]] = {}

    async def __aenter__(self) -> Self:
        """Open the store, make the engine, start the backends."""
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End running calls, backends and store, in this order."""
        await self._stack.aclose()

    async def _open(self) -> None:
        snapshot = self.snapshot
        store, journal, self._prune = await open_store(snapshot, self._stack, persistent=self._persistent)
        self._remembered = dict(await store.load())
        self._eras = dict(await store.load_eras())
        self.engine = Engine(
            journal,
            self.log,
            clock=time.monotonic,
            wall=time.time,
            randomness=os.urandom,
            trace=snapshot.observe.trace,
            keep=snapshot.observe.journal,
            sealer=make_sealer(snapshot, persistent=self._persistent),
            question_expiry=snapshot.question_expiry,
            mouths=snapshot.mouths,
        )
        self.engine.capture = make_capture(snapshot)
        self.callers = Callers(store.tokens, time.time, self.engine.record, self.log)
        self.callers.configure(snapshot.identity)
        await self.callers.refresh()
        reaper = self._make_reaper()
        self.gateway = Gateway(self.engine, Generation(snapshot, {}), store, fingerprint, SERVER_INFO)
        self.engine.purse = purse_of(self.engine, store.ledger, lambda: self.gateway.generation.rules.budgets)
        self.engine.approvals.operator = lambda: self.callers.place(local_principal())
        self._stack.push_async_callback(self.engine.purse.aclose)
        self._stack.push_async_callback(self._close_backends, reaper)
        enabled = {name: spec for name, spec in snapshot.backends.items() if not spec.disabled}
        supervisors = {name: await self._supervise(spec, reaper) for name, spec in enabled.items()}
        self._make_agent_side = functools.partial(self._agent_side, store, reaper)
        self._results = ResultSide(self.gateway, snapshot.storage.path if self._persistent else None, SERVER_INFO)
        own = self._own(snapshot)
        if own is not None:
            supervisors[OWN] = own
        self.gateway.generation = Generation(snapshot, supervisors)
        self.engine.purse.open()
        self.reloader = Reloader(self.gateway, lambda spec: self._supervise(spec, reaper), self._own)
        self.actions: dict[str, Action] = {
            **Actions(self.gateway, local_principal(), self.callers).table(),
            **RunActions(self.engine, lambda: self._agents.delegations if self._agents is not None else None).table(),
            **AgentActions(lambda: self._agents.delegations if self._agents is not None else None).table(),
            "status": self._status,
            "reload": self._reload_action,
        }
        self.engine.record(
            EventKind.GATEWAY_STARTED,
            None,
            {
                "version": __version__,
                "config": str(self.config_path or ""),
                "pid": os.getpid(),
                "runs": self.engine.prefix,
            },
        )
        loaded = {"source": snapshot.source, "digest": snapshot.digest, "backends": len(supervisors)}
        self.engine.record(EventKind.CONFIG_LOADED, None, loaded)
        for supervisor in supervisors.values():
            supervisor.start()
        if self._agents is not None:
            await self._agents.open(warm=self._persistent)

    def _own(self, snapshot: Snapshot) -> Supervisor | None:
        """The gateway's own tools, for the agents of this snapshot; none while there never were any."""
        results = self._results.configure(snapshot)
        if self._agents is None and not snapshot.agents:
            return results
        if self._agents is None:
            self._agents = self._make_agent_side()
        return self._agents.configure(snapshot)

    # -- parts ----------------------------------------------------------------------------------------------------

    def _agent_side(self, store: Any, reaper: Reaper) -> AgentSide:
        from mcp_orchestrator.wiring_agents import AgentSide  # noqa: PLC0415 - only where agents are

        return AgentSide(self.gateway, store.delegations, reaper, self.log, SERVER_INFO)

    def _make_reaper(self) -> Reaper:
        from mcp_orchestrator.backends.reaper import Reaper  # noqa: PLC0415

        return Reaper()

    async def _supervise(self, spec: BackendSpec, reaper: Reaper) -> Supervisor:
        from mcp_orchestrator.backends.mcp import create  # noqa: PLC0415

        supervisor = Supervisor(
            spec,
            create(spec, reaper),
            self.gateway,
            clock=time.monotonic,
            chance=random.random,
            client_info=SERVER_INFO,
        )
        key = fingerprint(spec)
        offers = {era: self._remembered[key, era.value] for era in Era if (key, era.value) in self._remembered}
        supervisor.remember(offers, self._eras.get(key, {}))
        return supervisor

    async def _close_backends(self, reaper: Reaper) -> None:
        """Every child ends before the store closes, and the watchdog ends last."""
        await self.engine.stop(0.0)
        if self._agents is not None:
            await self._agents.close()
        if hasattr(self, "reloader"):
            await self.reloader.stop()
        supervisors = list(self.gateway.generation.supervisors.values())
        await asyncio.gather(*(supervisor.stop() for supervisor in supervisors))
        await self.gateway.settle_down()
        await reaper.aclose()
        self.engine.record(EventKind.GATEWAY_STOPPED, None, {})

    # -- serving --------------------------------------------------------------------------------------------------

    async def serve_http(self, started: Callable[[str], None]) -> None:
        """Serve HTTP, and A2A where it is configured, until `stop`; `started` gets the address of the former."""
        from mcp_orchestrator.listeners.admission import SignIn  # noqa: PLC0415 - only what is used
        from mcp_orchestrator.listeners.http import HttpListener  # noqa: PLC0415

        sign_in = SignIn(self.callers, self.gateway.has_profile)
        if self.snapshot.a2a is not None and self._agents is not None:
            self.a2a_url = await self._agents.serve_a2a(self.snapshot.a2a, sign_in)

        def note(url: str) -> None:
            self.url = url
            started(url)

        listener = HttpListener(self.snapshot.http, self.gateway, self.snapshot.question_expiry, admit=sign_in)
        sign_in.on_leaving(listener.shut_out)
        await self._serve(listener, note, self.snapshot.http.drain)

    async def serve_stdio(self, profile: str | None) -> None:
        """Serve one client on stdin and stdout until it leaves or `stop`."""
        from mcp_orchestrator.listeners.stdio import StdioListener  # noqa: PLC0415

        listener = StdioListener(
            self.gateway,
            principal=self.callers.place(local_principal()),
            profile=profile,
            question_expiry=self.snapshot.question_expiry,
        )
        self.callers.on_change(lambda: listener.known_as(self.callers.place(local_principal())))
        await self._serve(listener, lambda _address: None, STOP_DRAIN)

    async def _serve(self, listener: Listener, started: Callable[[str], None], drain: float) -> None:
        serving = asyncio.ensure_future(listener.serve(started))
        stopped = asyncio.ensure_future(self._stopping.wait())
        pruning = asyncio.ensure_future(self._keep_small())
        watching = asyncio.ensure_future(self.callers.watch())
        try:
            await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                await listener.stop(drain)
                await self.engine.stop(0.5)
            await serving
        finally:
            for task in (stopped, serving, pruning, watching):
                task.cancel()
            await asyncio.gather(serving, stopped, pruning, watching, return_exceptions=True)

    async def _keep_small(self) -> None:
        """Remove what the journal need not keep any longer, now and once a day, until cancelled."""
        while self._prune is not None and self.snapshot.storage.retain:
            try:
                gone = await self._prune(older_than=time.time() - self.snapshot.storage.retain)
            except OSError as error:
                self.log.warning("old records could not be removed from the journal", error=str(error))
            else:
                if gone:
                    self.log.info("old records removed from the journal", events=gone)
            await asyncio.sleep(PRUNE_EVERY)

    async def serve_control(self) -> None:
        """Answer the command line on the control socket, in the background, until the application closes."""
        from mcp_orchestrator.listeners.control import ControlListener  # noqa: PLC0415

        listener = ControlListener(self.snapshot.storage.path, self.actions, self._about)
        await listener.open()
        self._stack.push_async_callback(listener.aclose)

    def stop(self) -> None:
        """Stop serving. Call it on the loop."""
        self._stopping.set()

    # -- reload ---------------------------------------------------------------------------------------------------

    async def watch_config(self) -> None:
        """Reload whenever the configuration file changes, until cancelled."""
        if self.config_path is None:
            return
        seen = stamp(self.config_path)
        while True:
            await asyncio.sleep(WATCH_EVERY)
            now = stamp(self.config_path)
            while now != (settled := await stamp_after(self.config_path, WRITTEN_AFTER)):
                now = settled  # somebody is still writing
            if now is not None and now != seen:
                seen = now
                await self.reload()

    async def reload(self) -> Mapping[str, Any]:
        """Load the file anew; a bad one is refused and the old configuration stays.

        Returns {refused: [problems]} or {added, removed, changed, kept}.
        """
        if self.config_path is None:
            return {"refused": ["this gateway has no configuration file"]}
        async with self._reloading:  # a signal and the watcher may tell of the same change
            return await self._reload(self.config_path)

    async def _reload(self, path: Path) -> Mapping[str, Any]:
        loaded = await asyncio.to_thread(load_config, path)
        if loaded.snapshot is not None and is_blank(path):
            # An editor that empties a file before it writes it would otherwise stop every server.
            return self._refused(["the file is empty"])
        if loaded.snapshot is None:
            problems = [
                f"{problem.code} {problem.where}: {problem.message}; {problem.fix}" for problem in loaded.errors
            ]
            return self._refused(problems)
        if loaded.snapshot.digest == self.gateway.generation.snapshot.digest:
            return {"added": [], "removed": [], "changed": [], "kept": sorted(self.gateway.generation.supervisors)}
        if not is_loopback(self.snapshot.http.host) and not loaded.snapshot.identity.required:
            return self._refused(
                [f"{self.snapshot.http.host} is open to the network: identity.required must stay true"]
            )
        summary = await self.reloader.apply(loaded.snapshot)
        self.callers.configure(loaded.snapshot.identity)
        if self._agents is not None:
            await self._agents.open(warm=self._persistent)
        pending = needs_restart(self._written, loaded.snapshot)
        if pending:
            self.log.warning("these changes take effect at the next start", sections=pending)
        self.log.info("configuration loaded", **summary)
        return summary

    def _refused(self, problems: list[str]) -> Mapping[str, Any]:
        data = {"source": str(self.config_path), "problems": problems}
        self.engine.record(EventKind.CONFIG_REFUSED, None, data)
        self.log.error("configuration refused, the old one stays", problems=problems)
        return {"refused": problems}

    async def _reload_action(self, _args: dict[str, Any]) -> Mapping[str, Any]:
        return await self.reload()

    async def _status(self, _args: dict[str, Any]) -> dict[str, Any]:
        return {**self._about(), "uptime": round(time.time() - self.started_at, 1), "runs": len(self.engine.runs)}

    def _about(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "url": self.url,
            "config": str(self.config_path) if self.config_path else None,
            "started_at": self.started_at,
        }
