"""Large results of runs: what a client gets is bounded, the whole is kept and can be read by whoever made the call."""

from __future__ import annotations

import asyncio
import fnmatch
import hashlib
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from mcp_orchestrator.core.bounding import Fits, bounded, floor_of
from mcp_orchestrator.core.naming import dotted
from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.core.selecting import READER, SCHEME, run_of, select, unreadable
from mcp_orchestrator.core.translate.ranges import RANGE
from mcp_orchestrator.core.viewing import viewed
from mcp_orchestrator.model.call import Call, ClientFace, Era, Principal
from mcp_orchestrator.model.errors import RESOURCE_NOT_FOUND
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.model.plan import Plan
from mcp_orchestrator.model.results import UNBOUNDED, Bound, KeptResult
from mcp_orchestrator.model.snapshot import Snapshot

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run

MOST_KNOWN: Final = 4096
"""Tools whose bound and schema are remembered, so that they are worked out once."""

_KNOWS_LINKS: Final = "2025-06-18"
"""The first revision of MCP with `resource_link` (MCP 2025-06-18 changelog)."""

_FOR_APPS: Final = "ui://"
"""What is read from here is shown to people by apps, never to a model (MCP Apps 2026-01-26)."""

_encoder: Final = msgspec.json.Encoder()


class ResultStore(Protocol):
    """Keeps whole results for a while. Several gateways may share what is kept."""

    def look_after(self, keep: float, space: int) -> None:
        """Remove what is over from now on; results are kept for `keep` seconds, in `space` bytes."""
        ...

    def keep(self, kept: KeptResult, space: int) -> Awaitable[None]:
        """Keep one; what is kept for longer goes first when all of it takes more than `space` bytes.

        Raises:
            OSError: it could not be kept.
        """
        ...

    def find(self, run: str, now: float) -> Awaitable[KeptResult | None]:
        """The result of a run; None when there is none, or its time is over.

        Raises:
            OSError: it cannot be read.
        """
        ...


class Surrounding(Protocol):
    """What is needed of the engine."""

    @property
    def log(self) -> Any:
        """The log of the program."""
        ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def record(self, kind: EventKind, run: str | None, data: Mapping[str, Any]) -> None:
        """Queue an event."""
        ...


