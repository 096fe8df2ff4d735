"""Log levels, list changes and resource subscriptions through the whole gateway, in all four combinations of eras."""

import asyncio
import contextlib
import itertools

import anyio
import pytest
from gateway_kit import legacy, modern
from http_kit import until
from whole_gateway import Played, gateway, over_http, over_stdio, played_gateway

pytestmark = pytest.mark.anyio

COMBINATIONS = [
    pytest.param(client, backend, transport, id=f"{client}-client-{backend}-{transport}")
    for client, backend, transport in itertools.product(("modern", "legacy"), ("modern", "legacy"), ("http", "stdio"))
]
PREFIX = "io.modelcontextprotocol/"
KINDS = {"tools": "toolsListChanged", "prompts": "promptsListChanged", "resources": "resourcesListChanged"}


@contextlib.asynccontextmanager
async def between(directory, era, transport, **sections):
    """A gateway with one played backend `one` of this era; yields its address."""
    async with contextlib.AsyncExitStack() as stack:
        block = await stack.enter_async_context(over_http(Played(era))) if transport == "http" else over_stdio(era)
        _, url = await stack.enter_async_context(gateway(directory, {"one": block}, **sections))
        yield url


class Hearing:
    """A client of either era that hears of lists and resources: `heard` are (method, uri)."""

    def __init__(self, client, era):
        self.client = client
        self.era = era
        self.heard = asyncio.Queue()

    async def take(self, following):
        while message := await following():
            self.heard.put_nowait(
                (
                    message["method"].removeprefix("notifications/"),
                    message["params"].get("uri") if "params" in message else None,
                )
            )

    async def next(self, wanted):
        """The next event of a method; others before it are passed over."""
        with anyio.fail_after(10):
            while True:
                found = await self.heard.get()
                if found[0] == wanted:
                    return found[1]

    def left(self):
        """What was heard and not taken yet."""
        return [self.heard.get_nowait() for _ in range(self.heard.qsize())]


@contextlib.asynccontextmanager
async def hearing(url, era, uris=("memo://a",), capabilities=None):
    async with contextlib.AsyncExitStack() as stack:
        if era == "modern":
            client = await stack.enter_async_context(modern(url, capabilities=capabilities))
            wanted = dict.fromkeys(KINDS.values(), True) | {"resourceSubscriptions": list(uris)}
            following = await stack.enter_async_context(
                client.stream("subscriptions/listen", {"notifications": wanted}, key="l")
            )
            assert (await following())["method"] == "notifications/subscriptions/acknowledged"
        else:
            client = await stack.enter_async_context(legacy(url, capabilities=capabilities))
            following = await stack.enter_async_context(client.listening())
            for uri in uris:
                response, _ = await client.ask("resources/subscribe", {"uri": uri})
                assert response["result"] == {}
        made = Hearing(client, era)
        task = asyncio.ensure_future(made.take(following))
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def upstream(client, *methods):
    """How often the backend got each of these methods, `listen` by the URIs it carried."""
    response = await client.call("one__report")
    seen = response["result"]["structuredContent"]["seen"]
    return [(method, params.get("uri")) for method, params, _ in seen if method in methods]


async def subscribed(client, era):
    """Wait until the backend knows of the subscription: a `listen` is answered before it has travelled on."""
    with anyio.fail_after(10):
        while True:
            seen = (await client.call("one__report"))["result"]["structuredContent"]["seen"]
            if era == "legacy" and any(method == "resources/subscribe" for method, _, _ in seen):
                return
            if any("resourceSubscriptions" in params.get("notifications", {}) for method, params, _ in seen):
                return


@pytest.mark.parametrize(("client", "backend", "transport"), COMBINATIONS)
async def test_changes_of_every_list_reach_the_client_which_then_finds_them(tmp_path, client, backend, transport):
    async with between(tmp_path, backend, transport) as url, hearing(url, client, ()) as made:
        for kind in KINDS:
            await made.client.call("one__change", {"kind": kind})
            names = []
            while names[-1:] not in (["new"], ["one__new"]):  # an earlier event tells of the first look at the server
                await made.next(f"{kind}/list_changed")
                response, _ = await made.client.ask(f"{kind}/list")
                names = [entry["name"] for entry in response["result"][kind]]


@pytest.mark.parametrize(("client", "backend", "transport"), COMBINATIONS)
async def test_updates_of_a_resource_reach_whoever_subscribed(tmp_path, client, backend, transport):
    async with between(tmp_path, backend, transport) as url, hearing(url, client) as made:
        await subscribed(made.client, backend)
        await made.client.call("one__touch", {"uri": "memo://a"})
        assert await made.next("resources/updated") == "memo://a"
        await made.client.call("one__touch", {"uri": "memo://a/part", "only": "memo://a"})
        assert await made.next("resources/updated") == "memo://a/part"


@pytest.mark.parametrize(
    ("client", "backend", "transport"),
    # A legacy child would carry out each call of a modern client that can be asked in another process.
    [each for each in COMBINATIONS if each.values != ("modern", "legacy", "stdio")],
)
async def test_clients_that_can_be_asked_hear_of_updates_too(tmp_path, client, backend, transport):
    able = {"elicitation": {}, "sampling": {}}
    async with between(tmp_path, backend, transport) as url, hearing(url, client, capabilities=able) as made:
        await subscribed(made.client, backend)
        await made.client.call("one__touch", {"uri": "memo://a"})
        assert await made.next("resources/updated") == "memo://a"


