"""What the tests of stdio backends share: a talk that records, specifications, and waiting for processes to be gone."""

import os
import select
import sys
from pathlib import Path

from mcp_orchestrator.model.call import ClientFace, Era, Invocation
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.snapshot import BackendSpec, TransportKind

RAW = str(Path(__file__).with_name("stdio_raw.py"))
GATEWAY = str(Path(__file__).with_name("stdio_gateway.py"))
MODERN_CLIENT = ClientFace(Era.MODERN, "2026-07-28", {"elicitation": {}}, {"name": "ada", "version": "7"})
LEGACY_CLIENT = ClientFace(Era.LEGACY, "2025-11-25")


class RecordingTalk:
    """Keeps what a backend says to its run, in order, and answers questions with `answer`."""

    def __init__(self, answer=None):
        self.said = []
        self.questions = []
        self.answer = answer or Answer(result={"action": "accept", "content": {"name": "ada"}})

    def progress(self, params):
        self.said.append(("progress", params))

    def notify(self, method, params):
        self.said.append((method, params))

    async def ask(self, question):
        self.questions.append(question)
        return self.answer


def spec(*arguments, name="raw", command=sys.executable, **settings):
    settings.setdefault("args", ("-u", RAW, *arguments))
    settings.setdefault("start_timeout", 20.0)
    return BackendSpec(name, TransportKind.STDIO, command=command, **settings)


def tool_call(name, *, client=LEGACY_CLIENT, meta=None, wants_progress=False, log_level=None, **arguments):
    return Invocation(
        "run-1",
        "tools/call",
        {"name": name, "arguments": arguments},
        meta or {},
        client,
        wants_progress=wants_progress,
        log_level=log_level,
    )


def gone(pid, seconds=10.0):
    """Wait (blocking, bounded) until a process no longer runs; False when it still does."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)
