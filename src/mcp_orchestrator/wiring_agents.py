"""The part of the composition root that concerns delegation: agents, their workspaces, and the way back into the gateway."""

from __future__ import annotations

import asyncio
import functools
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, assert_never

from mcp_orchestrator.agent_api import WarmsUp
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.model.agent import AgentKind, AgentSpec
from mcp_orchestrator.model.snapshot import A2aSpec, BackendSpec, HttpSpec, Snapshot, StartPolicy, TransportKind
from mcp_orchestrator.observe.model_prices import ModelTable
from mcp_orchestrator.runtime.attachments import Attachments, Reach
from mcp_orchestrator.runtime.delegations import Delegations
from mcp_orchestrator.runtime.recovery import take_up
from mcp_orchestrator.runtime.steered_calls import choice_of, steered
from mcp_orchestrator.runtime.supervisor import Supervisor
from mcp_orchestrator.runtime.wages import PriceList

if TYPE_CHECKING:
    from mcp_orchestrator.agent_api import AgentBackend, DelegationStore
    from mcp_orchestrator.backends.builtin import Builtin
    from mcp_orchestrator.backends.reaper import Reaper
    from mcp_orchestrator.listeners.admission import SignIn
    from mcp_orchestrator.model.call import Call
    from mcp_orchestrator.plugin_api import Listener
    from mcp_orchestrator.runtime.gateway import Gateway

SWEEP_EVERY: Final = 86_400.0
"""Seconds between two looks for workspaces whose time is over."""

OWN_TIMEOUT: Final = 86400.0
SHIM: Final = Path(__file__).parent / "listeners" / "shim.py"


def make_agent(spec: AgentSpec, reaper: Reaper) -> AgentBackend:
    """The backend of one agent, by its kind."""
    # Only what is used is imported: some kinds bring a protocol's whole SDK.
    match spec.kind:
        case AgentKind.ACP:
            from mcp_orchestrator.backends import acp  # noqa: PLC0415

            return acp.create(spec, reaper)
        case AgentKind.CLAUDE_CODE:
            from mcp_orchestrator.backends import claude_code  # noqa: PLC0415

            return claude_code.create(spec, reaper)
        case AgentKind.CODEX:
            from mcp_orchestrator.backends import codex  # noqa: PLC0415

            return codex.create(spec, reaper)
        case AgentKind.A2A:
            from mcp_orchestrator.backends import a2a  # noqa: PLC0415

            return a2a.create(spec, reaper)
        case AgentKind.CLI:
            from mcp_orchestrator.backends import cli_harness  # noqa: PLC0415

            return cli_harness.create(spec, reaper)
        case AgentKind.SCRIPTED:
            from mcp_orchestrator.backends import scripted  # noqa: PLC0415

            return scripted.create(spec, reaper)
        case never:
            assert_never(never)


