"""The gateway: what listeners and the command line talk to; plans every call and sets its run going."""

from __future__ import annotations

import asyncio
import functools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, assert_never

from mcp_orchestrator.core import faces, listing
from mcp_orchestrator.core.budgeting import budgeted
from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.core.plan import NOTHING_KNOWN, plan
from mcp_orchestrator.core.policing import NO_WORLD
from mcp_orchestrator.core.translate import ranges
from mcp_orchestrator.core.translate.questions import declined
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind, Offers
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import INTERNAL_ERROR, INVALID_PARAMS, REQUEST_TIMEOUT
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome, ToolRefusal
from mcp_orchestrator.model.plan import Plan, Reason, Target
from mcp_orchestrator.model.routing import Outlook
from mcp_orchestrator.model.snapshot import BackendSpec
from mcp_orchestrator.plugin_api import (
    ClientEvent,
    ListChanged,
    LogLine,
    Notice,
    OfferStore,
    Port,
    ResourceUpdated,
    RunHandle,
    SessionEvent,
    TaskChanged,
    TasksAgreed,
    View,
)
from mcp_orchestrator.runtime.announcements import Announcements
from mcp_orchestrator.runtime.budgets import seen
from mcp_orchestrator.runtime.engine import Engine
from mcp_orchestrator.runtime.generation import Generation
from mcp_orchestrator.runtime.homeward import cut
from mcp_orchestrator.runtime.links import Links
from mcp_orchestrator.runtime.lives import LifeKey
from mcp_orchestrator.runtime.outside import Outside
from mcp_orchestrator.runtime.policing import Policing
from mcp_orchestrator.runtime.record import Supervised
from mcp_orchestrator.runtime.run import Run
from mcp_orchestrator.runtime.subscriptions import Subscriptions
from mcp_orchestrator.runtime.supervisor import Supervisor
from mcp_orchestrator.runtime.task_calls import TaskCalls
from mcp_orchestrator.runtime.task_news import TaskNews

_SHARED: Final = Reason("route", "one subscription serves all clients that use the same session of the server")
FACE_WAIT: Final = 1.0
"""Seconds that the first answer to a client waits for backends that nobody has seen yet. Claude Code 2.1 gives a probe up
after 2.9 s, Codex 0.169 begins its work without a server that is not there after about 1 s (2026-11-22)."""

REFRESH_AT_ONCE: Final = 3
"""Backends that are started at the same time only to look at their offers."""


