"""The plan of a call: where it goes and why, decided purely and at once.

identity -> catalog -> route -> schema -> policy -> budget -> context, in this one order. The same function answers the
real call and `plan --call`; what is listed comes from the same catalog, so list and call cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, assert_never

from mcp_orchestrator.core.catalog import Catalog, shows
from mcp_orchestrator.core.logical import PreparedLogical
from mcp_orchestrator.core.naming import dotted
from mcp_orchestrator.core.policing import NO_WORLD, Admission, World, refusal_of, ruled, sight_of, with_policy
from mcp_orchestrator.core.prepared import PreparedTool
from mcp_orchestrator.core.routing import Route
from mcp_orchestrator.core.scopes import MISSING_SCOPE, missing
from mcp_orchestrator.core.wire.headers import param_headers
from mcp_orchestrator.model.call import Call, CallKind, Era
from mcp_orchestrator.model.catalog import Offer, OfferKind
from mcp_orchestrator.model.errors import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND
from mcp_orchestrator.model.outcome import Failed, FailureKind, Outcome, ToolRefusal
from mcp_orchestrator.model.plan import Plan, Reason, Target
from mcp_orchestrator.model.routing import Outlook

if TYPE_CHECKING:
    from mcp_orchestrator.core.budget import Budgets
    from mcp_orchestrator.core.policy import Policy

DEFAULT_TIMEOUT: Final = 300.0
"""Seconds a call may take where the configuration says nothing."""

_ALLOWED: Final = Reason("policy", "no policy is configured: every call is allowed", "allow-all")
_NO_BUDGET: Final = Reason("budget", "no budget is configured: nothing is held")
_UNCHECKED: Final = Reason("schema", "argument checks are switched off (observe.validate)")
_FITS: Final = Reason("schema", "the arguments fit the offered schema")
_ONLY_ONE: Final = Reason("route", "not in the catalog; passed to the only server this view has, which may know it")


@dataclass(frozen=True, slots=True)
class Rules:
    """What planning reads of the configuration. `timeouts` in seconds by backend; `where` is `file:line` by backend."""

    timeouts: Mapping[str, float] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    validate: bool = True
    policy: Policy | None = None
    budgets: Budgets | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    backend: str
    name: str
    offer: Offer | None
    reason: Reason
    prepared: PreparedTool | None = None


Sight = Callable[[Offer], bool]
"""Whether the caller may know of an offer."""

Owner = Callable[[str], str | None]
"""The backend that is known to have a URI which no list has, else None."""


def _everything(_offer: Offer) -> bool:
    return True


NOTHING_KNOWN: Final = Outlook()
"""Every provider is well, as far as anybody knows."""


def plan(
    call: Call,
    catalog: Catalog,
    rules: Rules,
    owner: Owner = lambda _uri: None,
    *,
    outlook: Outlook = NOTHING_KNOWN,
    only: str = "",
    world: World = NO_WORLD,
) -> Plan:
    """Decide about one call. Never raises and never waits.

    `outlook` is how providers of logical tools stand; with `only` (`SERVER.TOOL`) no other provider is taken. `world` is
    what rules look at besides.
    """
    identity = Reason("identity", f"{call.principal.id} ({call.principal.kind})")
    sight = sight_of(rules.policy, call, world) if rules.policy is not None else _everything
    found = _find(call, catalog, owner, sight)
    if not isinstance(found, _Found):
        outcome, reason = found
        return Plan(None, outcome, (identity, reason))
    lacking = _lacking(call, found)
    if lacking is not None:
        return Plan(None, lacking, (identity, Reason("identity", lacking.message)))
    reasons = [identity, found.reason]
    refusal, arguments = _checked(call, found, rules, reasons)
    if refusal is not None:
        return Plan(None, refusal, tuple(reasons))
    prepared = found.prepared
    if prepared is not None and prepared.logical is not None:
        known = (outlook, world)
        return _routed(call, prepared.logical, catalog, rules, reasons=reasons, known=known, only=only)
    if rules.policy is not None:
        planned = Plan(_target(call, found, rules, arguments), None, tuple(reasons))
        return _finished(call, with_policy(call, planned, rules.policy, world, prepared))
    reasons.append(_ALLOWED)
    reasons.append(_NO_BUDGET)
    if call.context is not None:
        reasons.append(Reason("context", f"belongs to context {call.context}"))
    return Plan(_target(call, found, rules, arguments), None, tuple(reasons))


def _target(call: Call, found: _Found, rules: Rules, arguments: Mapping[str, Any] | None) -> Target:
    offer, prepared = found.offer, found.prepared
    override = offer.override if offer is not None else None
    limit = rules.timeouts.get(found.backend, DEFAULT_TIMEOUT)
    if override is not None and override.timeout is not None:
        limit = override.timeout
    timeout = limit if call.timeout is None else min(limit, call.timeout)
    if prepared is None:
        return Target(found.backend, found.name, offer, timeout)
    sent = arguments if arguments is not None else call.params.get("arguments") or {}
    headers = param_headers(prepared.headers, sent) if prepared.asks_headers else None
    price = offer.price if offer is not None else None
    return Target(found.backend, found.name, offer, timeout, headers, arguments, price, prepared.care)


def _routed(
    call: Call,
    logical: PreparedLogical,
    catalog: Catalog,
    rules: Rules,
    *,
    reasons: list[Reason],
    known: tuple[Outlook, World],
    only: str,
) -> Plan:
    """The plan of a call of a logical tool, whose arguments were found to fit its own schema."""
    limit = lambda backend: rules.timeouts.get(backend, DEFAULT_TIMEOUT)  # noqa: E731 - one line
    outlook, world = known
    policy = rules.policy
    admit = Admission(call, policy, world, logical.spec) if policy is not None else None
    route = Route(logical, call, catalog.provider, limit, outlook, only=only, admit=admit)
    target = route.next()
    steps = [*reasons[:2], *route.reasons, *reasons[2:]]
    if target is None:
        denied = admit.denied if admit is not None else None
        if denied is not None:
            return Plan(None, refusal_of(call, denied), (*steps, *denied.reasons), others=route)
        return Plan(None, route.refusal(), tuple(steps), others=route)
    if admit is not None:
        planned = Plan(target, None, tuple(steps), others=route)
        provider = catalog.provider(target.care.provider) if target.care is not None else None
        return _finished(call, ruled(call, planned, admit.ruling, provider))
    steps += [_ALLOWED, _NO_BUDGET]
    if call.context is not None:
        steps.append(Reason("context", f"belongs to context {call.context}"))
    return Plan(target, None, tuple(steps), others=route)


def _finished(call: Call, planned: Plan) -> Plan:
    """The plan with the steps that follow those of the policy."""
    if planned.target is None:
        return planned
    context = () if call.context is None else (Reason("context", f"belongs to context {call.context}"),)
    return replace(planned, reasons=(*planned.reasons, _NO_BUDGET, *context))


def task_plan(call: Call, backend: str, task: str, rules: Rules, world: World = NO_WORLD) -> Plan:
    """The plan of a request about a backend's task, which goes where the task was begun."""
    limit = rules.timeouts.get(backend, DEFAULT_TIMEOUT)
    reasons = (
        Reason("identity", f"{call.principal.id} ({call.principal.kind})"),
        Reason("route", f"the task was begun by {backend}, for this principal"),
    )
    planned = Plan(Target(backend, task, None, limit), None, reasons)
    if rules.policy is not None:
        return _finished(call, with_policy(call, planned, rules.policy, world, None))
    return replace(planned, reasons=(*reasons, _ALLOWED, _NO_BUDGET))


