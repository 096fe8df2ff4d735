"""The policy step of a plan: what a call is in the words of the rules, and what becomes of it by their ruling."""

from __future__ import annotations

import posixpath
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mcp_orchestrator.core import naming
from mcp_orchestrator.core.delegating import choose
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.policy_rules import DELEGATION, ELICITATION, SAMPLING, Subject
from mcp_orchestrator.core.prepared import PreparedTool
from mcp_orchestrator.core.rulings import Asker, Ruling, together
from mcp_orchestrator.core.wire.headers import param_headers
from mcp_orchestrator.model.agent import AgentMode, AgentSpec
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Principal
from mcp_orchestrator.model.catalog import Offer, OfferKind
from mcp_orchestrator.model.errors import INVALID_PARAMS, INVALID_REQUEST
from mcp_orchestrator.model.outcome import Failed, FailureKind, Outcome, ToolRefusal
from mcp_orchestrator.model.plan import Plan, Reason, Target
from mcp_orchestrator.model.routing import LogicalTool
from mcp_orchestrator.model.rules import Effect, Terms

NO_RULE: Final = Reason("policy", "no rule applies: the call is allowed")
_URIS: Final = frozenset({OfferKind.RESOURCE, OfferKind.TEMPLATE})
_DELEGATES: Final = frozenset({"delegate", "handoff"})
_QUESTIONS: Final[Mapping[str, str]] = {"sampling/createMessage": SAMPLING, "elicitation/create": ELICITATION}
_OF_LIST: Final[Mapping[OfferKind, str]] = {
    OfferKind.TOOL: CallKind.TOOL.value,
    OfferKind.PROMPT: CallKind.PROMPT.value,
    OfferKind.RESOURCE: CallKind.RESOURCE.value,
    OfferKind.TEMPLATE: CallKind.RESOURCE.value,
}


def asker_of(principal: Principal, client: ClientFace | None, profile: str | None, context: str | None = None) -> Asker:
    """Somebody who wants something, in the words of the rules."""
    info = client.info if client is not None and client.info is not None else {}
    name, version = info.get("name"), info.get("version")
    return Asker(
        principal,
        name if isinstance(name, str) else "",
        version if isinstance(version, str) else "",
        client.era.value if client is not None else "",
        profile or "",
        context or "",
        principal.mode,
    )


def offered(offer: Offer) -> Subject:
    """Something that is listed, in the words of the rules."""
    annotations = offer.definition.get("annotations")
    return Subject(
        (_OF_LIST[offer.kind],),
        _names(offer.backend, offer.name, is_uri=True) if offer.kind in _URIS else (offer.dotted,),
        "" if offer.backend == naming.OWN else offer.backend,
        offer.labels,
        annotations if isinstance(annotations, Mapping) else {},
        pin=offer.pin,
    )


def subject_of(call: Call, target: Target, agent: AgentSpec | None = None) -> Subject:
    """What a call is about, in the words of the rules; `agent` is the one that a delegation would go to."""
    offer = target.offer
    annotations = offer.definition.get("annotations") if offer is not None else None
    own = target.backend == naming.OWN
    kinds = _kinds(call, offer)
    is_uri = "resource" in kinds
    named = target.name and call.kind is not CallKind.TASK  # the id of a task is a secret
    names = _names(target.backend, target.name, is_uri=is_uri) if named else (call.method,)
    return Subject(
        (*kinds, DELEGATION) if own and target.name in _DELEGATES else kinds,
        (*names, call.method) if call.kind is CallKind.EXTENSION else names,
        "" if own else target.backend,
        offer.labels if offer is not None else (),
        annotations if isinstance(annotations, Mapping) else {},
        agent.name if agent is not None else "",
        agent.labels if agent is not None else (),
        offer.pin if offer is not None else "",
    )


def logical_subject(tool: LogicalTool) -> Subject:
    """A tool of ours with several providers."""
    return Subject((CallKind.TOOL.value,), (tool.name,), "", tool.labels, tool.annotations)


def delegation_subject(agent: AgentSpec) -> Subject:
    """Giving work to an agent."""
    return Subject((DELEGATION,), ("delegate",), "", (), {}, agent.name, agent.labels)


def question_subject(method: str, backend: str, name: str) -> Subject | None:
    """A question that a server asks in the course of a call; None for one that no rule is about (roots)."""
    kind = _QUESTIONS.get(method)
    return None if kind is None else Subject((kind,), _names(backend, name, is_uri=False), backend)


