"""The command line's door: private, bounded, clear about errors, and honest about who is there."""

import asyncio
import json
import os
import socket
import subprocess
import sys

import anyio
import pytest

from mcp_orchestrator.listeners import control
from mcp_orchestrator.listeners.control import (
    ActionError,
    ControlListener,
    NoGatewayError,
    ask_gateway,
    find_gateway,
    read_card,
    socket_path,
)
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import Secret

pytestmark = pytest.mark.anyio


class Gateway:
    """A listener with some actions; `gate` holds `wait` back."""

    def __init__(self, directory):
        self.gate = asyncio.Event()
        self.waiting = asyncio.Event()
        self.url = None
        actions = {"echo": self.echo, "wait": self.wait, "fail": self.fail}
        self.listener = ControlListener(directory / "state.db", actions, self.about)

    def about(self):
        return {"pid": os.getpid(), "version": "1", "url": self.url, "config": None, "started_at": 12.5, "extra": 1}

    async def echo(self, args):
        return args

    async def wait(self, _args):
        self.waiting.set()
        await self.gate.wait()
        return "at last"

    async def fail(self, args):
        errors = {
            "lookup": LookupError("no such tool"),
            "bare": LookupError(),
            "value": ValueError("not that way"),
            "os": OSError("the disk"),
            "backend": BackendError(FailureKind.DIED, "it died"),
            "bug": ZeroDivisionError("a bug"),
            "recursion": RecursionError("deep"),
        }
        if args["how"] == "secret":
            return {"secret": Secret("hunter2")}
        raise errors[args["how"]]


@pytest.fixture
async def gateway(tmp_path):
    made = Gateway(tmp_path)
    await made.listener.open()
    yield made
    await made.listener.aclose()


async def raw(gateway, *sent):
    """Send bytes as they are and read replies until the other side closes."""
    reader, writer = await asyncio.open_unix_connection(str(gateway.listener.address))
    writer.writelines(sent)
    writer.write_eof()
    with anyio.fail_after(5):
        replies = await reader.read()
    writer.close()
    return [json.loads(line) for line in replies.splitlines()]


async def test_an_action_gets_its_arguments_and_its_result_comes_back(gateway, tmp_path):
    assert await ask_gateway(tmp_path, "echo", name="x", deep={"n": [1, None]}) == {
        "name": "x",
        "deep": {"n": [1, None]},
    }
    assert await ask_gateway(tmp_path, "fail", how="secret") == {"secret": "<secret>"}


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("lookup", "unknown", "no such tool"),
        ("bare", "unknown", "^$"),
        ("value", "invalid", "not that way"),
        ("recursion", "invalid", "deep"),
        ("os", "failed", "the disk"),
        ("backend", "died", "it died"),
    ],
)
async def test_what_an_action_raises_comes_back_as_words(gateway, tmp_path, how, kind, words):
    with pytest.raises(ActionError, match=words) as caught:
        await ask_gateway(tmp_path, "fail", how=how)
    assert caught.value.kind == kind


async def test_a_bug_in_an_action_is_answered_logged_and_ends_only_its_conversation(gateway, tmp_path):
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    with pytest.raises(ActionError, match="see its log") as caught:
        await ask_gateway(tmp_path, "fail", how="bug")
    assert caught.value.kind == "internal"
    assert [str(error) for error in told] == ["a bug"]
    assert await ask_gateway(tmp_path, "echo", n=1) == {"n": 1}


async def test_an_unknown_action_is_told_with_those_there_are(gateway, tmp_path):
    with pytest.raises(ActionError, match=r"no action 'dance' \(it has: echo, fail, wait\)"):
        await ask_gateway(tmp_path, "dance")


@pytest.mark.parametrize(
    "line", [b"not json\n", b"[]\n", b"{}\n", b'{"do": 3}\n', b"\xff\xfe\n", b"\n", b"[" * 200_000 + b"\n", b"nearly"]
)
async def test_bad_input_gets_a_clear_error_and_breaks_nothing(gateway, tmp_path, line):
    (reply,) = await raw(gateway, line)
    assert reply["ok"] is False
    assert reply["error"]["kind"] == "invalid"
    assert await ask_gateway(tmp_path, "echo") == {}


async def test_a_line_without_end_is_refused(gateway, monkeypatch, tmp_path):
    await gateway.listener.aclose()
    monkeypatch.setattr(control, "MAX_REQUEST", 1000)
    await gateway.listener.open()
    reader, writer = await asyncio.open_unix_connection(str(gateway.listener.address))
    writer.write(b"x" * 5000)
    with anyio.fail_after(5):
        reply = json.loads(await reader.readline())
        assert "longer than 1000 bytes" in reply["error"]["message"]
    writer.close()


async def test_one_conversation_may_ask_many_times(gateway):
    replies = await raw(gateway, b'{"do": "echo", "n": 1}\n', b"oops\n", b'{"do": "echo", "n": 2}\n')
    assert [reply.get("result") for reply in replies] == [{"n": 1}, None, {"n": 2}]


async def test_socket_and_card_are_for_their_owner_only(gateway, tmp_path):
    assert gateway.listener.address.stat().st_mode & 0o777 == 0o600
    assert gateway.listener.address.parent.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "gateway.json").stat().st_mode & 0o777 == 0o600


async def test_another_user_is_not_answered(gateway, monkeypatch):
    monkeypatch.setattr(control.os, "getuid", lambda: 4242)
    (reply,) = await raw(gateway, b'{"do": "echo"}\n')
    assert reply["error"]["message"] == "this gateway belongs to another user"


