"""The app-server protocol against an agent that plays recorded frames of Codex 0.169.0 (2026-11-24)."""

import anyio
import pytest
from agent_kit import Played, attachment, place, secrets

from mcp_orchestrator.backends.codex import create
from mcp_orchestrator.model.agent import (
    AgentKind,
    AgentMode,
    AgentSpec,
    EndStatus,
    Started,
    Text,
    TroubleKind,
    Turn,
    Warned,
)
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk, choosing

pytestmark = pytest.mark.anyio


def answers(word, result):
    return [["read", word], {"id": "$id", "result": result}]


GREETED = [*answers('"initialize"', {"userAgent": "x/0.169.0 (Debian; x86_64)"}), ["read", "initialized"]]
CONFIG = answers("config/read", {"config": {"mcp_servers": {"mine": {"command": "x"}}}})
READY = [*GREETED, *CONFIG, *answers("thread/start", {"thread": {"id": "t1"}, "model": "m"})]
BEGUN = answers("turn/start", {"turn": {"id": "u1", "status": "inProgress"}})
ABOUT = {"threadId": "t1", "turnId": "u1"}


def note(method, **params):
    return {"method": method, "params": {**ABOUT, **params}}


def says(text):
    return note("item/completed", item={"type": "agentMessage", "id": "m1", "text": text})


def completed(status="completed", **turn):
    return note("turn/completed", turn={"id": "u1", "items": [], "status": status, **turn})


COMMAND = {"command": "make", "cwd": "/w", "availableDecisions": ["accept", "acceptForSession", "cancel"]}


def asks(method="item/commandExecution/requestApproval", number=7, **params):
    return {"method": method, "id": number, "params": {**ABOUT, "itemId": "i1", **(params or COMMAND)}}


@pytest.fixture
async def play(reaper, tmp_path):
    """Opens a session with an agent that plays: `agent, session = await play(steps)`."""
    sessions = []

    async def make(steps, mode=AgentMode.WRITE, spec=None, **opening):
        agent = Played(tmp_path, AgentKind.CODEX, steps, **(spec or {}))
        with anyio.fail_after(20):
            sessions.append(await create(agent.spec, reaper).open(place(tmp_path, mode, **opening)))
        return agent, sessions[-1]

    yield make
    for session in sessions:
        await session.close()


async def run(session, talk=None, **turn):
    with anyio.fail_after(20):
        return await session.turn(Turn("go", **turn), talk or FakeAgentTalk())


def sent(agent, method):
    """The parameters of our request of a method."""
    (found,) = [message["params"] for message in agent.heard() if message.get("method") == method]
    return found


def replies(agent):
    """Our answers to its requests."""
    return [message for message in agent.heard() if "method" not in message]


async def test_a_thread_is_sandboxed_by_the_mode_and_has_our_server_alone(play):
    ready = note("mcpServer/startupStatus/updated", name="gateway", status="ready")
    agent, session = await play([*READY, ready], AgentMode.READ, attachment=attachment("http://127.0.0.1:1/mcp"))
    params = sent(agent, "thread/start")
    assert (params["sandbox"], params["approvalPolicy"], params["approvalsReviewer"]) == (
        "read-only",
        "on-request",
        "user",
    )
    servers = params["config"]["mcp_servers"]
    assert servers["mine"] == {"enabled": False}
    assert servers["gateway"]["http_headers"] == {"Authorization": "Bearer token-of-the-run"}
    assert servers["gateway"]["default_tools_approval_mode"] == "approve"
    assert session.native == "t1"
    assert agent.start()["argv"] == ["app-server"]


async def test_a_turn_ends_with_its_own_completion_and_not_with_that_of_a_subagent(play):
    other = {"method": "turn/completed", "params": {"threadId": "sub", "turn": {"id": "x", "status": "failed"}}}
    agent, session = await play([*READY, *BEGUN, other, says("Done."), completed()])
    talk = FakeAgentTalk()
    ended = await run(session, talk)
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Done.")
    assert talk.bindings == [("t1", None), ("t1", "u1")]
    assert talk.of(Started) == [Started("t1", "m", "0.169.0")]
    assert sent(agent, "turn/start")["input"] == [{"type": "text", "text": "go"}]


async def test_warnings_and_errors_that_are_tried_again_fail_nothing(play):
    again = note("error", willRetry=True, error={"message": "Reconnecting... 1/5", "additionalDetails": "reset"})
    steps = [
        *READY,
        note("configWarning", summary="No bubblewrap."),
        *BEGUN,
        note("warning", message="Model metadata not found."),
        again,
        says("Done."),
        completed(),
    ]
    _agent, session = await play(steps)
    talk = FakeAgentTalk()
    assert (await run(session, talk)).status is EndStatus.COMPLETED
    texts = [warned.text for warned in talk.of(Warned)]
    assert texts == ["No bubblewrap.", "Model metadata not found.", "Reconnecting... 1/5 (reset)"]


