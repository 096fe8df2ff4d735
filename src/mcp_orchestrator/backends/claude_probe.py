"""What is known of a Claude Code without giving it work: its version, whether it is signed in, what it can."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Final

from mcp_orchestrator.backends.agent_look import output_of, version_in
from mcp_orchestrator.backends.claude_environment import given, passed
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import AgentFacts, AgentMode, AgentSpec
from mcp_orchestrator.model.errors import BackendError

VERIFIED: Final = "2.1.330"
"""The version with which the adapter was last tried, on 2026-11-24."""

_CAN: Final = {
    "resume": True,
    "fork": True,
    "questions": True,
    "usage": True,
    "cost": True,
    "cancel": True,
    "structured": True,
    "mcp_http": True,
    "mcp_stdio": False,  # it could, but would hand its API key to the shim
    "read_only": True,
}
_SIGN_IN: Final = "not signed in: run `claude auth login`, or give it ANTHROPIC_API_KEY by `env` or `inheritEnv`"


async def look(spec: AgentSpec, reaper: Reaper) -> AgentFacts:
    """Ask it for its version and its sign-in; never raises, bounded by the start timeout."""
    command = spec.command or ("claude",)
    shown = " ".join(part if isinstance(part, str) else "<secret>" for part in command)
    names, env = passed(os.environ), given(spec)
    began = time.monotonic()
    try:
        async with asyncio.timeout(spec.start_timeout):
            said = await output_of(spec, reaper, (*command, "--version"), passed=names, env=env)
            start = time.monotonic() - began
            status = await output_of(spec, reaper, (*command, "auth", "status", "--json"), passed=names, env=env)
    except BackendError as error:
        return AgentFacts(False, shown, verified=VERIFIED, notes=(error.message,))
    except TimeoutError:
        note = f"it did not answer within {spec.start_timeout:g} s"
        return AgentFacts(True, shown, verified=VERIFIED, notes=(note,))
    version = version_in(said)
    signed_in = _signed_in(status)
    notes = []
    if version is None:
        notes.append(f"it does not tell its version: {said[:200]!r}")
    elif version != VERIFIED:
        notes.append(f"version {version} is not the one that was tried ({VERIFIED})")
    if signed_in is False:
        notes.append(_SIGN_IN)
    modes = tuple(mode.value for mode in AgentMode)
    return AgentFacts(True, shown, version, VERIFIED, signed_in, modes, can=_CAN, start=start, notes=tuple(notes))


def _signed_in(status: str) -> bool | None:
    try:
        told = json.loads(status)
    except ValueError:
        return None
    logged_in = told.get("loggedIn") if isinstance(told, dict) else None
    return logged_in if isinstance(logged_in, bool) else None
