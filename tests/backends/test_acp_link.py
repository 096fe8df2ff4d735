"""The connection with an agent: requests both ways as plain JSON, whatever the agent makes of the protocol."""

import anyio
import pytest
from acp_kit import Kit

from mcp_orchestrator.backends.acp_link import AcpError, AcpLink

pytestmark = pytest.mark.anyio


@pytest.fixture
async def started(tmp_path, reaper):
    """Starts agents: `started(script)`; all are closed at the end."""
    kit, links = Kit(tmp_path, reaper), []

    async def nobody(_method, _params, _line):
        return None

    async def start(script, on_note=lambda *_: None, on_request=nobody):
        backend = kit.backend(script)
        link = AcpLink(backend.spec, reaper, on_note, on_request)
        links.append(link)
        await link.start(backend.spec.command, kit.opening(), (), {})
        return link

    yield start
    for link in links:
        await link.close()


async def test_a_result_keeps_what_nobody_here_knows(started):
    link = await started({"new": {"hologram": {"x": [1, None]}}})
    with anyio.fail_after(30):
        told = await link.request("session/new", {})
    assert told["hologram"] == {"x": [1, None]}


@pytest.mark.parametrize(
    ("error", "code", "message", "data"),
    [
        ({"code": 401, "message": "no", "data": [1]}, 401, "no", [1]),
        ({"message": "no"}, -32603, "no", None),
        ({"code": "x"}, -32603, "no message", None),
        ("no", -32603, "no", None),
        ([], -32603, "[]", None),
    ],
)
async def test_an_error_is_one_however_malformed(started, error, code, message, data):
    link = await started({"new": {"error": error}})
    with anyio.fail_after(30), pytest.raises(AcpError) as caught:
        await link.request("session/new", {})
    assert (caught.value.code, caught.value.message, caught.value.data) == (code, message, data)


async def test_requests_before_the_start_and_after_the_end_are_told_apart_from_errors(started, tmp_path, reaper):
    link = await started({"prompts": [[["die"]]]})
    with anyio.fail_after(30):
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await link.request("session/prompt", {})
    unstarted = AcpLink(Kit(tmp_path, reaper).backend({}).spec, reaper, lambda *_: None, None)
    with pytest.raises(ConnectionError, match="not started"):
        await unstarted.request("initialize", {})


async def test_what_was_said_before_an_answer_is_heard_before_it(started):
    heard = []
    script = {"prompts": [[*(["notify", f"_note/{n}", {}] for n in range(50)), ["end", "end_turn"]]]}
    link = await started(script, lambda method, _params, line: heard.append((method, line)))
    with anyio.fail_after(30):
        assert await link.request("session/prompt", {}) == {"stopReason": "end_turn"}
    assert [method for method, _line in heard] == [f"_note/{n}" for n in range(50)]
    assert b'"method": "_note/0"' in heard[0][1]


async def test_a_request_of_the_agent_comes_with_its_line(started):
    seen = []

    async def answer(method, params, line):
        seen.append((method, dict(params), b'"id": "ask-1"' in line))
        return {"fine": True}

    script = {"prompts": [[["ask", "x/y", {"a": 1}], ["tell_answers"], ["end", "end_turn"]]]}
    notes = []
    link = await started(script, lambda _method, params, _line: notes.append(params), answer)
    with anyio.fail_after(30):
        await link.request("session/prompt", {})
    assert seen == [("x/y", {"sessionId": None, "a": 1}, True)]
    assert "fine" in str(notes)
