import http.server
import io
import os
import threading

import pytest

from mcp_orchestrator.cli import gateways
from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.cli.gateways import act_on_running, running_card
from mcp_orchestrator.cli.loading import require
from mcp_orchestrator.cli.printing import Printer
from mcp_orchestrator.cli.reach import act


@pytest.fixture
def printer():
    return Printer(out=io.StringIO(), err=io.StringIO())


async def status(actor):
    return actor.running, (await actor.ask("status", {}))["pid"]


def test_without_a_gateway_one_in_this_process_answers(configured, printer, tmp_state):
    configuration = require(configured(), printer)
    assert running_card(configuration) is None
    assert act(configuration, printer, status) == (False, os.getpid())
    with pytest.raises(Ended) as caught:
        act_on_running(configuration, status)
    assert caught.value.code is Exit.UNREACHABLE


def test_the_running_gateway_of_the_same_file_is_asked(configured, printer, served):
    path = configured()
    gateway = served(path)
    configuration = require(path, printer)
    assert running_card(configuration).pid == gateway.process.pid
    assert act(configuration, printer, status) == (True, gateway.process.pid)
    gateway.end()
    assert running_card(configuration) is None


def test_a_gateway_of_another_file_is_left_alone_and_named(configured, printer, served, tmp_path):
    path = configured()
    gateway = served(path)
    other = tmp_path / "other.json"
    other.write_text(path.read_text())
    assert act(require(other, printer), printer, status) == (False, os.getpid())
    assert f"process {gateway.process.pid}" in printer._err.getvalue()


FAILURES = [
    ("tools.show", {"name": "nothing"}, Exit.USAGE),
    ("tools.show", {"name": ""}, Exit.USAGE),
    ("backends.restart", {"name": "dead"}, Exit.UNREACHABLE),
]


@pytest.mark.parametrize("running", [True, False])
def test_failures_mean_the_same_in_both_ways(configured, printer, served, running):
    path = configured(mcpServers={"dead": {"command": "/no/such/program"}})
    if running:
        served(path)
    for action, args, code in FAILURES:
        with pytest.raises(Ended) as caught:
            act(require(path, printer), printer, lambda actor, what=action, how=args: actor.ask(what, how))
        assert caught.value.code is code


def test_only_what_is_to_be_journalled_writes_a_state_file(configured, printer, tmp_state):
    configuration = require(configured(), printer)
    state = configuration.snapshot.storage.path
    act(configuration, printer, status)
    assert not state.exists()
    act(configuration, printer, status, journal=True)
    assert state.exists()
    state.write_bytes(b"damaged" * 1000)
    with pytest.raises(Ended) as caught:
        act(configuration, printer, status, journal=True)
    assert caught.value.code is Exit.USAGE


def test_a_command_without_a_gateway_waits_until_servers_have_come_up(configured, printer, tmp_state, monkeypatch):
    monkeypatch.setattr(gateways, "SILENCE", 0.0)
    configuration = require(configured(limits={"listWait": 0}), printer)

    async def listed(actor):
        return await actor.ask("tools.list", {})

    found = act(configuration, printer, listed)
    assert [tool["public"] for tool in found["tools"]] == ["clock__now", "clock__wait", "notes__add", "notes__list"]
    assert "still start: notes, clock" in printer._err.getvalue()


@pytest.fixture
def locked_server():
    """The address of a server that wants a sign-in."""

    class Locked(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            self.do_POST()

        def log_message(self, *_about):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Locked) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/mcp"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("running", [True, False])
def test_a_server_that_wants_a_sign_in_ends_every_command_with_3(configured, served, program, locked_server, running):
    path = configured(mcpServers={"locked": {"url": locked_server}})
    if running:
        served(path)
        restarted = program("backends", "restart", "locked", "--config", str(path))
        assert (restarted.returncode, "needs sign-in" in restarted.stderr) == (3, True)
    called = program("tools", "call", "locked__anything", "--config", str(path))
    assert (called.returncode, "needs sign-in" in called.stderr) == (3, True)
    assert program("doctor", "--config", str(path)).returncode == 3