@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_many_clients_are_one_subscription_upstream_until_the_last_one_leaves(tmp_path, transport):
    async with between(tmp_path, "legacy", transport) as url, legacy(url) as judge:
        async with hearing(url, "legacy") as one, hearing(url, "legacy") as two:
            async with hearing(url, "modern") as three:
                await subscribed(judge, "legacy")
                await judge.call("one__touch", {"uri": "memo://a"})
                for each in (one, two, three):
                    assert await each.next("resources/updated") == "memo://a"
            await one.client.ask("resources/unsubscribe", {"uri": "memo://a"})
            await judge.call("one__touch", {"uri": "memo://a"})
            await two.next("resources/updated")
            assert ("resources/updated", "memo://a") not in one.left()
            asked = await upstream(judge, "resources/subscribe", "resources/unsubscribe")
            assert asked == [("resources/subscribe", "memo://a")]
        with anyio.fail_after(10):
            while len(await upstream(judge, "resources/subscribe", "resources/unsubscribe")) < 2:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("backend", ["modern", "legacy"])
@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_one_of_two_who_unsubscribes_hears_no_more_and_the_other_still_does(tmp_path, backend, transport):
    async with (
        between(tmp_path, backend, transport) as url,
        legacy(url) as judge,
        hearing(url, "legacy") as one,
        hearing(url, "legacy") as two,
    ):
        await subscribed(judge, backend)
        await one.client.ask("resources/unsubscribe", {"uri": "memo://a"})
        for _ in range(2):
            await judge.call("one__touch", {"uri": "memo://a"})
            assert await two.next("resources/updated") == "memo://a"
        await judge.call("one__change", {"kind": "tools"})
        await one.next("tools/list_changed")
        assert ("resources/updated", "memo://a") not in one.left()
        await one.client.ask("resources/subscribe", {"uri": "memo://a"})
        await judge.call("one__touch", {"uri": "memo://a"})
        assert await one.next("resources/updated") == "memo://a"


@pytest.mark.parametrize(
    ("client", "backend", "transport"),
    [each for each in COMBINATIONS if each.values[1:] != ("modern", "http")],  # that one has no session that could end
)
async def test_a_subscription_outlives_the_backend_it_was_made_with(tmp_path, client, backend, transport):
    async with between(tmp_path, backend, transport) as url, hearing(url, client) as made:
        await subscribed(made.client, backend)
        await made.client.call("one__end")
        with anyio.fail_after(15):
            while True:  # the first update that comes is our own word that some may have been missed
                await made.client.call("one__touch", {"uri": "memo://a"})
                if ("resources/updated", "memo://a") in made.left():
                    break
                await asyncio.sleep(0.05)
        await subscribed(made.client, backend)


async def test_uris_of_two_servers_are_told_apart_on_the_way_back(tmp_path):
    backends = [Played("legacy"), Played("modern")]

    def hear():
        return all(any("memo://a" in each.subscribed for each in backend.conversations) for backend in backends)

    async with played_gateway(tmp_path, *zip(("one", "two"), backends, strict=True)) as url:
        for era in ("modern", "legacy"):
            async with hearing(url, era, ("mcp://one/memo://a", "mcp://two/memo://a")) as made:
                await until(hear)
                for name in ("two", "one"):
                    await made.client.call(f"{name}__touch", {"uri": "memo://a"})
                    assert await made.next("resources/updated") == f"mcp://{name}/memo://a"


async def said(client, era, levels, level=None):
    """The levels of the log messages that a call of `say` brings."""
    meta = {PREFIX + "logLevel": level} if era == "modern" and level else None
    _, notes = await client.ask("tools/call", {"name": "one__say", "arguments": {"levels": levels}}, meta=meta)
    return [note["params"]["level"] for note in notes if note["method"] == "notifications/message"]


@pytest.mark.parametrize(("client", "backend", "transport"), COMBINATIONS)
async def test_a_call_hears_the_log_messages_of_the_level_its_client_wants(tmp_path, client, backend, transport):
    every = ["debug", "info", "warning", "error"]
    by_era = {"modern": modern, "legacy": legacy}
    async with between(tmp_path, backend, transport) as url, by_era[client](url) as made:
        if client == "modern":
            assert await said(made, client, every) == []
        for level, heard in (("warning", every[2:]), ("debug", every), ("error", every[3:]), ("info", every[1:])):
            if client == "legacy":
                assert (await made.ask("logging/setLevel", {"level": level}))[0]["result"] == {}
            assert await said(made, client, every, level) == heard


async def test_clients_of_one_legacy_session_each_hear_their_own_level(tmp_path):
    every = ["debug", "info", "warning", "error"]
    gate, entered = asyncio.Event(), asyncio.Queue()
    played = Played("legacy", tools=({"name": "wait", "inputSchema": {"type": "object"}},))

    async def wait(_given, say):
        entered.put_nowait(None)
        await gate.wait()
        for level in every:
            say("notifications/message", {"level": level, "data": level})
        return {"content": []}

    played.plays["wait"] = wait
    async with over_http(played) as block, gateway(tmp_path, {"one": block}) as (_, url):
        async with modern(url) as quiet, modern(url) as loud, legacy(url) as old:
            await old.ask("logging/setLevel", {"level": "warning"})
            calls = []
            for client, meta in (
                (quiet, {PREFIX + "logLevel": "error"}),
                (loud, {PREFIX + "logLevel": "debug"}),
                (old, None),
            ):
                calls.append(asyncio.ensure_future(client.ask("tools/call", {"name": "one__wait"}, meta=meta)))
                await entered.get()
            levels = [params["level"] for method, params, _ in played.seen if method == "logging/setLevel"]
            gate.set()
            heard = [[note["params"]["level"] for note in notes] for _, notes in await asyncio.gather(*calls)]
        assert heard == [["error"], every, ["warning", "error"]]
        assert levels == ["error", "debug"], "the session says as much as the most curious of them wants"
