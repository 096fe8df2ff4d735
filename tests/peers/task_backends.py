"""The task server played in process, as a backend of a fake engine; and how a client speaks of tasks in either era."""

import asyncio

from engines import Ear, FakeBackend
from task_server import EXTENSION, RpcError, Tasks

from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.core.wire.meta import CLIENT_CAPABILITIES
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Principal
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.plugin_api import TaskChanged

ADA, EVE = Principal("local:ada"), Principal("local:eve")
DECLARED = {"extensions": {EXTENSION: {}}}
ABLE = ClientFace(Era.MODERN, "2026-07-28", {"elicitation": {}, **DECLARED})
PLAIN = ClientFace(Era.MODERN, "2026-07-28", {"elicitation": {}})
OLD = ClientFace(Era.LEGACY, "2025-11-25", {"elicitation": {}}, {"name": "old"}, "session-1")
YES = {"action": "accept", "content": {"confirm": True}}


class TaskBackend(FakeBackend):
    """A fake backend that is the task server, in one era."""

    def __init__(self, name, era):
        super().__init__(name, speaks=[era], play=self._serve)
        self.era, self.server = era, Tasks()
        self.tools = Tasks.tools()
        self.capabilities = (
            {"extensions": {EXTENSION: {}}}
            if era is Era.MODERN
            else {"tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}}
        )
        self.server.to_client = self._say

    def _say(self, message):
        self.sessions[-1].say(TaskChanged(message["params"]))

    @property
    def jobs(self):
        return list(self.server.jobs.values())

    async def _serve(self, invocation, talk):
        params = {**invocation.params, "_meta": {CLIENT_CAPABILITIES: invocation.client.capabilities}}
        if self.era is Era.LEGACY:
            self.server.put = lambda job, key, request: self._put(talk, job, key, request)
        try:
            serve = self.server.modern if self.era is Era.MODERN else self.server.legacy
            result = await serve(invocation.method, params)
        except RpcError as error:
            return Failed(FailureKind.BACKEND_ERROR, error.code, str(error), error.data)
        return Completed(encode({"resultType": "complete", **result} if self.era is Era.MODERN else result), self.era)

    async def _put(self, talk, job, key, request):
        answer = await talk.ask(Question(request["method"], request["params"]))
        job.answer(key, answer.result)


def call(method, client, owner=ADA, **params):
    kind = CallKind.TOOL if method == "tools/call" else CallKind.TASK
    name = params.get("name") or params.get("taskId") or ""
    return Call(kind, method, name, params, {}, client, owner)


class Client:
    """Speaks to a gateway in process."""

    def __init__(self, gateway, face, owner=ADA, answer=None):
        self.gateway, self.face, self.owner = gateway, face, owner
        self.ear = Ear(answer)

    async def outcome(self, method, **params):
        made = call(method, self.face, self.owner, **params)
        made.wants_progress = True
        return await self.gateway.start(made, self.ear).outcome()

    async def ask(self, method, **params):
        outcome = await self.outcome(method, **params)
        assert isinstance(outcome, Completed), outcome
        return decode(outcome.result)

    async def tool(self, name, arguments=None, **params):
        return await self.ask("tools/call", name=name, arguments=arguments or {}, **params)

    async def until(self, task, *statuses):
        """Poll as a client does."""
        while True:
            shown = await self.ask("tasks/get", taskId=task)
            if shown["status"] in statuses:
                return shown
            await asyncio.sleep(0.01)

    async def end(self, task):
        return await self.until(task, "completed", "failed", "cancelled")