def _kinds(call: Call, offer: Offer | None) -> tuple[str, ...]:
    """What a call is, and what it belongs to: completing something is a use of it, and so is subscribing to it."""
    match call.kind:
        case CallKind.COMPLETION:
            about = call.params.get("ref")
            of_resource = isinstance(about, Mapping) and about.get("type") == "ref/resource"
            return (call.kind.value, (CallKind.RESOURCE if of_resource else CallKind.PROMPT).value)
        case CallKind.SUBSCRIPTION:
            return (call.kind.value, CallKind.RESOURCE.value)
        case CallKind.EXTENSION:
            return (call.kind.value, _OF_LIST[offer.kind]) if offer is not None else (call.kind.value,)
        case CallKind.TOOL | CallKind.PROMPT | CallKind.RESOURCE | CallKind.TASK:
            return (call.kind.value,)


def _names(backend: str, name: str, *, is_uri: bool) -> tuple[str, ...]:
    """The names that patterns are tried on: of a resource its URI in every way that a server may read it."""
    if not is_uri:
        return (naming.dotted(backend, name),)
    plain = _plain_uri(name)
    return tuple(dict.fromkeys((name, plain, naming.dotted(backend, name), naming.dotted(backend, plain))))


def _plain_uri(uri: str) -> str:
    """A URI without percent-encoding and dot segments, its scheme and host in small letters (RFC 3986 section 6.2.2)."""
    scheme, colon, rest = uri.partition(":")
    if not colon:
        return uri
    rest = urllib.parse.unquote(rest)
    if not rest.startswith("//"):
        return f"{scheme.lower()}:{rest}"
    host, slash, path = rest[2:].partition("/")
    if not slash:
        return f"{scheme.lower()}://{host.lower()}"
    whole = posixpath.normpath(f"/{path}")
    end = "/" if path.endswith("/") and whole != "/" else ""
    return f"{scheme.lower()}://{host.lower()}/{whole.lstrip('/')}{end}"


def arguments_of(call: Call, target: Target) -> Mapping[str, Any]:
    """What conditions see as `args`: what is sent to the server, in its own names."""
    match call.kind:
        case CallKind.TOOL | CallKind.PROMPT:
            given = target.arguments if target.arguments is not None else call.params.get("arguments")
            return given if isinstance(given, Mapping) else {}
        case CallKind.RESOURCE | CallKind.SUBSCRIPTION:
            return {"uri": target.name}
        case CallKind.COMPLETION:
            return _completed(call.params)
        case CallKind.EXTENSION | CallKind.TASK:
            return call.params