async def test_too_many_conversations_are_turned_away(gateway, monkeypatch):
    monkeypatch.setattr(control, "MAX_CONNECTIONS", 0)
    (reply,) = await raw(gateway, b'{"do": "echo"}\n')
    assert "try again" in reply["error"]["message"]


async def test_who_is_turned_away_need_not_say_anything(gateway, monkeypatch):
    monkeypatch.setattr(control, "MAX_CONNECTIONS", 0)
    monkeypatch.setattr(control, "REFUSAL_PATIENCE", 0.01)
    reader, writer = await asyncio.open_unix_connection(str(gateway.listener.address))
    with anyio.fail_after(5):
        assert b"try again" in await reader.read()
    writer.close()


async def test_the_card_tells_who_runs_and_follows_what_changes(gateway, tmp_path):
    card = read_card(tmp_path)
    assert (card.pid, card.version, card.url, card.started_at) == (os.getpid(), "1", None, 12.5)
    gateway.url = "http://127.0.0.1:8808/mcp"
    gateway.listener.refresh()
    assert read_card(tmp_path).url == gateway.url
    assert await find_gateway(tmp_path) == read_card(tmp_path)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".gateway")]


async def test_closing_takes_socket_and_card_away_and_ends_what_waits(gateway, tmp_path):
    asking = asyncio.ensure_future(ask_gateway(tmp_path, "wait"))
    with anyio.fail_after(5):
        await gateway.waiting.wait()
        await gateway.listener.aclose()
        with pytest.raises(ActionError, match="stopped"):
            await asking
        with pytest.raises(NoGatewayError, match="mcp-orchestrator serve"):
            await ask_gateway(tmp_path, "echo")
    await gateway.listener.aclose()
    assert not (tmp_path / "gateway.json").exists()
    assert not gateway.listener.address.exists()


async def test_who_asks_does_not_wait_for_ever(gateway, tmp_path):
    with pytest.raises(TimeoutError, match=r"did not answer within 0\.05 s"):
        await ask_gateway(tmp_path, "wait", patience=0.05)


@pytest.fixture
def dead():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process


async def test_a_card_of_a_dead_process_is_ignored_and_replaced(tmp_path, dead):
    (tmp_path / "gateway.json").write_text(json.dumps({"pid": dead.pid, "socket": str(tmp_path / "nowhere")}))
    assert read_card(tmp_path) is None
    with pytest.raises(NoGatewayError):
        await ask_gateway(tmp_path, "echo")
    gateway = Gateway(tmp_path)
    await gateway.listener.open()
    assert await ask_gateway(tmp_path, "echo", n=1) == {"n": 1}
    await gateway.listener.aclose()


async def test_a_card_whose_process_id_was_given_to_another_program_is_seen_through(tmp_path):
    (tmp_path / "gateway.json").write_text(json.dumps({"pid": os.getpid(), "socket": str(tmp_path / "nowhere")}))
    assert await find_gateway(tmp_path) is None
    with pytest.raises(NoGatewayError, match="does not answer"):
        await ask_gateway(tmp_path, "echo")


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"pid": "x", "socket": ""}', '{"pid": -1, "socket": ""}'])
def test_a_malformed_card_is_no_card(tmp_path, text):
    (tmp_path / "gateway.json").write_text(text)
    assert read_card(tmp_path) is None


def test_the_process_of_another_user_counts_as_alive(tmp_path, monkeypatch):
    def forbidden(_pid, _signal):
        raise PermissionError

    monkeypatch.setattr(control.os, "kill", forbidden)
    (tmp_path / "gateway.json").write_text(json.dumps({"pid": 1, "socket": "x"}))
    assert read_card(tmp_path).pid == 1


async def test_a_gateway_that_ends_while_it_should_answer_is_told(tmp_path):
    path = tmp_path / "s"
    server = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), path)
    (tmp_path / "gateway.json").write_text(json.dumps({"pid": os.getpid(), "socket": str(path)}))
    with anyio.fail_after(5), pytest.raises(NoGatewayError):
        await ask_gateway(tmp_path, "echo")
    server.close()


async def test_a_second_gateway_in_the_same_directory_is_refused(gateway, tmp_path):
    with pytest.raises(OSError, match=rf"another gateway \(process {os.getpid()}\)"):
        await Gateway(tmp_path).listener.open()
    assert await ask_gateway(tmp_path, "echo") == {}


async def test_a_socket_left_by_a_crash_is_replaced(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.listener.address.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(gateway.listener.address))
    await gateway.listener.open()
    assert await ask_gateway(tmp_path, "echo") == {}
    await gateway.listener.aclose()


def test_a_long_directory_gets_a_short_socket_elsewhere(tmp_path, monkeypatch):
    long = tmp_path / ("d" * 120)
    assert socket_path(tmp_path, {}) == tmp_path / "run" / "control.sock"
    assert socket_path(long, {"XDG_RUNTIME_DIR": "/run/user/1"}).parent.as_posix() == "/run/user/1/mcp-orchestrator"
    assert socket_path(long, {}) == socket_path(long, {"XDG_RUNTIME_DIR": "/r" * 60})
    assert socket_path(long, {}) != socket_path(long / "x", {})
    assert len(os.fsencode(socket_path(long, {}))) <= control.MAX_SOCKET_PATH


async def test_it_works_from_a_long_directory_too(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    long = tmp_path / ("d" * 120)
    long.mkdir()
    gateway = Gateway(long)
    await gateway.listener.open()
    assert await ask_gateway(long, "echo", n=1) == {"n": 1}
    await gateway.listener.aclose()


async def test_a_trap_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="not a directory of ours"):
        await Gateway(tmp_path).listener.open()
