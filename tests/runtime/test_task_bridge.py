"""Clients and servers of different eras, or without tasks of their own, use each other's tasks."""

import anyio
import pytest
from engines import whole
from task_backends import ABLE, EVE, OLD, PLAIN, YES, Client, TaskBackend, call

from mcp_orchestrator.core.wire.jsonrpc import decode
from mcp_orchestrator.identity.sealing import AesGcmSealer, new_key
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.outcome import Failed, FailureKind
from mcp_orchestrator.plugin_api import View

pytestmark = pytest.mark.anyio
RELATED = "io.modelcontextprotocol/related-task"
ASKING = Answer(YES)


def ready(made):
    made.engine._sealer = AesGcmSealer(new_key())
    return made.gateway


# -- modern client with the extension, legacy server with tasks ---------------------------------------------------------


async def test_a_legacy_task_is_a_modern_task_for_a_client_with_the_extension(tmp_path):
    backend = TaskBackend("one", Era.LEGACY)
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), ABLE)
        begun = await client.tool("one__slow_compute", {"seconds": 0.05, "label": "x"})
        assert (begun["resultType"], begun["status"]) == ("task", "working")
        ended = await client.end(begun["taskId"])
        assert ended["result"]["content"][0]["text"] == "computed x"
        assert "_meta" not in ended["result"], "the id stands beside it"
        assert not {"ttl", "pollInterval"} & set(ended)
        assert backend.jobs[0].id != begun["taskId"]


async def test_a_legacy_tasks_question_is_answered_by_update(tmp_path):
    backend = TaskBackend("one", Era.LEGACY)
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), ABLE)
        task = (await client.tool("one__confirm_delete", {"filename": "f"}))["taskId"]
        shown = await client.until(task, "input_required")
        ((key, request),) = shown["inputRequests"].items()
        assert request["method"] == "elicitation/create"
        assert "_meta" not in request["params"]
        await client.ask("tasks/update", taskId=task, inputResponses={key: YES})
        assert "accept" in (await client.end(task))["result"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("tool", "status", "member"), [("failing_job", "completed", "result"), ("protocol_error_job", "failed", "error")]
)
async def test_how_a_legacy_task_failed_is_told_in_modern_words(tmp_path, tool, status, member):
    async with whole(tmp_path, TaskBackend("one", Era.LEGACY)) as made:
        client = Client(ready(made), ABLE)
        ended = await client.end((await client.tool(f"one__{tool}"))["taskId"])
        assert ended["status"] == status
        assert member in ended


async def test_cancelling_reaches_the_legacy_task(tmp_path):
    backend = TaskBackend("one", Era.LEGACY)
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), ABLE)
        task = (await client.tool("one__slow_compute", {"seconds": 60}))["taskId"]
        await client.ask("tasks/cancel", taskId=task)
        assert (await client.end(task))["status"] == "cancelled"
        with anyio.fail_after(5):
            while backend.jobs[0].status != "cancelled":  # noqa: ASYNC110 - told aside
                await anyio.sleep(0.01)


async def test_a_legacy_task_that_its_server_cancelled_is_cancelled(tmp_path):
    backend = TaskBackend("one", Era.LEGACY)
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), ABLE)
        task = (await client.tool("one__slow_compute", {"seconds": 60}))["taskId"]
        backend.jobs[0].cancel()
        assert (await client.end(task))["status"] == "cancelled"


# -- clients without tasks, tools that only work as tasks -----------------------------------------------------------------


async def test_a_tool_that_must_be_a_legacy_task_is_a_call_for_a_modern_client_without_the_extension(tmp_path):
    backend = TaskBackend("one", Era.LEGACY)
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), PLAIN)
        assert (await client.tool("one__failing_job"))["isError"] is True
        shown = await client.tool("one__confirm_delete", {"filename": "f"})
        assert shown["resultType"] == "input_required"
        responses = dict.fromkeys(shown["inputRequests"], YES)
        more = {"requestState": shown["requestState"], "inputResponses": responses}
        ended = await client.tool("one__confirm_delete", {"filename": "f"}, **more)
        assert "accept" in ended["content"][0]["text"]
        assert RELATED not in ended.get("_meta", {})


async def test_an_optional_legacy_task_is_not_begun_for_who_cannot_have_it(tmp_path):
    backend = TaskBackend("one", Era.LEGACY)
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), PLAIN)
        await client.tool("one__slow_compute", {"seconds": 0})
        assert "task" not in backend.sessions[-1].invocations[-1].params


async def test_a_tool_that_must_be_a_modern_task_is_a_call_for_a_legacy_client(tmp_path):
    backend = TaskBackend("one", Era.MODERN)
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), OLD, answer=ASKING)
        result = await client.tool("one__confirm_delete", {"filename": "f"})
        assert "accept" in result["content"][0]["text"]
        assert len(backend.jobs) == 1


