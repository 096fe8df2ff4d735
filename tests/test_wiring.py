"""One gateway made out of a file; and two of them in one process that do not know of each other."""

import asyncio
import contextlib
import dataclasses
import functools
import json
import os
import sys
import time

import anyio
import pytest
import structlog

from mcp_orchestrator import wiring
from mcp_orchestrator.listeners.control import ask_gateway
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.storage.reading import JournalReader
from mcp_orchestrator.storage.sqlite import SqliteStore
from mcp_orchestrator.testing.http_client import HttpClient, RpcError
from mcp_orchestrator.wiring import Application, load_config

pytestmark = pytest.mark.anyio


def server(name):
    return {"command": sys.executable, "args": ["-m", f"mcp_orchestrator.testing.{name}"]}


def write(directory, servers, **sections):
    """A configuration with its state in the same directory; returns its path."""
    directory.mkdir(exist_ok=True)
    path = directory / "orchestrator.json"
    storage = {"url": f"sqlite:///{directory / 'state.db'}"}
    document = {"mcpServers": servers, "storage": storage, "listeners": {"http": {"port": 0}}, **sections}
    path.write_text(json.dumps(document))
    return path


def application(path, **options):
    loaded = load_config(path)
    assert loaded.snapshot is not None, loaded.problems
    return Application(loaded.snapshot, config_path=path, log=structlog.get_logger(), **options)


@contextlib.asynccontextmanager
async def serving(path):
    """A gateway over HTTP: yields it, its address, and a function that stops it and waits until it is closed."""
    app = application(path)
    address = asyncio.get_running_loop().create_future()

    async def live():
        async with app:
            await app.serve_http(address.set_result)

    life = asyncio.ensure_future(live())

    async def stop():
        app.stop()
        await life

    try:
        with anyio.fail_after(20):
            await asyncio.wait({life, address}, return_when=asyncio.FIRST_COMPLETED)
            yield app, await address, stop
    finally:
        if not life.done():
            with anyio.fail_after(20):
                await stop()


async def call(url, tool, **arguments):
    """Call a tool over HTTP; returns its `structuredContent`."""
    result = await asyncio.to_thread(functools.partial(HttpClient(url).call, tool, **arguments))
    assert not result.get("isError"), result
    return result["structuredContent"]


async def names(url):
    listed = await asyncio.to_thread(HttpClient(url).request, "tools/list")
    return [tool["name"] for tool in listed["tools"]]


def journalled(directory):
    """The events of a state directory, oldest first: `(kind, data)`; their chain holds."""
    with JournalReader(directory / "state.db") as reader:
        assert reader.verify().fault is None
        return [(event.kind, event.data) for event in reversed(reader.events(limit=1000))]


async def test_two_gateways_in_one_process_know_nothing_of_each_other(tmp_path):
    one = write(tmp_path / "one", {"notes": server("notes"), "clock": server("clock")})
    two = write(tmp_path / "two", {"notes": server("notes")}, profiles={"reader": {"include": ["notes.list"]}})
    async with serving(one) as (first, first_url, stop_first), serving(two) as (second, second_url, _stop):
        assert first_url != second_url
        assert await names(first_url) == ["clock__now", "clock__wait", "notes__add", "notes__list"]
        assert await names(second_url) == ["notes__add", "notes__list"]
        assert await names(f"{second_url}/reader") == ["notes__list"]
        added = await asyncio.gather(
            *(call(first_url, "notes__add", text=f"first {n}") for n in range(5)),
            *(call(second_url, "notes__add", text=f"second {n}") for n in range(3)),
        )
        assert sorted(note["number"] for note in added) == sorted([*range(1, 6), *range(1, 4)])
        kept = (await call(first_url, "notes__list"))["notes"]
        assert {note["text"] for note in kept} == {f"first {n}" for n in range(5)}

        await first.serve_control()
        await second.serve_control()
        for app, directory, url in ((first, one.parent, first_url), (second, two.parent, second_url)):
            told = await ask_gateway(directory, "status")
            assert (told["url"], told["config"]) == (url, str(app.config_path))

        waiting = asyncio.ensure_future(call(second_url, "notes__list"))
        await stop_first()
        with pytest.raises(OSError, match="refused"):
            await names(first_url)
        kept = (await waiting)["notes"]
        assert {note["text"] for note in kept} == {f"second {n}" for n in range(3)}
        assert (await call(second_url, "notes__add", text="after"))["number"] == 4
        with pytest.raises(RpcError, match="clock__now"):  # passed on to its only server, which does not know it
            await call(second_url, "clock__now")

    for directory in (one.parent, two.parent):
        kinds = [kind for kind, _data in journalled(directory)]
        assert (kinds[0], kinds[-1]) == ("gateway.started", "gateway.stopped")
        assert kinds.count("run.started") == kinds.count("run.ended") == 6
    prefixes = {data["runs"] for d in (one, two) for kind, data in journalled(d.parent) if kind == "gateway.started"}
    assert len(prefixes) == 2


