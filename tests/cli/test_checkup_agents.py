"""What `doctor` says of agents: found, signed in, how long they take, and how to mend what is wrong."""

import pytest

from mcp_orchestrator.cli import checkup_agents
from mcp_orchestrator.cli.checkup_agents import look_at_all
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.model.agent import AgentFacts, AgentKind, AgentSpec

pytestmark = pytest.mark.anyio


class Looked:
    """A backend that tells what a test says."""

    def __init__(self, facts):
        self._facts = facts
        self.closed = False

    async def probe(self):
        if isinstance(self._facts, Exception):
            raise self._facts
        return self._facts

    async def aclose(self):
        self.closed = True


@pytest.fixture
def looked(monkeypatch):
    async def look(*facts):
        backends = [Looked(one) for one in facts]
        specs = [AgentSpec(f"a{number}", AgentKind.CODEX, where="c.yaml:3") for number in range(len(facts))]
        by_name = dict(zip([spec.name for spec in specs], backends, strict=True))
        monkeypatch.setattr(checkup_agents, "make_agent", lambda spec, _reaper: by_name[spec.name])
        told = []
        await look_at_all(specs, told.extend)
        assert all(backend.closed for backend in backends)
        return {finding.area: finding for finding in told}

    return look


async def test_each_agent_is_told_of(looked):
    ready = AgentFacts(
        found=True,
        version="2",
        verified="1",
        signed_in=True,
        can={"resume": True, "fork": False},
        start=0.41,
        command="/bin/codex",
    )
    found = await looked(
        ready, AgentFacts(found=False, notes=("install codex",)), AgentFacts(found=True, signed_in=False)
    )
    assert found["agent a0"].status == "ok"
    assert found["agent a0"].text == "/bin/codex 2 (tried with 1), ready in 0.4 s; can resume"
    missing, signed_out = found["agent a1"], found["agent a2"]
    assert (missing.status, missing.text, missing.code) == ("problem", "install codex", Exit.UNREACHABLE)
    assert "c.yaml:3" in missing.fix
    assert (signed_out.status, signed_out.code) == ("problem", Exit.SIGN_IN)


async def test_what_is_not_known_is_no_problem(looked):
    found = await looked(AgentFacts(found=True, can={"fork": False}, notes=("no model behind it",)))
    assert found["agent a0"].text == "codex -; can nothing that is known; no model behind it"
    assert found["agent a0"].as_json()["facts"]["signed_in"] is None


async def test_without_agents_nothing_is_told(looked):
    assert await looked() == {}


async def test_a_program_that_does_not_shake_hands_is_a_problem(looked):
    found = await looked(AgentFacts(found=True, command="/bin/codex", notes=("it ended before it shook hands",)))
    finding = found["agent a0"]
    assert (finding.status, finding.code) == ("problem", Exit.UNREACHABLE)
    assert finding.text == "/bin/codex: it ended before it shook hands"
