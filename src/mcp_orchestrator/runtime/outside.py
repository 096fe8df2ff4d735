"""What legacy backends say outside of every call, and whom it concerns.

MCP 2025-11-25 server/utilities/logging, client/elicitation (completion notifications). A session that is one client's own
speaks to that client. What a shared one says while no call is in flight concerns every legacy client that sees the backend
and has no session of its own with it; what it says while calls are in flight may be about one of them and reaches nobody
else. The modern era has no such messages: there, log messages belong to a request, and the others are gone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from mcp_orchestrator.core.translate.questions import ELICITATION_COMPLETE
from mcp_orchestrator.model.call import Call, Era
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.errors import URL_ELICITATION_REQUIRED
from mcp_orchestrator.model.outcome import Failed, Outcome
from mcp_orchestrator.plugin_api import LogLine, Notice, View
from mcp_orchestrator.runtime.announcements import Announcements
from mcp_orchestrator.runtime.lives import LifeKey
from mcp_orchestrator.runtime.questions import with_elicitation_id

REMEMBERED: Final = 4096
"""Addresses of which is known who was asked to visit them, the oldest first to go."""

_OF_CLIENTS: Final = frozenset(
    {
        "notifications/initialized",
        "notifications/roots/list_changed",
        "notifications/subscriptions/acknowledged",
    }
)
"""Notifications that no server sends to a legacy client."""


class Addressees:
    """Which client session was asked to visit which address. Bounded."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._sessions: OrderedDict[tuple[str, str], str] = OrderedDict()

    def asked(self, backend: str, params: Any, session: str | None) -> None:
        """Note that a client session gets this elicitation, if it is for an address and has an id."""
        ident = params.get("elicitationId") if isinstance(params, dict) else None
        if session is None or not isinstance(ident, str):
            return
        self._sessions[backend, ident] = session
        self._sessions.move_to_end((backend, ident))
        if len(self._sessions) > self._most:
            self._sessions.popitem(last=False)

    def put(self, call: Call, backend: str, question: Question, minted: str) -> Question:
        """A question on its way to the client of a call: with an id if it is for an address, and noted under it."""
        question = with_elicitation_id(question, minted)
        self.asked(backend, question.params, call.client.session)
        return question

    def refused(self, call: Call, backend: str, outcome: Outcome) -> None:
        """A call that is refused until addresses were visited (-32042) asks its client to visit them."""
        if isinstance(outcome, Failed) and outcome.code == URL_ELICITATION_REQUIRED and isinstance(outcome.data, dict):
            wanted = outcome.data.get("elicitations")
            for one in wanted if isinstance(wanted, list) else ():
                self.asked(backend, one, call.client.session)

    def done(self, backend: str, ident: object) -> str | None:
        """Who was asked to visit an address that was dealt with now; each is told once."""
        return self._sessions.pop((backend, ident), None) if isinstance(ident, str) else None


class Outside:
    """Passes such messages on. `sees` tells whether a view shows a backend, `own` whether a client session has its own."""

    def __init__(
        self,
        announcements: Announcements,
        addressees: Addressees,
        sees: Callable[[View, str], bool],
        own: Callable[[str, str], bool],
    ) -> None:
        self._announcements = announcements
        self._addressees = addressees
        self._sees = sees
        self._own = own

    def heard(self, backend: str, key: LifeKey, event: LogLine | Notice) -> None:
        """A session of a backend said something that belongs to no call."""
        if isinstance(event, Notice) and event.method in _OF_CLIENTS:
            return
        if key.client is not None:
            self._announcements.to_session(key.client, replace(event, common=False))
        elif isinstance(event, Notice) and event.method == ELICITATION_COMPLETE:
            session = self._addressees.done(backend, event.params.get("elicitationId"))
            if session is not None:
                self._announcements.to_session(session, event)
        elif event.common and key.era is Era.LEGACY:
            concerned = lambda view, session: (  # noqa: E731 - one expression
                view.era is Era.LEGACY and self._sees(view, backend) and not self._own(backend, session)
            )
            self._announcements.to_sessions(concerned, event)