def _lacking(call: Call, found: _Found) -> Failed | None:
    """The refusal of a call that the caller's token is not good for."""
    scopes = call.principal.scopes
    if scopes is None:
        return None
    scope = missing(scopes, call.kind, found.backend, found.name, call.params)
    if not scope:
        return None
    text = f"insufficient scope: the token of {call.principal.id} is not good for this; it lacks the scope '{scope}'"
    return Failed(FailureKind.REFUSED, INVALID_REQUEST, text, {MISSING_SCOPE: scope}, retryable=True)


def _checked(
    call: Call, found: _Found, rules: Rules, reasons: list[Reason]
) -> tuple[Outcome | None, Mapping[str, Any] | None]:
    """The refusal of arguments that do not fit, and the arguments that are sent where those are not the caller's."""
    prepared = found.prepared
    if prepared is None:
        return None, None
    arguments = call.params.get("arguments") or {}
    if not rules.validate:
        reasons.append(_UNCHECKED)
    else:
        checker = prepared.checker
        faults = checker.faults(arguments)
        if faults and None in arguments.values():
            # Clients write null for what they leave out (MCP 2026-07-28 transports counts on it), and servers take it so.
            faults = checker.faults({key: value for key, value in arguments.items() if value is not None})
        if faults:
            text = f"Invalid arguments for tool '{prepared.offer.public}': {'; '.join(faults)}"
            reasons.append(Reason("schema", text))
            return ToolRefusal(text), None
        reasons.append(Reason("schema", f"not checked: {checker.unusable}") if checker.unusable else _FITS)
    return (None, None) if prepared.back is None else _mapped_back(prepared, arguments, rules, reasons)


