"""Turns of an ACP agent from its start to its one end, with everything that agents were seen to do."""

import os

import anyio
import pytest
from acp_kit import MODES, OPTIONS, Kit, call, permission
from stdio_kit import gone

from mcp_orchestrator.model.agent import (
    AgentMode,
    AgentSpec,
    Attachment,
    EndStatus,
    FileChange,
    Planned,
    Started,
    Text,
    Thought,
    ToolStatus,
    ToolUse,
    TroubleKind,
    Turn,
    Warned,
)
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk, choosing

pytestmark = pytest.mark.anyio
GO = Turn("Go.")
DONE = [["say", "Done."], ["end", "end_turn"]]


@pytest.fixture
def kit(tmp_path, reaper):
    return Kit(tmp_path, reaper)


def warnings(talk):
    return [warned.text for warned in talk.of(Warned)]


# -- a turn --------------------------------------------------------------------------------------------------------


async def test_a_turn_is_told_in_order_and_ends_once(kit):
    prompts = [
        ["do", {"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "Hm."}}],
        ["do", {"sessionUpdate": "plan", "entries": [{"content": "look", "status": "pending"}]}],
        ["say", "I "],
        ["say", "look."],
        ["do", call(title="List", kind="execute", rawInput={"command": "ls"})],
        ["do", call(status="completed", rawOutput="a.txt")],
        ["say", "Done."],
        ["end", "end_turn"],
    ]
    talk = FakeAgentTalk()
    async with kit.session({"prompts": [prompts]}) as session:
        ended = await session.turn(GO, talk)
        assert session.native == f"session-{session.pid}"
        assert talk.bindings == [(session.native, None)]
    assert [type(event) for event in talk.events] == [
        *(Started, Thought, Planned, Text, Text, Text, ToolUse, ToolUse, Text, Text),
    ]
    assert talk.of(Started)[0].version == "1.2.3"
    assert [(one.text, one.final) for one in talk.of(Text)] == [
        ("I ", False),
        ("look.", False),
        ("I look.", True),
        ("Done.", False),
        ("Done.", True),
    ]
    assert talk.of(ToolUse)[-1] == ToolUse(
        "c1", "List", "shell", "List", ToolStatus.COMPLETED, None, {"command": "ls"}, "a.txt"
    )
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Done.")
    assert b"agent_thought_chunk" in talk.raws[1]


async def test_what_is_no_json_and_what_is_not_known_does_no_harm(kit):
    """fast-agent 0.10.46 draws forms on its standard output; grok 1.0.41 sends dozens of `_x.ai/*`."""
    prompts = [
        ["line", "\x1b[2J┌── a form ──┐"],
        ["line", '{"jsonrpc": "2.0", "id": 0, "result": '],
        ["line", "[1, 2]"],
        ["line", '{"jsonrpc": "2.0", "id": 4711, "result": {}}'],
        ["line", '{"jsonrpc": "2.0", "id": {}, "result": {}}'],
        ["notify", "_x.ai/session/news", {"a": 1}],
        ["notify", "auth/status_update", {}],
        ["do", {"sessionUpdate": "hologram", "shape": "cube"}],
        ["do", {"sessionUpdate": "hologram", "shape": "ball"}],
        ["do", {"sessionUpdate": "tool_call"}],
        *DONE,
    ]
    talk = FakeAgentTalk()
    ended = await kit.ended(GO, prompts, talk, before=["Welcome!", "(a banner)"])
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Done.")
    told = warnings(talk)
    assert [text for text in told if "hologram" in text] == [
        "the agent tells of something that is not known here: hologram"
    ]
    assert sum("no JSON object" in text for text in told) == 3
    assert sum("no message of the protocol" in text for text in told) == 1


async def test_a_request_that_nobody_can_answer_gets_a_well_formed_error(kit):
    prompts = [["ask", "fs/read_text_file", {"path": "/etc/passwd"}], ["tell_answers"], ["end", "end_turn"]]
    talk = FakeAgentTalk()
    ended = await kit.ended(GO, prompts, talk)
    assert '"code": -32601' in ended.text
    assert warnings(talk) == ["a request of the agent that nobody can answer was declined: fs/read_text_file"]
    assert kit.parameters("initialize")[0]["clientCapabilities"] == {
        "fs": {"readTextFile": False, "writeTextFile": False},
        "terminal": False,
        "elicitation": {"form": {}, "url": {}},
    }


async def test_a_schema_is_put_in_words_and_the_value_is_read_from_the_answer(kit):
    prompts = [["say", 'Here:\n```json\n{"n": 3}\n```'], ["end", "end_turn"]]
    ended = await kit.ended(Turn("Count.", schema={"type": "object"}), prompts)
    assert ended.structured == {"n": 3}
    assert '{"type": "object"}' in kit.parameters("session/prompt")[0]["prompt"][0]["text"]


async def test_changed_files_are_told_by_their_path_in_the_workspace(kit):
    path = str(kit.directory / "work" / "a.txt")
    prompts = [
        [
            "do",
            call(kind="edit", title="Write", content=[{"type": "diff", "path": path, "oldText": None, "newText": "x"}]),
        ],
        ["do", call(status="completed")],
        ["do", call(status="completed")],
        *DONE,
    ]
    talk = FakeAgentTalk()
    await kit.ended(GO, prompts, talk)
    assert talk.of(FileChange) == [FileChange("a.txt", "add")]


# -- ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "status", "trouble"),
    [
        (["end", "end_turn"], EndStatus.UNKNOWN, TroubleKind.SILENT),  # kimi 1.49 with a model that answers 401
        (["end", "refusal"], EndStatus.REFUSED, None),
        (["end", "max_tokens"], EndStatus.LIMIT, TroubleKind.MODEL),
        (["end", "max_turn_requests"], EndStatus.LIMIT, TroubleKind.TURNS),
        (["end", "cancelled"], EndStatus.CANCELLED, None),
        (["end", "because"], EndStatus.UNKNOWN, TroubleKind.PROTOCOL),
        (["end_with", {}], EndStatus.UNKNOWN, TroubleKind.PROTOCOL),
        (["end_with", None], EndStatus.UNKNOWN, TroubleKind.PROTOCOL),
        (["fail", {"code": 401, "message": "bad key"}], EndStatus.FAILED, TroubleKind.AUTH),  # gemini 0.61.0
        (["fail", {"code": -32000, "message": "Authentication required"}], EndStatus.FAILED, TroubleKind.AUTH),
        (["fail", {"code": -31002, "message": "Invalid API key"}], EndStatus.FAILED, TroubleKind.AUTH),  # vibe 3.0.2
        (
            ["fail", {"code": -32603, "message": "x", "data": {"details": "429 slow down"}}],
            EndStatus.FAILED,
            TroubleKind.RATE,
        ),
        (["fail", "nonsense"], EndStatus.FAILED, TroubleKind.INTERNAL),
        (["die", "out of memory"], EndStatus.UNKNOWN, TroubleKind.CRASH),
    ],
)
async def test_how_a_turn_ended_is_judged_by_evidence(kit, last, status, trouble):
    ended = await kit.ended(GO, [last])
    assert (ended.status, ended.trouble) == (status, trouble), ended
    assert ended.evidence


async def test_the_last_words_of_an_agent_that_died_are_told(kit):
    ended = await kit.ended(GO, [["say", "I beg"], ["die", "out of memory"]])
    assert "out of memory" in ended.message
    assert ended.text == "I beg"


@pytest.mark.parametrize(
    "text",
    [
        "Execution failed: 401 Unauthorized",  # copilot 1.0.102
        "API call failed after 3 retries: HTTP 401: invalid key",  # hermes 0.19.0
    ],
)
async def test_an_error_told_as_the_agents_own_words_is_a_failure(kit, text):
    ended = await kit.ended(GO, [["say", text], ["end", "end_turn"]])
    assert (ended.status, ended.trouble, ended.message) == (EndStatus.FAILED, TroubleKind.AUTH, text)


async def test_a_report_about_an_error_is_no_failure(kit):
    text = "The service answers 401 because the API key in config.py is wrong. Error handling is missing, too."
    ended = await kit.ended(GO, [["say", text], ["end", "end_turn"]])
    assert ended.status is EndStatus.COMPLETED


# -- permission ----------------------------------------------------------------------------------------------------


async def test_a_request_that_only_names_its_call_shows_the_command_that_was_told_before(kit):
    """mistral-vibe's requests hold nothing but the id (2026-11-22)."""
    prompts = [
        ["do", call(title="bash", kind="execute", rawInput={"command": "rm -r build", "cwd": "/w"})],
        permission(),
        ["tell_answers"],
        ["end", "end_turn"],
    ]
    talk = FakeAgentTalk(choosing("yes"))
    ended = await kit.ended(GO, prompts, talk)
    message = talk.questions[0].params["message"]
    assert message.startswith("gem wants to run a command:\nbash\nrm -r build\nin /w\n")
    assert "- ever: Always (allow it, and from now on without asking)" in message
    assert '{"outcome": {"outcome": "selected", "optionId": "yes"}}' in ended.text
    assert talk.of(ToolUse)[-1].status is ToolStatus.PENDING


async def test_a_request_for_a_call_that_was_never_told_makes_the_call_known(kit):
    """gemini-cli 0.61.0 sends no tool_call when it asks."""
    prompts = [
        permission(title="echo hi", kind="execute"),
        ["do", call(status="completed", content=[{"type": "content", "content": {"type": "text", "text": "hi"}}])],
        *DONE,
    ]
    talk = FakeAgentTalk(choosing("yes"))
    await kit.ended(GO, prompts, talk)
    assert [(use.id, use.title, use.kind, use.status) for use in talk.of(ToolUse)] == [
        ("c1", "echo hi", "shell", ToolStatus.PENDING),
        ("c1", "echo hi", "shell", ToolStatus.COMPLETED),
    ]
    assert talk.of(ToolUse)[1].output == "hi"


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        (OPTIONS, {"outcome": "selected", "optionId": "no"}),
        (OPTIONS[:1], {"outcome": "cancelled"}),
        ([*OPTIONS[:2], {"optionId": "never", "kind": "reject_always"}], {"outcome": "selected", "optionId": "never"}),
        ([], {"outcome": "cancelled"}),
    ],
)
async def test_nobody_to_answer_is_a_refusal_in_the_agents_own_terms(kit, options, outcome):
    talk = FakeAgentTalk()
    await kit.ended(GO, [permission(options=options), *DONE], talk)
    answers = [message["result"]["outcome"] for message in kit.heard if message.get("id") == "ask-1"]
    assert answers == [outcome]
    assert talk.of(ToolUse)[-1] == ToolUse("c1", status=ToolStatus.DENIED)


