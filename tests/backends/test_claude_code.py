"""Claude Code's control protocol against an agent that plays recorded frames of 2.1.330 (2026-11-24)."""

import anyio
import pytest
from agent_kit import Played, attachment, place, secrets

from mcp_orchestrator.backends.claude_code import create
from mcp_orchestrator.model.agent import (
    AgentKind,
    AgentMode,
    AgentSpec,
    EndStatus,
    Text,
    TroubleKind,
    Turn,
    Warned,
)
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk, choosing

pytestmark = pytest.mark.anyio

READY = ["read", {"type": "control_response", "response": {"subtype": "success", "request_id": "$id", "response": {}}}]
DONE = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "Done.",
    "terminal_reason": "completed",
    "usage": {"input_tokens": 10, "output_tokens": 5},
}
ASKS = {
    "type": "control_request",
    "request_id": "theirs",
    "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "make"}, "tool_use_id": "toolu_1"},
}


def says(text):
    message = {"id": "msg_1", "role": "assistant", "content": [{"type": "text", "text": text}]}
    return {"type": "assistant", "message": message, "parent_tool_use_id": None}


@pytest.fixture
async def play(reaper, tmp_path):
    """Opens a session with an agent that plays: `agent, session = await play(steps)`."""
    sessions = []

    async def make(steps, mode=AgentMode.WRITE, spec=None, **opening):
        agent = Played(tmp_path, AgentKind.CLAUDE_CODE, steps, **(spec or {}))
        with anyio.fail_after(20):
            sessions.append(await create(agent.spec, reaper).open(place(tmp_path, mode, **opening)))
        return agent, sessions[-1]

    yield make
    for session in sessions:
        await session.close()


async def run(session, talk=None, **turn):
    with anyio.fail_after(20):
        return await session.turn(Turn("go", **turn), talk or FakeAgentTalk())


async def test_lines_that_are_no_frames_are_told_a_few_times_and_then_skipped(play):
    noise = [["write", text] for text in ("hello", "[1]", '{"half":', "\x1b[31mred", "null", "more", "and more")]
    _agent, session = await play([*READY, "read", *noise, DONE])
    talk = FakeAgentTalk()
    ended = await run(session, talk)
    assert ended.status is EndStatus.COMPLETED
    assert [warned.kind for warned in talk.of(Warned)] == ["protocol"] * 5
    assert "without a word" in talk.of(Warned)[-1].text


async def test_frames_of_unknown_types_and_shapes_do_no_harm(play):
    odd = [
        {"type": "brand_new"},
        {},
        {"type": "assistant"},
        {"type": "assistant", "message": {"content": "text"}},
        {"type": "assistant", "message": {"content": [7, {"type": "new"}], "usage": 3}},
        {"type": "user", "message": None},
        {"type": "system", "subtype": "new"},
        {"type": "rate_limit_event"},
        {"type": "control_response", "response": {"request_id": "nobody's"}},
        {"type": "control_cancel_request", "request_id": "nobody's"},
    ]
    _agent, session = await play([*READY, "read", *odd, DONE])
    assert (await run(session)).text == "Done."


async def test_a_request_that_nobody_can_answer_is_declined_and_told(play):
    hook = {"type": "control_request", "request_id": "h1", "request": {"subtype": "hook_callback"}}
    agent, session = await play([*READY, "read", hook, "read", DONE])
    talk = FakeAgentTalk()
    await run(session, talk)
    assert agent.heard()[-1]["response"]["subtype"] == "error"
    assert agent.heard()[-1]["response"]["request_id"] == "h1"
    assert "hook_callback" in talk.of(Warned)[0].text


@pytest.mark.parametrize(
    ("answer", "behavior", "words"),
    [
        (Answer({"action": "accept", "content": {"decision": "allow"}}), "allow", None),
        (Answer({"action": "accept", "content": {"decision": "nonsense"}}), "deny", "no decision"),
        (Answer({"action": "decline"}), "deny", "a person refused"),
        (Answer({"action": "cancel"}), "deny", "no decision"),
        (Answer({"action": "cancel"}, by="time"), "deny", "nobody answered in time"),
        (Answer(None, -32000, "gone", "gateway"), "deny", "nobody can be asked"),
    ],
)
async def test_each_way_to_answer_a_permission_is_well_formed(play, answer, behavior, words):
    agent, session = await play([*READY, "read", ASKS, "read", DONE])
    await run(session, FakeAgentTalk(lambda _question: answer))
    response = agent.heard()[-1]["response"]
    assert (response["subtype"], response["request_id"]) == ("success", "theirs")
    assert response["response"]["behavior"] == behavior
    if words is None:
        assert response["response"]["updatedInput"] == {"command": "make"}
    else:
        assert words in response["response"]["message"]


async def test_a_question_that_the_agent_takes_back_is_withdrawn(play):
    took_back = {"type": "control_cancel_request", "request_id": "theirs"}
    withdrawn = anyio.Event()

    async def never(_question):
        try:
            await anyio.sleep_forever()
        finally:
            withdrawn.set()

    agent, session = await play([*READY, "read", ASKS, ["read", "interrupt"], took_back, DONE])
    talk = FakeAgentTalk(never)

    async def stop():
        await talk.until(lambda: talk.questions)
        await session.interrupt()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        await run(session, talk)
    assert withdrawn.is_set()
    assert [message["type"] for message in agent.heard()] == ["control_request", "user", "control_request"]


