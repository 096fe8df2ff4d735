import asyncio
from pathlib import Path

import anyio
import pytest

from mcp_orchestrator.agent_api import AgentBackend, AgentSession
from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentOpening, EndStatus, Started, Text, TroubleKind, Turn
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk
from mcp_orchestrator.testing.fake_agent import FakeAgent, answering

pytestmark = pytest.mark.anyio

OPENING = AgentOpening(Path(), Path(), AgentMode.READ)


async def begun(agent, talk=None):
    """A session whose turn has begun, that turn in the test's hands, and its end to come."""
    session = await agent.open(OPENING)
    ended = asyncio.ensure_future(session.turn(Turn("paint it"), talk or FakeAgentTalk()))
    with anyio.fail_after(5):
        return session, await agent.acting.get(), ended


async def test_a_turn_may_be_a_function():
    agent, talk = FakeAgent(play=answering), FakeAgentTalk()
    session = await agent.open(OPENING)
    ended = await session.turn(Turn("paint it"), talk)
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "paint it")
    assert talk.events == [Started(session="session-1"), Text("paint it")]
    assert talk.bindings == [("session-1", None)]


async def test_a_turn_may_be_driven_by_hand():
    agent, talk = FakeAgent(kind=AgentKind.ACP, max_runs=1), FakeAgentTalk()
    assert (agent.spec.kind, agent.spec.max_runs) == (AgentKind.ACP, 1)
    _session, acting, ended = await begun(agent, talk)
    acting.say("hi")
    answer = await acting.ask(Question("elicitation/create", {}))
    assert answer.result == {"action": "decline"}
    acting.finish(text="over")
    acting.finish(text="too late")
    assert (await ended).text == "over"


async def test_an_interruption_is_heard_unless_the_agent_is_deaf():
    agent = FakeAgent()
    session, _acting, ended = await begun(agent)
    await session.interrupt()
    assert (await ended).status is EndStatus.CANCELLED
    agent.deaf = True
    session, _acting, ended = await begun(agent)
    await session.interrupt()
    await session.close()
    assert ((await ended).status, session.interruptions) == (EndStatus.UNKNOWN, 1)


async def test_a_session_that_dies_takes_its_turn_along():
    session, _acting, ended = await begun(FakeAgent())
    session.die()
    assert (await ended).trouble is TroubleKind.CRASH
    assert await session.wait_closed() == "exit code 1"
    assert (await session.turn(Turn("again"), FakeAgentTalk())).trouble is TroubleKind.CRASH


async def test_a_mistake_of_the_test_is_not_swallowed():
    async def mistaken(_acting):
        raise LookupError("a mistake")

    session = await FakeAgent(play=mistaken).open(OPENING)
    with pytest.raises(LookupError):
        await session.turn(Turn("x"), FakeAgentTalk())


async def test_sessions_can_be_resumed_refused_and_kept_waiting():
    agent = FakeAgent(native=None)
    resumed = await agent.open(AgentOpening(Path(), Path(), AgentMode.READ, resume="s9"))
    assert resumed.native == "s9"
    agent.gate = asyncio.Event()
    opening = asyncio.ensure_future(agent.open(OPENING))
    await asyncio.sleep(0)
    assert not opening.done()
    agent.gate.set()
    assert (await opening).native is None
    agent.refuse = BackendError(FailureKind.UNAVAILABLE, "no")
    with pytest.raises(BackendError):
        await agent.open(OPENING)
    await agent.aclose()
    assert agent.released
    assert (await agent.probe()).found


async def test_it_is_what_an_agent_must_be():
    backend: AgentBackend = FakeAgent()
    session: AgentSession = await backend.open(OPENING)
    assert session.pid is None
