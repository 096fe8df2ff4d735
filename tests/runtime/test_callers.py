import os
import pwd
from types import SimpleNamespace

import pytest

from mcp_orchestrator.core import tokens
from mcp_orchestrator.model.call import ANONYMOUS
from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.snapshot import IdentitySpec
from mcp_orchestrator.runtime import callers as room
from mcp_orchestrator.runtime.callers import Caller, Callers, Stranger, local_principal
from mcp_orchestrator.storage.tokens import MemoryTokens

pytestmark = pytest.mark.anyio

SECRET = tokens.make(b"s" * 32)
OTHER = tokens.make(b"o" * 32)


class House:
    """Callers over a store in memory, with a clock of the test's and what is recorded."""

    def __init__(self):
        self.now = 100.0
        self.store = MemoryTokens()
        self.recorded, self.logged = [], []
        log = SimpleNamespace(warning=lambda text, **more: self.logged.append((text, more)))
        record = lambda kind, _run, data: self.recorded.append((kind, data))  # noqa: E731
        self.callers = Callers(self.store, lambda: self.now, record, log)

    async def add(self, name="ci", secret=SECRET, **more):
        token = Token(f"id-{len(await self.store.everyone())}", name, tokens.digest(secret), self.now, **more)
        await self.store.add(token)
        await self.callers.refresh()

    def see(self, text):
        return self.callers.signed_in(text.encode())


@pytest.fixture
def house():
    return House()


async def test_a_good_token_is_its_caller_and_found_quickly_the_second_time(house):
    await house.add(scopes=("tools",), groups=("g",), profile="p")
    house.callers.configure(IdentitySpec(teams={"t": ("group:g",)}))
    found = house.see(f"Bearer {SECRET}")
    assert isinstance(found, Caller)
    who = found.principal
    assert (who.id, who.kind, who.groups, who.team, who.scopes) == ("token:ci", "token", ("g",), "t", ("tools",))
    assert found.profile == "p"
    assert house.see(f"Bearer {SECRET}") is found
    assert house.see(f"bEARER   {SECRET}").principal == who


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("Basic YTpi", ""),
        ("", ""),
        ("Bearer", ""),
        (f"Bearer {OTHER}", "invalid_token"),
        (f"Bearer {SECRET}x", "invalid_token"),
        (f"Bearer {SECRET[:-1]}", "invalid_token"),
        (f"Bearer {SECRET} {SECRET}", "invalid_token"),
        ("Bearer " + "x" * 100_000, "invalid_token"),
        (f"Bearer {SECRET}{' ' * 600}x", "invalid_token"),
        ("Bearer \u00fc", "invalid_token"),
    ],
)
async def test_anything_else_is_a_stranger_and_nothing_of_it_is_told(house, value, error):
    await house.add()
    found = house.see(value)
    assert isinstance(found, Stranger)
    assert found.error == error
    told = repr((found, house.recorded, house.logged))
    assert SECRET[4:40] not in told
    assert OTHER[4:40] not in told


async def test_a_token_ends_at_its_time_though_it_was_seen_before(house):
    left = []
    house.callers.on_leaving(left.append)
    await house.add(expires=110.0)
    assert isinstance(house.see(f"Bearer {SECRET}"), Caller)
    house.now = 110.0
    found = house.see(f"Bearer {SECRET}")
    assert isinstance(found, Stranger)
    assert "expired" in found.text
    assert house.recorded[-1] == (EventKind.CALLER_REFUSED, {"reason": found.text, "times": 1, "name": "ci"})
    await house.callers.refresh()
    assert left == ["token:ci"]


async def test_a_revoked_token_is_unknown_after_the_next_look(house):
    left = []
    house.callers.on_leaving(left.append)
    await house.add()
    house.see(f"Bearer {SECRET}")
    await house.store.revoke("ci", house.now)
    await house.callers.refresh()
    assert house.see(f"Bearer {SECRET}").error == "invalid_token"
    assert left == ["token:ci"]


def test_a_change_is_seen_well_within_a_second():
    assert room.LOOK_EVERY <= 0.5


async def test_a_name_that_goes_on_with_another_token_has_not_left(house):
    left = []
    house.callers.on_leaving(left.append)
    await house.add()
    await house.store.revoke("ci", house.now)
    await house.add(secret=OTHER)
    assert left == []
    assert house.see(f"Bearer {SECRET}").error
    assert house.see(f"Bearer {OTHER}").principal.id == "token:ci"


async def test_who_guesses_does_not_fill_the_journal(house):
    for _ in range(1000):
        house.see(f"Bearer {OTHER}")
    house.now += 2
    house.see(f"Bearer {OTHER}")
    assert [data["times"] for _, data in house.recorded] == [1, 1000]


async def test_tokens_that_cannot_be_read_stay_in_force_and_the_log_says_so_once(house):
    await house.add()

    async def fails(_known):
        raise OSError("disk gone")

    house.store.changed = fails
    await house.callers.refresh()
    await house.callers.refresh()
    assert isinstance(house.see(f"Bearer {SECRET}"), Caller)
    assert [text for text, _ in house.logged] == ["tokens cannot be read: those that are known stay in force"]


async def test_a_change_of_the_configuration_is_taken_up_and_told(house):
    await house.add()
    before = house.see(f"Bearer {SECRET}")
    told = []
    house.callers.on_change(lambda: told.append(house.callers.anonymous.principal.groups))
    house.callers.configure(IdentitySpec(required=True, groups={"all": ("*",)}))
    assert told == [("all",)]
    assert house.callers.required
    after = house.see(f"Bearer {SECRET}")
    assert (before.principal.groups, after.principal.groups) == ((), ("all",))
    assert house.callers.anonymous.principal == ANONYMOUS
    assert house.callers.named("token:ci").groups == ("all",)


async def test_more_headers_than_are_kept_are_all_known(house, monkeypatch):
    monkeypatch.setattr(room, "MOST_KNOWN", 2)
    await house.add()
    for blanks in range(1, 9):
        assert isinstance(house.see("Bearer" + " " * blanks + SECRET), Caller)
        assert len(house.callers.known) <= 2


def test_the_local_caller_is_the_user_by_the_database_and_not_by_a_variable(monkeypatch):
    monkeypatch.setenv("LOGNAME", "mallory")
    monkeypatch.setenv("USER", "mallory")
    monkeypatch.setattr(pwd, "getpwuid", lambda _number: SimpleNamespace(pw_name="ada"))
    assert (local_principal().id, local_principal().kind) == ("local:ada", "local")

    def nobody(_number):
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert local_principal().id == f"local:{os.getuid()}"