async def test_options_that_approve_once_by_the_profile_come_first(kit):
    """qwen 0.24.4 and openhands 1.16.0 offer two options of the kind `allow_once`."""
    options = [
        {"optionId": "proceed_once_and_switch", "kind": "allow_once"},
        {"optionId": "proceed_once", "kind": "allow_once"},
    ]
    talk = FakeAgentTalk()
    async with kit.session(
        {"prompts": [[permission(options=options), *DONE]]}, settings={"profile": "qwen-code"}
    ) as session:
        await session.turn(GO, talk)
    field = talk.questions[0].params["requestedSchema"]["properties"]["decision"]
    assert field["enum"] == ["proceed_once", "proceed_once_and_switch"]


async def test_a_turn_that_ends_quietly_after_a_refusal_did_not_complete(kit):
    """So end opencode, grok, kimi and qwen; copilot says `Info: Operation cancelled by user` (2026-11-22)."""
    quiet = [["say", "I will."], permission(), ["do", call(status="failed")], ["end", "end_turn"]]
    talk = FakeAgentTalk()
    ended = await kit.ended(GO, quiet, talk)
    assert (ended.status, ended.message) == (
        EndStatus.CANCELLED,
        "the agent ended its turn after a permission was refused",
    )
    assert talk.of(ToolUse)[-1].status is ToolStatus.DENIED
    ended = await kit.ended(GO, [permission(), ["say", "Info: Operation cancelled by user"], ["end", "end_turn"]])
    assert ended.status is EndStatus.CANCELLED
    ended = await kit.ended(GO, [permission(), ["say", "Then I leave it."], ["end", "end_turn"]])
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Then I leave it.")


