"""What the tests of stdio backends share: a talk that records, specifications, and waiting for processes to be gone."""

import os
import select
import sys
from pathlib import Path

from http_kit import MODERN_CLIENT, RecordingTalk

from mcp_orchestrator.model.call import ClientFace, Era, Invocation
from mcp_orchestrator.model.snapshot import BackendSpec, TransportKind

RAW = str(Path(__file__).with_name("stdio_raw.py"))
GATEWAY = str(Path(__file__).with_name("stdio_gateway.py"))
LEGACY_CLIENT = ClientFace(Era.LEGACY, "2025-11-25")


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


__all__ = ["GATEWAY", "LEGACY_CLIENT", "MODERN_CLIENT", "RAW", "RecordingTalk", "gone", "spec", "tool_call"]
