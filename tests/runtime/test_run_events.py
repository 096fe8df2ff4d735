"""The journal keeps how a run began and ended, and no secret of it."""

import pytest
from engines import FakeBackend, whole
from task_backends import ABLE, Client, TaskBackend

from mcp_orchestrator.identity.sealing import AesGcmSealer, new_key
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, ToolRefusal
from mcp_orchestrator.runtime.run_events import SHOWN

pytestmark = pytest.mark.anyio


def of(made, kind):
    return [event.data for event in made.journal.events if event.kind is kind]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Completed(b'{"x":1}', Era.LEGACY), {"status": "completed", "bytes": 7}),
        (
            Failed(FailureKind.DIED, -32000, "gone"),
            {"status": "failed", "kind": "died", "code": -32000, "text": "gone"},
        ),
        (Failed(FailureKind.CANCELLED, -32800, "no"), {"status": "cancelled", "kind": "cancelled", "code": -32800}),
        (ToolRefusal("bad"), {"status": "failed", "kind": "invalid", "text": "bad"}),
    ],
)
async def test_every_way_to_end_is_told(tmp_path, outcome, told):
    async def play(_invocation, _talk):
        return outcome

    async with whole(tmp_path, FakeBackend("one", play=play)) as made:
        await made.call("one__echo")
        (ended,) = of(made, EventKind.RUN_ENDED)
        assert told.items() <= ended.items()
        (began,) = of(made, EventKind.RUN_STARTED)
        assert (began["name"], began["target"], began["backend"]) == ("one__echo", "echo", "one")


async def test_of_the_id_of_a_task_only_the_beginning_is_recorded(tmp_path):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        made.engine._sealer = AesGcmSealer(new_key())
        client = Client(made.gateway, ABLE)
        task = (await client.tool("one__slow_compute", {"seconds": 60}))["taskId"]
        await client.ask("tasks/get", taskId=task)
        theirs = made.backends["one"].jobs[0].id
        began = of(made, EventKind.RUN_STARTED)[-1]
        assert (began["method"], began["name"], began["target"]) == ("tasks/get", task[:SHOWN], theirs[:SHOWN])
        assert not any(task in str(event.data) or theirs in str(event.data) for event in made.journal.events)


async def test_arguments_are_kept_as_capture_leaves_them_and_not_otherwise(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        await made.call("one__echo", text="x")
        made.engine.capture = lambda arguments, redact: {"seen": redact(arguments["text"])}
        await made.call("one__echo", text="y")
        first, second = of(made, EventKind.RUN_STARTED)
        assert "captured" not in first
        assert second["captured"] == {"seen": "y"}
        assert len(second["arguments"]) == 64