@pytest.mark.parametrize("kind", ["edit", "delete", "move", "execute", "switch_mode"])
async def test_a_task_that_may_only_read_refuses_changes_without_asking(kit, kind):
    talk = FakeAgentTalk(choosing("yes"))
    script = {"prompts": [[permission(kind=kind, title="change"), *DONE]], "new": MODES}
    async with kit.session(script, kit.opening(mode=AgentMode.READ)) as session:
        await session.turn(GO, talk)
    assert talk.questions == []
    assert "a change was refused: this task may only read" in warnings(talk)
    assert {"outcome": {"outcome": "selected", "optionId": "no"}} in [message.get("result") for message in kit.heard]
    assert kit.parameters("session/set_mode") == [{"sessionId": session.native, "modeId": "plan"}]


# -- elicitation ---------------------------------------------------------------------------------------------------


async def test_a_form_travels_to_the_person_and_back(kit):
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}}
    asked = {"mode": "form", "message": "What colour?", "requestedSchema": schema}
    prompts = [["ask", "elicitation/create", asked], ["tell_answers"], ["end", "end_turn"]]
    talk = FakeAgentTalk(lambda _question: Answer({"action": "accept", "content": {"colour": "red"}}))
    ended = await kit.ended(GO, prompts, talk)
    assert talk.questions[0].params == asked
    assert '{"action": "accept", "content": {"colour": "red"}}' in ended.text
    ended = await kit.ended(GO, prompts, FakeAgentTalk())
    assert '{"action": "decline"}' in ended.text


