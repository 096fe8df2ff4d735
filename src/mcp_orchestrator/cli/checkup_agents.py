"""What `doctor` examines of agents: each is looked at once, without giving it work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.cli.agent_lines import version
from mcp_orchestrator.cli.checkup import Finding, Tell
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.model.agent import AgentFacts, AgentSpec
from mcp_orchestrator.wiring_agents import make_agent


async def look_at_all(specs: Sequence[AgentSpec], tell: Tell) -> None:
    """Look at every agent at the same time, telling of each as it is known."""
    reaper = Reaper()
    try:
        tasks = [asyncio.ensure_future(_look_at(spec, reaper)) for spec in specs]
        for task in asyncio.as_completed(tasks):
            tell([await task])
    finally:
        await reaper.aclose()


async def _look_at(spec: AgentSpec, reaper: Reaper) -> Finding:
    backend = make_agent(spec, reaper)
    try:
        facts = await backend.probe()
    finally:
        await backend.aclose()
    return _finding(spec, facts)


def _finding(spec: AgentSpec, facts: AgentFacts) -> Finding:
    area, notes = f"agent {spec.name}", "; ".join(facts.notes)
    told = {
        "found": facts.found,
        "version": facts.version,
        "verified": facts.verified,
        "signed_in": facts.signed_in,
        "modes": list(facts.modes),
        "models": list(facts.models),
        "can": dict(facts.can),
        "start": facts.start,
        "notes": list(facts.notes),
    }
    if not facts.found:
        return Finding("problem", area, notes or "not found", f"mend {spec.where}", Exit.UNREACHABLE, told)
    if facts.signed_in is False:
        return Finding("problem", area, notes or "not signed in", "sign in with the program itself", Exit.SIGN_IN, told)
    if not facts.can:  # a program is there, but it did not shake hands: it could not take a task
        text = f"{facts.command or spec.kind.value}: {notes or 'it did not answer'}"
        return Finding("problem", area, text, f"mend {spec.where}", Exit.UNREACHABLE, told)
    shown = version({"version": facts.version, "verified": facts.verified})
    start = f", ready in {facts.start:.1f} s" if facts.start is not None else ""
    can = ", ".join(name for name, able in facts.can.items() if able)
    text = f"{facts.command or spec.kind.value} {shown}{start}; can {can or 'nothing that is known'}"
    return Finding("ok", area, f"{text}; {notes}" if notes else text, facts=told)
