"""Callers of the A2A listener: the tokens of the gateway, in both bindings and both versions."""

import asyncio
import contextlib
import json
from types import SimpleNamespace

import anyio
import httpx2
import pytest
from a2a_door import FakeDoor, endpoint

from mcp_orchestrator.core import tokens
from mcp_orchestrator.listeners.a2a import A2aListener
from mcp_orchestrator.listeners.admission import SignIn
from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.model.snapshot import IdentitySpec
from mcp_orchestrator.runtime.callers import Callers
from mcp_orchestrator.storage.tokens import MemoryTokens

pytestmark = pytest.mark.anyio

SECRETS = {name: tokens.make(name.encode().ljust(32, b".")) for name in ("alice", "bob", "looker", "nobody", "bound")}
SCOPES = {"looker": ("runs",), "nobody": ("tools",)}


async def for_ever(run):
    run.work_on()
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def signing_in(*, required=True):
    """The listener with sign-in: yields (send, door, address, callers)."""
    store = MemoryTokens()
    for name, secret in SECRETS.items():
        profile = "p" if name == "bound" else None
        await store.add(Token(name, name, tokens.digest(secret), 0.0, scopes=SCOPES.get(name), profile=profile))
    callers = Callers(store, lambda: 1.0, lambda *_: None, SimpleNamespace(warning=lambda *_, **__: None))
    callers.configure(IdentitySpec(required=required))
    await callers.refresh()
    door = FakeDoor(for_ever)

    def listener(spec, door):
        sign_in = SignIn(callers, lambda _name: True)
        made = A2aListener(spec, door, sign_in)
        sign_in.on_leaving(made.shut_out)
        return made

    with anyio.fail_after(20):
        async with endpoint(door, listener=listener) as address, httpx2.AsyncClient(timeout=20) as http:

            async def send(method, params, name=None, version="1.0"):
                body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                headers = {"a2a-version": version, **bearer(name)}
                return await http.post(address + "/", json=body, headers=headers)

            yield SimpleNamespace(
                send=send, door=door, address=address, callers=callers, http=http, store=store, begin=lambda name: begin(send, name)
            )  # fmt: skip


def bearer(name):
    return {} if name is None else {"authorization": f"Bearer {SECRETS[name]}"}


async def begin(send, name):
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]}
    return await send("SendMessage", {"message": message, "configuration": {"returnImmediately": True}}, name)


async def test_only_callers_with_a_token_are_served_and_the_card_says_so():
    async with signing_in() as door:
        refused = await door.begin(None)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == 'Bearer realm="mcp-orchestrator"'
        assert refused.json()["error"]["message"].startswith("sign in")
        assert (await door.http.get(door.address + "/tasks", headers={"a2a-version": "1.0"})).status_code == 401
        query = f"/?access_token={SECRETS['alice']}"
        assert (await door.http.post(door.address + query, json={}, headers=bearer("alice"))).status_code == 401
        assert door.door.runs == {}
        for path in ("agent-card.json", "agent.json"):
            card = (await door.http.get(f"{door.address}/.well-known/{path}")).json()
            assert card["securitySchemes"]
        assert (await door.http.get(door.address + "/healthz")).status_code == 200
        accepted = await door.begin("alice")
        assert "error" not in accepted.json()
        (run,) = door.door.runs.values()
        assert run.kept.owner == "token:alice"


async def test_where_sign_in_is_not_required_the_card_asks_for_none_and_nobody_known_is_served():
    async with signing_in(required=False) as door:
        card = (await door.http.get(f"{door.address}/.well-known/agent-card.json")).json()
        assert "securitySchemes" not in card
        assert "error" not in (await door.begin(None)).json()
        assert [run.kept.owner for run in door.door.runs.values()] == ["anonymous"]


async def test_the_tasks_of_one_caller_are_not_there_for_another():
    async with signing_in() as door:
        task = (await door.begin("alice")).json()["result"]["task"]["id"]
        for method in ("GetTask", "CancelTask", "SubscribeToTask"):
            assert "error" in (await door.send(method, {"id": task}, "bob")).text
        answer = {"messageId": "m", "role": "ROLE_USER", "taskId": task, "parts": [{"text": "x"}]}
        assert "error" in (await door.send("SendMessage", {"message": answer}, "bob")).json()
        assert (await door.send("ListTasks", {}, "bob")).json()["result"].get("tasks", []) == []
        assert "error" in (await door.send("tasks/get", {"id": task}, "bob", version="0.3")).json()
        assert "error" not in (await door.send("tasks/get", {"id": task}, "alice", version="0.3")).json()
        rest = {"a2a-version": "1.0"}
        other = await door.http.get(f"{door.address}/tasks/{task}", headers={**rest, **bearer("bob")})
        own = await door.http.get(f"{door.address}/tasks/{task}", headers={**rest, **bearer("alice")})
        assert (other.status_code, own.status_code) == (404, 200)


async def test_a_token_does_here_what_it_is_good_for_and_no_more():
    async with signing_in() as door:
        assert "lacks the scope 'delegate'" in (await door.begin("looker")).json()["error"]["message"]
        assert "error" not in (await door.send("ListTasks", {}, "looker")).json()
        assert "lacks the scope 'runs'" in (await door.send("ListTasks", {}, "nobody")).json()["error"]["message"]
        bound = await door.begin("bound")
        assert bound.status_code == 403
        assert "profile 'p'" in bound.json()["error"]["message"]
        assert door.door.runs == {}


async def test_a_stream_ends_when_its_token_is_revoked():
    async with signing_in() as door:
        message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]}
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": message}}
        headers = {"a2a-version": "1.0", **bearer("alice")}
        async with door.http.stream("POST", door.address + "/", json=body, headers=headers) as reply:
            lines = reply.aiter_lines()
            while not (line := await anext(lines)).startswith("data:"):
                pass
            assert json.loads(line[5:])["result"]["task"]["id"]
            await door.store.revoke("alice", 1.0)
            await door.callers.refresh()
            with contextlib.suppress(httpx2.RemoteProtocolError):  # it is cut off
                async for _ in lines:
                    pass
        assert (await door.begin("alice")).status_code == 401
