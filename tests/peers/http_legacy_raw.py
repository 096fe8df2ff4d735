"""A legacy streamable HTTP server on the raw one: handshake and session are played, the rest is the test's script."""

from __future__ import annotations

import json

from http_raw import raw_server

INITIALIZED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "raw", "version": "1"},
}


def legacy_server(script, *, session="s-1", get=None, delete=None, events=False):
    """`script(request)` gets every POST after the handshake; `get(request)` the GETs, refused with 405 if None."""

    def play(request):
        if request.method == "GET" and get is None:
            request.reply(b"", status="405 Method Not Allowed")
        elif request.method == "GET":
            return get(request)
        elif request.method == "DELETE":
            return delete(request) if delete else request.reply(b"")
        elif request.json.get("method") == "server/discover":
            request.reply(b"Bad Request: no session", status="400 Bad Request", kind="text/plain")
        elif request.json.get("method") == "initialize":
            begin(request, session, events)
        elif request.json.get("method") == "notifications/initialized":
            request.reply(b"", status="202 Accepted")
        else:
            return script(request)
        return None

    return raw_server(play)


def begin(request, session, events):
    extra = f"mcp-session-id: {session}\r\n" if session else ""
    if not events:
        body = b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (request.json["id"], json.dumps(INITIALIZED).encode())
        request.reply(body, extra=extra)
        return
    request.start_events(extra)
    request.event({"jsonrpc": "2.0", "id": request.json["id"], "result": INITIALIZED})
    request.end_events()


def accept(request):
    """What a server does with notifications and answers."""
    request.reply(b"", status="202 Accepted")