def _mapped_back(
    prepared: PreparedTool, arguments: Mapping[str, Any], rules: Rules, reasons: list[Reason]
) -> tuple[Outcome | None, Mapping[str, Any] | None]:
    """The arguments of an overridden tool in the server's own names, with what the configuration fixes."""
    override = prepared.offer.override
    where = override.where if override is not None else ""
    own = prepared.back(arguments) if prepared.back is not None else dict(arguments)
    faults = prepared.own_checker.faults({key: value for key, value in own.items() if value is not None})
    if faults and rules.validate:
        text = (
            f"the override of {prepared.offer.dotted} makes arguments that the tool does not take: {'; '.join(faults)}"
        )
        reasons.append(Reason("schema", text, "overrides", where))
        return Failed(FailureKind.INVALID, INVALID_PARAMS, text), None
    reasons.append(Reason("schema", f"arguments are mapped to those of {prepared.offer.dotted}", "overrides", where))
    return None, own


def _find(  # noqa: PLR0911 - a table of kinds, one line each
    call: Call, catalog: Catalog, owner: Owner, sight: Sight
) -> _Found | tuple[Outcome, Reason]:
    match call.kind:
        case CallKind.TOOL:
            prepared = catalog.tool(call.name)
            if prepared is not None:
                return _listed(prepared.offer, call, prepared)
            return _unknown_name(call, catalog, OfferKind.TOOL, "tool", sight)
        case CallKind.PROMPT:
            offer = catalog.prompt(call.name)
            found = _listed(offer, call, None) if offer is not None else None
            return found or _unknown_name(call, catalog, OfferKind.PROMPT, "prompt", sight)
        case CallKind.RESOURCE | CallKind.SUBSCRIPTION:
            return _find_resource(call, catalog, owner, sight)
        case CallKind.COMPLETION:
            return _find_completion(call, catalog, sight)
        case CallKind.TASK:
            text = "Task not found"
            return Failed(FailureKind.UNKNOWN_NAME, INVALID_PARAMS, text), Reason("catalog", "tasks are in no catalog")
        case CallKind.EXTENSION:
            return _find_extension(call, catalog)
        case _:
            assert_never(call.kind)


def _listed(offer: Offer, call: Call, prepared: PreparedTool | None) -> _Found:
    said = "" if call.name == offer.public else f" (by its own name; clients see it as {offer.public})"
    return _Found(offer.backend, offer.name, offer, Reason("catalog", f"{offer.dotted}{said}"), prepared)


def _only_backend(call: Call, catalog: Catalog, name: str) -> _Found | None:
    """The view's only server, for names it may know though it does not list them; what is hidden stays hidden."""
    backend = catalog.only
    if backend is None:
        return None
    own = name.removeprefix(f"{backend}__").removeprefix(f"{backend}.")
    if call.kind is CallKind.TOOL and not catalog.shows_tool(backend, own):
        return None
    if call.kind is not CallKind.EXTENSION and not shows(catalog.profile, f"{backend}.{own}"):
        return None
    return _Found(backend, own, None, _ONLY_ONE)


def _unknown_name(
    call: Call, catalog: Catalog, kind: OfferKind, word: str, sight: Sight
) -> _Found | tuple[Outcome, Reason]:
    rivals = [offer for offer in catalog.rivals(kind, call.name) if sight(offer)]
    if len(rivals) > 1:
        choices = ", ".join(offer.public for offer in rivals)
        text = f"Ambiguous {word} '{call.name}': several servers have it; use one of {choices}"
    else:
        only = _only_backend(call, catalog, call.name)
        if only is not None:
            return only
        close = catalog.close_to(kind, call.name, sight)
        hint = f"; did you mean '{close}'?" if close else f"; list the {word}s to see what there is"
        text = f"Unknown {word}: {call.name}{hint}"
    failed = Failed(FailureKind.UNKNOWN_NAME, INVALID_PARAMS, text, retryable=True)
    return failed, Reason("catalog", text)


