import anyio
import pytest
from agent_kit import attachment, place

from mcp_orchestrator.backends.scripted import create
from mcp_orchestrator.model.agent import (
    AgentKind,
    AgentMode,
    AgentSpec,
    AgentUsage,
    CostSource,
    EndStatus,
    FileChange,
    Planned,
    Text,
    Thought,
    ToolStatus,
    ToolUse,
    TroubleKind,
    Turn,
    Used,
    Warned,
)
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk, choosing

pytestmark = pytest.mark.anyio


@pytest.fixture
def play(tmp_path):
    """Plays one turn of a text; returns its end and what was said."""

    async def play(text, *, answer=None, prompt="paint it", **opening):
        (tmp_path / "script.yaml").write_text(text)
        spec = AgentSpec("player", AgentKind.SCRIPTED, settings={"script": str(tmp_path / "script.yaml")})
        session = await create(spec, None).open(place(tmp_path, **opening))
        talk = FakeAgentTalk(answer)
        with anyio.fail_after(5):
            ended = await session.turn(Turn(prompt), talk)
        await session.close()
        return ended, talk

    return play


async def test_steps_become_events(play):
    script = """
- think: hm
- plan: [look, {paint: completed}]
- tool: {name: Bash, id: t1, kind: shell, input: {command: make}, output: ok}
- tool: {name: Bash, status: denied}
- warn: careful
- use: {input_tokens: 10, output_tokens: 2, cost: 0.25}
- say: done
"""
    ended, talk = await play(script)
    assert talk.events[1:] == [
        Thought("hm"),
        Planned((("look", "pending"), ("paint", "completed"))),
        ToolUse("t1", "Bash", "shell", status=ToolStatus.COMPLETED, input={"command": "make"}, output="ok"),
        ToolUse("call-2", "Bash", "other", status=ToolStatus.DENIED),
        Warned("careful"),
        Used(AgentUsage(10, 2, cost=250_000, cost_source=CostSource.REPORTED)),
        Text("done", "m1"),
    ]
    assert ended.usage.cost == 250_000


async def test_an_end_says_everything_itself(play):
    script = "- say: hi\n- end: {status: failed, trouble: rate, message: later, retryable: true, structured: {a: 1}}"
    ended, _talk = await play(script)
    assert (ended.status, ended.trouble, ended.message) == (EndStatus.FAILED, TroubleKind.RATE, "later")
    assert (ended.retryable, ended.structured, ended.text) == (True, {"a": 1}, "hi")


async def test_files_are_written_and_deleted_in_the_workspace(play, tmp_path):
    script = (
        '- write: {path: "a/b c.sh", text: "1\\r\\n", executable: true}\n'
        '- write: {path: "a/b c.sh", text: "2\\r\\n"}\n- write: {path: x, text: y}\n- delete: x\n- delete: nothing'
    )
    _ended, talk = await play(script)
    assert (tmp_path / "work/a/b c.sh").read_bytes() == b"2\r\n"
    assert (tmp_path / "work/a/b c.sh").stat().st_mode & 0o100
    assert not (tmp_path / "work/x").exists()
    assert talk.of(FileChange) == [
        FileChange("a/b c.sh", "add"),
        FileChange("a/b c.sh", "update"),
        FileChange("x", "add"),
        FileChange("x", "delete"),
    ]
    assert [warned.text for warned in talk.of(Warned)] == ["delete of nothing failed: No such file or directory"]


@pytest.mark.parametrize("path", ["../out", "link/out"])
async def test_nothing_is_written_outside_of_the_workspace(play, tmp_path, path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/link").symlink_to(tmp_path)
    _ended, talk = await play(f"- write: {{path: {path}, text: x}}\n- write: {{path: {tmp_path}/out, text: x}}")
    assert [warned.kind for warned in talk.of(Warned)] == ["denied", "denied"]
    assert not (tmp_path / "out").exists()


async def test_a_task_that_may_only_read_writes_nothing(play, tmp_path):
    _ended, talk = await play("- write: {path: a, text: b}\n- delete: c", mode=AgentMode.READ)
    assert all("may only read" in warned.text for warned in talk.of(Warned))
    assert list((tmp_path / "work").iterdir()) == []


PERMISSION = """
- ask: {permission: {what: run a command, details: "rm -rf build", options: {once: this once, no: do not}}}
  then:
    once: [say: "ran with {{answer.decision}}"]
    decline: [say: declined]
    else: [say: "something else"]
"""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (choosing("once"), "ran with once"),
        (choosing("no"), "something else"),
        (None, "declined"),
        (lambda _q: Answer({"action": "accept", "content": {"decision": "anything"}}), "something else"),
        (lambda _q: Answer(code=-1, message="no"), "something else"),
    ],
)
async def test_what_follows_depends_on_the_answer(play, answer, said):
    ended, talk = await play(PERMISSION, answer=answer)
    assert ended.text == said
    assert "rm -rf build" in talk.questions[0].params["message"]


async def test_a_form_and_an_address_are_asked_as_elicitations(play):
    script = """
- ask: {form: {message: "Your name?", schema: {type: object, properties: {name: {type: string}}}}}
  then: {accept: [say: "Hello {{answer.name}}, {{ prompt }}: {{answer}}"]}
- ask: {url: {message: Sign in, url: "https://example.com/in"}}
"""
    ended, talk = await play(script, answer=lambda _q: Answer({"action": "accept", "content": {"name": "Bob"}}))
    assert ended.text == 'Hello Bob, paint it: {"name": "Bob"}'
    assert [question.params["mode"] for question in talk.questions] == ["form", "url"]
    assert talk.questions[0].params["requestedSchema"]["properties"] == {"name": {"type": "string"}}


async def test_an_end_in_a_branch_is_the_end(play):
    ended, _talk = await play(
        "- ask: {form: {message: m, schema: {}}}\n  then: {decline: [end: {text: over}]}\n- say: no"
    )
    assert ended.text == "over"


async def test_a_file_that_is_waited_for_counts_from_the_script(play, tmp_path):
    (tmp_path / "go").touch()
    ended, _talk = await play("- wait: {until: go}\n- say: went")
    assert ended.text == "went"


async def test_a_call_without_a_gateway_fails_and_says_so(play):
    ended, talk = await play('- call: {tool: files__read}\n- say: "{{result}}"')
    assert ended.text == "this agent was not connected to the gateway"
    assert talk.of(ToolUse)[-1].status is ToolStatus.FAILED


async def test_a_call_to_a_gateway_that_is_gone_fails_and_says_so(play, free_port):
    url = f"http://127.0.0.1:{free_port}/mcp"
    ended, talk = await play(
        '- call: {tool: t, arguments: {a: "{{prompt}}"}}\n- say: "{{result}}"', attachment=attachment(url)
    )
    assert "connection refused" in ended.text
    first, last = talk.of(ToolUse)
    assert (first.name, first.server, first.input) == ("t", "gateway", {"a": "paint it"})
    assert (last.id, last.status) == (first.id, ToolStatus.FAILED)
