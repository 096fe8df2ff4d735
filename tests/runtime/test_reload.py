"""A new configuration opens the new before it closes the old, and tells clients once."""

import dataclasses

import anyio
import pytest
from engines import Ear, FakeBackend, snapshot, spec, tool_call, whole

from mcp_orchestrator.core.catalog import pin
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.outcome import Completed
from mcp_orchestrator.model.routing import Override
from mcp_orchestrator.plugin_api import ListChanged, View
from mcp_orchestrator.runtime.reload import Reloader
from mcp_orchestrator.testing.fake_backend import tool

pytestmark = pytest.mark.anyio


def reloader(made, *fresh):
    backends = {backend.name: backend for backend in fresh}

    async def make(known):
        return made.supervise(known, backends[known.name])

    return Reloader(made.gateway, make)


async def test_only_what_changed_is_opened_anew(tmp_path):
    one, two = FakeBackend("one"), FakeBackend("two")
    async with whole(tmp_path, one, two) as made:
        changed = FakeBackend("two")
        new = snapshot(tmp_path, [spec("one"), spec("two", timeout=7)])
        summary = await reloader(made, changed).apply(new)
        assert summary == {"added": [], "removed": [], "changed": ["two"], "kept": ["one"]}
        assert len(one.sessions) == 1
        assert len(changed.sessions) == 1
        with anyio.fail_after(2):
            while not two.released:
                await anyio.lowlevel.checkpoint()


async def test_a_running_call_finishes_in_its_own_generation(tmp_path):
    began, go = anyio.Event(), anyio.Event()

    async def wait(_invocation, _talk):
        began.set()
        await go.wait()
        return Completed(b"{}", Era.LEGACY)

    old = FakeBackend("one", play=wait)
    async with whole(tmp_path, old) as made:
        run = made.gateway.start(tool_call("one__echo"), Ear())
        await began.wait()
        await reloader(made, FakeBackend("one")).apply(snapshot(tmp_path, [spec("one", timeout=7)]))
        await anyio.wait_all_tasks_blocked()
        assert not old.sessions[0].closed
        assert isinstance(await made.call("one__echo"), Completed)
        go.set()
        assert isinstance(await run.outcome(), Completed)
        with anyio.fail_after(2):
            while not old.sessions[0].closed:
                await anyio.lowlevel.checkpoint()


async def test_clients_are_told_once_and_only_of_kinds_that_differ(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        heard = []
        made.gateway.watch(View(Era.MODERN), None, heard.append)
        changed = FakeBackend("one")
        changed.tools.append(tool("more"))
        await reloader(made, changed, FakeBackend("two")).apply(snapshot(tmp_path, [spec("one", timeout=7)]))
        await anyio.wait_all_tasks_blocked()
        assert heard == [ListChanged(OfferKind.TOOL)]


async def test_a_removed_backend_is_gone_from_the_catalog(tmp_path):
    async with whole(tmp_path, FakeBackend("one"), FakeBackend("two")) as made:
        await reloader(made).apply(snapshot(tmp_path, [spec("one")]))
        catalog = made.gateway.generation.catalog(Era.MODERN, None)
        assert catalog.backends == ("one",)
        assert "config.loaded" in made.journal.kinds()


async def test_a_client_of_a_profile_that_was_removed_sees_nothing_and_is_told(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        heard = []
        made.gateway.watch(View(Era.MODERN, "narrow"), None, heard.append)
        with_profile = made.gateway.generation.snapshot
        await reloader(made).apply(dataclasses.replace(with_profile, profiles={}))
        await anyio.wait_all_tasks_blocked()
        assert ListChanged(OfferKind.TOOL) in heard
        catalog = made.gateway.generation.catalog(Era.MODERN, "narrow")
        assert (catalog.sources, catalog.offers(OfferKind.TOOL)) == ((), ())
        heard.clear()
        await reloader(made).apply(with_profile)
        await anyio.wait_all_tasks_blocked()
        assert ListChanged(OfferKind.TOOL) in heard


async def test_a_tool_that_a_definition_leaves_out_goes_from_the_list_without_a_restart(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        old = made.gateway.generation.snapshot
        left_out = {"one": dataclasses.replace(old.backends["one"], exclude=("echo",))}
        summary = await reloader(made).apply(dataclasses.replace(old, backends=left_out))
        assert summary["kept"] == ["one"]
        assert made.gateway.generation.catalog(Era.MODERN, None).tool("one__echo") is None
        assert (await made.call("one__echo")).kind.value == "unknown_name"
        assert len(backend.sessions) == 1


async def test_an_override_is_in_force_and_announced_without_a_restart(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        heard = []
        made.gateway.watch(View(Era.MODERN), None, heard.append)
        old = made.gateway.generation.snapshot
        overrides = {"one.echo": Override("one.echo", description="Another word.")}
        await reloader(made).apply(dataclasses.replace(old, overrides=overrides))
        assert heard == [ListChanged(OfferKind.TOOL)]
        offer = made.gateway.generation.catalog(Era.MODERN, None).tool("one__echo").offer
        assert offer.definition["description"] == "Another word."
        assert offer.pin == pin(backend.tools[0])
        assert len(backend.sessions) == 1