async def test_noise_and_frames_of_unknown_shapes_do_no_harm(play):
    odd = [
        ["write", "hello"],
        ["write", "[]"],
        {"method": "brand/new", "params": None},
        {"method": "item/started", "params": {"item": 3}},
        {"method": "thread/tokenUsage/updated", "params": ABOUT},
        {"id": 999, "result": {}},
        {"id": None},
        {},
    ]
    _agent, session = await play([*READY, *BEGUN, *odd, says("Done."), completed()])
    assert (await run(session)).text == "Done."


OLD_FORM = {"denied": {"rejection": "approvals of this older form cannot be given here"}}
NO_TOOL = {"contentItems": [{"type": "inputText", "text": "there is no tool x at this host"}], "success": False}


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("item/tool/call", NO_TOOL),
        ("applyPatchApproval", {"decision": OLD_FORM}),
        ("execCommandApproval", {"decision": OLD_FORM}),
        ("item/tool/requestUserInput", {"answers": {}}),
        ("mcpServer/elicitation/request", {"action": "decline"}),
    ],
)
async def test_requests_that_nobody_can_answer_are_refused_in_their_own_form(play, method, result):
    agent, session = await play([*READY, *BEGUN, asks(method, tool="x"), "read", says("Done."), completed()])
    talk = FakeAgentTalk()
    await run(session, talk)
    assert replies(agent)[-1] == {"id": 7, "result": result}
    assert method in talk.of(Warned)[0].text


@pytest.mark.parametrize("method", ["attestation/generate", "account/chatgptAuthTokens/refresh", "brand/new"])
async def test_requests_without_a_form_of_refusal_are_answered_with_an_error(play, method):
    agent, session = await play([*READY, *BEGUN, asks(method, x=1), "read", says("Done."), completed()])
    talk = FakeAgentTalk()
    await run(session, talk)
    assert replies(agent)[-1]["error"]["code"] == -32601
    assert method in talk.of(Warned)[0].text


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        (Answer({"action": "accept", "content": {"decision": "accept"}}), "accept"),
        (Answer({"action": "accept", "content": {"decision": "acceptForSession"}}), "acceptForSession"),
        (Answer({"action": "accept", "content": {"decision": "cancel"}}), "cancel"),
        (Answer({"action": "accept", "content": {"decision": "nonsense"}}), "decline"),
        (Answer({"action": "decline"}), "decline"),
        (Answer({"action": "cancel"}), "decline"),
        (Answer(None, -32000, "gone"), "decline"),
    ],
)
async def test_each_way_to_answer_an_approval_is_well_formed(play, answer, decision):
    agent, session = await play([*READY, *BEGUN, asks(), "read", says("Done."), completed()])
    await run(session, FakeAgentTalk(lambda _question: answer))
    assert replies(agent)[-1] == {"id": 7, "result": {"decision": decision}}


async def test_an_edit_is_shown_as_it_was_announced_before(play):
    change = {"path": "/w/a.py", "kind": {"type": "update", "move_path": None}, "diff": "-old\n+new\n"}
    item = {"type": "fileChange", "id": "i1", "changes": [change], "status": "inProgress"}
    request = asks("item/fileChange/requestApproval", reason="outside")
    agent, session = await play([*READY, *BEGUN, note("item/started", item=item), request, "read", completed()])
    talk = FakeAgentTalk(choosing("accept"))
    await run(session, talk)
    message = talk.questions[0].params["message"]
    assert all(words in message for words in ("update /w/a.py", "-old\n+new", "outside"))
    assert replies(agent)[-1]["result"] == {"decision": "accept"}


async def test_a_question_that_was_settled_elsewhere_is_withdrawn(play):
    withdrawn = anyio.Event()

    async def never(_question):
        try:
            await anyio.sleep_forever()
        finally:
            withdrawn.set()

    settled = note("serverRequest/resolved", requestId=7)
    steps = [*READY, *BEGUN, asks(), ["read", "turn/interrupt"], settled, completed("interrupted")]
    _agent, session = await play(steps)
    talk = FakeAgentTalk(never)

    async def stop():
        await talk.until(lambda: talk.questions)
        await session.interrupt()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        ended = await run(session, talk)
    assert withdrawn.is_set()
    assert ended.status is EndStatus.CANCELLED


