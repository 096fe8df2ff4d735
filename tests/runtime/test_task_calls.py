"""Requests about tasks are answered from where the task is, and refused in the order the protocol wants."""

import anyio
import pytest
from engines import whole
from task_backends import ABLE, OLD, PLAIN, Client, TaskBackend

from mcp_orchestrator.identity.sealing import AesGcmSealer, new_key
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.runtime import task_calls

pytestmark = pytest.mark.anyio


def ready(made):
    made.engine._sealer = AesGcmSealer(new_key())
    return made.gateway


@pytest.mark.parametrize("params", [{}, {"taskId": 7}, {"taskId": ""}])
async def test_what_the_client_may_not_do_at_all_is_said_before_what_is_wrong_with_the_request(tmp_path, params):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        gateway = ready(made)
        assert (await Client(gateway, PLAIN).outcome("tasks/get")).code == -32021
        assert (
            await Client(gateway, ABLE).outcome("tasks/get", **({} if params == {"taskId": 7} else params))
        ).code == -32602


@pytest.mark.parametrize("responses", [None, [], "x"])
async def test_an_update_needs_an_object_of_responses(tmp_path, responses):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        refused = await Client(ready(made), ABLE).outcome("tasks/update", taskId="t", inputResponses=responses)
        assert (refused.kind, refused.code) == (FailureKind.INVALID, -32602)


@pytest.mark.parametrize("cursor", ["", "x", 7])
async def test_the_list_of_tasks_is_one_page_and_knows_no_cursor(tmp_path, cursor):
    async with whole(tmp_path, TaskBackend("one", Era.LEGACY)) as made:
        client = Client(ready(made), OLD)
        assert await client.ask("tasks/list") == await client.ask("tasks/list", cursor=None) == {"tasks": []}
        assert (await client.outcome("tasks/list", cursor=cursor)).code == -32602


async def test_answers_of_our_own_leave_no_runs_in_the_journal(tmp_path):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        before = len(made.journal.events)
        await Client(ready(made), ABLE).outcome("tasks/get", taskId="nobody's")
        assert len(made.journal.events) == before


async def test_a_server_that_is_silent_delays_the_list_of_tasks_only_so_long(tmp_path, monkeypatch):
    monkeypatch.setattr(task_calls, "LIST_PATIENCE", 0.05)
    backend = TaskBackend("one", Era.LEGACY)
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), OLD)
        task = (await client.tool("one__slow_compute", {"seconds": 60}, task={}))["task"]["taskId"]
        serve = backend.play

        async def silent(invocation, talk):
            if invocation.method == "tasks/get":
                await anyio.sleep_forever()
            return await serve(invocation, talk)

        backend.play = silent
        with anyio.fail_after(5):
            (listed,) = (await client.ask("tasks/list"))["tasks"]
        assert (listed["taskId"], listed["status"]) == (task, "working")