def _completed(params: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a completion as far as they are known: those before, and the one that is being written."""
    context, argument = params.get("context"), params.get("argument")
    known = context.get("arguments") if isinstance(context, Mapping) else None
    found = dict(known) if isinstance(known, Mapping) else {}
    name = argument.get("name") if isinstance(argument, Mapping) else None
    if isinstance(name, str) and isinstance(argument, Mapping):
        found[name] = argument.get("value")
    return found


@dataclass(frozen=True, slots=True)
class World:
    """What the rules may look at besides the call: the time (seconds since the epoch), what is left of budgets, agents.

    `budget` gives the budget variables of conditions; it is asked only where a condition reads them. `taker` gives the
    agent that a delegation would go to just now (None: the first that fits).
    """

    now: float = 0.0
    budget: Callable[[Call, Target], Mapping[str, float]] | None = None
    agents: Sequence[AgentSpec] = field(default=())
    taker: Callable[[Call], AgentSpec | None] | None = None


NO_WORLD: Final = World()


def ruling_of(
    policy: Policy, call: Call, target: Target, world: World, logical: LogicalTool | None = None
) -> Ruling | None:
    """What the rules say about a call that would go to this target; of a tool of ours about both it and the provider."""
    agent, mode = None, ""
    if target.backend == naming.OWN and target.name in _DELEGATES:
        agent, mode = _agent_of(call, world)
    asker = asker_of(call.principal, call.client, call.profile, call.context)
    if mode:
        asker = replace(asker, mode=mode)
    budget = world.budget(call, target) if world.budget is not None and policy.reads_budget else {}
    now = world.now
    ruling = policy.decide(subject_of(call, target, agent), asker, arguments_of(call, target), now, budget)
    if logical is None:
        return ruling
    given = call.params.get("arguments")
    whole = policy.decide(logical_subject(logical), asker, given if isinstance(given, Mapping) else {}, now, budget)
    return together((whole, ruling))


def _agent_of(call: Call, world: World) -> tuple[AgentSpec | None, str]:
    """Which agent `delegate` would go to, and in which mode."""
    arguments = call.params.get("arguments")
    given = arguments if isinstance(arguments, Mapping) else {}
    mode = AgentMode.WRITE if given.get("mode") == AgentMode.WRITE.value else AgentMode.READ
    if world.taker is not None:
        return world.taker(call), mode.value
    named, labels = given.get("agent"), given.get("labels")
    wanted = [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []
    return choose(world.agents, named if isinstance(named, str) else None, wanted, mode).agent, mode.value


def refusal_of(call: Call, ruling: Ruling) -> Outcome:
    """The refusal as the caller gets it: of a tool a result that its model can read, of anything else an error."""
    if call.kind is CallKind.TOOL:
        return ToolRefusal(ruling.refusal, FailureKind.REFUSED)
    data = {"rule": ruling.rule, "where": ruling.where}
    return Failed(FailureKind.REFUSED, INVALID_REQUEST, ruling.refusal, data)


def sight_of(policy: Policy, call: Call, world: World) -> Callable[[Offer], bool]:
    """Whether the caller may know of an offer."""
    asker = asker_of(call.principal, call.client, call.profile, call.context)
    return lambda offer: policy.shows(offered(offer), asker, world.now)


def with_policy(call: Call, decided: Plan, policy: Policy, world: World, prepared: PreparedTool | None) -> Plan:
    """The plan with its policy step; it has a target, and its reasons end where those of the policy begin."""
    target = decided.target
    if target is None:
        return decided
    return ruled(call, decided, ruling_of(policy, call, target, world), prepared)


def ruled(call: Call, decided: Plan, ruling: Ruling | None, prepared: PreparedTool | None) -> Plan:
    """The plan with what the rules say: refused, on terms, with other arguments, or as it was."""
    if ruling is None:
        return replace(decided, reasons=(*decided.reasons, NO_RULE))
    reasons = (*decided.reasons, *(ruling.reasons or (NO_RULE,)))
    if ruling.effect is Effect.DENY:
        return Plan(None, refusal_of(call, ruling), reasons)
    target, changed = decided.target, ruling.arguments
    if target is not None and changed is not None:
        faults = prepared.own_checker.faults(changed) if prepared is not None else []
        if faults:
            text = f"a rule changes the arguments to some that the tool does not take: {'; '.join(faults)}"
            return Plan(None, Failed(FailureKind.INVALID, INVALID_PARAMS, text), (*reasons, Reason("policy", text)))
        headers = target.headers
        if prepared is not None and prepared.asks_headers:
            headers = param_headers(prepared.headers, changed)
        target = replace(target, arguments=changed, headers=headers)
    return replace(decided, target=target, reasons=reasons, terms=ruling.terms)


class Admission:
    """Lets those providers of a tool of ours take a call that the rules let take it; all of them on the same terms."""

    def __init__(self, call: Call, policy: Policy, world: World, logical: LogicalTool) -> None:
        self._call = call
        self._policy = policy
        self._world = world
        self._logical = logical
        self._terms: list[Terms | None] = []
        self.ruling: Ruling | None = None
        self.denied: Ruling | None = None

    def __call__(self, target: Target) -> Reason | None:
        """Why a provider may not take the call; None when it may."""
        ruling = ruling_of(self._policy, self._call, target, self._world, self._logical)
        if ruling is not None and ruling.effect is Effect.DENY:
            self.denied = self.denied or ruling
            return ruling.reasons[-1]
        terms = ruling.terms if ruling is not None else None
        if not self._terms:
            self._terms.append(terms)
            self.ruling = ruling
        elif not _same(self._terms[0], terms):
            text = f"{target.backend} would be used on other terms than the one that was tried first"
            return Reason("policy", text)
        return None


def _same(one: Terms | None, other: Terms | None) -> bool:
    """Whether a second target may be used on the terms of the first; one whose arguments rules change may not."""
    if one is None or other is None:
        return one is other
    return (
        other.arguments is None
        and set(one.approvals) == set(other.approvals)
        and set(one.limits) == set(other.limits)
        and set(one.redactions) == set(other.redactions)
        and (one.judge is None) == (other.judge is None)
    )
