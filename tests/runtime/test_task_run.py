"""Any long run becomes a task for a client that declares it; the run stays the object, the task is only its face."""

import anyio
import pytest
from engines import Ear, FakeBackend, whole
from task_backends import ABLE, ADA, EVE, OLD, PLAIN, Client, call

from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.identity.sealing import AesGcmSealer, new_key
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, ToolRefusal
from mcp_orchestrator.runtime import tasks as registry

pytestmark = pytest.mark.anyio
FORM = Question("elicitation/create", {"message": "Your name?", "requestedSchema": {"type": "object"}})
AT_ONCE = 0.01


class Slow(FakeBackend):
    """A backend without tasks whose calls wait for `go`, ask `questions` and then end as `outcome` says."""

    def __init__(self, name="one", era=Era.LEGACY):
        super().__init__(name, speaks=[era], play=self._work)
        self.go, self.questions, self.answers, self.cancelled = anyio.Event(), [], [], anyio.Event()
        self.outcome = Completed(encode({"content": [{"type": "text", "text": "done"}], "odd": 1}), era)

    async def _work(self, _invocation, talk):
        try:
            await self.go.wait()
        except BaseException:
            self.cancelled.set()
            raise
        talk.progress({"progress": 1, "message": "half way"})
        for question in self.questions:
            self.answers.append((await talk.ask(question)).result)
        return self.outcome


def quick(made, after=AT_ONCE):
    made.engine._sealer = AesGcmSealer(new_key())
    made.engine.tasks.slow_after = after
    return made.gateway


async def test_a_call_that_takes_long_becomes_a_task_whose_result_is_the_calls_own(tmp_path):
    backend = Slow()
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made), ABLE)
        begun = await client.tool("one__echo")
        assert (begun["resultType"], begun["status"]) == ("task", "working")
        assert begun["ttlMs"] >= 3_600_000
        assert begun["pollIntervalMs"] > 0
        assert begun["createdAt"].endswith("Z")
        assert not {"result", "error", "inputRequests", "requestState"} & set(begun)
        backend.go.set()
        ended = await client.end(begun["taskId"])
        assert (ended["resultType"], ended["status"], ended["statusMessage"]) == ("complete", "completed", "half way")
        assert ended["result"] == {"content": [{"type": "text", "text": "done"}], "odd": 1, "resultType": "complete"}
        assert len(backend.sessions[-1].invocations) == 1
        assert client.ear.heard == []
        kinds = made.journal.kinds()
        assert kinds.count("run.started") == kinds.count("run.ended") == kinds.count("task.created") == 1


@pytest.mark.parametrize("face", [PLAIN, OLD], ids=["modern without the extension", "legacy"])
async def test_who_did_not_declare_it_sees_no_difference(tmp_path, face):
    backend = Slow()
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made, 0.0), face)
        async with anyio.create_task_group() as group:
            got = []

            async def call():
                got.append(await client.tool("one__echo"))

            group.start_soon(call)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert got == []
            backend.go.set()
        assert "taskId" not in got[0]


async def test_a_quick_call_stays_a_call_and_leaves_no_timer(tmp_path):
    backend = Slow()
    backend.go.set()
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made, 60), ABLE)
        assert (await client.tool("one__echo"))["odd"] == 1
        assert made.engine.tasks._faces == {}


@pytest.mark.parametrize(
    ("outcome", "status", "told"),
    [
        (Failed(FailureKind.BACKEND_ERROR, -32603, "broke", {"x": 1}), "failed", {"error": {"code": -32603}}),
        (Completed(encode({"content": [], "isError": True}), Era.LEGACY), "completed", {"result": {"isError": True}}),
        (ToolRefusal("no"), "completed", {"result": {"isError": True}}),
    ],
    ids=["protocol error", "tool error", "refusal of ours"],
)
async def test_errors_are_told_as_the_extension_wants(tmp_path, outcome, status, told):
    backend = Slow()
    backend.outcome = outcome
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made), ABLE)
        task = (await client.tool("one__echo"))["taskId"]
        backend.go.set()
        ended = await client.end(task)
        assert ended["status"] == status
        assert {"result", "error"} & set(ended) == set(told)
        for member, fields in told.items():
            assert fields.items() <= ended[member].items()


async def test_a_question_makes_the_task_ask_and_its_answer_reaches_the_same_call(tmp_path):
    backend = Slow()
    backend.questions = [FORM, FORM]
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made), ABLE)
        task = (await client.tool("one__echo"))["taskId"]
        backend.go.set()
        keys = []
        for number in range(2):
            shown = await client.until(task, "input_required")
            (key,) = shown["inputRequests"]
            assert shown["inputRequests"][key] == {"method": FORM.method, "params": FORM.params}
            keys.append(key)
            wrong = await client.outcome("tasks/update", taskId=task, inputResponses={key: 7})
            assert wrong.code == -32602
            answer = {"action": "accept", "content": {"n": number}}
            assert await client.ask("tasks/update", taskId=task, inputResponses={key: answer}) == {
                "resultType": "complete"
            }
            await client.until(task, "working", "completed", "input_required")
        assert (await client.end(task))["status"] == "completed"
        assert len(set(keys)) == 2, "a key is never used again"
        assert [answer["content"]["n"] for answer in backend.answers] == [0, 1]


