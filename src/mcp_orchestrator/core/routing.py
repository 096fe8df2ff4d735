"""The route of a call of a logical tool: which provider takes it, with which arguments, and who else could."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.conditions import Condition, Fault
from mcp_orchestrator.core.logical import STEP, PreparedLogical, PreparedProvider
from mcp_orchestrator.core.mapping import CALLER, Circle, Shaper, caller
from mcp_orchestrator.core.strategies import Candidate, home_of, is_ejected, is_full, ordered, stable_for
from mcp_orchestrator.core.wire.headers import param_headers
from mcp_orchestrator.model.call import Call
from mcp_orchestrator.model.errors import INTERNAL_ERROR
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome, ToolRefusal
from mcp_orchestrator.model.plan import Plan, Reason, Target
from mcp_orchestrator.model.routing import Outlook, Strategy

if TYPE_CHECKING:
    from mcp_orchestrator.core.catalog import Catalog
    from mcp_orchestrator.core.prepared import PreparedTool

Admit = Callable[[Target], Reason | None]
"""Whether a provider may be used: None, or why not."""

FEW: Final = 3
"""Providers whose conditions are asked one by one."""

_KEYED: Final = frozenset({Strategy.WEIGHTED, Strategy.STICKY})


class Route:
    """The providers of one call, looked at one by one, only as far as somebody asks.

    `lookup` gives the tool of a provider (`SERVER.TOOL`), `limit` how many seconds its server has. With `only` no other
    provider is taken: the call continues one that it has begun. `reasons` say what was found of each so far.
    """

    def __init__(
        self,
        logical: PreparedLogical,
        call: Call,
        lookup: Callable[[str], PreparedTool | None],
        limit: Callable[[str], float],
        outlook: Outlook,
        *,
        only: str = "",
        admit: Admit | None = None,
    ) -> None:
        self.reasons: list[Reason] = []
        self._logical = logical
        self._call = call
        self._lookup = lookup
        self._limit = limit
        self._outlook = outlook
        self._only = only
        self._admit = admit
        arguments = call.params.get("arguments") or {}
        keyed = logical.spec.strategy in _KEYED
        self._key = stable_for(call, arguments, logical.spec) if keyed else ""
        self._circle = Circle(logical.conditions, CALLER, caller(call, arguments))
        order = ordered(logical, self._key, outlook)
        troubled = outlook.down or outlook.ejected or only
        self._waiting = self._in_order(order) if troubled else iter(order)
        self._unfit = False
        self._full = False
        self._asked = False
        self._held: list[Any] | None = None

    @property
    def backends(self) -> frozenset[str]:
        """The servers of all providers."""
        return self._logical.backends

    def next(self) -> Target | None:
        """The next provider that can take the call, with its arguments; None when there is none left."""
        for candidate in self._waiting:
            provider = self._logical.providers[candidate.place]
            if self._held and self._held[candidate.place] is not True and candidate.limit is None:
                self.reasons.append(provider.declined)
                continue
            target = self._target(provider)
            if target is not None:
                return target
        return None

    def refusal(self) -> Outcome:
        """What the caller is told when nobody can take the call; nothing was sent."""
        name = self._logical.spec.name
        said = "; ".join(reason.text for reason in self.reasons)
        if self._full:
            text = f"every provider of '{name}' that could take this call is busy: {said}"
            return Failed(FailureKind.OVERLOADED, INTERNAL_ERROR, text, retryable=True)
        if self._unfit:
            return ToolRefusal(f"No provider of '{name}' takes this call: {said}")
        text = f"no provider of '{name}' is available: {said}"
        return Failed(FailureKind.UNAVAILABLE, INTERNAL_ERROR, text, retryable=True)

    def _in_order(self, order: Sequence[Candidate]) -> Iterator[Candidate]:
        """By strategy; those that are ejected or down come after all others, and only for want of others."""
        outlook = self._outlook
        standings, down, now = outlook.standings, outlook.down, outlook.now
        last: list[Candidate] = []
        for candidate in order:
            if self._only and candidate.provider != self._only:
                continue
            if candidate.backend in down or is_ejected(standings.get(candidate.provider), now):
                last.append(candidate)
            else:
                yield candidate
        for candidate in last:
            self._say(self._logical.providers[candidate.place], self._trouble(candidate))
            yield candidate

    def _trouble(self, candidate: Candidate) -> str:
        why = self._outlook.down.get(candidate.backend)
        if why is not None:
            return f"comes last: {why}"
        standing = self._outlook.standings[candidate.provider]
        if standing.probing:
            return f"comes last: ejected after {standing.failures} failures; another call is trying it"
        left = standing.ejected_until - self._outlook.now
        return f"comes last: ejected after {standing.failures} failures, for {left:.1f} s more"

    def _target(self, provider: PreparedProvider) -> Target | None:
        spec = provider.spec
        against = self._against(provider)
        if against is not None:
            self.reasons.append(against)
            return None
        prepared = self._lookup(spec.tool)
        if prepared is None:
            self._say(provider, "is not offered by its server now")
            return None
        arguments = self._mapped(provider, prepared)
        if isinstance(arguments, str):
            self._unfit = True
            self._say(provider, f"does not take it: {arguments}")
            return None
        target = self._made(provider, prepared, arguments)
        refused = self._admit(target) if self._admit is not None else None
        self.reasons.append(refused or (self._measured(provider) if self._measures else provider.chosen))
        return target if refused is None else None

    def _against(self, provider: PreparedProvider) -> Reason | None:
        """Why a provider does not take the call whatever its arguments would be; None when nothing speaks against it."""
        spec, limit = provider.spec, provider.spec.max_concurrent
        if limit is not None and is_full(self._outlook.standings.get(spec.tool), limit):
            self._full = True
            return self._about(provider, f"is busy: {limit} calls at once are its limit")
        if provider.when is None:
            return None
        holds = self._holds(provider, provider.when)
        if holds is True:
            return None
        self._unfit = True
        if isinstance(holds, Fault):
            return self._about(provider, f"does not take it: when cannot be decided: {holds.text}: {spec.when}")
        return provider.declined

    def _holds(self, provider: PreparedProvider, when: Condition) -> bool | Fault:
        """Whether the condition of a provider is true. After the first that is false all others are asked at once."""
        if self._held is None and self._asked and len(self._logical.providers) > FEW:
            together = self._logical.together
            found = together.value(self._circle.circumstances) if together is not None else None
            self._held = found if isinstance(found, list) else []
        self._asked = True
        if self._held:
            return self._held[provider.candidate.place] is True
        return when.judge(self._circle.circumstances)

    @property
    def _measures(self) -> bool:
        return self._logical.spec.strategy in (Strategy.CHEAPEST, Strategy.FASTEST)

    def _measured(self, provider: PreparedProvider) -> Reason:
        """What the strategy went by."""
        spec = self._logical.spec
        if spec.strategy is Strategy.CHEAPEST:
            price = provider.candidate.price
            known = "its price is not known" if price is None else f"{price / 1_000_000:g} USD a call"
        else:
            standing = self._outlook.standings.get(provider.spec.tool)
            latency = standing.latency if standing is not None else None
            known = "not measured yet" if latency is None else f"{latency * 1000:.0f} ms on average"
        return provider.reason(f"{provider.spec.tool} can take it ({spec.strategy}: {known})", spec)

    def _mapped(self, provider: PreparedProvider, prepared: PreparedTool) -> dict[str, Any] | str:
        arguments = provider.arguments(self._circle)
        if isinstance(arguments, str):
            return arguments
        faults = prepared.checker.faults(arguments)
        if faults:
            kept = {name: value for name, value in arguments.items() if value is not None}
            if len(kept) == len(arguments) or prepared.checker.faults(kept):
                return f"the arguments mapped for it do not fit its schema: {'; '.join(faults)}"
        return arguments

    def _made(self, provider: PreparedProvider, prepared: PreparedTool, arguments: dict[str, Any]) -> Target:
        logical, spec = self._logical, provider.spec
        offer = prepared.offer
        override = offer.override
        own = prepared.back(arguments) if prepared.back is not None else arguments
        limits = [logical.spec.timeout]
        if spec.timeout is not None:
            limits.append(spec.timeout)
        elif override is not None and override.timeout is not None:
            limits.append(override.timeout)
        else:
            limits.append(self._limit(offer.backend))
        if self._call.timeout is not None:
            limits.append(self._call.timeout)
        care = provider.care_for(override, logical.spec)
        shape = self._shape(provider)
        home = home_of(logical.spec, self._key) if logical.spec.strategy is Strategy.STICKY and self._key else ""
        if shape is not None or home:
            care = replace(care, shape=shape, home=home)
        headers = param_headers(prepared.headers, own) if prepared.asks_headers else None
        price = provider.candidate.price
        return Target(offer.backend, offer.name, offer, min(limits), headers, own, price, care)

    def _shape(self, provider: PreparedProvider) -> Callable[[Completed], Outcome] | None:
        output = self._logical.output
        if provider.results is None and output is None:
            return None
        shaper = Shaper(provider.results, output.faults if output is not None else None, self._circle.values)
        name, tool = self._logical.spec.name, provider.spec.tool

        def shaped(outcome: Completed) -> Outcome:
            made = shaper(outcome)
            if isinstance(made, str):
                text = f"{tool} answered '{name}', but its result cannot be used: {made}"
                return Failed(FailureKind.BAD_ANSWER, INTERNAL_ERROR, text)
            return made

        return shaped

    def _about(self, provider: PreparedProvider, text: str) -> Reason:
        return provider.reason(f"{provider.spec.tool} {text}", self._logical.spec)

    def _say(self, provider: PreparedProvider, text: str) -> None:
        self.reasons.append(self._about(provider, text))


def in_full(decided: Plan) -> Plan:
    """The same plan with every provider looked at, for a person; a call looks only as far as it must."""
    others = decided.others
    if others is None or decided.target is None:
        return decided
    before = len(others.reasons)
    while others.next() is not None:
        pass
    own = decided.reasons
    last = max((place for place, reason in enumerate(own) if reason.step == STEP), default=len(own) - 1) + 1
    return replace(decided, reasons=(*own[:last], *others.reasons[before:], *own[last:]))


def described(logical: PreparedLogical, catalog: Catalog) -> dict[str, Any]:
    """A logical tool for `tools show`: its strategy and its providers, with what is known of each."""
    spec = logical.spec
    providers = [
        {
            "tool": one.spec.tool,
            "offered": catalog.provider(one.spec.tool) is not None,
            "when": one.spec.when,
            "weight": one.spec.weight,
            "price": one.candidate.price,
            "repeatable": one.spec.repeatable,
            "maxConcurrent": one.spec.max_concurrent,
            "where": one.spec.where,
        }
        for one in logical.providers
    ]
    return {"strategy": spec.strategy.value, "by": spec.by, "where": spec.where, "providers": providers}
