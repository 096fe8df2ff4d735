"""What the command line asks of a gateway, in process and through the control socket alike: plain JSON in and out."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.core.policy_terms import shown_terms
from mcp_orchestrator.core.routing import described, in_full
from mcp_orchestrator.core.wire.jsonrpc import NULL, decode
from mcp_orchestrator.model.call import Call, CallKind, Era, Principal
from mcp_orchestrator.model.catalog import Offer, OfferKind
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.outcome import Completed, Failed, Outcome, ToolRefusal
from mcp_orchestrator.plugin_api import View
from mcp_orchestrator.runtime.budgets import explained
from mcp_orchestrator.runtime.callers import Callers
from mcp_orchestrator.runtime.gateway import Gateway
from mcp_orchestrator.runtime.lives import plain_client
from mcp_orchestrator.runtime.supervisor import Supervisor

Action = Callable[[dict[str, Any]], Awaitable[Any]]


class SilentPort:
    """A client that hears nothing and cannot be asked: the command line. `asked` are the questions it got."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Nobody listens."""

    def let_go(self, after: float) -> None:
        """Nobody is connected."""

    async def ask(self, question: Question) -> Answer | None:
        """Nobody can be asked."""
        self.asked.append(question)
        return None


class Actions:
    """The actions of one gateway; unknown names raise LookupError, bad input ValueError."""

    def __init__(self, gateway: Gateway, principal: Principal, callers: Callers | None = None) -> None:
        self._gateway = gateway
        self._principal = principal
        self._callers = callers

    def table(self) -> dict[str, Action]:
        """Action by name."""
        return {
            "tools.list": self.tools_list,
            "tools.show": self.tools_show,
            "tools.call": self.tools_call,
            "plan": self.plan,
            "backends.list": self.backends_list,
            "backends.show": self.backends_show,
            "backends.restart": self.backends_restart,
        }

    async def tools_list(self, args: dict[str, Any]) -> dict[str, Any]:
        """{profile} -> {tools: [{public, dotted, backend, description, title}], waiting: [backend]}."""
        catalog = await self._catalog(args)
        tools = [_tool_line(offer) for offer in self._seen(catalog, args)]
        return {"tools": tools, "waiting": [known.spec.name for known in self._gateway.generation.waiting]}

    async def tools_show(self, args: dict[str, Any]) -> dict[str, Any]:
        """{name, profile} -> the definition, its pin and names."""
        catalog = await self._catalog(args)
        prepared = catalog.tool(_word(args, "name"))
        seen = self._seen(catalog, args)
        if prepared is None or prepared.offer not in seen:
            raise LookupError(_unknown("tool", args["name"], [offer.public for offer in seen]))
        offer = prepared.offer
        shown = {**_tool_line(offer), "pin": offer.pin, "era": offer.era.value, "definition": offer.definition}
        return shown if prepared.logical is None else {**shown, "logical": described(prepared.logical, catalog)}

    async def tools_call(self, args: dict[str, Any]) -> dict[str, Any]:
        """{name, arguments, profile} -> {run, outcome: {result} | {error} | {result, kind}, declined: [what nobody could be asked]}."""
        await self._catalog(args)
        port = SilentPort()
        run = self._gateway.start(self._call(args), port)
        outcome = _shown(await run.outcome())
        declined = [str(question.params.get("message") or question.method) for question in port.asked]
        return {"run": run.id, "outcome": outcome, "declined": declined}

    async def plan(self, args: dict[str, Any]) -> dict[str, Any]:
        """{name, arguments, profile, as} -> {target, refusal, reasons, terms}; `as` is the id of another principal."""
        await self._catalog(args)
        call = self._call(args)
        if args.get("as") is not None and self._callers is not None:
            call.principal = self._callers.named(_word(args, "as"))
        decided = in_full(await explained(self._gateway, call))
        target = decided.target
        return {
            "target": {"backend": target.backend, "name": target.name, "timeout": target.timeout} if target else None,
            "refusal": _shown(decided.refusal) if decided.refusal is not None else None,
            "reasons": [
                {"step": reason.step, "rule": reason.rule, "where": reason.where, "text": reason.text}
                for reason in decided.reasons
            ],
            "terms": shown_terms(decided.terms),
        }

    async def backends_list(self, _args: dict[str, Any]) -> list[dict[str, Any]]:
        """-> [{name, state, transport, eras, pids, restarts, last_error, tools}]."""
        known = self._gateway.generation.supervisors
        return [_backend_line(supervisor) for name, supervisor in known.items() if name != OWN]

    async def backends_show(self, args: dict[str, Any]) -> dict[str, Any]:
        """{name} -> the same with stderr and a summary of offers."""
        supervisor = self._supervisor(args)
        offers = {
            era.value: {kind.value: len(known.of(kind)) for kind in OfferKind} | {"server": dict(known.server_info)}
            for era, known in supervisor.record.offers.items()
        }
        return {**_backend_line(supervisor), "offers": offers, "stderr": list(supervisor.stderr)}

    async def backends_restart(self, args: dict[str, Any]) -> dict[str, Any]:
        """{name} -> the backend after its restart; BackendError when it does not come up."""
        supervisor = self._supervisor(args)
        await supervisor.restart()
        return _backend_line(supervisor)

    def _seen(self, catalog: Catalog, args: dict[str, Any]) -> list[Offer]:
        """The tools that the command line may know of: rules hide some from its principal, as from everybody."""
        view = View(Era.MODERN, args.get("profile"), self._call({**args, "name": "tools"}).principal)
        hidden = self._gateway.policing.hidden(catalog, OfferKind.TOOL, view)
        return [offer for offer in catalog.offers(OfferKind.TOOL) if offer.public not in hidden]

    # -- inside ---------------------------------------------------------------------------------------------------

    async def _catalog(self, args: dict[str, Any]) -> Any:
        gateway = self._gateway
        profile = args.get("profile")
        if profile is not None and not gateway.has_profile(profile):
            raise LookupError(_unknown("profile", profile, list(gateway.generation.snapshot.profiles)))
        generation = gateway.generation
        known = generation.catalog(Era.MODERN, profile)
        if isinstance(args.get("name"), str) and known.tool(args["name"]) is not None:
            return known  # a server that is slow to start does not hold up the tools of others
        await generation.wait_known(generation.snapshot.list_wait, gateway.engine.clock())
        return gateway.generation.catalog(Era.MODERN, profile)

    def _call(self, args: dict[str, Any]) -> Call:
        arguments = args.get("arguments") or {}
        if not isinstance(arguments, dict):
            raise ValueError("arguments must be an object")  # noqa: TRY004 - the promised kind of error
        name = _word(args, "name")
        params = {"name": name, "arguments": arguments}
        client = plain_client()
        profile = args.get("profile")
        who = self._principal if self._callers is None else self._callers.place(self._principal)
        return Call(CallKind.TOOL, "tools/call", name, params, {}, client, who, profile)

    def _supervisor(self, args: dict[str, Any]) -> Supervisor:
        supervisors = {name: known for name, known in self._gateway.generation.supervisors.items() if name != OWN}
        name = _word(args, "name")
        if name not in supervisors:
            raise LookupError(_unknown("backend", name, list(supervisors)))
        return supervisors[name]


