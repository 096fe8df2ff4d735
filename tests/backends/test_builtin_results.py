"""Kept results as resources of the gateway itself."""

import json

import anyio
import pytest

from mcp_orchestrator.backends.builtin_results import KeptResults, read
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.model.call import ClientFace, Era, Invocation, Principal
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, ToolRefusal

pytestmark = pytest.mark.anyio

ADA = Principal("local:ada")


class FakeResults:
    def __init__(self):
        self.asked = []

    async def read(self, principal, profile, uri, meta):
        self.asked.append((principal, profile, uri, meta))
        return Completed(b"{}", Era.MODERN)


def invocation(method="resources/read", **params):
    face = ClientFace(Era.MODERN, "2026-07-28")
    return Invocation("run9", method, params, {"m": 1}, face, principal=ADA, profile="tight")


async def test_one_template_and_one_tool_are_offered_and_nothing_is_listed():
    backend = KeptResults(FakeResults(), 5.0)
    assert (backend.name, tuple(backend.eras)) == (OWN, (Era.MODERN,))
    session = await backend.open(None)
    offers = await session.offers()
    assert [one["uriTemplate"] for one in offers.templates] == ["result://{run}{/path*}"]
    assert [one["name"] for one in offers.tools] == ["result_read"]
    assert (offers.backend, offers.resources, offers.taken_at) == (OWN, (), 5.0)


async def test_a_read_is_made_for_who_asks_in_the_profile_that_is_asked_in():
    results = FakeResults()
    session = await KeptResults(results, 0.0).open(None)
    outcome = await session.invoke(invocation(uri="result://run1"), None)
    assert isinstance(outcome, Completed)
    assert results.asked == [(ADA, "tight", "result://run1", {"m": 1})]


async def test_a_new_configuration_is_asked_from_the_next_read_on():
    backend = KeptResults(FakeResults(), 0.0)
    session = await backend.open(None)
    backend.results = other = FakeResults()
    await session.invoke(invocation(uri="result://run1"), None)
    assert other.asked


@pytest.mark.parametrize(
    ("method", "results"),
    [("resources/subscribe", FakeResults()), ("tools/call", FakeResults()), ("resources/read", None)],
)
async def test_everything_else_is_refused_in_well_formed_fashion(method, results):
    outcome = await read(results, invocation(method, uri="result://run1"))
    assert isinstance(outcome, Failed)
    assert method in outcome.message
    assert outcome.retryable


class Found(FakeResults):
    def __init__(self, *items):
        super().__init__()
        self.items = items

    async def read(self, principal, profile, uri, meta):
        await super().read(principal, profile, uri, meta)
        return Completed(json.dumps({"contents": self.items}).encode(), Era.MODERN)


async def test_the_tool_gives_what_a_read_finds_as_content_of_its_kind():
    text = {"uri": "result://run1", "mimeType": "text/plain", "text": "t"}
    kinds = {"image/png": "image", "audio/wav": "audio", "application/pdf": "resource"}
    blobs = [{"uri": "result://run1", "mimeType": mime, "blob": "QUFB"} for mime in kinds]
    results = Found(text, *blobs)
    call = invocation("tools/call", name="result_read", arguments={"uri": "result://run1"})
    content = json.loads((await read(results, call)).result)["content"]
    assert results.asked == [(ADA, "tight", "result://run1", {})]
    assert content[0] == {"type": "text", "text": "t"}
    assert [one["type"] for one in content[1:]] == list(kinds.values())
    assert content[1] == {"type": "image", "data": "QUFB", "mimeType": "image/png"}
    assert content[3]["resource"] == blobs[2]


async def test_the_tool_tells_the_model_what_it_does_not_find():
    class Nothing(FakeResults):
        async def read(self, principal, profile, uri, meta):
            return Failed(FailureKind.UNKNOWN_NAME, -32002, f"Resource not found: {uri}")

    outcome = await read(Nothing(), invocation("tools/call", name="result_read"))
    assert isinstance(outcome, ToolRefusal)
    assert "not found" in outcome.text


async def test_a_session_lives_until_it_is_closed():
    session = await KeptResults(FakeResults(), 0.0).open(None)
    assert session.pid is None
    assert session.era is Era.MODERN
    await session.notify("notifications/cancelled", {})
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(session.wait_closed)
            await anyio.lowlevel.checkpoint()
            await session.close()