async def test_a_question_that_the_client_never_declared_is_declined(tmp_path):
    backend = Slow()
    backend.questions = [Question("sampling/createMessage", {"messages": []}), FORM]
    face = ClientFace(Era.MODERN, "2026-07-28", {"extensions": ABLE.capabilities["extensions"]})
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made), face)
        task = (await client.tool("one__echo"))["taskId"]
        backend.go.set()
        assert (await client.end(task))["status"] == "completed"
        assert backend.answers == [None, {"action": "decline"}]


async def test_a_modern_servers_questions_are_put_by_the_task_once_there_is_one(tmp_path):
    backend = Slow(era=Era.MODERN)
    asked = {"k": {"method": FORM.method, "params": FORM.params}}
    finished = backend.outcome
    backend.outcome = Completed(
        encode({"resultType": "input_required", "inputRequests": asked, "requestState": "s"}), Era.MODERN
    )
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made), ABLE)
        task = (await client.tool("one__echo"))["taskId"]
        backend.go.set()
        (key,) = (await client.until(task, "input_required"))["inputRequests"]
        backend.outcome = finished
        await client.ask("tasks/update", taskId=task, inputResponses={key: {"action": "accept", "content": {}}})
        assert (await client.end(task))["status"] == "completed"
        again = backend.sessions[-1].invocations[-1].params
        assert again["inputResponses"] == {"k": {"action": "accept", "content": {}}}
        assert again["requestState"] == "s"


async def test_a_call_that_waits_for_its_clients_answers_becomes_a_task_only_after_them(tmp_path):
    backend = Slow()
    backend.questions = [FORM]
    backend.go.set()
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made, 0.05), ABLE)
        shown = await client.tool("one__echo")
        assert shown["resultType"] == "input_required"
        backend.questions.append(FORM)
        answers = {key: {"action": "accept", "content": {}} for key in shown["inputRequests"]}
        more = await client.tool("one__echo", requestState=shown["requestState"], inputResponses=answers)
        assert more["resultType"] == "input_required"
        made.engine.tasks.slow_after = AT_ONCE
        backend.questions.clear()
        answers = {key: {"action": "accept", "content": {}} for key in more["inputRequests"]}
        last = await client.tool("one__echo", requestState=more["requestState"], inputResponses=answers)
        assert last["odd"] == 1


async def test_cancelling_the_task_cancels_the_run(tmp_path):
    backend = Slow()
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made), ABLE)
        task = (await client.tool("one__echo"))["taskId"]
        assert await client.ask("tasks/cancel", taskId=task) == {"resultType": "complete"}
        ended = await client.end(task)
        assert ended["status"] == "cancelled"
        assert not {"result", "error"} & set(ended)
        with anyio.fail_after(5):
            await backend.cancelled.wait()
        assert await client.ask("tasks/cancel", taskId=task) == {"resultType": "complete"}


async def test_a_task_belongs_to_its_principal(tmp_path):
    backend = Slow()
    async with whole(tmp_path, backend) as made:
        gateway = quick(made)
        mine = Client(gateway, ABLE, ADA)
        task = (await mine.tool("one__echo"))["taskId"]
        for method, more in (("tasks/get", {}), ("tasks/cancel", {}), ("tasks/update", {"inputResponses": {}})):
            assert (await Client(gateway, ABLE, EVE).outcome(method, taskId=task, **more)).code == -32602
        assert (await mine.ask("tasks/get", taskId=task))["status"] == "working"


async def test_where_there_is_no_room_a_call_stays_a_call(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "MOST_OF_ONE", 1)
    backend = Slow()
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made), ABLE)
        assert "taskId" in await client.tool("one__echo")
        async with anyio.create_task_group() as group:

            async def second():
                assert (await client.tool("one__echo"))["odd"] == 1

            group.start_soon(second)
            await anyio.sleep(3 * AT_ONCE)
            backend.go.set()


async def test_a_task_is_forgotten_when_its_time_is_over(tmp_path, monkeypatch):
    backend = Slow()
    async with whole(tmp_path, backend) as made:
        client = Client(quick(made), ABLE)
        task = (await client.tool("one__echo"))["taskId"]
        monkeypatch.setattr("mcp_orchestrator.runtime.task_run.KEPT", 0.0)
        monkeypatch.setattr("mcp_orchestrator.runtime.task_run.KEPT_AFTER_END", 0.0)
        backend.go.set()
        with anyio.fail_after(5):
            while made.engine.tasks._faces:  # noqa: ASYNC110 - a timer of the loop
                await anyio.sleep(0.01)
        assert (await client.outcome("tasks/get", taskId=task)).code == -32602


async def test_who_came_for_the_result_hears_that_an_address_was_dealt_with(tmp_path):
    backend = Slow()
    async with whole(tmp_path, backend) as made:
        run = made.gateway.start(call("tools/call", OLD, name="one__echo", arguments={}), Ear())
        assert made.engine.tasks.promote(run, ahead=True)
        came = Ear()
        for attached in (False, True):
            if attached:
                run.face.attach(came)
            run.notify("notifications/elicitation/complete", {"elicitationId": "e"})
            run.notify("notifications/message", {"data": 1})
        assert came.heard == [("notifications/elicitation/complete", {"elicitationId": "e"})]
        backend.go.set()
        await run.face.finished.wait()
