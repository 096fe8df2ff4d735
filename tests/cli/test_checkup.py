import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from postgres_kit import PASSWORD

from mcp_orchestrator.cli import checkup
from mcp_orchestrator.cli.checkup import examine
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.model.snapshot import Durability


@pytest.fixture
def examined(tmp_state):
    def look(path, *, start=True):
        found = []
        examine(path, found.extend, start=start)
        return found

    return look


def of(found, area, status="problem"):
    return [finding for finding in found if finding.area == area and finding.status == status]


def test_a_port_in_use_by_somebody_else_is_a_problem(examined, configured):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path = configured(listeners={"http": {"port": taken.getsockname()[1]}})
        (finding,) = of(examined(path, start=False), "address")
    assert finding.code is Exit.USAGE
    assert "listeners.http.port" in finding.fix


def test_a_damaged_state_file_is_a_problem(examined, configured, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.db").write_bytes(b"no database at all" * 100)
    (finding,) = of(examined(configured(), start=False), "state")
    assert "damaged" in finding.text


def test_a_state_directory_that_cannot_be_written_is_a_problem(examined, configured, monkeypatch):
    monkeypatch.setattr(checkup.os, "access", lambda _path, _mode: False)  # root may write everywhere
    (finding,) = of(examined(configured(), start=False), "state")
    assert "storage.url" in finding.fix


def test_a_file_where_the_state_directory_should_be_is_a_problem(examined, configured, tmp_path):
    (tmp_path / "state").touch()
    (finding,) = of(examined(configured(), start=False), "state")
    assert finding.text == f"{tmp_path}/state is no directory"


def test_state_of_another_configuration_in_the_same_directory_is_a_problem(examined, configured, served, tmp_path):
    path = configured()
    gateway = served(path)
    other = tmp_path / "other.json"
    other.write_text(path.read_text())
    (finding,) = of(examined(other, start=False), "gateway")
    assert f"process {gateway.process.pid}" in finding.text


def test_definitions_that_work_only_from_here_are_warned_of(examined, configured):
    servers = {"here": {"command": "./server"}, "off": {"command": "x", "disabled": True}}
    found = examined(configured(mcpServers=servers), start=False)
    assert of(found, "backend off", "warning")
    assert all(finding.fix for finding in of(found, "backend here", "warning"))


def test_the_last_words_of_a_server_that_ends_at_once_are_shown(examined, configured):
    program = "import sys; print('no licence found', file=sys.stderr); sys.exit(3)"
    found = examined(configured(mcpServers={"sad": {"command": sys.executable, "args": ["-c", program]}}))
    (finding,) = of(found, "backend sad")
    assert finding.code is Exit.UNREACHABLE
    assert "no licence found" in finding.text + finding.fix
    assert of(found, "backend notes", "ok")


def test_a_silent_server_is_given_up_after_its_start_timeout(examined, configured):
    servers = {"mute": {"command": sys.executable, "args": ["-c", "import sys; sys.stdin.read()"]}}
    found = examined(configured(mcpServers=servers, backends={"mute": {"startTimeout": "300ms"}}))
    (finding,) = of(found, "backend mute")
    assert finding.code is Exit.UNREACHABLE


def test_a_server_that_wants_a_sign_in_is_exit_code_3(examined, configured):
    class Closed(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Bearer realm="docs"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Closed) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/mcp"
        (finding,) = of(examined(configured(mcpServers={"closed": {"url": url}})), "backend closed")
        server.shutdown()
    assert finding.code is Exit.SIGN_IN


def test_a_container_engine_that_does_not_answer_is_named(examined, configured, tmp_path):
    engine = tmp_path / "docker"
    engine.write_text("#!/bin/sh\necho 'Cannot connect to the daemon' >&2\nexit 1\n")
    engine.chmod(0o755)
    (finding,) = of(
        examined(configured(mcpServers={"boxed": {"command": str(engine), "args": ["run"]}})), "backend boxed"
    )
    assert "docker does not answer: start it" in finding.fix


def test_a_slow_start_is_a_warning(examined, configured, monkeypatch):
    monkeypatch.setattr(checkup, "SLOW", 0.0)
    assert of(examined(configured()), "backend clock", "warning")


def test_every_problem_says_how_to_mend_it_once(examined, configured, free_port):
    found = examined(
        configured(
            mcpServers={
                "away": {"url": f"http://127.0.0.1:{free_port}/mcp"},
                "ends": {"command": "false"},
                "nowhere": {"command": "cat", "cwd": "/no/such/directory"},
            }
        )
    )
    by_area = {finding.area: finding for finding in found if finding.status == "problem"}
    assert by_area["backend away"].fix.startswith("start that server, or mend url (")
    assert by_area["backend ends"].fix.startswith("mend command, args or cwd (")
    assert (by_area["backend nowhere"].fix, "mend `cwd`" in by_area["backend nowhere"].text) == ("", True)


@pytest.mark.parametrize(
    ("listeners", "named"),
    [
        ({"http": {"port": 0, "allowedHosts": ["mcp.example.com:8808"]}}, "mcp.example.com"),
        ({"http": {"port": 0}, "a2a": {"publicUrl": "https://agents.example.com"}}, "agents.example.com"),
    ],
)
def test_a_gateway_that_is_reached_by_a_foreign_name_without_sign_in_is_warned_of(
    examined, configured, listeners, named
):
    (finding,) = of(examined(configured(listeners=listeners), start=False), "sign-in", "warning")
    assert named in finding.text
    assert "identity: {required: true}" in finding.fix
    path = configured(listeners=listeners, identity={"required": True})
    assert of(examined(path, start=False), "sign-in", "ok")
    local = {"http": {"port": 0, "allowedHosts": ["localhost:8808", "127.0.0.1"]}}
    assert of(examined(configured(listeners=local), start=False), "sign-in", "ok")


def test_an_open_address_without_sign_in_is_a_problem(examined, configured):
    listeners = {"http": {"host": "0.0.0.0", "port": 0, "allowedHosts": ["mcp.example.com"]}}
    (finding,) = of(examined(configured(listeners=listeners), start=False), "configuration")
    assert "nobody has to sign in" in finding.text
    assert finding.code is Exit.USAGE


@pytest.mark.real
def test_a_database_is_asked_whether_it_answers(examined, configured, postgres, monkeypatch, free_port):
    monkeypatch.setenv("TEST_PGPASSWORD", PASSWORD)
    monkeypatch.setenv("WRONG_PGPASSWORD", "hunter2")
    name = postgres.empty()

    def found(url, status):
        (finding,) = of(examined(configured(storage={"url": url}), start=False), "state", status)
        return finding.text

    good = postgres.url(name, "${secret:env/TEST_PGPASSWORD}")
    assert "at the first start" in found(good, "ok")
    postgres.database(name).open_writer(Durability.NORMAL).close()
    assert found(good, "ok") == f"postgresql://127.0.0.1:{postgres.port}/{name}"
    assert "mend user and password" in found(postgres.url(name, "${secret:env/WRONG_PGPASSWORD}"), "problem")
    assert "cannot be reached" in found(f"postgresql://127.0.0.1:{free_port}/state", "problem")
