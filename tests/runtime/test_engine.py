"""The engine gives runs ids, journals refusals, and ends what is left when it stops."""

import anyio
import pytest
from engines import Ear, FakeBackend, tool_call, whole

from mcp_orchestrator.model.outcome import FailureKind

pytestmark = pytest.mark.anyio
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_run_ids_are_unique(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        runs = [made.gateway.start(tool_call("one__echo"), Ear()) for _ in range(50)]
        assert len({run.id for run in runs}) == 50
        for run in runs:
            await run.outcome()
        await anyio.lowlevel.checkpoint()
        assert made.engine.runs == {}


async def test_a_trace_context_is_passed_on_untouched_and_its_id_is_journalled(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        asked = tool_call("one__echo")
        asked.meta["traceparent"] = PARENT
        await made.gateway.start(asked, Ear()).outcome()
        assert backend.sessions[0].invocations[-1].meta["traceparent"] == PARENT
        assert made.journal.events[-2].data["trace"] == PARENT.split("-")[1]


async def test_stop_lets_calls_finish_and_cancels_what_is_left(tmp_path):
    async def hang(_invocation, _talk):
        await anyio.sleep_forever()

    async with whole(tmp_path, FakeBackend("one", play=hang)) as made:
        run = made.gateway.start(tool_call("one__echo"), Ear())
        await anyio.wait_all_tasks_blocked()
        await made.engine.stop(0.01)
        assert (await run.outcome()).kind is FailureKind.CANCELLED


async def test_arguments_are_digested_the_same_whatever_their_order(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        assert made.engine.digest({"a": 1, "b": 2}) == made.engine.digest({"b": 2, "a": 1})