def _find_resource(call: Call, catalog: Catalog, owner: Owner, sight: Sight) -> _Found | tuple[Outcome, Reason]:
    found = catalog.resource(call.name)
    how = "by template, scheme, prefix or tool"
    known = owner(call.name) if found is None else None
    if known is not None and known in catalog.backends:
        found, how = (known, call.name, None), "it gave this link in a result"
    if found is None:
        only = _only_backend(call, catalog, call.name)
        if only is not None:
            return only
        code = RESOURCE_NOT_FOUND if call.client.era is Era.LEGACY else INVALID_PARAMS
        close = catalog.close_to(OfferKind.RESOURCE, call.name, sight)
        text = f"Resource not found: {call.name}" + (f"; did you mean '{close}'?" if close else "")
        data = {"uri": call.name}
        return Failed(FailureKind.UNKNOWN_NAME, code, text, data, retryable=True), Reason("catalog", text)
    backend, uri, offer = found
    if not shows(catalog.profile, dotted(backend, uri)):
        text = f"Resource not found: {call.name}"
        return Failed(FailureKind.UNKNOWN_NAME, INVALID_PARAMS, text, {"uri": uri}, retryable=True), Reason(
            "catalog", f"profile {catalog.profile.name if catalog.profile else ''} does not show {backend}.{uri}"
        )
    if offer is not None and offer.kind is OfferKind.RESOURCE:
        how = "listed"
    return _Found(backend, uri, offer, Reason("catalog", f"{backend} owns {uri} ({how})"))


def _find_completion(call: Call, catalog: Catalog, sight: Sight) -> _Found | tuple[Outcome, Reason]:
    reference = call.params.get("ref")
    kind = reference.get("type") if isinstance(reference, Mapping) else None
    offer = catalog.template(call.name) if kind == "ref/resource" else catalog.prompt(call.name)
    if offer is not None:
        return _listed(offer, call, None)
    if kind == "ref/resource":
        found = catalog.resource(call.name)
        if found is not None:
            return _Found(found[0], found[1], found[2], Reason("catalog", f"{found[0]} owns {found[1]}"))
    return _unknown_name(call, catalog, OfferKind.PROMPT, "completion reference", sight)


def _find_extension(call: Call, catalog: Catalog) -> _Found | tuple[Outcome, Reason]:
    """An unknown method goes to the one server that can be meant: named in its params, or declaring the extension."""
    for key, lookup in (("name", catalog.tool), ("uri", catalog.resource)):
        value = call.params.get(key)
        found = lookup(value) if isinstance(value, str) else None
        if isinstance(found, PreparedTool) and found.logical is None:
            return _listed(found.offer, call, None)
        if isinstance(found, tuple):
            return _Found(found[0], found[1], found[2], Reason("catalog", f"{found[0]} owns {found[1]}"))
    only = _only_backend(call, catalog, "")
    if only is not None:
        return only
    space, owners = call.method, list[str]()
    while "/" in space and not owners:  # the longest name that anybody declares
        space = space.rpartition("/")[0]
        owners = [source.backend for source in catalog.shown if _declares(source.capabilities, space)]
    if len(owners) == 1:
        return _Found(owners[0], "", None, Reason("route", f"{owners[0]} alone declares an extension for {space}"))
    text = f"Method not found: {call.method}"
    why = "no server" if not owners else "more than one server"
    return Failed(FailureKind.UNKNOWN_NAME, METHOD_NOT_FOUND, text, retryable=True), Reason(
        "route", f"{why} of this view declares it"
    )


def _declares(capabilities: Mapping[str, object], space: str) -> bool:
    names: set[str] = set(capabilities)
    for key in ("extensions", "experimental"):
        value = capabilities.get(key)
        names |= set(value) if isinstance(value, Mapping) else set()
    return bool(space) and any(name == space or name.endswith(f"/{space}") for name in names)
