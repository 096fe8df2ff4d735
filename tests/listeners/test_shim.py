"""The bridge for stdio as the program that it is: bytes both ways, to the end of either side."""

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from mcp_orchestrator.listeners import shim

TOKEN = "t0ken"


@pytest.fixture
def bridge(tmp_path):
    """A listening socket and the program that is to find it."""
    path = str(tmp_path / "s")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    listening.settimeout(10)
    env = {"PATH": os.environ["PATH"], "MCP_ORCHESTRATOR_RUN_SOCKET": path, "MCP_ORCHESTRATOR_RUN_TOKEN": TOKEN}
    program = subprocess.Popen(
        [sys.executable, "-I", shim.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
    )
    connection, _ = listening.accept()
    connection.settimeout(10)
    yield connection, program
    connection.close()
    listening.close()
    program.kill()
    program.wait()
    for pipe in (program.stdin, program.stdout, program.stderr):
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def take(connection, many):
    data = b""
    while len(data) < many and (more := connection.recv(65536)):
        data += more
    return data


def test_the_token_comes_first_then_everything_both_ways(bridge):
    connection, program = bridge
    large = os.urandom(60_000)  # what fits into a pipe
    assert take(connection, len(TOKEN) + 1) == TOKEN.encode() + b"\n"
    program.stdin.write(large)
    program.stdin.flush()
    assert take(connection, len(large)) == large
    connection.sendall(b"answer\n")
    assert program.stdout.readline() == b"answer\n"


def test_the_end_of_the_input_reaches_the_gateway_which_may_still_answer(bridge):
    connection, program = bridge
    take(connection, len(TOKEN) + 1)
    program.stdin.close()
    assert connection.recv(1) == b""
    connection.sendall(b"last words\n")
    connection.close()
    assert program.stdout.read() == b"last words\n"
    assert program.wait(10) == 0


def test_the_end_of_the_gateway_is_the_end(bridge):
    connection, program = bridge
    take(connection, len(TOKEN) + 1)
    connection.close()
    assert program.wait(10) == 0


@pytest.mark.parametrize("env", [{}, {"MCP_ORCHESTRATOR_RUN_SOCKET": "/no/such/socket"}])
def test_without_a_gateway_it_says_so_and_ends(env):
    done = subprocess.run(
        [sys.executable, "-I", shim.__file__], input=b"", capture_output=True, env={"PATH": os.environ["PATH"], **env},
        timeout=10, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert b"the gateway of this run cannot be reached" in done.stderr