async def test_reading_refuses_whatever_would_lift_it_without_asking(play):
    rights = {"permissions": {"fileSystem": {"write": ["/w"]}}, "cwd": "/w"}
    steps = [
        *READY,
        *BEGUN,
        asks(),
        "read",
        asks("item/permissions/requestApproval", 8, **rights),
        "read",
        says("I could not."),
        completed(),
    ]
    agent, session = await play(steps, AgentMode.READ)
    talk = FakeAgentTalk(choosing("accept"))
    await run(session, talk)
    assert [reply["result"] for reply in replies(agent)] == [{"decision": "decline"}, {"permissions": {}}]
    assert talk.questions == []
    assert [warned.kind for warned in talk.of(Warned)] == ["denied", "denied"]


async def test_a_process_that_ends_in_the_middle_leaves_the_end_unknown(play):
    _agent, session = await play([*READY, *BEGUN, says("I am at"), ["error", "out of memory"], ["exit", 0]])
    ended = await run(session)
    assert (ended.status, ended.trouble, ended.text) == (EndStatus.UNKNOWN, TroubleKind.CRASH, "I am at")
    assert "out of memory" in ended.message
    again = await run(session)
    assert (again.status, again.trouble, again.retryable) == (EndStatus.FAILED, TroubleKind.CRASH, True)


async def test_a_turn_that_is_refused_at_its_start_fails(play):
    error = {"code": -32600, "message": "turn/start failed", "codexErrorInfo": "activeTurnNotSteerable"}
    _agent, session = await play([*READY, ["read", "turn/start"], {"id": "$id", "error": error}])
    ended = await run(session)
    assert (ended.status, ended.trouble, ended.message) == (EndStatus.FAILED, TroubleKind.SESSION, "turn/start failed")


async def test_closing_ends_a_turn_at_once(play):
    _agent, session = await play([*READY, *BEGUN, says("I am at"), ["read", "never"]])
    talk = FakeAgentTalk()

    async def close():
        await talk.until(lambda: talk.of(Text))
        await session.close()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close)
        ended = await run(session, talk)
    assert (ended.status, ended.text) == (EndStatus.UNKNOWN, "I am at")
    assert await session.wait_closed() == "was stopped"


async def test_an_interrupt_before_the_turn_has_a_handle_stops_it_as_soon_as_it_has(play):
    _agent, session = await play([*READY, *BEGUN, ["read", "turn/interrupt"], completed("interrupted")])

    class Impatient(FakeAgentTalk):
        async def bound(self, session_id, turn=None):
            await super().bound(session_id, turn)
            if turn is None:
                tasks.start_soon(session.interrupt)

    async with anyio.create_task_group() as tasks:
        ended = await run(session, Impatient())
    assert ended.status is EndStatus.CANCELLED


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([["error", "error: unexpected argument"], ["exit", 2]], "unexpected argument"),
        ([["read", "initialize"], {"id": "$id", "error": {"message": "no"}}], "does not take our greeting"),
        (
            [*GREETED, *CONFIG, ["read", "thread"], {"id": "$id", "error": {"message": "active writer"}}],
            "active writer",
        ),
        ([*GREETED, *CONFIG, *answers("thread/start", {})], "without a thread"),
    ],
)
async def test_what_keeps_a_session_from_opening_is_told(play, steps, words):
    with pytest.raises(BackendError, match=words):
        await play(steps)


async def test_a_missing_program_tells_how_to_install_it(reaper, tmp_path):
    spec = AgentSpec("c", AgentKind.CODEX, env=secrets({"PATH": str(tmp_path)}), where="orchestrator.yaml:3")
    with pytest.raises(BackendError, match=r"npm install -g @openai/codex.*codex login") as raised:
        await create(spec, reaper).open(place(tmp_path))
    assert "orchestrator.yaml:3" in raised.value.message
    facts = await create(spec, reaper).probe()
    assert (facts.found, facts.signed_in) == (False, None)


async def test_only_its_own_variables_are_passed_on(play, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not for it")
    agent, _session = await play(READY, spec={"settings": {"configDir": "/accounts/second"}})
    names = set(agent.start()["env"])
    assert {"OPENAI_API_KEY", "CODEX_HOME", "TMPDIR"} <= names
    assert "ANTHROPIC_API_KEY" not in names


async def test_resuming_and_forking_name_the_thread(play):
    steps = [*GREETED, *CONFIG, *answers("thread/", {"thread": {"id": "t2"}})]
    agent, session = await play(steps, resume="t1", fork=True)
    assert (sent(agent, "thread/fork")["threadId"], session.native) == ("t1", "t2")