def _word(args: dict[str, Any], key: str) -> str:
    value = args.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"'{key}' must be a non-empty string")
    return value


def _unknown(what: str, name: Any, known: list[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"no {what} named '{name}'" + (f"; did you mean '{close[0]}'?" if close else "")


def _tool_line(offer: Offer) -> dict[str, Any]:
    return {
        "public": offer.public,
        "dotted": offer.dotted,
        "backend": offer.backend,
        "labels": list(offer.labels),
        "title": offer.definition.get("title"),
        "description": offer.definition.get("description"),
    }


def _backend_line(supervisor: Supervisor) -> dict[str, Any]:
    record = supervisor.record
    offers = record.offers.get(Era.MODERN) or record.offers.get(Era.LEGACY)
    return {
        "name": supervisor.spec.name,
        "state": supervisor.state.value,
        "transport": supervisor.spec.transport.value,
        "eras": sorted(era.value for era, works in supervisor.eras.verdicts.items() if works),
        "pids": supervisor.pids,
        "restarts": record.restarts,
        "last_error": record.last_error,
        "tools": len(offers.tools) if offers is not None else None,
        "where": supervisor.spec.where,
    }


def _shown(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Completed():
            return {"result": decode(outcome.result)}
        case ToolRefusal():
            result = {"content": [{"type": "text", "text": outcome.text}], "isError": True}
            return {"result": result, "kind": outcome.kind.value}
        case Failed():
            data = None if outcome.data == NULL else outcome.data
            error = {"code": outcome.code, "message": outcome.message, "data": data}
            return {"error": error | {"kind": outcome.kind.value, "retryable": outcome.retryable}}