# -- stopping ------------------------------------------------------------------------------------------------------


async def test_a_cancel_ends_the_turn_as_cancelled(kit):
    talk = FakeAgentTalk()
    async with kit.session(
        {"prompts": [[["say", "Working."], ["until_cancel"], ["end", "cancelled"]], DONE]}
    ) as session:
        async with anyio.create_task_group() as tasks:

            async def stop():
                await talk.until(lambda: talk.of(Text))
                await session.interrupt()

            tasks.start_soon(stop)
            ended = await session.turn(GO, talk)
        assert (ended.status, ended.text) == (EndStatus.CANCELLED, "Working.")
        assert (await session.turn(GO, FakeAgentTalk())).text == "Done."  # the session goes on


async def test_a_cancel_answers_what_is_open_and_what_is_asked_after_it_as_cancelled(kit):
    """gemini-cli 0.61.0 hung for more than 25 s where an open request was left unanswered (2026-11-22)."""
    asked = anyio.Event()

    async def never(_question):
        asked.set()
        await anyio.sleep_forever()

    prompts = [
        [*permission(), False],
        ["until_cancel"],
        ["until_answered", 1],
        permission("c2"),
        ["tell_answers"],
        ["end", "cancelled"],
    ]
    async with kit.session({"prompts": [prompts]}) as session, anyio.create_task_group() as tasks:

        async def stop():
            await asked.wait()
            await session.interrupt()

        tasks.start_soon(stop)
        ended = await session.turn(GO, FakeAgentTalk(never))
    assert ended.status is EndStatus.CANCELLED
    assert ended.text.count('{"outcome": {"outcome": "cancelled"}}') == 2


