"""The ASGI application for A2A clients: guards, cards, and the SDK's routes for the router and for each agent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.response_helpers import agent_card_to_dict, build_error_response
from a2a.server.routes import create_jsonrpc_routes, create_rest_routes
from a2a.server.routes.common import DefaultServerCallContextBuilder
from a2a.types.a2a_pb2 import AgentCard
from a2a.utils.error_handlers import build_rest_error_payload
from a2a.utils.errors import A2AError, ContentTypeNotSupportedError, InvalidRequestError
from google.protobuf.json_format import MessageToDict, ParseDict
from starlette.requests import Request
from starlette.routing import Mount, Router

from mcp_orchestrator.agent_api import DelegationDoor
from mcp_orchestrator.listeners.a2a_cards import SIGN_IN, Shelf, agent_card, router_card
from mcp_orchestrator.listeners.a2a_feeds import Feeds
from mcp_orchestrator.listeners.a2a_requests import PRINCIPAL, A2aRequests, Histories
from mcp_orchestrator.listeners.admission import FORBIDDEN, SignIn, in_query
from mcp_orchestrator.listeners.event_stream import Message, Receive, Send
from mcp_orchestrator.listeners.http_guard import BODY_SECONDS, Guard, HeaderMap, Rejection, send_empty, send_json
from mcp_orchestrator.model.call import ANONYMOUS, Principal
from mcp_orchestrator.model.snapshot import HttpSpec

CARD_PATHS: Final = ("/.well-known/agent-card.json", "/.well-known/agent.json")
AGENTS: Final = "/agents/"

_JSON: Final = frozenset({b"application/json", b"application/a2a+json"})
_CLOSE: Final = ((b"connection", b"close"),)
_DEPTH: Final = 100
_log: Final = logging.getLogger(__name__)

Make = Callable[[str | None], A2aRequests]
"""Makes what answers for the router (None) or for an agent."""


class A2aApp:
    """The application. `base` is the public address, set before the first request is taken."""

    def __init__(
        self,
        spec: HttpSpec,
        door: DelegationDoor,
        who: Principal = ANONYMOUS,
        make: Make | None = None,
        sign_in: SignIn | None = None,
    ) -> None:
        """`sign_in` says who sends a request; without it, `who` sends all."""
        self._sign_in = sign_in
        self._who = who
        self._answering: dict[str, set[asyncio.Task[Any]]] = {}
        self._guard = Guard(spec)
        self._limit = spec.max_body_bytes
        self._door = door
        self._shelf = Shelf()
        self._routers: dict[str | None, Router] = {}
        feeds, histories = Feeds(door), Histories()
        self._make = make or (lambda agent: A2aRequests(door, who, feeds, histories, agent))
        self.base = ""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers: HeaderMap = dict(scope["headers"])
        rejection = self._guard.check(headers)
        if rejection is not None:
            text = rejection.text.replace("listeners.http", "listeners.a2a")
            await _refuse(send, scope["path"], replace(rejection, text=text))
            return
        query = scope.get("query_string", b"")
        rejection = in_query(query) if query else None
        if rejection is not None:
            await _refuse(send, _split(scope["path"])[1], rejection)
            return
        await self._route(scope, headers, receive, send)

    async def _route(self, scope: Message, headers: HeaderMap, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        agent, below = _split(path)
        if agent is not None and all(spec.name != agent for spec in self._door.agents):
            await _refuse(send, path, Rejection(404, f"there is no agent {agent[:100]!r} here"))
        elif below in CARD_PATHS and method in ("GET", "HEAD"):
            await self._card(send, agent, below, headers, method)
        elif below == "/healthz" and agent is None:
            await send_json(send, 200, b'{"status":"ok"}')
        else:
            await self._admitted(scope, (agent, below), headers, receive, send)

    async def _admitted(
        self, scope: Message, place: tuple[str | None, str], headers: HeaderMap, receive: Receive, send: Send
    ) -> None:
        """Answer whoever may ask. Cards and the state of health are for everybody."""
        who = self._who
        if self._sign_in is not None:
            caller = self._sign_in.caller(headers, scope["headers"])
            if isinstance(caller, Rejection):
                await _refuse(send, place[1], caller)
                return
            if caller.profile is not None:
                text = f"the token of {caller.principal.id} is for the MCP profile '{caller.profile}' alone"
                await _refuse(send, place[1], Rejection(FORBIDDEN, text))
                return
            who = caller.principal
        scope = {**scope, PRINCIPAL: who}
        task = asyncio.current_task()
        answering = self._answering.setdefault(who.id, set())
        if task is not None:
            answering.add(task)
        try:
            if scope["method"] == "POST":
                await self._post(scope, place, headers, receive, send)
            else:
                await self._pass_on(scope, place, receive, send)
        finally:
            if task is not None:
                answering.discard(task)
            if not answering:
                self._answering.pop(who.id, None)

    def shut_out(self, who: str) -> None:
        """End the requests of a principal (by its id) that are being answered."""
        for task in list(self._answering.get(who, ())):
            task.cancel()

    async def _card(self, send: Send, agent: str | None, below: str, headers: HeaderMap, method: str) -> None:
        """A card. The older path also has the fields of 0.3, which the schema of 1.0 does not allow beside its own."""
        specs = self._door.agents
        found = next((spec for spec in specs if spec.name == agent), None)
        made = agent_card(self.base, found) if found is not None else router_card(self.base, specs)
        if self._sign_in is not None and self._sign_in.required:
            made |= SIGN_IN
        parsed = ParseDict(made, AgentCard())
        card = MessageToDict(parsed) if below == CARD_PATHS[0] else agent_card_to_dict(parsed)
        wanted = headers.get(b"if-none-match", b"").decode("latin-1")
        status, body, more = self._shelf.serve(f"{agent}{below}", card, wanted, time.time())
        if status == 200:  # noqa: PLR2004 - the card itself, or that it is the same
            await send_json(send, status, body if method == "GET" else b"", more)
        else:
            await send_empty(send, status, more)

    async def _post(
        self, scope: Message, place: tuple[str | None, str], headers: HeaderMap, receive: Receive, send: Send
    ) -> None:
        """A request with a body, which is read and bounded before anybody looks into it."""
        agent, below = place
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        length = headers.get(b"content-length", b"")
        if length.isdigit() and (len(length) > len(str(self._limit)) or int(length) > self._limit):
            await _refuse(send, below, self._too_large())
            return
        try:
            body = await asyncio.wait_for(_read(receive, self._limit), BODY_SECONDS)
        except TimeoutError:
            await _refuse(send, below, Rejection(408, f"the body did not arrive within {BODY_SECONDS:g} s", _CLOSE))
            return
        if body is None:
            await _refuse(send, below, self._too_large())
        elif kind not in _JSON and (body or kind):
            shown = kind.decode("latin-1")[:100] or "none"
            text = f"the content type {shown} is not read here: send application/json"
            await _fault(send, below, 415, ContentTypeNotSupportedError(text))
        elif _too_deep(body):
            await _fault(send, below, 400, InvalidRequestError(f"the JSON is nested deeper than {_DEPTH}"))
        else:
            await self._pass_on(scope, (agent, below), _again(body, receive), send)

    def _too_large(self) -> Rejection:
        return Rejection(413, f"the body is larger than {self._limit} bytes (listeners.a2a.maxBodyBytes)", _CLOSE)

    async def _pass_on(self, scope: Message, place: tuple[str | None, str], receive: Receive, send: Send) -> None:
        """Have the SDK's routes answer."""
        agent, below = place
        router = self._routers.get(agent)
        if router is None:
            router = self._routers[agent] = self._router(agent)
        await router({**scope, "path": below, "raw_path": below.encode(), "root_path": ""}, receive, send)

    def _router(self, agent: str | None) -> Router:
        handler = self._make(agent)
        rest = [
            route
            for route in create_rest_routes(handler, context_builder=_Known(), enable_v0_3_compat=True)
            if not isinstance(route, Mount)  # tenants: any first word of a path would be one
        ]
        routes = [*create_jsonrpc_routes(handler, "/", context_builder=_Known(), enable_v0_3_compat=True), *rest]
        return Router(routes, redirect_slashes=False, default=_nothing)