class AgentSide:
    """Delegation in one gateway. Made once; configured anew with every snapshot."""

    def __init__(
        self, gateway: Gateway, store: DelegationStore, reaper: Reaper, log: Any, client_info: Mapping[str, Any]
    ) -> None:
        from mcp_orchestrator.backends.verifying import CommandVerifier  # noqa: PLC0415 - likewise
        from mcp_orchestrator.workspaces.worktrees import Worktrees  # noqa: PLC0415 - only where agents are

        self.attachments = Attachments()
        self._gateway = gateway
        self._reaper = reaper
        self._log = log
        self._client_info = client_info
        self.workspaces = Worktrees(gateway.generation.snapshot.delegation.workspaces)
        self.delegations = Delegations(gateway.engine, store, self.workspaces, self.attachments)
        self.delegations.steering.verifier = CommandVerifier(reaper)
        self.supervisor: Supervisor | None = None
        self._builtin: Builtin | None = None
        self._listeners: list[Listener] = []
        self._serving: list[asyncio.Task[None]] = []
        self._retired: list[AgentBackend] = []
        self._sweeping: asyncio.Task[None] | None = None
        self._table = ModelTable()
        self._place: tempfile.TemporaryDirectory[str] | None = None

    def configure(self, snapshot: Snapshot) -> Supervisor:
        """Take over the agents of a snapshot; those that stayed the same keep what they have."""
        old = self.delegations.agents
        agents: dict[str, AgentBackend] = {}
        for name, spec in snapshot.agents.items():
            known = old.get(name)
            agents[name] = known if known is not None and known.spec == spec else make_agent(spec, self._reaper)
        self._retired += [known for name, known in old.items() if agents.get(name) is not known]
        self.delegations.configure(agents, snapshot.delegation, snapshot.routes)
        self.delegations.wages.list = self._price_list(snapshot)
        steer = functools.partial(steered, delegations=self.delegations)
        self._gateway.steer = steer if snapshot.routes else None
        self._gateway.policing.taker = self._taker
        if self.supervisor is None:
            self.supervisor = self._supervise()
        elif self._builtin is not None:
            self._builtin.changed()
        return self.supervisor

    def _price_list(self, snapshot: Snapshot) -> PriceList:
        """The prices of a snapshot, and the table of models' prices that is read when one is needed."""
        table = self._table
        return PriceList(snapshot.prices, table.cost, lambda: table.is_read, table.read)

    def _taker(self, call: Call) -> AgentSpec | None:
        return choice_of(self.delegations, call).agent

    def _supervise(self) -> Supervisor:
        from mcp_orchestrator.backends.builtin import Builtin  # noqa: PLC0415 - only where agents are

        self._builtin = Builtin(self.delegations)
        # Runs have time limits of their own, and a task waits for its run as long as that takes.
        spec = BackendSpec(OWN, TransportKind.HTTP, start=StartPolicy.EAGER, timeout=OWN_TIMEOUT)
        clock, chance = time.monotonic, random.random
        return Supervisor(spec, self._builtin, self._gateway, clock=clock, chance=chance, client_info=self._client_info)

    async def open(self, *, warm: bool) -> None:
        """Let agents in, and take up what an earlier gateway left open; with `warm`, agents are kept ready."""
        if self._place is None:
            self._place = tempfile.TemporaryDirectory(prefix="mcp-orchestrator-", ignore_cleanup_errors=True)
            await self._let_in(Path(self._place.name))
            for run in await self.workspaces.settle():
                self._log.warning("changes that were applied by halves when a gateway ended were put back", run=run)
            left = await take_up(self.delegations)
            if left:
                self._log.info("delegations of an earlier gateway are taken up", runs=left)
            self._sweeping = asyncio.ensure_future(self._keep_small())
        for backend in self.delegations.agents.values():
            if warm and isinstance(backend, WarmsUp) and backend.spec.keep and not backend.spec.disabled:
                await backend.warm_up()

    async def _keep_small(self) -> None:
        """Discard workspaces whose time is over, now and once a day, until cancelled."""
        while True:
            retain = self.delegations.rules.retain
            since = time.time() - retain
            if retain:
                gone = await self.workspaces.sweep(
                    since, functools.partial(self.delegations.needs_no_workspace, since=since)
                )
                if gone:
                    self._log.info("old workspaces were removed", workspaces=gone)
            await asyncio.sleep(SWEEP_EVERY)

    async def _let_in(self, place: Path) -> None:
        """Serve agents on loopback, over HTTP and a Unix socket; both want the token of a run."""
        from mcp_orchestrator.listeners.attached import AttachedSocket, admitter  # noqa: PLC0415
        from mcp_orchestrator.listeners.http import HttpListener  # noqa: PLC0415

        expiry = self._gateway.engine.question_expiry
        http = HttpListener(HttpSpec(port=0), self._gateway, expiry, admit=admitter(self.attachments.admit))
        url = await self._serve(http)
        path = str(place / f"{secrets.token_hex(4)}.sock")
        socket = AttachedSocket(path, self._gateway, self.attachments.admit, expiry)
        await self._serve(socket)
        self.attachments.reach = Reach(url, (sys.executable, "-I", str(SHIM)), path)

    async def _serve(self, listener: Listener) -> str:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(listener.serve(ready.set_result))
        self._listeners.append(listener)
        self._serving.append(serving)
        waited: set[asyncio.Future[Any]] = {ready, serving}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        return await ready

    async def serve_a2a(self, spec: A2aSpec, sign_in: SignIn) -> str:
        """Serve A2A clients until `close`, each as `sign_in` knows it; returns the public address.

        Raises:
            OSError: the address cannot be listened on, or the extra is not installed; the message says what to do.
        """
        from mcp_orchestrator.listeners.a2a import A2aListener  # noqa: PLC0415 - only where it is configured
        from mcp_orchestrator.runtime.delegation_door import DelegationFront  # noqa: PLC0415

        listener = A2aListener(spec, DelegationFront(self.delegations), sign_in)
        sign_in.on_leaving(listener.shut_out)
        return await self._serve(listener)

    async def close(self) -> None:
        """End agents, then the ways in."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self.delegations.stop()
        for backend in self._retired:
            await backend.aclose()
        for listener in self._listeners:
            await listener.stop(0.0)
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._place is not None:
            self._place.cleanup()