async def test_a_question_that_the_agent_withdraws_is_no_longer_asked(kit):
    async def never(_question):
        await anyio.sleep_forever()

    prompts = [[*permission(), False], ["withdraw", 1], ["tell_answers"], ["end", "end_turn"]]
    ended = await kit.ended(GO, prompts, FakeAgentTalk(never))
    assert '"code": -32800' in ended.text


async def test_an_agent_that_is_deaf_to_cancels_counts_as_cancelled_all_the_same(kit):
    """OpenHands 1.16.0 goes on until its model has answered, and then ends its turn as usual (2026-11-22)."""
    talk = FakeAgentTalk()
    script = {"prompts": [[["say", "Well"], ["until_cancel"], ["say", ", done."], ["end", "end_turn"]]]}
    async with kit.session(script, settings={"profile": "openhands"}) as session, anyio.create_task_group() as tasks:

        async def stop():
            await talk.until(lambda: talk.of(Text))
            await session.interrupt()

        tasks.start_soon(stop)
        ended = await session.turn(GO, talk)
    assert (ended.status, ended.text) == (EndStatus.CANCELLED, "Well, done.")


async def test_closing_ends_an_agent_that_stays_and_a_daemon_that_left_its_session(kit):
    """gemini-cli and openhands stayed after the end of their input; cline leaves a daemon behind (2026-11-22)."""
    pid = kit.directory / "pid"
    prompts = [["daemon", str(pid)], *DONE]
    async with kit.session({"prompts": [prompts], "eof": "stay"}) as session:
        await session.turn(GO, FakeAgentTalk())
        daemon, agent = int(pid.read_text()), session.pid
        os.kill(daemon, 0)
    assert gone(agent)
    assert gone(daemon)


async def test_a_turn_whose_session_is_closed_returns_at_once(kit):
    talk = FakeAgentTalk()
    async with kit.session({"prompts": [[["say", "Working."], ["until_cancel"]]]}) as session:
        async with anyio.create_task_group() as tasks:

            async def stop():
                await talk.until(lambda: talk.of(Text))
                await session.close()

            tasks.start_soon(stop)
            ended = await session.turn(GO, talk)
        assert ended.status is EndStatus.UNKNOWN
        ended = await session.turn(GO, FakeAgentTalk())
        assert ended.status in (EndStatus.UNKNOWN, EndStatus.FAILED)
        assert await session.wait_closed()


# -- sessions ------------------------------------------------------------------------------------------------------


async def test_a_session_is_resumed_where_the_agent_can_and_loaded_where_it_only_loads(kit):
    def can(**capabilities):
        return {"initialize": {"agentCapabilities": capabilities}, "prompts": [DONE]}

    both = can(loadSession=True, sessionCapabilities={"resume": {}, "fork": {}})
    async with kit.session(both, kit.opening(resume="old")) as session:
        assert session.native == "old"
    replayed = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "said before"}}
    talk = FakeAgentTalk()
    async with kit.session(can(loadSession=True) | {"load_updates": [replayed]}, kit.opening(resume="old")) as session:
        assert (await session.turn(GO, talk)).text == "Done."
    assert "said before" not in [text.text for text in talk.of(Text)]
    async with kit.session(both, kit.opening(resume="old", fork=True)) as session:
        assert session.native == f"session-{session.pid}"
    cwd = str(kit.directory / "work")
    wanted = {"sessionId": "old", "cwd": cwd, "mcpServers": []}
    assert [kit.parameters(f"session/{name}") for name in ("resume", "load", "fork")] == [[wanted]] * 3
    with pytest.raises(BackendError, match="cannot take an earlier session up"):
        await kit.backend(can()).open(kit.opening(resume="old"))


