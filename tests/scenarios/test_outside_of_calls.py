"""What a legacy server says while it carries out no call reaches the clients that it concerns."""

import asyncio
import contextlib

import anyio
import pytest
from gateway_kit import legacy, modern
from whole_gateway import Played, gateway, over_http, over_stdio

pytestmark = pytest.mark.anyio

COMPLETE = "notifications/elicitation/complete"
VENDOR = "notifications/vendor/thing"
BOTH_TRANSPORTS = pytest.mark.parametrize("transport", ["http", "stdio"])


@contextlib.asynccontextmanager
async def between(directory, transport):
    """A gateway with one legacy backend; yields its address."""
    async with contextlib.AsyncExitStack() as stack:
        block = (
            await stack.enter_async_context(over_http(Played("legacy")))
            if transport == "http"
            else over_stdio("legacy")
        )
        _, url = await stack.enter_async_context(gateway(directory, {"one": block}))
        yield url


async def later(client, *says):
    """Have the server say something when it has answered."""
    assert "result" in await client.call("one__later", {"says": says})


def line(level):
    return "notifications/message", {"level": level, "data": level}


async def heard(following, last):
    """What a client hears up to a notice with this number."""
    found = []
    with anyio.fail_after(10):
        while True:
            message = await following()
            params = message.get("params") or {}
            if message["method"] == VENDOR and params.get("n") == last:
                return found
            found.append(params.get("level") or params.get("elicitationId") or message["method"])


@BOTH_TRANSPORTS
async def test_log_messages_reach_every_legacy_client_at_its_level_and_no_modern_one(tmp_path, transport):
    async with between(tmp_path, transport) as url, legacy(url) as one, legacy(url) as two, modern(url) as new:
        await two.ask("logging/setLevel", {"level": "critical"})
        wanted = {"notifications": {"toolsListChanged": True}}
        async with (
            one.listening() as first,
            two.listening() as second,
            new.stream("subscriptions/listen", wanted) as third,
        ):
            assert (await third())["method"] == "notifications/subscriptions/acknowledged"
            levels = ("debug", "info", "error", "critical")
            await later(one, *(line(level) for level in levels), (VENDOR, {"n": 1}))
            assert [each for each in await heard(first, 1) if each in levels] == ["info", "error", "critical"]
            assert [each for each in await heard(second, 1) if each in levels] == ["critical"]
            await later(one, ("notifications/tools/list_changed", {}))
            with anyio.fail_after(10):
                assert (await third())["method"] == "notifications/tools/list_changed"


@BOTH_TRANSPORTS
@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {"url": {}}}], ids=["shared session", "own session"])
async def test_that_an_address_was_dealt_with_reaches_the_client_that_was_to_visit_it(
    tmp_path, transport, capabilities
):
    async with (
        between(tmp_path, transport) as url,
        legacy(url) as other,
        legacy(url, capabilities=capabilities) as asked,
        other.listening() as elsewhere,
    ):
        refused = (await asked.call("one__visit", {"id": "e1"}))["error"]
        assert (refused["code"], refused["data"]["elicitations"][0]["elicitationId"]) == (-32042, "e1")
        await later(asked, (COMPLETE, {"elicitationId": "e1"}))
        async with asked.listening() as following:
            with anyio.fail_after(10):
                while (told := await following())["method"] != COMPLETE:
                    pass
            assert told["params"] == {"elicitationId": "e1"}
        await later(other, (VENDOR, {"n": 2}))
        assert "e1" not in await heard(elsewhere, 2)


async def test_what_is_said_while_several_clients_call_reaches_none_of_the_others(tmp_path):
    gate, entered = asyncio.Event(), asyncio.Queue()
    played = Played("legacy", tools=({"name": "wait", "inputSchema": {"type": "object"}},))

    async def wait(_given, _say):
        entered.put_nowait(None)
        await gate.wait()
        return {"content": []}

    played.plays["wait"] = wait
    async with (
        over_http(played) as block,
        gateway(tmp_path, {"one": block}) as (_, url),
        legacy(url) as one,
        legacy(url) as two,
        legacy(url) as three,
        three.listening() as following,
    ):
        calls = [asyncio.ensure_future(client.call("one__wait")) for client in (one, two)]
        for _ in calls:
            await entered.get()
        for each in played.conversations:
            each.push(*line("alert"))
        gate.set()
        await asyncio.gather(*calls)
        await later(three, (VENDOR, {"n": 3}))
        assert "alert" not in await heard(following, 3)
