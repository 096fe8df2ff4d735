"""The system under test of the A2A TCK: our A2A listener in front of runs that play the TCK's scenarios.

The TCK tells a scenario by the prefix of a message's id, which no agent of ours would see: here the id is the task, and
the answer to a question. In production both are what the message says, and the answer is always a task, never a lone message.

    .venv/bin/python tests/conformance/a2a_sut.py PORT
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

from a2a.types.a2a_pb2 import Message, Part, Role
from a2a_door import FakeDoor, endpoint

from mcp_orchestrator.listeners.a2a import A2aListener
from mcp_orchestrator.listeners.a2a_app import A2aApp
from mcp_orchestrator.listeners.a2a_feeds import Feeds
from mcp_orchestrator.listeners.a2a_requests import A2aRequests, Histories
from mcp_orchestrator.model.agent import EndStatus, ToolStatus, ToolUse
from mcp_orchestrator.model.call import ANONYMOUS
from mcp_orchestrator.model.snapshot import HttpSpec

FILE = {"name": "output.txt", "type": "text/plain"}
QUESTION = {
    "mode": "form",
    "message": "What else?",
    "requestedSchema": {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
}
TEXTS = {
    "tck-complete-task": "Hello from TCK",
    "tck-artifact-text": "Generated text content",
    "tck-stream-001": "Stream hello from TCK",
    "tck-stream-003": "Stream task lifecycle",
    "tck-stream-ordering-001": "Ordered output",
    "tck-stream-artifact-text": "Streamed text content",
    "tck-stream-artifact-chunked": "chunk-1 chunk-2",
}


async def play(run):
    """What the scenario of this task is (scenarios/*.feature of the TCK)."""
    task = run.kept.task
    await asyncio.sleep(0.05)
    run.work_on()
    await asyncio.sleep(0.1)
    if task.startswith("test-resubscribe-message-id"):
        await asyncio.sleep(4)
        run.end(text="Resubscribed")
    elif task.startswith("tck-input-required"):
        answer = await run.ask(QUESTION)
        while answer.result["content"]["answer"].startswith("tck-input-required"):
            answer = await run.ask(QUESTION)
        run.end(text="Thank you")
    elif task.startswith("tck-reject-task"):
        run.end(EndStatus.REFUSED, message="rejected")
    elif task.startswith("tck-artifact-data"):
        run.end(structured={"key": "value", "count": 42})
    elif task.startswith(("tck-artifact-file", "tck-stream-artifact-file")):
        by_address = task.startswith("tck-artifact-file-url")
        content = {"url": "https://example.com/output.txt"} if by_address else {"raw": "dGNr"}
        run.tools.append(ToolUse("f", "artifact", "other", "output.txt", ToolStatus.COMPLETED, output=FILE | content))
        run.end()
    else:
        run.end(text=next((text for known, text in TEXTS.items() if task.startswith(known)), "done"))


class Requests(A2aRequests):
    """Our requests, with a message's id for its task."""

    def prompt(self, message):
        super().prompt(message)
        return message["messageId"]

    async def _answer(self, message, who):
        told = message | {"parts": [{"text": message["messageId"]}]}
        return await super()._answer(told, who)

    async def on_message_send(self, params, context):
        if params.message.message_id.startswith("tck-message-response"):
            parts = [Part(text="Direct message response")]
            return Message(message_id="direct", context_id="direct", role=Role.ROLE_AGENT, parts=parts)
        return await super().on_message_send(params, context)


class Listener(A2aListener):
    """Our listener, with these requests."""

    def _application(self):
        feeds, histories, door = Feeds(self._door), Histories(), self._door
        guard = HttpSpec(host=self._spec.host, port=self._spec.port)
        return A2aApp(guard, door, make=lambda agent: Requests(door, ANONYMOUS, feeds, histories, agent))


async def main():
    async with endpoint(FakeDoor(play), listener=Listener, port=int(sys.argv[1])) as address:
        print(address, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
