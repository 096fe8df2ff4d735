"""Which agent takes a delegation, by the routes of the configuration: the first that fits, and within it whoever can.

Pure: what is known of the world (who is benched, how many runs an agent has, what is left of budgets) is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mcp_orchestrator.core.conditions import Condition, Conditions, Fault, Wrong
from mcp_orchestrator.core.delegating import MICRO, Choice, choose
from mcp_orchestrator.core.expressions import expression
from mcp_orchestrator.core.matching import Patterns
from mcp_orchestrator.model.agent import AgentMode, AgentSpec
from mcp_orchestrator.model.agent_routes import AgentRoute, Order, RouteMatch, Standing
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.plan import Reason

VARIABLES: Final[Mapping[str, str]] = {
    "args": "MAP",
    "labels": "LIST",
    "mode": "STRING",
    "principal.id": "STRING",
    "principal.kind": "STRING",
    "principal.owner": "STRING",
    "principal.groups": "LIST",
    "principal.team": "STRING",
    "client.name": "STRING",
    "profile": "STRING",
    "context.id": "STRING",
    "run.depth": "INT",
    "budget.left_usd": "DOUBLE",
    "now": "TIMESTAMP",
}
"""What the `when:` of a route may read."""

_UNKNOWN: Final = Standing()


@dataclass(frozen=True, slots=True)
class Wanted:
    """One delegation as routes see it. `args` are the arguments of `delegate`.

    `places` are the directory that is named, links resolved, and those that it is a copy of. `left` is what is left of
    the budgets that the run is under, in micro-dollars (None: no limit).
    """

    task: str
    mode: AgentMode
    principal: Principal
    labels: tuple[str, ...] = ()
    agent: str | None = None
    places: tuple[str, ...] = ()
    client: str = ""
    profile: str = ""
    context: str = ""
    left: int | None = None
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """What is known now: the agents that are not disabled, in the order of the file, and how each stands.

    `now` is seconds since the epoch. No budget has enough left for agents that are `dear`. `forbids` says why a principal may not have an agent ("": it may).
    """

    agents: Sequence[AgentSpec]
    standings: Mapping[str, Standing]
    now: float
    forbids: Callable[[AgentSpec], str] = lambda _spec: ""
    dear: Collection[str] = ()

    def standing(self, name: str) -> Standing:
        """How an agent stands."""
        return self.standings.get(name, _UNKNOWN)

    def benched(self, name: str) -> str:
        """Why an agent is left out for now; "" when it is not."""
        found = self.standing(name)
        left = found.benched_until - self.now
        return f"on the bench for another {_time(left)}: {found.why}" if left > 0 else ""


class Routes:
    """The routes of one configuration, prepared once.

    Raises:
        ValueError: a route has a condition or expression that is none; the configuration refuses such a file.
    """

    def __init__(self, routes: Sequence[AgentRoute] = ()) -> None:
        self._conditions = Conditions()
        self._compiled = [_Compiled(route, self._conditions) for route in routes]
        self._by_id = {route.id: route for route in routes}

    def __bool__(self) -> bool:
        return bool(self._compiled)

    @property
    def labels(self) -> frozenset[str]:
        """The labels that routes ask for."""
        return frozenset(label for one in self._compiled for label in one.route.match.labels)

    def get(self, name: str) -> AgentRoute | None:
        """A route by its id."""
        return self._by_id.get(name)

    def choose(self, wanted: Wanted, world: World) -> Choice:
        """The agent that takes a delegation and the route that it comes by, or why none does."""
        found = self._first(wanted)
        if isinstance(found, Choice):
            return found
        route, reasons = found
        if wanted.agent is not None or route is None:
            return _without(route, wanted, world, reasons)
        if route.compare:
            return _compared(route, wanted, world, reasons)
        picked = pick(route, wanted, world)
        why = (*reasons, *picked.reasons)
        if picked.refusal:
            return Choice(None, why, picked.refusal)
        return replace(picked, reasons=why, route=route)

    def _first(self, wanted: Wanted) -> tuple[AgentRoute | None, tuple[Reason, ...]] | Choice:
        """The first route that fits. One that cannot be decided refuses: the work could be meant for that one alone."""
        if not self._compiled:
            return None, ()
        circumstances = None
        for one in self._compiled:
            if not one.fits(wanted):
                continue
            route = one.route
            if one.condition is not None:
                if circumstances is None:
                    circumstances = self._conditions.circumstances(VARIABLES, _values(wanted))
                held = one.condition.judge(circumstances)
                if isinstance(held, Fault):
                    text = f"route '{route.id}' cannot be decided: {held.text} ({route.where})"
                    return Choice(None, (Reason("route", text, route.id, route.where),), text)
                if not held:
                    continue
            text = f"route '{route.id}' is the first that fits: {', '.join(route.to)}"
            return route, (Reason("route", text, route.id, route.where),)
        return None, (Reason("route", "no route fits: as without any"),)


class _Compiled:
    """One route that can be asked."""

    def __init__(self, route: AgentRoute, conditions: Conditions) -> None:
        match = route.match
        self.route = route
        self.condition: Condition | None = None
        if route.when:
            made = conditions.compile(route.when, VARIABLES)
            if isinstance(made, Wrong):
                raise ValueError(f"route '{route.id}': {made.message}")
            self.condition = made
        self._labels = frozenset(match.labels)
        self._globs = Patterns([one for one in match.task if _regex(one) is None])
        self._searches = [expression(text) for one in match.task if (text := _regex(one)) is not None]
        self._workspace, self._principal = Patterns(match.workspace), Patterns(match.principal)
        self._group, self._client, self._context = (Patterns(one) for one in (match.group, match.client, match.context))

    def fits(self, wanted: Wanted) -> bool:
        """Whether the plain part fits."""
        match, who = self.route.match, wanted.principal
        ids = (who.id, who.owner) if who.owner else (who.id,)
        places = [*wanted.places, *(f"{one}/" for one in wanted.places)]
        return (
            self._labels <= set(wanted.labels)
            and match.mode in ("", wanted.mode.value)
            and self._principal.fit_one_of(ids)
            and self._group.fit_one_of(who.groups)
            and self._client.fit(wanted.client)
            and self._context.fit(wanted.context)
            and self._workspace.fit_one_of(places)
            and self._fits_task(wanted.task)
        )

    def _fits_task(self, task: str) -> bool:
        if not self.route.match.task:
            return True
        if not self._globs.any and self._globs.fit(task):
            return True
        whole = task.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return any(one.search(whole) is not None for one in self._searches)


def trouble(match: RouteMatch) -> tuple[str, str] | None:
    """The first expression of a match that is none, with what is wrong; None when all are right."""
    for one in match.task:
        text = _regex(one)
        if text is None:
            continue
        try:
            expression(text)
        except ValueError as error:
            return one, str(error)
    return None


def _regex(pattern: str) -> str | None:
    """What stands between the slashes; None for a glob."""
    enclosed = len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/")  # noqa: PLR2004 - two slashes
    return pattern[1:-1] if enclosed else None


def pick(route: AgentRoute, wanted: Wanted, world: World, tried: Sequence[str] = ()) -> Choice:
    """The first agent of a route that can take a delegation, without those that have tried it; with every reason.

    One that is busy is passed over for one that is free. When all that could are busy the first of them is waited for.
    """
    reasons: list[Reason] = []
    busy: list[AgentSpec] = []
    specs = {spec.name: spec for spec in world.agents}
    for name in _ordered(route, world):
        if name in tried:
            continue
        spec = specs.get(name)
        why = "it is disabled, or not in the configuration" if spec is None else _unfit(spec, route, wanted, world)
        if spec is None or why:
            reasons.append(Reason("route", f"{name} is passed over: {why}", route.id, route.where))
            continue
        working = world.standing(name).working
        if working >= spec.max_runs:
            busy.append(spec)
            text = f"{name} is passed over: it has {working} runs, its limit is {spec.max_runs}"
            reasons.append(Reason("route", text, route.id, route.where))
            continue
        reasons.append(Reason("route", f"{name} takes it{_by(route, name, world)}", route.id, route.where))
        return Choice(spec, tuple(reasons))
    if busy:
        text = f"all that could are busy: it waits for {busy[0].name}"
        return Choice(busy[0], (*reasons, Reason("route", text, route.id, route.where)))
    told = "; ".join(reason.text for reason in reasons) or "all have tried it"
    return Choice(None, tuple(reasons), f"no agent of route '{route.id}' ({route.where}) can take this: {told}")


def _compared(route: AgentRoute, wanted: Wanted, world: World, before: tuple[Reason, ...]) -> Choice:
    """The agents that are to be compared: as many as the route says, or as there are. One alone is no comparison."""
    found: list[AgentSpec] = []
    reasons = list(before)
    picked = pick(route, wanted, world)
    while picked.agent is not None and len(found) < route.compare:
        found.append(picked.agent)
        reasons += [one for one in picked.reasons if one not in reasons]
        picked = pick(route, wanted, world, [spec.name for spec in found])
    if not found:
        return Choice(None, (*reasons, *picked.reasons), picked.refusal)
    if len(found) < route.compare:
        reasons += [one for one in picked.reasons if one not in reasons]
    if len(found) == 1:
        text = f"there is nobody to compare {found[0].name} with"
        return Choice(found[0], (*reasons, Reason("route", text, route.id, route.where)), route=route)
    text = f"{', '.join(spec.name for spec in found)} are compared"
    reasons.append(Reason("route", text, route.id, route.where))
    return Choice(found[0], tuple(reasons), route=route, several=tuple(found))


def _unfit(spec: AgentSpec, route: AgentRoute, wanted: Wanted, world: World) -> str:
    if wanted.mode is AgentMode.WRITE and spec.most_mode is AgentMode.READ:
        return f"it may only read ({spec.where or 'its configuration'})"
    lacking = [one for one in wanted.labels if one not in spec.labels and one not in route.match.labels]
    if lacking:
        return f"it does not have the label {lacking[0][:100]}"
    if spec.name in world.dear:
        return "no budget has enough left for it"
    return world.forbids(spec) or world.benched(spec.name)


def _ordered(route: AgentRoute, world: World) -> Sequence[str]:
    match route.strategy:
        case Order.ORDER:
            return route.to
        case Order.IDLE:
            return sorted(route.to, key=lambda name: world.standing(name).working)
        case Order.CHEAPEST:
            # A price that nobody measured is never taken for nothing.
            costs = {name: world.standing(name).cost for name in route.to}
            return sorted(route.to, key=lambda name: math.inf if (cost := costs[name]) is None else cost)


def _by(route: AgentRoute, name: str, world: World) -> str:
    found = world.standing(name)
    match route.strategy:
        case Order.ORDER:
            return ""
        case Order.IDLE:
            return f", with {found.working} runs"
        case Order.CHEAPEST:
            return ", its cost is not known" if found.cost is None else f", at ${found.cost / MICRO:.4f} a run"


def _without(route: AgentRoute | None, wanted: Wanted, world: World, reasons: tuple[Reason, ...]) -> Choice:
    """The agent that was named, or the one that is taken where no route fits; those on the bench come last."""
    waiting = (
        {} if wanted.agent is not None else {one.name: why for one in world.agents if (why := world.benched(one.name))}
    )
    ranked = sorted((one for one in world.agents if one.name not in world.dear), key=lambda spec: spec.name in waiting)
    chosen = choose(ranked, wanted.agent, wanted.labels, wanted.mode)
    taken = chosen.agent.name if chosen.agent is not None else None
    more = tuple(
        Reason("route", f"{name} is passed over: {why}") for name, why in waiting.items() if taken and name != taken
    )
    kept = route if chosen.agent is not None and wanted.agent is not None and route is not None else None
    if kept is not None and kept.verify is not None:
        # Who is named is taken, and nobody else; what the route says of the work itself holds for everybody.
        text = f"route '{kept.id}' says how the work is verified"
        more = (*more, Reason("route", text, kept.id, kept.where))
    return replace(chosen, reasons=(*(reasons if wanted.agent is None else ()), *more, *chosen.reasons), route=kept)


def _values(wanted: Wanted) -> dict[str, Any]:
    who = wanted.principal
    return {
        "args": wanted.args,
        "labels": list(wanted.labels),
        "mode": wanted.mode.value,
        "principal.id": who.id,
        "principal.kind": who.kind,
        "principal.owner": who.owner or who.id,
        "principal.groups": list(who.groups),
        "principal.team": who.team,
        "client.name": wanted.client,
        "profile": wanted.profile,
        "context.id": wanted.context,
        "run.depth": who.depth,
        "budget.left_usd": math.inf if wanted.left is None else wanted.left / MICRO,
    }


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{math.ceil(seconds)} s"  # noqa: PLR2004 - two minutes
