"""Sessions with scripted ACP agents (`acp_agent.py`), and the frames of which their scripts are made."""

import contextlib
import json
import sys
from pathlib import Path

import anyio

from mcp_orchestrator.backends.acp import create
from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentOpening, AgentSpec
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk

AGENT = str(Path(__file__).with_name("acp_agent.py"))
OPTIONS = [
    {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
    {"optionId": "ever", "name": "Always", "kind": "allow_always"},
    {"optionId": "no", "name": "No", "kind": "reject_once"},
]
MODES = {
    "modes": {"currentModeId": "default", "availableModes": [{"id": "default"}, {"id": "plan"}, {"id": "yolo"}]},
}


def call(identifier="c1", status=None, **more):
    """A `tool_call` update, or (with a status) a `tool_call_update`."""
    kind = "tool_call" if status is None else "tool_call_update"
    return {"sessionUpdate": kind, "toolCallId": identifier, "status": status or "pending", **more}


def permission(identifier="c1", options=OPTIONS, **more):
    """The step that asks for permission."""
    return ["ask", "session/request_permission", {"toolCall": {"toolCallId": identifier, **more}, "options": options}]


class Kit:
    """Makes backends and sessions; `heard` is what the agent got, in order."""

    def __init__(self, directory, reaper):
        self.directory = directory
        self.reaper = reaper
        self.log = directory / "heard.jsonl"

    def backend(self, script, **more):
        path = self.directory / "script.json"
        path.write_text(json.dumps({"log": str(self.log), **script}))
        settings = more.pop("settings", {})
        command = (sys.executable, "-I", "-S", AGENT, str(path))
        spec = AgentSpec("gem", AgentKind.ACP, command=command, settings=settings, where="a.yaml:3:5", **more)
        return create(spec, self.reaper)

    def opening(self, **more):
        for name in ("work", "scratch"):
            (self.directory / name).mkdir(exist_ok=True)
        more.setdefault("mode", AgentMode.WRITE)
        return AgentOpening(cwd=self.directory / "work", scratch=self.directory / "scratch", **more)

    @contextlib.asynccontextmanager
    async def session(self, script, opening=None, **more):
        with anyio.fail_after(30):
            session = await self.backend(script, **more).open(opening or self.opening())
            try:
                yield session
            finally:
                await session.close()

    async def ended(self, turn, prompts, talk=None, **script):
        """The end of one turn of a new session."""
        async with self.session({"prompts": [prompts], **script}) as session:
            return await session.turn(turn, talk or FakeAgentTalk())

    def spoil(self):
        """Have agents end when they read their script."""
        (self.directory / "script.json").write_text("no JSON")

    @property
    def heard(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def parameters(self, method):
        """Of each message of that method."""
        return [message["params"] for message in self.heard if message.get("method") == method]
