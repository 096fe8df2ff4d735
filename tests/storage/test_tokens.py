import pytest

from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.storage.memory import MemoryStore
from mcp_orchestrator.storage.tokens import NameTakenError

pytestmark = pytest.mark.anyio


def token(ident, name="ci", created=1.0, **more):
    return Token(ident, name, ident.encode() * 8, created, **more)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real), "memory"])
async def store(request):
    made = MemoryStore() if request.param == "memory" else request.getfixturevalue(f"on_{request.param}").store()
    await made.open()
    yield made.tokens
    await made.aclose()


async def test_a_token_is_kept_as_it_is(store):
    full = token("a", scopes=("tools", "prompts:x.*"), groups=("g",), profile="p", expires=9.0)
    plain = token("b", "other")
    await store.add(full)
    await store.add(plain)
    assert list(await store.everyone()) == [full, plain]


async def test_a_name_is_taken_while_its_token_is_good_and_free_afterwards(store):
    await store.add(token("a", expires=10.0))
    with pytest.raises(NameTakenError):
        await store.add(token("b", created=9.0))
    await store.add(token("c", created=10.0))
    revoked = await store.revoke("ci", 11.0)
    assert revoked is not None
    assert revoked.id == "c"
    await store.add(token("d", created=12.0))
    good = [one.id for one in await store.everyone() if one.is_good(12.0)]
    assert good == ["d"]


async def test_a_token_is_revoked_once_by_name_or_id(store):
    await store.add(token("a"))
    await store.add(token("b", "other"))
    assert await store.revoke("nobody", 2.0) is None
    assert (await store.revoke("a", 2.0)).name == "ci"
    assert await store.revoke("a", 3.0) is None
    assert await store.revoke("ci", 3.0) is None
    assert (await store.revoke("other", 3.0)).id == "b"
    assert [one.revoked for one in await store.everyone()] == [2.0, 3.0]


async def test_a_change_is_seen_by_its_number(store):
    revision, everyone = await store.changed(-1)
    assert everyone == []
    assert await store.changed(revision) is None
    await store.add(token("a"))
    second, everyone = await store.changed(revision)
    assert [one.id for one in everyone] == ["a"]
    await store.revoke("a", 2.0)
    third, _ = await store.changed(second)
    assert third != second
    assert await store.changed(third) is None


async def test_another_process_on_the_file_sees_the_change(place):
    one, two = place.store(), place.store()
    await one.open()
    await two.open()
    revision, _ = await two.tokens.changed(-1)
    await one.tokens.add(token("a"))
    found = await two.tokens.changed(revision)
    assert found is not None
    await one.aclose()
    await two.aclose()


async def test_scopes_that_cannot_be_read_allow_nothing(place):
    store = place.store()
    await store.open()
    await store.tokens.add(token("a", scopes=("tools",)))
    place.ask("UPDATE token SET scopes = 'damaged', member_of = '3'")
    (found,) = await store.tokens.everyone()
    assert (found.scopes, found.groups) == ((), ())
    await store.aclose()