async def test_the_mode_of_the_profile_is_set_and_a_missing_one_is_said(kit):
    async with kit.session({"new": MODES, "prompts": [DONE]}, settings={"mode": "yolo"}) as session:
        await session.turn(GO, FakeAgentTalk())
    assert kit.parameters("session/set_mode")[0]["modeId"] == "yolo"
    talk = FakeAgentTalk()
    async with kit.session({"new": MODES, "prompts": [DONE]}, settings={"mode": "turbo"}) as session:
        await session.turn(GO, talk)
    assert warnings(talk) == ["it does not offer the mode 'turbo' (it has: default, plan, yolo)"]


@pytest.mark.parametrize(
    ("capabilities", "settings", "wanted"),
    [
        ({"mcpCapabilities": {"http": True}}, {}, "http"),
        ({"mcpCapabilities": {"http": False}}, {}, "stdio"),
        ({"mcpCapabilities": {"http": True}}, {"profile": "openhands"}, "stdio"),  # says it can, and cannot
        ({}, {"profile": "copilot"}, "http"),  # refuses stdio without a word
        ({}, {"profile": "cline"}, None),  # ignores what it is given
        ({}, {"profile": "cline", "mcp": "stdio"}, "stdio"),
    ],
)
async def test_the_gateway_is_attached_the_way_the_agent_takes_it(kit, capabilities, settings, wanted):
    attachment = Attachment(
        "gateway",
        "http://127.0.0.1:1/mcp",
        (("Authorization", Secret("Bearer t")),),
        ("python3", "shim.py"),
        (("TOKEN", Secret("t")),),
    )
    talk = FakeAgentTalk()
    script = {"initialize": {"agentCapabilities": capabilities}, "prompts": [DONE]}
    async with kit.session(script, kit.opening(attachment=attachment), settings=settings) as session:
        await session.turn(GO, talk)
    given = {
        "http": {
            "type": "http",
            "name": "gateway",
            "url": "http://127.0.0.1:1/mcp",
            "headers": [{"name": "Authorization", "value": "Bearer t"}],
        },
        "stdio": {
            "name": "gateway",
            "command": "python3",
            "args": ["shim.py"],
            "env": [{"name": "TOKEN", "value": "t"}],
        },
    }
    assert kit.parameters("session/new")[0]["mcpServers"] == ([given[wanted]] if wanted else [])
    assert ("it takes no MCP servers, so it works without the tools of this gateway" in warnings(talk)) is (
        wanted is None
    )


# -- what cannot be opened -----------------------------------------------------------------------------------------


async def test_an_agent_that_wants_a_sign_in_says_how(kit):
    script = {"new": {"error": {"code": -32000, "message": "Authentication required", "data": {"authMethods": []}}}}
    with pytest.raises(BackendError) as caught:
        await kit.backend(script, settings={"profile": "kimi"}).open(kit.opening())
    assert caught.value.kind is FailureKind.REFUSED
    assert "making a session failed: Authentication required" in caught.value.message
    assert "run `kimi login` (a.yaml:3:5)" in caught.value.message


async def test_a_missing_program_says_how_to_install_it(kit):
    backend = kit.backend({})
    backend._spec = AgentSpec(
        "gem", backend.spec.kind, command=("gemini", "--acp"), env=(("PATH", Secret("/nowhere")),)
    )
    with pytest.raises(BackendError, match="npm install -g @google/gemini-cli"):
        await backend.open(kit.opening())


async def test_an_agent_that_ends_before_it_shakes_hands_is_told_with_its_last_words(kit):
    backend = kit.backend({"initialize": {"error": {"code": -32603, "message": "no licence"}}})
    with pytest.raises(BackendError, match=r"agent gem: starting it failed: no licence \(a.yaml:3:5\)"):
        await backend.open(kit.opening())
    kit.spoil()
    with pytest.raises(BackendError, match=r"starting it failed: its process .*JSONDecodeError"):
        await backend.open(kit.opening())
