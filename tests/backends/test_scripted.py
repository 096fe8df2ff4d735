import asyncio

import anyio
import pytest
from agent_kit import place

from mcp_orchestrator.backends.scripted import create
from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentSpec, EndStatus, TroubleKind, Turn
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk

pytestmark = pytest.mark.anyio


@pytest.fixture
def agent(tmp_path):
    """The agent that plays a text."""

    def agent(text):
        (tmp_path / "script.yaml").write_text(text)
        spec = AgentSpec(
            "player", AgentKind.SCRIPTED, settings={"script": "script.yaml"}, base=tmp_path, where="o.yaml:3"
        )
        return create(spec, None)

    return agent


async def played(session, talk, prompt="go", **turn):
    with anyio.fail_after(5):
        return await session.turn(Turn(prompt, **turn), talk)


async def test_a_script_is_played_to_its_end(agent, tmp_path):
    session = await agent("- say: Hello\n- say: Done\n").open(place(tmp_path))
    talk = FakeAgentTalk()
    ended = await played(session, talk)
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Done")
    assert talk.bindings == [(session.native, "1.1"), (session.native, "1.2")]
    assert talk.raws[1:] == ['{"say": "Hello"}', '{"say": "Done"}']


async def test_a_script_that_does_nothing_has_not_completed(agent, tmp_path):
    session = await agent("- think: hm\n").open(place(tmp_path))
    ended = await played(session, FakeAgentTalk())
    assert (ended.status, ended.trouble) == (EndStatus.UNKNOWN, TroubleKind.SILENT)


async def test_each_turn_of_a_session_plays_its_own_steps(agent, tmp_path):
    session = await agent("turns: [[say: one], [say: two]]").open(place(tmp_path))
    assert [(await played(session, FakeAgentTalk())).text for _ in range(3)] == ["one", "two", "two"]


async def test_an_interrupted_process_goes_on_at_the_step_it_stood_at(agent, tmp_path):
    backend = agent("turns: [[say: one], [say: two, pause: 60, say: three]]")
    first, talk = await backend.open(place(tmp_path)), FakeAgentTalk()
    await played(first, talk)
    abandoned = asyncio.ensure_future(first.turn(Turn("go"), talk))
    with anyio.fail_after(5):
        await talk.until(lambda: talk.bindings[-1] == (first.native, "2.2"))
    abandoned.cancel()
    (tmp_path / "script.yaml").write_text("turns: [[say: one], [say: two, say: no pause, say: three]]")
    again = await backend.open(place(tmp_path, resume=first.native))
    ended = await played(again, talk := FakeAgentTalk(), rejoin="2.2")
    assert again.native == first.native
    assert (ended.text, [event.text for event in talk.events[1:]]) == ("three", ["no pause", "three"])


@pytest.mark.parametrize("rejoin", ["1.2", None])
async def test_a_session_that_is_taken_up_again_plays_what_the_script_has_for_that(agent, tmp_path, rejoin):
    backend = agent("turns: [[say: one, pause: 0, say: two]]\nresumed: [say: back, say: again]")
    again, talk = await backend.open(place(tmp_path, resume="scripted-1")), FakeAgentTalk()
    assert (await played(again, talk, rejoin=rejoin)).text == "again"
    assert set(talk.bindings) == {("scripted-1", rejoin or "1.1")}
    assert (await played(again, FakeAgentTalk())).text == "two"


async def test_a_fork_has_a_session_of_its_own(agent, tmp_path):
    backend = agent("- say: hello")
    session = await backend.open(place(tmp_path, resume="scripted-1", fork=True))
    assert session.native != "scripted-1"


@pytest.mark.parametrize("step", ["pause: 60", "wait: {until: never}", "ask: {url: {message: m, url: u}}"])
async def test_an_interruption_ends_a_step_that_waits(agent, tmp_path, step):
    session = await agent(f"- say: hi\n- {step}\n- say: no\n").open(place(tmp_path))
    never = asyncio.get_running_loop().create_future()
    talk = FakeAgentTalk(lambda _question: never)
    turn = asyncio.ensure_future(played(session, talk))
    with anyio.fail_after(5):
        await talk.until(lambda: talk.bindings[-1:] == [(session.native, "1.2")])
    await session.interrupt()
    ended = await turn
    assert (ended.status, ended.text) == (EndStatus.CANCELLED, "hi")


async def test_an_open_question_that_is_cancelled_first_ends_as_cancelled(agent, tmp_path):
    """Who stops a run answers what is open before the agent is interrupted."""
    script = "- ask: {form: {message: m, schema: {type: object}}}\n  then: {else: [{say: I go on}, end]}"
    session = await agent(script).open(place(tmp_path))
    answer = asyncio.get_running_loop().create_future()
    talk = FakeAgentTalk(lambda _question: answer)
    turn = asyncio.ensure_future(played(session, talk))
    with anyio.fail_after(5):
        await talk.until(lambda: talk.questions)
    answer.set_result(Answer({"action": "cancel"}, by="gateway"))
    asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(session.interrupt()))
    assert (await turn).status is EndStatus.CANCELLED


async def test_an_agent_that_hangs_ends_with_its_session_alone(agent, tmp_path):
    session = await agent("- hang").open(place(tmp_path))
    talk = FakeAgentTalk()
    turn = asyncio.ensure_future(played(session, talk))
    with anyio.fail_after(5):
        await talk.until(lambda: talk.bindings)
    await session.interrupt()
    await asyncio.sleep(0)
    assert not turn.done()
    await session.close()
    assert (await turn).status is EndStatus.CANCELLED
    assert await session.wait_closed() == "closed"


async def test_a_closed_session_does_not_know_how_its_turn_ended(agent, tmp_path):
    session = await agent("- pause: 60").open(place(tmp_path))
    talk = FakeAgentTalk()
    turn = asyncio.ensure_future(played(session, talk))
    with anyio.fail_after(5):
        await talk.until(lambda: talk.bindings)
    await session.close()
    assert ((await turn).status, (await turn).trouble) == (EndStatus.UNKNOWN, None)


async def test_a_crash_ends_turn_and_session(agent, tmp_path):
    session = await agent("- say: hi\n- crash\n").open(place(tmp_path))
    ended = await played(session, FakeAgentTalk())
    assert (ended.status, ended.trouble, ended.text) == (EndStatus.UNKNOWN, TroubleKind.CRASH, "hi")
    with anyio.fail_after(5):
        assert "crash" in await session.wait_closed()


async def test_a_script_with_a_mistake_is_told_when_a_session_is_opened_and_when_it_is_looked_at(agent, tmp_path):
    backend = agent("- shout: x")
    with pytest.raises(BackendError, match=r"agent player: .*script.yaml:1:3: a step is one of .*\(o.yaml:3\)"):
        await backend.open(place(tmp_path))
    facts = await backend.probe()
    assert not facts.found
    assert "script.yaml:1:3" in facts.notes[0]


async def test_a_look_says_that_no_model_is_behind_it(agent):
    facts = await agent("turns: [[say: a], [say: b]]").probe()
    assert facts.found
    assert facts.can["resume"]
    assert "2 turns" in facts.notes[0]
    assert "no model" in facts.notes[0]


async def test_a_read_only_session_is_opened_as_such(agent, tmp_path):
    session = await agent("- write: {path: a, text: b}").open(place(tmp_path, AgentMode.READ))
    ended = await played(session, FakeAgentTalk())
    assert ended.status is EndStatus.UNKNOWN
    assert not (tmp_path / "work" / "a").exists()
