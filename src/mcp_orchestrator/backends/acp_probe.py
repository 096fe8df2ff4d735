"""What is known of an ACP agent without giving it work: that it shakes hands, its modes and models, what it can."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from mcp_orchestrator import __version__
from mcp_orchestrator.backends.acp_command import advised, command_of
from mcp_orchestrator.backends.acp_ends import said, trouble_of
from mcp_orchestrator.backends.acp_link import AcpError, AcpLink
from mcp_orchestrator.backends.acp_opening import READING, Offered, initialize, transport_of
from mcp_orchestrator.backends.acp_profiles import Profile, profile_of
from mcp_orchestrator.backends.agent_link import Frame, listed, record, words_of
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import AgentFacts, AgentMode, AgentOpening, AgentSpec, TroubleKind
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.snapshot import Secret


async def look(spec: AgentSpec, reaper: Reaper) -> AgentFacts:
    """Start it in an empty directory and look; never raises, bounded by the start timeout."""
    profile = profile_of(spec)
    try:
        command = command_of(spec, profile, None)
    except BackendError as error:
        return AgentFacts(found=False, notes=(error.message,))
    shown = " ".join("<secret>" if isinstance(part, Secret) else part for part in command)
    facts = AgentFacts(found=False, command=shown, verified=profile.verified)
    link = AcpLink(spec, reaper, lambda _method, _params, _line: None, _nothing)
    with tempfile.TemporaryDirectory(prefix="agent-", ignore_cleanup_errors=True) as empty:
        opening = AgentOpening(cwd=Path(empty), scratch=Path(empty), mode=AgentMode.READ)
        try:
            async with asyncio.timeout(spec.start_timeout):
                facts = await _looked(link, spec, profile, opening, facts)
        except BackendError as error:
            facts = replace(facts, notes=(*facts.notes, advised(spec, profile, error).message))
        except TimeoutError:
            note = f"it did not shake hands within {spec.start_timeout:g} s (agents.*.startTimeout)"
            facts = replace(facts, found=True, notes=(*facts.notes, note))
        except ConnectionError:
            why = "; ".join([link.link.process.why or "ended", *link.link.process.stderr[-3:]])
            facts = replace(facts, found=True, notes=(*facts.notes, f"it ended before it shook hands: {why}"))
        except AcpError as error:
            facts = replace(facts, found=True, notes=(*facts.notes, f"it refused to shake hands: {said(error)}"))
        finally:
            await link.close()
    return facts


async def _looked(
    link: AcpLink, spec: AgentSpec, profile: Profile, opening: AgentOpening, facts: AgentFacts
) -> AgentFacts:
    began = time.monotonic()
    await link.start(command_of(spec, profile, opening), opening, profile.env, profile.set)
    offered = await initialize(link, __version__)
    start = time.monotonic() - began
    signed_in, notes = None, list(profile.notes)
    if "slow" not in profile.quirks:
        try:
            offered.session = await link.request("session/new", {"cwd": str(opening.cwd), "mcpServers": []})
            signed_in = True
        except AcpError as error:
            if trouble_of(error) is TroubleKind.AUTH:
                signed_in = False
                how = profile.sign_in or _methods(offered) or "sign in with its own program"
                notes.insert(0, f"not signed in: {how}")
            else:
                notes.append(f"it made no session: {said(error)}")
        except ConnectionError:
            notes.append("it ended when it was asked for a session")
    if profile.verified and offered.version and offered.version != profile.verified:
        notes.append(f"version {offered.version} is not the one that was tried ({profile.verified})")
    notes.append("it has no structured answers of its own: the schema is put to it in words, and checked here")
    return replace(
        facts,
        found=True,
        version=offered.version,
        signed_in=signed_in,
        modes=offered.modes(),
        models=offered.models(),
        can=_can(spec, profile, offered),
        start=start,
        notes=tuple(notes),
    )


def _can(spec: AgentSpec, profile: Profile, offered: Offered) -> dict[str, bool]:
    transport = transport_of(spec, profile, offered)
    loads = offered.session_can("resume") or offered.capabilities.get("loadSession") is True
    names = {name.rpartition("#")[2] for name in offered.modes()}
    return {
        "resume": loads and "no-load" not in profile.quirks,
        "fork": offered.session_can("fork"),
        "questions": True,
        "usage": profile.usage is not None,
        "cost": profile.cost,
        "cancel": "deaf" not in profile.quirks,
        "structured": False,
        "mcp_http": transport == "http",
        "mcp_stdio": transport == "stdio",
        "read_only": "asks" not in profile.quirks and bool(names & {profile.read, *READING}),
    }


def _methods(offered: Offered) -> str:
    """The ways to sign in that the agent names."""
    ways = [words_of(one.get("name")) or words_of(one.get("id")) for one in listed(offered.told.get("authMethods"))]
    return f"its own ways are: {', '.join(ways)}" if ways else ""


async def _nothing(method: str, params: Frame, line: bytes) -> Frame | None:
    """A look asks for nothing, so whatever the agent wants is declined."""
    del params, line
    return record({"outcome": {"outcome": "cancelled"}}) if method == "session/request_permission" else None
