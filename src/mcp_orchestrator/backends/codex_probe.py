"""What is known of a Codex without giving it work: its version, whether it is signed in, its models, what it can."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

from mcp_orchestrator.backends.agent_link import Frame, listed, record, words_of
from mcp_orchestrator.backends.agent_look import version_in
from mcp_orchestrator.backends.codex_rpc import VERIFIED, CodexError, CodexRpc, command_of
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import AgentFacts, AgentMode, AgentOpening, AgentSpec
from mcp_orchestrator.model.errors import BackendError

_CAN: Final = {
    "resume": True,
    "fork": True,
    "questions": True,
    "usage": True,
    "cost": False,
    "cancel": True,
    "structured": True,
    "mcp_http": True,
    "mcp_stdio": False,  # it could; the address is enough
    "read_only": True,
}
_SIGN_IN: Final = "not signed in: run `codex login`"


async def look(spec: AgentSpec, reaper: Reaper) -> AgentFacts:
    """Start it and ask for its account; never raises, bounded by the start timeout."""
    shown = " ".join(part if isinstance(part, str) else "<secret>" for part in command_of(spec))
    rpc = CodexRpc(spec, reaper, _ignore, lambda number, _method, _params, _raw: rpc.answer(number, None))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="agent-", ignore_cleanup_errors=True) as empty:
        opening = AgentOpening(cwd=Path(empty), scratch=Path(empty), mode=AgentMode.READ)
        try:
            async with asyncio.timeout(spec.start_timeout):
                name = await rpc.start(opening)
                start = time.monotonic() - began
                account = await _told(rpc, "account/read")
                models = await _told(rpc, "model/list")
        except BackendError as error:
            return AgentFacts(rpc.link.process.pid is not None, shown, verified=VERIFIED, notes=(error.message,))
        except TimeoutError:
            note = f"it did not answer within {spec.start_timeout:g} s"
            return AgentFacts(True, shown, verified=VERIFIED, notes=(note,))
        finally:
            await rpc.link.process.stop()
    version = version_in(name)
    signed_in = None
    if account is not None:
        signed_in = bool(account.get("account")) or account.get("requiresOpenaiAuth") is False
    notes = []
    if version != VERIFIED:
        notes.append(f"version {version} is not the one that was tried ({VERIFIED})")
    if signed_in is False:
        notes.append(_SIGN_IN)
    modes = tuple(mode.value for mode in AgentMode)
    names = tuple(words_of(one.get("id") or one.get("model")) for one in listed((models or {}).get("data")))
    return AgentFacts(True, shown, version, VERIFIED, signed_in, modes, names, _CAN, start, tuple(notes))


async def _told(rpc: CodexRpc, method: str) -> Frame | None:
    try:
        return record(await asyncio.wait_for(rpc.call(method), 5))
    except (CodexError, TimeoutError):
        return None


def _ignore(method: str, params: Frame, raw: bytes) -> None:
    del method, params, raw
