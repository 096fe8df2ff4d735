from types import SimpleNamespace

import pytest

from mcp_orchestrator.core import tokens
from mcp_orchestrator.listeners.admission import SignIn, anybody, challenge, in_query, lacks_scope, scope_headers
from mcp_orchestrator.listeners.http_guard import Exchange, Rejection
from mcp_orchestrator.model.call import ANONYMOUS, Era
from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.model.outcome import Failed, FailureKind
from mcp_orchestrator.model.snapshot import IdentitySpec
from mcp_orchestrator.runtime.callers import Callers
from mcp_orchestrator.storage.tokens import MemoryTokens

pytestmark = pytest.mark.anyio
SECRET = tokens.make(b"s" * 32)
BOUND = tokens.make(b"b" * 32)


def exchange(*values):
    raw = [(b"host", b"localhost"), *((b"authorization", value.encode()) for value in values)]
    return Exchange("POST", raw, dict(raw), None, None)


async def door(*, required=False, profiles=("p", "q")):
    store = MemoryTokens()
    await store.add(Token("1", "ci", tokens.digest(SECRET), 0.0))
    await store.add(Token("2", "bound", tokens.digest(BOUND), 0.0, profile="p"))
    callers = Callers(store, lambda: 1.0, lambda *_: None, SimpleNamespace(warning=lambda *_, **__: None))
    callers.configure(IdentitySpec(required=required))
    await callers.refresh()
    return SignIn(callers, profiles.__contains__), callers


async def test_the_view_of_a_caller_is_made_once():
    enter, callers = await door()
    view = enter(Era.MODERN, "q", exchange(f"Bearer {SECRET}"))
    assert (view.era, view.profile, view.principal.id) == (Era.MODERN, "q", "token:ci")
    assert enter(Era.MODERN, "q", exchange(f"Bearer {SECRET}")) is view
    assert enter(Era.LEGACY, "q", exchange(f"Bearer {SECRET}")) is not view
    callers.configure(IdentitySpec(groups={"g": ("token:ci",)}))
    assert enter(Era.MODERN, "q", exchange(f"Bearer {SECRET}")).principal.groups == ("g",)


@pytest.mark.parametrize("values", [(), ("Basic YTpi",)])
async def test_who_has_no_token_is_nobody_known_where_that_is_allowed(values):
    enter, _ = await door()
    assert enter(Era.MODERN, None, exchange(*values)).principal == ANONYMOUS
    enter, _ = await door(required=True)
    refused = enter(Era.MODERN, None, exchange(*values))
    assert (refused.status, dict(refused.headers)) == (401, {b"www-authenticate": b'Bearer realm="mcp-orchestrator"'})


async def test_a_wrong_token_is_no_way_to_be_nobody_known():
    enter, _ = await door()
    refused = enter(Era.MODERN, None, exchange(f"Bearer {SECRET[:-1]}"))
    assert refused.status == 401
    assert b'error="invalid_token"' in refused.headers[0][1]


async def test_two_headers_are_refused_whichever_is_right():
    enter, _ = await door()
    for values in ((f"Bearer {SECRET}", "Bearer x"), ("Bearer x", f"Bearer {SECRET}")):
        assert enter(Era.MODERN, None, exchange(*values)).status == 400


async def test_a_token_of_a_profile_enters_by_it_alone_while_it_is_there():
    enter, _ = await door()
    for path in (None, "p"):
        assert enter(Era.MODERN, path, exchange(f"Bearer {BOUND}")).profile == "p"
    assert enter(Era.MODERN, "q", exchange(f"Bearer {BOUND}")).status == 403
    enter, _ = await door(profiles=())
    assert enter(Era.MODERN, None, exchange(f"Bearer {BOUND}")).status == 403


def test_without_sign_in_everybody_is_nobody_known():
    enter = anybody()
    view = enter(Era.MODERN, "p", exchange("Bearer x"))
    assert (view.profile, view.principal) == ("p", ANONYMOUS)
    assert enter(Era.MODERN, "p", exchange()) is view


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        (b"access_token=x", True),
        (b"a=1&access_token=x", True),
        (b"a=1;ACCESS_TOKEN=x", True),
        (f"t={SECRET}".encode(), True),
        (b"a=1&my_access_token=x", False),
        (b"q=tokens", False),
    ],
)
def test_a_token_in_the_query_is_refused(query, refused):
    found = in_query(query)
    assert (found is not None) is refused
    if found is not None:
        assert isinstance(found, Rejection)
        assert found.status == 401
        assert SECRET not in found.text


def test_a_lacking_scope_is_named_in_the_challenge():
    failed = Failed(FailureKind.REFUSED, 1, "no", {"missingScope": "tools:a.*"})
    (header,) = scope_headers(lacks_scope(failed))
    assert header[1].endswith(
        b'error="insufficient_scope", error_description="The access token is not good for this", scope="tools:a.*"'
    )
    assert lacks_scope(Failed(FailureKind.REFUSED, 1, "no")) == ""
    assert challenge() == (b"www-authenticate", b'Bearer realm="mcp-orchestrator"')
