"""Tasks of backends under ids of ours: owned, opaque, routed to where they were begun."""

import anyio
import pytest
from engines import spec, whole
from task_backends import ABLE, ADA, EVE, OLD, PLAIN, YES, Client, TaskBackend

from mcp_orchestrator.identity.sealing import AesGcmSealer, new_key
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.outcome import Failed
from mcp_orchestrator.model.snapshot import TransportKind
from mcp_orchestrator.runtime import tasks as registry

pytestmark = pytest.mark.anyio


@pytest.fixture
def key():
    return new_key()


async def ready(made, key):
    made.engine._sealer = AesGcmSealer(key)
    return made


async def test_a_modern_task_has_an_id_of_ours_and_goes_on_where_it_was_begun(tmp_path, key):
    one, two = TaskBackend("one", Era.MODERN), TaskBackend("two", Era.MODERN)
    async with whole(tmp_path, one, two) as made:
        client = Client((await ready(made, key)).gateway, ABLE)
        begun = {
            name: await client.tool(f"{name}__slow_compute", {"seconds": 0, "label": name}) for name in made.backends
        }
        for name, backend in made.backends.items():
            (job,) = backend.jobs
            shown = begun[name]
            assert (shown["resultType"], shown["status"]) == ("task", "working")
            assert job.id not in shown["taskId"]
            ended = await client.end(shown["taskId"])
            assert ended["taskId"] == shown["taskId"]
            assert ended["result"]["content"][0]["text"] == f"computed {name}"
            asked = [one for one in backend.sessions[0].invocations if one.method == "tasks/get"]
            assert {(one.params["taskId"], one.name_header) for one in asked} == {(job.id, job.id)}


async def test_a_task_is_not_found_by_anybody_but_its_owner(tmp_path, key):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        gateway = (await ready(made, key)).gateway
        mine = (await Client(gateway, ABLE, ADA).tool("one__slow_compute", {"seconds": 60}))["taskId"]
        stranger = Client(gateway, ABLE, EVE)
        for method, more in (("tasks/get", {}), ("tasks/cancel", {}), ("tasks/update", {"inputResponses": {}})):
            for ident in (mine, made.backends["one"].jobs[0].id, "", "made-up", mine[:-2] + "AA"):
                refused = await stranger.outcome(method, taskId=ident, **more)
                assert isinstance(refused, Failed)
                assert refused.code == -32602
        assert made.backends["one"].jobs[0].status == "working"


async def test_a_sealed_id_outlives_the_gateway_that_gave_it(tmp_path, key):
    backend = TaskBackend("one", Era.MODERN)
    async with whole(tmp_path, backend) as made:
        client = Client((await ready(made, key)).gateway, ABLE)
        ident = (await client.tool("one__slow_compute", {"seconds": 0}))["taskId"]
    async with whole(tmp_path, backend) as made:
        client = Client((await ready(made, key)).gateway, ABLE)
        assert (await client.end(ident))["status"] == "completed"
    async with whole(tmp_path, backend) as made:
        client = Client((await ready(made, new_key())).gateway, ABLE)
        assert isinstance(await client.outcome("tasks/get", taskId=ident), Failed)


async def test_input_of_a_modern_task_is_carried_through_in_parts(tmp_path, key):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        client = Client((await ready(made, key)).gateway, ABLE)
        task = (await client.tool("one__multi_input"))["taskId"]
        shown = await client.until(task, "input_required")
        first, second = shown["inputRequests"]
        assert await client.ask("tasks/update", taskId=task, inputResponses={first: YES}) == {"resultType": "complete"}
        left = await client.ask("tasks/get", taskId=task)
        assert (left["status"], list(left["inputRequests"])) == ("input_required", [second])
        await client.ask("tasks/update", taskId=task, inputResponses={second: YES, "unknown": {}})
        assert (await client.end(task))["status"] == "completed"


async def test_cancelling_a_modern_task_is_acknowledged_and_reaches_its_server(tmp_path, key):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        client = Client((await ready(made, key)).gateway, ABLE)
        task = (await client.tool("one__slow_compute", {"seconds": 60}))["taskId"]
        assert await client.ask("tasks/cancel", taskId=task) == {"resultType": "complete"}
        assert (await client.end(task))["status"] == "cancelled"
        assert await client.ask("tasks/cancel", taskId=task) == {"resultType": "complete"}