async def test_the_task_parameter_of_the_other_generation_is_never_passed_on(tmp_path):
    old, new = TaskBackend("old", Era.LEGACY), TaskBackend("new", Era.MODERN)
    async with whole(tmp_path, old, new) as made:
        gateway = ready(made)
        await Client(gateway, PLAIN).tool("old__slow_compute", {"seconds": 0}, task={"ttl": 1})
        assert "task" not in old.sessions[-1].invocations[-1].params
        await Client(gateway, OLD).tool("new__greet", {"name": "x"}, task={"ttl": 1})
        assert "task" not in new.sessions[-1].invocations[-1].params


# -- legacy client that sends `task`, modern server with the extension ----------------------------------------------------


async def test_a_modern_task_is_a_legacy_task_for_a_client_that_asked_for_one(tmp_path):
    backend = TaskBackend("one", Era.MODERN)
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), OLD, answer=ASKING)
        heard = []
        made.gateway.watch(None, OLD.session, heard.append)
        begun = await client.tool("one__confirm_delete", {"filename": "f"}, task={"ttl": 60000})
        task = begun["task"]["taskId"]
        assert begun["task"]["status"] == "working"
        assert {"ttl", "pollInterval", "createdAt", "lastUpdatedAt"} <= set(begun["task"])
        shown = await client.until(task, "input_required")
        assert not {"ttlMs", "resultType", "inputRequests"} & set(shown)
        assert client.ear.asked == [], "nobody is asked before the client comes for the result"
        result = await client.ask("tasks/result", taskId=task)
        (question,) = client.ear.asked
        assert question.params["_meta"] == {RELATED: {"taskId": task}}
        assert "accept" in result["content"][0]["text"]
        assert result["_meta"] == {RELATED: {"taskId": task}}
        (listed,) = (await client.ask("tasks/list"))["tasks"]
        assert (listed["taskId"], listed["status"]) == (task, "completed")
        assert [event.params["status"] for event in heard][-1] == "completed"
        assert (await Client(made.gateway, OLD, EVE).outcome("tasks/get", taskId=task)).code == -32602
        again = await client.outcome("tasks/cancel", taskId=task)
        assert isinstance(again, Failed)
        assert again.code == -32602


async def test_a_result_that_was_there_at_once_is_a_legacy_task_too_when_one_was_asked_for(tmp_path):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        client = Client(ready(made), OLD)
        task = (await client.tool("one__greet", {"name": "Ada"}, task={}))["task"]["taskId"]
        assert (await client.ask("tasks/result", taskId=task))["content"][0]["text"] == "Hello, Ada!"
        assert (await client.ask("tasks/get", taskId=task))["status"] == "completed"


async def test_an_error_of_a_modern_task_is_the_error_of_tasks_result(tmp_path):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        client = Client(ready(made), OLD)
        task = (await client.tool("one__protocol_error_job", task={}))["task"]["taskId"]
        failed = await client.outcome("tasks/result", taskId=task)
        assert (failed.kind, failed.code) == (FailureKind.BACKEND_ERROR, -32603)
        assert (await client.ask("tasks/get", taskId=task))["status"] == "failed"


async def test_a_legacy_client_cancels_a_modern_task_and_stops_waiting_without_cancelling_it(tmp_path):
    backend = TaskBackend("one", Era.MODERN)
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), OLD)
        task = (await client.tool("one__slow_compute", {"seconds": 60}, task={}))["task"]["taskId"]
        waiting = made.gateway.start(call("tasks/result", OLD, client.owner, taskId=task), client.ear)
        waiting.cancel("the client waits no longer")
        assert (await waiting.outcome()).kind is FailureKind.CANCELLED
        assert (await client.ask("tasks/get", taskId=task))["status"] == "working"
        assert (await client.ask("tasks/cancel", taskId=task))["status"] == "cancelled"


async def test_modern_tools_say_to_legacy_clients_that_they_may_be_tasks(tmp_path):
    backend = TaskBackend("one", Era.MODERN)
    backend.tools = [{"name": "plain", "inputSchema": {"type": "object"}}]
    async with whole(tmp_path, backend) as made:
        for era, said in ((Era.LEGACY, {"taskSupport": "optional"}), (Era.MODERN, None)):
            (tool,) = decode(await made.gateway.listing(View(era), OfferKind.TOOL, None))["tools"]
            assert tool.get("execution") == said


async def test_a_client_face_of_ours_is_not_changed_by_declaring_for_it(tmp_path):
    face = ClientFace(Era.LEGACY, "2025-11-25", {"elicitation": {}}, None, "s")
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        await Client(ready(made), face, answer=ASKING).tool("one__confirm_delete", {"filename": "f"})
    assert face.capabilities == {"elicitation": {}}
