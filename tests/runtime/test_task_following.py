"""A run follows a backend's task to its end, whatever happens to either."""

import anyio
import pytest
from engines import FakeBackend, whole
from task_backends import OLD, PLAIN, YES, Client, TaskBackend, call

from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.runtime import task_following
from mcp_orchestrator.runtime.task_following import Labelled
from mcp_orchestrator.testing.fake_backend import FakeTalk

pytestmark = pytest.mark.anyio
RELATED = "io.modelcontextprotocol/related-task"
TASK = {"resultType": "task", "taskId": "t", "status": "working", "ttlMs": 60_000, "pollIntervalMs": 50}


class Played(FakeBackend):
    """A modern backend whose task goes through `states`, one per `tasks/get`; the last one stays."""

    def __init__(self, *states, ttl=60_000):
        super().__init__("one", speaks=[Era.MODERN], play=self._serve)
        self.states, self.ttl, self.updates, self.cancelled = list(states), ttl, [], anyio.Event()

    async def _serve(self, invocation, _talk):
        match invocation.method:
            case "tools/call":
                return Completed(encode({**TASK, "ttlMs": self.ttl}), Era.MODERN)
            case "tasks/get":
                state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
                return state if isinstance(state, Failed) else Completed(encode({**TASK, **state}), Era.MODERN)
            case "tasks/update":
                self.updates.append(invocation.params["inputResponses"])
            case "tasks/cancel":
                self.cancelled.set()
        return Completed(b'{"resultType":"complete"}', Era.MODERN)


DONE = {"status": "completed", "result": {"content": [], "x": 1}}
ASKS = {
    "status": "input_required",
    "inputRequests": {"k": {"method": "elicitation/create", "params": {"message": "?"}}},
}
GONE = Failed(FailureKind.DIED, -32000, "gone")


async def test_an_outage_while_the_task_goes_on_is_survived(tmp_path):
    async with whole(tmp_path, Played({"status": "working"}, GONE, GONE, DONE)) as made:
        assert (await Client(made.gateway, PLAIN).tool("one__echo"))["x"] == 1


async def test_a_server_that_is_gone_for_good_ends_the_run(tmp_path):
    backend = Played(GONE)
    async with whole(tmp_path, backend) as made:
        outcome = await Client(made.gateway, PLAIN).outcome("tools/call", name="one__echo", arguments={})
        assert outcome.kind is FailureKind.DIED
        asked = [one.method for one in backend.sessions[-1].invocations]
        assert asked.count("tasks/get") == task_following.MOST_FAILURES


async def test_an_error_of_the_server_about_its_task_ends_the_run_at_once(tmp_path):
    async with whole(tmp_path, Played(Failed(FailureKind.BACKEND_ERROR, -32602, "no such task"))) as made:
        outcome = await Client(made.gateway, PLAIN).outcome("tools/call", name="one__echo", arguments={})
        assert (outcome.kind, outcome.code) == (FailureKind.BACKEND_ERROR, -32602)


async def test_a_question_shown_again_and_again_is_put_once(tmp_path):
    backend = Played(ASKS, ASKS, ASKS, DONE)
    async with whole(tmp_path, backend) as made:
        client = Client(made.gateway, OLD, answer=Answer(YES))
        assert (await client.tool("one__echo"))["x"] == 1
        assert len(client.ear.asked) == 1
        assert backend.updates == [{"k": YES}]


async def test_an_answer_that_is_an_error_cancels_the_task(tmp_path):
    backend = Played(ASKS)
    async with whole(tmp_path, backend) as made:
        client = Client(made.gateway, OLD, answer=Answer(None, -1, "user says no"))
        outcome = await client.outcome("tools/call", name="one__echo", arguments={})
        assert (outcome.kind, outcome.code) == (FailureKind.BACKEND_ERROR, -1)
        with anyio.fail_after(5):
            await backend.cancelled.wait()


async def test_a_task_that_outlives_its_time_ends_the_run_and_is_cancelled(tmp_path):
    backend = Played({"status": "working", "ttlMs": 200}, ttl=200)
    async with whole(tmp_path, backend) as made:
        outcome = await Client(made.gateway, PLAIN).outcome("tools/call", name="one__echo", arguments={})
        assert outcome.kind is FailureKind.TIMEOUT
        with anyio.fail_after(5):
            await backend.cancelled.wait()


async def test_cancelling_the_run_cancels_the_task(tmp_path):
    backend = TaskBackend("one", Era.LEGACY)
    async with whole(tmp_path, backend) as made:
        asked = call("tools/call", PLAIN, name="one__failing_job", arguments={})
        run = made.gateway.start(asked, Client(made.gateway, PLAIN).ear)
        with anyio.fail_after(5):
            while not backend.jobs:  # noqa: ASYNC110 - begun on the other side
                await anyio.sleep(0.01)
        run.cancel("enough")
        assert (await run.outcome()).kind is FailureKind.CANCELLED
        with anyio.fail_after(5):
            while backend.jobs[0].status != "cancelled":  # noqa: ASYNC110 - told aside
                await anyio.sleep(0.01)


async def test_questions_name_the_task_as_the_client_knows_it_or_not_at_all():
    talk = FakeTalk()
    params = {"message": "?", "_meta": {RELATED: {"taskId": "t"}, "x": 1}}
    await Labelled(talk, "t", "ours").ask(Question("elicitation/create", params))
    await Labelled(talk, "t", None).ask(Question("elicitation/create", params))
    Labelled(talk, "t", "ours").notify("notifications/message", {"data": 1})
    assert [question.params["_meta"] for question in talk.asked] == [{RELATED: {"taskId": "ours"}, "x": 1}, {"x": 1}]
    assert talk.notified == [("notifications/message", {"data": 1})]