async def test_who_did_not_declare_the_extension_gets_no_task_and_may_ask_for_none(tmp_path, key):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        client = Client((await ready(made, key)).gateway, PLAIN)
        assert (await client.tool("one__slow_compute", {"seconds": 0}))["content"][0]["text"] == "computed "
        refusals = [await client.outcome("tools/call", name="one__failing_job", arguments={})]
        refusals += [await client.outcome(method) for method in ("tasks/get", "tasks/update", "tasks/cancel")]
        for refused in refusals:
            assert refused.code == -32021
            assert refused.data == {"requiredCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}


async def test_removed_methods_do_not_exist_for_modern_clients_nor_new_ones_for_legacy_clients(tmp_path, key):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        gateway = (await ready(made, key)).gateway
        for face, method in (
            (ABLE, "tasks/result"),
            (ABLE, "tasks/list"),
            (PLAIN, "tasks/list"),
            (OLD, "tasks/update"),
        ):
            assert (await Client(gateway, face).outcome(method, taskId="x")).code == -32601


async def test_a_legacy_task_passes_with_its_id_made_ours_everywhere(tmp_path, key):
    backend = TaskBackend("one", Era.LEGACY)
    async with whole(tmp_path, backend) as made:
        client = Client((await ready(made, key)).gateway, OLD, answer=Answer(YES))
        heard = []
        made.gateway.watch(None, OLD.session, heard.append)
        shown = (await client.tool("one__confirm_delete", {"filename": "f"}, task={"ttl": 60000}))["task"]
        task, (job,) = shown["taskId"], backend.jobs
        assert task != job.id
        assert (await client.until(task, "input_required"))["taskId"] == task
        result = await client.ask("tasks/result", taskId=task)
        assert "accept" in result["content"][0]["text"]
        assert result["_meta"]["io.modelcontextprotocol/related-task"] == {"taskId": task}
        (question,) = client.ear.asked
        assert question.params["_meta"]["io.modelcontextprotocol/related-task"] == {"taskId": task}
        (listed,) = (await client.ask("tasks/list"))["tasks"]
        assert (listed["taskId"], listed["status"]) == (task, "completed")
        assert {event.params["taskId"] for event in heard} == {task}
        assert [event.params["status"] for event in heard][-1] == "completed"
        other = Client(made.gateway, OLD, EVE)
        assert (await other.ask("tasks/list"))["tasks"] == []
        assert (await other.outcome("tasks/result", taskId=task)).code == -32602
        refused = await client.outcome("tasks/cancel", taskId=task)
        assert job.id not in refused.message
        made.gateway.session_closed(OLD.session)
        assert (await client.outcome("tasks/get", taskId=task)).code == -32602


async def test_a_task_keeps_the_process_that_it_lives_in(tmp_path, key):
    backend = TaskBackend("one", Era.MODERN)
    async with whole(tmp_path, backend, specs=[spec("one", idle_stop=0.05)]) as made:
        client = Client((await ready(made, key)).gateway, ABLE)
        task = (await client.tool("one__slow_compute", {"seconds": 60}))["taskId"]
        (life,) = made.supervisor("one")._table
        assert life.holds == 1
        await client.ask("tasks/cancel", taskId=task)
        await client.end(task)
        assert life.holds == 0


async def test_tasks_are_bounded_and_sealed_ones_go_on_working(tmp_path, key, monkeypatch):
    monkeypatch.setattr(registry, "MOST_OF_ONE", 2)
    backend = TaskBackend("one", Era.MODERN)
    async with whole(tmp_path, backend, specs=[spec("one", TransportKind.HTTP)]) as made:
        client = Client((await ready(made, key)).gateway, ABLE)
        ids = [(await client.tool("one__slow_compute", {"seconds": 0}))["taskId"] for _ in range(5)]
        assert len(made.engine.tasks._relayed) == 2
        for ident in ids:
            assert (await client.end(ident))["status"] == "completed"


async def test_the_journal_knows_when_tasks_began_and_ended(tmp_path, key):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        client = Client((await ready(made, key)).gateway, ABLE)
        task = (await client.tool("one__slow_compute", {"seconds": 0}))["taskId"]
        with anyio.fail_after(5):
            await client.end(task)
        told = [event for event in made.journal.events if event.kind.value.startswith("task.")]
        assert [event.kind.value for event in told] == ["task.created", "task.ended"]
        assert told[0].data == {"task": task[:12], "backend": "one", "form": "relayed"}
        assert told[1].data["status"] == "completed"
