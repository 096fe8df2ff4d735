"""What a backend session is handed for a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_orchestrator.core.own_names import own_params
from mcp_orchestrator.model.call import CallKind, ClientFace, Era, Invocation
from mcp_orchestrator.model.plan import Target
from mcp_orchestrator.plugin_api import Session

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run


def invocation_of(run: Run, target: Target, session: Session, client: ClientFace) -> Invocation:
    """The request of a run in the backend's own names; `client` is how the client is shown to the backend."""
    call = run.call
    return Invocation(
        run=run.id,
        method=call.method,
        params=call.params
        if target.name == call.name and target.arguments is None
        else own_params(call.params, call, target),
        meta=call.meta,
        client=client,
        wants_progress=call.wants_progress,
        log_level=call.log_level,
        name_header=None if call.kind is CallKind.EXTENSION else target.name or None,
        headers=target.headers if session.era is Era.MODERN else None,
        principal=call.principal,
        profile=call.profile,
        trace=run.trace,
    )
