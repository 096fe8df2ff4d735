"""Plans a call from what is remembered of the backends, without a gateway and without starting anything."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from mcp_orchestrator.config.compare import fingerprint
from mcp_orchestrator.core.budget import Budgets
from mcp_orchestrator.core.budgeting import Standing, budgeted
from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.identities import named
from mcp_orchestrator.core.plan import Rules, plan
from mcp_orchestrator.core.policing import World, asker_of, subject_of
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.policy_terms import shown_terms
from mcp_orchestrator.core.pricing import shaping_of
from mcp_orchestrator.core.routing import in_full
from mcp_orchestrator.core.wire.versions import LATEST_MODERN
from mcp_orchestrator.model.budget import Balance
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.outcome import Completed, Failed, Outcome, ToolRefusal
from mcp_orchestrator.model.plan import Plan, Target
from mcp_orchestrator.model.snapshot import Snapshot
from mcp_orchestrator.runtime.callers import local_principal
from mcp_orchestrator.storage.accounts import balances
from mcp_orchestrator.storage.choice import database_of
from mcp_orchestrator.storage.offers import decode_offers, offer_rows
from mcp_orchestrator.storage.tokens import all_tokens
from mcp_orchestrator.storage.trouble import StorageError


class Memory:
    """What is remembered of the backends of one configuration. `unknown` names those of which nothing is."""

    def __init__(
        self,
        snapshot: Snapshot,
        offers: Mapping[tuple[str, str], Offers],
        tokens: Sequence[Token] = (),
        balances: Sequence[Balance] = (),
    ) -> None:
        self._snapshot = snapshot
        self._accounts = {balance.place: balance for balance in balances}
        self._shaping = shaping_of(snapshot)
        self._tokens = tokens
        enabled = [spec for spec in snapshot.backends.values() if not spec.disabled]
        found = {spec.name: _either(offers, fingerprint(spec)) for spec in enabled}
        self.unknown = tuple(name for name, known in found.items() if known is None)
        self._known = [known for known in found.values() if known is not None]

    def catalog(self, profile: str | None) -> Catalog:
        """The catalog of a view, as far as it is remembered. The profile must exist."""
        spec = self._snapshot.profiles[profile] if profile is not None else None
        return Catalog(Era.MODERN, spec, self._known, self._snapshot.backends, self._shaping)

    def plan(self, name: str, arguments: dict[str, Any], profile: str | None, who: str | None = None) -> dict[str, Any]:
        """The plan of one call in the form of the gateway's own `plan` action; `who` is the id of a principal."""
        client = ClientFace(Era.MODERN, LATEST_MODERN, {}, {"name": "mcp-orchestrator", "version": "0"})
        params = {"name": name, "arguments": arguments}
        principal = named(who or local_principal().id, self._tokens, self._snapshot.identity, time.time())
        call = Call(CallKind.TOOL, "tools/call", name, params, {}, client, principal, profile)
        backends = self._snapshot.backends
        rules = Rules(
            timeouts={backend: spec.timeout for backend, spec in backends.items()},
            where={backend: spec.where for backend, spec in backends.items()},
            validate=self._snapshot.observe.validate,
            policy=Policy(self._snapshot.policies) if self._snapshot.policies else None,
        )
        agents = [spec for spec in self._snapshot.agents.values() if not spec.disabled]
        world = World(time.time(), self._budget if self._snapshot.budgets else None, agents)
        decided = in_full(plan(call, self.catalog(profile), rules, world=world))
        if self._snapshot.budgets:
            budgets = Budgets(self._snapshot.budgets, self._snapshot.prices)
            decided = budgeted(decided, call, budgets, Standing(time.time(), self._accounts, binding=True))
        return as_json(decided)

    def _budget(self, call: Call, target: Target) -> Mapping[str, float]:
        budgets = Budgets(self._snapshot.budgets, self._snapshot.prices)
        asker = asker_of(call.principal, call.client, call.profile, call.context)
        return budgets.variables(subject_of(call, target), asker, time.time(), self._accounts)


def recall(snapshot: Snapshot) -> Memory:
    """Read the state file of a configuration; nothing is remembered where there is none or it cannot be read."""
    try:
        connection = database_of(snapshot.storage).open_reader()
    except StorageError:
        return Memory(snapshot, {})
    try:
        accounts = balances(connection, now=time.time())
        return Memory(snapshot, decode_offers(offer_rows(connection)), all_tokens(connection), accounts)
    finally:
        connection.close()


def as_json(decided: Plan) -> dict[str, Any]:
    """A plan as plain JSON: {target, refusal, reasons, terms}."""
    target = decided.target
    return {
        "target": {"backend": target.backend, "name": target.name, "timeout": target.timeout} if target else None,
        "refusal": None if decided.refusal is None else _refusal(decided.refusal),
        "reasons": [
            {"step": reason.step, "rule": reason.rule, "where": reason.where, "text": reason.text}
            for reason in decided.reasons
        ],
        "terms": shown_terms(decided.terms),
    }


def _refusal(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Failed():
            error = {"code": outcome.code, "message": outcome.message, "data": outcome.data}
            return {"error": error | {"kind": outcome.kind.value, "retryable": outcome.retryable}}
        case ToolRefusal():
            result = {"content": [{"type": "text", "text": outcome.text}], "isError": True}
            return {"result": result, "kind": outcome.kind.value}
        case Completed():
            return {}
        case _:
            assert_never(outcome)


def _either(offers: Mapping[tuple[str, str], Offers], key: str) -> Offers | None:
    return offers.get((key, Era.MODERN.value)) or offers.get((key, Era.LEGACY.value))