class Results:
    """The bounds of one snapshot over a store. `floor` is the length in bytes up to which nothing is looked at."""

    def __init__(self, snapshot: Snapshot, store: ResultStore, engine: Surrounding) -> None:
        self._spec = snapshot.results
        self._profiles = {name: spec.results for name, spec in snapshot.profiles.items() if spec.results}
        self._store = store
        self._engine = engine
        general = self._spec.inline
        tools = [bound for _, bound in self._spec.tools]
        self.floor = floor_of([general, *tools, *self._profiles.values()])
        self._bounds: dict[tuple[str | None, str, str], Bound] = {}
        self._schemas: dict[int, tuple[Any, Checker]] = {}

    def bound_for(self, call: Call, plan: Plan) -> Bound:
        """The bound of a call: the smaller one of its tool and of its profile, else the general one."""
        target = plan.target
        if target is None:
            return self._of(call.profile, "", "")
        logical = target.care.logical.name if target.care is not None and target.care.logical is not None else ""
        own = target.offer.dotted if target.offer is not None else dotted(target.backend, target.name)
        return self._of(call.profile, own, logical)

    def _of(self, profile: str | None, own: str, logical: str) -> Bound:
        key = (profile, own, logical)
        found = self._bounds.get(key)
        if found is None:
            names = [name for name in (logical, own) if name]
            fitting = (
                bound for glob, bound in self._spec.tools if any(fnmatch.fnmatchcase(one, glob) for one in names)
            )
            of_tool = next(fitting, UNBOUNDED)
            of_profile = self._profiles.get(profile, UNBOUNDED) if profile is not None else UNBOUNDED
            found = of_tool.and_also(of_profile).under(self._spec.inline)
            if len(self._bounds) < MOST_KNOWN:
                self._bounds[key] = found
        return found

    async def handed_on(self, run: Run, outcome: Completed) -> Outcome:
        """What the client of a run gets of its result; the whole is kept first where that is less.

        A whole that cannot be kept is handed on as it is: nothing of it may be lost.
        """
        call = run.call
        bound = self.bound_for(call, run.plan)
        if not bound or call.name.startswith((SCHEME, _FOR_APPS)) or call.name == READER or RANGE in call.meta:
            return outcome
        uri = f"{SCHEME}{run.id}"
        links = _knows_links(call.client)
        small = bounded(outcome.result, bound, uri, links=links, fits=self._fits(run.plan))
        if small is None:
            return outcome
        now = self._engine.now()
        whole = outcome.result
        digest = hashlib.sha256(whole).hexdigest()
        kept = KeptResult(run.id, owner_of(call.principal), call.method, now, now + self._spec.keep, digest, whole)
        try:
            await self._store.keep(kept, self._spec.space)
        except asyncio.CancelledError:
            return outcome  # the gateway is stopping
        except OSError as error:
            self._engine.log.warning(
                "a large result could not be kept; it is handed on whole", run=run.id, error=str(error)
            )
            return outcome
        said = {"uri": uri, "bytes": len(whole), "shown": len(small), "sha256": digest}
        self._engine.record(EventKind.RESULT_KEPT, run.id, said)
        return Completed(small, outcome.era, outcome.checked)

    def _fits(self, plan: Plan) -> Fits:
        offer = plan.target.offer if plan.target is not None else None
        care = plan.target.care if plan.target is not None else None
        schema: Any = offer.definition.get("outputSchema") if offer is not None else None
        if care is not None and care.logical is not None:
            schema = care.logical.output_schema
        if not isinstance(schema, Mapping):
            return _anything
        known = self._schemas.get(id(schema))
        if known is None or known[0] is not schema:
            known = (schema, Checker(schema))
            if len(self._schemas) < MOST_KNOWN:
                self._schemas[id(schema)] = known
        checker = known[1]
        return lambda value: not checker.faults(value)

    async def read(self, principal: Principal, profile: str | None, uri: str, meta: Mapping[str, Any]) -> Outcome:
        """The answer to `resources/read` of a result: for whoever made the call that it is of, and nobody else."""
        run = run_of(uri)
        try:
            kept = await self._store.find(run, self._engine.now()) if run else None
        except OSError as error:
            return Failed(FailureKind.INTERNAL, -32603, f"the result cannot be read: {error}", retryable=True)
        if kept is None or kept.owner != owner_of(principal):
            return _missing(uri, "there is no such result, or it is not kept any more")
        ranged = RANGE in meta
        bound = UNBOUNDED if ranged else self._of(profile, uri, "")
        try:
            found = select(kept.body, uri)
            return Completed(viewed(found, uri, bound, plain=ranged), Era.MODERN)
        except LookupError as error:
            return _missing(uri, str(error.args[0]))
        except (ValueError, RecursionError):
            return Completed(viewed(unreadable(kept.body, uri), uri, bound, plain=ranged), Era.MODERN)


def owner_of(principal: Principal) -> str:
    """Who may read a result: who called. An agent that works for a run is somebody else in the next run."""
    return _encoder.encode([principal.kind, principal.id, principal.run]).decode()


def _anything(_value: Any) -> bool:
    return True


def _knows_links(client: ClientFace) -> bool:
    return client.era is Era.MODERN or client.version >= _KNOWS_LINKS


def _missing(uri: str, why: str) -> Failed:
    text = f"Resource not found: {uri}: {why}"
    return Failed(FailureKind.UNKNOWN_NAME, RESOURCE_NOT_FOUND, text, {"uri": uri}, retryable=True)
