"""`serve` as its own process: what it says, what it refuses, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from mcp_orchestrator.storage.reading import JournalReader
from mcp_orchestrator.testing.http_client import HttpClient, RpcError

PROGRAM = [sys.executable, "-m", "mcp_orchestrator"]


def test_it_says_where_it_is_how_the_backends_are_and_what_to_do_next(configured, served):
    gateway = served(configured(mcpServers={"dead": {"command": "/no/such/program"}}))
    ready = gateway.wait_for("ready")
    assert [(line["name"], line["tools"]) for line in ready["backends"]] == [("notes", 2), ("clock", 2), ("dead", None)]
    assert f"claude mcp add --transport http orchestrator {gateway.url}" in ready["next"].values()
    assert gateway.wait_for("profiles")["profiles"] == ["times"]
    assert HttpClient(f"{gateway.url}/times").request("tools/list")["tools"][0]["name"] == "clock__now"
    assert gateway.end() == 0


def test_text_goes_to_standard_error_and_nothing_to_standard_output(configured, program, tmp_path):
    path = configured()
    command = [*PROGRAM, "serve", "--config", str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    with child:
        told = []
        for line in child.stderr:
            told.append(line)
            if "mcp-orchestrator tools list" in line:
                child.terminate()
        assert child.stdout.read() == ""
        assert child.wait(20) == 0
    text = "".join(told)
    for part in ("Serving MCP at http://127.0.0.1:", "BACKEND", "What to do next", '{"mcpServers":', "Stopped."):
        assert part in text
    assert "\x1b" not in text


def test_the_command_line_wins_over_the_configured_address(configured, served, free_port):
    gateway = served(configured(), "--port", str(free_port), "--profile", "times")
    assert gateway.url == f"http://127.0.0.1:{free_port}/mcp/times"
    assert gateway.end(signal.SIGINT) == 0


def test_a_busy_port_is_exit_code_2_with_a_fix(configured, program):
    path = configured()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = program("serve", "--config", str(path), "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "is in use by another program" in done.stderr
    assert "--port N" in done.stderr
    assert done.stdout == ""


def test_an_address_of_another_machine_is_exit_code_2(configured, program):
    done = program("serve", "--config", str(configured(identity={"required": True})), "--host", "192.0.2.1")
    assert done.returncode == 2
    assert "192.0.2.1 is not an address of this machine" in done.stderr


def test_a_second_gateway_on_the_same_state_serves_and_says_that_commands_go_to_the_first(configured, served):
    path = configured()
    first = served(path)
    second = served(path)
    assert f"process {first.process.pid}" in second.wait_for("no_control")["reason"]
    assert len(HttpClient(second.url).request("tools/list")["tools"]) == 4
    assert second.end() == 0
    assert len(HttpClient(first.url).request("tools/list")["tools"]) == 4


def test_every_problem_of_the_configuration_is_told(program, tmp_path):
    (tmp_path / "wrong.yaml").write_text("mcpServers:\n  a: {comand: x}\nlisteners: {http: {port: high}}\n")
    done = program("serve", "--config", "wrong.yaml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("error C") >= 2
    told = json.loads(program("serve", "--config", "wrong.yaml", "--format", "json").stderr)
    assert len(told["error"]["problems"]) >= 2


@pytest.mark.parametrize(
    "words", [("--stdio", "--port", "1"), ("--stdio", "--host", "x"), ("--profile", "nobody"), ("--port", "70000")]
)
def test_contradictory_options_are_exit_code_2(configured, program, words):
    assert program("serve", "--config", str(configured()), *words).returncode == 2


def test_open_calls_may_finish_after_the_first_signal(configured, served):
    gateway = served(configured())
    gateway.wait_for("ready")
    answers = []
    call = threading.Thread(
        target=lambda: answers.append(HttpClient(gateway.url).call("clock__wait", seconds=1)), daemon=True
    )
    call.start()
    journal = running(gateway, "clock__wait")
    assert journal
    assert gateway.end() == 0
    call.join(20)
    assert answers[0]["structuredContent"]["waited"] >= 1


def test_a_second_signal_ends_it_at_once(configured, served):
    gateway = served(configured())
    gateway.wait_for("ready")
    failures = []

    def call():
        try:
            HttpClient(gateway.url).call("clock__wait", seconds=600)
        except (OSError, RpcError) as error:
            failures.append(error)

    waiting = threading.Thread(target=call, daemon=True)
    waiting.start()
    assert running(gateway, "clock__wait")
    gateway.process.terminate()
    gateway.wait_for("stopping")
    assert gateway.end() == 128 + signal.SIGTERM
    waiting.join(20)
    assert failures


def running(gateway, name):
    """Wait until the journal shows a run of this name under way."""
    state = gateway.directory / "state" / "state.db"
    while gateway.process.poll() is None:
        with JournalReader(state) as journal:
            found = [run for run in journal.runs(status="running") if run.started["name"] == name]
        if found:
            return found
        os.sched_yield()
    return []


def test_sighup_reads_the_configuration_again(configured, served):
    path = configured()
    gateway = served(path)
    gateway.wait_for("ready")
    document = json.loads(path.read_text())
    del document["mcpServers"]["notes"]
    path.write_text(json.dumps(document))
    gateway.process.send_signal(signal.SIGHUP)
    told = gateway.wait_for("configuration loaded")
    assert told["removed"] == ["notes"]
    names = [tool["name"] for tool in HttpClient(gateway.url).request("tools/list")["tools"]]
    assert names == ["clock__now", "clock__wait"]


def exchange(path, directory, *words):
    """One legacy conversation with `serve --stdio`; returns replies, what was told, and the exit code."""
    messages = [
        {
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            },
        },
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
    ]
    command = [*PROGRAM, "serve", "--stdio", "--config", str(path), *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, cwd=directory) as child:
        replies = []
        for message in messages:
            child.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            child.stdin.flush()
            while "id" in message and (not replies or replies[-1].get("id") != message["id"]):
                replies.append(json.loads(child.stdout.readline()))
        child.stdin.close()
        code = child.wait(20)
        return replies, child.stderr.read(), code


def test_stdio_serves_one_client_and_ends_with_it(configured, tmp_path, tmp_state):
    replies, _told, code = exchange(configured(), tmp_path, "--profile", "times")
    assert code == 0
    assert [tool["name"] for tool in replies[-1]["result"]["tools"]] == ["clock__now", "clock__wait"]


def test_stdio_works_beside_a_gateway_and_leaves_it_its_commands(configured, served, program, tmp_path):
    path = configured()
    gateway = served(path)
    gateway.wait_for("ready")
    replies, _told, code = exchange(path, tmp_path)
    assert code == 0
    assert len(replies[-1]["result"]["tools"]) == 4
    shown = json.loads(program("backends", "list", "--config", str(path), "--format", "json").stdout)
    assert [line["state"] for line in shown] == ["ready", "ready"]
    assert gateway.end() == 0


def test_a_wrong_file_is_refused_at_reload_and_the_old_configuration_stays(configured, served):
    path = configured()
    gateway = served(path)
    gateway.wait_for("ready")
    path.write_text('{"mcpServers": {"clock": {"comand": "x"}}}')
    gateway.process.send_signal(signal.SIGHUP)
    told = gateway.wait_for("configuration refused, the old one stays")
    assert len(told["problems"]) >= 1
    assert str(path) in told["problems"][0]
    assert len(HttpClient(gateway.url).request("tools/list")["tools"]) == 4
    assert gateway.end() == 0


def test_an_open_address_on_the_command_line_needs_sign_in_too(program, configured):
    done = program("serve", "--host", "0.0.0.0", "--config", str(configured()))
    assert done.returncode == 2
    assert "0.0.0.0 is open to the network" in done.stderr
    assert "identity: {required: true}" in done.stderr
