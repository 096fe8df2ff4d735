"""Gateways on a PostgreSQL database: several at once, killed with -9, and cut off from their database."""

import contextlib
import json

import anyio
import httpx2
import pytest
from delegation_kit import Desk, House, kinds, told
from gateway_kit import modern, serving, unruly, until, write_config
from postgres_kit import PASSWORD, PostgresServer

from mcp_orchestrator.storage.reading import JournalReader

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.fixture
def stored(postgres, tmp_state, monkeypatch):
    """The section `storage` of a configuration on an empty database, whose password is in the environment."""
    monkeypatch.setenv("TEST_PGPASSWORD", PASSWORD)
    return {"url": postgres.url(postgres.empty(), "${secret:env/TEST_PGPASSWORD}")}


def runs_of(run_program, config):
    listed = run_program("runs", "list", "--limit", "10000", "--format", "json", config=config)
    return json.loads(listed.stdout)["runs"]


def executions(path):
    return len(path.read_text().split()) if path.exists() else 0


async def test_everything_that_killed_gateways_answered_is_in_their_one_journal(
    tmp_path, postgres, stored, run_program
):
    configs = []
    for number in range(2):
        directory = tmp_path / str(number)
        directory.mkdir()
        configs.append(write_config(directory, {"one": unruly()}, storage=stored))
    answered, numbers = [], iter(range(1, 100_000))

    async def work(client, tool):
        with contextlib.suppress(httpx2.HTTPError):  # the gateway is gone
            while True:
                trace = f"{next(numbers):032x}"
                response = await client.call(tool, {}, meta={"traceparent": f"00-{trace}-00000000000000aa-01"})
                assert "result" in response
                answered.append(trace)

    async with (
        serving(tmp_path / "0", config=configs[0]) as first,
        serving(tmp_path / "1", config=configs[1]) as second,
        modern(first.url) as one,
        modern(second.url) as two,
        anyio.create_task_group() as group,
    ):
        for _ in range(6):
            group.start_soon(work, one, "one__count")
            group.start_soon(work, two, "one__count")
        for _ in range(3):
            group.start_soon(work, one, "one__hang")
        await until(lambda: len(answered) > 200, 60)
        await first.kill()
        before = len(answered)
        await until(lambda: len(answered) > before + 100, 60)
        assert {run["status"] for run in runs_of(run_program, configs[1])} >= {"completed", "lost"}
        await second.kill()
    runs = runs_of(run_program, configs[0])
    assert set(answered) <= {run["call"]["trace"] for run in runs if run["status"] == "completed"}
    assert {run["status"] for run in runs} == {"completed", "lost"}
    assert sum(run["call"]["name"] == "one__hang" for run in runs if run["status"] == "lost") == 3
    verified = run_program("audit", "verify", "--format", "json", config=configs[0])
    assert json.loads(verified.stdout)["whole"] is True
    assert run_program("tokens", "create", "ci", config=configs[0]).returncode == 0
    assert "ci" in run_program("tokens", "list", config=configs[1]).stdout
    assert "state: postgresql://127.0.0.1" in run_program("doctor", config=configs[1]).stdout
    with JournalReader(postgres.database("postgres")) as journal:
        assert journal.verify().rows > 2 * len(answered)
        assert PASSWORD not in json.dumps([dict(event.data) for event, _ in journal.walk()])


async def test_while_the_database_is_gone_nothing_is_sent_and_calls_go_on_when_it_is_back(
    tmp_path, tmp_state, postgres_programs, monkeypatch
):
    monkeypatch.setenv("TEST_PGPASSWORD", PASSWORD)
    server = PostgresServer(postgres_programs)
    counts = tmp_path / "counts"
    try:
        storage = {"url": server.url("postgres", "${secret:env/TEST_PGPASSWORD}")}
        servers = {"one": unruly("--counts", counts)}
        async with serving(tmp_path, servers, storage=storage) as gateway, modern(gateway.url) as client:
            assert "result" in await client.call("one__count", {"n": "before"})
            server.kill()
            with anyio.fail_after(30):  # what was sent before anybody could know is not acknowledged
                assert "cannot be reached" in json.dumps(await client.call("one__count", {"n": "first"}))
            sent = executions(counts)
            with anyio.fail_after(60):
                for number in range(5):
                    assert "error" in await client.call("one__count", {"n": f"down{number}"})
            assert executions(counts) == sent
            server.start()
            with anyio.fail_after(30):
                while "error" in await client.call("one__count", {"n": "again"}):
                    continue
            with JournalReader(server.database("postgres")) as journal:
                assert journal.verify().fault is None
    finally:
        server.close()


async def test_a_killed_gateway_leaves_its_delegation_to_the_next_one_and_a_living_one_keeps_it(
    tmp_path, postgres, stored
):
    house = House(tmp_path).agent("slow", {"say": "begun"}, {"wait": {"until": "go"}}, {"say": "went"})
    config = house.config(storage=stored)
    beside = tmp_path / "beside"
    beside.mkdir()
    other = write_config(beside, {"one": unruly()}, storage=stored)
    async with serving(tmp_path, config=config) as gateway, modern(gateway.url) as client:
        gateway.journal = lambda: JournalReader(postgres.database("postgres"))
        desk = Desk(client)
        run = await desk.begin("slow")
        await told(gateway, run, "delegation.bound")
        async with serving(beside, config=other):  # one that starts meanwhile leaves it alone
            assert (await desk.status(run))["status"] == "working"
        await gateway.kill()
    async with serving(tmp_path, config=config) as gateway, modern(gateway.url) as client:
        gateway.journal = lambda: JournalReader(postgres.database("postgres"))
        house.go("go")
        assert (await Desk(client).ended(run))["text"] == "went"
        counted = kinds(gateway, run)
        assert (counted["delegation.accepted"], counted["delegation.ended"]) == (1, 1)