class _Known(DefaultServerCallContextBuilder):
    """Puts who asks into the context of a call, and keeps their token out of it."""

    def build(self, request: Request) -> ServerCallContext:
        """The context of one request."""
        context = super().build(request)
        context.state["headers"].pop("authorization", None)
        context.state[PRINCIPAL] = request.scope[PRINCIPAL]
        return context


async def _nothing(scope: Message, receive: Receive, send: Send) -> None:
    """There is nothing at this path."""
    del receive
    text = f"there is nothing at this path; the agent's card is at {CARD_PATHS[0]}"
    await _refuse(send, scope["path"], Rejection(404, text))


def _split(path: str) -> tuple[str | None, str]:
    """The agent that a path is about (None: the router), and the path below it."""
    if not path.startswith(AGENTS):
        return None, path
    name, slash, rest = path[len(AGENTS) :].partition("/")
    return unquote(name), f"{slash}{rest}" or "/"


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The body; None when it is larger than the limit. A client that leaves has sent what it has sent."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, and then what else comes."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return receiving


def _too_deep(body: bytes) -> bool:
    """Whether brackets are nested deeper than readers of JSON bear; those in strings count, which errs to the safe side."""
    if body.count(b"[") + body.count(b"{") <= _DEPTH:
        return False
    depth = deepest = 0
    in_string = escaped = False
    for byte in body:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:  # noqa: PLR2004 - a backslash
                escaped = True
            elif byte == 0x22:  # noqa: PLR2004 - a quotation mark
                in_string = False
        elif byte == 0x22:  # noqa: PLR2004
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest > _DEPTH


async def _fault(send: Send, below: str, status: int, error: A2AError) -> None:
    """An error of A2A before there is a request: for JSON-RPC in its form, else as HTTP+JSON has it."""
    if below == "/":
        await send_json(send, 200, msgspec.json.encode(build_error_response(None, error)))
        return
    payload = build_rest_error_payload(error)
    payload["error"]["code"] = status
    await send_json(send, status, msgspec.json.encode(payload))


async def _refuse(send: Send, below: str, rejection: Rejection) -> None:
    """A refusal of HTTP itself; its body has the form that clients of either binding show."""
    payload: dict[str, Any] = {
        "error": {"code": rejection.status, "message": rejection.text, "status": "INVALID_ARGUMENT"}
    }
    if below == "/":
        payload = {"jsonrpc": "2.0", "id": None, "error": {"code": rejection.code, "message": rejection.text}}
    await send_json(send, rejection.status, msgspec.json.encode(payload), rejection.headers)
