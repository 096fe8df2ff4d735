"""Plans a call from what is remembered of the backends, without a gateway and without starting anything."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from mcp_orchestrator.config.compare import fingerprint
from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.identities import named
from mcp_orchestrator.core.plan import Rules, plan
from mcp_orchestrator.core.wire.versions import LATEST_MODERN
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.outcome import Completed, Failed, Outcome, ToolRefusal
from mcp_orchestrator.model.plan import Plan
from mcp_orchestrator.model.snapshot import Snapshot
from mcp_orchestrator.runtime.callers import local_principal
from mcp_orchestrator.storage.connecting import open_reader
from mcp_orchestrator.storage.offers import decode_offers, offer_rows
from mcp_orchestrator.storage.tokens import all_tokens
from mcp_orchestrator.storage.trouble import StorageError


class Memory:
    """What is remembered of the backends of one configuration. `unknown` names those of which nothing is."""

    def __init__(
        self, snapshot: Snapshot, offers: Mapping[tuple[str, str], Offers], tokens: Sequence[Token] = ()
    ) -> None:
        self._snapshot = snapshot
        self._tokens = tokens
        enabled = [spec for spec in snapshot.backends.values() if not spec.disabled]
        found = {spec.name: _either(offers, fingerprint(spec)) for spec in enabled}
        self.unknown = tuple(name for name, known in found.items() if known is None)
        self._known = [known for known in found.values() if known is not None]

    def catalog(self, profile: str | None) -> Catalog:
        """The catalog of a view, as far as it is remembered. The profile must exist."""
        spec = self._snapshot.profiles[profile] if profile is not None else None
        return Catalog(Era.MODERN, spec, self._known, self._snapshot.backends)

    def plan(
        self, name: str, arguments: dict[str, Any], profile: str | None, who: str | None = None
    ) -> dict[str, Any]:
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
        )
        return as_json(plan(call, self.catalog(profile), rules))


def recall(snapshot: Snapshot) -> Memory:
    """Read the state file of a configuration; nothing is remembered where there is none or it cannot be read."""
    try:
        connection = open_reader(snapshot.storage.path)
    except StorageError:
        return Memory(snapshot, {})
    try:
        return Memory(snapshot, decode_offers(offer_rows(connection)), all_tokens(connection))
    finally:
        connection.close()


def as_json(decided: Plan) -> dict[str, Any]:
    """A plan as plain JSON: {target, refusal, reasons}."""
    target = decided.target
    return {
        "target": {"backend": target.backend, "name": target.name, "timeout": target.timeout} if target else None,
        "refusal": None if decided.refusal is None else _refusal(decided.refusal),
        "reasons": [
            {"step": reason.step, "rule": reason.rule, "where": reason.where, "text": reason.text}
            for reason in decided.reasons
        ],
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
