"""A model endpoint on loopback that fails: it answers every request with one HTTP status, or says nothing at all."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KINDS = {401: "authentication_error", 429: "rate_limit_error", 500: "api_error"}


class FailingModel:
    """Serves one `status` while its `with` block lasts. `asked` counts the requests that wanted the model to speak."""

    def __init__(self, status):
        self.status = status
        self.asked = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exc):
        self._server.shutdown()
        self._server.server_close()


def _handler(model):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._send(200, {"data": [], "models": []})

        def do_HEAD(self):
            self._send(200, {})

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            model.asked += 1
            error = {"type": KINDS[model.status], "message": f"scripted {model.status}", "code": "scripted"}
            self._send(model.status, {"type": "error", "error": error})

        def _send(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_args):
            """The output belongs to the test."""

    return Handler
