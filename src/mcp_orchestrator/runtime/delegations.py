"""Every delegation of the gateway: accepted, recorded, carried out, looked at, answered, stopped, and taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.delegating import Choice
from mcp_orchestrator.core.redaction import words_redactor
from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.model.agent import AgentMode, AgentSpec, Ended, TroubleKind
from mcp_orchestrator.model.agent_routes import AgentRoute
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.delegation import Applied, Changes, Delegated
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.snapshot import DelegationSpec
from mcp_orchestrator.runtime import spending
from mcp_orchestrator.runtime.attachments import Attachments
from mcp_orchestrator.runtime.carrying import Carrier
from mcp_orchestrator.runtime.delegation import Delegation, OpenQuestion
from mcp_orchestrator.runtime.orders import DelegationError, Order, check_place, recorded
from mcp_orchestrator.runtime.steering import Steering
from mcp_orchestrator.runtime.wages import OverBudgetError, Wages

if TYPE_CHECKING:
    from mcp_orchestrator.agent_api import AgentBackend, DelegationStore, Workspaces
    from mcp_orchestrator.runtime.engine import Engine

MOST_LIVE: Final = 1000
"""Delegations that may wait or work at once, whatever the limits of agents say."""

LONGEST_ID: Final = 64
KEPT_LIVE: Final = 200
"""Ended delegations whose words stay at hand; older ones are read from the store."""


class Delegations:
    """The registry. `agents` are the agents of the configuration that is in force, in its order."""

    def __init__(
        self, engine: Engine, store: DelegationStore, workspaces: Workspaces, attachments: Attachments
    ) -> None:
        self.engine = engine
        self.store = store
        self.workspaces = workspaces
        self.attachments = attachments
        self.agents: dict[str, AgentBackend] = {}
        self.rules = DelegationSpec()
        self.hear: Callable[[Delegation], None] = lambda _delegation: None
        self.wages = Wages(engine)
        self.steering = Steering(self)
        self._carrier = Carrier(self)
        self._live: dict[str, Delegation] = {}
        self._ended: dict[str, Delegation] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._beginning: dict[str, asyncio.Task[Delegation]] = {}
        self._called_off: dict[str, str] = {}
        self.stopping = False
        self.taken_up = asyncio.Event()
        self.taken_up.set()

    def configure(
        self, agents: Mapping[str, AgentBackend], rules: DelegationSpec, routes: Sequence[AgentRoute] = ()
    ) -> None:
        """Run with these agents from now on; delegations that are going on keep those they have."""
        before = {name: backend.spec for name, backend in self.agents.items()}
        self.steering.configure(routes, before, [backend.spec for backend in agents.values()])
        self.agents = dict(agents)
        self.rules = rules
        self._carrier.reconsider()

    @property
    def specs(self) -> list[AgentSpec]:
        """The agents that may be delegated to."""
        return [backend.spec for backend in self.agents.values() if not backend.spec.disabled]

    @property
    def has_runs(self) -> bool:
        """Whether there are runs to ask about, in this gateway."""
        return bool(self._live or self._ended)

    def model_of(self, kept: Delegated) -> str | None:
        """The model that the agent of a delegation is started with, as far as the configuration says."""
        backend = self.agents.get(kept.agent)
        return backend.spec.model if backend is not None else None

    @property
    def all_live(self) -> list[Delegation]:
        """The delegations that are not over."""
        return list(self._live.values())

    # -- beginning ------------------------------------------------------------------------------------------------

    def choose(self, order: Order) -> Choice:
        """Which agent takes an order; pure in what it reads."""
        return self.steering.choose(order)

    async def begin(self, order: Order) -> Delegation:
        """Accept an order: it is on record, durably, before anything is started.

        Whoever stops waiting for that in the middle leaves a delegation that goes on, unless it is called off.

        Raises:
            DelegationError: nothing was begun.
            OSError: it could not be recorded; nothing was begun.
        """
        beginning = self._beginning[order.run] = self.engine.loop.create_task(self._begin(order))
        beginning.add_done_callback(lambda done: self._begun(order.run, done))
        return await asyncio.shield(beginning)

    def call_off(self, run: str, reason: str) -> None:
        """Nobody wants a delegation any more that may still be about to begin."""
        if run in self._beginning:
            self._called_off[run] = reason
        elif run in self._live:
            self._live[run].cancel(reason)

    def _begun(self, run: str, done: asyncio.Task[Delegation]) -> None:
        del self._beginning[run]
        self._called_off.pop(run, None)
        if not done.cancelled():
            done.exception()  # whoever ordered it may have left: then nobody else looks at it

    async def _begin(self, order: Order) -> Delegation:
        order = self.in_place(order)
        choice = self.choose(order)
        if choice.agent is None:
            raise DelegationError(choice.refusal)
        self._check(order)
        spec, left = choice.agent, self._left_of(order.owner.run)
        for one in choice.several or (spec,):
            await self.steering.admit(order, one)
        if choice.several:
            kept = recorded(order, choice, left, self.engine.now(), [one.name for one in choice.several])
            kept = replace(kept, compared={self.engine.new_run_id(): one.name for one in choice.several})
            return await self._accept(order, Delegation(kept, self, str))
        kept = recorded(order, choice, left, self.engine.now())
        delegation = Delegation(kept, self, words_redactor(spec.confidential))
        try:
            await self.wages.hold(order, kept, spec)
        except OverBudgetError as error:
            others = replace(order, without=(*order.without, spec.name))
            if not error.elsewhere or order.agent is not None or self.choose(others).agent is None:
                raise
            return await self._begin(others)
        return await self._accept(order, delegation)

    async def _accept(self, order: Order, delegation: Delegation) -> Delegation:
        kept = delegation.kept
        try:
            await self.store.save(kept)
        except OSError:
            self.wages.release(kept.id)
            raise
        self.tell_accepted(kept)
        if self.stopping:
            delegation.over.set()  # it is on record: the next gateway carries it out
            return delegation
        self.carry_on(delegation)
        unwanted = self._called_off.get(order.run, "")
        if order.owner.run and not self._is_going_on(order.owner.run):
            unwanted = f"the run {order.owner.run} that delegated it is over"
        if unwanted:
            delegation.cancel(unwanted)
        return delegation

    def _is_going_on(self, run: str) -> bool:
        found = self._live.get(run)
        return found is not None and found.kept.ended is None and not found.stop.is_set()

    def tell_accepted(self, kept: Delegated) -> None:
        """Journal that a delegation was accepted, and why its agent has it."""
        data = {
            "agent": kept.agent,
            "task": self.engine.digest(kept.task),
            "mode": kept.mode.value,
            "owner": kept.owner,
        }
        more = {"parent": kept.parent, "depth": kept.depth, "trace": kept.trace, "reasons": list(kept.decision)}
        self.engine.record(EventKind.DELEGATION_ACCEPTED, kept.id, {**data, **more})

    def in_place(self, order: Order) -> Order:
        """An agent that names no workspace means its own."""
        parent = self._live.get(order.owner.run)
        own = parent.kept.workspace if parent is not None else None
        if order.workspace is not None or own is None or own.origin is None:
            return order
        return replace(order, workspace=own.path)

    def _check(self, order: Order) -> None:
        if order.owner.run and not self._is_going_on(order.owner.run):
            raise DelegationError(f"the run {order.owner.run} that you work for is over")
        if order.owner.depth >= self.rules.depth:
            text = f"agents may delegate {self.rules.depth} deep (delegation.depth); do this piece of work yourself"
            raise DelegationError(text)
        if len(self._live) >= MOST_LIVE:
            raise DelegationError(f"{MOST_LIVE} delegations wait or work already; try again when some have ended")
        if order.schema is not None and (unusable := Checker(order.schema).unusable):
            raise DelegationError(f"outputSchema: {unusable}")
        parent = self._live.get(order.owner.run)
        if parent is not None and parent.kept.mode is AgentMode.READ and order.mode is AgentMode.WRITE:
            raise DelegationError("you may only read, and so may whom you delegate to; use mode read")
        if order.workspace is not None:
            # An agent works in a copy of a directory that was allowed: of that it may hand on what is in it, and no more.
            own = parent.kept.workspace if parent is not None else None
            check_place(order.workspace, self.rules.roots if own is None else [Path(own.path)])
        elif order.mode is AgentMode.WRITE:
            raise DelegationError("mode write needs a workspace: the directory of a git repository")

    def _left_of(self, run: str) -> dict[str, float]:
        parent = self._live.get(run)
        left = spending.left_of(parent, self.all_live) if parent is not None else {}
        if left.get("cost", 1) <= 0:
            raise DelegationError("nothing is left of the budget of the run that you work for")
        return left

    def carry_on(self, delegation: Delegation) -> None:
        """Set a delegation going, or going again."""
        self.set_going(delegation, self.carry(delegation))

    def carry(self, delegation: Delegation, doubt: tuple[str, str] | None = None) -> Coroutine[Any, Any, None]:
        """The whole of carrying it out; `doubt` is why somebody must be asked first whether to, and the evidence."""
        return self._carrier.carry(delegation, doubt)

    def finish(self, delegation: Delegation, ended: Ended) -> Coroutine[Any, Any, None]:
        """Put its end on record."""
        return self._carrier.finish(delegation, ended)

    def close(self, delegation: Delegation, ended: Ended, *, told: bool) -> Coroutine[Any, Any, None]:
        """Finish what is to be done after an end that is in the state file; `told`: the journal has it."""
        return self._carrier.close(delegation, ended, told=told)

    def set_going(self, delegation: Delegation, work: Coroutine[Any, Any, None]) -> None:
        """Have it worked at, in a task of its own."""
        run = delegation.kept.id
        self._live[run] = delegation
        task = self.engine.loop.create_task(work)
        self._tasks[run] = task
        task.add_done_callback(lambda done: self._over(delegation, done))

    def _over(self, delegation: Delegation, task: asyncio.Task[None]) -> None:
        run = delegation.kept.id
        self._tasks.pop(run, None)
        self._live.pop(run, None)
        self.steering.forget(run)
        self._ended[run] = delegation
        while len(self._ended) > KEPT_LIVE:
            del self._ended[next(iter(self._ended))]
        if not task.cancelled() and task.exception() is not None:
            self.engine.log.error("a delegation ended with an exception", run=run, error=repr(task.exception()))
        delegation.over.set()
        delegation.stir()

    # -- looking --------------------------------------------------------------------------------------------------

    def live(self, run: str, who: Principal | None) -> Delegation | None:
        """A delegation that this gateway carries out, or has not long ago; `who` None is the operator."""
        found = self._live.get(run) or self._ended.get(run)
        return found if found is not None and self._may(found.kept, who) else None

    async def find(self, run: str, who: Principal | None) -> Delegated:
        """A delegation as it is kept.

        Raises:
            LookupError: there is none of this id, for this principal.
        """
        found = self.live(run, who)
        kept = found.kept if found is not None else await self.store.find(run)
        if kept is None or not self._may(kept, who):
            raise LookupError(f"there is no run '{run[:LONGEST_ID]}' of yours; run_list tells which there are")
        return kept

    async def recent(self, who: Principal | None, limit: int) -> list[Delegated]:
        """The newest first."""
        kept = await self.store.recent(who.id if who is not None else None, limit)
        return [found.kept if (found := self._live.get(one.id)) is not None else one for one in kept]

    def open_questions(self, run: str | None = None) -> list[tuple[Delegation, OpenQuestion]]:
        """Every open question, of one run or of all."""
        chosen = [one for one in self._live.values() if run is None or one.kept.id == run]
        return [(one, waiting) for one in chosen for waiting in one.open.values()]

    def parent_of(self, kept: Delegated) -> Delegation | None:
        """The delegation whose agent delegated this one, while it is going on."""
        return self._live.get(kept.parent) if kept.parent is not None else None

    def working(self, agent: str) -> int:
        """How many delegations an agent has that are not over."""
        return sum(one.kept.agent == agent for one in self._live.values())

    @staticmethod
    def _may(kept: Delegated, who: Principal | None) -> bool:
        return who is None or kept.owner == who.id

    async def needs_no_workspace(self, run: str, since: float) -> bool:
        """Whether a run is unknown, or ended before a time (seconds since the epoch)."""
        kept = await self.store.find(run)
        return kept is None or (kept.ended is not None and kept.updated < since)

    # -- acting ---------------------------------------------------------------------------------------------------

    async def cancel(self, run: str, who: Principal | None, reason: str) -> Delegated:
        """Stop a run (what its agent delegated stops with it); returns once it is over."""
        kept = await self.find(run, who)
        delegation = self._live.get(run)
        if delegation is None:
            self.check_ours(kept)
            return kept
        delegation.cancel(reason)
        await delegation.over.wait()
        return delegation.kept

    def check_ours(self, kept: Delegated) -> None:
        """Raise LookupError where a run has not ended and is not ours to act on."""
        if kept.ended is None and kept.id not in self._live:
            text = f"run '{kept.id}' is carried out by another gateway on the same state file, or waits for one"
            raise LookupError(f"{text}; act on it there")

    def stop_children(self, run: str) -> None:
        """A run is over, and with it the principal that delegated on its behalf: so are its own delegations."""
        for other in [one for one in self._live.values() if one.kept.parent == run]:
            other.cancel(f"the run {run} that delegated it is over")

    async def _best_of(self, kept: Delegated) -> Delegated:
        """The run whose changes are meant: of one that compared several, the one that was chosen."""
        if not kept.compared:
            return kept
        if not kept.chosen:
            runs = ", ".join(f"{run} ({agent})" for run, agent in kept.compared.items())
            raise ValueError(f"run '{kept.id}' compares several, and none of them is chosen; choose one: {runs}")
        return await self.find(kept.chosen, None)

    async def changes(self, run: str, who: Principal | None) -> Changes:
        """What an agent changed. Raises LookupError, or ValueError where there is nothing to look at."""
        kept = await self._best_of(await self.find(run, who))
        if kept.workspace is None or kept.workspace.base is None:
            raise ValueError(f"run '{run}' has no workspace with changes to look at (mode {kept.mode.value})")
        return await self.workspaces.changes(kept.workspace)

    async def apply(self, run: str, who: Principal | None) -> Applied:
        """Bring the changes of a run that has ended into the tree they were made from."""
        kept = await self._best_of(await self.find(run, who))
        if kept.ended is None:
            raise ValueError(f"run '{run}' has not ended yet; its changes can be applied afterwards")
        if kept.mode is not AgentMode.WRITE or kept.workspace is None:
            raise ValueError(f"run '{run}' was a run in mode {kept.mode.value}: it keeps no changes")
        applied = await self.workspaces.apply(kept.workspace)
        data = {"files": list(applied.files), "conflicts": dict(applied.conflicts)}
        self.engine.record(EventKind.WORKSPACE_APPLIED, run, data)
        await self.engine.journal.commit()
        return applied

    # -- what delegations tell ------------------------------------------------------------------------------------

    def stirred(self, delegation: Delegation) -> None:
        """Something changed in a delegation."""
        self.hear(delegation)

    def used(self, delegation: Delegation) -> None:
        """The usage of a turn grew: a limit may be reached in the middle of it."""
        delegation.keep_usage()
        self.wages.used(delegation)
        over: Delegation | None = delegation
        while over is not None:  # what an agent delegates is paid for by whoever let it
            said = spending.overspent(over, self.all_live)
            if said and not over.stop.is_set():
                over.limit = TroubleKind.BUDGET
                over.cancel(said)
            over = self.parent_of(over.kept)

    def tell_question(self, delegation: Delegation, waiting: OpenQuestion) -> None:
        """Say in the log how a question can be answered."""
        if self.parent_of(delegation.kept) is not None:
            return  # its caller is told
        answer = f"mcp-orchestrator runs answer {delegation.kept.id} {waiting.key} accept|decline|cancel"
        self.engine.log.warning("an agent asks", run=delegation.kept.id, agent=delegation.kept.agent, answer=answer)

    # -- the end of the gateway -----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """The gateway ends: agents are ended with it; what was not over is taken up again at the next start."""
        self.stopping = True
        if self._beginning:
            await asyncio.wait(self._beginning.values(), timeout=5)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=15)
        for backend in self.agents.values():
            await backend.aclose()
