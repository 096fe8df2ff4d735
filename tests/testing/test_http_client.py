import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mcp_orchestrator.testing.http_client import HttpClient, RpcError


@pytest.fixture
def endpoint():
    """Starts a server that gives one canned answer, and records requests."""
    servers = []

    def start(body, content_type="application/json"):
        seen = []

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self):
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                seen.append((dict(self.headers.items()), sent))
                data = body.replace("ID", str(sent["id"])).encode()
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Answering)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return HttpClient(f"http://127.0.0.1:{server.server_port}/mcp"), seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_request_carries_the_headers_and_the_meta_of_the_modern_era(endpoint):
    client, seen = endpoint('{"jsonrpc": "2.0", "id": ID, "result": {"ok": true}}')
    assert client.call("größe", a=1) == {"ok": True}
    headers, sent = seen[0]
    lower = {name.lower(): value for name, value in headers.items()}
    assert lower["mcp-protocol-version"] == "2026-07-28"
    assert lower["mcp-method"] == "tools/call"
    assert lower["mcp-name"] == "=?base64?Z3LDtsOfZQ==?="
    assert sent["params"]["arguments"] == {"a": 1}
    assert sent["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"


def test_a_streamed_reply_is_read_until_its_response(endpoint):
    events = (
        'event: message\ndata: {"method": "notifications/progress"}\n\n: ping\n\n'
        'data: {"id": 99, "result": {}}\n\ndata: {"id": ID, "result": {"n": 1}}\n\n'
    )
    assert endpoint(events, "text/event-stream")[0].request("tools/list") == {"n": 1}
    with pytest.raises(ValueError, match="ended without a response"):
        endpoint(": nothing\n\n", "text/event-stream")[0].request("tools/list")


def test_errors_and_nonsense_are_exceptions(endpoint):
    client, _ = endpoint('{"id": ID, "error": {"code": -32602, "message": "no", "data": {"kind": "unknown_name"}}}')
    with pytest.raises(RpcError) as caught:
        client.request("tools/call", {"name": "x"})
    assert (caught.value.code, caught.value.data) == (-32602, {"kind": "unknown_name"})
    for body in ("[]", "{}", '{"result": 5}', "nonsense"):
        with pytest.raises(ValueError):  # noqa: PT011 - each in its own words
            endpoint(body)[0].request("tools/list")


def test_a_server_that_is_not_there_is_an_oserror(free_port):
    with pytest.raises(OSError, match="refused"):
        HttpClient(f"http://127.0.0.1:{free_port}/mcp").request("tools/list")
