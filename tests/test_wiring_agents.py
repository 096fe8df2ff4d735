"""The composition of agents: every kind can be made, what stayed the same stays, and nothing is left behind."""

import json

import anyio
import pytest
import structlog

from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import AgentKind, AgentSpec
from mcp_orchestrator.model.delegation import DelegationState
from mcp_orchestrator.wiring import Application, load_config, local_principal
from mcp_orchestrator.wiring_agents import make_agent

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "kind", [AgentKind.ACP, AgentKind.CLAUDE_CODE, AgentKind.CODEX, AgentKind.A2A, AgentKind.SCRIPTED]
)
async def test_every_kind_has_a_backend_that_can_be_looked_at(kind, tmp_path):
    settings = {"script": "none.yaml", "url": "http://127.0.0.1:9"}
    command = (str(tmp_path / "none"),)
    spec = AgentSpec("a", kind, command=command, settings=settings, base=tmp_path, start_timeout=5.0)
    reaper = Reaper()
    backend = make_agent(spec, reaper)
    try:
        assert backend.spec is spec
        assert not (await backend.probe()).found
    finally:
        await backend.aclose()
        await reaper.aclose()


@pytest.fixture
def written(tmp_path):
    """Writes a configuration with scripted agents, and loads it."""

    def write(**agents):
        for name, steps in agents.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(steps))
        path = tmp_path / "c.yaml"
        made = {name: {"kind": "scripted", "script": f"{name}.json"} for name in agents}
        rules = {"workspaces": str(tmp_path / "ws"), "retain": "1d"}
        storage = {"url": f"sqlite:///{tmp_path}/state.db"}
        path.write_text(json.dumps({"agents": made, "delegation": rules, "storage": storage}))
        return path, load_config(path).snapshot

    return write


def application(path, snapshot):
    return Application(snapshot, config_path=path, log=structlog.get_logger())


async def test_agents_that_stay_the_same_are_kept_at_a_reload(written):
    path, snapshot = written(one=[{"say": "1"}], two=[{"say": "2"}])
    async with application(path, snapshot) as app:
        side = app._agents
        before = dict(side.delegations.agents)
        written(one=[{"say": "1"}], three=[{"say": "3"}])
        await app.reload()
        after = side.delegations.agents
        assert list(after) == ["one", "three"]
        assert after["one"] is before["one"]


async def test_without_agents_nothing_of_delegation_is_made_until_there_are_some(written):
    path, snapshot = written()
    async with application(path, snapshot) as app:
        assert app._agents is None
        written(one=[{"say": "1"}])
        await app.reload()
        outcome = await app.actions["tools.call"]({"name": "delegate", "arguments": {"task": "x"}, "profile": None})
        assert outcome["outcome"]["result"]["structuredContent"]["text"] == "1"


async def test_a_gateway_that_ends_leaves_its_runs_to_the_next_one(written):
    path, snapshot = written(one=[{"say": "1"}, {"wait": {"until": "go"}}, {"say": "went"}])
    call = {"name": "delegate", "arguments": {"task": "x", "wait": 0}, "profile": None}
    async with application(path, snapshot) as app:
        shown = (await app.actions["tools.call"](call))["outcome"]["result"]["structuredContent"]
        place = app._agents._place.name
    assert not anyio.Path(place)._path.exists()
    (path.parent / "go").touch()
    async with application(path, snapshot) as app:
        delegation = app._agents.delegations.live(shown["run"], local_principal())
        with anyio.fail_after(10):
            await delegation.over.wait()
        assert (delegation.kept.state, delegation.kept.ended.text) == (DelegationState.ENDED, "went")
