"""Delegations are kept as they stand last, and each is carried out by one gateway."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.agent_api import DelegationStore
from mcp_orchestrator.model.agent import AgentMode, AgentUsage, CostSource, Ended, EndStatus, TroubleKind
from mcp_orchestrator.model.delegation import Delegated, DelegationState, Workspace
from mcp_orchestrator.storage.delegations import decode_delegated, encode_delegated
from mcp_orchestrator.storage.memory import MemoryStore
from mcp_orchestrator.storage.trouble import StorageError

pytestmark = pytest.mark.anyio

TIMES = st.floats(0, 2e9)
WORDS = st.none() | st.text(max_size=8)
COUNTS = st.none() | st.integers(0, 2**53)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.none() | st.dictionaries(st.text(max_size=5), JSON, max_size=3)
USAGES = st.builds(
    AgentUsage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from(CostSource), WORDS
)  # fmt: skip
ENDS = st.builds(
    Ended,
    status=st.sampled_from(EndStatus),
    text=st.text(),
    structured=JSON,
    trouble=st.none() | st.sampled_from(TroubleKind),
    message=st.text(),
    retryable=st.booleans(),
    usage=USAGES,
    evidence=st.text(),
    resets_at=st.none() | TIMES,
)
WORKSPACES = st.builds(
    Workspace, run=st.text(), path=st.text(), scratch=st.text(), mode=st.sampled_from(AgentMode), origin=WORDS,
    repository=WORDS, base=WORDS,
)  # fmt: skip
DELEGATIONS = st.builds(
    Delegated,
    id=st.text(min_size=1),
    agent=st.text(),
    kind=st.text(),
    task=st.text(),
    mode=st.sampled_from(AgentMode),
    owner=st.text(),
    state=st.sampled_from(DelegationState),
    profile=WORDS,
    parent=WORDS,
    depth=st.integers(1, 16),
    context=WORDS,
    trace=st.text(max_size=8),
    workspace=st.none() | WORKSPACES,
    schema=SCHEMAS,
    limits=st.dictionaries(st.text(max_size=5), TIMES, max_size=3),
    decision=st.lists(JSON, max_size=3).map(tuple),
    native=WORDS,
    turn=WORDS,
    attached=st.none() | st.booleans(),
    attempts=st.integers(0, 9),
    events=st.integers(0, 2**40),
    created=TIMES,
    updated=TIMES,
    ended=st.none() | ENDS,
)
KILLED = """
import asyncio, os, sys
from pathlib import Path
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.delegation import Delegated
from mcp_orchestrator.model.snapshot import Secret, StorageSpec
from mcp_orchestrator.storage.choice import database_of
from mcp_orchestrator.storage.store import Store

async def main():
    url = Secret(sys.argv[1]) if sys.argv[1].startswith("postgresql:") else None
    store = Store(database_of(StorageSpec(Path(sys.argv[1] if url is None else sys.argv[3]), url=url)))
    await store.open()
    await store.delegations.save(Delegated("r1", "a", "acp", "do it", AgentMode.READ, "ada", created=1.0))
    print("saved", flush=True)
    if sys.argv[2] == "die":
        os.kill(os.getpid(), 9)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


def delegated(run="r1", **more):
    return Delegated(run, "a", "acp", "do it", AgentMode.WRITE, more.pop("owner", "ada"), **more)


def over(kept, status=EndStatus.COMPLETED, at=9.0):
    return replace(kept, state=DelegationState.ENDED, ended=Ended(status), updated=at)


@pytest.fixture
async def opened(place):
    """Opens stores on the same database, as several gateways do."""
    stores = []

    async def run():
        store = place.store()
        await store.open()
        stores.append(store)
        return store.delegations

    yield run
    for store in stores:
        await store.aclose()


@given(DELEGATIONS)
def test_what_is_written_is_read_back(kept):
    assert decode_delegated(encode_delegated(kept)) == kept


@given(DELEGATIONS, st.dictionaries(st.text(min_size=1).map("x-{}".format), JSON, max_size=2))
def test_keys_of_a_newer_version_are_ignored(kept, more):
    body = json.loads(encode_delegated(kept)) | more
    if body["ended"] is not None:
        body["ended"] |= more
    assert decode_delegated(json.dumps(body)) == kept


@pytest.mark.parametrize("body", [None, 7, "", "{}", "[]", '{"id": 7}', b"\xff", encode_delegated(delegated())[:-9]])
def test_what_is_malformed_is_nothing(body):
    assert decode_delegated(body) is None


def test_words_that_we_do_not_know_are_not_guessed():
    body = json.loads(encode_delegated(delegated()))
    assert decode_delegated(json.dumps(body | {"state": "dreaming"})) is None
    assert decode_delegated(json.dumps(body | {"depth": "1"})) is None


def test_half_a_surrogate_pair_is_replaced():
    kept = decode_delegated(encode_delegated(delegated(native="a\ud800", schema={"b\ud800": ["\udc00", 1]})))
    assert kept.native.startswith("a")
    assert kept.schema is not None
    assert kept.task == "do it"


@pytest.fixture(params=["database", "memory"])
async def store(request, opened):
    return await opened() if request.param == "database" else MemoryStore().delegations


