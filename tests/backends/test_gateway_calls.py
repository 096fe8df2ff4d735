import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import anyio
import pytest
from agent_kit import attachment

from mcp_orchestrator.backends.gateway_calls import GatewayCalls
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.errors import BackendError

pytestmark = pytest.mark.anyio


@pytest.fixture
def endpoint():
    """Starts a server that gives canned answers one after the other (the last one again), and records requests."""
    servers = []

    def start(*answers, content_type="application/json", status=200):
        seen = []

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self):
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = answers[min(len(seen), len(answers) - 1)]
                seen.append(({name.lower(): value for name, value in self.headers.items()}, sent))
                data = body.replace("ID", str(sent["id"])).encode()
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Answering)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/mcp", seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


async def nobody(question):
    raise AssertionError(question)


async def call(url, ask=nobody):
    calls = GatewayCalls(attachment(url), "player")
    try:
        with anyio.fail_after(5):
            return await calls.tool("files__read", {"path": "a"}, ask)
    finally:
        await calls.aclose()


async def test_a_call_carries_the_token_of_the_run_and_says_who_calls(endpoint):
    url, seen = endpoint('{"jsonrpc": "2.0", "id": ID, "result": {"content": []}}')
    assert await call(url) == {"content": []}
    ((headers, sent),) = seen
    assert headers["authorization"] == "Bearer token-of-the-run"
    assert (headers["mcp-method"], headers["mcp-name"]) == ("tools/call", "files__read")
    assert sent["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"] == "player"
    assert sent["params"]["arguments"] == {"path": "a"}


async def test_a_streamed_answer_is_read_until_the_response(endpoint):
    events = 'data: {"method": "notifications/progress"}\n\ndata: nonsense\n\ndata: {"id": ID, "result": {"n": 1}}\n\n'
    url, _seen = endpoint(events, content_type="text/event-stream")
    assert await call(url) == {"n": 1}


async def test_a_tool_that_asks_is_called_again_with_the_answers(endpoint):
    asks = {"q": {"method": "elicitation/create", "params": {"mode": "form", "message": "Which?"}}}
    first = json.dumps(
        {"id": "_", "result": {"resultType": "input_required", "inputRequests": asks, "requestState": "s"}}
    )
    url, seen = endpoint(first.replace('"_"', "ID"), '{"id": ID, "result": {"content": []}}')
    heard = []

    async def ask(question):
        heard.append(question.params["message"])
        return Answer({"action": "accept", "content": {"name": "Bob"}})

    assert await call(url, ask) == {"content": []}
    assert heard == ["Which?"]
    again = seen[1][1]["params"]
    assert again["inputResponses"] == {"q": {"action": "accept", "content": {"name": "Bob"}}}
    assert again["requestState"] == "s"


async def test_a_tool_that_never_stops_asking_is_given_up(endpoint):
    url, seen = endpoint('{"id": ID, "result": {"resultType": "input_required", "inputRequests": {}}}')
    with pytest.raises(BackendError, match="came back with questions 20 times"):
        await call(url)
    assert len(seen) == 20


async def test_errors_and_what_is_no_answer_are_told(endpoint):
    url, _seen = endpoint('{"id": ID, "error": {"code": -32602, "message": "no such tool"}}')
    with pytest.raises(BackendError, match="no such tool"):
        await call(url)
    url, _seen = endpoint("<html>", content_type="text/html", status=502)
    with pytest.raises(BackendError, match="HTTP status 502 and no JSON"):
        await call(url)
    url, _seen = endpoint("[]")
    with pytest.raises(BackendError, match="no result"):
        await call(url)
