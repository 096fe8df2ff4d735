"""Budgets over real gateways: several on one state file, killed in the middle, and agents that call back."""

import asyncio
import sys
from pathlib import Path

import pytest
from delegation_kit import Desk, House
from gateway_kit import modern, serving, until, write_config

from mcp_orchestrator.storage.statements import read_balances

pytestmark = pytest.mark.anyio

CLOCK = {"clock": {"command": sys.executable, "args": ["-m", "mcp_orchestrator.testing.clock"]}}
CAP = [{"id": "cap", "limit": {"usd": 0.1, "calls": 1000}, "window": "total"}]
PRICES = {"tools": {"clock.*": 0.01}}


def stand(state):
    return {(one.budget, one.key, one.unit): (one.spent, one.reserved) for one in read_balances(Path(state), 0.0)}


def outcome(response):
    return "done" if "result" in response else response["error"]["message"]


async def test_two_gateways_on_one_state_file_spend_no_more_than_the_cap(tmp_path):
    config = write_config(tmp_path, CLOCK, budgets=CAP, prices=PRICES)
    async with serving(tmp_path, config=config) as one, serving(tmp_path, config=config) as two:
        async with modern(one.url) as first, modern(two.url) as second:
            calls = [client.call("clock__now", key=n) for n in range(20) for client in (first, second)]
            said = [outcome(response) for response in await asyncio.gather(*calls)]
        assert said.count("done") == 10
        refused = [text for text in said if text != "done"]
        assert all("over budget: 'cap'" in text for text in refused)
        await until(lambda: stand(one.state)["cap", "", "usd"] == (100_000, 0))
        assert stand(one.state)["cap", "", "calls"] == (10, 0)


async def test_what_was_under_way_when_a_gateway_was_killed_stays_held_and_is_not_free_for_others(tmp_path):
    config = write_config(tmp_path, CLOCK, budgets=CAP, prices=PRICES)
    async with serving(tmp_path, config=config) as gateway, modern(gateway.url) as client:
        await client.call("clock__now")
        await until(lambda: stand(gateway.state)["cap", "", "usd"] == (10_000, 0))
        waiting = [asyncio.ensure_future(client.call("clock__wait", {"seconds": 60}, key=n)) for n in range(3)]
        await until(lambda: stand(gateway.state)["cap", "", "usd"] == (10_000, 30_000))
        await gateway.kill()
        await asyncio.gather(*waiting, return_exceptions=True)
    async with serving(tmp_path, config=config) as again, modern(again.url) as client:
        said = [outcome(await client.call("clock__now", key=n)) for n in range(8)]
        assert said.count("done") == 6
        assert stand(again.state)["cap", "", "usd"][1] == 30_000
        await until(lambda: stand(again.state)["cap", "", "usd"] == (70_000, 30_000))


async def test_an_agent_spends_from_the_accounts_of_whom_it_works_for(tmp_path):
    house = House(tmp_path)
    house.agent(
        "worker",
        {"call": {"tool": "clock__now", "arguments": {}}},
        {"call": {"tool": "clock__now", "arguments": {}}},
        {"use": {"input_tokens": 7, "output_tokens": 3, "cost": 0.02}},
        {"say": "done"},
    )
    budgets = [
        {"id": "caller", "per": ["caller"], "limit": {"usd": 1}, "window": "total"},
        {"id": "run", "per": ["run"], "match": {"kind": "tool"}, "limit": {"calls": 1}, "window": "total"},
        {"id": "tokens", "limit": {"tokens": 100_000}, "window": "total"},
    ]
    config = house.config(CLOCK, budgets=budgets, prices=PRICES)
    async with serving(tmp_path, config=config) as gateway, modern(gateway.url) as client:
        desk = Desk(client)
        said = await desk.refused("delegate", agent="worker", task="do it", wait=0)
        assert "refused by budget: it is not known what a delegation to worker costs" in said
        run = await desk.begin("worker", budget={"usd": 0.5})
        await desk.ended(run)
        found = stand(gateway.state)
        assert found["run", f"run={run}", "calls"] == (1, 0)
        (caller,) = [key for budget, key, _ in found if budget == "caller"]
        await until(lambda: stand(gateway.state)["caller", caller, "usd"] == (30_000, 0))
        assert stand(gateway.state)["tokens", "", "tokens"] == (10, 0)
