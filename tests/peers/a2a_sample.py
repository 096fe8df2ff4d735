"""A server on a2a-sdk, after its own sample: JSON-RPC, HTTP+JSON and 0.3 on loopback.

python a2a_sample.py PORT
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part, Task, TaskState, TaskStatus
from starlette.applications import Starlette


class Executor(AgentExecutor):
    """Echoes; asks when told to `ask`, goes on for ever when told to `wait`."""

    async def execute(self, context, event_queue):
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        if context.current_task is None:
            status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            task = Task(id=context.task_id, context_id=context.context_id, status=status, history=[context.message])
            await event_queue.enqueue_event(task)
        text = context.get_user_input()
        await updater.start_work(updater.new_agent_message([Part(text="working on it")]))
        if text == "ask":
            await updater.requires_input(updater.new_agent_message([Part(text="Which colour?")]))
            return
        if text == "wait":
            await asyncio.Event().wait()
        await updater.add_artifact([Part(text=f"You said: {text}")], name="echo", last_chunk=True)
        await updater.complete()

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def application(port):
    address = f"http://127.0.0.1:{port}"
    card = AgentCard(
        name="Sample",
        description="Echoes.",
        version="1.2.3",
        supported_interfaces=[
            AgentInterface(url=f"{address}/rpc", protocol_binding="JSONRPC", protocol_version="1.0"),
            AgentInterface(url=f"{address}/rest", protocol_binding="HTTP+JSON", protocol_version="1.0"),
            AgentInterface(url=f"{address}/rpc", protocol_binding="JSONRPC", protocol_version="0.3"),
        ],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text"],
        default_output_modes=["text"],
        skills=[AgentSkill(id="echo", name="echo", description="Echoes.", tags=["echo"])],
    )
    handler = DefaultRequestHandler(agent_executor=Executor(), task_store=InMemoryTaskStore(), agent_card=card)
    routes = [
        *create_agent_card_routes(card),
        *create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=True),
        *create_rest_routes(handler, path_prefix="/rest"),
    ]
    return Starlette(routes=routes)


if __name__ == "__main__":
    uvicorn.run(application(int(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