async def test_two_gateways_on_the_same_state_write_one_journal_and_commands_reach_the_first(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes")})
    async with serving(path) as (first, first_url, _stop):
        await first.serve_control()
        async with serving(path) as (second, second_url, _stop_second):
            with pytest.raises(OSError, match="another gateway"):
                await second.serve_control()
            await asyncio.gather(*(call(url, "notes__add", text="x") for url in [first_url, second_url] * 5))
            assert (await ask_gateway(path.parent, "status"))["url"] == first_url
        assert len((await call(first_url, "notes__list"))["notes"]) == 5
    kinds = [kind for kind, _data in journalled(path.parent)]
    assert kinds.count("gateway.started") == kinds.count("gateway.stopped") == 2
    assert kinds.count("run.started") == kinds.count("run.ended") == 11


async def test_a_gateway_that_keeps_nothing_may_stand_beside_one_that_does_and_knows_its_offers(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes")})
    async with serving(path) as (_app, url, _stop):
        await call(url, "notes__add", text="x")
        before = journalled(path.parent)
        async with application(path, persistent=False) as beside:
            listed = await beside.actions["tools.list"]({})
            assert [tool["public"] for tool in listed["tools"]] == ["notes__add", "notes__list"]
            outcome = (await beside.actions["tools.call"]({"name": "notes__list", "arguments": {}}))["outcome"]
            assert outcome["result"]["structuredContent"] == {"notes": []}
        assert journalled(path.parent) == before


async def test_what_a_server_offered_is_known_at_once_after_a_restart_even_when_it_no_longer_starts(tmp_path):
    script = tmp_path / "server.py"
    script.write_text("from mcp_orchestrator.testing.notes import make\nmake().serve()\n")
    path = write(tmp_path / "one", {"notes": {"command": sys.executable, "args": [str(script)]}})
    async with serving(path) as (_app, url, _stop):
        assert await names(url) == ["notes__add", "notes__list"]
    script.write_text("raise SystemExit(3)\n")
    async with serving(path) as (_app, url, _stop):
        assert await names(url) == ["notes__add", "notes__list"]


async def test_a_file_that_is_wrong_is_refused_with_its_problems_and_the_old_one_stays(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes")})
    async with serving(path) as (app, url, _stop):
        assert (await call(url, "notes__add", text="kept"))["number"] == 1
        path.write_text('{"mcpServers": {"notes": {}}, "nonsense": 1}')
        refused = await app.reload()
        assert len(refused["refused"]) == 2
        assert any("nonsense" in problem for problem in refused["refused"])
        assert (await call(url, "notes__list"))["notes"][0]["text"] == "kept"
    (data,) = [data for kind, data in journalled(path.parent) if kind == "config.refused"]
    assert data["problems"] == refused["refused"]


async def test_a_good_file_restarts_only_what_changed(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes"), "clock": server("clock")})
    async with serving(path) as (app, url, _stop):
        await call(url, "notes__add", text="kept")
        assert await app.reload() == {"added": [], "removed": [], "changed": [], "kept": ["clock", "notes"]}
        write(tmp_path / "one", {"notes": server("notes"), "more": server("notes")})
        summary = await app.actions["reload"]({})
        assert summary == {"added": ["more"], "removed": ["clock"], "changed": [], "kept": ["notes"]}
        assert await names(url) == ["more__add", "more__list", "notes__add", "notes__list"]
        assert (await call(url, "notes__list"))["notes"][0]["text"] == "kept"
        assert (await call(url, "more__list"))["notes"] == []


async def test_the_file_is_watched_and_a_save_is_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(wiring, "WATCH_EVERY", 0.01)
    path = write(tmp_path / "one", {"notes": server("notes")})
    reloaded = asyncio.Event()
    async with serving(path) as (app, _url, _stop):
        apply = app.reloader.apply

        async def applied(snapshot):
            summary = await apply(snapshot)
            reloaded.set()
            return summary

        monkeypatch.setattr(app.reloader, "apply", applied)
        watching = asyncio.ensure_future(app.watch_config())
        await anyio.wait_all_tasks_blocked()
        write(tmp_path / "one", {"notes": server("notes"), "clock": server("clock")})
        with anyio.fail_after(20):
            await reloaded.wait()
        assert sorted(app.gateway.generation.supervisors) == ["clock", "notes"]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_without_a_file_there_is_nothing_to_watch_or_reload(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes")})
    app = Application(load_config(path).snapshot, log=structlog.get_logger(), persistent=False)
    async with app:
        with anyio.fail_after(5):
            await app.watch_config()
        assert "refused" in await app.reload()


async def test_a_disabled_server_is_not_there(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes"), "clock": {**server("clock"), "disabled": True}})
    async with application(path, persistent=False) as app:
        assert [line["name"] for line in await app.actions["backends.list"]({})] == ["notes"]


async def test_no_child_is_left_when_the_gateway_is_closed(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes")})
    async with serving(path) as (app, url, _stop):
        await call(url, "notes__add", text="x")
        (shown,) = await app.actions["backends.list"]({})
        children = shown["pids"]
        assert children
        for pid in children:
            os.kill(pid, 0)
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("early", [True, False])
async def test_a_gateway_that_is_stopped_before_it_listens_ends(tmp_path, early):
    path = write(tmp_path / "one", {})
    with anyio.fail_after(10):
        async with application(path) as app:
            if early:
                app.stop()
            serving_it = asyncio.ensure_future(app.serve_http(lambda _url: None))
            if not early:
                await asyncio.sleep(0)  # it has begun, and waits for the name service
                app.stop()
            await serving_it


async def test_an_address_of_the_command_line_is_no_change_of_the_file(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes")}, listeners={"http": {"port": 1}})
    written = load_config(path).snapshot
    placed = dataclasses.replace(written, http=dataclasses.replace(written.http, port=0))
    async with Application(placed, config_path=path, log=structlog.get_logger(), written=written) as app:
        with structlog.testing.capture_logs() as logs:
            write(tmp_path / "one", {"notes": server("notes")}, listeners={"http": {"port": 1}}, profiles={"p": {}})
            await app.reload()
        assert [line for line in logs if line["log_level"] == "warning"] == []


async def test_changes_that_need_a_restart_are_named(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes")})
    async with application(path) as app:
        with structlog.testing.capture_logs() as logs:
            more = {"questions": {"expire": "1s"}, "observe": {"logLevel": "debug", "validate": False}}
            write(tmp_path / "one", {"notes": server("notes")}, listeners={"http": {"port": 1}}, **more)
            await app.reload()
            write(tmp_path / "one", {"notes": server("notes")}, observe={"validate": False})
            await app.reload()
        (warning,) = [line for line in logs if line["log_level"] == "warning"]
        assert warning["sections"] == ["listeners", "observe", "questions"]


@pytest.mark.parametrize(("retain", "left"), [("30d", ["young"]), ("forever", ["old", "young"])])
async def test_a_serving_gateway_removes_what_the_journal_need_not_keep(tmp_path, retain, left):
    path = write(tmp_path / "one", {})
    state = tmp_path / "one" / "state.db"
    path.write_text(
        json.dumps({"storage": {"url": f"sqlite:///{state}", "retain": retain}, "listeners": {"http": {"port": 0}}})
    )
    store = SqliteStore(state)
    await store.open()
    for run, age in (("old", 31), ("young", 29)):
        store.record(Event(EventKind.RUN_STARTED, time.time() - age * 86400, run))
    await store.aclose()
    with structlog.testing.capture_logs() as logs:
        async with serving(path):
            with anyio.fail_after(10):
                while left == ["young"] and not any("removed" in line["event"] for line in logs):
                    await anyio.lowlevel.checkpoint()
    with JournalReader(state) as reader:
        assert reader.verify().fault is None
        assert [run.id for run in reversed(reader.runs(10, None))] == left


async def test_old_records_that_cannot_be_removed_are_told_and_harm_nothing(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes")})
    app = application(path)

    async def refuse(**_limits):
        raise OSError("the disk is full")

    with structlog.testing.capture_logs() as logs:
        async with app:
            app._prune = refuse
            pruning = asyncio.ensure_future(app._keep_small())
            with anyio.fail_after(5):
                while not logs or logs[-1].get("error") != "the disk is full":
                    await anyio.lowlevel.checkpoint()
            pruning.cancel()


async def test_a_file_that_was_emptied_is_refused_for_it_is_about_to_be_written(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes")})
    async with serving(path) as (app, url, _stop):
        path.write_text(" \n")
        assert await app.reload() == {"refused": ["the file is empty"]}
        assert await names(url) == ["notes__add", "notes__list"]


async def test_a_change_that_is_told_twice_at_once_is_carried_out_once(tmp_path):
    path = write(tmp_path / "one", {"notes": server("notes")})
    async with serving(path) as (app, _url, _stop):
        write(tmp_path / "one", {"notes": server("notes"), "clock": server("clock")})
        first, second = await asyncio.gather(app.reload(), app.reload())
        assert first["added"] == ["clock"]
        assert second == {"added": [], "removed": [], "changed": [], "kept": ["clock", "notes"]}
    assert [kind for kind, _ in journalled(path.parent)].count("config.loaded") == 2