async def test_the_last_state_is_kept(store):
    kept: DelegationStore = store
    assert await kept.find("r1") is None
    await kept.save(delegated(created=1.0))
    await kept.save(delegated(created=1.0, state=DelegationState.WORKING, native="s", updated=2.0))
    assert (await kept.find("r1")).native == "s"
    assert [one.state for one in await kept.unfinished()] == [DelegationState.WORKING]
    await kept.save(over(delegated(created=1.0)))
    assert await kept.unfinished() == []
    assert (await kept.find("r1")).ended == Ended(EndStatus.COMPLETED)


async def test_open_ones_are_told_oldest_first_and_recent_ones_newest_first(store):
    for number, owner in ((2, "ada"), (1, "bob"), (3, "ada")):
        await store.save(delegated(f"r{number}", owner=owner, created=float(number)))
    await store.save(over(delegated("r4", created=4.0)))
    assert [one.id for one in await store.unfinished()] == ["r1", "r2", "r3"]
    assert [one.id for one in await store.recent(None, 3)] == ["r4", "r3", "r2"]
    assert [one.id for one in await store.recent("ada", 9)] == ["r4", "r3", "r2"]
    assert [one.id for one in await store.recent("ada", 9, before=3.0)] == ["r2"]
    assert await store.recent("eve", 9) == []


async def test_the_memory_forgets_the_oldest_that_ended():
    store = MemoryStore(ring=2).delegations
    await store.save(delegated("open", created=0.0))
    for number in range(4):
        await store.save(over(delegated(f"r{number}", created=float(number))))
    assert [one.id for one in await store.recent(None, 9)] == ["r3", "r2", "open"]


async def test_a_living_gateway_keeps_what_it_carries_out(opened):
    one, two = await opened(), await opened()
    await one.save(delegated())
    assert await two.unfinished() == []
    assert (await two.find("r1")).id == "r1"
    with pytest.raises(StorageError, match="another gateway"):
        await two.save(delegated(native="stolen"))
    assert (await one.find("r1")).native is None


async def test_what_a_gateway_leaves_open_is_taken_over_once(place, opened):
    store = place.store()
    await store.open()
    await store.delegations.save(delegated())
    await store.delegations.save(over(delegated("r0")))
    await store.aclose()
    one, two = await opened(), await opened()
    assert [found.id for found in await one.unfinished()] == ["r1"]
    assert await two.unfinished() == []
    await one.save(over(delegated()))
    await two.save(over(delegated(), EndStatus.UNKNOWN))


@pytest.mark.parametrize("how", ["die", "live"])
async def test_a_gateway_that_was_killed_leaves_its_runs_and_a_living_one_does_not(place, tmp_path, opened, how):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLED,
        place.word,
        how,
        str(tmp_path / "state.db"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert await process.stdout.readline() == b"saved\n"
        if how == "die":
            await process.wait()
        found = await (await opened()).unfinished()
        assert [one.id for one in found] == (["r1"] if how == "die" else [])
    finally:
        await process.communicate(b"")


async def test_what_cannot_be_read_is_left_to_a_newer_version(place, opened):
    store = await opened()
    await store.save(delegated())
    place.ask("""UPDATE delegation SET body = '{"id": 1}', keeper = 'gone'""")
    assert await store.unfinished() == []
    assert await store.find("r1") is None
    assert await store.recent(None, 5) == []
    assert place.ask("SELECT state, keeper FROM delegation WHERE id = 'r1'") == [("accepted", "gone")]


async def test_nothing_is_acknowledged_after_the_file_is_gone(on_sqlite, tmp_path, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.storage.writer.LOOK_EVERY", 0.0)
    gateway = on_sqlite.store()
    await gateway.open()
    (tmp_path / "state" / "state.db").unlink()
    with pytest.raises(OSError, match=r"state\.db"):
        await gateway.delegations.save(delegated())
    await gateway.aclose()


async def test_the_keepers_of_a_file_leave_nothing_beside_it_when_they_end_in_order(on_sqlite):
    gateway, beside = on_sqlite.store(), Path(on_sqlite.word).parent
    await gateway.open()
    await gateway.delegations.save(delegated())
    assert len(list(beside.glob("*-keeper-*"))) == 1
    await gateway.aclose()
    assert list(beside.glob("*-keeper-*")) == []


async def test_a_closed_store_refuses(place):
    store = place.store()
    await store.open()
    await store.aclose()
    with pytest.raises(OSError, match="not open"):
        await store.delegations.save(delegated())


async def test_ended_ones_go_with_the_journal(place):
    store = place.store()
    await store.open()
    await store.delegations.save(over(delegated("old"), at=5.0))
    await store.delegations.save(over(delegated("new"), at=15.0))
    await store.delegations.save(delegated("open", updated=1.0))
    assert await store.prune(older_than=10.0) == 0
    assert {one.id for one in await store.delegations.recent(None, 9)} == {"new", "open"}
    await store.aclose()


async def test_a_reader_sees_a_delegation_too(place, opened):
    await (await opened()).save(delegated(native="s"))
    with place.reader() as reader:
        assert reader.delegation("r1").native == "s"
        assert reader.delegation("r2") is None