async def test_reading_refuses_what_writes_without_asking(play):
    agent, session = await play([*READY, "read", ASKS, "read", DONE], AgentMode.READ)
    talk = FakeAgentTalk(choosing("allow"))
    await run(session, talk)
    assert talk.questions == []
    assert agent.heard()[-1]["response"]["response"]["behavior"] == "deny"
    assert talk.of(Warned)[0].kind == "denied"
    argv = agent.start()["argv"]
    tools = argv[argv.index("--tools") + 1].split(",")
    assert not {"Bash", "Write", "Edit", "NotebookEdit", "Skill"} & set(tools)


async def test_a_process_that_ends_in_the_middle_leaves_the_end_unknown(play):
    _agent, session = await play([*READY, "read", says("I am at"), ["error", "out of memory"], ["exit", 0]])
    talk = FakeAgentTalk()
    ended = await run(session, talk)
    assert (ended.status, ended.trouble, ended.text) == (EndStatus.UNKNOWN, TroubleKind.CRASH, "I am at")
    assert "out of memory" in ended.message
    assert not ended.retryable
    again = await run(session)
    assert (again.status, again.trouble, again.retryable) == (EndStatus.FAILED, TroubleKind.CRASH, True)


async def test_closing_ends_a_turn_at_once(play):
    _agent, session = await play([*READY, "read", says("I am at"), ["read", "never"]])
    talk = FakeAgentTalk()

    async def close():
        await talk.until(lambda: talk.of(Text))
        await session.close()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close)
        ended = await run(session, talk)
    assert (ended.status, ended.text) == (EndStatus.UNKNOWN, "I am at")
    assert await session.wait_closed() == "was stopped"


async def test_interrupted_and_then_gone_it_is_cancelled(play):
    _agent, session = await play([*READY, "read", says("I am at"), ["read", "interrupt"], ["exit", 0]])
    talk = FakeAgentTalk()

    async def stop():
        await talk.until(lambda: talk.of(Text))
        await session.interrupt()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        ended = await run(session, talk)
    assert ended.status is EndStatus.CANCELLED


async def test_a_program_that_does_not_start_tells_its_last_words(play):
    with pytest.raises(BackendError, match="error: unknown option '--nonsense'"):
        await play([["error", "error: unknown option '--nonsense'"], ["exit", 1]])


async def test_a_missing_program_tells_how_to_install_it(reaper, tmp_path):
    spec = AgentSpec("c", AgentKind.CLAUDE_CODE, env=secrets({"PATH": str(tmp_path)}), where="orchestrator.yaml:3")
    with pytest.raises(BackendError, match=r"npm install -g @anthropic-ai/claude-code.*claude auth login") as raised:
        await create(spec, reaper).open(place(tmp_path))
    assert "orchestrator.yaml:3" in raised.value.message
    facts = await create(spec, reaper).probe()
    assert (facts.found, facts.signed_in) == (False, None)


async def test_what_marks_a_child_of_another_claude_code_is_not_passed_on(play, monkeypatch):
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "outer")
    monkeypatch.setenv("CLAUDE_CODE_MESSAGING_TOKEN", "outer")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    monkeypatch.setenv("GITHUB_TOKEN", "not for it")
    agent, _session = await play(READY)
    names = set(agent.start()["env"])
    assert {"ANTHROPIC_API_KEY", "TMPDIR"} <= names
    outer = {"CLAUDECODE", "CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_MESSAGING_TOKEN", "GITHUB_TOKEN"}
    assert not names & outer


async def test_limits_that_differ_start_another_process_that_goes_on_with_the_session(play):
    agent, session = await play([*READY, "read", DONE])
    first = session.pid
    await run(session)
    assert session.pid == first
    ended = await run(session, max_turns=3, schema={"type": "object"})
    assert ended.status is EndStatus.COMPLETED
    assert session.pid != first
    starts = [message for message in agent.heard() if "argv" in message]
    argv = starts[-1]["argv"]
    assert argv[argv.index("--resume") + 1] == session.native
    assert argv[argv.index("--max-turns") + 1] == "3"
    initialize = [message for message in agent.heard() if message.get("type") == "control_request"][-1]
    assert initialize["request"] == {"subtype": "initialize", "jsonSchema": {"type": "object"}}


async def test_the_gateway_is_its_only_mcp_server_and_its_tools_need_no_permission(play, tmp_path):
    agent, session = await play(READY, attachment=attachment("http://127.0.0.1:1/mcp"))
    argv = agent.start()["argv"]
    assert "--strict-mcp-config" in argv
    assert argv[argv.index("--allowedTools") + 1] == "mcp__gateway"
    path = anyio.Path(argv[argv.index("--mcp-config") + 1])
    assert (await path.stat()).st_mode & 0o777 == 0o600
    assert '"alwaysLoad": true' in await path.read_text()
    await session.close()
    assert not await path.exists()


async def test_elicitations_pass_through_as_they_are(play):
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    about = {"subtype": "elicitation", "mcp_server_name": "gw", "message": "Your name?", "mode": "form"}
    asks = {"type": "control_request", "request_id": "e1", "request": about | {"requested_schema": schema}}
    agent, session = await play([*READY, "read", asks, "read", DONE])
    talk = FakeAgentTalk(lambda _question: Answer({"action": "accept", "content": {"name": "Bob"}}))
    await run(session, talk)
    assert talk.questions[0].params == {"mode": "form", "message": "Your name?", "requestedSchema": schema}
    assert agent.heard()[-1]["response"]["response"] == {"action": "accept", "content": {"name": "Bob"}}


async def test_what_it_says_before_a_turn_is_of_no_turn(play):
    _agent, session = await play(["read", says("stray"), READY[1], "read", says("now"), DONE])
    talk = FakeAgentTalk()
    assert (await run(session, talk)).text == "Done."
    assert [text.text for text in talk.of(Text)] == ["now"]
