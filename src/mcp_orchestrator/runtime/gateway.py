"""The gateway: what listeners and the command line talk to; plans every call and sets its run going."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_orchestrator.core import faces, listing
from mcp_orchestrator.core.eras import own_session
from mcp_orchestrator.core.plan import plan
from mcp_orchestrator.core.translate.questions import declined
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Invocation
from mcp_orchestrator.model.catalog import OfferKind, Offers
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import INVALID_PARAMS
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.model.plan import Plan, Reason
from mcp_orchestrator.model.snapshot import BackendSpec
from mcp_orchestrator.plugin_api import ClientEvent, OfferStore, Port, ResourceUpdated, SessionEvent, View
from mcp_orchestrator.runtime.announcements import Announcements
from mcp_orchestrator.runtime.engine import Engine
from mcp_orchestrator.runtime.generation import Generation
from mcp_orchestrator.runtime.lives import Nobody, plain_client
from mcp_orchestrator.runtime.record import Supervised
from mcp_orchestrator.runtime.run import Run
from mcp_orchestrator.runtime.supervisor import Supervisor

_OTHERS_LISTEN: Final = Reason("route", "other clients still hear of this resource: the server's subscription stays")


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
        self._store = store
        self._fingerprint = fingerprint
        self._server_info = server_info
        self._saving: set[asyncio.Task[None]] = set()
        self._ports: dict[str, Port] = {}
        self._few_at_once = asyncio.Semaphore(REFRESH_AT_ONCE)

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
        generation = await self._known()
        generation.look_in(view.era)
        sources = generation.catalog(view.era, view.profile).sources
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
        return listing.page(catalog, kind, cursor, generation.snapshot.page_size)

    def header_schema(self, view: View, tool: str) -> Mapping[str, Any] | None:
        """The input schema of a tool that asks for `Mcp-Param-*` headers."""
        prepared = self.generation.catalog(view.era, view.profile).tool(tool)
        if prepared is None or not prepared.asks_headers:
            return None
        schema = prepared.offer.definition.get("inputSchema")
        return schema if isinstance(schema, Mapping) else None

    def plan(self, call: Call) -> Plan:
        """Decide about a call from what is known now."""
        generation = self.generation
        return plan(call, generation.catalog(call.client.era, call.profile), generation.rules)

    def start(self, call: Call, port: Port) -> Run:
        """Plan a call and start its run, or go on with one that has asked this client."""
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
        return self._refuse(call, port, f"Invalid retry: {refused}") if refused else run

    def _refuse(self, call: Call, port: Port, text: str) -> Run:
        failed = Failed(FailureKind.INVALID, INVALID_PARAMS, text)
        return self.engine.start(call, Plan(None, failed, (Reason("identity", text),)), port, None)

    def _start(self, call: Call, port: Port, only: str | None = None) -> Run:
        generation = self.generation
        decided = self.plan(call)
        if call.method == "resources/unsubscribe" and self._still_wanted(call):
            decided = Plan(None, Completed(b"{}", Era.LEGACY), (*decided.reasons, _OTHERS_LISTEN))
        elif decided.target is None and generation.waiting:
            return self.engine.start_late(call, port, self._plan_when_known)
        if only is not None and decided.target is not None and decided.target.backend != only:
            return self._refuse(call, port, "Invalid requestState: the tool belongs to another server by now")
        supervisor = generation.supervisors[decided.target.backend] if decided.target is not None else None
        run = self.engine.start(call, decided, port, supervisor)
        if call.kind is CallKind.SUBSCRIPTION and call.client.session is not None:
            self._after(run, call, call.client.session)
        return run

    def watch(self, view: View, session: str | None, hear: Callable[[ClientEvent], None]) -> Callable[[], None]:
        """Hear what changes."""
        return self.announcements.watch(view, session, hear)

    def session_opened(self, client: ClientFace, view: View, port: Port) -> None:
        """A legacy client is there: offers in its era are worth having."""
        if client.session is not None:
            self._ports[client.session] = port
        self.generation.look_in(view.era)

    def session_closed(self, session: str) -> None:
        """A legacy client is gone."""
        self._ports.pop(session, None)
        for uri in self.announcements.session_gone(session):
            self._withdraw(uri)
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
        self._save(self._store.save(self._fingerprint(supervisor.spec), offers))
        if kinds and self.generation.supervisors.get(supervisor.spec.name) is supervisor:
            self.generation.offers_changed()
            self.announcements.lists_changed(kinds)
            data = {"backends": [supervisor.spec.name], "kinds": sorted(kind.value for kind in kinds)}
            self.engine.record(EventKind.CATALOG_CHANGED, None, data)

    def era_known(self, supervisor: Supervised, era: Era, works: bool) -> None:
        """Remember a verdict on disk."""
        self._save(self._store.save_era(self._fingerprint(supervisor.spec), era, works))

    def heard(self, supervisor: Supervised, client: str | None, event: SessionEvent) -> None:
        """A backend session spoke outside of any call."""
        if isinstance(event, ResourceUpdated):
            catalog = self.generation.catalog(Era.LEGACY if client is not None else Era.MODERN, None)
            uri = event.params.get("uri")
            if isinstance(uri, str):
                public = catalog.public_resource(supervisor.spec.name, uri)
                event = ResourceUpdated({**event.params, "uri": public})
            self.announcements.resource_updated(event, client)
        elif client is not None:
            self.announcements.to_session(client, event)

    async def asked(self, client: str, question: Question) -> Answer:
        """Put a question to a client outside of any of its calls."""
        port = self._ports.get(client)
        answer = await port.ask(question) if port is not None else None
        return answer or declined(question)

    def noted(self, _supervisor: Supervised, what: str, data: Mapping[str, Any]) -> None:
        """Journal and log."""
        self.engine.record(EventKind(what), None, data)
        level = self.engine.log.info if what == EventKind.BACKEND_READY else self.engine.log.warning
        level(what, **data)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _refresh(self, generation: Generation) -> None:
        """A client looks at the catalog: look anew, behind its answer, at backends that are only remembered."""
        generation.stale = False

        async def one(supervisor: Supervisor) -> None:
            async with self._few_at_once:
                await supervisor.refresh()

        for supervisor in generation.supervisors.values():
            if supervisor.record.stale:
                self._save(one(supervisor))

    async def _known(self) -> Generation:
        generation = self.generation
        await generation.wait_known(generation.snapshot.list_wait, self.engine.clock())
        return generation

    async def _plan_when_known(self, call: Call) -> tuple[Plan, Supervisor | None]:
        """Plan again once every backend is known or has failed: an early call is not refused for being early."""
        await self._known()
        decided = self.plan(call)
        target = decided.target
        return decided, self.generation.supervisors[target.backend] if target is not None else None

    def _withdraw(self, uri: str) -> None:
        """Nobody hears of a resource any more: end its subscription on the shared sessions that are open."""
        found = self.generation.catalog(Era.LEGACY, None).resource(uri)
        supervisor = self.generation.supervisors.get(found[0]) if found is not None else None
        if found is None or supervisor is None:
            return
        for era in Era:
            session = supervisor.open_session(era, None)
            if session is not None:
                request = Invocation("", "resources/unsubscribe", {"uri": found[1]}, {}, plain_client(era))
                self._save(session.invoke(request, Nobody()))

    def _still_wanted(self, call: Call) -> bool:
        """Whether somebody else hears of this resource through the session that both share."""
        session = call.client.session
        shared = session is not None and own_session(call.client) is None
        return shared and self.announcements.others_want(session or "", call.name)

    def _after(self, run: Run, call: Call, session: str) -> None:
        """Note a subscription once the backend has agreed to it."""

        async def note() -> None:
            if isinstance(await run.outcome(), Completed):
                if call.method == "resources/subscribe":
                    self.announcements.subscribe(session, call.name)
                else:
                    self.announcements.unsubscribe(session, call.name)

        self._save(note())

    def _save(self, work: Any) -> None:
        task: asyncio.Task[None] = self.engine.loop.create_task(work)
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def settle_down(self) -> None:
        """Wait until what was to be remembered is."""
        if self._saving:
            await asyncio.wait(self._saving, timeout=5)
