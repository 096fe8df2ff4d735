"""The composition of large results: there only where they are bounded, and changed with the configuration."""

import json

import anyio
import pytest
import structlog

from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.storage.results import FileResults, MemoryResults
from mcp_orchestrator.wiring import Application, load_config

pytestmark = pytest.mark.anyio

BOUND = {"inline": {"bytes": "8KiB"}}


@pytest.fixture
def write(tmp_path):
    """Writes a configuration; returns its path."""

    def written(**sections):
        path = tmp_path / "c.yaml"
        storage = {"url": f"sqlite:///{tmp_path}/state.db"}
        path.write_text(json.dumps({"mcpServers": {}, "storage": storage, **sections}))
        return path

    return written


def application(path, **more):
    return Application(load_config(path).snapshot, config_path=path, log=structlog.get_logger(), **more)


def own(app):
    return app.gateway.generation.supervisors.get(OWN)


async def test_without_a_bound_there_is_nothing_to_look_at(write):
    async with application(write()) as app:
        assert app.engine.results is None
        assert own(app) is None


async def test_bounds_come_change_and_go_with_the_configuration(write):
    async with application(write()) as app:
        write(results=BOUND)
        await app.reload()
        first, supervisor = app.engine.results, own(app)
        assert first.floor == 8192
        with anyio.fail_after(10):
            await supervisor.settled.wait()
        write(results={"inline": {"bytes": "16KiB"}})
        await app.reload()
        assert app.engine.results.floor == 16384
        assert own(app) is supervisor
        write(results={"keep": "2h"})
        await app.reload()
        assert app.engine.results.floor > 1 << 50, "what was kept can still be read, and nothing more is cut"
        assert own(app) is supervisor


async def test_agents_that_come_later_serve_them_beside_their_own_tools(write, tmp_path):
    (tmp_path / "one.json").write_text("[]")
    async with application(write(results=BOUND)) as app:
        before = own(app)
        write(
            results=BOUND,
            agents={"one": {"kind": "scripted", "script": "one.json"}},
            delegation={"workspaces": str(tmp_path / "ws")},
        )
        await app.reload()
        assert own(app) is not before
        with anyio.fail_after(10):
            await own(app).settled.wait()
        (offers,) = own(app).record.offers.values()
        assert [one["uriTemplate"] for one in offers.templates] == ["result://{run}{/path*}"]
        assert "delegate" in {one["name"] for one in offers.tools}


@pytest.mark.parametrize(("persistent", "kind"), [(True, FileResults), (False, MemoryResults)])
async def test_wholes_are_kept_beside_the_state_or_in_memory(write, persistent, kind):
    async with application(write(results=BOUND), persistent=persistent) as app:
        assert isinstance(app._results._store, kind)
