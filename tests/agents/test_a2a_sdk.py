"""Real peers of A2A: a server on a2a-sdk as an agent of ours, and the SDK's own client at our endpoint."""

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from a2a.client import ClientConfig, create_client
from a2a.types.a2a_pb2 import CancelTaskRequest, GetTaskRequest, Message, Part, Role, SendMessageRequest, TaskState
from a2a_door import FakeDoor, endpoint
from a2a_fake import session

from mcp_orchestrator.model.agent import EndStatus, Text, Turn
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk

pytestmark = [pytest.mark.anyio, pytest.mark.real]
SAMPLE = Path(__file__).resolve().parents[1] / "peers" / "a2a_sample.py"
WAYS = [{"binding": "jsonrpc", "version": "1.0"}, {"binding": "http+json"}, {"version": "0.3"}]


@asynccontextmanager
async def sample(port):
    """The sample server in a process of its own."""
    process = await asyncio.create_subprocess_exec(sys.executable, str(SAMPLE), str(port))
    try:
        with anyio.fail_after(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=0.1)
                    assert process.returncode is None
                    continue
                writer.close()
                break
            yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def test_the_sample_server_of_the_sdk_is_an_agent_of_ours(free_port, tmp_path):
    async with sample(free_port) as url:
        for settings in WAYS:
            talk = FakeAgentTalk(lambda question: Answer({"action": "accept", "content": {"answer": "red"}}))
            async with session(url, tmp_path, settings=settings) as made:
                first = await made.turn(Turn("hello"), talk)
                asked = await made.turn(Turn("ask"), talk)
            assert (first.status, first.text) == (EndStatus.COMPLETED, "You said: hello"), settings
            assert (asked.status, asked.text) == (EndStatus.COMPLETED, "You said: red"), settings
            assert "working on it" in [one.text for one in talk.of(Text)]
            assert len(talk.questions) == 1
            assert len({context for context, _task in talk.bindings}) == 1


async def test_a_task_of_the_sample_server_is_cancelled_and_one_that_is_left_is_rejoined(free_port, tmp_path):
    async with sample(free_port) as url:
        for settings in WAYS:
            talk = FakeAgentTalk()
            async with session(url, tmp_path, settings=settings) as made:
                turn = asyncio.ensure_future(made.turn(Turn("wait"), talk))
                await talk.until(lambda talk=talk: talk.of(Text))
                await made.close()
                assert (await turn).status is EndStatus.UNKNOWN
            context, task = talk.bindings[-1]
            again = FakeAgentTalk()
            async with session(url, tmp_path, settings=settings, resume=context) as made:
                turn = asyncio.ensure_future(made.turn(Turn("wait", rejoin=task), again))
                await again.until(lambda again=again: again.bindings)
                await made.interrupt()
                ended = await turn
            assert ended.status is EndStatus.CANCELLED, settings
            assert again.bindings[-1] == (context, task)


async def echo(run):
    run.work_on()
    if run.kept.task == "wait":
        await asyncio.Event().wait()
    run.say("thinking")
    run.end(text=f"You said: {run.kept.task}")


def saying(text):
    message = Message(message_id="m1", role=Role.ROLE_USER, parts=[Part(text=text)])
    return SendMessageRequest(message=message)


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
@pytest.mark.parametrize("streaming", [True, False])
async def test_the_client_of_the_sdk_is_served(binding, streaming):
    with anyio.fail_after(30):
        async with endpoint(FakeDoor(echo)) as address:
            config = ClientConfig(streaming=streaming, supported_protocol_bindings=[binding])
            client = await create_client(f"{address}/agents/coder", config)
            events = [event async for event in client.send_message(saying("hello"))]
            ident = events[0].task.id
            task = await client.get_task(GetTaskRequest(id=ident))
            assert task.status.state == TaskState.TASK_STATE_COMPLETED
            assert task.artifacts[0].parts[0].text == "You said: hello"
            assert len(events) > 1 or not streaming
            waiting = saying("wait")
            waiting.configuration.return_immediately = True
            started = await anext(aiter(client.send_message(waiting)))
            stopped = await client.cancel_task(CancelTaskRequest(id=started.task.id))
            assert stopped.status.state == TaskState.TASK_STATE_CANCELED
            await client.close()
