import json

import anyio
import pytest
from a2a_door import FakeDoor

from mcp_orchestrator.listeners import a2a_app
from mcp_orchestrator.listeners.a2a_app import A2aApp
from mcp_orchestrator.model.snapshot import HttpSpec

pytestmark = pytest.mark.anyio
HOST = (b"host", b"127.0.0.1")
JSON = (b"content-type", b"application/json")


async def asked(method, path, *chunks, headers=(HOST, JSON), door=None, limit=1000):
    """One request to the application; gives the status and the decoded body."""
    app = A2aApp(HttpSpec(max_body_bytes=limit), door or FakeDoor(None))
    app.base = "http://127.0.0.1"
    pending = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]
    sent = []

    async def receive():
        return pending.pop(0) if pending else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers), "query_string": b""}
    with anyio.fail_after(5):
        await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body) if body else None


async def test_bodies_in_pieces_are_bounded():
    status, body = await asked("POST", "/", b"[" * 600, b"]" * 600)
    assert (status, body["error"]["message"]) == (
        413,
        "the body is larger than 1000 bytes (listeners.a2a.maxBodyBytes)",
    )
    status, _ = await asked("POST", "/", b"x", headers=(HOST, JSON, (b"content-length", b"9" * 30)))
    assert status == 413


async def test_a_body_that_does_not_come_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(a2a_app, "BODY_SECONDS", 0.01)
    app = A2aApp(HttpSpec(), FakeDoor(None))
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/message:send", "headers": [HOST, JSON]}
    with anyio.fail_after(5):
        await app(scope, anyio.Event().wait, send)
    assert sent[0]["status"] == 408


async def test_nesting_is_bounded_and_brackets_in_strings_are_none():
    status, body = await asked("POST", "/message:send", b"[" * 150)
    assert (status, body["error"]["details"][0]["reason"]) == (400, "INVALID_REQUEST")
    text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"a": '["\\' * 150}}).encode()
    _, body = await asked("POST", "/", text, limit=5000)
    assert body["error"]["code"] == -32601


async def test_paths_that_are_none_and_agents_that_are_none_are_not_found():
    assert (await asked("GET", "/nothing", headers=(HOST,)))[0] == 404
    assert (await asked("GET", "/agents/nobody/.well-known/agent-card.json", headers=(HOST,)))[0] == 404
    assert (await asked("GET", "/coder/tasks", headers=(HOST,)))[0] == 404
    assert (await asked("GET", "/healthz", headers=(HOST,))) == (200, {"status": "ok"})


async def test_a_card_without_its_body_and_an_agents_own():
    assert await asked("HEAD", "/.well-known/agent-card.json", headers=(HOST,)) == (200, None)
    _, card = await asked("GET", "/agents/coder/.well-known/agent-card.json", headers=(HOST,))
    assert card["name"] == "coder"
    assert "url" not in card


async def test_what_is_not_http_is_left_alone():
    app = A2aApp(HttpSpec(), FakeDoor(None))
    await app({"type": "lifespan"}, None, None)