class Gateway:
    """Implements `GatewayDoor` for listeners and `Hooks` for supervisors."""

    def __init__(
        self,
        engine: Engine,
        generation: Generation,
        store: OfferStore,
        fingerprint: Callable[[BackendSpec], str],
        server_info: Mapping[str, Any],
    ) -> None:
        self.engine = engine
        self.generation = generation
        self.announcements = Announcements()
        self.subscriptions = Subscriptions(self._supervisor, self.announcements.to_session, random.random)
        self.outside = Outside(self.announcements, engine.addressees, self._sees, self._has_own)
        self.policing = engine.policing = Policing(engine, lambda: self.generation)
        self.links = Links()
        engine.for_the_way = self._for_the_way
        engine.supervisor_of = self._supervisor
        self.task_calls = TaskCalls(engine, lambda: self.generation)
        self.task_news = TaskNews(engine, lambda: self.generation, self.announcements.to_session)
        self._store = store
        self._fingerprint = fingerprint
        self._server_info = server_info
        self._saving: set[asyncio.Task[None]] = set()
        self._ports: dict[str, tuple[Port, View]] = {}
        self._few_at_once = asyncio.Semaphore(REFRESH_AT_ONCE)
        self.steer: Callable[[Plan, Call], Plan] | None = None

    # -- GatewayDoor ----------------------------------------------------------------------------------------------

    @property
    def server_info(self) -> Mapping[str, Any]:
        """Our name and version."""
        return self._server_info

    def has_profile(self, profile: str) -> bool:
        """Whether the configuration has this profile."""
        return profile in self.generation.snapshot.profiles

    async def face(self, view: View) -> tuple[Mapping[str, Any], str | None]:
        """Merged capabilities and instructions."""
        if self.generation.stale:
            self._refresh(self.generation)
        generation = await self._known(FACE_WAIT)
        generation.look_in(view.era)
        sources = generation.catalog(view.era, view.profile).shown
        more = bool(generation.waiting)
        return faces.capabilities(sources, view.era, more_to_come=more), faces.instructions(sources)

    async def listing(self, view: View, kind: OfferKind, cursor: str | None) -> bytes | Failed:
        """One page of a list."""
        generation = self.generation
        if generation.stale:
            self._refresh(generation)
        if generation.waiting:
            generation = await self._known()
        catalog = generation.catalog(view.era, view.profile)
        size, stamps = generation.snapshot.page_size, self.engine.stamps
        hidden = self.policing.hidden(catalog, kind, view)
        return listing.page(catalog, kind, cursor, size, stamps, apps=view.apps, who=view.principal, hidden=hidden)

    def header_schema(self, view: View, tool: str) -> Mapping[str, Any] | None:
        """The input schema of a tool that asks for `Mcp-Param-*` headers."""
        prepared = self.generation.catalog(view.era, view.profile).tool(tool)
        if prepared is None or not prepared.asks_headers or not self.policing.shows(prepared.offer, view):
            return None
        schema = prepared.offer.definition.get("inputSchema")
        return schema if isinstance(schema, Mapping) else None

    def plan(self, call: Call, only: str = "", *, binding: bool = False) -> Plan:
        """Decide about a call from what is known now; `only` is the one provider of a logical tool that may be taken.

        With `binding`, what budgets have not enough left for, as far as is known, is refused by the plan already.
        """
        generation = self.generation
        catalog = generation.catalog(call.client.era, call.profile)
        outlook = self._outlook(catalog, call) if generation.shaping.logical else NOTHING_KNOWN
        world = self.policing.world() if generation.rules.policy is not None else NO_WORLD
        decided = plan(call, catalog, generation.rules, self.links.owner, outlook=outlook, only=only, world=world)
        if self.steer is not None:
            decided = self.steer(decided, call)
        if generation.rules.budgets is not None:
            decided = budgeted(decided, call, generation.rules.budgets, seen(self.engine, binding=binding))
        refusal = decided.refusal
        if isinstance(refusal, Failed) and refusal.kind is FailureKind.UNKNOWN_NAME:
            text, data = generation.why_unknown(call.name)
            if text:
                refusal = Failed(FailureKind.UNAVAILABLE, INTERNAL_ERROR, text, data, retryable=True)
                return Plan(None, refusal, (*decided.reasons, Reason("catalog", text)))
        return decided

    def start(self, call: Call, port: Port) -> RunHandle:
        """Plan a call and start its run, or go on with one that has asked this client; or answer about a task."""
        if call.kind is CallKind.TASK:
            return self.task_calls.start(call, port)
        state = call.params.get("requestState")
        if state is not None and call.client.era is Era.MODERN:
            return self._go_on(call, port, state)
        return self._start(call, port)

    def _go_on(self, call: Call, port: Port, state: object) -> Run:
        """A retry with answers: back to the run that is parked, or on to the backend with the state it gave."""
        try:
            kept = self.engine.opened(call, state if isinstance(state, str) else "")
        except ValueError as error:
            return self._refuse(call, port, f"Invalid requestState: {error}")
        if not kept.run:
            if kept.state is None:
                del call.params["requestState"]
            else:
                call.params["requestState"] = kept.state
            return self._start(call, port, kept.backend)
        run = self.engine.lot.find(kept.run, call.principal)
        if run is None:
            text = "the call it belongs to is over or was lost with an earlier gateway; it was not repeated"
            return self._refuse(call, port, f"Invalid requestState: {text}")
        refused = run.resume(kept, call.params.get("inputResponses"), port)
        if refused:
            return self._refuse(call, port, f"Invalid retry: {refused}")
        self.engine.tasks.may_become(run)
        return run

    def _refuse(self, call: Call, port: Port, text: str) -> Run:
        failed = Failed(FailureKind.INVALID, INVALID_PARAMS, text)
        return self.engine.start(call, Plan(None, failed, (Reason("identity", text),)), port, None)

    def _start(self, call: Call, port: Port, only: str | None = None) -> Run:
        generation = self.generation
        provider = only if only is not None and "." in only else ""
        decided = self.plan(call, provider)
        if call.kind is CallKind.SUBSCRIPTION and call.client.session is not None:
            return self.engine.start_late(call, port, self._subscribed)
        if generation.waiting and not self._certain(decided, call):
            return self.engine.start_late(call, port, functools.partial(self._plan_when_known, only=provider))
        if only is not None and decided.target is not None and only not in _names_of(decided.target):
            return self._refuse(call, port, "Invalid requestState: the tool belongs to another server by now")
        supervisor = generation.supervisors[decided.target.backend] if decided.target is not None else None
        return self.engine.start(call, decided, port, supervisor)

    def watch(self, view: View, session: str | None, hear: Callable[[ClientEvent], None]) -> Callable[[], None]:
        """Hear what changes."""
        return self.announcements.watch(view, session, hear)

    def follow_tasks(
        self, view: View, client: ClientFace, tasks: Sequence[str], hear: Callable[[ClientEvent], None]
    ) -> tuple[list[str], Callable[[], None]]:
        """Hear how tasks go on."""
        return self.task_news.follow(view.principal, client, tasks, hear)

    def session_opened(self, client: ClientFace, view: View, port: Port) -> None:
        """A legacy client is there: offers in its era are worth having."""
        if client.session is not None:
            self._ports[client.session] = port, replace(view, client=client)
        self.generation.look_in(view.era)

    def session_closed(self, session: str) -> None:
        """A legacy client is gone."""
        self._ports.pop(session, None)
        self.subscriptions.session_gone(session)
        self.engine.tasks.session_gone(session)
        for supervisor in self.generation.supervisors.values():
            supervisor.client_gone(session)

    async def client_notified(self, session: str, method: str, params: Mapping[str, Any]) -> None:
        """Pass a client's notification to the backend sessions that are its own."""
        for supervisor in self.generation.supervisors.values():
            own = supervisor.open_session(Era.LEGACY, session)
            if own is not None:
                await own.notify(method, params)

    # -- Hooks ----------------------------------------------------------------------------------------------------

    def offers_changed(self, supervisor: Supervised, offers: Offers, kinds: frozenset[OfferKind]) -> None:
        """A backend's offers are new: drop what was made of the old ones, tell watchers, remember on disk."""
        if supervisor.spec.name != OWN:
            self._save(self._store.save(self._fingerprint(supervisor.spec), offers))
        if self.generation.supervisors.get(supervisor.spec.name) is not supervisor:
            return
        self.generation.offers_changed()
        if kinds:
            self.announcements.lists_changed(kinds)
            data = {"backends": [supervisor.spec.name], "kinds": sorted(kind.value for kind in kinds)}
            self.engine.record(EventKind.CATALOG_CHANGED, None, data)

    def era_known(self, supervisor: Supervised, era: Era, works: bool) -> None:
        """Remember a verdict on disk."""
        if supervisor.spec.name != OWN:
            self._save(self._store.save_era(self._fingerprint(supervisor.spec), era, works))

    def heard(self, supervisor: Supervised, key: LifeKey, event: SessionEvent) -> None:
        """A backend session spoke outside of any call."""
        backend = supervisor.spec.name
        match event:
            case ResourceUpdated():
                self.subscriptions.heard(backend, key, event)
            case TaskChanged(params):
                self.task_news.heard(backend, params)
            case TasksAgreed(tasks):
                self.engine.tasks.pushes.agreed(backend, tasks)
            case LogLine() | Notice():
                self.outside.heard(backend, key, event)
            case ListChanged():
                pass  # its supervisor looks at the list, and tells when it has
            case _:
                assert_never(event)

    async def asked(self, backend: str, client: str, question: Question) -> Answer:
        """Put a question to a client outside of any of its calls."""
        port, view = self._ports.get(client) or (None, None)
        allowed = await self.policing.vetted_outside(question, backend, view)
        answer = await port.ask(allowed) if port is not None and allowed is not None else None
        return answer or declined(question)

    def noted(self, supervisor: Supervised, what: str, data: Mapping[str, Any]) -> None:
        """Journal and log."""
        if supervisor.spec.name == OWN:
            return
        self.engine.record(EventKind(what), None, data)
        level = self.engine.log.info if what == EventKind.BACKEND_READY else self.engine.log.warning
        level(what, **data)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _for_the_way(self, call: Call, target: Target, outcome: Outcome) -> Outcome:
        self.engine.addressees.refused(call, target.backend, outcome)
        if call.method == "resources/read" and ranges.RANGE in call.meta:
            outcome = cut(call, outcome)
        catalog = self.generation.catalog(call.client.era, call.profile)
        return self.links.for_the_way(catalog, call, target, outcome)

    def _sees(self, view: View, backend: str) -> bool:
        shown = self.generation.catalog(view.era, view.profile).shown
        return any(source.backend == backend for source in shown)

    def _has_own(self, backend: str, session: str) -> bool:
        supervisor = self._supervisor(backend)
        return supervisor is not None and supervisor.open_session(Era.LEGACY, session) is not None

    def _supervisor(self, name: str) -> Supervisor | None:
        return self.generation.supervisors.get(name)

    def _outlook(self, catalog: Catalog, call: Call) -> Outlook:
        """How the providers of the tool that is called stand, where it is a logical one."""
        prepared = catalog.tool(call.name) if call.kind is CallKind.TOOL else None
        if prepared is None or prepared.logical is None:
            return NOTHING_KNOWN
        return self.engine.health.outlook(self.generation.down(prepared.logical.backends, self.engine.clock()))

    def _certain(self, decided: Plan, call: Call) -> bool:
        """Whether what is still unknown of other servers cannot change a plan: the call names a listed thing in full."""
        if decided.others is not None:
            return not any(supervisor.spec.name in decided.others.backends for supervisor in self.generation.waiting)
        if decided.target is None:
            return isinstance(decided.refusal, Completed | ToolRefusal)
        offer = decided.target.offer
        return offer is not None and offer.public == call.name

    def _refresh(self, generation: Generation) -> None:
        """A client looks at the catalog: look anew, behind its answer, at backends that are only remembered."""
        generation.stale = False

        async def one(supervisor: Supervisor) -> None:
            async with self._few_at_once:
                await supervisor.refresh()

        for supervisor in generation.supervisors.values():
            if supervisor.record.stale:
                self._save(one(supervisor))

    async def _known(self, at_most: float = math.inf) -> Generation:
        generation = self.generation
        await generation.wait_known(min(generation.snapshot.list_wait, at_most), self.engine.clock())
        return generation

    async def _plan_when_known(self, call: Call, only: str = "") -> tuple[Plan, Supervisor | None]:
        """Plan anew with each backend that becomes known: an early call is not refused, or misled, for being early."""
        while True:
            decided = self.plan(call, only)
            generation = self.generation
            patience = generation.snapshot.list_wait
            if self._certain(decided, call):
                known = False
            else:
                known = await generation.wait_known(patience, self.engine.clock(), first=True)
                named = None if known or decided.target is not None else generation.awaited(call.name, decided.others)
                if named is not None and not named.record.settled:
                    # The call names this server: it is waited for as long as its start may take.
                    await named.settled.wait()
                    known = True
            if not known:
                target = decided.target
                return decided, self.generation.supervisors[target.backend] if target is not None else None

    async def _subscribed(self, call: Call) -> tuple[Plan, Supervisor | None]:
        """Carry out a subscription or its end, together with those of other clients; the outcome is the plan."""
        decided = self.plan(call)
        if decided.target is None and self.generation.waiting:
            decided, _ = await self._plan_when_known(call)
        target = decided.target
        if target is None:
            return decided, None
        refused = await self.policing.approved_alone(call, decided)
        if refused is not None:
            return Plan(None, refused, decided.reasons), None
        supervisor = self.generation.supervisors[target.backend]
        work = self.subscriptions.carry_out(supervisor, call.client, call.method, target.name, call.name)
        try:
            outcome = await asyncio.wait_for(work, target.timeout)
        except TimeoutError:
            text = f"server '{target.backend}' gave no answer within {target.timeout:g} s"
            outcome = Failed(FailureKind.TIMEOUT, REQUEST_TIMEOUT, text)
        reason = Reason("route", outcome.message) if isinstance(outcome, Failed) else _SHARED
        return Plan(None, outcome, (*decided.reasons, reason)), None

    def _save(self, work: Any) -> None:
        task: asyncio.Task[None] = self.engine.loop.create_task(work)
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def settle_down(self) -> None:
        """Wait until what was to be remembered is."""
        if self._saving:
            await asyncio.wait(self._saving, timeout=5)


def _names_of(target: Target) -> tuple[str, ...]:
    """Under which names a state of this target's is kept: its server's, or as a provider."""
    return (target.backend,) if target.care is None else (target.backend, target.care.provider)
