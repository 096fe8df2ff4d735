"""Requests and answers of the Codex app-server."""

import pytest
from agent_kit import Played, place

from mcp_orchestrator.backends.codex_rpc import CodexError, CodexRpc, command_of
from mcp_orchestrator.model.agent import AgentKind, AgentSpec
from mcp_orchestrator.model.errors import BackendError

pytestmark = pytest.mark.anyio

GREETED = [["read", "initialize"], {"id": "$id", "result": {"userAgent": "x/1.2.3"}}, ["read", "initialized"]]


@pytest.fixture
async def start(reaper, tmp_path):
    """Starts an app-server that plays: `rpc, notes, requests = await start(steps)`."""
    made = []

    async def make(steps):
        notes, requests = [], []
        agent = Played(tmp_path, AgentKind.CODEX, steps)
        rpc = CodexRpc(agent.spec, reaper, lambda *note: notes.append(note), lambda *one: requests.append(one))
        made.append(rpc)
        await rpc.start(place(tmp_path))
        return rpc, notes, requests

    yield make
    for rpc in made:
        await rpc.link.process.stop()


async def test_what_it_says_is_told_apart(start):
    note = {"method": "n", "params": {"a": 1}}
    request = {"method": "r", "id": 0, "params": {}}
    rpc, notes, requests = await start([*GREETED, ["read", "ask"], note, request, {"id": "$id", "result": {"b": 2}}])
    assert await rpc.call("ask", c=3) == {"b": 2}
    assert [one[:2] for one in notes] == [("n", {"a": 1})]
    assert [one[:3] for one in requests] == [(0, "r", {})]


async def test_an_error_is_raised_with_all_it_says(start):
    rpc, _notes, _requests = await start(
        [*GREETED, ["read", "ask"], {"id": "$id", "error": {"code": 1, "message": "no"}}]
    )
    with pytest.raises(CodexError, match="no") as raised:
        await rpc.call("ask")
    assert raised.value.error["code"] == 1


async def test_a_request_that_its_end_leaves_open_is_told_with_its_last_words(start):
    rpc, _notes, _requests = await start([*GREETED, ["read", "ask"], ["error", "panicked"], ["exit", 101]])
    with pytest.raises(BackendError, match="panicked"):
        await rpc.call("ask")


@pytest.mark.parametrize(
    ("command", "extra", "line"),
    [
        ((), (), ("codex", "app-server")),
        (("/opt/codex",), ("-c", "a=1"), ("/opt/codex", "app-server", "-c", "a=1")),
        (("codex", "-c", "b=2", "app-server"), (), ("codex", "-c", "b=2", "app-server")),
    ],
)
def test_the_command_line_is_that_of_the_app_server(command, extra, line):
    spec = AgentSpec("c", AgentKind.CODEX, command=command, settings={"extraArgs": extra} if extra else {})
    assert command_of(spec) == line
